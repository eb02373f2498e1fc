"""What a run shows in the Prefect UI: how far it is, and when it is done the funnel, the reasons and the result.

The UI is a view: where its server cannot be reached, the run goes on without.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from io import StringIO
from math import inf
from time import monotonic
from typing import ParamSpec, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from ruamel.yaml import YAML

from flows.funnel import funnel_rows
from schemas.recipe import Recipe
from schemas.reports import CurateReport, PublishReport, QuarantinedShard, VerifyReport
from schemas.subset import Subset
from tasks.files import is_local
from tasks.write.markdown import block, code, inline

_P = ParamSpec("_P")
_MOVED_EVERY_S = 1.0
_MOST_ROWS = 1_000  # of a table: an artifact is one JSON document


def _view(show: Callable[_P, None]) -> Callable[_P, None]:
    """Let ``show`` fail, and the run go on."""

    @wraps(show)
    def shown(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            show(*args, **kwargs)
        except Exception as error:  # of the network, of the server, of its database
            get_run_logger().warning("an artifact is missing in the UI: %s: %s", type(error).__name__, error)

    return shown


class ProgressArtifact:
    """A bar in the UI that moves."""

    def __init__(self, key: str, description: str):
        self._id: UUID | None = None
        self._moved_at = -inf
        self._create(key, description)

    @_view
    def _create(self, key: str, description: str) -> None:
        self._id = cast(UUID, create_progress_artifact(0.0, key=_key(key), description=description))

    @_view
    def move(self, part: float) -> None:
        """Show that ``part`` of the work is done [0..1], once a second: a request takes longer than a known shard."""
        if self._id is not None and (part >= 1 or monotonic() - self._moved_at >= _MOVED_EVERY_S):
            update_progress_artifact(self._id, 100 * part)
            self._moved_at = monotonic()


@_view
def announce(recipe: Recipe, report: CurateReport) -> None:
    """Show what a finished run made: for each subset the funnel, the reasons, the result, and where its report is."""
    for settings, subset in zip(recipe.subsets, report.subsets, strict=True):
        selected = subset.select
        name = selected.subset
        _table(f"funnel-{name}", funnel_rows(selected.funnel), f"{name}: rows left after each stage")
        reasons = [
            {
                "reason": count.reason.value,
                "primary": count.primary,
                "rows": count.rows,
                "meaning": count.reason.meaning,
            }
            for count in selected.reasons
        ]
        if reasons:
            _table(f"reasons-{name}", reasons, f"{name}: why rows were rejected")
        create_markdown_artifact(
            key=_key(f"result-{name}"), markdown=_result(report, subset, settings), description=f"{name}: the result"
        )
        if subset.report is not None:
            place = subset.report.absolute().as_uri() if is_local(subset.report) else str(subset.report)
            create_link_artifact(
                link=place,
                key=_key(f"report-{name}"),
                link_text=f"{name}: report.html",
                description="pictures and plots",
            )


@_view
def announce_quarantined(source: str, quarantined: Sequence[QuarantinedShard]) -> None:
    """Show the shards that cannot be read, and why."""
    rows = [{"shard": bad.shard, "rows read": bad.rows, "why": bad.error} for bad in quarantined]
    _table("quarantined-shards", rows, f"{source}: shards that cannot be read, or not to their end")


@_view
def announce_evaluation(tables: str) -> None:
    """Show what models told of labelled pictures; its figures lie on the disk."""
    shown = "\n".join(line for line in tables.splitlines() if not line.startswith("!["))
    create_markdown_artifact(key="evaluation", markdown=shown, description="zero-shot classification")


@_view
def announce_problems(subset: str, report: VerifyReport) -> None:
    """Show what is wrong with a subset."""
    rows = [{"problem": problem} for problem in report.problems]
    _table(f"problems-{subset}", rows, f"{report.directory}: not sound")


def _table(key: str, rows: Sequence[Mapping[str, object]], description: str) -> None:
    more = f" (the first {_MOST_ROWS:,} of {len(rows):,})" if len(rows) > _MOST_ROWS else ""
    create_table_artifact(key=_key(key), table=[dict(row) for row in rows[:_MOST_ROWS]], description=description + more)


def _key(name: str) -> str:
    return name.replace("_", "-")


def _yaml(settings: Subset) -> str:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(settings.model_dump(mode="json", exclude_defaults=True), text)
    return text.getvalue()


def _result(report: CurateReport, subset: PublishReport, settings: Subset) -> str:
    selected = subset.select
    done = "Published already, and left as it is" if subset.reused else "Published"
    lines = [
        f"# {inline(selected.subset)}",
        "",
        f"Kept **{selected.kept:,}** of {selected.rows:,} pairs of {inline(report.source)} "
        f"({selected.kept_image_bytes / 1e6:,.1f} MB of images).",
        "",
        f"{done} as {code(subset.version)}.",
        "",
        block(_yaml(settings), "yaml"),
        "",
        *(f"- {inline(limit.key)}: {inline(str(limit))}" for limit in selected.thresholds),
        f"- source: {inline(str(report.scan))}",
        f"- duplicates: {inline(str(report.deduplicate))}",
        *(f"- {inline(name)}: {rows:,} rows" for name, rows in selected.splits.items()),
        f"- manifest: {code(str(subset.manifest))}",
        *([f"- report: {code(str(subset.report))}"] if subset.report is not None else []),
        f"- verify it: {code(f'git10m verify {subset.directory}')}",
    ]
    return "\n".join(lines)

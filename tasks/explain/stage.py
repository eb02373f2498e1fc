"""Explain a row: find it, hold the rules against it again, and tell where it went."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from upath import UPath

from schemas.explanation import Answer, Contamination, Explanation, Place, Relative, RowName
from schemas.manifest import Manifest
from schemas.reasons import REASONS, Reason, Stage
from tasks.explain.lookup import (
    find_rows,
    find_scores,
    find_signals,
    named,
    published_row,
    readable_signals,
    rejected_in_favour_of,
    shard_of,
)
from tasks.explain.rules import Published, Rules, Settings, plain_value, rules_met
from tasks.published import read_manifest, workspace_of
from tasks.versions import followed

EXPLAINED = 3
"""Rows of one name that are explained."""

SHOWN = 10
"""Rows rejected in favour of a row that are named."""


def explain(directory: UPath, asked: str, *, workspace: UPath | None = None, by_name: bool = False) -> Answer:
    """Return why rows are in the subset in ``directory``, or why not.

    Args:
        directory: of the subset, or the link to its latest version, which the answer names.
        asked: a row id, or an ``img_name``.
        workspace: where the signals are; None: where the run that made the subset had them.
        by_name: whether digits are a name, too.

    Raises:
        NotASubset: if ``directory`` is none.
        NoSuchRow: if the source has no such row.
        SubsetDamaged: if a table of the subset cannot be read.
    """
    version = followed(directory)
    manifest = read_manifest(version)
    found = find_rows(version, manifest, asked, by_name=by_name)
    workspace = workspace or workspace_of(version)
    # A version is removed in time, and the link stays; where it is a file, as on an object store, no reader follows it.
    lasting = directory if directory.is_dir() else version
    return Answer(
        directory=directory,
        subset=manifest.subset,
        source=manifest.source.name,
        asked=asked,
        found_rows=len(found),
        rows=tuple(explain_row(version, manifest, row_id, workspace, lasting) for row_id in found[:EXPLAINED]),
    )


def explain_row(
    directory: UPath, manifest: Manifest, row_id: int, workspace: UPath | None, lasting: UPath
) -> Explanation:
    """Return why one row is in the subset, or why not; errors as :func:`explain`.

    Args:
        directory: of the subset's version.
        manifest: of that.
        row_id: of the row.
        workspace: where the signals are; None: not known.
        lasting: the folder by which the subset is told to be read.
    """
    kept, row = published_row(directory, row_id)
    published = Published.of(kept, row)
    if manifest.scorers and not kept:  # in rejected.parquet are those alone for which the row was rejected
        published = published._replace(scores=find_scores(directory, row_id) | published.scores)
    signals, missing = find_signals(manifest, workspace, row_id)
    shard, _ = shard_of(manifest, row_id)
    repeated = _is_repeated(directory, manifest, published, row)
    rules = rules_met(manifest, published, signals, absent=shard.absent, repeated=repeated)
    copies_rows, copies = rejected_in_favour_of(directory, row_id, SHOWN) if kept else (0, ())
    signal_values = readable_signals(signals) if signals is not None else {}
    detail = signals["detail"][0].as_py() if signals is not None else row.get("detail")
    return Explanation(
        row=_name(row),
        kept=kept,
        primary_reason=None if kept else Reason(row["primary_reason"]),
        reasons=published.reasons,
        flags=tuple(sorted(rules.flagging, key=REASONS.index)),
        detail=detail,
        measured={name: plain_value(value) for name, value in signal_values.items()},
        rules=rules.outcomes,
        duplicate_of=None if kept else _keeper(directory, published, row),
        duplicates=tuple(_relative(copy, copy) for copy in copies),
        duplicate_rows=copies_rows,
        contamination=_contamination(published, row),
        place=_place(lasting, manifest, row) if kept else None,
        notes=tuple(_notes(published, rules, missing)),
    )


def _is_repeated(directory: UPath, manifest: Manifest, published: Published, row: dict[str, Any]) -> bool:
    """Return whether an earlier row has the name; it is only looked for where index and rejected do not say so."""
    reason = Reason.IMG_NAME_REPEATED
    if reason in published.reasons or reason in published.flags:
        return True
    flags = Settings.of(manifest).validation.rules.img_name_repeated == "flag"
    if published.kept or not flags or row["img_name"] is None or reason in manifest.rules_off:
        return False
    return bool(named(directory, row["img_name"])[0] < row["row_id"])


def _notes(published: Published, rules: Rules, missing: str | None) -> Iterator[str]:
    if missing is not None:
        yield f"What was measured is not at hand, and told is what index.parquet and rejected.parquet say: {missing}"
    expected = rules.rejecting, (rules.flagging if published.kept else frozenset())
    if expected != (frozenset(published.reasons), frozenset(published.flags)):
        now = ", ".join(reason.value for reason in sorted(rules.rejecting, key=REASONS.index)) or "none"
        yield f"This release finds other reasons or flags than were published: {now}; curate again to be sure"


def _name(row: dict[str, Any]) -> RowName:
    return RowName(row_id=row["row_id"], shard=row["shard"], row=row["row"], img_name=row["img_name"])


def _keeper(directory: UPath, published: Published, row: dict[str, Any]) -> Relative | None:
    if row["duplicate_of"] is None:
        return None
    _, keeper = published_row(directory, row["duplicate_of"])
    return _relative(keeper, row)


def _relative(other: dict[str, Any], rejected: dict[str, Any]) -> Relative:
    """Return ``other`` as a relative; of the two, ``rejected`` is the one whose verdict tells in which way."""
    ways = [reason for reason in map(Reason, rejected["reasons"]) if reason.stage is Stage.DEDUPLICATION]
    return Relative(
        row=_name(other),
        reason=next((way for way in ways if way is not Reason.CONTAMINATED), None),
        distance=rejected["duplicate_distance"],
        similarity=rejected["duplicate_similarity"],
    )


def _contamination(published: Published, row: dict[str, Any]) -> Contamination | None:
    if row.get("reference") is None:
        return None
    return Contamination(reference=row["reference"], distance=published.reference_distance)


def _place(directory: UPath, manifest: Manifest, row: dict[str, Any]) -> Place:
    return Place(
        split=row["split"], file=row["file"], file_row=row["file_row"], how=_how_to_read(directory, manifest, row)
    )


def _how_to_read(directory: UPath, manifest: Manifest, row: dict[str, Any]) -> str:
    if manifest.mode == "index":
        return "the data files are not here; git10m materialize makes them of a copy of the source"
    path = directory / row["file"]
    if Path(row["file"]).suffix != ".parquet":
        return f"tar -tf {shlex.quote(str(path))} | grep '^{row['row_id']:012d}\\.'   # its members"
    before = [file for file in manifest.files if file.path.startswith(f"data/{row['split']}-")]
    rows = sum(file.rows or 0 for file in before if file.path < row["file"])
    return f'load_dataset({json.dumps(str(directory))}, split="{row["split"]}")[{rows + row["file_row"]}]'

"""Duplicates as a run would find them: those that the workspace knows, else looked for in one that is thrown away."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from upath import UPath

from schemas.embedding import EmbedReport
from schemas.plan import DuplicatesPlan
from schemas.recipe import Deduplication, Recipe
from schemas.reports import DeduplicateReport, ReferenceReport
from tasks.deduplicate.known import known_duplicates
from tasks.files import is_local
from tasks.planning.known import Known
from tasks.planning.pairs import Pairs


class Found(NamedTuple):
    """What is known of duplicates."""

    plan: DuplicatesPlan
    report: DeduplicateReport | None  # of what was scanned so far; None where nothing was
    left_out: tuple[str, ...] = ()  # why it is not the report that a run would make
    problems: tuple[str, ...] = ()


def find(
    recipe: Recipe,
    known: Known,
    references: Sequence[Known],
    embedded: Sequence[EmbedReport],
    folder: UPath,
    *,
    search: bool,
) -> Found:
    """Return the duplicates among what was scanned, and what a run would do to find them.

    Pairs that are not in the workspace are searched for if that takes seconds, or ``search`` asks for it; else they are
    left out. What is made goes to ``folder``, an empty one. ``embedded`` are the vectors by all scorers; none where
    some are missing.
    """
    scan, settings = known.scan, recipe.deduplication
    nobody = Pairs("searched")
    if not scan.rows:
        return Found(_plan(settings, nobody, nobody, nobody, complete=_complete(known, references)), None)
    _mirror(recipe.workspace, folder)
    scanned = tuple(
        ReferenceReport(name=source.name, scan=reference.scan)
        for source, reference in zip(settings.references, references, strict=True)
        if reference.scan.rows
    )
    near, semantic, contaminated = Pairs("off"), Pairs("off"), Pairs("searched")
    if settings.semantic is not None and not embedded:
        semantic = Pairs("searched", left_out=("semantic duplicates are left out here: not all rows are embedded",))
        settings = settings.model_copy(update={"semantic": None})
    if report := known_duplicates(scan, scanned, settings, recipe.workspace, embedded):
        if settings.near is not None:
            near = Pairs("reused" if known.complete else "extended", report.path)
        if settings.semantic is not None:
            semantic = Pairs("reused" if known.complete else "searched", report.semantic)
        if scanned:
            contaminated = Pairs("reused" if _complete(known, references) else "searched", report.contaminated)
    else:
        from tasks.planning.search import search_pairs  # Numba takes half a second to import

        report, near, found, contaminated = search_pairs(
            scan, scanned, settings, folder, embedded,
            complete=known.complete, all_complete=_complete(known, references), search=search,
        )  # fmt: skip
        semantic = semantic if settings.semantic is None else found
    plan = _plan(recipe.deduplication, near, semantic, contaminated, complete=known.complete)
    kinds = (near, semantic, contaminated)
    left_out = tuple(line for kind in kinds for line in kind.left_out)
    return Found(plan, report, left_out, tuple(line for kind in kinds for line in kind.problems))


def _complete(known: Known, references: Sequence[Known]) -> bool:
    return all(one.complete for one in (known, *references))


def _plan(
    settings: Deduplication, near: Pairs, semantic: Pairs, contaminated: Pairs, *, complete: bool
) -> DuplicatesPlan:
    return DuplicatesPlan(
        near="off" if settings.near is None else near.state,
        new_rows=near.new_rows if complete else None,
        pairs=near.rows,
        semantic="off" if settings.semantic is None else "reused" if semantic.state == "reused" else "searched",
        semantic_pairs=semantic.rows,
        references="off" if not settings.references else "reused" if contaminated.state == "reused" else "searched",
        contaminated_rows=contaminated.rows,
    )


def _mirror(workspace: UPath, folder: UPath) -> None:
    """Have ``folder`` hold the pairs that ``workspace`` knows of, and the like: links to them, or copies of what lies
    elsewhere."""
    for pattern in ("pairs/*/*.parquet", "semantic/*.parquet", "contaminated/*.parquet", "kinships/*.parquet"):
        for path in workspace.glob(pattern):
            place = folder.joinpath(*path.parts[-pattern.count("/") - 1 :])
            place.parent.mkdir(parents=True, exist_ok=True)
            if is_local(path):
                Path(str(place)).symlink_to(Path(str(path)).resolve())
            else:
                place.write_bytes(path.read_bytes())

"""Near-duplicates and contamination as a run would find them, in a workspace that is thrown away."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from upath import UPath

from schemas.errors import CurationError
from schemas.plan import DuplicatesPlan
from schemas.recipe import Deduplication, NearDuplicates, Recipe
from schemas.reports import DeduplicateReport, ReferenceReport, ScanReport
from tasks.deduplicate.pairs import bring_pairs_up_to_date
from tasks.deduplicate.pictures import Pictures, distinct_pictures
from tasks.deduplicate.references import find_contaminated
from tasks.files import is_local, read_parquet_metadata
from tasks.planning.known import Known

SEARCHED_ROWS = 2_000_000
"""Most rows that are searched for near-duplicates without being asked to: that takes some ten seconds."""

_SEARCH = "left out here, and searched for in the run; --search does it now"


class Found(NamedTuple):
    """What is known of duplicates."""

    plan: DuplicatesPlan
    report: DeduplicateReport | None  # of what was scanned so far; None where nothing was
    left_out: tuple[str, ...] = ()  # why it is not the report that a run would make
    problems: tuple[str, ...] = ()


class _Pairs(NamedTuple):
    """One kind of duplicates."""

    state: Literal["off", "reused", "extended", "searched"]
    path: UPath | None = None
    new_rows: int = 0  # that no search has seen
    left_out: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def rows(self) -> int | None:
        """Rows of the file; None where nobody searched."""
        return None if self.path is None or self.left_out else _rows(self.path)


def find(recipe: Recipe, known: Known, references: Sequence[Known], folder: UPath, *, search: bool) -> Found:
    """Return the duplicates among what was scanned, and what a run would do to find them.

    Pairs that are not in the workspace are searched for if that takes seconds, or ``search`` asks for it; else they are
    left out. What is made goes to ``folder``, an empty one.
    """
    scan, settings = known.scan, recipe.deduplication
    complete = all(one.complete for one in (known, *references))
    if not scan.rows:
        return Found(_plan(settings, _Pairs("searched"), _Pairs("searched"), complete=complete), None)
    _mirror(recipe.workspace, folder)
    pictures = distinct_pictures(scan)
    near, contaminated = _Pairs("off"), _Pairs("off")
    if settings.near is not None:
        near = _find_near(scan, pictures, settings.near, folder, complete=known.complete, search=search)
    scanned = tuple(
        ReferenceReport(name=source.name, scan=reference.scan)
        for source, reference in zip(settings.references, references, strict=True)
        if reference.scan.rows
    )
    if scanned:
        contaminated = _find_contaminated(scan, pictures, scanned, settings, folder, complete=complete, search=search)
    report = DeduplicateReport(
        rows=scan.rows,
        hashed_rows=pictures.rows,
        pictures=len(pictures.signature),
        pairs=_rows(near.path),
        path=near.path,
        reused=near.state == "reused",
        contaminated_rows=_rows(contaminated.path),
        contaminated=contaminated.path,
        references=scanned,
    )
    plan = _plan(settings, near, contaminated if scanned else _Pairs("searched"), complete=known.complete)
    return Found(plan, report, near.left_out + contaminated.left_out, near.problems + contaminated.problems)


def _plan(settings: Deduplication, near: _Pairs, contaminated: _Pairs, *, complete: bool) -> DuplicatesPlan:
    return DuplicatesPlan(
        near="off" if settings.near is None else near.state,
        new_rows=near.new_rows if complete else None,
        pairs=near.rows,
        references="off" if not settings.references else "reused" if contaminated.state == "reused" else "searched",
        contaminated_rows=contaminated.rows,
    )


def _find_near(
    scan: ScanReport, pictures: Pictures, near: NearDuplicates, folder: UPath, *, complete: bool, search: bool
) -> _Pairs:
    nothing = _no_pictures()
    path, there = bring_pairs_up_to_date(scan, nothing, near, folder)
    if there:
        return _Pairs("reused" if complete else "extended", path)
    others = [other for other in path.parent.glob("*.parquet") if other != path]
    new = scan.rows - max((_shared_rows(scan, other) for other in others), default=0)
    state: Literal["extended", "searched"] = "extended" if new < scan.rows else "searched"
    cost = new * (7 if near.any_orientation else 1) * (180 if near.overlapping else 1)  # see its fields
    if cost > SEARCHED_ROWS and not search:
        return _Pairs(state, path, new, (f"near-duplicates of {new:,} rows are {_SEARCH}",))
    path.unlink()
    try:
        path, _ = bring_pairs_up_to_date(scan, pictures, near, folder)
    except CurationError as error:
        path, _ = bring_pairs_up_to_date(scan, nothing, near, folder)
        return _Pairs(state, path, new, ("near-duplicates cannot be searched for",), (str(error),))
    return _Pairs(state, path, new)


def _find_contaminated(
    scan: ScanReport,
    pictures: Pictures,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    folder: UPath,
    *,
    complete: bool,
    search: bool,
) -> _Pairs:
    known = set(folder.glob("contaminated/*"))
    rows = sum(reference.scan.rows for reference in references)
    searched = search or settings.near is None or rows <= SEARCHED_ROWS
    nothing = _no_pictures()
    try:
        path = find_contaminated(scan, pictures if searched else nothing, references, settings, folder)
    except CurationError as error:
        path = find_contaminated(scan, nothing, references, settings, folder)
        return _Pairs("searched", path, rows, ("near copies of references cannot be searched for",), (str(error),))
    if path in known:
        return _Pairs("reused" if complete else "searched", path)
    left_out = () if searched else (f"near copies of {rows:,} pictures of references are {_SEARCH}",)
    return _Pairs("searched", path, rows, left_out)


def _mirror(workspace: UPath, folder: UPath) -> None:
    """Have ``folder`` hold the pairs that ``workspace`` knows of, and the like: links to them, or copies of what lies
    elsewhere."""
    for pattern in ("pairs/*/*.parquet", "contaminated/*.parquet", "kinships/*.parquet"):
        for path in workspace.glob(pattern):
            place = folder.joinpath(*path.parts[-pattern.count("/") - 1 :])
            place.parent.mkdir(parents=True, exist_ok=True)
            if is_local(path):
                Path(str(place)).symlink_to(Path(str(path)).resolve())
            else:
                place.write_bytes(path.read_bytes())


def _no_pictures() -> Pictures:
    """Return the pictures of rows without any: a search among them finds nothing, at once."""
    none = np.empty(0, np.uint64)
    return Pictures(none, none, np.empty(0, np.int64), 0)


def _shared_rows(scan: ScanReport, pairs: UPath) -> int:
    """Return how many rows of ``scan`` were searched for ``pairs``."""
    try:
        names = set(json.loads(read_parquet_metadata(pairs).metadata[b"shards"]))
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):  # damaged: the search does without it
        return 0
    return sum(shard.rows for shard in scan.shards if shard.signals.name in names)


def _rows(path: UPath | None) -> int:
    return 0 if path is None else int(read_parquet_metadata(path).num_rows)

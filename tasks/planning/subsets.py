"""What a subset will hold, and what its folder holds now."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from schemas.errors import CurationError
from schemas.plan import Outcome, Place, SubsetPlan
from schemas.recipe import Recipe
from schemas.reports import SelectReport
from schemas.subset import Subset
from tasks.embed.vectors import NotEmbedded
from tasks.files import read_parquet
from tasks.planning.known import Known, lies_here
from tasks.published import NotASubset
from tasks.select.basis import Basis
from tasks.select.thresholds import ColumnAbsent, NoValues
from tasks.signals import first_row_ids, readable_shards
from tasks.source.shards import Shard, shard_size
from tasks.versions import Versions
from tasks.write.manifest import draft_manifest
from tasks.write.placement import place_rows
from tasks.write.schema import DataSchema
from tasks.write.staging import Staging

_ROW_OF_TABLES = 100  # of index or rejected, about [bytes]
_ROW_OF_TAR = 3 * (512 + 256)  # headers of three members, and what fills their last blocks, on average [bytes]


_TO_COME = (ColumnAbsent, NoValues, NotEmbedded)
"""What shards that are not scanned yet, or not embedded, may have."""


class Planned(NamedTuple):
    """One subset, and what of it would end the run."""

    plan: SubsetPlan
    problems: tuple[str, ...] = ()


def plan_subset(
    recipe: Recipe,
    subset: Subset,
    known: Known,
    basis: Basis | None,
    target: Callable[[], DataSchema],
    *,
    exact: bool,
) -> Planned:
    """Return what ``subset`` becomes.

    Args:
        recipe: the recipe, its sources pinned.
        subset: one of the recipe's.
        known: its source.
        basis: what it is selected by, and a workspace for verdicts; None where nothing was scanned.
        target: tells the columns of data files, or what is wrong with them.
        exact: whether ``known`` and ``basis`` are all that a run would know.
    """
    directory = recipe.output.dir / subset.name
    problems: list[str] = []
    try:
        place: Place = "new" if Versions(recipe.output.dir, subset.name).latest() is None else "there"
    except NotASubset as error:
        place = "in the way"
        problems.append(str(error))
    if basis is None:
        return Planned(SubsetPlan(subset=subset.name, directory=directory, place=place), tuple(problems))
    try:
        selected = _select(recipe, subset, basis)
        outcome = _describe(recipe, subset, known, selected)
        if exact:
            place = _compare(recipe, subset, basis, target(), selected, place)
        plan = SubsetPlan(subset=subset.name, directory=directory, place=place, outcome=outcome)
    except CurationError as error:
        if exact or not isinstance(error, _TO_COME):
            problems.append(str(error))
        plan = SubsetPlan(subset=subset.name, directory=directory, place=place, problem=str(error))
    return Planned(plan, tuple(problems))


def _select(recipe: Recipe, subset: Subset, basis: Basis) -> SelectReport:
    from tasks.select.verdicts import give_verdicts, known_verdicts

    known = known_verdicts(recipe, subset, basis.scan, basis.duplicates, basis.embedded)
    return known or give_verdicts(subset, basis)


def _compare(
    recipe: Recipe, subset: Subset, basis: Basis, target: DataSchema, selected: SelectReport, place: Place
) -> Place:
    """Return what a run would do to what is in the subset's place."""
    if place != "there":
        return place
    draft = draft_manifest(recipe, subset, basis.scan, basis.duplicates, selected, target)
    staging = Staging(recipe.output.dir, draft)
    return "unchanged" if staging.published() else "kept" if staging.complete() else "changed"


def _describe(recipe: Recipe, subset: Subset, known: Known, selected: SelectReport) -> Outcome:
    scan, images, output = known.scan, recipe.scan.images, recipe.output
    full = output.mode == "data"
    files: tuple[str, ...] = ()
    read: list[Shard] = []
    estimated = float(selected.rows * _ROW_OF_TABLES)
    if full:
        kept = np.flatnonzero(read_parquet(selected.verdicts, ["kept"])["kept"].to_numpy())
        counts = np.diff(np.searchsorted(kept, first_row_ids(scan))).tolist()
        files = place_rows(scan, selected.verdicts, subset, output, images=images).files
        read = [shard for shard, count in zip(readable_shards(known.shards, scan), counts, strict=True) if count]
        estimated += _data_bytes(recipe, known, selected, counts)
    return Outcome(
        rows=selected.rows,
        kept=selected.kept,
        image_bytes=selected.kept_image_bytes if images else None,
        splits=selected.splits,
        thresholds=selected.thresholds,
        funnel=selected.funnel,
        reasons=selected.reasons,
        flags=selected.flags,
        data_files=len(files),
        estimated_bytes=round(estimated),
        read_shards=len(read),
        refetched_bytes=sum(shard_size(shard) for shard in read if not lies_here(shard)),
    )


def _data_bytes(recipe: Recipe, known: Known, selected: SelectReport, counts: list[int]) -> float:
    """Return about how long the data files will be: the kept images, and of all else what a row of its shard has."""
    total = float(selected.kept_image_bytes)
    for shard, count in zip(known.scan.shards, counts, strict=True):
        total += count * max(shard.byte_length - shard.image_bytes, 0) / max(shard.rows, 1)
    if recipe.output.format == "webdataset":
        total += selected.kept * _ROW_OF_TAR
    return total

"""Whether a run may write where it wants to, and has the room."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from upath import UPath

from schemas.plan import DiskPlan, ScorerPlan, SourcePlan, SubsetPlan
from schemas.recipe import Recipe
from tasks.files import is_local
from tasks.planning.known import Known
from tasks.source.listing import local_folder
from tasks.source.shards import shard_size


def plan_disks(
    recipe: Recipe,
    sources: Sequence[SourcePlan],
    subsets: Sequence[SubsetPlan],
    scorers: Sequence[ScorerPlan],
    *,
    exact: bool,
    laid_aside: bool,
) -> tuple[DiskPlan, ...]:
    """Return the disks of this machine that a run puts much on, and how much, if that is known.

    Args:
        recipe: the recipe.
        sources: what is read of its sources.
        subsets: what becomes of its subsets.
        scorers: what they are to embed.
        exact: whether that is all that a run would know.
        laid_aside: whether rows of the source are copied before they are written in random order.
    """
    disks = []
    outcomes = [plan.outcome for plan in subsets if plan.outcome and plan.place not in ("unchanged", "kept")]
    if is_local(recipe.output.dir):
        needed = sum(outcome.estimated_bytes for outcome in outcomes) if exact else None
        disks.append(_disk(recipe.output.dir, "subsets", needed))
    aside = local_folder(recipe.workspace)
    new = [scorer.new_bytes for scorer in scorers if scorer.new_rows]
    if new and is_local(recipe.workspace):
        known = [size for size in new if size is not None]
        disks.append(_disk(aside / "vectors", "vectors", sum(known) if len(known) == len(new) else None))
    fetched = max(
        sum(source.fetched_bytes for source in sources), *(outcome.refetched_bytes for outcome in outcomes), 0
    )
    if fetched:
        disks.append(_disk(aside / "fetched", "fetched shards", min(fetched, recipe.engine.fetched_bytes)))
    if laid_aside and recipe.output.shuffle_seed is not None and recipe.output.mode == "data":
        most = max((outcome.estimated_bytes for outcome in outcomes), default=0) if exact else None
        disks.append(_disk(aside / "laid-aside", "rows on their way into random order", most))
    return tuple(disks)


def _disk(folder: UPath, holds: str, needed: int | None) -> DiskPlan:
    free = shutil.disk_usage(_standing(folder)).free
    return DiskPlan(folder=folder, holds=holds, needed_bytes=needed, free_bytes=free)


def lacks_of_room(recipe: Recipe, sources: Sequence[Known], disks: Sequence[DiskPlan]) -> list[str]:
    """Return what of the disks would make a run fail: no right to write, or no room."""
    told = [problem for place in (recipe.workspace, recipe.output.dir) if (problem := _refusal(place))]
    told += [
        f"{disk.folder}: {disk.holds} need about {disk.needed_bytes:,} bytes; {disk.free_bytes:,} are free"
        for disk in disks
        if disk.needed_bytes is not None and disk.needed_bytes > disk.free_bytes
    ]
    limit = recipe.engine.fetched_bytes
    for known in sources:
        remote = [shard for shard in known.shards if shard.remote is not None]
        longest = max(remote, key=shard_size, default=None) if recipe.scan.images else None
        if longest is not None and shard_size(longest) > limit:
            told.append(
                f"{longest.name}: a shard of {shard_size(longest):,} bytes; at most {limit:,} may lie on this disk at "
                "once: raise engine.fetched_bytes"
            )
    return told


def _refusal(folder: UPath) -> str | None:
    """Return why nothing can be written to ``folder``, as far as can be told without trying."""
    if not is_local(folder):
        return None
    standing = _standing(folder)
    if not standing.is_dir():
        return f"{folder}: cannot write there: {standing} is no folder"
    if not os.access(standing, os.W_OK | os.X_OK):
        return f"{folder}: cannot write there: no permission to write to {standing}"
    return None


def _standing(folder: UPath) -> Path:
    """Return ``folder``, or the nearest above it that is there."""
    path = Path(str(folder)).absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())

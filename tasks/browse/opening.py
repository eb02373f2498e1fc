"""What there is to browse: all that is known of a recipe's source."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.embedding import EmbedReport
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ReferenceReport, ScanReport
from schemas.subset import Subset
from tasks.deduplicate.stage import find_duplicates
from tasks.embed.reuse import known_embeddings
from tasks.pinning import pinned
from tasks.planning.known import look_up, rows_here
from tasks.signals import readable_shards
from tasks.source.shards import Shard


class NothingToBrowse(CurationError):
    """A recipe of whose source nothing is scanned, or without the subset that was asked for."""


class Opened(NamedTuple):
    """A source that was scanned, and the subset to begin with."""

    recipe: Recipe
    subset: Subset
    scan: ScanReport
    duplicates: DeduplicateReport
    embedded: tuple[EmbedReport, ...]  # by each scorer, if all shards have vectors
    shards: tuple[Shard, ...]  # that were scanned, in order
    at_hand: NDArray[np.bool_]  # shape (rows,): the row's shard lies on this machine
    unscanned: int  # shards that were never scanned


def open_source(recipe: Recipe, subset: str | None) -> Opened:
    """Return what is known of the source of ``recipe``, and near-duplicates, which are searched for if need be.

    Args:
        recipe: what was run.
        subset: name of the one to begin with; None: the first.

    Raises:
        NothingToBrowse: if nothing was scanned, or there is no such subset.
        SourceError, FileChanged: as for a run.
    """
    names = [one.name for one in recipe.subsets]
    if subset is not None and subset not in names:
        raise NothingToBrowse(f"the recipe has no subset {subset!r}; it has {', '.join(names)}")
    recipe = pinned(recipe)
    known, *others = (
        look_up(recipe.model_copy(update={"source": source}), source.name)
        for source in (recipe.source, *recipe.deduplication.references)
    )
    for one in (known, *others):
        if not one.scan.rows:
            raise NothingToBrowse(
                f"{one.key}: nothing of it is scanned in {recipe.workspace}; run git10m curate before"
            )
    references = tuple(ReferenceReport(name=other.key, scan=other.scan) for other in others)
    embedded = known_embeddings(recipe, known.scan) or ()
    settings = recipe.deduplication
    duplicates = find_duplicates(known.scan, references, settings, recipe.workspace, embedded=embedded)
    shards = tuple(readable_shards(known.shards, known.scan))
    at_hand = rows_here(shards, known.scan)
    chosen = recipe.subsets[0 if subset is None else names.index(subset)]
    return Opened(recipe, chosen, known.scan, duplicates, embedded, shards, at_hand, len(known.new))

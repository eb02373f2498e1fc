"""Find pictures by texts: from a subset, a workspace or a recipe to what is shown of them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import EmbedReport
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.reports import ScanReport
from schemas.retrieval import Hit, Retrieval, Retrieved
from schemas.scorer import Scorer
from schemas.subset import RowList
from tasks.embed.model import load_embedder
from tasks.embed.reuse import embed_report, known_vectors
from tasks.embed.vectors import Halves, NotEmbedded, vectors_in_pieces
from tasks.pinning import pinned
from tasks.planning.known import look_up, rows_here
from tasks.retrieve.search import Found, best_rows
from tasks.select.lists import listed_rows
from tasks.signals import first_row_ids, of_rows, readable_shards
from tasks.source.pairs import read_pairs

_SPARE = 4  # times as many are found as are shown, for the same picture may be there several times


class UnknownScorer(CurationError):
    """A scorer is named that the recipe does not have."""


class Pictures(NamedTuple):
    """What was found, and the bytes of its pictures by row id, as far as they lie on this machine."""

    found: Retrieval
    images: dict[int, bytes | None]


def retrieve(
    recipe: Recipe, texts: Sequence[str], *, count: int, scorer: str | None, subset: tuple[str, UPath] | None
) -> Pictures:
    """Return the ``count`` pictures of the source of ``recipe`` that are most like each of ``texts``.

    Of pictures whose bytes are equal the first is shown.

    Args:
        recipe: whose source was embedded.
        texts: what to look for.
        count: pictures for each text.
        scorer: name of the recipe's scorer whose vectors are compared; None: the first.
        subset: name and folder of one whose rows alone are looked at; None: all rows.

    Raises:
        UnknownScorer: if the recipe has no such scorer.
        NotEmbedded: if it has none at all, or the source no vectors by it.
        ModelUnusable, SourceError, ListInvalid: as for a run.
    """
    recipe = pinned(recipe)
    chosen = _scorer(recipe, scorer)
    known = look_up(recipe)
    scan, report = known.scan, _embedded(recipe, chosen, known.scan)
    asked = np.ones(scan.rows, np.bool_)
    if subset is not None:
        asked = listed_rows(scan, RowList(path=subset[1]), all_there=False)
    pictures = 0

    def pieces() -> Iterator[tuple[slice, Halves, NDArray[np.bool_]]]:
        nonlocal pictures
        for rows, vectors, present in vectors_in_pieces(report, "image"):
            among = present & asked[rows]
            pictures += int(among.sum())
            yield rows, vectors, among

    best = best_rows(pieces(), load_embedder(chosen).texts(texts), _SPARE * count)
    best = tuple(_distinct(scan, found, count) for found in best)
    wanted = np.unique(np.concatenate([np.empty(0, np.int64), *(found.row_id for found in best)]))
    readable = readable_shards(known.shards, scan)
    pairs = read_pairs(readable, scan, wanted[rows_here(readable, scan)[wanted]])
    names, starts = _values(scan, "img_name", wanted), first_row_ids(scan)

    def hit(row: int, cosine: float) -> Hit:
        index = int(np.searchsorted(starts, row, "right")) - 1
        place = {"row_id": row, "shard": scan.shards[index].shard, "row": row - int(starts[index])}
        caption = pairs[row][1] if row in pairs else None
        return Hit(**place, img_name=names[row], caption=caption, cosine=cosine)

    told = tuple(
        Retrieved(text=text, hits=tuple(map(hit, found.row_id.tolist(), found.cosine.tolist())))
        for text, found in zip(texts, best, strict=True)
    )
    place = recipe.source.name if subset is None else f"{subset[0]} of {recipe.source.name}"
    retrieval = Retrieval(place=place, scorer=chosen.name, pictures=pictures, texts=told)
    return Pictures(retrieval, {row: image for row, (image, _) in pairs.items()})


def _scorer(recipe: Recipe, name: str | None) -> Scorer:
    names = [one.name for one in recipe.scorers]
    if not names:
        raise NotEmbedded("the recipe has no scorer; expected one, and its vectors by git10m embed")
    if name is not None and name not in names:
        raise UnknownScorer(f"the recipe has no scorer {name!r}; it has {', '.join(names)}")
    return recipe.scorers[0 if name is None else names.index(name)]


def _embedded(recipe: Recipe, scorer: Scorer, scan: ScanReport) -> EmbedReport:
    shards = [report for report in known_vectors(scorer, scan, recipe) if report is not None]
    if not scan.rows:
        raise NotEmbedded(f"nothing of {recipe.source.name} is scanned in {recipe.workspace}; run git10m embed before")
    if not shards or len(shards) < len(scan.shards):
        told = f"{scorer.name}: {len(shards)} of {len(scan.shards)} scanned shards have vectors in {recipe.workspace}"
        raise NotEmbedded(f"{told}; run git10m embed before")
    return embed_report(scorer, shards)


def _distinct(scan: ScanReport, found: Found, count: int) -> Found:
    """Return the ``count`` best pictures of different bytes."""
    digest = _values(scan, "sha256", np.sort(found.row_id))
    first: dict[Any, int] = {}
    for place, row in enumerate(found.row_id.tolist()):
        first.setdefault(digest[row], place)
    kept = list(first.values())[:count]
    return Found(found.row_id[kept], found.cosine[kept])


def _values(scan: ScanReport, signal: str, rows: NDArray[np.int64]) -> dict[int, Any]:
    """Return a signal of each of ``rows``, ascending."""
    parts = of_rows(scan, [signal], rows, lambda _, table: table[signal].to_pylist())
    return dict(zip(rows.tolist(), chain.from_iterable(parts), strict=True))

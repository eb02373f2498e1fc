"""Kernel: which pictures are most like each of some texts."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.embed.model import Vectors
from tasks.embed.vectors import Halves


class Found(NamedTuple):
    """The best rows for one text, the best first."""

    row_id: NDArray[np.int64]  # shape (n,)
    cosine: NDArray[np.float32]  # shape (n,)


def best_rows(
    pieces: Iterable[tuple[slice, Halves, NDArray[np.bool_]]], texts: Vectors, count: int
) -> tuple[Found, ...]:
    """Return for each text the ``count`` rows whose pictures are most like it, of equal ones the first in the source.

    Args:
        pieces: of each its ``row_id``s, its vectors, shape (rows, dimensions), and which of them are asked about.
        texts: shape (texts, dimensions).
        count: how many, at most.
    """
    best = [Found(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in texts]
    for rows, vectors, among in pieces:
        here = np.flatnonzero(among)
        cosines = vectors[here].astype(np.float32) @ texts.T
        for number, so_far in enumerate(best):
            best[number] = _merged(so_far, Found(rows.start + here, cosines[:, number]), count)
    return tuple(best)


def _merged(one: Found, other: Found, count: int) -> Found:
    """Return the ``count`` best of two; the rows of ``one`` come before those of ``other``."""
    cosine = np.concatenate([one.cosine, other.cosine])
    row_id = np.concatenate([one.row_id, other.row_id])
    if len(cosine) > count:
        least = np.partition(cosine, len(cosine) - count)[len(cosine) - count]
        some = np.flatnonzero(cosine >= least)
        cosine, row_id = cosine[some], row_id[some]
    order = np.lexsort((row_id, -cosine))[:count]
    return Found(row_id[order], cosine[order])

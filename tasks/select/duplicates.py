"""Who is kept of the rows that are duplicates of each other, and of whom all others are duplicates."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.recipe import Deduplication
from tasks.deduplicate.kinships import AROUND, BYTES, CAPTION, NESTED, PICTURE, PIXELS, SEMANTIC, TILE, Kinships
from tasks.select.election import Electorate, Group, Near, Nearest, Nested, Thinned


class Duplicates(NamedTuple):
    """What becomes of the rows of kinships; arrays of shape (k,)."""

    kept: NDArray[np.bool_]
    reasons: NDArray[np.uint64]  # mask of deduplication reasons, contamination left out
    keeper: NDArray[np.int64]  # of the first of these reasons, its position among them; -1 where there is none
    distance: NDArray[np.int8]  # from it [bits]; -1 where no picture was compared
    similarity: NDArray[np.float32]  # to it; NaN but for near and semantic duplicates


class KeeperElections:
    """Elections of keepers among the rows of kinships, one for each set of rows that may be kept."""

    def __init__(self, kinships: Kinships, settings: Deduplication, *, near: bool):
        """Say which kinships of rows make duplicates: those of ``settings``, and, if ``near``, near pictures.

        Semantic duplicates count where kinships hold them.
        """
        codes = kinships.codes
        groups = {}
        if settings.exact_bytes:
            groups[Reason.DUPLICATE_BYTES] = Group(codes[BYTES], 1)
        if settings.exact_pixels:
            groups[Reason.DUPLICATE_PIXELS] = Group(codes[PIXELS], 1)
        if settings.same_tile:
            groups[Reason.DUPLICATE_TILE] = Group(codes[TILE], 1)
        if settings.caption_copies is not None:
            groups[Reason.DUPLICATE_CAPTION] = Group(codes[CAPTION], settings.caption_copies)
        nears = {}
        if near:
            nears[Reason.DUPLICATE_NEAR] = Near(codes[PICTURE], *kinships.alike[PICTURE])
        if SEMANTIC in kinships.alike:
            nears[Reason.DUPLICATE_SEMANTIC] = Near(codes[SEMANTIC], *kinships.alike[SEMANTIC])
        nested = _nested(codes[NESTED], codes[AROUND]) if settings.nested_tiles is not None else None
        self._of_groups, self._of_nears = tuple(groups), tuple(nears)
        self._electorate = Electorate(
            len(kinships.row_id), groups=list(groups.values()), nears=list(nears.values()), nested=nested
        )

    def name_keepers(self, passed: NDArray[np.bool_]) -> Duplicates:
        """Elect keepers among the rows that ``passed`` all else, shape (k,), and name them to the others.

        Rows that were all elected are all elected again, so that what is left of them can be named in the same way.
        """
        election = self._electorate.elect(np.flatnonzero(passed))
        keepers = dict(zip(self._of_groups, election.groups, strict=True)) | {Reason.NESTED_TILE: election.nested}
        return _named(election.kept, keepers, dict(zip(self._of_nears, election.nears, strict=True)))

    def thin(self, passed: NDArray[np.bool_]) -> Thinned:
        """Elect as :meth:`name_keepers` does, and name nobody: in a fraction of the time."""
        return self._electorate.thin(np.flatnonzero(passed))


def _nested(tile: NDArray[np.int32], around: NDArray[np.int32]) -> Nested:
    parent = np.full(int(tile.max(initial=-1)) + 1, -1, np.int32)
    parent[tile[tile >= 0]] = around[tile >= 0]
    return Nested(tile, parent)


def _named(
    kept: NDArray[np.bool_], keepers: dict[Reason, NDArray[np.int64]], nears: dict[Reason, Nearest]
) -> Duplicates:
    """Return each row's reasons; of a picture that is the same in several ways, the plainest alone."""
    rows = len(kept)
    reasons, keeper = np.zeros(rows, np.uint64), np.full(rows, -1, np.int64)
    far, alike = np.full(rows, -1, np.int8), np.full(rows, np.nan, np.float32)
    for reason in (Reason.DUPLICATE_BYTES, Reason.DUPLICATE_PIXELS):
        if reason in keepers:
            hit = np.flatnonzero((keepers[reason] >= 0) & (keeper < 0))
            reasons[hit] |= np.uint64(reason.bit)
            keeper[hit], far[hit] = keepers[reason][hit], 0
    for reason, nearest in nears.items():
        hit = np.flatnonzero((nearest.keeper >= 0) & (keeper < 0))
        reasons[hit] |= np.uint64(reason.bit)
        keeper[hit], alike[hit] = nearest.keeper[hit], nearest.similarity[hit]
        if reason is Reason.DUPLICATE_NEAR:  # vectors have no distance in bits
            far[hit] = nearest.distance[hit]
    for reason in (Reason.DUPLICATE_TILE, Reason.NESTED_TILE, Reason.DUPLICATE_CAPTION):
        if reason in keepers:
            hit = np.flatnonzero(keepers[reason] >= 0)
            reasons[hit] |= np.uint64(reason.bit)
            first = hit[keeper[hit] < 0]
            keeper[first] = keepers[reason][first]
    return Duplicates(kept, reasons, keeper, far, alike)

"""Kernel: which pictures are near-duplicates: found by their hashes, and confirmed by laying them over each other."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tasks.deduplicate.buckets import runs
from tasks.deduplicate.hamming import HammingPairs, TooManyPairs, hamming_matches, hamming_pairs
from tasks.deduplicate.registration import Registrations, similarities
from tasks.deduplicate.views import FULL, ORIENTATIONS, OVERLAPS, Overlap, inverse, turned_hashes
from tasks.deduplicate.windows import view_hashes
from tasks.scan.descriptor import structure_of
from tasks.spill import kept_in_room

ENOUGH_STRUCTURE = 12
"""Structure (:func:`tasks.scan.descriptor.structure_of`) that one of two pictures must have: more than a picture needs
to be described, so that no picture loses its own copy by a hair."""

RICH = 18
"""Structure from which on a picture is like no other place's."""

POOR_SIMILARITY = np.float32(0.98)
"""Least similarity where one of two pictures has less structure than ``RICH``; saved again, they reach 0.99. Of the
demo's 1,765 maps, compared in any orientation and overlapping, 115 pairs that show other places reach 0.9, none of them
two rich pictures; without the plain ones, none reaches 0.98."""

PART_SIMILARITY = np.float32(0.95)
"""Least similarity where not all of both pictures is compared: of parts, more pairs are compared, on less ground."""

MAX_CANDIDATES = 2**32
"""Pairs that are laid over each other, at some 2 to 10 microseconds each: hours."""

MAX_NEAR_PAIRS = 2**26
"""Near-duplicates that are kept: they, and what it takes to sort them, are some 3 GiB. Of n pictures that are all alike
without being equal, each pair is one: 11,000 are enough."""

_CHUNK = 2**22  # candidates that are compared at a time
_SAME_GROUND = Overlap(FULL, FULL)

Descriptors = Callable[[NDArray[np.int64]], NDArray[np.int8]]
"""Gives the descriptors, shape (k, 256), of k pictures named by their positions, ascending."""


class Nearness(NamedTuple):
    """What makes two pictures near-duplicates; see :class:`schemas.recipe.NearDuplicates`."""

    radius: int  # [bits]
    min_similarity: float  # [0..1]
    any_orientation: bool
    overlapping: bool


class NearPairs(NamedTuple):
    """Pairs of pictures, each once, ``a < b``, in ascending order of (a, b); each of shape (pairs,)."""

    a: NDArray[np.int64]
    b: NDArray[np.int64]
    distance: NDArray[np.int8]  # [bits], of the two views and the orientation that are alike most
    similarity: NDArray[np.float32]


NO_PAIRS = NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0, np.float32))


class _Candidates(NamedTuple):
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    orientation: NDArray[np.int8]  # of b
    distance: NDArray[np.int8]

    def only(self, some: NDArray[np.bool_]) -> Self:
        """Return some of them."""
        return type(self)(self.a[some], self.b[some], self.orientation[some], self.distance[some])


_Search = Callable[[], Iterator[_Candidates]]
"""Goes through candidates, as often as it is called."""


class _Seen(NamedTuple):
    """A view of every picture."""

    hashes: NDArray[np.uint64]
    present: NDArray[np.bool_]  # there is something to be seen in it


class _Groups:
    """Pictures of equal hashes, taken together, so that a hash is searched for once, however many share it."""

    def __init__(self, hashes: NDArray[np.uint64], pictures: NDArray[np.int64]):
        order = np.argsort(hashes)
        self.pictures = kept_in_room(pictures[order])
        ordered = hashes[order]
        del order
        begins = runs(ordered)
        self.values = kept_in_room(ordered[begins[:-1]])  # ascending, distinct
        self.start = kept_in_room(begins)

    @classmethod
    def of(cls, seen: _Seen, wanted: NDArray[np.bool_]) -> Self:
        pictures = np.flatnonzero(seen.present & wanted)
        return cls(seen.hashes[pictures], pictures)


class _Join(NamedTuple):
    """Groups that meet: each picture of the one with each of the other is a candidate."""

    matches: HammingPairs
    a: _Groups
    b: _Groups

    def rows(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]]:
        """Yield the pictures and their distance, some millions of candidates at a time."""
        across = np.diff(self.b.start)[self.matches.b]
        sizes = np.diff(self.a.start)[self.matches.a] * across
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if len(ends) else 0
        if total > MAX_CANDIDATES:
            raise TooManyPairs(
                f"{total:,} pairs of pictures have hashes within the radius, more than {MAX_CANDIDATES:,}: too many "
                "look alike; lower deduplication.near.radius_bits, or reject them by validation (image_nodata, "
                "image_blank)"
            )
        for begin in range(0, total, _CHUNK):
            flat = np.arange(begin, min(begin + _CHUNK, total))
            pair = np.searchsorted(ends, flat, side="right")
            within = flat - (ends[pair] - sizes[pair])
            a = self.a.pictures[self.a.start[self.matches.a[pair]] + within // across[pair]]
            b = self.b.pictures[self.b.start[self.matches.b[pair]] + within % across[pair]]
            yield a, b, self.matches.distance[pair]


def _matching(a: _Groups, b: _Groups, radius: int) -> _Join:
    return _Join(HammingPairs(*hamming_matches(a.values, b.values, radius)), a, b)


def near_pairs(
    phash: NDArray[np.uint64],
    fresh: NDArray[np.bool_],
    descriptors: Descriptors,
    nearness: Nearness,
    searched: Callable[[], object] = lambda: None,
) -> NearPairs:
    """Return the near-duplicates among pictures, but for those of two that are not fresh.

    Whether two pictures are near-duplicates depends on nothing but their descriptors and their order. So pairs that
    are found piece by piece, as pictures are added, are those that are found at once, if the order stays.

    Args:
        phash: shape (n,).
        fresh: shape (n,), whether each picture's pairs are wanted.
        descriptors: asked for those pictures only that have a candidate.
        nearness: what is near.
        searched: hears of each search that is done: as the pictures are, for each orientation, for each overlap.

    Raises:
        TooManyPairs: if there are more than a machine could hold.
    """
    found = []
    for pairs in _searches(phash, fresh, descriptors, nearness):
        found.append(pairs)
        searched()
    return _each_once(found)


def _searches(
    phash: NDArray[np.uint64], fresh: NDArray[np.bool_], descriptors: Descriptors, nearness: Nearness
) -> Iterator[NearPairs]:
    yield _confirmed(_upright(phash, fresh, nearness.radius), len(phash), descriptors, _SAME_GROUND, nearness)
    if nearness.any_orientation:
        for orientation in range(1, ORIENTATIONS):
            candidates = _turned(phash, fresh, orientation, nearness.radius)
            yield _confirmed(candidates, len(phash), descriptors, _SAME_GROUND, nearness)
    if nearness.overlapping and fresh.any():
        yield from _overlapping(phash, fresh, descriptors, nearness)


def _upright(phash: NDArray[np.uint64], fresh: NDArray[np.bool_], radius: int) -> _Search:
    if not fresh.all():
        return _turned(phash, fresh, 0, radius)
    groups = _Groups(phash, np.arange(len(phash)))
    shared = np.flatnonzero(np.diff(groups.start) > 1).astype(np.int32)
    same = HammingPairs(shared, shared, np.zeros(len(shared), np.int8))
    joins = [_Join(pairs, groups, groups) for pairs in (same, hamming_pairs(groups.values, radius))]

    def candidates() -> Iterator[_Candidates]:
        for join in joins:
            for a, b, distance in join.rows():
                once = (a < b) | (distance > 0)  # a group meets itself both ways
                low, high = np.minimum(a, b)[once], np.maximum(a, b)[once]
                yield _Candidates(low, high, np.zeros(len(low), np.int8), distance[once])

    return candidates


def _turned(phash: NDArray[np.uint64], fresh: NDArray[np.bool_], orientation: int, radius: int) -> _Search:
    new = np.flatnonzero(fresh)
    queries = _Groups(turned_hashes(phash[new], orientation), new)
    join = _matching(queries, _Groups(phash, np.arange(len(phash))), radius)

    def candidates() -> Iterator[_Candidates]:
        for b, a, distance in join.rows():
            once = (a < b) | ((a > b) & ~fresh[a])  # of two fresh ones, each is found from the other as well
            a, b, distance = a[once], b[once], distance[once]
            turn = np.where(a < b, orientation, inverse(orientation)).astype(np.int8)
            yield _Candidates(np.minimum(a, b), np.maximum(a, b), turn, distance)

    return candidates


def _overlapping(
    phash: NDArray[np.uint64], fresh: NDArray[np.bool_], descriptors: Descriptors, nearness: Nearness
) -> Iterator[NearPairs]:
    numbers = descriptors(np.arange(len(phash)))
    whole = _Seen(phash, np.ones(len(phash), np.bool_))
    for overlap in OVERLAPS:
        views = [view for view in overlap if view != FULL]  # two at a time: all would be more than the descriptors
        seen = [_Seen(*part) for part in zip(*view_hashes(numbers, views), strict=True)]
        search = _meeting(seen[0], seen[1] if len(views) > 1 else whole, fresh, nearness.radius)
        yield _confirmed(search, len(phash), lambda rows: numbers[rows], overlap, nearness)


def _meeting(a: _Seen, b: _Seen, fresh: NDArray[np.bool_], radius: int) -> _Search:
    """Find the pictures whose one view is like another's other view; which is a, which b, tells how they overlap."""
    joins = [_matching(_Groups.of(a, fresh), _Groups.of(b, np.ones_like(fresh)), radius)]
    if not fresh.all():
        joins.append(_matching(_Groups.of(a, ~fresh), _Groups.of(b, fresh), radius))

    def candidates() -> Iterator[_Candidates]:
        for join in joins:
            for one, other, distance in join.rows():
                apart = one != other
                turn = np.zeros(int(apart.sum()), np.int8)
                yield _Candidates(one[apart], other[apart], turn, distance[apart])

    return candidates


def _confirmed(
    search: _Search, pictures: int, descriptors: Descriptors, overlap: Overlap, nearness: Nearness
) -> NearPairs:
    """Return those candidates that are alike once they are laid over each other."""
    named = np.zeros(pictures, np.bool_)
    for found in search():  # twice, so that only the descriptors are held, and not the candidates
        named[found.a] = named[found.b] = True
    compared = np.flatnonzero(named)
    numbers = descriptors(compared)
    kept, pairs_kept = [NO_PAIRS], 0
    asked = np.float32(max(nearness.min_similarity, PART_SIMILARITY if overlap != _SAME_GROUND else 0))
    structure = structure_of(numbers)
    of_picture = np.where(structure < RICH, max(asked, POOR_SIMILARITY), asked)
    for found in search():
        a, b = np.searchsorted(compared, found.a), np.searchsorted(compared, found.b)
        enough = np.maximum(structure[a], structure[b]) >= ENOUGH_STRUCTURE
        found, a, b = found.only(enough), a[enough], b[enough]
        least = np.maximum(of_picture[a], of_picture[b])
        similarity = similarities(numbers, Registrations(a, b, found.orientation), overlap, least)
        near = similarity >= least
        a, b = found.a[near], found.b[near]
        kept.append(NearPairs(np.minimum(a, b), np.maximum(a, b), found.distance[near], similarity[near]))
        pairs_kept += len(a)
        if pairs_kept > MAX_NEAR_PAIRS:
            raise TooManyPairs(
                f"more than {MAX_NEAR_PAIRS:,} pairs of near-duplicates: thousands of pictures are all alike; "
                "raise deduplication.near.min_similarity, or reject them by validation (image_nodata, image_blank)"
            )
    return NearPairs(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))


def _each_once(found: list[NearPairs]) -> NearPairs:
    a, b, distance, similarity = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-similarity, distance, b, a))
    a, b, distance, similarity = (part[order] for part in (a, b, distance, similarity))
    first = np.concatenate([[True], (a[1:] != a[:-1]) | (b[1:] != b[:-1])]) if len(a) else np.zeros(0, np.bool_)
    return NearPairs(a[first], b[first], distance[first], similarity[first])

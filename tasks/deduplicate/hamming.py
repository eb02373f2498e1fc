"""Kernel: the pairs of 64-bit hashes within a Hamming radius; exact, and near linear where few are alike.

By the pigeonhole principle: cut the 64 bits in bands, and share out radius + 1 - bands errors among them as budgets.
Two hashes within the radius then differ by no more than its budget in one band at least. So each band sorts the hashes
into buckets by its bits, and compares each bucket with those that differ from it within the budget, 64 bits at a time.
Of the bands that find a pair the first reports it, so that nothing has to be remembered.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import combinations
from math import comb
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import CurationError
from tasks.spill import kept_in_room, room

MAX_RADIUS = 16
"""Largest radius [bits]."""

MAX_PAIRS = 2**27
"""Most pairs that a search returns: they and what it takes to sort them are some 2 GiB."""

_WIDEST_KEY = 24  # bits of a bucket's number: 64 MiB say where each begins
_HEAVY = 2**11  # hashes of a bucket from which it is worth searching by other bits than the bucket's
_TILE = 2**13  # hashes, 64 KiB: two tiles stay in a core's second-level cache
_PIECE = 2**20  # hashes that are looked at together where an array of all would be too much
_SAMPLE = 2**14  # hashes that tell how the bits depend on each other

# What the plan weighs, measured on one core of an AMD EPYC (Zen 3): only the ratios count
_PROBE_NS = 4.5  # an item and an error: to look up the bucket
_COMPARISON_NS = 0.6  # to compare with one hash of the bucket
_SORT_NS = 30  # to sort a hash into its bucket
_BUCKET_NS = 4  # to set up a bucket


class TooManyPairs(CurationError):
    """More pairs lie within the radius than fit in memory, or than anyone would call duplicates."""


class HammingPairs(NamedTuple):
    """Pairs of positions in an array of hashes; each of shape (pairs,), ``a < b``, in ascending order of (a, b)."""

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    distance: NDArray[np.int8]  # [bits], from 1


class HammingMatches(NamedTuple):
    """Positions of queries and of hashes near them; each of shape (matches,), in ascending order of (query, hash)."""

    query: NDArray[np.int32]
    hash: NDArray[np.int32]
    distance: NDArray[np.int8]  # [bits], from 0


def hamming_pairs(hashes: NDArray[np.uint64], radius: int, *, threads: int | None = None) -> HammingPairs:
    """Return every pair of ``hashes`` that differ in at most ``radius`` bits.

    Args:
        hashes: shape (n,), dtype uint64, ascending, none twice.
        radius: largest distance [bits], 0 to MAX_RADIUS.
        threads: how many to use; by default one for each core. The pairs do not depend on it.

    Raises:
        ValueError: the hashes are not as described, or the radius is out of bounds.
        TooManyPairs: more than MAX_PAIRS lie within the radius.

    >>> hamming_pairs(np.array([0, 1, 7], np.uint64), 1)
    HammingPairs(a=array([0], dtype=int32), b=array([1], dtype=int32), distance=array([1], dtype=int8))
    """
    return HammingPairs(*_near(None, hashes, radius, threads))


def hamming_matches(
    queries: NDArray[np.uint64], hashes: NDArray[np.uint64], radius: int, *, threads: int | None = None
) -> HammingMatches:
    """Return, for every query, all ``hashes`` that differ from it in at most ``radius`` bits.

    Args:
        queries: shape (m,), dtype uint64, in any order; one that comes twice is answered twice.
        hashes: shape (n,), dtype uint64, ascending, none twice.
        radius: largest distance [bits], 0 to MAX_RADIUS.
        threads: how many to use; by default one for each core. The matches do not depend on it.

    Raises:
        ValueError: an array is not as described, or the radius is out of bounds.
        TooManyPairs: more than MAX_PAIRS matches lie within the radius.

    >>> hamming_matches(np.array([6], np.uint64), np.array([0, 1, 7], np.uint64), 1)
    HammingMatches(query=array([0], dtype=int32), hash=array([2], dtype=int32), distance=array([1], dtype=int8))
    """
    return HammingMatches(*_near(queries, hashes, radius, threads))


def _near(
    queries: NDArray[np.uint64] | None, hashes: NDArray[np.uint64], radius: int, threads: int | None
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Check the arguments and search; without queries, the hashes are compared with each other."""
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius: {radius} bits, expected 0 to {MAX_RADIUS}")
    for name, array in (("hashes", hashes), ("queries", hashes if queries is None else queries)):
        if array.dtype != np.uint64 or array.ndim != 1 or len(array) >= 2**31:
            raise ValueError(f"{name}: {array.dtype} of shape {array.shape}, expected uint64 of shape (n,), n < 2**31")
    disordered = hashes[1:] <= hashes[:-1]
    if disordered.any():
        raise ValueError(f"hashes: not ascending, or not distinct, at position {disordered.argmax() + 1}")
    hashes = np.ascontiguousarray(hashes)
    sides = (hashes if queries is None else np.ascontiguousarray(queries), hashes)
    from tasks.deduplicate import _join  # not above: see there

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        pairs = _search(pool, *sides, queries is None, radius)
    pairs.sort()
    return _join.unpack(pairs, *sides)


class _Band(NamedTuple):
    """A range of bits, by whose lowest ones the hashes are sorted into buckets."""

    shift: int  # its lowest bit
    width: int  # [bits]
    key: int  # bits of a bucket's number
    budget: int  # differing bits within which buckets are compared


_Sorted = tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint32]]
"""Hashes by buckets, with zeros behind them; the position of each; and where each bucket begins."""


class _Found:
    """The pairs that some threads have found, until they are too many."""

    def __init__(self, radius: int):
        self._radius = radius
        self._parts = [np.empty(0, np.uint64)]
        self._count = 0
        self._lock = Lock()

    def take(self, join: Callable[[int, int], NDArray[np.uint64]], tile: int) -> None:
        """Take in what ``join`` finds in a tile."""
        self.add(join(tile, max(0, MAX_PAIRS - self._count)))

    def add(self, part: NDArray[np.uint64]) -> None:
        """Take in some more."""
        with self._lock:
            self._count += len(part)
            if self._count > MAX_PAIRS:
                raise TooManyPairs(
                    f"more than {MAX_PAIRS:,} pairs of perceptual hashes lie within {self._radius} bits of each other: "
                    "choose a smaller radius (deduplication.near.radius_bits)"
                )
            self._parts.append(part)

    def whole(self) -> NDArray[np.uint64]:
        """Return all of them."""
        return np.concatenate(self._parts)


def _search(
    pool: ThreadPoolExecutor, a: NDArray[np.uint64], b: NDArray[np.uint64], same: bool, radius: int
) -> NDArray[np.uint64]:
    """Return ``position in a << 32 | position in b`` of all pairs within the radius, in no particular order."""
    from tasks.deduplicate import _join

    found = _Found(radius)
    if not len(a) or not len(b):
        return found.whole()
    bands = _plan(len(a) // 2 if same else len(a), len(b), radius)
    table = _arrangement(b if len(b) > len(a) else a, bands)
    moved_a = kept_in_room(_join.permute(a, table))
    moved_b = moved_a if same else kept_in_room(_join.permute(b, table))

    def sort(band: _Band) -> tuple[Future[_Sorted], Future[_Sorted]]:
        side_a = pool.submit(_sorted, moved_a, band)
        return side_a, side_a if same else pool.submit(_sorted, moved_b, band)

    ahead = sort(bands[0])
    shifts = np.array([band.shift for band in bands], np.uint64)
    masks = np.array([(1 << band.key) - 1 for band in bands], np.uint64)
    budgets = np.array([band.budget for band in bands], np.uint64)
    for number, band in enumerate(bands):
        side_a, side_b = (side.result() for side in ahead)
        if number + 1 < len(bands):
            ahead = sort(bands[number + 1])  # while this band is searched, and no sooner: a band is 12 bytes a hash
        heavy = len(a) + len(b)  # no bucket is
        crowd_a = _crowd(moved_a, side_a[2], band)
        crowd_b = crowd_a if same else _crowd(moved_b, side_b[2], band)
        if 0 < 4 * len(crowd_a) * len(crowd_b) <= len(a) * len(b):  # else that search were like this one
            heavy = _HEAVY
            pairs = _search(pool, a[crowd_a], b[crowd_b], same, radius)
            i, j = crowd_a[pairs >> np.uint64(32)], crowd_b[pairs & np.uint64(2**32 - 1)]
            differing = moved_a[i] ^ moved_b[j]
            first = np.bitwise_count(differing >> shifts[number] & masks[number]) <= budgets[number]
            for k in range(number):
                first &= np.bitwise_count(differing >> shifts[k] & masks[k]) > budgets[k]
            found.add((i[first].astype(np.uint64) << np.uint64(32)) | j[first].astype(np.uint64))
        low_bits = min(band.key, max(0, ((_TILE << band.key) // max(len(a), len(b))).bit_length() - 1))
        low, low_weights = _errors(low_bits, band.budget)
        high, high_weights = _errors(band.key - low_bits, band.budget)
        low_counts = np.searchsorted(low_weights, band.budget - high_weights, side="right")
        join = partial(_join.join_tile, *side_a, *side_b, same, radius, number, shifts, masks, budgets)
        join = partial(join, low_bits, high, low, low_counts, heavy)
        for _ in pool.map(partial(found.take, join), range(1 << (band.key - low_bits))):
            pass  # raises what a thread has raised
    return found.whole()


def _sorted(moved: NDArray[np.uint64], band: _Band) -> _Sorted:
    from tasks.deduplicate import _join

    items, positions = room(len(moved) + _join.WINDOW, np.uint64), room(len(moved), np.uint32)
    return items, positions, _join.bucket_sort(moved, band.shift, band.key, items, positions)


def _crowd(moved: NDArray[np.uint64], begin: NDArray[np.uint32], band: _Band) -> NDArray[np.int64]:
    """Return the positions of the hashes that lie in heavy buckets, ascending."""
    heavy = np.diff(begin) > _HEAVY
    if not heavy.any():
        return np.empty(0, np.int64)
    shift, mask = np.uint64(band.shift), np.uint64((1 << band.key) - 1)
    pieces = range(0, len(moved), _PIECE)
    return np.concatenate([at + np.flatnonzero(heavy[moved[at : at + _PIECE] >> shift & mask]) for at in pieces])


def _errors(width: int, most: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the words of ``width`` bits of which at most ``most`` are set, fewest first, and their numbers of bits."""
    words = [sum(1 << bit for bit in bits) for weight in range(most + 1) for bits in combinations(range(width), weight)]
    return np.array(words, np.uint64), np.bitwise_count(np.array(words, np.uint64)).astype(np.int64)


def _plan(queries: int, hashes: int, radius: int) -> list[_Band]:
    """Return the bands with which to expect the fastest search; one with an empty key compares all with all."""

    def cost_ns(band: _Band) -> float:
        probes = queries * sum(comb(band.key, errors) for errors in range(band.budget + 1))
        compared = probes * hashes / float(1 << band.key)
        prepared = (queries + hashes) * _SORT_NS + (1 << band.key) * _BUCKET_NS
        return probes * _PROBE_NS + compared * _COMPARISON_NS + prepared

    plans = []
    for count in range(1, radius + 2):
        bands, shift = [], 64
        for number in range(count):
            width = 64 // count + (number < 64 % count)
            budget = (radius + 1) // count + (number < (radius + 1) % count) - 1
            shift -= width
            keys = (_Band(shift, width, key, budget) for key in range(min(width, _WIDEST_KEY) + 1))
            bands.append(min(keys, key=cost_ns))
        plans.append(bands)
    return min(plans, key=lambda bands: sum(map(cost_ns, bands)))


def _arrangement(hashes: NDArray[np.uint64], bands: Sequence[_Band]) -> NDArray[np.uint64]:
    """Return how to move the bits so that the buckets are even, as :func:`_join.permute` takes it: shape (8, 256).

    A bit that is mostly the same, or that goes with others, tells hashes apart the less, and makes big buckets. So such
    bits are spread over the bands, and within a band kept out of the key where there is room. A distance is the same
    however the bits are arranged.
    """
    sample = hashes[:: -(-len(hashes) // _SAMPLE)]
    bits = (sample[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.float64)
    both = bits.T @ bits / len(bits)
    one = both.diagonal()
    only_first, only_second = one[:, None] - both, one[None, :] - both
    equal = both**2 + only_first**2 + only_second**2 + (1 - both - only_first - only_second) ** 2
    alone = one**2 + (1 - one) ** 2  # how likely two hashes are to have the same bit; equal: the same two bits
    excess = np.log2(equal / (alone[:, None] * alone[None, :]))
    loss = 1 + np.log2(alone)
    table = np.zeros((8, 256), np.uint64)
    value = np.arange(256, dtype=np.uint64)
    members: list[list[int]] = [[] for _ in bands]
    lost = [0.0 for _ in bands]
    np.fill_diagonal(excess, 0)
    for bit in np.argsort(-(loss + excess.sum(axis=1)), kind="stable").tolist():
        more = [float(loss[bit] + excess[bit, taken].sum()) for taken in members]
        open_bands = [n for n, band in enumerate(bands) if len(members[n]) < band.width]
        n = min(open_bands, key=lambda n: lost[n] + more[n])
        target = bands[n].shift + bands[n].width - 1 - len(members[n])
        if len(members[n]) >= bands[n].width - bands[n].key:
            lost[n] += more[n]
        members[n].append(bit)
        table[bit // 8] |= (value >> np.uint64(bit % 8) & np.uint64(1)) << np.uint64(target)
    return table

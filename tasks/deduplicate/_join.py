"""Compiled loops of the Hamming search. Importing this imports Numba, for half a second: do it where it is needed."""

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled

WINDOW = 8
"""Hashes after a bucket's first that are always read: a fixed number spares a mispredicted branch for each bucket."""


@compiled
def _ones(x: np.uint64) -> np.uint64:
    """Return the number of set bits; LLVM knows this form, and makes it one instruction."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def permute(hashes: NDArray[np.uint64], table: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the hashes with their bits moved; ``table``, (8, 256), says where the bits of each byte go."""
    moved = np.empty(len(hashes), np.uint64)
    for i in range(len(hashes)):
        h, m = hashes[i], np.uint64(0)
        for byte in range(8):
            m |= table[byte, (h >> np.uint64(8 * byte)) & np.uint64(255)]
        moved[i] = m
    return moved


@compiled
def unpack(
    pairs: NDArray[np.uint64], a_hashes: NDArray[np.uint64], b_hashes: NDArray[np.uint64]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Return the columns of pairs ``a << 32 | b``: a, b, and the distance of their hashes [bits]."""
    a, b = np.empty(len(pairs), np.int32), np.empty(len(pairs), np.int32)
    distance = np.empty(len(pairs), np.int8)
    for i in range(len(pairs)):
        one, two = pairs[i] >> np.uint64(32), pairs[i] & np.uint64(0xFFFFFFFF)
        a[i], b[i], distance[i] = one, two, _ones(a_hashes[one] ^ b_hashes[two])
    return a, b, distance


@compiled
def bucket_sort(
    hashes: NDArray[np.uint64], shift: int, width: int, items: NDArray[np.uint64], positions: NDArray[np.uint32]
) -> NDArray[np.uint32]:
    """Sort by the ``width`` bits from bit ``shift``, stably, in one counting pass.

    Args:
        hashes: shape (n,).
        shift, width: the bits.
        items: shape (n + WINDOW,), zeros: the hashes in that order.
        positions: shape (n,): the position of each in ``hashes``.

    Returns:
        Where each bucket begins, shape (2**width + 1,).
    """
    first, key_mask = np.uint64(shift), np.uint64((1 << width) - 1)
    begin = np.zeros((1 << width) + 2, np.uint32)  # begin[v + 1] runs through bucket v, and ends as v + 1's begin
    for h in hashes:
        begin[((h >> first) & key_mask) + np.uint64(2)] += np.uint32(1)
    for v in range(2, len(begin)):
        begin[v] += begin[v - 1]
    for i in range(len(hashes)):
        key = ((hashes[i] >> first) & key_mask) + np.uint64(1)
        to = begin[key]
        items[to] = hashes[i]
        positions[to] = i
        begin[key] = to + np.uint32(1)
    return begin[:-1]


@compiled
def _top_bit(x: np.uint64) -> np.uint64:
    top = np.uint64(1)
    while x > np.uint64(1):
        x >>= np.uint64(1)
        top <<= np.uint64(1)
    return top


@compiled
def _scan(
    items: NDArray[np.uint64],
    begin: NDArray[np.uint32],
    others: NDArray[np.uint64],
    others_begin: NDArray[np.uint32],
    shift: np.uint64,
    key_mask: np.uint64,
    error: np.uint64,
    skipped: np.uint64,
    near: np.uint64,
    heavy: np.uint64,
    hits: NDArray[np.uint32],
) -> np.uint64:
    """Write to ``hits`` which of ``items`` may have a near one in the bucket ``error`` away; return how many.

    This is where the time goes: no branch that is hard to foretell, and few enough variables for the registers.
    Items with a bit of ``skipped`` in their key are left out. What lies behind a bucket's end is read as well, and may
    be a hit for nothing.
    """
    count = np.uint64(0)
    for i in range(len(items)):
        item = items[i]
        key = (item >> shift) & key_mask
        if key & skipped:
            continue
        first = np.uint64(others_begin[key ^ error])
        last = np.uint64(others_begin[(key ^ error) + np.uint64(1)])
        d0 = min(_ones(item ^ others[first]), _ones(item ^ others[first + np.uint64(1)]))
        d1 = min(_ones(item ^ others[first + np.uint64(2)]), _ones(item ^ others[first + np.uint64(3)]))
        d2 = min(_ones(item ^ others[first + np.uint64(4)]), _ones(item ^ others[first + np.uint64(5)]))
        d3 = min(_ones(item ^ others[first + np.uint64(6)]), _ones(item ^ others[first + np.uint64(7)]))
        least = min(min(d0, d1), min(d2, d3))
        if last > first + np.uint64(WINDOW):
            if last - first > heavy and np.uint64(begin[key + np.uint64(1)] - begin[key]) > heavy:
                continue
            for j in range(first + np.uint64(WINDOW), last):
                least = min(least, _ones(item ^ others[j]))
        hits[count] = i
        count += np.uint64(least <= near)
    return count


@compiled
def join_tile(
    a_items: NDArray[np.uint64],
    a_positions: NDArray[np.uint32],
    a_begin: NDArray[np.uint32],
    b_items: NDArray[np.uint64],
    b_positions: NDArray[np.uint32],
    b_begin: NDArray[np.uint32],
    same: bool,
    radius: int,
    band: int,
    shifts: NDArray[np.uint64],
    key_masks: NDArray[np.uint64],
    budgets: NDArray[np.uint64],
    tile_bits: int,
    high_errors: NDArray[np.uint64],
    low_errors: NDArray[np.uint64],
    low_counts: NDArray[np.int64],
    heavy: int,
    tile: int,
    limit: int,
) -> NDArray[np.uint64]:
    """Find the pairs of an item in ``tile`` on side a and any item on side b whose keys differ within the budget.

    A tile is 2**tile_bits neighbouring buckets, so that two of them stay in cache while all low errors are gone
    through. Of the low errors, by rising weight, the first ``low_counts[n]`` go with the n-th high one.

    Returns:
        ``a << 32 | b`` of each pair, in no particular order, and no more than ``limit`` + 1 of them. Where both sides
        are the ``same``, a < b. Pairs that an earlier band finds are left out, and those of two heavy buckets.
    """
    shift, key_mask = shifts[band], key_masks[band]
    near, most = np.uint64(radius), np.uint64(heavy)
    low_bits, nothing = np.uint64(tile_bits), np.uint64(0)
    found = np.empty(256, np.uint64)
    count = 0
    a_first = np.int64(a_begin[tile << tile_bits])
    items = a_items[a_first : np.int64(a_begin[(tile + 1) << tile_bits])]
    hits = np.empty(len(items) + 1, np.uint32)
    for m in range(len(high_errors)):
        other = np.uint64(tile) ^ high_errors[m]
        if len(items) == 0 or (same and other < np.uint64(tile)):
            continue
        within = same and other == np.uint64(tile)
        if b_begin[other << low_bits] == b_begin[(other + np.uint64(1)) << low_bits]:
            continue
        for n in range(low_counts[m]):
            error = high_errors[m] << low_bits | low_errors[n]
            inside = within and error == nothing  # pairs of one bucket: each item with those behind it
            if inside:
                hit_count = np.uint64(len(items))
            else:
                skipped = _top_bit(error) if within else nothing  # else each pair of buckets would come twice
                hit_count = _scan(items, a_begin, b_items, b_begin, shift, key_mask, error, skipped, near, most, hits)
            for h in range(hit_count):
                i = np.int64(h) if inside else np.int64(hits[h])
                item = items[i]
                bucket = ((item >> shift) & key_mask) ^ error
                first = np.uint64(b_begin[bucket])
                last = np.uint64(b_begin[bucket + np.uint64(1)])
                if inside:
                    if last - first > most:
                        continue
                    first = np.uint64(a_first + i + 1)
                for j in range(first, last):
                    differing = item ^ b_items[j]
                    if _ones(differing) > near:
                        continue
                    earlier = False
                    for k in range(band):
                        earlier |= _ones((differing >> shifts[k]) & key_masks[k]) <= budgets[k]
                    if earlier:
                        continue
                    if count == len(found):
                        grown = np.empty(2 * count, np.uint64)
                        grown[:count] = found
                        found = grown
                    one, two = np.uint64(a_positions[a_first + i]), np.uint64(b_positions[j])
                    if same and one > two:
                        one, two = two, one
                    found[count] = (one << np.uint64(32)) | two
                    count += 1
                    if count > limit:
                        return found[:count].copy()
    return found[:count].copy()

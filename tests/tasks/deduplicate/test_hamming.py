import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.deduplicate import hamming
from tasks.deduplicate.hamming import MAX_RADIUS, TooManyPairs, hamming_matches, hamming_pairs

WORDS = st.integers(0, 2**64 - 1)
FEW_BITS = st.builds(lambda *bits: sum({1 << bit for bit in bits}), *[st.integers(0, 63)] * 3)


def brute_force(queries: NDArray[np.uint64], hashes: NDArray[np.uint64], radius: int) -> list[NDArray[np.int64]]:
    """All with all: query, hash and distance, in ascending order."""
    found = []
    for begin in range(0, len(queries), 1024):
        distance = np.bitwise_count(queries[begin : begin + 1024, None] ^ hashes[None, :])
        query, hash_ = np.nonzero(distance <= radius)
        found.append(np.stack([query + begin, hash_, distance[query, hash_]]))
    return list(np.concatenate([np.zeros((3, 0), np.int64), *found], axis=1))


def check(hashes: NDArray[np.uint64], radius: int, queries: NDArray[np.uint64] | None = None) -> int:
    """Compare with brute force; return how many pairs there are."""
    a, b, distance = brute_force(hashes, hashes, radius)
    for column, expected in zip(hamming_pairs(hashes, radius), (a[a < b], b[a < b], distance[a < b]), strict=True):
        np.testing.assert_array_equal(column, expected)
    if queries is not None:
        expected_matches = brute_force(queries, hashes, radius)
        for column, expected in zip(hamming_matches(queries, hashes, radius), expected_matches, strict=True):
            np.testing.assert_array_equal(column, expected)
    return int((a < b).sum())


def flipped(hashes: NDArray[np.uint64], bits: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.uint64]:
    """Flip so many different bits of each hash."""
    places = rng.permuted(np.broadcast_to(np.arange(64, dtype=np.uint64), (len(hashes), 64)), axis=1)
    chosen = np.where(np.arange(64) < bits[:, None], np.uint64(1) << places, np.uint64(0))
    return np.asarray(hashes ^ np.bitwise_or.reduce(chosen, axis=1), np.uint64)


def planted(rows: int, rng: np.random.Generator, most: int) -> NDArray[np.uint64]:
    """Distinct random hashes, a tenth of them 1 to ``most`` bits from another one."""
    hashes = rng.integers(0, 2**64, rows, np.uint64)
    tenth = rows // 10
    hashes[:tenth] = flipped(hashes[-tenth:], rng.integers(1, most + 1, tenth), rng)
    return np.unique(hashes)


@settings(deadline=None)  # the first call loads Numba
@given(st.lists(WORDS | FEW_BITS, max_size=40), st.lists(WORDS | FEW_BITS, max_size=10), st.integers(0, MAX_RADIUS))
@example([], [], 0)
@example([0, 2**64 - 1], [0, 0], 16)
def test_exactly_those_within_the_radius_are_found(hashes: list[int], queries: list[int], radius: int) -> None:
    check(np.unique(np.array(hashes, np.uint64)), radius, np.array(queries + hashes[:20], np.uint64))


@pytest.mark.parametrize("radius", range(MAX_RADIUS + 1))
def test_exact_for_every_radius(radius: int) -> None:
    rng = np.random.default_rng(radius)
    hashes = planted(3000, rng, most=18)
    queries = np.concatenate([rng.permutation(hashes)[:500], flipped(hashes[:500], np.full(500, radius), rng)])
    assert check(hashes, radius, queries) >= 10 * radius


@pytest.mark.parametrize("bands", range(1, 10))
@pytest.mark.parametrize("heavy", [8, 2**40])
def test_exact_whatever_the_bands_and_the_tiles(monkeypatch: pytest.MonkeyPatch, bands: int, heavy: int) -> None:
    def plan(*_: int) -> list[hamming._Band]:
        widths = [64 // bands + (number < 64 % bands) for number in range(bands)]
        budgets = [9 // bands + (number < 9 % bands) - 1 for number in range(bands)]
        shifts = [64 - sum(widths[: number + 1]) for number in range(bands)]
        return [hamming._Band(s, w, min(w, 9), b) for s, w, b in zip(shifts, widths, budgets, strict=True)]

    monkeypatch.setattr(hamming, "_plan", plan)
    monkeypatch.setattr(hamming, "_HEAVY", heavy)
    monkeypatch.setattr(hamming, "_TILE", 64)
    rng = np.random.default_rng(bands)
    check(planted(1000, rng, most=9), 8, rng.integers(0, 2**64, 100, np.uint64))
    crowded = np.unique(rng.integers(0, 2**12, 400).astype(np.uint64) * np.uint64(0x0001000100010001))
    assert check(crowded, 8, crowded[::-2] ^ np.uint64(5)) > 1000


@pytest.mark.slow
def test_exact_in_fifty_thousand() -> None:
    hashes = planted(50_000, np.random.default_rng(0), most=8)
    assert check(hashes, 8) >= 4_990


@pytest.mark.parametrize("constant_bits", [22, 40])
def test_exact_where_half_of_the_hashes_share_many_bits(monkeypatch: pytest.MonkeyPatch, constant_bits: int) -> None:
    rng = np.random.default_rng(2)
    hashes = planted(20_000, rng, most=8)
    hashes[::2] = flipped(hashes, np.full(len(hashes), 4), rng)[::2] & np.uint64(2 ** (64 - constant_bits) - 1)
    monkeypatch.setattr(hamming, "_HEAVY", 64)
    check(np.unique(hashes), 4)


def test_a_mass_of_similar_hashes_is_searched_by_other_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    hashes = planted(10_000, rng, most=8)
    hashes[:4000] = hashes[:4000] >> np.uint64(30) | rng.integers(0, 3, 4000, np.uint64) << np.uint64(40)
    hashes = np.unique(hashes)
    searched = []
    search = hamming._search

    def recorded(pool: object, a: NDArray[np.uint64], *rest: object) -> NDArray[np.uint64]:
        searched.append(len(a))
        return search(pool, a, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(hamming, "_search", recorded)
    monkeypatch.setattr(hamming, "_HEAVY", 12)
    check(hashes, 6)
    assert len(searched) > 1
    assert searched[0] == len(hashes)
    assert max(searched[1:]) <= len(hashes) / 2


def test_the_order_does_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(4)
    hashes = planted(30_000, rng, most=10)
    queries = rng.permutation(hashes)
    pairs = [hamming_pairs(hashes, 10, threads=threads) for threads in (1, 2, 5)]
    matches = [hamming_matches(queries, hashes, 10, threads=threads) for threads in (1, 2, 5)]
    for one, other in (*pairwise(pairs), *pairwise(matches)):
        for column, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(column, expected)
    assert len(pairs[0].a) > 2900
    assert np.all(np.diff(pairs[0].a.astype(np.int64) << 32 | pairs[0].b) > 0)


def test_dtypes_are_the_same_with_and_without_pairs() -> None:
    some = np.array([0, 1, 2**63], np.uint64)
    for radius in (0, 1):
        assert [column.dtype for column in hamming_pairs(some, radius)] == [np.int32, np.int32, np.int8]
        assert [column.dtype for column in hamming_matches(some, some, radius)] == [np.int32, np.int32, np.int8]
    assert len(hamming_matches(some[:0], some, 1).query) == len(hamming_matches(some, some[:0], 1).query) == 0


def test_hashes_need_not_be_contiguous_or_writable() -> None:
    hashes = np.arange(40, dtype=np.uint64)
    hashes.flags.writeable = False
    assert len(hamming_pairs(hashes[::2], 1).a) == check(np.arange(0, 40, 2).astype(np.uint64), 1)
    assert len(hamming_matches(hashes[::-3], hashes[::2], 0).query) == 7


@pytest.mark.parametrize("radius", [-1, 17])
def test_a_radius_out_of_bounds_is_refused(radius: int) -> None:
    with pytest.raises(ValueError, match=f"radius: {radius} bits, expected 0 to 16"):
        hamming_pairs(np.arange(3, dtype=np.uint64), radius)


@pytest.mark.parametrize(
    ("hashes", "message"),
    [
        (np.array([1, 2, 2], np.uint64), "hashes: not ascending, or not distinct, at position 2"),
        (np.array([3, 2], np.uint64), "hashes: not ascending, or not distinct, at position 1"),
        (np.array([1, 2], np.int64), "hashes: int64 of shape (2,)"),
        (np.zeros((2, 2), np.uint64), "hashes: uint64 of shape (2, 2)"),
    ],
)
def test_other_than_ascending_distinct_hashes_are_refused(hashes: NDArray[np.uint64], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        hamming_pairs(hashes, 1)
    with pytest.raises(ValueError, match=re.escape(message)):
        hamming_matches(np.zeros(1, np.uint64), hashes, 1)


def test_too_many_pairs_are_an_error_that_says_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.arange(256, dtype=np.uint64)  # 1,024 pairs differ in one bit, 256 * 8 / 2
    monkeypatch.setattr(hamming, "MAX_PAIRS", 1024)
    assert len(hamming_pairs(hashes, 1).a) == 1024
    monkeypatch.setattr(hamming, "MAX_PAIRS", 1023)
    with pytest.raises(TooManyPairs, match=r"more than 1,023 pairs .* within 1 bit.*smaller radius"):
        hamming_pairs(hashes, 1)
    with pytest.raises(TooManyPairs, match="smaller radius"):
        hamming_matches(hashes, hashes, 1)


@pytest.mark.slow
def test_it_works_where_no_folder_for_compiled_code_can_be_written() -> None:
    command = (
        "import numba.core.caching as caching\n"
        "for locator in caching.CacheImpl._locator_classes: locator.from_function = classmethod(lambda *_: None)\n"
        "import numpy as np\n"
        "from tasks.deduplicate.hamming import hamming_pairs\n"
        "print(len(hamming_pairs(np.arange(4, dtype=np.uint64), 1).a))"
    )
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert told.stdout == "4\n"


def test_the_import_does_not_import_numba() -> None:
    command = "import sys, tasks.deduplicate.hamming; print('numba' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.deduplicate import hamming
from tasks.deduplicate.hamming import hamming_pairs


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.builds(lambda bit: 1 << bit, st.integers(0, 63)), unique=True, max_size=40),
    st.integers(0, 16),
)
def test_exactly_the_pairs_within_the_radius_are_found(hashes: list[int], radius: int) -> None:
    expected = [
        (a, b, (hashes[a] ^ hashes[b]).bit_count())
        for a in range(len(hashes))
        for b in range(a + 1, len(hashes))
        if (hashes[a] ^ hashes[b]).bit_count() <= radius
    ]
    pairs = hamming_pairs(np.array(hashes, np.uint64), radius)
    assert list(zip(*(column.tolist() for column in pairs), strict=True)) == expected


def test_pairs_across_blocks_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**10, 300).astype(np.uint64))
    whole = hamming_pairs(hashes, 2)
    monkeypatch.setattr(hamming, "_BLOCK", 16)
    for column, expected in zip(hamming_pairs(hashes, 2), whole, strict=True):
        np.testing.assert_array_equal(column, expected)
    assert len(whole.a) > 1000

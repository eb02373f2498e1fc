from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.deduplicate import buckets
from tasks.deduplicate.buckets import runs
from tasks.deduplicate.sharing import rows_that_share

Piece = tuple[NDArray[np.int64], NDArray[np.uint64]]


def pieces(values: list[int | None], size: int = 5) -> Iterator[Piece]:
    """Yield rows and their numbers; a row without one is left out."""
    for begin in range(0, len(values), size):
        here = [row for row in range(begin, min(begin + size, len(values))) if values[row] is not None]
        yield np.array(here, np.int64), np.array([values[row] for row in here], np.uint64)


@pytest.mark.parametrize("size", [2, 2**25])
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 9), st.integers(2**64 - 5, 2**64 - 1)), min_size=1, max_size=60),
    st.integers(1, 4),
    st.sets(st.integers(0, 9)),
)
def test_rows_are_told_whose_number_more_rows_have_or_is_asked_for(
    size: int, values: list[int | None], most: int, also: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "BUCKET_ROWS", size)
        asked = np.array(sorted(also), np.uint64)
        found = rows_that_share(lambda: pieces(values), len(values), most=most, also=asked)
    counts = Counter(value for value in values if value is not None)
    expected = [
        row for row, value in enumerate(values) if value is not None and (counts[value] > most or value in also)
    ]
    assert found.rows.tolist() == expected
    codes = defaultdict(set)
    for row, code in zip(found.rows.tolist(), found.code.tolist(), strict=True):
        codes[values[row]].add(code)
    assert all(len(code) == 1 for code in codes.values())
    assert len(set().union(*codes.values())) == len(codes)
    for value, code in zip(sorted(also), found.of_also.tolist(), strict=True):
        assert value not in counts or codes[value] == {code}


def test_buckets_come_in_order_and_hold_every_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 100)
    values = np.random.default_rng(0).integers(0, 2**64, 1_000, dtype=np.uint64)
    reads = 0

    def read() -> Iterator[Piece]:
        nonlocal reads
        reads += 1
        yield np.arange(1_000), values

    found = list(buckets.buckets(read, 1_000))
    assert len(found) == reads == 16
    assert max(len(bucket.rows) for bucket in found) < 100
    np.testing.assert_array_equal(np.sort(np.concatenate([bucket.rows for bucket in found])), np.arange(1_000))
    np.testing.assert_array_equal(np.concatenate([np.sort(bucket.values) for bucket in found]), np.sort(values))


def test_runs_of_nothing_are_none() -> None:
    assert runs(np.empty(0, np.uint64)).tolist() == [0]
    assert runs(np.array([4, 4, 4, 9], np.uint64)).tolist() == [0, 3, 4]

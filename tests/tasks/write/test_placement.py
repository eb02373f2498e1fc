import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.write.placement import cut


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 120))
def test_ranges_hold_every_row_once_and_close_when_full(sizes: list[int], limit: int) -> None:
    ranges = cut(np.array(sizes, np.int64), limit)
    assert [row for begin, end in ranges for row in range(begin, end)] == list(range(len(sizes)))
    for begin, end in ranges[:-1]:
        assert sum(sizes[begin:end]) >= limit > sum(sizes[begin : end - 1])

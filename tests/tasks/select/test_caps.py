from collections import defaultdict

import numpy as np
import pytest

from tasks.select.caps import first_of_each


@pytest.mark.parametrize("most", [1, 3, 40])
@pytest.mark.parametrize("values", [4, 10**6])
def test_of_each_group_those_with_the_least_chance_come_first_and_of_equal_ones_the_first(
    most: int, values: int
) -> None:
    rng = np.random.default_rng(most)
    group = rng.integers(0, 30, 800).astype(np.int32)
    chance = rng.integers(0, values, 800) / values
    members = defaultdict(list)
    for row in range(800):
        members[group[row]].append((chance[row], row))
    expected = {row for rows in members.values() for _, row in sorted(rows)[:most]}
    assert set(np.flatnonzero(first_of_each(group, chance, most)).tolist()) == expected
    assert len(expected) < 800 or most == 40


def test_no_rows_are_no_groups() -> None:
    assert len(first_of_each(np.empty(0, np.int32), np.empty(0), 2)) == 0

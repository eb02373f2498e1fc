import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.select.election import elect, priority

NOTHING = np.empty(0, np.int64)


def pairs_of(*pairs: tuple[int, int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int8]]:
    table = np.array(pairs, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].astype(np.int8)


def test_a_chain_is_not_merged_into_one() -> None:
    """0 - 1 - 2: the middle row is best, then the ends go; an end is best, then the other end stays."""
    nodes, chain = np.array([0, 1, 2]), pairs_of((0, 1, 3), (1, 2, 4))
    middle = elect(nodes, np.array([1, 0, 2]), *chain)
    assert middle.kept.tolist() == [False, True, False]
    assert middle.keeper.tolist() == [1, -1, 1]
    assert middle.distance.tolist() == [3, -1, 4]
    end = elect(nodes, np.array([0, 1, 2]), *chain)
    assert end.kept.tolist() == [True, False, True]
    assert end.keeper.tolist() == [-1, 0, -1]


def test_a_row_names_its_nearest_keeper_and_on_a_tie_the_better_one() -> None:
    nodes = np.array([0, 1, 2, 3])
    found = elect(nodes, np.array([2, 3, 0, 1]), *pairs_of((0, 2, 2), (0, 3, 1), (1, 2, 2), (1, 3, 2)))
    assert found.keeper.tolist() == [3, 2, -1, -1]


def test_rows_of_one_node_leave_one_and_rows_without_node_all_stay() -> None:
    found = elect(np.array([0, 0, -1, 0, -1]), np.array([3, 4, 2, 1, 0]), *pairs_of())
    assert found.kept.tolist() == [False, False, True, True, True]
    assert found.keeper.tolist() == [3, 3, -1, -1, -1]
    assert found.distance.tolist() == [0, 0, -1, -1, -1]


def test_a_row_that_is_no_candidate_costs_no_other_its_place_but_names_its_keeper() -> None:
    found = elect(np.array([0, 1, 1]), np.array([2]), *pairs_of((0, 1, 4)))
    assert found.kept.tolist() == [False, False, True]
    assert found.keeper.tolist() == [2, 2, -1]
    nobody = elect(np.array([0, 0]), NOTHING, *pairs_of())
    assert nobody.kept.tolist() == [False, False]
    assert nobody.keeper.tolist() == [-1, -1]


def test_priority_is_score_then_caption_then_row() -> None:
    score = np.array([np.nan, 2.0, 2.0, 3.0, 2.0, np.nan])
    words = np.array([50, 10, 20, 1, 20, 60], np.int32)
    assert priority(score, words).tolist() == [3, 2, 4, 1, 5, 0]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_election_is_the_greedy_one_row_by_row(data: st.DataObject) -> None:
    rows, nodes = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 8))
    node = data.draw(st.lists(st.integers(-1, nodes - 1), min_size=rows, max_size=rows))
    candidates = data.draw(st.lists(st.integers(0, rows - 1), unique=True))
    edges = data.draw(
        st.dictionaries(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)), st.integers(1, 9))
    )
    distance = {(min(a, b), max(a, b)): d for (a, b), d in edges.items() if a != b}
    node_count = max(node) + 1
    distance = {pair: d for pair, d in distance.items() if pair[1] < node_count}

    def apart(a: int, b: int) -> int | None:
        if node[a] < 0 or node[b] < 0:
            return None
        return 0 if node[a] == node[b] else distance.get((min(node[a], node[b]), max(node[a], node[b])))

    kept: list[int] = []
    for row in candidates:
        if all(apart(row, other) is None for other in kept):
            kept.append(row)
    found = elect(
        np.array(node), np.array(candidates, np.int64), *pairs_of(*((a, b, d) for (a, b), d in distance.items()))
    )
    assert np.flatnonzero(found.kept).tolist() == sorted(kept)
    for row in range(rows):
        near = [] if row in kept else [(d, rank, k) for rank, k in enumerate(kept) if (d := apart(row, k)) is not None]
        expected = (min(near)[2], min(near)[0]) if near else (-1, -1)
        assert (found.keeper[row], found.distance[row]) == expected

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.select.election import Electorate, Group, Near, Nested

NOBODY = np.empty(0, np.int64)


def near(nodes: list[int], *pairs: tuple[int, int, int]) -> Near:
    table = np.array(pairs, np.int64).reshape(-1, 3)
    similarity = np.full(len(table), 0.95, np.float32)
    return Near(ints(nodes), ints(table[:, 0]), ints(table[:, 1]), table[:, 2].astype(np.int8), similarity)


def ints(values: list[int] | NDArray[np.int64]) -> NDArray[np.int32]:
    return np.array(values, np.int32)


def test_a_chain_is_not_merged_into_one() -> None:
    """0 - 1 - 2: the middle row is best, then the ends go; an end is best, then the other end stays."""
    chain = near([0, 1, 2], (0, 1, 3), (1, 2, 4))
    middle = Electorate(3, nears=[chain]).elect(np.array([1, 0, 2]))
    assert middle.kept.tolist() == [False, True, False]
    assert middle.nears[0].keeper.tolist() == [1, -1, 1]
    assert middle.nears[0].distance.tolist() == [3, -1, 4]
    end = Electorate(3, nears=[chain]).elect(np.array([0, 1, 2]))
    assert end.kept.tolist() == [True, False, True]
    assert end.nears[0].keeper.tolist() == [-1, 0, -1]


def test_a_row_names_its_nearest_keeper_and_on_a_tie_the_better_one() -> None:
    found = Electorate(4, nears=[near([0, 1, 2, 3], (0, 2, 2), (0, 3, 1), (1, 2, 2), (1, 3, 2))]).elect(
        np.array([2, 3, 0, 1])
    )
    assert found.nears[0].keeper.tolist() == [3, 2, -1, -1]


def test_of_equally_distant_keepers_the_more_similar_one_is_named() -> None:
    pairs = near([0, 1, 2], (0, 2, 2), (1, 2, 2))._replace(similarity=np.array([0.91, 0.97], np.float32))
    assert Electorate(3, nears=[pairs]).elect(np.array([0, 1])).nears[0].keeper.tolist() == [-1, -1, 1]


def test_rows_of_one_node_leave_one_and_rows_without_node_all_stay() -> None:
    found = Electorate(5, nears=[near([0, 0, -1, 0, -1])]).elect(np.array([3, 4, 2, 1, 0]))
    assert found.kept.tolist() == [False, False, True, True, True]
    assert found.nears[0].keeper.tolist() == [3, 3, -1, -1, -1]
    assert found.nears[0].distance.tolist() == [0, 0, -1, -1, -1]
    assert found.nears[0].similarity.tolist() == [1, 1, 0, 0, 0]


def test_a_row_that_is_no_candidate_costs_no_other_its_place_but_names_its_keeper() -> None:
    found = Electorate(3, nears=[near([0, 1, 1], (0, 1, 4))]).elect(np.array([2]))
    assert found.kept.tolist() == [False, False, True]
    assert found.nears[0].keeper.tolist() == [2, 2, -1]
    nobody = Electorate(2, nears=[near([0, 0])]).elect(NOBODY)
    assert nobody.kept.tolist() == [False, False]
    assert nobody.nears[0].keeper.tolist() == [-1, -1]


def test_of_two_ways_of_being_alike_each_names_its_own_keeper() -> None:
    """Row 2 is like row 0 in the one way, like row 1 in the other; row 3 is like row 2 alone, which is not kept."""
    ways = [near([0, 1, 2, 3], (0, 2, 3)), near([-1, 0, 1, 2], (0, 1, 0), (1, 2, 0))]
    found = Electorate(4, nears=ways).elect(np.array([0, 1, 2, 3]))
    assert found.kept.tolist() == [True, True, False, True]
    assert [way.keeper.tolist() for way in found.nears] == [[-1, -1, 0, -1], [-1, -1, 1, -1]]


def test_of_a_group_as_many_are_kept_as_may_be_and_the_others_name_the_best() -> None:
    found = Electorate(5, groups=[Group(ints([0, 0, 0, -1, 0]), 2)]).elect(np.array([4, 1, 0, 2, 3]))
    assert found.kept.tolist() == [False, True, False, True, True]
    assert found.groups[0].tolist() == [4, -1, 4, -1, -1]


def test_a_group_that_is_not_full_makes_nobody_a_duplicate() -> None:
    found = Electorate(2, groups=[Group(ints([0, 0]), 2)]).elect(np.array([0]))
    assert found.groups[0].tolist() == [-1, -1]


def test_of_nested_tiles_the_first_stays_and_the_others_name_the_nearest() -> None:
    """Tile 0 holds 1, which holds 2; 3 lies beside them."""
    nested = Nested(ints([0, 1, 2, 3, -1]), ints([-1, 0, 1, -1]))
    finest = Electorate(5, nested=nested).elect(np.array([2, 3, 1, 0, 4]))
    assert finest.kept.tolist() == [False, False, True, True, True]
    assert finest.nested.tolist() == [2, 2, -1, -1, -1]
    coarsest = Electorate(5, nested=nested).elect(np.array([0, 1, 2, 3, 4]))
    assert coarsest.kept.tolist() == [True, False, False, True, True]
    assert coarsest.nested.tolist() == [-1, 0, 0, -1, -1]


def test_nested_tiles_do_not_make_rows_of_one_tile_duplicates() -> None:
    found = Electorate(3, nested=Nested(ints([1, 1, 0]), ints([-1, 0]))).elect(np.array([0, 1, 2]))
    assert found.kept.tolist() == [True, True, False]


def test_nothing_is_a_duplicate_where_nothing_counts() -> None:
    found = Electorate(2).elect(np.array([1, 0]))
    assert found.kept.tolist() == [True, True]
    assert Electorate(0).elect(NOBODY).kept.tolist() == []


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_election_is_the_greedy_one_row_by_row(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 16))

    def per_row(highest: int) -> list[int]:
        return data.draw(st.lists(st.integers(-1, highest), min_size=rows, max_size=rows))

    nodes, codes = [per_row(6), per_row(6)], [per_row(3), per_row(4)]
    most = [1, data.draw(st.integers(1, 3))]
    tile = per_row(6)
    parent = [data.draw(st.integers(-1, number - 1)) for number in range(max(tile) + 1)]
    candidates = data.draw(st.lists(st.integers(0, rows - 1), unique=True))
    ends = st.tuples(st.integers(0, 6), st.integers(0, 6))

    def pairs(way: int, distances: st.SearchStrategy[int]) -> dict[tuple[int, int], tuple[int, np.float32]]:
        edges = data.draw(st.dictionaries(ends, st.tuples(distances, st.sampled_from([0.9, 0.95, 1.0]))))
        distance = {(min(p), max(p)): (d, np.float32(s)) for p, (d, s) in edges.items() if p[0] != p[1]}
        return {pair: measured for pair, measured in distance.items() if pair[1] <= max(nodes[way])}

    ways = [pairs(0, st.integers(1, 8)), pairs(1, st.just(0))]

    def apart(way: int, a: int, b: int) -> tuple[int, np.float32] | None:
        one, other = nodes[way][a], nodes[way][b]
        if one < 0 or other < 0:
            return None
        return (0, np.float32(1)) if one == other else ways[way].get((min(one, other), max(one, other)))

    def around(a: int) -> list[int]:
        return [] if a < 0 or parent[a] < 0 else [parent[a], *around(parent[a])]

    def full(row: int, kind: int) -> bool:
        code = codes[kind][row]
        return code >= 0 and sum(codes[kind][k] == code for k in kept) >= most[kind]

    def nested(a: int, b: int) -> bool:
        return tile[a] >= 0 and tile[b] >= 0 and (tile[a] in around(tile[b]) or tile[b] in around(tile[a]))

    kept: list[int] = []
    for row in candidates:
        alike = any(apart(way, row, other) is not None for way in (0, 1) for other in kept)
        apart_enough = not alike and not any(nested(row, other) for other in kept)
        if apart_enough and not any(full(row, kind) for kind in (0, 1)):
            kept.append(row)
    nears = [
        Near(
            ints(node), ints([a for a, _ in distance]), ints([b for _, b in distance]),
            np.array([bits for bits, _ in distance.values()], np.int8),
            np.array([similarity for _, similarity in distance.values()], np.float32),
        )
        for node, distance in zip(nodes, ways, strict=True)
    ]  # fmt: skip
    electorate = Electorate(
        rows, nears=nears, nested=Nested(ints(tile), ints(parent)),
        groups=[Group(ints(code), limit) for code, limit in zip(codes, most, strict=True)],
    )  # fmt: skip
    found, thinned = (hold(np.array(candidates, np.int64)) for hold in (electorate.elect, electorate.thin))
    assert thinned.kept.tolist() == found.kept.tolist()
    named = np.stack([*(near.keeper for near in found.nears), found.nested, *found.groups]) >= 0
    assert thinned.copies.tolist() == named.any(axis=0).tolist()
    assert np.flatnonzero(found.kept).tolist() == sorted(kept)
    for row in range(rows):
        others = [] if row in kept else kept
        for way in (0, 1):
            like = [(d[0], -d[1], rank, k) for rank, k in enumerate(others) if (d := apart(way, row, k)) is not None]
            expected = (min(like)[3], min(like)[0], -min(like)[1]) if like else (-1, -1, 0)
            assert tuple(column[row] for column in found.nears[way]) == expected
        for kind in (0, 1):
            same = [k for k in others if codes[kind][k] == codes[kind][row]]
            assert found.groups[kind][row] == (same[0] if same and full(row, kind) else -1)
        outer = [k for outer in around(tile[row]) for k in others if tile[k] == outer]
        inner = [k for k in others if tile[row] in around(tile[k])] if tile[row] >= 0 else []
        assert found.nested[row] == next(iter([*outer, *inner]), -1)

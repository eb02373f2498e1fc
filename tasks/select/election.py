"""Kernel: elect keepers greedily, best first, so that no two duplicates are kept and nothing is chained."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled

_T = TypeVar("_T", bound=np.generic)


class Group(NamedTuple):
    """Rows that are the same in one way, such as the bytes of their images."""

    code: NDArray[np.int32]  # shape (rows,): each row's group, from 0; -1 for a row that is like no other
    most: int  # rows of a group that may be kept


class Near(NamedTuple):
    """Rows whose pictures are alike: those of one node, and those of two nodes that are a pair."""

    node: NDArray[np.int32]  # shape (rows,): from 0; -1 for a row without a picture
    a: NDArray[np.int32]  # shape (pairs,): one node, and
    b: NDArray[np.int32]  # another one
    distance: NDArray[np.int8]  # shape (pairs,) [bits]
    similarity: NDArray[np.float32]  # shape (pairs,)


class Nested(NamedTuple):
    """Tiles that lie within each other."""

    tile: NDArray[np.int32]  # shape (rows,): each row's tile, from 0; -1 for a row without place
    parent: NDArray[np.int32]  # shape (tiles,): the smallest tile around it that some row has; -1 for none


class Election(NamedTuple):
    """The outcome for each row; arrays of shape (rows,). A kept row has no keeper."""

    kept: NDArray[np.bool_]
    groups: tuple[NDArray[np.int64], ...]  # by group: the best kept row of the same one, if it is full; else -1
    near: NDArray[np.int64]  # the nearest kept row, of equally near ones the best; -1 where there is none
    distance: NDArray[np.int8]  # from it [bits]; -1 where there is none
    similarity: NDArray[np.float32]  # to it; 0 where there is none
    nested: NDArray[np.int64]  # a kept row whose tile lies around this one's or, if there is none, within; else -1


def elect(
    candidates: NDArray[np.int64],
    rows: int,
    *,
    groups: Sequence[Group] = (),
    near: Near | None = None,
    nested: Nested | None = None,
) -> Election:
    """Elect keepers among ``candidates``.

    Args:
        candidates: rows that may be kept, best first.
        rows: how many rows there are.
        groups, near, nested: what makes rows duplicates of each other; None: nothing of that kind.

    Returns:
        Going through the candidates best first, a row is kept unless it is a duplicate of rows that are kept. Every
        other row, candidate or not, names those that it is a duplicate of.
    """
    nobody = np.full(rows, -1, np.int32)
    nothing = np.empty(0, np.int32)
    near = near or Near(nobody, nothing, nothing, nothing.astype(np.int8), nothing.astype(np.float32))
    nested = nested or Nested(nobody, nothing)
    codes = np.stack([group.code for group in groups]) if groups else np.empty((0, rows), np.int32)
    sizes = [int(group.code.max(initial=-1)) + 1 for group in groups]
    begins = np.cumsum([0, *sizes])
    most = np.array([group.most for group in groups], np.int64)
    start, neighbour, edge = _adjacency(near)
    members = np.zeros(begins[-1], np.int32)
    first = np.full(begins[-1], -1, np.int64)
    kept_at = np.full(len(start) - 1, -1, np.int64)
    tile_kept, tile_within = (np.full(len(nested.parent), -1, np.int64) for _ in range(2))
    rank = np.full(rows, -1, np.int32)
    _walk(
        candidates, codes, begins, most, members, first,
        near.node, start, neighbour, kept_at,
        nested.tile, nested.parent, tile_kept, tile_within, rank,
    )  # fmt: skip
    kept = rank >= 0
    in_groups = []
    for number, group in enumerate(groups):
        of_group = first[begins[number] : begins[number + 1]]
        full = members[begins[number] : begins[number + 1]] >= group.most
        in_groups.append(_of_code(np.where(full, of_group, -1), group.code, kept, -1))
    node_keeper, node_distance, node_similarity = _nearest(near, start, neighbour, edge, kept_at, rank)
    around = _kept_around(nested.parent, tile_kept)
    return Election(
        kept,
        tuple(in_groups),
        _of_code(node_keeper, near.node, kept, -1),
        _of_code(node_distance, near.node, kept, -1),
        _of_code(node_similarity, near.node, kept, 0),
        _of_code(np.where(around >= 0, around, tile_within), nested.tile, kept, -1),
    )


def _of_code(values: NDArray[_T], code: NDArray[np.int32], kept: NDArray[np.bool_], nothing: int) -> NDArray[_T]:
    """Return each row's value by its code, and ``nothing`` for a row without code, or one that is kept."""
    found = np.full(len(code), nothing, values.dtype)
    rows = np.flatnonzero((code >= 0) & ~kept)
    found[rows] = values[code[rows]]
    return found


def _adjacency(near: Near) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Return where each node's neighbours begin, the neighbours, and the pair that makes each one."""
    nodes = int(near.node.max(initial=-1)) + 1
    counts = np.bincount(near.a, minlength=nodes) + np.bincount(near.b, minlength=nodes)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    neighbour, edge = (np.empty(2 * len(near.a), np.int32) for _ in range(2))
    _fill_adjacency(near.a, near.b, start[:-1].copy(), neighbour, edge)
    return start, neighbour, edge


@compiled
def _fill_adjacency(
    a: NDArray[np.int32], b: NDArray[np.int32], cursor: NDArray[np.int64],
    neighbour: NDArray[np.int32], edge: NDArray[np.int32],
) -> None:  # fmt: skip
    for pair in range(len(a)):
        for one, other in ((a[pair], b[pair]), (b[pair], a[pair])):
            neighbour[cursor[one]] = other
            edge[cursor[one]] = pair
            cursor[one] += 1


@compiled
def _walk(
    candidates: NDArray[np.int64], codes: NDArray[np.int32], begins: NDArray[np.int64], most: NDArray[np.int64],
    members: NDArray[np.int32], first: NDArray[np.int64],
    node: NDArray[np.int32], start: NDArray[np.int64], neighbour: NDArray[np.int32], kept_at: NDArray[np.int64],
    tile: NDArray[np.int32], parent: NDArray[np.int32], tile_kept: NDArray[np.int64], tile_within: NDArray[np.int64],
    rank: NDArray[np.int32],
) -> None:  # fmt: skip
    blocked = np.zeros(len(kept_at), np.bool_)
    for number in range(len(candidates)):
        row = candidates[number]
        free = node[row] < 0 or not blocked[node[row]]
        for kind in range(len(codes)):
            code = codes[kind, row]
            free = free and (code < 0 or members[begins[kind] + code] < most[kind])
        if free and tile[row] >= 0:
            free = tile_within[tile[row]] < 0
            outer = parent[tile[row]]
            while free and outer >= 0:
                free = tile_kept[outer] < 0
                outer = parent[outer]
        if not free:
            continue
        rank[row] = number
        for kind in range(len(codes)):
            code = codes[kind, row]
            if code >= 0:
                if members[begins[kind] + code] == 0:
                    first[begins[kind] + code] = row
                members[begins[kind] + code] += 1
        if node[row] >= 0:
            kept_at[node[row]] = row
            blocked[node[row]] = True
            for at in range(start[node[row]], start[node[row] + 1]):
                blocked[neighbour[at]] = True
        if tile[row] >= 0:
            if tile_kept[tile[row]] < 0:
                tile_kept[tile[row]] = row
            outer = parent[tile[row]]
            while outer >= 0:
                if tile_within[outer] < 0:
                    tile_within[outer] = row
                outer = parent[outer]


@compiled
def _nearest_kept(
    start: NDArray[np.int64], neighbour: NDArray[np.int32], edge: NDArray[np.int32],
    distance: NDArray[np.int8], similarity: NDArray[np.float32], kept_at: NDArray[np.int64], rank: NDArray[np.int32],
    keeper: NDArray[np.int64], far: NDArray[np.int8], alike: NDArray[np.float32],
) -> None:  # fmt: skip
    for node in range(len(kept_at)):
        if kept_at[node] >= 0:
            keeper[node], far[node], alike[node] = kept_at[node], 0, 1.0
            continue
        for at in range(start[node], start[node + 1]):
            row, pair = kept_at[neighbour[at]], edge[at]
            if row < 0:
                continue
            better = keeper[node] < 0 or distance[pair] < far[node]
            if not better and distance[pair] == far[node]:
                better = similarity[pair] > alike[node]
                if similarity[pair] == alike[node]:
                    better = rank[row] < rank[keeper[node]]
            if better:
                keeper[node], far[node], alike[node] = row, distance[pair], similarity[pair]


def _nearest(
    near: Near,
    start: NDArray[np.int64],
    neighbour: NDArray[np.int32],
    edge: NDArray[np.int32],
    kept_at: NDArray[np.int64],
    rank: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float32]]:
    keeper = np.full(len(kept_at), -1, np.int64)
    distance, similarity = np.full(len(kept_at), -1, np.int8), np.zeros(len(kept_at), np.float32)
    _nearest_kept(
        start, neighbour, edge, near.distance, near.similarity, kept_at, rank, keeper, distance, similarity
    )  # fmt: skip
    return keeper, distance, similarity


@compiled
def _kept_around(parent: NDArray[np.int32], tile_kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, by tile, the row kept of the smallest tile around it; -1 where there is none."""
    found = np.full(len(parent), -1, np.int64)
    for tile in range(len(parent)):
        outer = parent[tile]
        while outer >= 0 and found[tile] < 0:
            found[tile] = tile_kept[outer]
            outer = parent[outer]
    return found

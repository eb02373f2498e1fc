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
    """Rows whose pictures are alike in one way: those of one node, and those of two nodes that are a pair."""

    node: NDArray[np.int32]  # shape (rows,): from 0; -1 for a row without a picture
    a: NDArray[np.int32]  # shape (pairs,): one node, and
    b: NDArray[np.int32]  # another one
    distance: NDArray[np.int8]  # shape (pairs,) [bits]; 0 for all where the similarity alone counts
    similarity: NDArray[np.float32]  # shape (pairs,)


class Nested(NamedTuple):
    """Tiles that lie within each other."""

    tile: NDArray[np.int32]  # shape (rows,): each row's tile, from 0; -1 for a row without place
    parent: NDArray[np.int32]  # shape (tiles,): the smallest tile around it that some row has; -1 for none


class Nearest(NamedTuple):
    """The nearest kept row by one way of being alike; arrays of shape (rows,)."""

    keeper: NDArray[np.int64]  # of equally near ones the most similar, then the best; -1 where there is none
    distance: NDArray[np.int8]  # from it [bits]; -1 where there is none
    similarity: NDArray[np.float32]  # to it; 0 where there is none


class Election(NamedTuple):
    """The outcome for each row; arrays of shape (rows,). A kept row has no keeper."""

    kept: NDArray[np.bool_]
    groups: tuple[NDArray[np.int64], ...]  # by group: the best kept row of the same one, if it is full; else -1
    nears: tuple[Nearest, ...]  # by way of being alike
    nested: NDArray[np.int64]  # a kept row whose tile lies around this one's or, if there is none, within; else -1


class Thinned(NamedTuple):
    """Who is kept and who is not, without a word on whose duplicate a row is; arrays of shape (rows,)."""

    kept: NDArray[np.bool_]
    copies: NDArray[np.bool_]  # not kept, candidate or not, and a duplicate of a row that is


class Electorate:
    """Rows, and what makes them duplicates of each other, laid out for any number of elections."""

    def __init__(
        self,
        rows: int,
        *,
        groups: Sequence[Group] = (),
        nears: Sequence[Near] = (),
        nested: Nested | None = None,
    ):
        """Lay out ``rows`` rows; without ``nested``, no tile lies within another one."""
        self._groups = tuple(groups)
        self._nears = tuple(nears)
        self._nested = nested or Nested(np.full(rows, -1, np.int32), np.empty(0, np.int32))
        self._codes = np.stack([group.code for group in groups]) if groups else np.empty((0, rows), np.int32)
        self._begins = np.cumsum([0, *(int(group.code.max(initial=-1)) + 1 for group in groups)])
        self._most = np.array([group.most for group in groups], np.int64)
        self._node_begins = np.cumsum([0, *(int(near.node.max(initial=-1)) + 1 for near in nears)])
        self._nodes = np.full((len(nears), rows), -1, np.int32)
        for begin, near, nodes in zip(self._node_begins.tolist(), nears, self._nodes, strict=False):
            np.add(near.node, begin, out=nodes, where=near.node >= 0)
        self._start, self._neighbour, self._edge = _adjacency(self._nears, self._node_begins)

    def elect(self, candidates: NDArray[np.int64]) -> Election:
        """Elect keepers among ``candidates``, rows that may be kept, best first.

        Going through the candidates best first, a row is kept unless it is a duplicate of rows that are kept. Every
        other row, candidate or not, names those that it is a duplicate of.
        """
        seats, nested, begins = self._walk(candidates), self._nested, self._begins
        kept = seats.rank >= 0
        in_groups = []
        for number, group in enumerate(self._groups):
            of_group = seats.first[begins[number] : begins[number + 1]]
            full = seats.members[begins[number] : begins[number + 1]] >= group.most
            in_groups.append(_of_code(np.where(full, of_group, -1), group.code, kept, -1))
        nears = tuple(self._nearest(number, seats, kept) for number in range(len(self._nears)))
        around = _kept_around(nested.parent, seats.tile_kept)
        in_tiles = _of_code(np.where(around >= 0, around, seats.tile_within), nested.tile, kept, -1)
        return Election(kept, tuple(in_groups), nears, in_tiles)

    def thin(self, candidates: NDArray[np.int64]) -> Thinned:
        """Elect as :meth:`elect` does, and only tell who is a duplicate of somebody: a fraction of the time."""
        seats = self._walk(candidates)
        copies = np.empty(len(seats.rank), np.bool_)
        _find_copies(
            self._codes, self._begins, self._most, seats.members,
            self._nodes, seats.blocked,
            self._nested.tile, self._nested.parent, seats.tile_kept, seats.tile_within, seats.rank, copies,
        )  # fmt: skip
        return Thinned(seats.rank >= 0, copies)

    def _walk(self, candidates: NDArray[np.int64]) -> "_Seats":
        rows, nodes, tiles = self._codes.shape[1], self._node_begins[-1], len(self._nested.parent)
        seats = _Seats(
            rank=np.full(rows, -1, np.int32),
            members=np.zeros(self._begins[-1], np.int32),
            first=np.full(self._begins[-1], -1, np.int64),
            kept_at=np.full(nodes, -1, np.int64),
            blocked=np.zeros(nodes, np.bool_),
            tile_kept=np.full(tiles, -1, np.int64),
            tile_within=np.full(tiles, -1, np.int64),
        )
        _walk(
            candidates, self._codes, self._begins, self._most, seats.members, seats.first,
            self._nodes, self._start, self._neighbour, seats.kept_at, seats.blocked,
            self._nested.tile, self._nested.parent, seats.tile_kept, seats.tile_within, seats.rank,
        )  # fmt: skip
        return seats

    def _nearest(self, number: int, seats: "_Seats", kept: NDArray[np.bool_]) -> Nearest:
        near, (begin, end) = self._nears[number], self._node_begins[number : number + 2].tolist()
        keeper, distance = np.full(end - begin, -1, np.int64), np.full(end - begin, -1, np.int8)
        similarity = np.zeros(end - begin, np.float32)
        _nearest_kept(
            self._start[begin : end + 1], self._neighbour, self._edge, near.distance, near.similarity,
            seats.kept_at, seats.rank, begin, keeper, distance, similarity,
        )  # fmt: skip
        return Nearest(
            _of_code(keeper, near.node, kept, -1),
            _of_code(distance, near.node, kept, -1),
            _of_code(similarity, near.node, kept, 0),
        )


class _Seats(NamedTuple):
    """Where an election stands; -1 for nobody."""

    rank: NDArray[np.int32]  # by row: its place among the candidates, if it is kept
    members: NDArray[np.int32]  # by group: how many are kept, and
    first: NDArray[np.int64]  # the best of them
    kept_at: NDArray[np.int64]  # by node: the row that is kept
    blocked: NDArray[np.bool_]  # by node: it has a row that is kept, or is near one that has
    tile_kept: NDArray[np.int64]  # by tile: the first row that is kept, and
    tile_within: NDArray[np.int64]  # the first within it


def _of_code(values: NDArray[_T], code: NDArray[np.int32], kept: NDArray[np.bool_], nothing: int) -> NDArray[_T]:
    """Return each row's value by its code, and ``nothing`` for a row without code, or one that is kept."""
    found = np.full(len(code), nothing, values.dtype)
    rows = np.flatnonzero((code >= 0) & ~kept)
    found[rows] = values[code[rows]]
    return found


def _adjacency(
    nears: Sequence[Near], begins: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Return where each node's neighbours begin, the neighbours, and the pair that makes each one, by ``Near``.

    The nodes of all ``nears`` are one after the other; ``begins`` says where those of each begin.
    """
    sizes = np.diff(begins).tolist()
    counts = [np.bincount(end, minlength=size) for near, size in zip(nears, sizes, strict=True) for end in near[1:3]]
    counts = [one + other for one, other in zip(counts[::2], counts[1::2], strict=True)]
    start = np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64)
    neighbour, edge = (np.empty(start[-1], np.int32) for _ in range(2))
    cursor = start[:-1].copy()
    for begin, near in zip(begins.tolist(), nears, strict=False):
        _fill_adjacency(near.a, near.b, begin, cursor, neighbour, edge)
    return start, neighbour, edge


@compiled
def _fill_adjacency(
    a: NDArray[np.int32], b: NDArray[np.int32], begin: int, cursor: NDArray[np.int64],
    neighbour: NDArray[np.int32], edge: NDArray[np.int32],
) -> None:  # fmt: skip
    for pair in range(len(a)):
        for one, other in ((begin + a[pair], begin + b[pair]), (begin + b[pair], begin + a[pair])):
            neighbour[cursor[one]] = other
            edge[cursor[one]] = pair
            cursor[one] += 1


@compiled
def _walk(
    candidates: NDArray[np.int64], codes: NDArray[np.int32], begins: NDArray[np.int64], most: NDArray[np.int64],
    members: NDArray[np.int32], first: NDArray[np.int64],
    nodes: NDArray[np.int32], start: NDArray[np.int64], neighbour: NDArray[np.int32], kept_at: NDArray[np.int64],
    blocked: NDArray[np.bool_],
    tile: NDArray[np.int32], parent: NDArray[np.int32], tile_kept: NDArray[np.int64], tile_within: NDArray[np.int64],
    rank: NDArray[np.int32],
) -> None:  # fmt: skip
    for number in range(len(candidates)):
        row = candidates[number]
        free = True
        for way in range(len(nodes)):
            node = nodes[way, row]
            free = free and (node < 0 or not blocked[node])
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
        for way in range(len(nodes)):
            node = nodes[way, row]
            if node >= 0:
                kept_at[node] = row
                blocked[node] = True
                for at in range(start[node], start[node + 1]):
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
def _find_copies(
    codes: NDArray[np.int32], begins: NDArray[np.int64], most: NDArray[np.int64], members: NDArray[np.int32],
    nodes: NDArray[np.int32], blocked: NDArray[np.bool_],
    tile: NDArray[np.int32], parent: NDArray[np.int32], tile_kept: NDArray[np.int64], tile_within: NDArray[np.int64],
    rank: NDArray[np.int32], copies: NDArray[np.bool_],
) -> None:  # fmt: skip
    for row in range(len(rank)):
        found = False
        if rank[row] < 0:
            for way in range(len(nodes)):
                found = found or (nodes[way, row] >= 0 and blocked[nodes[way, row]])
            for kind in range(len(codes)):
                code = codes[kind, row]
                found = found or (code >= 0 and members[begins[kind] + code] >= most[kind])
            if not found and tile[row] >= 0:
                found = tile_within[tile[row]] >= 0
                outer = parent[tile[row]]
                while not found and outer >= 0:
                    found = tile_kept[outer] >= 0
                    outer = parent[outer]
        copies[row] = found


@compiled
def _nearest_kept(
    start: NDArray[np.int64], neighbour: NDArray[np.int32], edge: NDArray[np.int32],
    distance: NDArray[np.int8], similarity: NDArray[np.float32],
    kept_at: NDArray[np.int64], rank: NDArray[np.int32], begin: int,
    keeper: NDArray[np.int64], far: NDArray[np.int8], alike: NDArray[np.float32],
) -> None:  # fmt: skip
    """Fill in ``keeper``, ``far`` and ``alike`` for the nodes from ``begin`` on; ``start`` is that of these nodes."""
    for node in range(len(keeper)):
        if kept_at[begin + node] >= 0:
            keeper[node], far[node], alike[node] = kept_at[begin + node], 0, 1.0
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

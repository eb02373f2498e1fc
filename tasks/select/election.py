"""Kernel: elect keepers greedily, best first, so that no two lie within the distance and nothing is chained."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Election(NamedTuple):
    """The outcome for each row; arrays of shape (rows,)."""

    kept: NDArray[np.bool_]
    keeper: NDArray[np.int64]  # a kept row within the distance of this one; -1 where there is none, or the row is kept
    distance: NDArray[np.int8]  # from the keeper [bits]; -1 where there is none


def priority(score: NDArray[np.float64], words: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return rows best first: highest score (NaN last), then the longer caption, then the lowest row.

    >>> priority(np.array([1.0, np.nan, 2.0, 2.0]), np.array([5, 9, 3, 8], np.int32))
    array([3, 2, 0, 1])
    """
    return np.lexsort((np.arange(len(score)), -words.astype(np.int64), -np.where(np.isnan(score), -np.inf, score)))


def elect(
    node: NDArray[np.int64],
    candidates: NDArray[np.int64],
    pair_a: NDArray[np.int64],
    pair_b: NDArray[np.int64],
    pair_distance: NDArray[np.int8],
) -> Election:
    """Elect keepers among ``candidates``.

    Rows of one node are at distance 0 of each other; nodes of a pair are at the pair's distance; all else is apart.

    Args:
        node: shape (rows,): each row's node, from 0; -1 for a row that is like no other.
        candidates: rows that may be kept, best first.
        pair_a, pair_b, pair_distance: shape (pairs,): two different nodes and their distance [bits].

    Returns:
        Going through the candidates best first, a row is kept if no kept row is at its node or at a paired one. Every
        other row, candidate or not, names its nearest kept row, on equal distance the better one.
    """
    rows, nodes = len(node), int(node.max(initial=-1)) + 1
    loners = candidates[node[candidates] < 0]
    ranked = candidates[node[candidates] >= 0]
    reached, first = np.unique(node[ranked], return_index=True)
    best = np.full(nodes, -1, np.int64)  # the best candidate of a node: the only one that can be kept
    rank = np.full(nodes, len(candidates), np.int64)
    best[reached], rank[reached] = ranked[first], first
    source = np.concatenate([pair_a, pair_b])  # every pair in both directions
    target = np.concatenate([pair_b, pair_a])
    elected = _elect_nodes(rank, len(candidates), source, target)

    distances = np.concatenate([pair_distance, pair_distance])
    near_kept = elected[target]
    source, target, distances = source[near_kept], target[near_kept], distances[near_kept]
    order = np.lexsort((rank[target], distances, source))
    covered, first = np.unique(source[order], return_index=True)
    keeper_of = np.full(nodes, -1, np.int64)
    distance_of = np.full(nodes, -1, np.int8)
    keeper_of[covered], distance_of[covered] = best[target[order[first]]], distances[order[first]]
    keeper_of[elected], distance_of[elected] = best[elected], 0

    kept = np.zeros(rows, np.bool_)
    kept[best[elected]] = True
    kept[loners] = True
    keeper = np.full(rows, -1, np.int64)
    distance = np.full(rows, -1, np.int8)
    others = (node >= 0) & ~kept
    keeper[others], distance[others] = keeper_of[node[others]], distance_of[node[others]]
    return Election(kept, keeper, distance)


def _elect_nodes(
    rank: NDArray[np.int64], unranked: int, source: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which nodes are elected; only nodes with a pair can be in each other's way, so only they are walked."""
    elected = rank < unranked
    paired = np.unique(source)
    order = np.argsort(source, kind="stable")
    neighbours = target[order]
    start = np.searchsorted(source[order], np.arange(len(rank) + 1))
    walk = paired[np.argsort(rank[paired], kind="stable")]
    blocked = np.zeros(len(rank), np.bool_)
    for node in walk[elected[walk]]:
        if blocked[node]:
            elected[node] = False
        else:
            blocked[neighbours[start[node] : start[node + 1]]] = True
    return elected

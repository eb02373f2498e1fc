"""Kernel: the first of each group by chance. It is compiled: importing it takes half a second."""

import numpy as np
from numpy.typing import NDArray

from tasks.compiled import compiled


def first_of_each(group: NDArray[np.int32], chance: NDArray[np.float64], most: int) -> NDArray[np.bool_]:
    """Return the ``most`` rows of each group with the least ``chance``, of equal ones the first in order.

    Args:
        group: shape (rows,): each row's group, from 0.
        chance: shape (rows,).
        most: at least 1.
    """
    sizes = np.bincount(group)
    crowded = sizes > most
    chosen = ~crowded[group]
    starts = np.concatenate([[0], np.cumsum(np.where(crowded, sizes, 0))])
    _choose(group, chance, crowded, starts[:-1], starts[:-1].copy(), np.empty(starts[-1]), most, chosen)
    return chosen


@compiled
def _choose(
    group: NDArray[np.int32], chance: NDArray[np.float64], crowded: NDArray[np.bool_],
    starts: NDArray[np.int64], ends: NDArray[np.int64], gathered: NDArray[np.float64],
    most: int, chosen: NDArray[np.bool_],
) -> None:  # fmt: skip
    for row in range(len(group)):
        if crowded[group[row]]:
            gathered[ends[group[row]]] = chance[row]
            ends[group[row]] += 1
    worst, equal = np.zeros(len(starts)), np.zeros(len(starts), np.int64)
    for number in range(len(starts)):
        if crowded[number]:
            members = gathered[starts[number] : ends[number]]
            worst[number] = np.partition(members, most - 1)[most - 1]
            equal[number] = most - np.sum(members < worst[number])
    for row in range(len(group)):
        number = group[row]
        if crowded[number]:
            chosen[row] = chance[row] < worst[number]
            if chance[row] == worst[number] and equal[number] > 0:
                chosen[row] = True
                equal[number] -= 1

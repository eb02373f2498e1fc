"""Kernel: what several scorers tell of a row as one number."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.spill import room


def mean_of_standard_scores(values: Sequence[NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return by how many standard deviations each row is above the mean, averaged over scorers; NaN where one has none.

    Mean and standard deviation are those of the valid rows that have a value. Of values that are all the same each is
    at the mean.

    Args:
        values: of each scorer, each of shape (rows,), NaN for none.
        valid: shape (rows,): rows that count.

    >>> mean_of_standard_scores([np.float32([1, 3, 9]), np.float32([0, 10, 5])], np.array([True, True, False]))
    array([-1. ,  1. ,  3.5], dtype=float32)
    """
    total = room(len(valid), np.float64)
    for of_scorer in values:
        counted = of_scorer[valid & np.isfinite(of_scorer)].astype(np.float64)
        mean, deviation = (counted.mean(), counted.std()) if len(counted) else (np.nan, np.nan)
        total += (of_scorer - mean) / (deviation if deviation else 1.0)
    mean_of_all = room(len(valid), np.float32)
    np.divide(total, len(values), out=mean_of_all, casting="same_kind")
    return mean_of_all

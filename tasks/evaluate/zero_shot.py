"""Kernel: which class each picture is most like, by cosine, and how often that is right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Classes = NDArray[np.int64]

_AT_ONCE = 65_536  # pictures: of 1,024 numbers each 256 MB in single precision


def class_vectors(prompts: Floats) -> Floats:
    """Return one vector for each class, of length 1: the mean of those of its sentences (Radford et al. 2021, 3.1.4).

    Args:
        prompts: shape (classes, sentences, dimensions), each of length 1.

    >>> class_vectors(np.array([[[1, 0], [0, 1]]], np.float32)).round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    means = prompts.mean(axis=1, dtype=np.float32)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def classify(pictures: NDArray[Any], classes: Floats) -> Classes:
    """Return the class that each picture is most like, of several the first.

    Args:
        pictures: shape (n, dimensions), of any width of float.
        classes: shape (classes, dimensions).

    Returns:
        Positions in ``classes``, shape (n,).
    """
    told = np.empty(len(pictures), np.int64)
    for start in range(0, len(pictures), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        told[part] = np.argmax(pictures[part].astype(np.float32) @ classes.T, axis=1)
    return told


def confusion(truth: Classes, told: Classes, classes: int) -> NDArray[np.int64]:
    """Return how many pictures of each class, a line each, were taken for each, a column each.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(truth * classes + told, minlength=classes * classes).reshape(classes, classes)

"""Arrays that are too large for memory: a file holds them, and the system keeps in memory what is in use."""

import os
from tempfile import TemporaryFile
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SPILLED_BYTES = 2**27
"""Arrays of this size and more are kept in a file: 128 MiB, 16 million rows of 8 bytes."""

_T = TypeVar("_T", bound=np.generic)


def room(shape: int | tuple[int, ...], dtype: type[_T]) -> NDArray[_T]:
    """Return an array of zeros, which is a file's if it is a large one.

    The file lies in the folder for temporary files (``TMPDIR``), has no name, and is gone with the array, however the
    process ends.

    Raises:
        OSError: if that folder has no room for it.

    >>> room(3, np.int8)
    array([0, 0, 0], dtype=int8)
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size < max(SPILLED_BYTES, 1):
        return np.zeros(shape, dtype)
    with TemporaryFile(prefix="git10m-") as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk says so here, and ends no process later
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def copied(array: NDArray[_T]) -> NDArray[_T]:
    """Return a copy of ``array``, which is a file's if it is a large one."""
    copy = room(array.shape, array.dtype.type)
    copy[...] = array
    return copy


def kept_in_room(array: NDArray[_T]) -> NDArray[_T]:
    """Return ``array``, moved to a file if it is a large one."""
    if array.nbytes < SPILLED_BYTES:
        return array
    return copied(array)

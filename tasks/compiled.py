"""Loops compiled by Numba, and their work shared out among threads. Importing this takes half a second: do it late."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., object])

_PIECES_PER_THREAD = 4  # so that threads end together


def compiled(function: _F) -> _F:
    """Return ``function`` compiled, without the interpreter's lock; kept for later processes where a folder allows it.

    Without ``fastmath`` and ``parallel``: no sum is reordered and no multiply-add fused, so that a function gives the
    same bits on every machine, and any number of threads may call it.
    """
    try:
        return cast("_F", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache is writable
        return cast("_F", numba.njit(nogil=True)(function))


def in_threads(work: Callable[[int, int], object], count: int) -> None:
    """Call ``work(begin, end)`` for consecutive pieces of ``range(count)``, in a thread for each core."""
    threads = os.cpu_count() or 1
    size = max(1, -(-count // (threads * _PIECES_PER_THREAD)))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda begin: work(begin, min(begin + size, count)), range(0, count, size)))

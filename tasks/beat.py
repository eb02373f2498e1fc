"""What a call in a worker process tells while it runs: which decoder is at work, and how many rows are done.

A few numbers in memory that both processes share: telling costs next to nothing, and a process that hangs or dies is
told of, too.
"""

import ctypes
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing.context import SpawnContext
from typing import Any, NamedTuple, Self


class Beat(NamedTuple):
    """What a worker tells of the decoder that it runs."""

    call: float = 0  # another one at each call of decoding()
    row: float = -1  # -1: no decoder runs
    seconds: float = math.inf


class Told(NamedTuple):
    """Where a worker tells, and its supervisor reads: in memory that both share."""

    decoder: Any  # the numbers of a Beat
    done: Any  # rows that are done of what a call does

    @classmethod
    def shared(cls, processes: SpawnContext) -> Self:
        """Return memory that a process started by ``processes`` can be given."""
        return cls(processes.RawArray("d", Beat()), processes.RawValue(ctypes.c_int64))

    @property
    def beat(self) -> Beat:
        """What is told of the decoder."""
        return Beat(*self.decoder)

    @property
    def rows(self) -> int:
        """Rows that are done."""
        return int(self.done.value)


_told = Told(list(Beat()), ctypes.c_int64())  # where nobody looks, but in a worker process
_calls = itertools.count(1)
_heard: ContextVar[Callable[[int], None] | None] = ContextVar("heard", default=None)


def tell_by(told: Told) -> None:
    """Have this process tell by ``told`` from now on."""
    global _told
    _told = told


def decoding(row: int | None, seconds: float = math.inf) -> None:
    """Say that the decoder of ``row`` starts, and may take ``seconds``; None says that the last one is done.

    In a worker process the supervisor reads this; anywhere else it does nothing. It costs some 0.2 µs.
    """
    # One store each, and never a value between the old and the new one: the supervisor may look at any moment, and
    # this process may be put to sleep at any moment.
    beat = _told.decoder
    beat[0] = next(_calls)
    beat[1] = -1 if row is None else row
    beat[2] = seconds


def progressed(rows: int) -> None:
    """Say how many rows are done of what this call does: whoever made it hears of it, if it is :func:`hearing`."""
    _told.done.value = rows
    if heard := listener():  # the call was made in this process
        heard(rows)


def listener() -> Callable[[int], None] | None:
    """Return what hears of the calls that this thread makes, by :func:`hearing`; None where nothing does."""
    return _heard.get()


@contextmanager
def hearing(heard: Callable[[int], None]) -> Iterator[None]:
    """Have ``heard`` hear, for the length of a ``with`` block, how far a call is that this thread makes of a pool.

    It hears of the rows that the function told to :func:`progressed`, of worker processes each second and in this
    thread; of the last ones it may hear nothing before the call returns.
    """
    former = _heard.set(heard)
    try:
        yield
    finally:
        _heard.reset(former)

"""Decode images in a process of their own: a decoder that hangs, crashes or eats memory makes a defect, and no more."""

from collections.abc import Callable
from typing import Self

from schemas.reasons import Reason
from tasks.beat import decoding
from tasks.memory import limited_memory
from tasks.scan.containers import sniff
from tasks.scan.decode import Decoded, ImageDefect, load_decoders
from tasks.workers import Worker, WorkerLost

_GIB = 2**30


class IsolatedDecoder:
    """A decoder that runs ``decode`` in another process, one image at a time; open it with a ``with`` statement.

    It returns and raises what ``decode`` does, some 0.4 ms an image slower; after a crash or an overrun the next image
    gets a new process. An image that crashes its process is tried once more, in a new one, and only the second crash
    makes a defect: none pays for what an earlier one left behind in the decoder, or for a signal that somebody sent.

    Args:
        decode: is pickled: a function of a module, or a partial of one. Raises ImageDefect.
        seconds: longest time that an image's decoder may run.
        memory_bytes: most private memory that it may take on top of what its process has by itself.
    """

    def __init__(self, decode: Callable[[memoryview], Decoded], seconds: float, memory_bytes: int):
        self._decode = decode
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._worker: Worker | None = None

    def __enter__(self) -> Self:
        """Return this decoder; its process starts with the first image."""
        return self

    def __exit__(self, *error: object) -> None:
        """End its process."""
        if self._worker is not None:
            self._worker.end()

    def __call__(self, data: memoryview) -> Decoded:
        """Decode ``data``, the bytes of an image file.

        Raises:
            ImageDefect: as ``decode`` does; and image_undecodable if the decoder crashed or broke a limit.
            WorkerLost: if a new process ended before the decoder ran: that is no image's fault.
        """
        decoding(None)  # this process watches the other one, and needs no watch itself
        outcome = self._attempt(data)
        if isinstance(outcome, WorkerLost) and not outcome.overran:
            outcome = self._attempt(data)  # in a new process
        if isinstance(outcome, Decoded):
            return outcome
        if outcome.row is None:
            raise outcome
        told = f"ran longer than {self._seconds:g} s" if outcome.overran else f"crashed: {outcome.cause}"
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, f"the decoder {told}", sniff(data)) from outcome

    def _attempt(self, data: memoryview) -> Decoded | WorkerLost:
        if self._worker is None or not self._worker.alive:
            self._worker = Worker()
        try:
            return self._worker.call(_decode, self._decode, bytes(data), self._seconds, self._memory_bytes)
        except WorkerLost as lost:
            return lost


def decode_within(decode: Callable[[memoryview], Decoded], memory_bytes: int, data: memoryview) -> Decoded:
    """Return ``decode(data)``; a want of memory is the defect of an image that needs more than ``memory_bytes``.

    The limit itself is the caller's, who sets it for a batch of images or for one
    (:func:`~tasks.memory.limited_memory`).

    Raises:
        ImageDefect: as ``decode`` does; and image_undecodable instead of a MemoryError.
    """
    try:
        return decode(data)
    except (ImageDefect, MemoryError) as error:
        if isinstance(error, ImageDefect) and not isinstance(error.__cause__, MemoryError):
            raise
        detail = f"the decoder needed more than {memory_bytes / _GIB:g} GiB of memory"
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, detail, sniff(data)) from error


def _decode(decode: Callable[[memoryview], Decoded], data: bytes, seconds: float, memory_bytes: int) -> Decoded:
    load_decoders()
    decoding(0, seconds)
    with limited_memory(memory_bytes):
        return decode_within(decode, memory_bytes, memoryview(data))

"""What can go wrong in a worker process, as functions that it can import; and a picture that no decoder gets done."""

import ctypes
import os
import resource
import signal
import struct
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import simplejpeg

from schemas.reasons import Reason
from tasks.beat import decoding, progressed
from tasks.memory import limited_memory
from tasks.scan.decode import Decoded, ImageDefect
from tasks.scan.isolated import IsolatedDecoder
from tasks.workers import OwnWorkers

MIB = 2**20


def tell_own_worker(connection: Connection, pool: OwnWorkers) -> None:
    """Send the ids of this process and of the worker that ``pool`` has here."""
    connection.send((os.getpid(), pool.run(os.getpid)))


def crash() -> None:
    """Read from address 0."""
    ctypes.string_at(0)


def hang(row: int | None = None, seconds: float = 60) -> None:
    """Compute for ever, as the decoder of ``row``, which may take ``seconds``."""
    decoding(row, seconds)
    while True:
        pass


def hang_in_c() -> None:
    """Stay in a C function that never gives another thread of this process a turn."""
    ctypes.PyDLL(None).sleep(60)


def crash_on(row: int) -> None:
    """Decode the rows before ``row``, and crash on it."""
    for earlier in range(row + 1):
        decoding(earlier, 60)
    crash()


def rows_in_time(rows: int, each: float) -> int:
    """Decode ``rows`` rows in ``each`` seconds each, and allow five times that for each; return how many."""
    for row in range(rows):
        decoding(row, 5 * each)
        time.sleep(each)
    return rows


def quick_rows(rows: int, seconds: float) -> None:
    """Decode ``rows`` rows in no time, each allowed ``seconds``."""
    for row in range(rows):
        decoding(row, seconds)
        decoding(None)


def advance(numbers: tuple[int, ...], each: float) -> None:
    """Tell that so many rows are done, one number after the other, ``each`` seconds apart."""
    for rows in numbers:
        progressed(rows)
        time.sleep(each)


def advance_in_vain(row: int, seconds: float) -> None:
    """Tell of ever more rows while the decoder of ``row``, which may take ``seconds``, does not get done."""
    decoding(row, seconds)
    advance(tuple(range(2000)), 0.01)


def forget() -> None:
    """Return as if a decoder were running still, with no time left."""
    decoding(7, 0.01)


def eat(gib: int) -> int:
    """Take ``gib`` GiB of memory at once; return the bytes."""
    return len(bytearray(gib << 30))


def end_softly(status: int) -> NoReturn:
    """Leave the interpreter as a program does."""
    raise SystemExit(status)


class Stubborn(Exception):
    """Cannot be built again from what it pickles."""

    def __init__(self, *, word: str):
        super().__init__(f"a stubborn {word}")


def raise_stubborn() -> None:
    """Raise what does not come through a pipe."""
    raise Stubborn(word="mule")


def raise_unpicklable() -> None:
    """Raise what does not even go into a pipe."""
    raise ValueError(lambda: 0)


def decode_or_fail(data: memoryview) -> Decoded:
    """Do as ``data`` says, or decode it to a luma of its length and a height of this process's id."""
    match bytes(data).decode():
        case "crash":
            crash()
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang in c":
            hang_in_c()
        case "hang":
            while True:
                pass
        case "eat":
            eat(64)
        case "eat slowly":
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        case "eat, and tell":
            try:
                eat(64)
            except MemoryError as error:
                raise ImageDefect(Reason.IMAGE_UNDECODABLE, "PNG: MemoryError") from error
        case "poison":
            os.environ["POISONED"] = "1"
        case "pure" if "POISONED" in os.environ:
            crash()
        case "refuse":
            raise ImageDefect(Reason.IMAGE_TRUNCATED, "it ends", "PNG", (3, 4))
        case "bug":
            raise ZeroDivisionError
    return Decoded(np.full((64, 64), len(data), np.uint8), "JPEG", "L", 1, os.getpid())


class _EndsWhenLoaded:
    """A decoder that ends the process that loads it."""

    def __call__(self, data: memoryview) -> Decoded:
        raise NotImplementedError

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (5,)


ENDS_WHEN_LOADED = _EndsWhenLoaded()


def isolated_and_killed(path: Path) -> None:
    """Write the process of an isolated decoder to ``path``, and die by SIGKILL while it hangs."""
    with IsolatedDecoder(decode_or_fail, seconds=60, memory_bytes=2**30) as decoder:
        path.write_text(str(decoder(memoryview(b"good")).height))
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
        decoder(memoryview(b"hang in c"))


def decode_jpeg(data: memoryview) -> Decoded:
    """Decode as the scan does, without asking what the header says."""
    luma = simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, min_height=64, min_width=64)[:, :, 0]
    return Decoded(luma, "JPEG", "L", *luma.shape)


def decode_row(row: int, data: bytes, seconds: float) -> Decoded:
    """Decode ``data`` as the picture of ``row``, which may take ``seconds``."""
    decoding(row, seconds)
    return decode_jpeg(memoryview(data))


def many_scans(scans: int, side: int = 4096) -> bytes:
    """Return a sound progressive JPEG, grey, ``side`` pixels square, whose details come in ``scans`` empty scans.

    A scan says in 26 bytes "nothing here" of all blocks, and a decoder visits each block for it: a small file keeps it
    busy for as long as one likes. ``side`` is 2,048 or 4,096.
    """
    blocks = (side // 8) ** 2
    full, rest = divmod(blocks, 2**15 - 1)  # the longest run of empty blocks that one code tells
    size = rest.bit_length() - 1
    runs = ("0" + "1" * 14) * full + "10" + f"{rest - 2**size:0{size}b}"
    tables = (
        _segment(0xDB, bytes([0] + [1] * 64)),
        _segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])),
        _segment(0xC4, bytes([0x00, 1, *[0] * 15, 0])),
        _segment(0xC4, bytes([0x10, 1, 1, *[0] * 14, 0xE0, size << 4])),
    )
    averages = _segment(0xDA, bytes([1, 1, 0x00, 0, 0, 0])) + bytes(blocks // 8)
    details = _segment(0xDA, bytes([1, 1, 0x00, 1, 63, 0])) + _entropy_coded(runs)
    return b"\xff\xd8" + b"".join(tables) + averages + details * scans + b"\xff\xd9"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _entropy_coded(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def ask_for_more_than_a_limit() -> None:
    """Check that a limit holds within its block, for small pieces as well, and not behind it."""
    former = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory(100 * MIB):
        assert len(bytearray(90 * MIB)) == 90 * MIB
        with pytest.raises(MemoryError):
            bytearray(110 * MIB)
        with pytest.raises(MemoryError):
            np.empty(110 * MIB, np.uint8)
        with pytest.raises(MemoryError):
            [bytearray(MIB) for _ in range(110)]
    assert len(bytearray(110 * MIB)) == 110 * MIB
    assert resource.getrlimit(resource.RLIMIT_DATA) == former


def ask_for_more_than_two_limits() -> None:
    """Check that what is in use does not count, and that an inner limit does not widen the outer one."""
    held = np.zeros(200 * MIB, np.uint8)
    with limited_memory(100 * MIB):
        assert len(bytearray(90 * MIB)) < len(held)
        with limited_memory(1000 * MIB), pytest.raises(MemoryError):
            bytearray(110 * MIB)

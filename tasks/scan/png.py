"""Kernel: the usual kind of PNG, checked to its last byte and decoded to pixels; any other is left to Pillow.

Over twice as fast as Pillow on tiles of 256 x 256: ISA-L inflates, and what follows is compiled.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from isal import igzip_lib, isal_zlib
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = {0: ("L", 1), 2: ("RGB", 3), 4: ("LA", 2), 6: ("RGBA", 4)}  # by colour type: Pillow's name, bytes of a pixel

# What may stand before the picture and changes none of its pixels, with the length that it must have [bytes].
_PASSED = {b"cHRM": 32, b"gAMA": 4, b"pHYs": 9, b"sRGB": 1, b"tIME": 7}
_TEXT = b"tEXt"
_LONGEST_TEXTS = 4096  # of a picture, together [bytes]; Pillow refuses a file for too many


class Pixels(NamedTuple):
    """A decoded picture."""

    pixels: NDArray[np.uint8]  # shape (height, width, channels)
    mode: str  # Pillow's name of the pixel format: L, LA, RGB or RGBA


class _Unusual(Exception):
    """Another kind of PNG, or a damaged one."""


class _ChecksumWrong(_Unusual):
    """A chunk, named, is not what was written."""


def decode_plain_png(data: memoryview, max_pixels: int) -> Pixels | None:
    """Return the pixels of a PNG of 8 bits a channel, without palette, interlace or a transparent colour.

    Every chunk's CRC is checked, and the Adler-32 of the pixels. None if anything is not as it is in nearly all files,
    or wrong, or there are more than ``max_pixels`` (width x height): whoever reads every kind shall judge it.
    """
    from tasks.scan._pixels import unfilter

    if data[: len(_SIGNATURE)] != _SIGNATURE:
        return None
    try:
        chunks = _chunks(data)
        kind, header = next(chunks)
        width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", header)
        if kind != b"IHDR" or depth != 8 or colour not in _MODES or any(methods):
            return None
        if not 0 < width * height <= max_pixels:
            return None
        mode, channels = _MODES[colour]
        size = height * (1 + width * channels)
        inflater = isal_zlib.decompressobj()
        filtered = inflater.decompress(_stream(chunks), size + 1)  # never more, whatever the stream holds
        if len(filtered) != size or not inflater.eof or inflater.unused_data:
            return None
    except (struct.error, igzip_lib.IsalError, _Unusual):  # type: ignore[misc] # isal's stub calls the class a value
        return None
    pixels = np.empty((height, width * channels), np.uint8)
    if not unfilter(np.frombuffer(filtered, np.uint8).reshape(height, -1), channels, pixels):
        return None
    return Pixels(pixels.reshape(height, width, channels), mode)


def has_wrong_checksum(data: memoryview) -> bool:
    """Return whether a part of the compressed pixels (IDAT) has another CRC than it says; Pillow does not look."""
    try:
        for kind, _ in _chunks(data):
            if kind == b"IEND":
                break
    except _ChecksumWrong as wrong:
        return wrong.args == (b"IDAT",)
    except struct.error:
        pass  # the file ends early
    return False


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each chunk's kind and content after checking its CRC; without an end."""
    at = len(_SIGNATURE)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if isal_zlib.crc32(data[at + 4 : at + 8 + length]) != checksum:
            raise _ChecksumWrong(kind)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _stream(chunks: Iterator[tuple[bytes, memoryview]]) -> bytes | memoryview:
    """Return the compressed pixels: the IDAT chunks, which must follow one another, the end behind them."""
    parts: list[memoryview] = []
    texts = 0
    for kind, content in chunks:
        texts += len(content) if kind == _TEXT else 0
        if kind == b"IDAT":
            parts.append(content)
        elif parts and kind == b"IEND" and not content:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        elif parts or texts > _LONGEST_TEXTS or not (kind == _TEXT or _PASSED.get(kind) == len(content)):
            break
    raise _Unusual

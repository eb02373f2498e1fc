"""Kernel: what the structure of an image file tells without decoding it: format, size, early end, pages."""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_MAGIC = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"WEBP", 8, "WEBP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"II+\0", 0, "TIFF"),  # BigTIFF
    (b"MM\0+", 0, "TIFF"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG2000"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftyphei", 4, "HEIF"),
)

_START_OF_SCAN = 0xDA  # JPEG markers (ITU-T T.81, table B.1)
_SCAN_MARKER = b"\xff\xda"
_SCAN_START = 4  # bytes of a scan's marker and length
_USUAL_HEADER = 1024  # [bytes], without metadata
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive
_TABLES = (0xC4, 0xDB, 0xDD, 0xFE)  # Huffman and quantization tables, restart interval, comment
_JFIF = 0xE0
_JFIF_LENGTH = 16  # [bytes] as the standard has it, without a thumbnail
_STANDALONE = (0x01, *range(0xD0, 0xD9))  # markers that no length follows
_END_OF_IMAGE = b"\xff\xd9"

_PNG_LONGEST = 2**31 - 1  # [bytes] a chunk may have (PNG specification, 5.3)

_TIFF_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # by type (TIFF 6.0; 16 to 18: BigTIFF)
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_SUBFILE_TYPE = 254
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets and byte counts
_NO_PAGE = 0b101  # of the subfile type: a reduced copy (overview) of another page, or a mask for one
_MOST_DIRECTORIES = 64  # followed; a pyramid of overviews and masks has some twenty

_OUTSIDE = (struct.error, OverflowError)  # what unpacking raises past the end of the bytes


class Frame(NamedTuple):
    """What a JPEG's frame header says."""

    width: int  # [pixels]
    height: int
    components: int


def sniff(data: memoryview) -> str | None:
    """Return the format that the first bytes of ``data`` name, in Pillow's spelling; None if they name none."""
    head = bytes(data[:16])
    for magic, at, name in _MAGIC:
        if head.startswith(magic, at):
            return name
    return None


def plain_jpeg_frame(data: memoryview) -> Frame | None:
    """Return the frame of a JPEG of 8 bits whose header holds nothing but what every decoder reads alike.

    That is tables, comments, a JFIF segment and one frame header, back to back. None for any other: EXIF, colour
    profiles and other makers' segments, which decoders may understand, and refuse, differently.
    """
    # The program that made a set writes, mostly, the same header to every picture: it is read once.
    head = bytes(data[:_USUAL_HEADER])
    return _known_frame(head[: head.find(_SCAN_MARKER) + _SCAN_START]) or _frame_of(data)


@lru_cache(maxsize=64)
def _known_frame(header: bytes) -> Frame | None:
    """Return the frame of a header that ends where the first scan seems to start; None also if it only seems to."""
    return _frame_of(memoryview(header))


def _frame_of(data: memoryview) -> Frame | None:
    frame, at = None, 2
    try:
        while True:
            prefix, marker, length = struct.unpack_from(">BBH", data, at)
            if prefix != 0xFF:
                return None
            if marker in _FRAMES:
                bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
                if frame or bits != 8:
                    return None
                frame = Frame(width, height, components)
            elif marker == _START_OF_SCAN:
                return frame
            elif marker not in _TABLES and not (
                marker == _JFIF and length >= _JFIF_LENGTH and bytes(data[at + 4 : at + 9]) == b"JFIF\0"
            ):
                return None
            at += 2 + length
    except struct.error:
        return None


def webp_size(data: memoryview) -> tuple[int, int] | None:
    """Return width and height [pixels] of a WebP from its first chunk; None if that chunk is none that starts one."""
    head = bytes(data[:30]).ljust(30, b"\0")
    match head[12:16]:
        case b"VP8X":  # extended: the canvas, less one, in 24 bits each
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L" if head[20] == 0x2F:  # lossless: 14 bits each, less one
            packed = int.from_bytes(head[21:25], "little")
            return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def ends_early(data: memoryview, format: str) -> bool:
    """Return whether ``data`` ends before the picture that its structure announces.

    Meant for bytes that a decoder has refused: cut short, or damaged? A length damaged to a larger one looks like a
    cut, too. ``format`` is JPEG, PNG, WEBP or TIFF; any other gives False.
    """
    try:
        match format:
            case "JPEG":
                return _jpeg_ends_early(data)
            case "PNG":
                return _png_ends_early(data)
            case "WEBP":
                return len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0])
            case "TIFF":
                return _tiff_ends_early(data)
    except _OUTSIDE:
        return True
    return False


def tiff_pages(data: memoryview) -> int:
    """Return how many pages a TIFF holds, counted up to 2; overviews and masks of a page are no pages of their own."""
    pages = 0
    try:
        for directory in _tiff_directories(data):
            kind = directory.get(_SUBFILE_TYPE, (0,))
            pages += not (kind and kind[0] & _NO_PAGE)
            if pages == 2:
                break
    except _OUTSIDE:
        pass  # the chain of directories leads out of the file: no page is there
    return max(1, pages)


def _jpeg_ends_early(data: memoryview) -> bool:
    at = 2
    while True:
        prefix, marker = struct.unpack_from(">BB", data, at)
        if prefix != 0xFF:
            return False  # damaged: no segment starts where one must
        if marker == _START_OF_SCAN:
            return bytes(data[at:]).find(_END_OF_IMAGE) < 0  # cannot occur in coded data, by the standard
        if marker == 0xFF:
            at += 1  # fill byte
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])


def _png_ends_early(data: memoryview) -> bool:
    at = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if length > _PNG_LONGEST or not kind.isalpha():
            return False  # damaged: no chunk starts where one must
        at += 12 + length
        if at > len(data):
            return True
        if kind == b"IEND":
            return False


def _tiff_ends_early(data: memoryview) -> bool:
    first = next(_tiff_directories(data), {})
    for offsets, counts in (_STRIPS, _TILES):
        starts = first.get(offsets, ())
        lengths = first.get(counts) or (1,) * len(starts)  # the counts may be left out
        if any(start + length > len(data) for start, length in zip(starts, lengths, strict=False)):
            return True
    return False


def _tiff_directories(data: memoryview) -> Iterator[dict[int, tuple[int, ...]]]:
    """Yield the whole numbers of each image file directory by tag; raise ``_OUTSIDE`` where one lies past the end."""
    order = "<" if data[0] == ord("I") else ">"
    big = data[2 if order == "<" else 3] == ord("+")
    number = struct.Struct(order + ("Q" if big else "H"))  # of entries
    entry = struct.Struct(order + ("HHQ" if big else "HHI"))  # tag, type, count; then the value, or where it lies
    address = struct.Struct(order + ("Q" if big else "I"))
    (at,) = address.unpack_from(data, 8 if big else 4)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(at)
        (entries,) = number.unpack_from(data, at)
        at += number.size
        values: dict[int, tuple[int, ...]] = {}
        for _ in range(entries):
            tag, kind, count = entry.unpack_from(data, at)
            size = count * _TIFF_TYPE_BYTES[kind] if kind < len(_TIFF_TYPE_BYTES) else 0
            where = at + entry.size
            if size > address.size:
                (where,) = address.unpack_from(data, where)
            struct.unpack_from(f"{size}x", data, where)  # is it there at all?
            if kind in _TIFF_INTEGERS and tag in (_SUBFILE_TYPE, *_STRIPS, *_TILES):
                values[tag] = struct.unpack_from(f"{order}{count}{_TIFF_INTEGERS[kind]}", data, where)
            at += entry.size + address.size
        yield values
        (at,) = address.unpack_from(data, at)

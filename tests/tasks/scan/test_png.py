import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from mutations import mutate
from numpy.typing import NDArray
from pairs import encode, picture
from PIL import Image

from tasks.scan.decode import decode
from tasks.scan.png import decode_plain_png

MANY = 2**22
MODES = {"L": (0, 1), "RGB": (2, 3), "LA": (4, 2), "RGBA": (6, 4)}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, colour: int = 0, depth: int = 8, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def filtered(rows: NDArray[np.uint8], channels: int, kinds: list[int]) -> bytes:
    """Each row behind its filter, as the PNG specification has it, number by number."""
    out = bytearray()
    for y, kind in enumerate(kinds):
        out.append(kind)
        for x in range(rows.shape[1]):
            a = int(rows[y, x - channels]) if x >= channels else 0
            b = int(rows[y - 1, x]) if y else 0
            c = int(rows[y - 1, x - channels]) if y and x >= channels else 0
            paeth = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            out.append((int(rows[y, x]) - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
    return bytes(out)


def written(pixels: NDArray[np.uint8], kinds: list[int]) -> bytes:
    height, width, channels = pixels.shape
    colour = next(colour for colour, count in MODES.values() if count == channels)
    rows = zlib.compress(filtered(pixels.reshape(height, -1), channels, kinds))
    return SIGNATURE + header(width, height, colour) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def grey(rows: bytes, *before: bytes, width: int = 4, height: int = 4, split: int = 0) -> bytes:
    parts = [rows[:split], rows[split:]] if split else [rows]
    idat = b"".join(chunk(b"IDAT", part) for part in parts)
    return SIGNATURE + header(width, height) + b"".join(before) + idat + chunk(b"IEND", b"")


ROWS = zlib.compress(bytes(20))  # of 4 x 4 grey pixels


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(256, 256), (72, 50), (1, 1), (3, 200)])
def test_pixels_and_thumbnail_are_those_of_pillow(mode: str, size: tuple[int, int]) -> None:
    for seed in range(3):
        image = picture(seed, size=size).convert(mode)
        if mode in ("LA", "RGBA"):
            image.putalpha(picture(seed + 9, size=size, mode="L"))
        data = memoryview(encode(image, "PNG", compress_level=3 * seed))
        found = decode_plain_png(data, MANY)
        assert found is not None
        assert found.mode == mode
        np.testing.assert_array_equal(found.pixels.squeeze(), np.asarray(image).squeeze())
        thumbnail = np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX))
        decoded = decode(data, formats=["PNG"], max_pixels=MANY, max_bytes=MANY)
        np.testing.assert_array_equal(decoded.luma, thumbnail)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_filter_is_undone_in_every_row(channels: int) -> None:
    rng = np.random.default_rng(channels)
    for width in (1, 2, 9):
        pixels = rng.integers(0, 256, (25, width, channels), np.uint8)
        pixels[::3] //= 64  # ties between neighbours
        for shift in range(5):
            kinds = [(row // 5 + row + shift) % 5 for row in range(25)]
            found = decode_plain_png(memoryview(written(pixels, kinds)), MANY)
            assert found is not None
            np.testing.assert_array_equal(found.pixels, pixels)


def test_a_stream_may_be_cut_and_chunks_that_change_no_pixel_are_passed() -> None:
    harmless = [chunk(b"gAMA", bytes(4)), chunk(b"pHYs", bytes(9)), chunk(b"tEXt", b"Software\0GIMP")]
    assert decode_plain_png(memoryview(grey(ROWS, *harmless, split=3)), MANY)
    assert decode_plain_png(memoryview(grey(ROWS) + b"bytes behind the end"), MANY)


@pytest.mark.parametrize(
    "data",
    [
        encode(picture(1).quantize(16), "PNG"),
        encode(picture(1).convert("1"), "PNG"),
        encode(picture(1, mode="L").convert("I;16"), "PNG"),
        encode(picture(1), "PNG", transparency=(1, 2, 3)),
        encode(picture(1), "PNG", save_all=True, append_images=[picture(2)]),
        encode(picture(1), "PNG", icc_profile=b"profile"),
        SIGNATURE + header(4, 4, interlace=1) + chunk(b"IDAT", ROWS) + chunk(b"IEND", b""),
        grey(ROWS, chunk(b"tEXt", bytes(3000)), chunk(b"tEXt", bytes(3000))),
    ],
    ids=["palette", "1 bit", "16 bits", "transparency", "animation", "profile", "interlace", "long texts"],
)
def test_another_kind_of_picture_is_left_to_others(data: bytes) -> None:
    assert decode_plain_png(memoryview(data), MANY) is None


@pytest.mark.parametrize(
    "data",
    [
        grey(ROWS)[:-1],
        grey(ROWS)[:40],
        SIGNATURE,
        b"\0" + grey(ROWS)[1:],
        grey(ROWS).replace(chunk(b"IDAT", ROWS), chunk(b"IDAT", ROWS)[:-1] + b"\0"),
        grey(ROWS[:-1] + b"\0"),
        grey(ROWS[:-4]),
        grey(ROWS + b"\0"),
        grey(zlib.compress(bytes(19))),
        grey(zlib.compress(bytes(21))),
        grey(zlib.compress(bytes(10) + b"\5" + bytes(9))),
        grey(b"no stream"),
        grey(ROWS, chunk(b"gAMA", bytes(3))),
        grey(ROWS, chunk(b"IDAT", b""), chunk(b"tIME", bytes(7))),
        grey(ROWS, width=0),
        SIGNATURE + header(4, 4) + chunk(b"IEND", b""),
        SIGNATURE + chunk(b"IDAT", ROWS) + header(4, 4) + chunk(b"IEND", b""),
    ],
    ids=[
        "end cut",
        "stream cut",
        "signature alone",
        "signature",
        "CRC",
        "Adler-32",
        "no Adler-32",
        "behind the stream",
        "a pixel too few",
        "a pixel too many",
        "no such filter",
        "no stream",
        "length of gAMA",
        "stream in two places",
        "no pixels",
        "no stream at all",
        "header behind",
    ],
)
def test_what_is_wrong_is_left_to_others(data: bytes) -> None:
    assert decode_plain_png(memoryview(data), MANY) is None


def test_a_picture_of_too_many_pixels_is_not_inflated() -> None:
    bomb = memoryview(grey(zlib.compress(bytes(20), 9), width=60_000, height=60_000))
    assert decode_plain_png(bomb, 10**6) is None
    assert decode_plain_png(memoryview(grey(ROWS)), 15) is None


def test_a_stream_that_goes_on_for_ever_is_read_no_further_than_the_picture() -> None:
    assert decode_plain_png(memoryview(grey(zlib.compress(bytes(2**24)))), MANY) is None


@pytest.mark.parametrize("mode", MODES)
def test_what_is_decoded_of_odd_files_is_what_pillow_decodes(mode: str) -> None:
    random_ = random.Random(mode)
    colour, channels = MODES[mode]
    image = picture(1, size=(20, 14)).convert(mode)
    rows = filtered(np.asarray(image).reshape(14, -1), channels, [row % 5 for row in range(14)])
    decoded = 0
    for number in range(1000):
        stream = zlib.compress(mutate(rows, random_))  # other pixels, other filters, too many rows, too few
        data = SIGNATURE + header(20, 14, colour) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
        if number % 2:
            data = mutate(data, random_)
        found = decode_plain_png(memoryview(data), MANY)
        if found is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as seen:
                np.testing.assert_array_equal(found.pixels.squeeze(), np.asarray(seen), err_msg=f"case {number}")
        decoded += 1
    assert 100 < decoded < 900

import io
import random
import struct
import zlib

import numpy as np
import pytest
from pairs import encode, picture
from PIL import Image

from schemas.reasons import Reason
from schemas.recipe import ScanSettings
from tasks.scan.decode import Decoded, ImageDefect, decode, sniff


def read(data: bytes, **changes: object) -> Decoded:
    settings = ScanSettings.model_validate(changes)
    return decode(memoryview(data), formats=settings.formats, max_pixels=settings.max_pixels)


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_allowed_format_gives_nearly_the_same_thumbnail(format: str, mode: str) -> None:
    image = picture(1, mode=mode)
    decoded = read(encode(image, format))
    assert decoded[1:] == (format, "RGB" if format == "WEBP" else mode, 256, 256)
    expected = np.asarray(image.convert("L").reduce(4), np.int16)
    assert decoded.luma.shape == (64, 64)
    assert decoded.luma.dtype == np.uint8
    assert np.abs(decoded.luma - expected).mean() < 3


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (100, 60), (33, 500), (1, 1)])
def test_every_size_of_jpeg_gives_a_square_thumbnail(size: tuple[int, int]) -> None:
    decoded = read(encode(picture(2, size=size)))
    assert (decoded.width, decoded.height) == size
    assert decoded.luma.shape == (64, 64)


def test_a_cmyk_jpeg_is_decoded_by_pillow() -> None:
    assert read(encode(picture(3, mode="CMYK"))).mode == "CMYK"


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"hello", Reason.IMAGE_UNDECODABLE, "no known image format in 5 bytes"),
        (encode(picture(4), "GIF"), Reason.IMAGE_FORMAT, "found GIF, expected one of JPEG"),
        (encode(picture(4), "BMP"), Reason.IMAGE_FORMAT, "found BMP"),
        (png_header(5000, 5000), Reason.IMAGE_TOO_LARGE, "found 5000 x 5000 pixels"),
        (png_header(60_000, 60_000), Reason.IMAGE_TOO_LARGE, "PNG"),
        (png_header(16, 16), Reason.IMAGE_UNDECODABLE, "PNG"),
        (encode(picture(4))[:-500], Reason.IMAGE_UNDECODABLE, "JPEG"),
        (encode(picture(4))[:10], Reason.IMAGE_UNDECODABLE, "JPEG"),
        (encode(picture(4), "PNG")[:-500], Reason.IMAGE_UNDECODABLE, "PNG"),
        (encode(picture(4), "WEBP")[:-500], Reason.IMAGE_UNDECODABLE, "WEBP"),
        (encode(picture(4), "TIFF")[:-500], Reason.IMAGE_UNDECODABLE, "TIFF"),
    ],
)
def test_what_cannot_be_decoded_is_a_defect_with_its_reason(data: bytes, reason: Reason, words: str) -> None:
    with pytest.raises(ImageDefect, match=words) as defect:
        read(data)
    assert defect.value.reason is reason


def test_only_allowed_decoders_run_and_limits_are_the_callers() -> None:
    with pytest.raises(ImageDefect) as defect:
        read(encode(picture(5), "PNG"), formats=["JPEG"])
    assert (defect.value.reason, defect.value.format) == (Reason.IMAGE_FORMAT, "PNG")
    with pytest.raises(ImageDefect) as defect:
        read(encode(picture(5)), max_pixels=65_535)
    assert (defect.value.reason, defect.value.size) == (Reason.IMAGE_TOO_LARGE, (256, 256))


def test_sniffing_short_data_is_safe() -> None:
    assert [sniff(memoryview(data)) for data in (b"", b"\xff", b"BM")] == [None, None, "BMP"]


def test_the_fast_jpeg_decoder_refuses_all_that_pillow_refuses() -> None:
    """Differential: mutated files; the fast decoder may refuse more than Pillow's strict decode, never less."""
    random_ = random.Random(20_260_101)
    small = picture(6, size=(96, 96))
    originals = [encode(small), encode(small, progressive=True, quality=60), encode(small.convert("L"), optimize=True)]
    accepted = refused = 0
    for _ in range(3000):
        data = _mutate(random_.choice(originals), random_)
        try:
            fast = read(data)
        except ImageDefect:
            refused += 1
            continue
        accepted += 1
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # raises if Pillow refuses
            assert image.size == (fast.width, fast.height)
    assert min(accepted, refused) > 300


def _mutate(data: bytes, random_: random.Random) -> bytes:
    mutant = bytearray(data)
    at = random_.randrange(3, len(mutant))
    kind = random_.randrange(4)
    if kind == 0:
        del mutant[at:]
    elif kind == 1:
        del mutant[at : at + random_.randrange(1, 40)]
    elif kind == 2:
        mutant[at:at] = random_.randbytes(random_.randrange(1, 20))
    else:
        for _ in range(random_.choice((1, 1, 5))):
            mutant[random_.randrange(3, len(mutant))] = random_.randrange(256)
    return bytes(mutant)

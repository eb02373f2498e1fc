"""Copies without loss have the pixels of their original; the others are of its size, and differ as they say."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tasks.demo import copies
from tasks.demo.imagery import decode, encode_jpeg


@pytest.fixture(scope="module")
def image() -> bytes:
    """A smooth picture, brighter in the east."""
    coarse = np.random.default_rng(1).integers(40, 160, (16, 16, 3), np.uint8)
    coarse[:, 8:] += 40
    return encode_jpeg(np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(
    ("make", "format"),
    [
        (lambda image: copies.png(image, 0), "PNG"),
        (lambda image: copies.png(image, 6), "PNG"),
        (copies.lossless_webp, "WEBP"),
        (copies.tiff, "TIFF"),
    ],
    ids=["stored PNG", "PNG", "WebP", "TIFF"],
)
def test_no_pixel_is_lost(image: bytes, make: Callable[[bytes], bytes], format: str) -> None:
    copy = make(image)
    with Image.open(io.BytesIO(copy)) as picture:
        assert (picture.format, picture.mode) == (format, "RGB")
    assert np.array_equal(decode(copy), decode(image))


def test_brighter_by_the_gain(image: bytes) -> None:
    assert decode(copies.brightened(image, 1.04, 60)).mean() / decode(image).mean() == pytest.approx(1.04, abs=0.01)


def test_recompressed_is_smaller_and_much_the_same(image: bytes) -> None:
    copy = copies.recompressed(image, 60)
    assert len(copy) < len(image)
    assert np.abs(decode(copy).astype(int) - decode(image)).mean() < 3


@pytest.mark.parametrize("make", [copies.resampled, lambda image: copies.blurred(image, 2)], ids=["resampled", "blur"])
def test_fine_detail_goes_and_the_rest_stays(make: Callable[[bytes], bytes]) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (256, 256, 3), np.uint8)
    before, after = (decode(file) for file in (encode_jpeg(noise), make(encode_jpeg(noise))))
    assert after.shape == before.shape
    assert after.std() < 0.7 * before.std()
    assert after.mean() == pytest.approx(before.mean(), abs=1.5)


def test_gamma_above_one_darkens_but_black_and_white(image: bytes) -> None:
    assert decode(copies.with_gamma(image, 1.3)).mean() < decode(image).mean() - 5
    for grey in (0, 255):
        ends = encode_jpeg(np.full((16, 16, 3), grey, np.uint8))
        assert np.array_equal(decode(copies.with_gamma(ends, 1.3)), decode(ends))


@pytest.mark.parametrize(
    ("way", "turn"),
    [(Image.Transpose.ROTATE_90, np.rot90), (Image.Transpose.FLIP_LEFT_RIGHT, np.fliplr)],
    ids=["quarter turn", "mirrored"],
)
def test_turned_as_said(image: bytes, way: Image.Transpose, turn: Callable[..., np.ndarray]) -> None:
    assert np.abs(decode(copies.turned(image, way)).astype(int) - turn(decode(image))).mean() < 2


def test_cropped_shows_what_is_within(image: bytes) -> None:
    copy = decode(copies.cropped(image, 4, 10, 12, 6))
    within = Image.fromarray(decode(image)[10:250, 4:244]).resize((256, 256), Image.Resampling.LANCZOS)
    assert np.abs(copy.astype(int) - np.asarray(within)).mean() < 2

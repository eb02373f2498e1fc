import numpy as np
import pytest
from numpy.typing import NDArray
from pairs import encode, picture
from PIL import Image, ImageEnhance, ImageFilter

from schemas.recipe import ScanSettings
from tasks.scan.decode import decode
from tasks.scan.measure import measure

SETTINGS = ScanSettings()


def thumbnail(image: Image.Image, **options: int) -> NDArray[np.uint8]:
    data = memoryview(encode(image, **options))
    return decode(data, formats=SETTINGS.formats, max_pixels=SETTINGS.max_pixels).luma


def test_statistics_are_those_of_the_pixels() -> None:
    luma = np.random.default_rng(0).integers(0, 256, (11, 64, 64), dtype=np.uint8)
    found = measure(luma)
    pixels = luma.astype(np.float64)
    np.testing.assert_allclose(found.luma_mean, pixels.mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.luma_std, pixels.std((1, 2)), rtol=1e-6)
    inner = pixels[:, 1:-1, 1:-1]
    around = pixels[:, :-2, 1:-1] + pixels[:, 2:, 1:-1] + pixels[:, 1:-1, :-2] + pixels[:, 1:-1, 2:]
    np.testing.assert_allclose(found.sharpness, (4 * inner - around).var((1, 2)), rtol=1e-6)


def test_the_result_does_not_depend_on_the_batch() -> None:
    luma = np.stack([thumbnail(picture(seed)) for seed in range(19)])
    whole = measure(luma)
    for size in (1, 3, 8, 16):
        parts = [measure(luma[start : start + size]) for start in range(0, len(luma), size)]
        for name, column in whole._asdict().items():
            np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), column)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_uniform_picture_has_no_spread_and_no_edges(level: int) -> None:
    found = measure(np.full((1, 64, 64), level, np.uint8))
    assert (found.luma_mean[0], found.luma_std[0], found.sharpness[0]) == (level, 0, 0)
    assert found.phash[0] == (0 if level == 0 else 1 << 63)  # only the constant coefficient is above the median


def test_an_empty_batch_is_measured() -> None:
    assert measure(np.empty((0, 64, 64), np.uint8)).phash.shape == (0,)


def test_near_copies_have_near_hashes_and_other_pictures_far_ones() -> None:
    image = picture(7)
    copies = [
        thumbnail(image, quality=50),
        thumbnail(image.resize((512, 512))),
        thumbnail(ImageEnhance.Brightness(image).enhance(1.1)),
        thumbnail(image.filter(ImageFilter.GaussianBlur(1))),
    ]
    others = [thumbnail(picture(seed)) for seed in range(8, 40)]
    phash = measure(np.stack([thumbnail(image), *copies, *others])).phash
    distance = np.bitwise_count(phash[1:] ^ phash[0])
    assert distance[: len(copies)].max() <= 4
    assert distance[len(copies) :].min() > 12


def test_the_hash_is_the_common_phash() -> None:
    """Held against the DCT computed from its definition, in floating point: at most a bit on the median's edge."""
    luma = thumbnail(picture(9)).astype(np.float64)
    small = luma.reshape(32, 2, 32, 2).mean((1, 3))
    n = np.arange(32)
    dct = np.cos(np.pi * (2 * n + 1) * np.arange(8)[:, None] / 64)
    low = (dct @ small @ dct.T).ravel()
    bits = low > np.median(low[1:])
    expected = int("".join("1" if bit else "0" for bit in bits), 2)
    assert (int(measure(luma.astype(np.uint8)[None]).phash[0]) ^ expected).bit_count() <= 1


def test_blur_lowers_sharpness() -> None:
    noise = picture(1, size=(64, 64)).resize((256, 256))
    sharp, blurred = measure(
        np.stack([thumbnail(noise), thumbnail(noise.filter(ImageFilter.GaussianBlur(12)))])
    ).sharpness
    assert blurred < sharp / 2

import numpy as np
import pytest
from numpy.typing import NDArray
from pairs import picture, thumbnail
from PIL import ImageDraw, ImageFilter

from tasks.scan.measure import measure


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


def test_an_empty_batch_is_measured() -> None:
    assert measure(np.empty((0, 64, 64), np.uint8)).luma_std.shape == (0,)


def test_blur_lowers_sharpness() -> None:
    noise = picture(1, size=(64, 64)).resize((256, 256))
    sharp, blurred = measure(
        np.stack([thumbnail(noise), thumbnail(noise.filter(ImageFilter.GaussianBlur(12)))])
    ).sharpness
    assert blurred < sharp / 2


def nodata(luma: NDArray[np.uint8]) -> float:
    return float(measure(luma[None]).nodata_fraction[0])


def test_nodata_is_what_the_definition_says_for_pictures_full_of_black_and_white() -> None:
    random = np.random.default_rng(0)
    luma = random.choice(np.array([0, 2, 3, 254, 255], np.uint8), (60, 64, 64), p=[0.45, 0.3, 0.05, 0.05, 0.15])
    luma[::3, 10:-10, 10:-10] = 100
    found = measure(luma).nodata_fraction
    for picture_, fraction in zip(luma, found, strict=True):
        runs = np.zeros((64, 64), np.bool_)
        for extreme in (picture_ <= 2, picture_ == 255):
            for y, x in np.argwhere(extreme):
                rays = (extreme[y, : x + 1], extreme[y, x:], extreme[: y + 1, x], extreme[y:, x])
                runs[y, x] |= any(ray.all() for ray in rays)
        assert fraction == np.float32(runs.sum() / 4096)
    assert np.ptp(found) > 0


def test_a_border_counts_and_the_same_black_or_white_inside_does_not() -> None:
    for extreme in (0, 255):
        luma = np.full((64, 64), 100, np.uint8)
        assert nodata(luma) == 0
        luma[20:40, 20:40] = extreme
        assert nodata(luma) == 0
        luma[:, :4] = extreme
        assert nodata(luma) == 4 / 64
        luma[-2:] = extreme
        assert nodata(luma) == 1 - (60 / 64) * (62 / 64)
        assert nodata(np.full((64, 64), extreme, np.uint8)) == 1


def test_dark_water_and_bright_snow_at_the_edge_are_data() -> None:
    for level in (3, 254):
        luma = np.full((64, 64), 100, np.uint8)
        luma[:30] = level
        assert nodata(luma) == 0


@pytest.mark.parametrize("colour", ["black", "white"])
@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 75}, {"quality": 50, "progressive": True}])
@pytest.mark.parametrize("corner", [(0, 0), (255, 0), (0, 255), (255, 255)])
def test_the_wedge_of_a_rotated_scene_is_found_through_jpeg(
    colour: str, options: dict[str, int], corner: tuple[int, int]
) -> None:
    image = picture(3).point(lambda level: 40 + level // 2)
    assert nodata(thumbnail(image, **options)) == 0
    x, y = corner
    ImageDraw.Draw(image).polygon([corner, (abs(x - 200), y), (x, abs(y - 110))], fill=colour)
    share = 200 * 110 / 2 / 256**2
    assert 0.6 * share < nodata(thumbnail(image, **options)) < 1.05 * share

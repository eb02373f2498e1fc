"""Resampling to Web Mercator, against a slow reference and against what must hold exactly."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.demo.imagery import TILE_PIXELS, decode, encode_jpeg, mercator, mercator_window, overview
from tasks.tiles import tile_centre, tile_corner


@pytest.fixture(scope="module")
def world() -> NDArray[np.uint8]:
    """A small map of noise, smooth enough that a reference by sampling converges."""
    coarse = np.random.default_rng(1).integers(0, 256, (45, 90, 3))
    return np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1).astype(np.uint8)


def _reference(world: NDArray[np.uint8], level: int, top: int, left: int, size: int) -> NDArray[np.float64]:
    """Return the mean of 32 x 32 bilinear samples in each pixel."""
    per_pixel = 32
    at = (np.arange(size * per_pixel) + 0.5) / per_pixel
    longitude = 360 * (left + at) / 2**level - 180
    edges = tile_corner(level, 0, top + np.arange(size + 1))[1]
    share = (np.arange(per_pixel) + 0.5) / per_pixel  # evenly in latitude, as rows of the map are
    latitude = (edges[:-1, None] + np.diff(edges)[:, None] * share).ravel()
    height, width = world.shape[:2]
    y, x = (90 - latitude) / 180 * height - 0.5, (longitude + 180) / 360 * width - 0.5
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    v, u = (y - y0)[:, None, None], (x - x0)[None, :, None]
    upper = world[y0][:, x0 % width] * (1 - u) + world[y0][:, (x0 + 1) % width] * u
    lower = world[y0 + 1][:, x0 % width] * (1 - u) + world[y0 + 1][:, (x0 + 1) % width] * u
    samples = upper * (1 - v) + lower * v
    return samples.reshape(size, per_pixel, size, per_pixel, 3).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("level", "top", "left", "size"),
    [(4, 0, 0, 16), (6, 24, 30, 16), (8, 100, 0, 16), (10, 700, 1000, 24)],
    ids=["reduced 11 times", "reduced 3 times", "about as it is, at the antimeridian", "enlarged 6 times"],
)
def test_pixel_is_the_mean_of_the_bilinear_surface(
    world: NDArray[np.uint8], level: int, top: int, left: int, size: int
) -> None:
    window = mercator_window(world, level, top, left, size, size)
    assert np.abs(window - _reference(world, level, top, left, size)).max() < 1.2  # rounding, and 32 samples a side


def test_window_is_part_of_the_whole(world: NDArray[np.uint8]) -> None:
    whole = mercator(world, 9)
    assert whole.shape == (512, 512, 3)
    assert np.array_equal(mercator_window(world, 9, 130, 40, 70, 90), whole[130:200, 40:130])


def test_uniform_map_stays_uniform() -> None:
    for grey in (0, 1, 254, 255):
        assert np.unique(mercator(np.full((90, 180, 1), grey, np.uint8), 7)).tolist() == [grey]


def test_fine_checkerboard_is_averaged_to_grey() -> None:
    board = ((np.indices((720, 1440)).sum(axis=0) % 2) * 255).astype(np.uint8)[:, :, None]
    reduced = mercator(board, 5)[8:24].astype(int)  # 22 to 45 map pixels a pixel
    assert np.abs(reduced - 127.5).max() < 3


def test_north_is_up_and_the_map_starts_at_180_degrees_west() -> None:
    world = np.zeros((180, 360, 2), np.uint8)
    world[:90, :, 0] = 255  # the northern hemisphere
    world[:, :180, 1] = 255  # the western hemisphere
    picture = mercator(world, 8)
    assert (picture[:127, :, 0] == 255).all()
    assert (picture[129:, :, 0] == 0).all()
    assert (picture[:, 1:127, 1] == 255).all()
    assert (picture[:, 129:255, 1] == 0).all()


def test_pixel_lies_at_the_latitude_of_its_centre() -> None:
    grey = np.rint((np.arange(2160) + 0.5) / 2160 * 255)
    world = np.broadcast_to(grey[:, None, None], (2160, 80, 1)).astype(np.uint8)
    y = np.arange(256)
    expected = (90 - tile_centre(8, 0, y)[1]) / 180 * 255
    assert np.abs(mercator(world, 8)[:, 0, 0] - expected).max() < 1.01


def test_overview_rounds_the_mean_of_four() -> None:
    four = np.array([[0, 255, 1, 1], [255, 255, 1, 0]], np.uint8)[:, :, None]
    assert overview(four)[0, :, 0].tolist() == [191, 1]  # of 191.25 and 0.75


def test_jpeg_is_close_to_its_pixels_and_the_same_each_time(world: NDArray[np.uint8]) -> None:
    tile = mercator_window(world, 8, 64, 64, TILE_PIXELS // 2, TILE_PIXELS // 2)
    image = encode_jpeg(tile)
    assert image == encode_jpeg(tile)
    assert decode(image).shape == tile.shape
    assert np.abs(decode(image).mean(axis=(0, 1)) - tile.mean(axis=(0, 1))).max() < 2

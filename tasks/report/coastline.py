"""The outlines of all land: Natural Earth's 1:110m land (public domain, naturalearthdata.com).

``coastline.json`` was made from ``land-110m.json`` of the npm package world-atlas 2.0.2 (TopoJSON): arcs joined into
rings, rings cut at the antimeridian so that none crosses the map, degrees rounded to 2 decimals, one flat
``[lon, lat, lon, lat, ...]`` a ring.
"""

import json
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray


@cache
def rings() -> tuple[NDArray[np.float64], ...]:
    """Return the outline of each piece of land, of shape ``(n, 2)``: longitude and latitude [degrees]; not closed."""
    told = json.loads(resources.files("tasks.report").joinpath("coastline.json").read_text("utf-8"))
    return tuple(np.reshape(np.asarray(ring, np.float64), (-1, 2)) for ring in told)

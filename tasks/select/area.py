"""Which tiles lie in an area that a GeoJSON file outlines."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from schemas.errors import CurationError

if TYPE_CHECKING:
    import shapely


class AreaInvalid(CurationError):
    """A file is no GeoJSON of polygons; the message names it, what was found and what was expected."""


def read_area(path: UPath) -> "shapely.Geometry":
    """Return the union of all polygons in the GeoJSON file ``path`` (RFC 7946: longitude and latitude in degrees).

    Raises:
        AreaInvalid: if the file cannot be read, holds no polygon, or one that crosses itself or leaves the globe.
    """
    import shapely
    from shapely.geometry import shape

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AreaInvalid(f"{path}: {getattr(error, 'strerror', None) or error}; expected a GeoJSON file") from error
    polygons = []
    for where, geometry in _geometries(data, ""):
        kind = geometry.get("type")
        if kind not in ("Polygon", "MultiPolygon"):
            raise AreaInvalid(f"{path}: {where or 'the file'}: found {kind!r}, expected Polygon or MultiPolygon")
        try:
            polygon = shape(geometry)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
            raise AreaInvalid(f"{path}: {where or 'the file'}: no coordinates of a {kind}: {error}") from error
        if not polygon.is_valid:
            told = shapely.is_valid_reason(polygon)
            raise AreaInvalid(f"{path}: {where or 'the polygon'}: {told}; expected rings that do not cross")
        if not polygon.is_empty:
            west, south, east, north = polygon.bounds
            if west < -180 or east > 180 or south < -90 or north > 90:
                bounds = f"{west:g}, {south:g}, {east:g}, {north:g}"
                raise AreaInvalid(
                    f"{path}: {where or 'the polygon'}: found bounds {bounds}, expected degrees within "
                    "-180, -90, 180, 90; cut it at the antimeridian, as RFC 7946 says"
                )
            polygons.append(polygon)
    if not polygons:
        raise AreaInvalid(f"{path}: found no polygon, expected Polygon or MultiPolygon geometries")
    area = shapely.union_all(polygons)
    shapely.prepare(area)
    return area


def inside(
    area: "shapely.Geometry", longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which points lie in ``area`` or on its edge; NaN does not. Arrays of shape (rows,), degrees."""
    import shapely

    west, south, east, north = area.bounds
    near = np.flatnonzero((longitude >= west) & (longitude <= east) & (latitude >= south) & (latitude <= north))
    found = np.zeros(len(longitude), np.bool_)
    found[near] = shapely.intersects_xy(area, longitude[near], latitude[near])
    return found


def _geometries(data: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the geometries of a GeoJSON object, and where each stands."""
    if not isinstance(data, dict):
        yield where, {"type": type(data).__name__}
        return
    for members, kind in (("features", "FeatureCollection"), ("geometries", "GeometryCollection")):
        if data.get("type") == kind:
            listed = data.get(members)
            for number, member in enumerate(listed if isinstance(listed, list) else ()):
                yield from _geometries(member, f"{where}.{members}[{number}]".lstrip("."))
            return
    if data.get("type") == "Feature":
        if data.get("geometry") is not None:  # null: a feature without place
            yield from _geometries(data["geometry"], f"{where}.geometry".lstrip("."))
        return
    yield where, data

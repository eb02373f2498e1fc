import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signals import scanned, select, tile, verdicts
from upath import UPath

from schemas.reasons import Reason
from tasks.select.area import AreaInvalid, inside, read_area

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[4, 4], [4, 6], [6, 6], [6, 4], [4, 4]]
EAST, WEST = ([[x, -5], [x + 10, -5], [x + 10, 5], [x, 5], [x, -5]] for x in (170, -180))
POLYGON = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}
MULTI = {"type": "MultiPolygon", "coordinates": [[EAST], [WEST]]}
LINE = {"type": "Feature", "geometry": {"type": "LineString"}}
FEATURES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "properties": {}, "geometry": POLYGON},
        {"type": "Feature", "properties": {}, "geometry": None},
        {"type": "Feature", "properties": {}, "geometry": {"type": "GeometryCollection", "geometries": [MULTI]}},
    ],
}


def written(folder: Path, data: Any) -> UPath:
    path = folder / "area.geojson"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return UPath(path)


def test_points_are_inside_polygons_and_on_their_edges_and_not_in_their_holes(tmp_path: Path) -> None:
    area = read_area(written(tmp_path, FEATURES))
    points = [
        (1, 1),
        (5, 5),
        (10, 5),
        (4, 5),
        (11, 5),
        (175, 0),
        (-175, 0),
        (180, 0),
        (160, 0),
        (np.nan, 5),
        (5, np.nan),
    ]
    longitude, latitude = np.array(points, float).T
    expected = [True, False, True, True, False, True, True, True, False, False, False]
    assert inside(area, longitude, latitude).tolist() == expected


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("{", r"area.geojson: .*expected a GeoJSON file"),
        ([], r"the file: found 'list', expected Polygon or MultiPolygon"),
        ({"type": "FeatureCollection", "features": []}, r"found no polygon"),
        (
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}},
            r"geometry: found 'Point'",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}, r"Self-intersection"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [190, 0], [0, 1], [0, 0]]]},
            r"found bounds 0, 0, 190, 1",
        ),
        ({"type": "Polygon", "coordinates": [[["a", 0], [1, 0], [0, 1], ["a", 0]]]}, r"no coordinates of a Polygon"),
        ({"type": "Polygon", "coordinates": 3}, r"no coordinates of a Polygon"),
        ({"type": "Polygon"}, r"no coordinates of a Polygon"),
        ({"type": "FeatureCollection", "features": [FEATURES, LINE]}, r"features\[1\].geometry: found 'LineString'"),
    ],
)
def test_what_is_no_area_is_refused_by_file_and_place(tmp_path: Path, data: Any, told: str) -> None:
    with pytest.raises(AreaInvalid, match=told):
        read_area(written(tmp_path, data))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AreaInvalid, match=r"no.geojson: No such file"):
        read_area(UPath(tmp_path / "no.geojson"))


def test_the_tile_s_centre_decides_and_a_row_without_place_is_outside(tmp_path: Path) -> None:
    rows = [tile(6, 32, 31), tile(6, 40, 31), {}]  # at 2.8 and 47.8 degrees east
    path = written(tmp_path, POLYGON)
    found = verdicts(select(tmp_path, scanned(tmp_path, rows), area={"path": path}))
    assert [verdict["reasons"] for verdict in found] == [0, Reason.AREA_OUTSIDE.bit, Reason.AREA_OUTSIDE.bit]

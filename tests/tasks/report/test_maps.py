"""Maps: the coastline asset, where points are counted, and how much of the world is shown."""

import re

import numpy as np
import pytest
from matplotlib.path import Path

from tasks.report.maps import SPLIT_COLOURS, extent_of, land, split_map, tile_counts, tile_map

WORLD = extent_of(np.array([-180.0, 0.0, 100.0]), np.array([-80.0, 0.0, 80.0]))


def test_coastline_stays_on_the_globe_and_never_crosses_the_map() -> None:
    points = np.asarray(land().vertices)
    assert np.abs(points).max(axis=0).tolist() == [180, 90]
    drawn = (np.asarray(land().codes)[1:] == Path.LINETO) & (points[1:, 1] > -90)  # the pole's edge is the map's frame
    assert np.abs(np.diff(points[:, 0]))[drawn].max() < 30


def test_land_is_where_land_is() -> None:
    # Paris, Nairobi, Alice Springs, Chukotka on either side of the antimeridian; Atlantic, Pacific.
    places = [(2.35, 48.85), (36.82, -1.29), (133.88, -23.7), (179, 67), (-179, 67), (-30, 30), (-140, 0)]
    assert land().contains_points(places).tolist() == [True] * 5 + [False] * 2


def test_tile_counts_keep_every_point() -> None:
    cells = tile_counts(np.array([-180.0, 0.5, 0.7, 180.0]), np.array([-85.0, 0.5, 0.1, 85.0]), WORLD)
    assert cells.shape == (WORLD.rows, WORLD.columns)
    assert cells.sum() == 4
    assert cells[round(-WORLD.south / 2), 90] == 2
    assert cells[0, 0] == cells[-1, 0] == 1  # 180 degrees east is 180 degrees west


def test_map_of_millions_is_small() -> None:
    rng = np.random.default_rng(0)
    cells = tile_counts(rng.uniform(-180, 180, 10**6), rng.uniform(-85, 85, 10**6), WORLD)
    svg = tile_map(cells, extent=WORLD, most=int(cells.max()), colour="source", box=None)
    assert len(svg) < 300_000


def test_a_box_around_the_globe_is_as_wide_as_the_map() -> None:
    """Its edges are 360 degrees apart: it is no line."""
    cells = tile_counts(np.array([0.0]), np.array([0.0]), WORLD)
    svg = tile_map(cells, extent=WORLD, most=1, colour="subset", box=(-180.0, -20.0, 180.0, 20.0))
    framed = next(path for path in re.findall(r"<path [^>]*>", svg) if "var(--limit)" in path)
    found = re.findall(r"[ML] ([0-9.-]+) [0-9.-]+", framed)
    assert max(map(float, found)) - min(map(float, found)) > 100


def test_box_across_the_antimeridian_is_drawn_in_two_parts() -> None:
    cells = tile_counts(np.zeros(1), np.zeros(1), WORLD)
    around, plain, none = (
        tile_map(cells, extent=WORLD, most=1, colour="subset", box=box).count("var(--limit)")
        for box in ((170.0, -20.0, -170.0, 20.0), (-10.0, -20.0, 10.0, 20.0), None)
    )
    assert around - none == 2
    assert plain - none == 1


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [
        ([11.4, 11.8], [48.0, 48.2]),
        ([179.9, -179.9], [-17.0, -18.0]),
        ([-0.5, 0.5], [0.0, 0.0]),
        ([25.0, 25.1], [84.9, 85.0]),
        ([-70.0, -70.0], [-85.0, -80.0]),
        ([-60.0, 40.0], [70.0, 85.0]),
        ([-60.0, 40.0], [-85.0, -70.0]),
        ([7.0], [51.0]),
        ([-130.0, -70.0], [25.0, 50.0]),
        ([160.0, -150.0], [-30.0, 10.0]),
    ],
)
def test_a_part_of_the_world_is_shown_with_all_points_inside(longitude: list[float], latitude: list[float]) -> None:
    east, north = np.array(longitude), np.array(latitude)
    extent = extent_of(east, north)
    assert not extent.whole
    assert -90 <= extent.south < extent.north <= 90
    assert extent.south <= north.min() <= north.max() < extent.north
    assert ((east - extent.west) % 360 < extent.columns * extent.cell).all()
    cells = tile_counts(east, north, extent)
    assert cells.sum() == len(east)
    assert 60 < extent.columns < 300
    svg = tile_map(cells, extent=extent, most=1, colour="source", box=None)
    assert "°" in svg
    assert "var(--limit)" in svg  # where in the world it is


def test_points_far_apart_and_no_points_show_the_world() -> None:
    assert extent_of(np.array([-100.0, 10.0, 120.0]), np.zeros(3)).whole
    assert extent_of(np.zeros(0), np.zeros(0)).whole
    assert extent_of(np.arange(-180.0, 180.0), np.zeros(360)).whole


def test_each_split_has_a_colour_of_its_own_and_more_than_there_are_colours_can_be_drawn() -> None:
    cells = tile_counts(np.array([10.0, 20.0]), np.array([10.0, 20.0]), WORLD)
    assert len(set(SPLIT_COLOURS)) == len(SPLIT_COLOURS)
    assert split_map({str(number): cells for number in range(9)}, WORLD) == split_map(
        {str(number): cells for number in range(len(SPLIT_COLOURS))}, WORLD
    )

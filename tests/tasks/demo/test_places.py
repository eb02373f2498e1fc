"""What lies where: shares of land, and the nearest shore, on made-up and on the real maps."""

import numpy as np
import pytest

from tasks.demo.mapdata import read_coast, read_land_mask
from tasks.demo.places import Atlas, nearest_shores


@pytest.fixture(scope="module")
def earth() -> Atlas:
    return Atlas(read_land_mask(), read_coast(), max_zoom=3)


def test_shares_of_a_made_up_map() -> None:
    mask = np.zeros((180, 360), np.uint8)
    mask[:, :90] = 1  # land west of 90 degrees west
    mask[:90, 90:180] = 2  # a lake from there to Greenwich, north of the equator
    atlas = Atlas(mask, np.array([[0.0, 0.0]]), max_zoom=2)
    world, quarter = atlas.place(0, 0, 0), atlas.place(1, 0, 0)
    assert world.land_share == pytest.approx(0.25, abs=0.01)
    assert world.lake_share == pytest.approx(0.125, abs=0.01)
    assert quarter.land_share == pytest.approx(0.5, abs=0.01)
    assert quarter.lake_share == pytest.approx(0.5, abs=0.01)
    assert quarter.land[:, 1:15].min() == 1  # north up, west to the left; the outermost cells touch the other side
    assert quarter.land[:, 17:].max() == 0
    assert (quarter.longitude, round(quarter.latitude, 2)) == (-90, 66.51)


def test_shares_of_the_earth(earth: Atlas) -> None:
    sahara, pacific = earth.place(3, 4, 3), earth.place(3, 0, 4)
    assert sahara.land_share > 0.75
    assert pacific.land_share < 0.01
    assert earth.place(3, 4, 7).land_share == 1  # Antarctica
    assert earth.place(1, 0, 0).lake_share > 0.002  # the Great Lakes, among others


def test_a_level_is_the_mean_of_the_next(earth: Atlas) -> None:
    children = [earth.place(3, 2 + x, 2 + y).land_share for x in (0, 1) for y in (0, 1)]
    assert earth.place(2, 1, 1).land_share == pytest.approx(np.mean(children), abs=0.002)


@pytest.mark.parametrize(
    ("longitude", "latitude", "distance_km"),
    [(-123.393, -48.877, 2688), (82.19, 44.29, 2510)],
    ids=["Point Nemo", "the Eurasian pole of inaccessibility"],  # Garcia-Castellanos and Lombardo 2007
)
def test_distance_of_the_farthest_places(longitude: float, latitude: float, distance_km: float) -> None:
    (shore,) = nearest_shores(np.array([[longitude, latitude]]), read_coast())
    assert shore.distance_km == pytest.approx(distance_km, rel=0.01)


@pytest.mark.parametrize(
    ("place", "shore", "distance_km", "direction"),
    [
        ((179.0, 0.0), (-179.0, 0.0), 222.39, "east"),  # across the date line
        ((0.0, 0.0), (0.0, -10.0), 1111.95, "south"),
        ((0.0, 80.0), (180.0, 80.0), 2223.9, "north"),  # over the pole
        ((10.0, 50.0), (9.0, 51.0), 131.8, "north-west"),
    ],
)
def test_distance_and_direction_on_the_sphere(
    place: tuple[float, float], shore: tuple[float, float], distance_km: float, direction: str
) -> None:
    (found,) = nearest_shores(np.array([place]), np.array([shore, (0.0, -89.0)]))
    assert found.distance_km == pytest.approx(distance_km, abs=0.1)
    assert found.direction == direction


def test_shore_direction_from_madrid() -> None:
    (shore,) = nearest_shores(np.array([[-3.70, 40.42]]), read_coast())
    assert shore.distance_km == pytest.approx(300, rel=0.05)
    assert shore.direction == "east"  # the Gulf of Valencia

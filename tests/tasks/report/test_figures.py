"""Figures: the coastline asset, the bars, and values that break a careless histogram."""

import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from matplotlib.path import Path
from numpy.typing import NDArray

from tasks.report.figures import Limits, Measure, histogram, land, tile_counts, tile_map


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
    cells = tile_counts(np.array([-180.0, 0.5, 0.7, 180.0]), np.array([-85.0, 0.5, 0.1, 85.0]))
    assert cells.sum() == 4
    assert cells[45, 90] == 2


def test_map_of_millions_is_small() -> None:
    rng = np.random.default_rng(0)
    cells = tile_counts(rng.uniform(-180, 180, 10**6), rng.uniform(-85, 85, 10**6))
    svg = tile_map(cells, source=cells, colour="source", box=None)
    assert len(svg) < 500_000


def test_a_box_around_the_globe_is_as_wide_as_the_map() -> None:
    """Its edges are 360 degrees apart: it is no line."""
    cells = tile_counts(np.array([0.0]), np.array([0.0]))
    svg = tile_map(cells, source=cells, colour="subset", box=(-180.0, -20.0, 180.0, 20.0))
    framed = next(path for path in re.findall(r"<path [^>]*>", svg) if "var(--limit)" in path)
    found = re.findall(r"[ML] ([0-9.-]+) [0-9.-]+", framed)
    assert max(map(float, found)) - min(map(float, found)) > 100


def test_box_across_the_antimeridian_is_drawn_in_two_parts() -> None:
    cells = tile_counts(np.zeros(1), np.zeros(1))
    around, plain, none = (
        tile_map(cells, source=cells, colour="subset", box=box).count("var(--limit)")
        for box in ((170.0, -20.0, -170.0, 20.0), (-10.0, -20.0, 10.0, 20.0), None)
    )
    assert around - none == 2
    assert plain - none == 1


@pytest.mark.parametrize("measure", ["score", "words"])
@pytest.mark.parametrize(
    "values",
    [
        np.array([17.0]),
        np.full(100, 17.0),
        np.array([0.0, 1e308, -1e308]),
        np.array([1.0, np.nextafter(1.0, 2.0)]),
        np.arange(5000.0),
    ],
)
@pytest.mark.parametrize("limits", [Limits(), Limits(low=4.0), Limits(high=9.0), Limits(30.0, 30.0), Limits(1e300)])
def test_any_finite_values_can_be_drawn(values: NDArray[np.float64], measure: Measure, limits: Limits) -> None:
    svg = histogram(values, values[:0], measure=measure, limits=limits)
    ElementTree.fromstring(svg)
    assert len(svg) < 200_000


def test_small_subset_is_drawn_on_a_log_scale() -> None:
    values = np.random.default_rng(0).normal(5, 1, 10_000)
    assert "log scale" in histogram(values, values[:20], measure="score", limits=Limits())
    assert "log scale" not in histogram(values, values[:5000], measure="score", limits=Limits())


def test_far_limit_does_not_press_the_bars_into_one() -> None:
    values = np.arange(100.0)
    assert "≤ 150" in histogram(values, values, measure="words", limits=Limits(high=150))
    far = histogram(values, values, measure="words", limits=Limits(high=10**6))
    assert far == histogram(values, values, measure="words", limits=Limits())


@pytest.mark.parametrize("threshold", [4.8, 4.84, 4.88, 4.92])
def test_no_bar_lies_across_a_threshold(threshold: float) -> None:
    scores = np.random.default_rng(0).normal(5, 1, 10_000)
    svg = histogram(scores, scores[scores >= threshold], measure="score", limits=Limits(threshold))
    corners = r'd="M ([\d.]+) ([\d.]+) \nL [\d.]+ [\d.]+ \nL [\d.]+ ([\d.]+) [^"]*"[^>]*fill: var\(--subset\)'
    bars = [float(left) for left, bottom, top in re.findall(corners, svg) if bottom != top]
    (line,) = re.findall(r'd="M ([\d.]+) [^"]*"[^>]*stroke: var\(--limit\)', svg)
    assert len(bars) > 10
    assert min(bars) > float(line)


def test_rare_zoom_level_has_its_own_bar() -> None:
    svg = histogram(np.array([10.0] + [15.0] * 10_000), np.arange(0.0), measure="zoom", limits=Limits())
    assert "128" in list(ElementTree.fromstring(svg).itertext())  # metres a pixel at zoom 10


def test_zoom_levels_are_labelled_with_their_nominal_resolution() -> None:
    svg = histogram(np.arange(10.0, 19.0), np.arange(0.0), measure="zoom", limits=Limits())
    assert {">128<", ">1<", ">0.5<"} <= {f">{text}<" for text in ElementTree.fromstring(svg).itertext()}


def test_threads_and_a_persons_own_style_do_not_change_a_byte() -> None:
    values = np.random.default_rng(0).normal(5, 1, 1000)

    def draw(_: int) -> str:
        return histogram(values, values[:500], measure="score", limits=Limits(4.8))

    expected = draw(0)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True}), ThreadPoolExecutor(8) as pool:
        assert set(pool.map(draw, range(16))) == {expected}

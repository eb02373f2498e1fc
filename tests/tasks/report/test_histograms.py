"""Histograms: values that break a careless one, and what is drawn in."""

import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.thresholds import Limits
from tasks.report.histograms import Measure, histogram, overlay


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


@pytest.mark.parametrize("empty", ["a", "b"])
def test_two_subsets_are_drawn_over_the_same_bars_each_with_its_limit(empty: str) -> None:
    scores = np.random.default_rng(0).normal(5, 1, 2000)
    svg = overlay(scores, scores[scores > 5], measure="score", limits=(Limits(), Limits(5.0)))
    dashed = re.findall(r'd="M ([\d.]+) [^"]*"[^>]*stroke-dasharray[^>]*stroke: var\(--([ab])\)', svg)
    assert [side for _, side in dashed] == ["b"]
    sides = {"a": scores, "b": scores} | {empty: scores[:0]}
    alone = overlay(sides["a"], sides["b"], measure="score", limits=(Limits(), Limits()))
    assert f"var(--{empty})" not in alone
    assert f"var(--{'b' if empty == 'a' else 'a'})" in alone

"""The figures of the page that is browsed, as Plotly draws them: made once, and then only moved."""

from functools import cache
from typing import Any

import numpy as np
from dash import Patch

from schemas.thresholds import Limits
from tasks.browse._count import Counts
from tasks.browse.trial import Figure
from tasks.report.coastline import rings

_SOURCE, _SUBSET, _LIMIT, _INK = "#a3afba", "#12998b", "#dd6a34", "#7c8791"
"""Legible on a light page and on a dark one: no CSS reaches into a figure."""
_SOURCE_SHADES = ("rgba(124,135,145,.4)", "rgba(124,135,145,.95)")
_SUBSET_SHADES = ("rgba(18,153,139,.75)", "rgb(8,122,110)")
_LEAST_DEGREES = 40.0
"""Width of what the map shows at least, so that a town is seen with its coast."""

_LAYOUT = {
    "margin": {"l": 48, "r": 10, "t": 8, "b": 36},
    "height": 230,
    "barmode": "overlay",
    "bargap": 0.08,
    "showlegend": False,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": _INK, "size": 12},
}
_AXIS = {"gridcolor": "rgba(124,135,145,.18)", "zerolinecolor": "rgba(124,135,145,.35)"}


def histogram(figure: Figure, counts: Counts, limits: Limits) -> dict[str, Any]:
    """Return source and subset (``counts``, by bar) over the same bars, and the limits as dashed lines."""
    middles = ((figure.edges[:-1] + figure.edges[1:]) / 2).tolist()
    width = float(figure.edges[1] - figure.edges[0])
    bars = [
        {
            "type": "bar",
            "x": middles,
            "y": values.tolist(),
            "width": width * 0.92,
            "marker": {"color": colour},
            "name": name,
        }
        for values, colour, name in ((figure.source, _SOURCE, "source"), (counts, _SUBSET, "subset"))
    ]
    axes = {"xaxis": {**_AXIS, "title": {"text": figure.control.label}}, "yaxis": {**_AXIS, "tickformat": "~s"}}
    return {"data": bars, "layout": {**_LAYOUT, **axes, "shapes": _lines(limits)}}


def moved_bars(counts: Counts, limits: Limits) -> Patch:
    """Return what of a :func:`histogram` other limits change."""
    patch = Patch()
    patch["data"][1]["y"] = counts.tolist()
    patch["layout"]["shapes"] = _lines(limits)
    return patch


def _lines(limits: Limits) -> list[dict[str, Any]]:
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"color": _LIMIT, "width": 1.5, "dash": "dash"}}
    return [{**line, "x0": limit, "x1": limit} for limit in limits if limit is not None]


def world_map(source: Counts, subset: Counts) -> dict[str, Any]:
    """Return a map of pairs by cell of 2 degrees, shapes (90, 180) from the south-west: subset above source."""
    cells = {"type": "heatmap", "x0": -179, "dx": 2, "y0": -89, "dy": 2, "showscale": False, "zmin": 0}
    cells |= {"zmax": float(np.log10(max(source.max(), 10))), "hovertemplate": "%{x}°, %{y}°<extra></extra>"}
    layers = [
        {**cells, "z": _logarithms(counts), "colorscale": [[0, faint], [1, colour]]}
        for counts, faint, colour in ((source, *_SOURCE_SHADES), (subset, *_SUBSET_SHADES))
    ]
    x, y = _coastline()
    pen = {"color": _INK, "width": 0.7}
    coast = {"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "line": pen}
    west, east, south, north = _extent(source)
    axes = {
        "xaxis": {"range": [west, east], "visible": False, "constrain": "domain"},
        "yaxis": {"range": [south, north], "visible": False, "scaleanchor": "x", "constrain": "domain"},
    }
    return {"data": [*layers, coast], "layout": {**_LAYOUT, **axes, "margin": {"l": 4, "r": 4, "t": 4, "b": 4}}}


def _extent(source: Counts) -> tuple[float, float, float, float]:
    """Return what the map shows [degrees]: the source, and some land around it to see where it is."""
    rows, columns = np.nonzero(source)
    if not len(rows):
        return -180.0, 180.0, -58.0, 84.0
    west, south = 2.0 * columns.min() - 180, 2.0 * rows.min() - 90
    width, height = 2.0 * np.ptp(columns) + 2, 2.0 * np.ptp(rows) + 2
    room = max(0.08 * width, (_LEAST_DEGREES - width) / 2)
    above = max(0.08 * height, (_LEAST_DEGREES / 2 - height) / 2)
    return (
        max(-180.0, west - room),
        min(180.0, west + width + room),
        max(-90.0, south - above),
        min(90.0, south + height + above),
    )


def moved_map(cells: Counts) -> Patch:
    """Return what of a :func:`world_map` another subset changes."""
    patch = Patch()
    patch["data"][1]["z"] = _logarithms(cells)
    return patch


def _logarithms(cells: Counts) -> list[list[float | None]]:
    logs = np.round(np.log10(np.maximum(cells, 1)), 2).astype(object)
    logs[cells == 0] = None  # no cell, and what lies under it is seen
    told: list[list[float | None]] = logs.tolist()
    return told


@cache
def _coastline() -> tuple[list[float | None], list[float | None]]:
    x: list[float | None] = []
    y: list[float | None] = []
    for ring in rings():
        x += [*ring[:, 0].tolist(), ring[0, 0].item(), None]  # closed; and the pen is lifted
        y += [*ring[:, 1].tolist(), ring[0, 1].item(), None]
    return x, y

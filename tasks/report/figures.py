"""The four figures of the Git-10M paper, source and subset on the same axes, as SVG in the page's own colours.

Coastlines are Natural Earth's 1:110m land (public domain, naturalearthdata.com). ``coastline.json`` was made from
``land-110m.json`` of the npm package world-atlas 2.0.2 (TopoJSON): arcs joined into rings, rings cut at the
antimeridian so that none crosses the map, degrees rounded to 2 decimals, one flat ``[lon, lat, lon, lat, ...]`` a ring.
"""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Box = tuple[float, float, float, float]

COLOURS = {"ink": "#5b6570", "source": "#b4bfca", "subset": "#0e8a7d", "limit": "#c8501e", "land": "#e3e6df"}
"""CSS variables of the page, and what matplotlib draws in their stead; :func:`_svg` puts the variables back, so that
a figure follows the page from light to dark."""

_DOTS = {"source": "#64748b", "subset": "#0e8a7d"}
"""The map's dots are pixels, which no CSS variable reaches: the page brightens them on dark."""

_STYLE: dict[str, Any] = {
    "svg.hashsalt": "report",  # element ids are random without it
    "svg.fonttype": "none",  # text stays text: the reader's font, selectable, small
    "font.size": 9,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["ink"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": COLOURS["ink"],
    "ytick.color": COLOURS["ink"],
    "figure.constrained_layout.use": True,
}

Measure = Literal["zoom", "score", "words"]

_LABELS: dict[Measure, str] = {
    "zoom": "zoom level, and its nominal metres a pixel",
    "score": "quality score",
    "words": "words in the caption",
}

_CELL_DEGREES = 2
_MAX_BARS = 44
_DRAWING = threading.Lock()
"""matplotlib's style is global to the process, and two reports may be drawn by two threads."""


class Limits(NamedTuple):
    """A threshold's two ends, both included; None where there is none."""

    low: float | None = None
    high: float | None = None


class _Line(NamedTuple):
    value: float
    text: str
    side: Literal["left", "right"]


def tile_counts(longitude: Floats, latitude: Floats) -> Counts:
    """Return how many of the points, finite degrees of shape ``(n,)``, lie in each 2-degree cell.

    The result has shape ``(90, 180)``, from the south-west: the map is as small for ten million tiles as for ten.
    """
    shape = (180 // _CELL_DEGREES, 360 // _CELL_DEGREES)
    cells, _, _ = np.histogram2d(latitude, longitude, bins=shape, range=((-90, 90), (-180, 180)))
    return cells.astype(np.int64)


def tile_map(cells: Counts, *, source: Counts, colour: Literal["source", "subset"], box: Box | None) -> str:
    """Draw a world map of :func:`tile_counts` as SVG; see :func:`draw_map`."""
    with drawing():
        figure = Figure(figsize=(4.3, 2.25), facecolor="none")
        draw_map(figure.add_subplot(facecolor="none"), cells, source=source, colour=colour, box=box)
        return _svg(figure)


def draw_map(
    axes: Axes, cells: Counts, *, source: Counts, colour: Literal["source", "subset"], box: Box | None
) -> None:
    """Draw a world map of :func:`tile_counts` with its colour bar; only within :func:`drawing`.

    ``source``, the source's counts, sets the colour scale and the southern edge, so that two maps compare; ``colour``
    is ``source`` or ``subset``; ``box`` is (west, south, east, north) in degrees, with west above east when it crosses
    the antimeridian.
    """
    rows, columns = np.nonzero(cells)
    latitudes, longitudes = (_CELL_DEGREES * (index + 0.5) for index in (rows, columns))
    shades = LinearSegmentedColormap.from_list(colour, [(_DOTS[colour], 0.35), (_DOTS[colour], 1.0)])
    axes.add_artist(PathPatch(land(), facecolor=COLOURS["land"], edgecolor="none"))
    dots = axes.scatter(
        longitudes - 180,
        latitudes - 90,
        c=cells[rows, columns],
        s=float(np.clip(550 / max(len(rows), 1), 3, 16)),  # a source of one town must still be seen
        norm=LogNorm(1, max(source.max(), 10)),
        cmap=shades,
        linewidths=0,
        rasterized=True,
    )
    axes.add_artist(PathPatch(land(), fill=False, edgecolor=COLOURS["ink"], linewidth=0.3, zorder=3))
    if box:
        _frame(axes, box)
    south = min(-58, _CELL_DEGREES * (np.nonzero(source)[0].min() - 1) - 90)  # without tiles, no Antarctica
    axes.set(xlim=(-180, 180), ylim=(south, 84), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(dots, ax=axes, orientation="horizontal", shrink=0.42, aspect=34, pad=0.02)
    bar.set_label(f"pairs per {_CELL_DEGREES}° cell", labelpad=1)
    bar.ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    bar.ax.minorticks_off()
    bar.ax.set_facecolor("none")
    bar.outline.set_visible(False)


def histogram(source: Floats, subset: Floats, *, measure: Measure, limits: Limits) -> str:
    """Draw both distributions as SVG; see :func:`draw_histogram`."""
    with drawing():
        figure = Figure(figsize=(3.3, 2.4), facecolor="none")
        draw_histogram(figure.add_subplot(facecolor="none"), source, subset, measure=measure, limits=limits)
        return _svg(figure)


def draw_histogram(axes: Axes, source: Floats, subset: Floats, *, measure: Measure, limits: Limits) -> None:
    """Draw both distributions over the same bars, with the limits as dashed lines; only within :func:`drawing`.

    ``source`` and ``subset`` are finite, of shapes ``(n,)`` with n > 0 and ``(m,)``. The axis covers all but the
    outermost 0.1 % of the source (all of it for zoom), and the limits unless they are far off; the outer bars count
    what lies beyond. Counts are on a log scale where the subset's bars would be too low to see.
    """
    whole = measure != "score"
    low, high = _extent(source, tail=0 if measure == "zoom" else 0.001, whole=whole)
    reach = max(high - low, abs(low), abs(high))  # a far limit, "at most a million words", would leave one bar
    lines = [line for line in _lines(limits, whole=whole) if low - reach <= line.value <= high + reach]
    edges = _edges(low, high, [line.value for line in lines], whole=whole)
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    before, after = (np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for values in (source, subset))
    axes.bar(middles, before, width * 0.86, color=COLOURS["source"], label="source")
    axes.bar(middles, after, width * 0.86, color=COLOURS["subset"], label="subset")
    log = 0 < after.max() < before.max() / 20
    for line in lines:
        axes.axvline(line.value, color=COLOURS["limit"], linewidth=1.1, linestyle=(0, (4, 2)))
        axes.text(
            line.value,
            1.02,
            line.text,
            transform=axes.get_xaxis_transform(),
            ha=line.side,
            color=COLOURS["limit"],
        )
    axes.set(
        xlabel=_LABELS[measure],
        ylabel="pairs (log scale)" if log else "pairs",
        yscale="log" if log else "linear",
    )
    if not log:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))  # there is no half a pair
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    if measure == "zoom":
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))  # of one level, too
        axes.xaxis.set_major_formatter(FuncFormatter(lambda z, _: f"{z:.0f}\n{_short(2.0 ** (17 - z))}"))


def _short(metres: float) -> str:
    return f"{metres:g}" if metres < 1000 else f"{metres / 1000:.0f}k"


def _lines(limits: Limits, *, whole: bool) -> list[_Line]:
    half = 0.5 if whole else 0.0  # between two whole numbers, so that the bar at the limit is inside
    low = [] if limits.low is None else [_Line(limits.low - half, f"≥ {limits.low:g}", "right")]
    high = [] if limits.high is None else [_Line(limits.high + half, f"≤ {limits.high:g}", "left")]
    return low + high


def _extent(values: Floats, *, tail: float, whole: bool) -> tuple[float, float]:
    # One score of 1e300 would leave every other in a single bar, and overflow the width of that bar.
    low, high = np.quantile(np.clip(values, -1e12, 1e12), [tail, 1 - tail], method="nearest")
    half = 0.5 if whole or np.isclose(low, high) else 0.0
    return float(low - half), float(high + half)


def _edges(low: float, high: float, lines: list[float], *, whole: bool) -> Floats:
    low, high = min([low, *lines]), max([high, *lines])
    step = np.ceil((high - low) / _MAX_BARS) if whole else (high - low) / _MAX_BARS
    anchor = lines[0] if lines else low  # no bar lies across the threshold
    first, last = np.floor((low - anchor) / step), np.ceil((high - anchor) / step)
    return np.asarray(anchor + step * np.arange(first, last + 1), np.float64)


@cache
def land() -> Path:
    """Return all land as one path of closed rings, in degrees (longitude, latitude)."""
    rings = json.loads(resources.files("tasks.report").joinpath("coastline.json").read_text("utf-8"))
    outlines = [Path(np.reshape(ring, (-1, 2)), closed=True) for ring in rings]
    return Path.make_compound_path(*outlines)


def _frame(axes: Axes, box: Box) -> None:
    west, south, east, north = box
    width = (east - west) % 360 or 360  # from edge to edge of the map
    shifts = (0, -360) if west > east else (0,)  # the part beyond the antimeridian comes in from the other side
    for shift in shifts:
        corner = (west + shift, south)
        axes.add_patch(Rectangle(corner, width, north - south, fill=False, edgecolor=COLOURS["limit"], linestyle="--"))


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's look; nothing that a person or another thread has set counts."""
    # From matplotlib's defaults: a person's own matplotlibrc must not change a byte.
    with _DRAWING, matplotlib.style.context(["default", _STYLE]):
        yield


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=200, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = buffer.getvalue()
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg[svg.index("<svg") :]  # without the XML prologue, which has no place inside HTML

"""Histograms as in the paper's figures 4 to 6: two sets of pairs over the same bars, with the thresholds drawn in."""

from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from schemas.thresholds import Limits
from tasks.report.look import COLOURS, drawing, svg

Floats = NDArray[np.float64]
Measure = Literal["zoom", "score", "words", "similarity", "margin"]

_LABELS: dict[Measure, str] = {
    "zoom": "zoom level, and its nominal metres a pixel",
    "score": "quality score",
    "words": "words in the caption",
    "similarity": "similarity of picture and caption",
    "margin": "prompt margin",
}

_MAX_BARS = 44


class _Line(NamedTuple):
    value: float
    text: str
    side: Literal["left", "right"]
    colour: str


def histogram(source: Floats, subset: Floats, *, measure: Measure, limits: Limits) -> str:
    """Draw both distributions as SVG; see :func:`draw_histogram`."""
    with drawing():
        figure = Figure(figsize=(3.3, 2.4), facecolor="none")
        draw_histogram(figure.add_subplot(facecolor="none"), source, subset, measure=measure, limits=limits)
        return svg(figure)


def draw_histogram(axes: Axes, source: Floats, subset: Floats, *, measure: Measure, limits: Limits) -> None:
    """Draw both distributions over the same bars, with the limits as dashed lines; only within :func:`drawing`.

    ``source`` and ``subset`` are finite, of shapes ``(n,)`` with n > 0 and ``(m,)``. The axis covers all but the
    outermost 0.1 % of the source (all of it for zoom), and the limits unless they are far off; the outer bars count
    what lies beyond. Counts are on a log scale where the subset's bars would be too low to see.
    """
    edges, lines = _bars([source], [("limit", limits)], measure)
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    before, after = (_counts(values, edges) for values in (source, subset))
    axes.bar(middles, before, width * 0.86, color=COLOURS["source"], label="source")
    axes.bar(middles, after, width * 0.86, color=COLOURS["subset"], label="subset")
    _dress(axes, lines, measure, log=bool(0 < after.max() < before.max() / 20))


def overlay(a: Floats, b: Floats, *, measure: Measure, limits: tuple[Limits, Limits]) -> str:
    """Draw the distributions of two subsets over the same bars as SVG, one through the other.

    ``a`` and ``b`` are finite, of shapes ``(n,)`` and ``(m,)``, one of which may be empty; ``limits`` are those of A
    and of B. Axis and scale as :func:`draw_histogram`.
    """
    sides = [(name, values) for name, values in (("a", a), ("b", b)) if len(values)]
    edges, lines = _bars([values for _, values in sides], list(zip("ab", limits, strict=True)), measure)
    with drawing():
        figure = Figure(figsize=(3.3, 2.4), facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        highest = []
        for name, values in sides:
            counts = _counts(values, edges)
            highest.append(int(counts.max()))
            axes.stairs(counts, edges, fill=True, color=COLOURS[name], alpha=0.28)
            axes.stairs(counts, edges, color=COLOURS[name], linewidth=1.3, baseline=None)
        _dress(axes, lines, measure, log=min(highest) < max(highest) / 20)
        return svg(figure)


def _bars(sets: list[Floats], limits: list[tuple[str, Limits]], measure: Measure) -> tuple[Floats, list[_Line]]:
    """Return the edges of bars for ``sets``, and the lines to draw for ``limits``, each with the name of its colour."""
    whole = measure in ("zoom", "words")
    ends = [_extent(values, tail=0 if measure == "zoom" else 0.001, whole=whole) for values in sets]
    low, high = min(first for first, _ in ends), max(last for _, last in ends)
    reach = max(high - low, abs(low), abs(high))  # a far limit, "at most a million words", would leave one bar
    lines = [line for colour, ends in limits for line in _lines(ends, colour, whole=whole)]
    lines = [line for line in lines if low - reach <= line.value <= high + reach]
    return _edges(low, high, [line.value for line in lines], whole=whole), lines


def _counts(values: Floats, edges: Floats) -> NDArray[np.int64]:
    return np.asarray(np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0], np.int64)


def _dress(axes: Axes, lines: list[_Line], measure: Measure, *, log: bool) -> None:
    """Draw the limits, and say on the axes what is counted of what."""
    for line in lines:
        axes.axvline(line.value, color=COLOURS[line.colour], linewidth=1.1, linestyle=(0, (4, 2)))
        above = 1.02 if line.colour != "b" else 1.12  # the words on two limits may be of one place
        axes.text(
            line.value,
            above,
            line.text,
            transform=axes.get_xaxis_transform(),
            ha=line.side,
            color=COLOURS[line.colour],
        )
    axes.set(
        xlabel=_LABELS[measure],
        ylabel="pairs (log scale)" if log else "pairs",
        yscale="log" if log else "linear",
    )
    if not log:
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))  # there is no half a pair
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    if measure == "words":
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if measure == "zoom":
        axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))  # of one level, too
        axes.xaxis.set_major_formatter(FuncFormatter(lambda z, _: f"{z:.0f}\n{_short(2.0 ** (17 - z))}"))


def _short(metres: float) -> str:
    return f"{metres:g}" if metres < 1000 else f"{metres / 1000:.0f}k"


def _lines(limits: Limits, colour: str, *, whole: bool) -> list[_Line]:
    half = 0.5 if whole else 0.0  # between two whole numbers, so that the bar at the limit is inside
    low = [] if limits.low is None else [_Line(limits.low - half, f"≥ {limits.low:g}", "right", colour)]
    high = [] if limits.high is None else [_Line(limits.high + half, f"≤ {limits.high:g}", "left", colour)]
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

"""The figures of a subset's card, as PNG on white: a card is Markdown, in which no SVG can follow the page."""

import io
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from schemas.manifest import Manifest
from schemas.reports import Funnel
from tasks.report.histograms import Measure, draw_histogram
from tasks.report.look import COLOURS, drawing
from tasks.report.maps import draw_map
from tasks.report.plots import Distribution, Places, distribution, places

FOLDER = "figures"
"""Where the figures lie in the subset's folder."""

_DOTS_AN_INCH = 120
_COLOURS = 255
_HISTOGRAMS: dict[str, Measure] = {
    "zoom": "zoom", "quality": "score", "words": "words", "similarity": "similarity", "prompt-margin": "margin"
}  # fmt: skip


def draw_figures(manifest: Manifest, columns: pa.Table, kept: NDArray[np.bool_]) -> dict[str, bytes]:
    """Return the figures of a subset's card as PNG files by their paths; what there is no data for is left out.

    Args:
        manifest: of the subset; unsealed or without files will do.
        columns: as in :class:`tasks.report.page.ReportData`, one row a source row.
        kept: shape (rows,), the subset's rows.
    """
    return {f"{FOLDER}/{name}.png": _png(figure) for name, figure in _figures(manifest, columns, kept)}


def _figures(
    manifest: Manifest, columns: pa.Table, kept: NDArray[np.bool_]
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    if manifest.funnel.source_rows:
        yield "funnel", partial(_funnel, manifest.funnel)
    found = places(manifest, columns, kept)
    if found.source.any():
        yield "places", partial(_maps, found)
    for name, measure in _HISTOGRAMS.items():
        values = distribution(manifest, columns, kept, measure)
        if len(values.source):
            yield name, partial(_histogram, measure, values)


def _funnel(funnel: Funnel) -> Figure:
    names = ["source", *(step.stage.value for step in funnel.told)]
    left = [funnel.source_rows, *(step.left for step in funnel.told)]
    lost = [0, *(step.rejected for step in funnel.told)]
    figure = Figure(figsize=(6.6, 0.55 + 0.27 * len(names)), facecolor="white")
    axes = figure.add_subplot()
    rows = range(len(names))
    axes.barh(rows, [funnel.source_rows] * len(names), 0.72, color=COLOURS["land"])
    axes.barh(rows, np.add(left, lost), 0.72, color=COLOURS["source"])
    axes.barh(rows, left, 0.72, color=COLOURS["subset"])
    for row, (after, gone) in enumerate(zip(left, lost, strict=True)):
        told = f"{after:,}" + (f"  (\N{MINUS SIGN}{gone:,})" if gone else "")
        axes.text(funnel.source_rows * 1.015, row, told, va="center")
    axes.set(
        yticks=rows, yticklabels=names, xticks=[], xlim=(0, funnel.source_rows * 1.36), ylim=(len(names) - 0.5, -0.5)
    )
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("Pairs left after each stage", loc="left", fontsize=9)
    return figure


def _maps(found: Places) -> Figure:
    figure = Figure(figsize=(9.0, 3.1 if found.extent.whole else 2.6), facecolor="white")
    source, subset = figure.subplots(1, 2)
    most = int(found.source.max())
    draw_map(source, found.source, extent=found.extent, most=most, colour="source", box=found.box)
    draw_map(subset, found.subset, extent=found.extent, most=most, colour="subset", box=found.box)
    for axes, name in ((source, "source"), (subset, "subset")):
        axes.set_title(f"Tile centres, {name}", loc="left", fontsize=9)
    return figure


def _histogram(measure: Measure, values: Distribution) -> Figure:
    figure = Figure(figsize=(5.2, 2.7), facecolor="white")
    axes: Axes = figure.add_subplot()
    draw_histogram(axes, values.source, values.subset, measure=measure, limits=values.limits)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, handlelength=1)
    return figure


def _png(draw: Callable[[], Figure]) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    with drawing():
        draw().savefig(drawn, format="png", dpi=_DOTS_AN_INCH)
    # A map of millions of dots is a quarter of the size in a palette; of all methods this one keeps rare colours.
    pixels = Image.open(drawn).convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    pixels.save(small, "PNG", optimize=True)  # and no word on when and by what it was drawn
    return small.getvalue()

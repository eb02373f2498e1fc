"""The figures section of a report: which values each figure shows, and what stands in words beside it."""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.manifest import Manifest
from schemas.recipe import Subset
from tasks.report.figures import Counts, Limits, Measure, histogram, tile_counts, tile_map

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


_NAMES: dict[Measure, str] = {"zoom": "zoom level", "score": "finite score", "words": "word count"}


class Plot(NamedTuple):
    """One figure; ``svg`` is None where there is nothing to draw, and ``note`` then says so."""

    title: str
    alt: str
    note: str
    svg: Markup | None


def maps(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot]:
    """Return Figure 3 for the source and for the subset, on one scale."""
    longitude, latitude = _values(columns, "longitude"), _values(columns, "latitude")
    placed = np.isfinite(longitude) & np.isfinite(latitude)
    source, subset = (tile_counts(longitude[rows], latitude[rows]) for rows in (placed, placed & kept))
    box = Subset.model_validate(manifest.recipe["subsets"][0]).bbox
    frame = (box.west, box.south, box.east, box.north) if box else None

    def plot(name: Literal["source", "subset"], cells: Counts, pairs: int) -> Plot:
        title = f"Figure 3. Tile centres, {name}"
        if not cells.any():
            return Plot(title, "", f"No pair of the {name} has a place.", None)
        note = f"{cells.sum():,} of {pairs:,} pairs have a place, in {np.count_nonzero(cells):,} cells."
        svg = tile_map(cells, source=source, colour=name, box=frame)
        return Plot(title, f"World map of the tile centres of the {name}. {note}", note, Markup(svg))

    return plot("source", source, len(kept)), plot("subset", subset, int(kept.sum()))


def distributions(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot, Plot]:
    """Return Figures 4 to 6, each with source and subset on the same axes and the thresholds drawn in."""
    subset = Subset.model_validate(manifest.recipe["subsets"][0])
    zoom, words, quantile = subset.zoom, subset.caption_words, subset.quality.min_quantile
    origin = f" (quantile {quantile:g} of the valid scores)" if quantile else ""

    def plot(title: str, measure: Measure, column: str, limits: Limits, origin: str = "") -> Plot:
        values = _values(columns, column)
        finite = np.isfinite(values)
        before, after = values[finite], values[finite & kept]
        bounds = [f"{sign}\N{NO-BREAK SPACE}{end:g}" for sign, end in zip("≥≤", limits, strict=True) if end is not None]
        threshold = f" Threshold: {' and '.join(bounds)}{origin}." if bounds else ""
        if not len(before):
            return Plot(title, "", f"No pair has a {_NAMES[measure]}.{threshold}", None)
        median = f"Median {np.median(before):.4g}" + (f", of the subset {np.median(after):.4g}." if len(after) else ".")
        missing = len(values) - len(before)
        without = f" {missing:,} pairs have no {_NAMES[measure]}." if missing else ""
        note = median + threshold + without
        svg = histogram(before, after, measure=measure, limits=limits)
        return Plot(title, f"Histogram of source and subset. {note}", note, Markup(svg))

    return (
        plot("Figure 4. Resolution levels", "zoom", "z", Limits(zoom.min, zoom.max)),
        plot("Figure 5. Quality scores", "score", "img_quality_score", Limits(manifest.min_score), origin),
        plot("Figure 6. Caption lengths", "words", "caption_words", Limits(words.min, words.max)),
    )


def _values(columns: pa.Table, name: str) -> Floats:
    # Nulls become NaN: for a figure, a value that is not finite is a value that is not there.
    return np.asarray(columns[name].cast(pa.float64()), np.float64)

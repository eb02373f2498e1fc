"""The figures section of a report: which values each figure shows, and what stands in words beside it."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.manifest import Manifest
from schemas.recipe import Subset
from tasks.report.figures import Limits, Measure, histogram, tile_counts, tile_map

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Plot(NamedTuple):
    """One figure; ``svg`` is None where there is nothing to draw, and ``note`` then says so."""

    title: str
    alt: str
    note: str
    svg: Markup | None


def maps(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot]:
    """Return Figure 3 for the source and for the subset, on one scale."""
    box = Subset.model_validate(manifest.recipe["subsets"][0]).bbox
    frame = (box.west, box.south, box.east, box.north) if box else None
    longitude, latitude = _values(columns, "longitude"), _values(columns, "latitude")
    placed = np.isfinite(longitude) & np.isfinite(latitude)
    most = int(tile_counts(longitude[placed], latitude[placed]).max())

    def plot(name: str, colour: str, rows: Mask) -> Plot:
        title, count, total = f"Figure 3. Tile centres, {name}", int((placed & rows).sum()), int(rows.sum())
        if not count:
            return Plot(title, "", f"No pair of the {name} has a place.", None)
        cells = tile_counts(longitude[placed & rows], latitude[placed & rows])
        note = f"{count:,} of {total:,} pairs have a place, in {np.count_nonzero(cells):,} cells."
        alt = f"World map of the tile centres of the {name}: {note}"
        return Plot(title, alt, note, Markup(tile_map(cells, most=most, colour=colour, box=frame)))

    return plot("source", "source", np.ones_like(kept)), plot("subset", "subset", kept)


def distributions(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot, Plot]:
    """Return Figures 4 to 6, each with source and subset on the same axes and the thresholds drawn in."""
    subset = Subset.model_validate(manifest.recipe["subsets"][0])
    words = subset.caption_words
    quantile = subset.quality.min_quantile
    cut = f" The threshold is quantile {quantile:g} of the valid scores." if quantile else ""
    return (
        _distribution(
            "Figure 4. Resolution levels", "zoom", columns, "z", kept, Limits(subset.zoom.min, subset.zoom.max)
        ),
        _distribution(
            "Figure 5. Quality scores", "score", columns, "img_quality_score", kept, Limits(manifest.min_score), cut
        ),
        _distribution(
            "Figure 6. Caption lengths", "words", columns, "caption_words", kept, Limits(words.min, words.max)
        ),
    )


def _distribution(
    title: str, measure: Measure, columns: pa.Table, column: str, kept: Mask, limits: Limits, remark: str = ""
) -> Plot:
    values = _values(columns, column)
    finite = np.isfinite(values)
    source, subset = values[finite], values[finite & kept]
    if not len(source):
        return Plot(title, "", f"No pair has {_HAVING[measure]}.{remark}", None)
    median = f"Median {np.median(source):.4g}" + (f", of the subset {np.median(subset):.4g}" if len(subset) else "")
    missing = len(values) - len(source)
    without = f" {missing:,} pairs are without {_HAVING[measure]}." if missing else ""
    note = f"{median}.{remark}{without}"
    bounds = [f"{sign} {end:g}" for sign, end in zip(("≥", "≤"), limits, strict=True) if end is not None]
    alt = f"Histogram of source and subset. {note}" + (f" Threshold: {' and '.join(bounds)}." if bounds else "")
    return Plot(title, alt, note, Markup(histogram(source, subset, measure=measure, limits=limits)))


_HAVING: dict[Measure, str] = {"zoom": "a zoom level", "score": "a finite score", "words": "a word count"}


def _values(columns: pa.Table, name: str) -> Floats:
    # Nulls become NaN: for a figure, a value that is not finite is a value that is not there.
    return np.asarray(columns[name].cast(pa.float64()), np.float64)

"""The figures section of a report: which values each figure shows, and what stands in words beside it."""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.manifest import Manifest
from schemas.subset import Subset
from tasks.report.figures import Box, Counts, Limits, Measure, histogram, tile_counts, tile_map

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


_NAMES: dict[Measure, str] = {"zoom": "zoom level", "score": "finite score", "words": "word count"}
_COLUMNS: dict[Measure, str] = {"zoom": "z", "score": "img_quality_score", "words": "caption_words"}


class Plot(NamedTuple):
    """One figure; ``svg`` is None where there is nothing to draw, and ``note`` then says so."""

    title: str
    alt: str
    note: str
    svg: Markup | None


class Places(NamedTuple):
    """Counts of tile centres by cell, and the box that the subset is limited to, if any."""

    source: Counts
    subset: Counts
    box: Box | None


class Distribution(NamedTuple):
    """The finite values of one measure, shapes ``(n,)`` and ``(m,)``, and the thresholds on it."""

    source: Floats
    subset: Floats
    limits: Limits


def maps(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot]:
    """Return Figure 3 for the source and for the subset, on one scale."""
    source, subset, box = places(manifest, columns, kept)

    def plot(name: Literal["source", "subset"], cells: Counts, pairs: int) -> Plot:
        title = f"Figure 3. Tile centres, {name}"
        if not cells.any():
            return Plot(title, "", f"No pair of the {name} has a place.", None)
        note = f"{cells.sum():,} of {pairs:,} pairs have a place, in {np.count_nonzero(cells):,} cells."
        svg = tile_map(cells, source=source, colour=name, box=box)
        return Plot(title, f"World map of the tile centres of the {name}. {note}", note, Markup(svg))

    return plot("source", source, len(kept)), plot("subset", subset, int(kept.sum()))


def distributions(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot, Plot]:
    """Return Figures 4 to 6, each with source and subset on the same axes and the thresholds drawn in."""
    quantile = _subset(manifest).quality.min_quantile
    origin = f" (quantile {quantile:g} of the valid scores)" if quantile else ""

    def plot(title: str, measure: Measure, origin: str = "") -> Plot:
        before, after, limits = distribution(manifest, columns, kept, measure)
        bounds = [f"{sign}\N{NO-BREAK SPACE}{end:g}" for sign, end in zip("≥≤", limits, strict=True) if end is not None]
        threshold = f" Threshold: {' and '.join(bounds)}{origin}." if bounds else ""
        if not len(before):
            return Plot(title, "", f"No pair has a {_NAMES[measure]}.{threshold}", None)
        median = f"Median {np.median(before):.4g}" + (f", of the subset {np.median(after):.4g}." if len(after) else ".")
        missing = len(kept) - len(before)
        without = f" {missing:,} pairs have no {_NAMES[measure]}." if missing else ""
        note = median + threshold + without
        svg = histogram(before, after, measure=measure, limits=limits)
        return Plot(title, f"Histogram of source and subset. {note}", note, Markup(svg))

    return (
        plot("Figure 4. Resolution levels", "zoom"),
        plot("Figure 5. Quality scores", "score", origin),
        plot("Figure 6. Caption lengths", "words"),
    )


def places(manifest: Manifest, columns: pa.Table, kept: Mask) -> Places:
    """Return where the tiles of source and subset lie."""
    longitude, latitude = _values(columns, "longitude"), _values(columns, "latitude")
    placed = np.isfinite(longitude) & np.isfinite(latitude)
    source, subset = (tile_counts(longitude[rows], latitude[rows]) for rows in (placed, placed & kept))
    box = _subset(manifest).bbox
    return Places(source, subset, (box.west, box.south, box.east, box.north) if box else None)


def distribution(manifest: Manifest, columns: pa.Table, kept: Mask, measure: Measure) -> Distribution:
    """Return the finite values of source and subset, and the subset's thresholds on them."""
    subset = _subset(manifest)
    limits = {
        "zoom": Limits(subset.zoom.min, subset.zoom.max),
        "score": Limits(manifest.min_score),
        "words": Limits(subset.caption_words.min, subset.caption_words.max),
    }
    values = _values(columns, _COLUMNS[measure])
    finite = np.isfinite(values)
    return Distribution(values[finite], values[finite & kept], limits[measure])


def _subset(manifest: Manifest) -> Subset:
    # The manifest has the content of files that a recipe names, not their places.
    told = manifest.recipe["subsets"][0]
    return Subset.model_validate({key: told[key] for key in told if key not in {"area", "include", "exclude"}})


def _values(columns: pa.Table, name: str) -> Floats:
    # Nulls become NaN: for a figure, a value that is not finite is a value that is not there.
    return np.asarray(columns[name].cast(pa.float64()), np.float64)

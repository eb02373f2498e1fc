"""The figures of a report and of a comparison: which values each shows, and what stands in words beside it."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.manifest import Manifest
from schemas.reasons import Reason
from schemas.subset import ScoredSignal, Subset
from schemas.thresholds import Limits, ScorerRange
from tasks.report.histograms import Measure, histogram, overlay
from tasks.report.maps import SPLIT_COLOURS, Box, Counts, Extent, MapColour, extent_of, split_map, tile_counts, tile_map

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


_NAMES: dict[Measure, str] = {
    "zoom": "zoom level", "score": "finite score", "words": "word count",
    "similarity": "similarity", "margin": "prompt margin",
}  # fmt: skip
_SIDES: tuple[MapColour, MapColour] = ("a", "b")
_COLUMNS: dict[Measure, str] = {
    "zoom": "z", "score": "img_quality_score", "words": "caption_words",
    "similarity": "similarity", "margin": "prompt_margin",
}  # fmt: skip
_SCORES: dict[ScoredSignal, tuple[str, Measure]] = {
    "similarity": ("Similarity of picture and caption", "similarity"),
    "prompt_margin": ("Margin of remote-sensing prompts", "margin"),
}


class Plot(NamedTuple):
    """One figure; ``svg`` is None where there is nothing to draw, and ``note`` then says so."""

    title: str
    alt: str
    note: str
    svg: Markup | None


class Places(NamedTuple):
    """Counts of tile centres by cell, where the cells lie, and the box that the subset is limited to, if any."""

    source: Counts
    subset: Counts
    extent: Extent
    box: Box | None


class Distribution(NamedTuple):
    """The finite values of one measure, shapes ``(n,)`` and ``(m,)``, and the thresholds on it."""

    source: Floats
    subset: Floats
    limits: Limits


class SplitPlot(NamedTuple):
    """The map of splits, and the colours of its dots: name, pairs and colour of each split, largest first."""

    plot: Plot
    legend: tuple[tuple[str, int, str], ...]


class Side(NamedTuple):
    """One of two subsets that are compared; ``columns`` and ``kept`` as in :class:`tasks.report.page.ReportData`."""

    manifest: Manifest
    columns: pa.Table
    kept: Mask


def maps(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, Plot]:
    """Return the maps of tile centres of the source and of the subset, on one scale."""
    found = places(manifest, columns, kept)
    most = int(found.source.max())
    return (
        _map("source", "source", found.source, len(kept), found.extent, most, found.box),
        _map("subset", "subset", found.subset, int(kept.sum()), found.extent, most, found.box),
    )


def split_plot(manifest: Manifest, columns: pa.Table, kept: Mask) -> SplitPlot | None:
    """Return where the pairs of each split lie; None of a subset with one split, or without places."""
    sizes = sorted(manifest.splits.items(), key=lambda split: -split[1])
    longitude, latitude, placed = _points(columns)
    if len(sizes) < 2 or not (placed & kept).any():
        return None
    extent = extent_of(longitude[placed], latitude[placed])
    split = columns["split"].combine_chunks()
    counts = {}
    for name, _ in sizes[: len(SPLIT_COLOURS)]:
        rows = placed & pc.fill_null(pc.equal(split, name), False).to_numpy(zero_copy_only=False)
        counts[name] = tile_counts(longitude[rows], latitude[rows], extent)
    shared = sum((cells > 0).astype(np.int64) for cells in counts.values())
    mixed = int(np.count_nonzero(shared > 1))
    note = f"{np.count_nonzero(shared):,} cells of {extent.cell:g}° hold kept pairs, " + (
        f"{mixed:,} of them pairs of several splits: there, the dots of smaller splits lie on those of larger ones."
        if mixed
        else "none of them pairs of several splits."
    )
    legend = tuple((name, pairs, colour) for (name, pairs), colour in zip(sizes, SPLIT_COLOURS, strict=False))
    if len(sizes) > len(legend):
        note += f" The {len(sizes) - len(legend):,} smallest splits are not drawn."
    told = ", ".join(f"{name} {pairs:,} pairs" for name, pairs, _ in legend)
    return SplitPlot(
        Plot("Splits", f"Map of the splits: {told}. {note}", note, Markup(split_map(counts, extent))), legend
    )


def _map(name: str, colour: MapColour, cells: Counts, pairs: int, extent: Extent, most: int, box: Box | None) -> Plot:
    title = f"Tile centres, {name}"
    if not cells.any():
        return Plot(title, "", f"No pair of the {name} has a place.", None)
    note = f"{cells.sum():,} of {pairs:,} pairs have a place, in {np.count_nonzero(cells):,} cells."
    where = "World map" if extent.whole else "Map"
    svg = tile_map(cells, extent=extent, most=most, colour=colour, box=box)
    return Plot(title, f"{where} of the tile centres of the {name}. {note}", note, Markup(svg))


def distributions(manifest: Manifest, columns: pa.Table, kept: Mask) -> tuple[Plot, ...]:
    """Return a histogram of each measure, with source and subset on the same axes and the thresholds drawn in.

    Of a subset that asks scorers, what they tell is drawn as well.
    """
    subset = _subset(manifest)
    quantile = subset.quality.min_quantile
    origin = f" (quantile {quantile:g} of the valid scores)" if quantile else ""

    def plot(title: str, measure: Measure, origin: str = "") -> Plot:
        before, after, limits = distribution(manifest, columns, kept, measure)
        bounds = _threshold(limits)
        threshold = f" Threshold: {bounds}{origin}." if bounds else ""
        if not len(before):
            return Plot(title, "", f"No pair has a {_NAMES[measure]}.{threshold}", None)
        median = f"Median {np.median(before):.4g}" + (f", of the subset {np.median(after):.4g}." if len(after) else ".")
        missing = len(kept) - len(before)
        without = f" {missing:,} pairs have no {_NAMES[measure]}." if missing else ""
        note = median + threshold + without
        svg = histogram(before, after, measure=measure, limits=limits)
        return Plot(title, f"Histogram of source and subset. {note}", note, Markup(svg))

    return (
        plot("Resolution levels", "zoom"),
        plot("Quality scores", "score", origin),
        plot("Caption lengths", "words"),
        *(
            plot(title, measure, _origin(subset, signal))
            for signal, (title, measure) in _SCORES.items()
            if signal in subset.scored()
        ),
    )


def _origin(subset: Subset, signal: ScoredSignal) -> str:
    """Return of what the limits on scores are quantiles, if they are."""
    limits: ScorerRange = getattr(subset, signal)
    quantiles = [f"{part:g}" for part in (limits.min_quantile, limits.max_quantile) if part is not None]
    return f" (quantile {' and '.join(quantiles)} of the valid rows)" if quantiles else ""


def compared(a: Side, b: Side) -> tuple[tuple[Plot, Plot], tuple[Plot, ...]]:
    """Return the maps of A and of B, on one scale and of one extent, and a histogram of each measure with both.

    What scorers tell is drawn as well where both subsets ask them.
    """
    asked = _subset(a.manifest).scored().keys() & _subset(b.manifest).scored().keys()
    longitudes, latitudes = [], []
    for side in (a, b):
        longitude, latitude, placed = _points(side.columns)
        longitudes.append(longitude[placed & side.kept])
        latitudes.append(latitude[placed & side.kept])
    extent = extent_of(np.concatenate(longitudes), np.concatenate(latitudes))
    cells = [tile_counts(x, y, extent) for x, y in zip(longitudes, latitudes, strict=True)]
    most = max(int(counts.max()) for counts in cells)
    one, other = (
        _map(name, colour, counts, int(side.kept.sum()), extent, most, _box(side.manifest))
        for name, colour, counts, side in zip("AB", _SIDES, cells, (a, b), strict=True)
    )

    def plot(title: str, measure: Measure) -> Plot:
        (_, first, limits), (_, second, others) = (distribution(*side, measure) for side in (a, b))
        told = [
            f"{name}: median {np.median(values):.4g}{_threshold(ends) and f', threshold {_threshold(ends)}'}"
            if len(values)
            else f"{name}: no {_NAMES[measure]}"
            for name, values, ends in (("A", first, limits), ("B", second, others))
        ]
        note = "; ".join(told) + "."
        if not len(first) and not len(second):
            return Plot(title, "", f"No kept pair has a {_NAMES[measure]}.", None)
        svg = overlay(first, second, measure=measure, limits=(limits, others))
        return Plot(title, f"Histogram of the kept pairs of A and of B. {note}", note, Markup(svg))

    return (one, other), (
        plot("Resolution levels", "zoom"),
        plot("Quality scores", "score"),
        plot("Caption lengths", "words"),
        *(plot(title, measure) for signal, (title, measure) in _SCORES.items() if signal in asked),
    )


def places(manifest: Manifest, columns: pa.Table, kept: Mask) -> Places:
    """Return where the tiles of source and subset lie."""
    longitude, latitude, placed = _points(columns)
    extent = extent_of(longitude[placed], latitude[placed])
    source, subset = (tile_counts(longitude[rows], latitude[rows], extent) for rows in (placed, placed & kept))
    return Places(source, subset, extent, _box(manifest))


def distribution(manifest: Manifest, columns: pa.Table, kept: Mask, measure: Measure) -> Distribution:
    """Return the finite values of source and subset, and the subset's thresholds on them."""
    subset = _subset(manifest)
    limits = {
        "zoom": Limits(subset.zoom.min, subset.zoom.max),
        "score": Limits(manifest.min_score),
        "words": Limits(subset.caption_words.min, subset.caption_words.max),
        "similarity": _ends(manifest, Reason.SIMILARITY_OUTSIDE),
        "margin": _ends(manifest, Reason.PROMPT_MARGIN_OUTSIDE),
    }
    values = _values(columns, _COLUMNS[measure])
    finite = np.isfinite(values)
    return Distribution(values[finite], values[finite & kept], limits[measure])


def _ends(manifest: Manifest, reason: Reason) -> Limits:
    """Return the limits of a range as numbers; none where each zoom level has its own."""
    ends = {limit.end: limit.value for limit in manifest.thresholds if limit.reason is reason}
    return Limits(ends.get("min"), ends.get("max"))


def _threshold(limits: Limits) -> str:
    return " and ".join(
        f"{sign}\N{NO-BREAK SPACE}{end:g}" for sign, end in zip("≥≤", limits, strict=True) if end is not None
    )


def _box(manifest: Manifest) -> Box | None:
    box = _subset(manifest).bbox
    return (box.west, box.south, box.east, box.north) if box else None


def _points(columns: pa.Table) -> tuple[Floats, Floats, Mask]:
    """Return longitude and latitude of each row [degrees], and which rows have both."""
    longitude, latitude = _values(columns, "longitude"), _values(columns, "latitude")
    return longitude, latitude, np.isfinite(longitude) & np.isfinite(latitude)


def _subset(manifest: Manifest) -> Subset:
    # The manifest has the content of files that a recipe names, not their places.
    told = manifest.recipe["subsets"][0]
    return Subset.model_validate({key: told[key] for key in told if key not in {"area", "include", "exclude"}})


def _values(columns: pa.Table, name: str) -> Floats:
    # Nulls become NaN: for a figure, a value that is not finite is a value that is not there.
    return np.asarray(columns[name].cast(pa.float64()), np.float64)

"""A subset's thresholds: quantiles turned into numbers, and which rows miss them."""

from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.base import Model
from schemas.errors import CurationError
from schemas.reasons import Reason
from schemas.recipe import Deduplication
from schemas.reports import Threshold
from schemas.subset import Subset
from schemas.thresholds import BoundingBox, SignalRanges
from tasks.select.masks import NO_LEVEL, Masks, bit, level_name, levels, number, outside

THRESHOLD_COLUMNS = (
    "img_quality_score", "caption_words", "caption_xxh3", "resolution_m", "ground_resolution_m",
    "z", "longitude", "latitude", *SignalRanges.model_fields,
)  # fmt: skip
"""The signals that thresholds look at."""


class NoValues(CurationError):
    """A quantile was asked of a source in which no valid row has a value."""


class ColumnAbsent(CurationError):
    """A threshold needs a column that the source does not have: no row could pass it."""


def columns_for(subset: Subset) -> list[str]:
    """Return those of :data:`THRESHOLD_COLUMNS` that the thresholds of ``subset`` look at."""
    unused = {name for name in SignalRanges.model_fields if not _given(getattr(subset.signals, name))}
    return [name for name in THRESHOLD_COLUMNS if name not in unused]


def resolve_thresholds(signals: pa.Table, valid: NDArray[np.bool_], subset: Subset) -> tuple[Threshold, ...]:
    """Return the subset's thresholds on scores and signals as numbers.

    A quantile is taken of the valid rows that have a finite value, and is the value of one of them, none in between.

    Args:
        signals: the whole source, :func:`columns_for` the subset.
        valid: shape (rows,): rows that break no validation rule.
        subset: whose thresholds.

    Raises:
        NoValues: if a quantile is asked for and no valid row has a finite value.
    """
    return tuple(_resolve(signals, valid, subset))


def _resolve(signals: pa.Table, valid: NDArray[np.bool_], subset: Subset) -> Iterator[Threshold]:
    quality, scores = subset.quality, "img_quality_score"
    for key, reason, signal, limits, ends in (
        ("quality", Reason.QUALITY_BELOW, scores, quality, {"min": ("min_score", "min_quantile")}),
        *(
            (f"signals.{name}", Reason(f"{name}_outside"), name, getattr(subset.signals, name), _ENDS)
            for name in SignalRanges.model_fields
        ),
    ):
        for end, (plain, quantile) in ends.items():
            value, part = getattr(limits, plain), getattr(limits, quantile)
            known = {"reason": reason, "signal": signal, "end": end}
            if value is not None:
                yield Threshold(key=f"{key}.{plain}", value=value, **known)
            elif part is not None:
                found = _quantiles(signals, signal, valid, part, per_zoom=limits.per_zoom)
                if not found:
                    raise NoValues(
                        f"subset {subset.name}: {key}.{quantile} needs values of {signal}; none of {valid.sum():,} "
                        "valid rows has one"
                    )
                numbers = {"by_zoom": found} if limits.per_zoom else {"value": found[NO_LEVEL]}
                yield Threshold(key=f"{key}.{quantile}", quantile=part, **numbers, **known)


_ENDS = {"min": ("min", "min_quantile"), "max": ("max", "max_quantile")}


def _quantiles(
    signals: pa.Table, name: str, valid: NDArray[np.bool_], part: float, *, per_zoom: bool
) -> dict[str, float]:
    values = number(signals, name)
    counted = valid & np.isfinite(values)
    zoom = levels(signals) if per_zoom else np.full(len(values), -1)
    found = {}
    for level in np.unique(zoom[counted]).tolist():
        among = values[counted & (zoom == level)]
        found[level_name(level)] = float(np.quantile(among, part, method="inverted_cdf"))
    return found


def require_columns(signals: pa.Table, subset: Subset, absent: Collection[str]) -> None:
    """Check that the source has what ``subset`` is chosen by.

    Args:
        signals: the whole source, :func:`columns_for` the subset.
        subset: whose thresholds, sampling and splits.
        absent: facts for which no shard of the source has a column, in Git-10M's names. Zoom and resolution may be
            known nevertheless, from captions of the older layout.

    Raises:
        ColumnAbsent: naming the key and the column.
    """
    for key, fact, signal in _needs(subset):
        if fact in absent and signals[signal].null_count == len(signals):
            raise ColumnAbsent(
                f"subset {subset.name}: {key} needs the column {fact}, which the source does not have; "
                f"name it in source.columns.{fact}, or leave the threshold out"
            )
    for name in SignalRanges.model_fields:
        if _given(getattr(subset.signals, name)) and len(signals) and signals[name].null_count == len(signals):
            told = f"signals.{name} needs scan.images: true, and a picture that decodes"
            raise ColumnAbsent(f"subset {subset.name}: {told}")


def _needs(subset: Subset) -> Iterator[tuple[str, str, str]]:
    """Yield the key of each threshold, the fact it needs, and the signal that is made of it."""
    for key, limits, fact, signal in (
        ("quality", subset.quality, *_MADE_OF["img_quality_score"]),
        ("zoom", subset.zoom, "Google_location", "z"),
        *((name, getattr(subset, name), *_MADE_OF[name]) for name in _MADE_OF if name in Subset.model_fields),
    ):
        for end in _given(limits):
            yield f"{key}.{end}", fact, signal
    if subset.top is not None and subset.top.signal in _MADE_OF:
        yield "top.signal", *_MADE_OF[subset.top.signal]
    for key, wanted in (
        ("quality.per_zoom", subset.quality.per_zoom),
        ("top.per_zoom", subset.top is not None and subset.top.per_zoom),
        ("sampling.per_zoom", subset.sampling.per_zoom),
        *((f"signals.{name}.per_zoom", getattr(subset.signals, name).per_zoom) for name in SignalRanges.model_fields),
    ):
        if wanted:
            yield key, "Google_location", "z"
    for key, wanted in (
        ("bbox", subset.bbox),
        ("area", subset.area),
        ("splits.spatial", subset.splits.spatial),
        ("sampling.per_tile", subset.sampling.per_tile),
    ):
        if wanted is not None:
            yield key, "Google_location", "longitude"


_MADE_OF = {
    "img_quality_score": ("img_quality_score", "img_quality_score"),
    "caption_words": ("caption", "caption_xxh3"),
    "resolution_m": ("resolution", "resolution_m"),
    "ground_resolution_m": ("Google_location", "ground_resolution_m"),
}
"""The fact and the signal behind each signal that is not measured of the picture."""


def _given(limits: Model) -> list[str]:
    """Return the limits that the recipe gives."""
    return list(limits.model_dump(exclude_defaults=True, exclude={"action", "per_zoom"}))


def require_duplicate_columns(settings: Deduplication, absent: Collection[str]) -> None:
    """Check that the source has what ``settings`` tell duplicates by.

    Raises:
        ColumnAbsent: naming the key and the column.
    """
    needed = {
        "same_tile": ("Google_location", settings.same_tile),
        "nested_tiles": ("Google_location", settings.nested_tiles is not None),
        "caption_copies": ("caption", settings.caption_copies is not None),
        "preferred": ("img_name", any(wanted.field == "img_name" for wanted in settings.preferred)),
    }
    for key, (fact, wanted) in needed.items():
        if wanted and fact in absent:
            raise ColumnAbsent(
                f"deduplication.{key} needs the column {fact}, which the source does not have; "
                f"name it in source.columns.{fact}, or leave the key out"
            )


def apply_thresholds(signals: pa.Table, subset: Subset, thresholds: Collection[Threshold]) -> Masks:
    """Return the thresholds of ``subset`` that each row of ``signals`` misses. An absent value misses any threshold.

    ``thresholds`` are those on scores and signals, as :func:`resolve_thresholds` has them. All reject, but for
    ``caption_words``, which says itself what it does.
    """
    words = number(signals, "caption_words")
    lengths = np.zeros(len(signals), np.uint64)
    if subset.caption_words.min is not None:
        lengths |= bit(Reason.CAPTION_TOO_SHORT, words < subset.caption_words.min)
    if subset.caption_words.max is not None:
        lengths |= bit(Reason.CAPTION_TOO_LONG, words > subset.caption_words.max)
    nothing = np.zeros(len(signals), np.uint64)
    missed = lengths if subset.caption_words.action == "reject" else nothing.copy()
    for threshold in thresholds:
        missed |= bit(threshold.reason, _misses(signals, threshold))
    for reason, name, limits in (
        (Reason.ZOOM_OUTSIDE, "z", subset.zoom),
        (Reason.RESOLUTION_OUTSIDE, "resolution_m", subset.resolution_m),
        (Reason.GROUND_RESOLUTION_OUTSIDE, "ground_resolution_m", subset.ground_resolution_m),
    ):
        missed |= bit(reason, outside(number(signals, name), limits))
    if subset.bbox is not None:
        longitude, latitude = number(signals, "longitude"), number(signals, "latitude")
        missed |= bit(Reason.BBOX_OUTSIDE, ~_inside(longitude, latitude, subset.bbox))
    return Masks(missed, lengths if subset.caption_words.action == "flag" else nothing)


def _misses(signals: pa.Table, threshold: Threshold) -> NDArray[np.bool_]:
    column = signals[threshold.signal]
    values = number(signals, threshold.signal)
    limit = np.float64(np.nan if threshold.value is None else threshold.value)
    if pa.types.is_float32(column.type):
        limit = np.float64(np.float32(limit))  # as the signal is stored: 0.02 in float32 is less than 0.02 in float64
    limits = np.broadcast_to(limit, len(values))
    if threshold.by_zoom is not None:
        zoom = levels(signals)
        limits = np.full(len(values), np.nan)
        for level, found in threshold.by_zoom.items():
            limits[zoom == (-1 if level == NO_LEVEL else int(level))] = found
    return ~(values >= limits) if threshold.end == "min" else ~(values <= limits)


def _inside(longitude: NDArray[np.float64], latitude: NDArray[np.float64], box: BoundingBox) -> NDArray[np.bool_]:
    if box.west < box.east:
        between = (longitude >= box.west) & (longitude <= box.east)
    else:  # across the antimeridian
        between = (longitude >= box.west) | (longitude <= box.east)
    return between & (latitude >= box.south) & (latitude <= box.north)

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
from schemas.subset import SCORED, Subset
from schemas.thresholds import BoundingBox, QualityThreshold, SignalRange, SignalRanges
from tasks.select.masks import NO_LEVEL, Masks, bit, level_name, levels, number, outside
from tasks.spill import room

THRESHOLD_COLUMNS = (
    "img_quality_score", "caption_words", "caption_xxh3", "resolution_m", "ground_resolution_m",
    "z", "longitude", "latitude", *SignalRanges.model_fields, *SCORED,
)  # fmt: skip
"""The signals and scores that thresholds look at."""


class NoValues(CurationError):
    """A quantile was asked of a source in which no valid row has a value."""


class ColumnAbsent(CurationError):
    """A threshold needs a column that the source does not have: no row could pass it."""


def columns_for(subset: Subset) -> list[str]:
    """Return those of :data:`THRESHOLD_COLUMNS` that the thresholds of ``subset`` look at."""
    ranges = {
        "caption_words": subset.caption_words, "z": subset.zoom,
        "resolution_m": subset.resolution_m, "ground_resolution_m": subset.ground_resolution_m,
    }  # fmt: skip
    used = {name for name, limits in ranges.items() if _given(limits)}
    used |= {signal for _, _, signal, limits, _ in _limited(subset) if _given(limits)}
    if _by_zoom(subset):
        used.add("z")
    if subset.bbox is not None or subset.area is not None:
        used |= {"longitude", "latitude"}
    return [name for name in THRESHOLD_COLUMNS if name in used]


def _by_zoom(subset: Subset) -> bool:
    return any(limits.per_zoom for _, _, _, limits, _ in _limited(subset))


def quantile_columns(subset: Subset) -> list[str]:
    """Return the signals and scores of which ``subset`` asks for quantiles, and what they are grouped by."""
    used = [
        signal
        for _, _, signal, limits, ends in _limited(subset)
        if any(getattr(limits, quantile) is not None for _, quantile in ends.values())
    ]
    return [*used, *(["z"] if used and _by_zoom(subset) else [])]


def resolve_thresholds(signals: pa.Table, valid: NDArray[np.bool_], subset: Subset) -> tuple[Threshold, ...]:
    """Return the subset's thresholds on scores and signals as numbers.

    A quantile is taken of the valid rows that have a finite value, and is the value of one of them, none in between.

    Args:
        signals: the whole source, :func:`quantile_columns` of the subset.
        valid: shape (rows,): rows that break no validation rule.
        subset: whose thresholds.

    Raises:
        NoValues: if a quantile is asked for and no valid row has a finite value.
    """
    return tuple(_resolve(signals, valid, subset))


def _resolve(signals: pa.Table, valid: NDArray[np.bool_], subset: Subset) -> Iterator[Threshold]:
    for key, reason, signal, limits, ends in _limited(subset):
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


def _limited(
    subset: Subset,
) -> Iterator[tuple[str, Reason, str, QualityThreshold | SignalRange, dict[str, tuple[str, str]]]]:
    """Yield what may be asked of scores and signals: key, reason, signal, limits, and by end the limits' names."""
    yield "quality", Reason.QUALITY_BELOW, "img_quality_score", subset.quality, {"min": ("min_score", "min_quantile")}
    for name in SignalRanges.model_fields:
        yield f"signals.{name}", Reason(f"{name}_outside"), name, getattr(subset.signals, name), _ENDS
    for name in SCORED:
        yield name, Reason(f"{name}_outside"), name, getattr(subset, name), _ENDS


_ENDS = {"min": ("min", "min_quantile"), "max": ("max", "max_quantile")}


def _quantiles(
    signals: pa.Table, name: str, valid: NDArray[np.bool_], part: float, *, per_zoom: bool
) -> dict[str, float]:
    counted_values, group, done, count = room(len(signals), np.float64), room(len(signals), np.int8), 0, 0
    for batch in signals.select([name, "z"] if per_zoom else [name]).to_batches(max_chunksize=2**20):
        piece = pa.Table.from_batches([batch])
        values = number(piece, name)
        counted = valid[done : done + len(values)] & np.isfinite(values)
        here = slice(count, count + int(counted.sum()))
        counted_values[here] = values[counted]
        group[here] = levels(piece)[counted] if per_zoom else -1
        done, count = done + len(values), here.stop
    counted_values, group = counted_values[:count], group[:count]
    found = {}
    for level in np.unique(group).tolist():
        among = counted_values[group == level]
        found[level_name(level)] = float(np.quantile(among, part, method="inverted_cdf", overwrite_input=True))
    return found


def columns_needed(subset: Subset, absent: Collection[str]) -> list[str]:
    """Return the signals that some row must have, as :func:`require_columns` checks."""
    needed = {signal for _, fact, signal in _needs(subset) if fact in absent}
    return sorted(needed | {name for name in SignalRanges.model_fields if _given(getattr(subset.signals, name))})


def require_columns(signals: pa.Table, subset: Subset, absent: Collection[str]) -> None:
    """Check that the source has what ``subset`` is chosen by.

    Args:
        signals: the whole source, or rows that have what some row has: :func:`columns_needed`.
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
        *((f"{name}.per_zoom", getattr(subset, name).per_zoom) for name in SCORED),
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
    "similarity": ("caption", "caption_xxh3"),
}
"""The fact and the signal behind each signal that is not measured of the picture."""


def _given(limits: Model) -> list[str]:
    """Return the limits that the recipe gives."""
    return list(limits.model_dump(exclude_defaults=True, exclude={"action", "per_zoom", "scorers"}))


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
    lengths = np.zeros(len(signals), np.uint64)
    if subset.caption_words.min is not None:
        lengths |= bit(Reason.CAPTION_TOO_SHORT, number(signals, "caption_words") < subset.caption_words.min)
    if subset.caption_words.max is not None:
        lengths |= bit(Reason.CAPTION_TOO_LONG, number(signals, "caption_words") > subset.caption_words.max)
    nothing = np.zeros(len(signals), np.uint64)
    missed = lengths if subset.caption_words.action == "reject" else nothing.copy()
    for threshold in thresholds:
        missed |= bit(threshold.reason, _misses(signals, threshold))
    for reason, name, limits in (
        (Reason.ZOOM_OUTSIDE, "z", subset.zoom),
        (Reason.RESOLUTION_OUTSIDE, "resolution_m", subset.resolution_m),
        (Reason.GROUND_RESOLUTION_OUTSIDE, "ground_resolution_m", subset.ground_resolution_m),
    ):
        if _given(limits):
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

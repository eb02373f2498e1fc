"""Which rules each row breaks, as bit masks over :data:`schemas.reasons.REASONS`."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import CurationError
from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import (
    BoundingBox,
    Deduplication,
    ResolutionRange,
    ScoreRange,
    Subset,
    Validation,
    WordRange,
    ZoomRange,
)

RULE_COLUMNS = (
    "img_name_xxh3", "img_quality_score", "caption_words", "resolution_m", "z", "longitude", "latitude",
    "ground_resolution_m", "width", "height", "luma_std", "nodata_fraction", "defects",
)  # fmt: skip
"""The signals that rules look at."""

Mask = NDArray[np.uint64]


_NEEDS = {
    Reason.CAPTION_MISSING: ("caption",),
    Reason.CAPTION_LENGTH_MISMATCH: ("caption", "caption_length"),
    Reason.CAPTION_GARBLED: ("caption",),
    Reason.CAPTION_REFUSAL: ("caption",),
    Reason.SCORE_MISSING: ("img_quality_score",),
    Reason.SCORE_NOT_FINITE: ("img_quality_score",),
    Reason.SCORE_OUT_OF_RANGE: ("img_quality_score",),
    Reason.PLACE_MISSING: ("Google_location",),
    Reason.PLACE_MALFORMED: ("Google_location",),
    Reason.PLACE_OUT_OF_RANGE: ("Google_location",),
    Reason.RESOLUTION_MISMATCH: ("Google_location", "resolution"),
    Reason.IMG_NAME_MISSING: ("img_name",),
    Reason.IMG_NAME_REPEATED: ("img_name",),
}
"""The source's columns that each validation rule needs; all rules left out need the image."""


class NoScores(CurationError):
    """A quantile was asked of a source in which no valid row has a score."""


class ColumnAbsent(CurationError):
    """A threshold needs a column that the source does not have: no row could pass it."""


class Masks(NamedTuple):
    """Rules each row breaks, each of shape (rows,), dtype uint64."""

    reject: Mask  # rules whose action is reject
    flag: Mask  # rules whose action is flag


def rules_off(absent: Collection[str], *, images: bool) -> tuple[Reason, ...]:
    """Return the validation rules that no row is held against, for lack of a column, in stage order.

    Args:
        absent: facts for which no shard of the source has a column, in Git-10M's names.
        images: whether images are read.

    >>> [reason.value for reason in rules_off(["caption_length"], images=True)]
    ['caption_length_mismatch']
    """
    rules = [reason for reason in REASONS if reason.stage is Stage.VALIDATION]
    return tuple(
        rule for rule in rules if (any(fact in absent for fact in _NEEDS[rule]) if rule in _NEEDS else not images)
    )


def validate(signals: pa.Table, validation: Validation) -> Masks:
    """Return the validation rules that each row of ``signals``, the whole source in its order, breaks.

    What the scan found stands in ``defects``; here come the rules that depend on the recipe, or on other rows. A value
    that is absent breaks none of these: its absence has a rule of its own.
    """
    broken = _defect_mask(signals["defects"].combine_chunks())
    luma_std, score = _float(signals, "luma_std"), _float(signals, "img_quality_score")
    broken |= _bit(Reason.IMAGE_BLANK, luma_std <= validation.blank_luma_std)
    nodata = signals["nodata_fraction"].combine_chunks()
    # Compared as float32, as it is stored: what was measured as 0.02 is less than 0.02 in float64.
    broken |= _bit(Reason.IMAGE_NODATA, _at_least(nodata, validation.nodata_fraction))
    if validation.image_size is not None:
        size = validation.image_size
        other = (_float(signals, "width") != size.width) | (_float(signals, "height") != size.height)
        broken |= _bit(Reason.IMAGE_SIZE, other & ~np.isnan(luma_std))  # of what was decoded
    broken |= _bit(Reason.SCORE_OUT_OF_RANGE, np.isfinite(score) & _outside(score, validation.score))
    zoom = _float(signals, "z")
    broken |= _bit(Reason.PLACE_OUT_OF_RANGE, ~np.isnan(zoom) & _outside(zoom, validation.zoom))
    broken |= _bit(Reason.IMG_NAME_REPEATED, _repeated(signals["img_name_xxh3"]))
    actions = {
        reason: getattr(validation.rules, reason.value) for reason in REASONS if reason.stage is Stage.VALIDATION
    }
    reject, flag = (
        np.uint64(sum(reason.bit for reason, chosen in actions.items() if chosen == action))
        for action in ("reject", "flag")
    )
    return Masks(broken & reject, broken & flag)


def least_score(signals: pa.Table, valid: NDArray[np.bool_], subset: Subset) -> float | None:
    """Return the subset's quality threshold as a number: a quantile is the score of a valid row, none in between.

    Raises:
        NoScores: if a quantile is asked for and no valid row has a finite score.
    """
    if subset.quality.min_quantile is None:
        return subset.quality.min_score
    scores = _float(signals, "img_quality_score")[valid]
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        raise NoScores(
            f"subset {subset.name}: quality.min_quantile needs scores; none of {valid.sum():,} valid rows has one"
        )
    return float(np.quantile(scores, subset.quality.min_quantile, method="inverted_cdf"))


def require_columns(signals: pa.Table, subset: Subset, absent: Collection[str]) -> None:
    """Check that the source has what the thresholds of ``subset`` are held against.

    Args:
        signals: the whole source.
        subset: whose thresholds.
        absent: facts for which no shard of the source has a column, in Git-10M's names. Zoom and resolution may be
            known nevertheless, from captions of the older layout.

    Raises:
        ColumnAbsent: naming the threshold and the column.
    """
    for threshold, limits, fact, signal in (
        ("quality", subset.quality, "img_quality_score", "img_quality_score"),
        ("caption_words", subset.caption_words, "caption", None),
        ("zoom", subset.zoom, "Google_location", "z"),
        ("resolution_m", subset.resolution_m, "resolution", "resolution_m"),
        ("ground_resolution_m", subset.ground_resolution_m, "Google_location", "ground_resolution_m"),
        ("bbox", subset.bbox, "Google_location", "longitude"),
    ):
        asked = limits.model_dump(exclude_none=True, exclude={"action"}) if limits is not None else {}
        known = signal is not None and signals[signal].null_count < len(signals)
        if asked and fact in absent and not known:
            key = threshold if limits is subset.bbox else f"{threshold}.{next(iter(asked))}"
            raise ColumnAbsent(
                f"subset {subset.name}: {key} needs the column {fact}, which the source does not have; "
                f"name it in source.columns.{fact}, or leave the threshold out"
            )


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


def apply_thresholds(signals: pa.Table, subset: Subset, min_score: float | None) -> Masks:
    """Return the thresholds of ``subset`` that each row of ``signals`` misses. An absent value misses any threshold.

    All reject, but for ``caption_words``, which says itself what it does.
    """
    words = _float(signals, "caption_words")
    lengths = np.zeros(len(signals), np.uint64)
    if subset.caption_words.min is not None:
        lengths |= _bit(Reason.CAPTION_TOO_SHORT, words < subset.caption_words.min)
    if subset.caption_words.max is not None:
        lengths |= _bit(Reason.CAPTION_TOO_LONG, words > subset.caption_words.max)
    nothing = np.zeros(len(signals), np.uint64)
    missed = lengths if subset.caption_words.action == "reject" else nothing.copy()
    if min_score is not None:
        missed |= _bit(Reason.QUALITY_BELOW, ~(_float(signals, "img_quality_score") >= min_score))
    for reason, name, limits in (
        (Reason.ZOOM_OUTSIDE, "z", subset.zoom),
        (Reason.RESOLUTION_OUTSIDE, "resolution_m", subset.resolution_m),
        (Reason.GROUND_RESOLUTION_OUTSIDE, "ground_resolution_m", subset.ground_resolution_m),
    ):
        missed |= _bit(reason, _outside(_float(signals, name), limits))
    if subset.bbox is not None:
        longitude, latitude = _float(signals, "longitude"), _float(signals, "latitude")
        missed |= _bit(Reason.BBOX_OUTSIDE, ~_inside(longitude, latitude, subset.bbox))
    return Masks(missed, lengths if subset.caption_words.action == "flag" else nothing)


def _repeated(hashes: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return which rows have the hash of an earlier one; null is like no other.

    Two of 10.5 million different names share a 64-bit hash with a probability of 3 in a million.
    """
    rows = np.flatnonzero(hashes.is_valid().to_numpy())
    _, first = np.unique(hashes.drop_null().to_numpy(), return_index=True)
    repeated = np.zeros(len(hashes), np.bool_)
    repeated[rows] = True
    repeated[rows[first]] = False
    return repeated


def _at_least(values: pa.Array, limit: float) -> NDArray[np.bool_]:
    at_least: NDArray[np.bool_] = pc.fill_null(pc.greater_equal(values, pa.scalar(limit, values.type)), False).to_numpy(
        zero_copy_only=False
    )
    return at_least


def _outside(
    values: NDArray[np.float64], limits: ScoreRange | WordRange | ZoomRange | ResolutionRange
) -> NDArray[np.bool_]:
    outside = np.zeros(len(values), np.bool_)
    if limits.min is not None:
        outside |= ~(values >= limits.min)
    if limits.max is not None:
        outside |= ~(values <= limits.max)
    return outside


def _inside(longitude: NDArray[np.float64], latitude: NDArray[np.float64], box: BoundingBox) -> NDArray[np.bool_]:
    if box.west < box.east:
        between = (longitude >= box.west) & (longitude <= box.east)
    else:  # across the antimeridian
        between = (longitude >= box.west) | (longitude <= box.east)
    return between & (latitude >= box.south) & (latitude <= box.north)


def _bit(reason: Reason, rows: NDArray[np.bool_]) -> Mask:
    return rows * np.uint64(reason.bit)


def _float(signals: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as float64 with NaN for null; every comparison with NaN is false."""
    values: NDArray[np.float64] = pc.fill_null(signals[name].cast(pa.float64()), np.nan).to_numpy()
    return values


def _defect_mask(defects: pa.ListArray) -> Mask:
    mask = np.zeros(len(defects), np.uint64)
    codes = defects.flatten().dictionary_encode()
    bits = np.array([Reason(code).bit for code in codes.dictionary.to_pylist()], np.uint64)
    if len(codes):
        np.bitwise_or.at(mask, pc.list_parent_indices(defects).to_numpy(), bits[codes.indices.to_numpy()])
    return mask

"""Which rules each row breaks, as bit masks over :data:`schemas.reasons.REASONS`."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.errors import CurationError
from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import BoundingBox, ResolutionRange, Subset, Validation, WordRange, ZoomRange

RULE_COLUMNS = (
    "img_quality_score", "caption_words", "resolution_m", "z", "longitude", "latitude",
    "ground_resolution_m", "width", "height", "luma_std", "defects",
)  # fmt: skip
"""The signals that rules look at."""

Mask = NDArray[np.uint64]


class NoScores(CurationError):
    """A quantile was asked of a source in which no valid row has a score."""


class ValidationMasks(NamedTuple):
    """Validation rules each row breaks, each of shape (rows,), dtype uint64."""

    reject: Mask  # rules whose action is reject
    flag: Mask  # rules whose action is flag


def validate(signals: pa.Table, validation: Validation) -> ValidationMasks:
    """Return the validation rules that each row of ``signals`` breaks."""
    broken = _defect_mask(signals["defects"].combine_chunks())
    luma_std = _float(signals, "luma_std")
    broken |= _bit(Reason.IMAGE_BLANK, luma_std <= validation.blank_luma_std)
    if validation.image_size is not None:
        size = validation.image_size
        other = (_float(signals, "width") != size.width) | (_float(signals, "height") != size.height)
        broken |= _bit(Reason.IMAGE_SIZE, other & ~np.isnan(luma_std))  # of what was decoded
    actions = {
        reason: getattr(validation.rules, reason.value) for reason in REASONS if reason.stage is Stage.VALIDATION
    }
    reject, flag = (
        np.uint64(sum(reason.bit for reason, chosen in actions.items() if chosen == action))
        for action in ("reject", "flag")
    )
    return ValidationMasks(broken & reject, broken & flag)


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


def apply_thresholds(signals: pa.Table, subset: Subset, min_score: float | None) -> Mask:
    """Return the thresholds of ``subset`` that each row of ``signals`` misses. An absent value misses any threshold."""
    words = _float(signals, "caption_words")
    missed = np.zeros(len(signals), np.uint64)
    if min_score is not None:
        missed |= _bit(Reason.QUALITY_BELOW, ~(_float(signals, "img_quality_score") >= min_score))
    if subset.caption_words.min is not None:
        missed |= _bit(Reason.CAPTION_TOO_SHORT, words < subset.caption_words.min)
    if subset.caption_words.max is not None:
        missed |= _bit(Reason.CAPTION_TOO_LONG, words > subset.caption_words.max)
    for reason, name, limits in (
        (Reason.ZOOM_OUTSIDE, "z", subset.zoom),
        (Reason.RESOLUTION_OUTSIDE, "resolution_m", subset.resolution_m),
        (Reason.GROUND_RESOLUTION_OUTSIDE, "ground_resolution_m", subset.ground_resolution_m),
    ):
        missed |= _bit(reason, _outside(_float(signals, name), limits))
    if subset.bbox is not None:
        longitude, latitude = _float(signals, "longitude"), _float(signals, "latitude")
        missed |= _bit(Reason.BBOX_OUTSIDE, ~_inside(longitude, latitude, subset.bbox))
    return missed


def _outside(values: NDArray[np.float64], limits: WordRange | ZoomRange | ResolutionRange) -> NDArray[np.bool_]:
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

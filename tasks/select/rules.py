"""Which validation rules each row breaks, as bit masks over :data:`schemas.reasons.REASONS`."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Validation
from tasks.select.masks import Mask, Masks, bit, number, outside

RULE_COLUMNS = (
    "img_name_xxh3", "img_quality_score", "z", "width", "height", "luma_std", "nodata_fraction", "defects"
)  # fmt: skip
"""The signals that validation rules look at."""

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
    return by_action(rules_broken(signals, validation, _repeated(signals["img_name_xxh3"])), validation)


def rules_broken(signals: pa.Table, validation: Validation, repeated: NDArray[np.bool_]) -> Mask:
    """Return the validation rules that each row of ``signals`` breaks, whatever their action.

    Args:
        signals: some rows of :data:`RULE_COLUMNS`, of which ``img_name_xxh3`` is not looked at.
        validation: the rules' limits.
        repeated: shape (rows,): an earlier row of the source has the same ``img_name``.
    """
    broken = _defect_mask(signals["defects"].combine_chunks())
    luma_std, score = number(signals, "luma_std"), number(signals, "img_quality_score")
    broken |= bit(Reason.IMAGE_BLANK, luma_std <= validation.blank_luma_std)
    nodata = signals["nodata_fraction"].combine_chunks()
    # Compared as float32, as it is stored: what was measured as 0.02 is less than 0.02 in float64.
    broken |= bit(Reason.IMAGE_NODATA, _at_least(nodata, validation.nodata_fraction))
    if validation.image_size is not None:
        size = validation.image_size
        other = (number(signals, "width") != size.width) | (number(signals, "height") != size.height)
        broken |= bit(Reason.IMAGE_SIZE, other & ~np.isnan(luma_std))  # of what was decoded
    broken |= bit(Reason.SCORE_OUT_OF_RANGE, np.isfinite(score) & outside(score, validation.score))
    zoom = number(signals, "z")
    broken |= bit(Reason.PLACE_OUT_OF_RANGE, ~np.isnan(zoom) & outside(zoom, validation.zoom))
    return broken | bit(Reason.IMG_NAME_REPEATED, repeated)


def by_action(broken: Mask, validation: Validation) -> Masks:
    """Return which of the ``broken`` rules reject, and which flag."""
    actions = {
        reason: getattr(validation.rules, reason.value) for reason in REASONS if reason.stage is Stage.VALIDATION
    }
    reject, flag = (
        np.uint64(sum(reason.bit for reason, chosen in actions.items() if chosen == action))
        for action in ("reject", "flag")
    )
    return Masks(broken & reject, broken & flag)


def _repeated(hashes: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return which rows have the hash of an earlier one; null is like no other."""
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


def _defect_mask(defects: pa.ListArray) -> Mask:
    mask = np.zeros(len(defects), np.uint64)
    codes = defects.flatten().dictionary_encode()
    bits = np.array([Reason(code).bit for code in codes.dictionary.to_pylist()], np.uint64)
    if len(codes):
        np.bitwise_or.at(mask, pc.list_parent_indices(defects).to_numpy(), bits[codes.indices.to_numpy()])
    return mask

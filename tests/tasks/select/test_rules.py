from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Validation
from schemas.tables import FACT_COLUMNS, SIGNALS
from tasks.select.rules import RULE_COLUMNS, rules_off, validate

GOOD = {
    "img_name_xxh3": None,
    "img_quality_score": 4.0,
    "z": 13,
    "width": 256,
    "height": 256,
    "luma_std": 40.0,
    "nodata_fraction": 0.0,
    "defects": [],
}
SCHEMA = pa.schema([SIGNALS.field(name) for name in RULE_COLUMNS])


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([GOOD | row for row in rows], schema=SCHEMA)


def reasons(mask: np.uint64) -> list[Reason]:
    return [reason for reason in REASONS if int(mask) & reason.bit]


MEASURED: dict[Reason, tuple[dict[str, Any], dict[str, Any]]] = {
    Reason.IMAGE_BLANK: ({"luma_std": 1.0}, {"luma_std": 1.25}),
    Reason.IMAGE_SIZE: ({"height": 255}, {"height": 256}),
    Reason.IMAGE_NODATA: ({"nodata_fraction": 0.02}, {"nodata_fraction": 0.0199}),
    Reason.SCORE_OUT_OF_RANGE: ({"img_quality_score": 5.5}, {"img_quality_score": 5.0}),
    Reason.PLACE_OUT_OF_RANGE: ({"z": 9}, {"z": 10}),
}
"""Rules that the recipe's numbers decide: a row that just breaks one, and one that just does not."""


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason.stage is Stage.VALIDATION])
def test_every_validation_rule_rejects_flags_or_ignores(reason: Reason) -> None:
    bad, good = MEASURED.get(reason, ({"defects": [reason.value]}, {}))
    if reason is Reason.IMG_NAME_REPEATED:
        bad, good = {"img_name_xxh3": 7}, {"img_name_xxh3": 7}  # the row before is the good one
    for action in ("reject", "flag", "ignore"):
        settings = {
            "image_size": {"width": 256, "height": 256},
            "score": {"min": 0, "max": 5},
            "zoom": {"min": 10, "max": 18},
            "rules": {reason.value: action},
        }
        masks = validate(table(good, bad, {}), Validation.model_validate(settings))
        assert reasons(masks.reject[1]) == ([reason] if action == "reject" else [])
        assert reasons(masks.flag[1]) == ([reason] if action == "flag" else [])
        assert masks.reject[0] == masks.flag[0] == masks.reject[2] == masks.flag[2] == 0


def test_an_absent_value_is_outside_no_range_of_validation() -> None:
    settings = {"score": {"min": 0}, "zoom": {"max": 18}, "image_size": {"width": 1, "height": 1}}
    absent = dict.fromkeys(set(RULE_COLUMNS) - {"caption_words", "defects"})
    not_finite = [absent | {"img_quality_score": score} for score in (float("inf"), float("nan"))]
    masks = validate(table(absent, *not_finite), Validation.model_validate(settings))
    assert not masks.reject.any()
    assert not masks.flag.any()


def test_every_row_but_the_first_of_a_name_is_repeated_and_rows_without_a_name_are_not() -> None:
    names = [None, 3, 2**64 - 1, 3, None, 3, 0, 2**64 - 1]
    chunks = [table(*({"img_name_xxh3": name} for name in part)) for part in (names[:4], names[4:])]
    flags = validate(pa.concat_tables(chunks), Validation()).flag
    assert [row for row, mask in enumerate(flags) if reasons(mask) == [Reason.IMG_NAME_REPEATED]] == [3, 5, 7]


def test_rules_are_off_where_their_column_or_the_images_are_absent() -> None:
    assert rules_off((), images=True) == ()
    assert rules_off(("resolution",), images=True) == (Reason.RESOLUTION_MISMATCH,)
    assert rules_off(("caption",), images=True) == (
        Reason.CAPTION_MISSING,
        Reason.CAPTION_LENGTH_MISMATCH,
        Reason.CAPTION_GARBLED,
        Reason.CAPTION_REFUSAL,
    )
    assert all(reason.value.startswith("image_") for reason in rules_off((), images=False))
    everything = [reason for reason in REASONS if reason.stage is Stage.VALIDATION]
    assert rules_off(FACT_COLUMNS, images=False) == tuple(everything)
    assert [reason for reason in everything if reason not in rules_off(FACT_COLUMNS, images=True)] == [
        reason for reason in everything if reason.value.startswith("image_")
    ]


def test_several_defects_are_all_found() -> None:
    masks = validate(table({"defects": ["caption_missing", "score_missing"], "luma_std": 0.0}), Validation())
    assert reasons(masks.reject[0]) == [Reason.IMAGE_BLANK, Reason.CAPTION_MISSING]
    assert reasons(masks.flag[0]) == [Reason.SCORE_MISSING]


def test_what_was_not_decoded_is_not_blamed_for_size_or_blankness() -> None:
    row = {"defects": ["image_too_large"], "width": 9000, "height": 9000, "luma_std": None}
    masks = validate(table(row), Validation.model_validate({"image_size": {"width": 256, "height": 256}}))
    assert reasons(masks.reject[0]) == [Reason.IMAGE_TOO_LARGE]

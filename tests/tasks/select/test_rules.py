from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.reasons import REASONS, Reason, Stage
from schemas.recipe import Subset, Validation
from schemas.tables import SIGNALS
from tasks.select.rules import RULE_COLUMNS, NoScores, apply_thresholds, least_score, validate

GOOD = {
    "img_quality_score": 4.0,
    "caption_words": 20,
    "resolution_m": 16.0,
    "z": 13,
    "longitude": 10.0,
    "latitude": 50.0,
    "ground_resolution_m": 12.3,
    "width": 256,
    "height": 256,
    "luma_std": 40.0,
    "defects": [],
}
SCHEMA = pa.schema([SIGNALS.field(name) for name in RULE_COLUMNS])


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([GOOD | row for row in rows], schema=SCHEMA)


def reasons(mask: np.uint64) -> list[Reason]:
    return [reason for reason in REASONS if int(mask) & reason.bit]


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason.stage is Stage.VALIDATION])
def test_every_validation_rule_rejects_flags_or_ignores(reason: Reason) -> None:
    bad: dict[str, Any] = {"defects": [reason.value]}
    if reason is Reason.IMAGE_BLANK:
        bad = {"luma_std": 1.0}
    if reason is Reason.IMAGE_SIZE:
        bad = {"height": 255}
    for action in ("reject", "flag", "ignore"):
        settings = {"image_size": {"width": 256, "height": 256}, "rules": {reason.value: action}}
        masks = validate(table(bad, {}), Validation.model_validate(settings))
        assert reasons(masks.reject[0]) == ([reason] if action == "reject" else [])
        assert reasons(masks.flag[0]) == ([reason] if action == "flag" else [])
        assert (masks.reject[1], masks.flag[1]) == (0, 0)


def test_several_defects_are_all_found() -> None:
    masks = validate(table({"defects": ["caption_missing", "score_missing"], "luma_std": 0.0}), Validation())
    assert reasons(masks.reject[0]) == [Reason.IMAGE_BLANK, Reason.CAPTION_MISSING]
    assert reasons(masks.flag[0]) == [Reason.SCORE_MISSING]


def test_what_was_not_decoded_is_not_blamed_for_size_or_blankness() -> None:
    row = {"defects": ["image_too_large"], "width": 9000, "height": 9000, "luma_std": None}
    masks = validate(table(row), Validation.model_validate({"image_size": {"width": 256, "height": 256}}))
    assert reasons(masks.reject[0]) == [Reason.IMAGE_TOO_LARGE]


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "reason"),
    [
        ({"caption_words": {"min": 20}}, {}, {"caption_words": 19}, Reason.CAPTION_TOO_SHORT),
        ({"caption_words": {"max": 20}}, {}, {"caption_words": 21}, Reason.CAPTION_TOO_LONG),
        ({"zoom": {"min": 13, "max": 13}}, {}, {"z": 12}, Reason.ZOOM_OUTSIDE),
        ({"zoom": {"max": 13}}, {}, {"z": None}, Reason.ZOOM_OUTSIDE),
        ({"resolution_m": {"max": 16}}, {}, {"resolution_m": 32.0}, Reason.RESOLUTION_OUTSIDE),
        ({"ground_resolution_m": {"min": 12}}, {}, {"ground_resolution_m": 11.9}, Reason.GROUND_RESOLUTION_OUTSIDE),
        (
            {"bbox": {"west": 10, "east": 11, "south": 49, "north": 50}},
            {},
            {"longitude": 9.9},
            Reason.BBOX_OUTSIDE,
        ),
        (
            {"bbox": {"west": 170, "east": -170, "south": 49, "north": 51}},
            {"longitude": -175.0},
            {"longitude": 169.0},
            Reason.BBOX_OUTSIDE,
        ),
        ({"bbox": {"west": 0, "east": 11, "south": 49, "north": 51}}, {}, {"longitude": None}, Reason.BBOX_OUTSIDE),
    ],
)
def test_thresholds_include_their_ends_and_an_absent_value_misses_them(
    limits: dict[str, Any], inside: dict[str, Any], outside: dict[str, Any], reason: Reason
) -> None:
    subset = Subset.model_validate({"name": "s"} | limits)
    missed = apply_thresholds(table(inside, outside), subset, None)
    assert reasons(missed[0]) == []
    assert reasons(missed[1]) == [reason]


def test_quality_is_a_number_or_a_quantile_of_the_valid_rows() -> None:
    scores = table(*({"img_quality_score": score} for score in (1.0, 2.0, 3.0, 4.0, 9.0, None, float("nan"))))
    valid = np.array([True, True, True, True, False, True, True])
    half = Subset.model_validate({"name": "s", "quality": {"min_quantile": 0.5}})
    assert least_score(scores, valid, half) == 2.0
    assert least_score(scores, valid, Subset.model_validate({"name": "s", "quality": {"min_score": 2.5}})) == 2.5
    assert least_score(scores, valid, Subset(name="s")) is None
    missed = apply_thresholds(scores, half, 2.0)
    assert [reasons(mask) == [Reason.QUALITY_BELOW] for mask in missed] == [
        True,
        False,
        False,
        False,
        False,
        True,
        True,
    ]
    with pytest.raises(NoScores, match="none of 0 valid rows has one"):
        least_score(scores, np.zeros(7, np.bool_), half)

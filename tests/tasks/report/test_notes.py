"""What stands beside a picture."""

from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.tables import SIGNALS, VERDICTS
from tasks.report.groups import GROUPED
from tasks.report.notes import (
    NOTED_SIGNALS,
    NOTED_VERDICTS,
    keeper_note,
    member_note,
    rejected_note,
    score_note,
)


def known(**changes: Any) -> dict[str, Any]:
    return dict.fromkeys([*NOTED_SIGNALS, *NOTED_VERDICTS]) | changes


def test_notes_are_made_of_columns_that_there_are() -> None:
    assert {*NOTED_SIGNALS} <= {*SIGNALS.names}
    assert {*NOTED_VERDICTS} <= {*VERDICTS.names}


@pytest.mark.parametrize(
    ("reason", "facts", "note"),
    [
        (Reason.DUPLICATE_BYTES, {"duplicate_distance": 0}, "equal bytes"),
        (Reason.DUPLICATE_PIXELS, {"duplicate_distance": 0}, "equal pixels"),
        (
            Reason.DUPLICATE_NEAR,
            {"duplicate_distance": 8, "duplicate_similarity": 0.8},
            "8 of 64 bits, similarity 0.80",
        ),
        (Reason.DUPLICATE_NEAR, {"duplicate_distance": 0}, "0 of 64 bits"),
        (Reason.DUPLICATE_TILE, {}, "same tile"),
        (Reason.NESTED_TILE, {"z": 14, "x": 3, "y": 5}, "tile 14_3_5, inside the kept one"),
        (Reason.NESTED_TILE, {"z": 12, "x": 0, "y": 1}, "tile 12_0_1, around the kept one"),
        (Reason.DUPLICATE_CAPTION, {}, "same caption"),
    ],
)
def test_member(reason: Reason, facts: dict[str, Any], note: str) -> None:
    assert member_note(reason, known(**facts), known(z=13, x=1, y=2)) == note


def test_keeper_tells_its_score_and_its_tile_where_tiles_were_compared() -> None:
    facts = known(img_quality_score=4.5, z=13, x=1, y=2)
    notes = {keeper_note(reason, facts) for reason in GROUPED}
    assert notes == {"score 4.5", "score 4.5, tile 13_1_2"}
    assert keeper_note(Reason.NESTED_TILE, facts) == "score 4.5, tile 13_1_2"
    assert score_note(known()) == "no score"


@pytest.mark.parametrize(
    ("reason", "facts", "note"),
    [
        (
            Reason.CONTAMINATED,
            {"reference": "EuroSAT: Forest_1.jpg", "reference_distance": 3},
            "3 of 64 bits from EuroSAT: Forest_1.jpg",
        ),
        (Reason.QUALITY_BELOW, {"img_quality_score": 3.25}, "img_quality_score: 3.25"),
        (Reason.IMAGE_SIZE, {"width": 100, "detail": None}, "width: 100 pixels"),
        (Reason.IMAGE_SIZE, {"width": 100, "detail": "100 x 80, expected 256 x 256"}, "100 x 80, expected 256 x 256"),
        (Reason.BBOX_OUTSIDE, {}, ""),
    ],
)
def test_rejected(reason: Reason, facts: dict[str, Any], note: str) -> None:
    assert rejected_note(reason, known(**facts)) == note

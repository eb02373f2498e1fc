from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.row import breaches

GOOD = {
    "img_name": "a.jpg",
    "img_quality_score": 4.8,
    "caption": "a small harbour",
    "caption_length": 3,
    "Google_location": "10_532_356",
    "resolution": 128.0,
}


def test_a_good_row_breaks_nothing() -> None:
    assert breaches(GOOD) == {}
    assert breaches(GOOD | {"caption_length": None, "resolution": None}) == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"img_name": None}, Reason.IMG_NAME_MISSING),
        ({"img_name": " "}, Reason.IMG_NAME_MISSING),
        ({"img_quality_score": None}, Reason.SCORE_MISSING),
        ({"img_quality_score": float("nan")}, Reason.SCORE_NOT_FINITE),
        ({"img_quality_score": float("-inf")}, Reason.SCORE_NOT_FINITE),
        ({"caption": None}, Reason.CAPTION_MISSING),
        ({"caption": "\n\t"}, Reason.CAPTION_MISSING),
        ({"caption_length": 4}, Reason.CAPTION_LENGTH_MISMATCH),
        ({"Google_location": None}, Reason.PLACE_MISSING),
        ({"Google_location": "million-aid_17"}, Reason.PLACE_MISSING),
        ({"Google_location": "10_532_x"}, Reason.PLACE_MALFORMED),
        ({"Google_location": "10_-1_0"}, Reason.PLACE_MALFORMED),
        ({"Google_location": "10_1024_0"}, Reason.PLACE_OUT_OF_RANGE),
        ({"Google_location": "31_0_0"}, Reason.PLACE_OUT_OF_RANGE),
        ({"resolution": 64.0}, Reason.RESOLUTION_MISMATCH),
    ],
)
def test_each_breach_is_named_and_no_other(changes: dict[str, Any], reason: Reason) -> None:
    found = breaches(GOOD | changes)
    assert list(found) == [reason]
    [field] = changes
    assert found[reason].startswith(f"{field}: found {changes[field]!r}, expected ")


def test_all_breaches_of_a_row_are_named() -> None:
    found = breaches(GOOD | {"caption": "", "img_quality_score": None, "Google_location": "1_2_3"})
    assert set(found) == {Reason.CAPTION_MISSING, Reason.SCORE_MISSING, Reason.PLACE_OUT_OF_RANGE}

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.row import breaches, count_words
from tasks.scan.facts import FactError, read_facts

SCHEMA = pa.schema(
    {
        "img_name": pa.string(),
        "img_quality_score": pa.float64(),
        "caption": pa.string(),
        "caption_length": pa.int64(),
        "resolution": pa.float64(),
        "Google_location": pa.string(),
    }
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
LOCATION = st.one_of(
    st.none(),
    TEXT,
    st.sampled_from(
        ["10_532_356", "10_1024_0", "30_0_0", "31_1_1", "1_2", "_1_2", "1_2_3_4", "1_2_", "0_0_0", "٣_1_1", "1_1_1\n"]
    ),
    st.builds("{}_{}_{}".format, st.integers(0, 40), st.integers(-1, 2**40), st.integers(0, 2**12)),
)
ROW = st.fixed_dictionaries(
    {
        "img_name": st.none() | TEXT,
        "img_quality_score": st.none() | st.floats(),
        "caption": st.none() | TEXT,
        "caption_length": st.none() | st.integers(-1, 9),
        "resolution": st.none() | st.sampled_from([128.0, 131072.0, math.nan]) | st.floats(),
        "Google_location": LOCATION,
    }
)


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


@given(st.lists(ROW, min_size=1, max_size=8))
@settings(max_examples=400, deadline=None)
def test_columns_find_exactly_the_breaches_that_the_row_contract_names(rows: list[dict[str, Any]]) -> None:
    facts = read_facts(batch(rows))
    for number, row in enumerate(rows):
        assert facts.breaches.get(number, {}).keys() == breaches(row).keys()
        unplaced = {Reason.PLACE_MISSING, Reason.PLACE_MALFORMED, Reason.PLACE_OUT_OF_RANGE} & breaches(row).keys()
        assert facts.columns["z"][number].is_valid == (not unplaced)
        assert facts.columns["caption_words"][number].as_py() == count_words(row["caption"] or "")


def test_place_becomes_coordinates_and_ground_resolution() -> None:
    row = {"img_name": "a", "img_quality_score": 1.0, "caption": "a b", "caption_length": 2, "resolution": 128.0}
    facts = read_facts(batch([row | {"Google_location": "10_532_356"}, row | {"Google_location": None}]))
    placed = {name: column[0].as_py() for name, column in facts.columns.items()}
    assert (placed["z"], placed["x"], placed["y"]) == (10, 532, 356)
    assert placed["longitude"] == pytest.approx(532.5 / 1024 * 360 - 180)
    assert placed["ground_resolution_m"] == pytest.approx(
        128 * 1.19433 * math.cos(math.radians(placed["latitude"])), rel=1e-5
    )
    assert all(facts.columns[name][1].as_py() is None for name in ("z", "x", "y", "longitude", "latitude"))


def test_equal_captions_have_equal_hashes_whatever_their_case_and_spaces() -> None:
    rows = [
        dict.fromkeys(SCHEMA.names) | {"caption": text} for text in ("A  Harbour ", "a harbour", "a harbor", " ", None)
    ]
    same, also, other, blank, missing = read_facts(batch(rows)).columns["caption_xxh3"].to_pylist()
    assert same == also != other
    assert blank is None
    assert missing is None


@pytest.mark.parametrize(
    ("name", "type_"),
    [("img_quality_score", pa.float32()), ("caption_length", pa.int8()), ("caption", pa.large_string())],
)
def test_other_widths_are_accepted(name: str, type_: pa.DataType) -> None:
    rows = pa.RecordBatch.from_pylist(
        [
            {
                "img_name": "a",
                "img_quality_score": 1.5,
                "caption": "a",
                "caption_length": 1,
                "resolution": 128.0,
                "Google_location": "10_1_1",
            }
        ],
        schema=SCHEMA.set(SCHEMA.get_field_index(name), pa.field(name, type_)),
    )
    assert read_facts(rows).breaches == {}


def test_a_column_that_cannot_hold_the_fact_is_named() -> None:
    schema = SCHEMA.set(SCHEMA.get_field_index("caption"), pa.field("caption", pa.list_(pa.int8())))
    rows = pa.RecordBatch.from_pylist([dict.fromkeys(SCHEMA.names)], schema=schema)
    with pytest.raises(FactError, match=r"column caption: found list<.*expected what casts to string"):
        read_facts(rows)

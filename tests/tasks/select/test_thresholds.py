from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.reasons import REASONS, Reason
from schemas.reports import Threshold
from schemas.subset import Subset
from schemas.tables import FACT_COLUMNS, SCORES, SIGNALS
from tasks.select.masks import Mask
from tasks.select.thresholds import (
    THRESHOLD_COLUMNS,
    ColumnAbsent,
    NoValues,
    apply_thresholds,
    require_columns,
    resolve_thresholds,
)

GOOD = {
    "img_quality_score": 4.0,
    "caption_words": 20,
    "caption_xxh3": 1,
    "resolution_m": 16.0,
    "z": 13,
    "longitude": 10.0,
    "latitude": 50.0,
    "ground_resolution_m": 12.3,
    "byte_length": 30_000,
    "width": 256,
    "height": 256,
    "luma_mean": 100.0,
    "luma_std": 40.0,
    "nodata_fraction": 0.0,
    "sharpness": 300.0,
    "structure": 40.0,
    "similarity": 0.3,
    "prompt_margin": 0.1,
}
SCHEMA = pa.schema([pa.unify_schemas([SIGNALS, SCORES]).field(name) for name in THRESHOLD_COLUMNS])


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([GOOD | row for row in rows], schema=SCHEMA)


def reasons(mask: np.uint64) -> list[Reason]:
    return [reason for reason in REASONS if int(mask) & reason.bit]


def subset(**limits: Any) -> Subset:
    return Subset.model_validate({"name": "s"} | limits)


def resolved(signals: pa.Table, wanted: Subset, valid: list[bool] | None = None) -> tuple[Threshold, ...]:
    return resolve_thresholds(signals, np.array(valid or [True] * len(signals)), wanted)


def rejects(signals: pa.Table, wanted: Subset) -> Mask:
    masks = apply_thresholds(signals, wanted, resolved(signals, wanted))
    assert not masks.flag.any()
    return masks.reject


@pytest.mark.parametrize(
    ("limits", "key", "column", "signal"),
    [
        ({"quality": {"min_score": 4.8}}, "quality.min_score", "img_quality_score", "img_quality_score"),
        ({"quality": {"min_quantile": 0.5}}, "quality.min_quantile", "img_quality_score", "img_quality_score"),
        ({"caption_words": {"max": 5}}, "caption_words.max", "caption", "caption_xxh3"),
        ({"zoom": {"min": 13}}, "zoom.min", "Google_location", "z"),
        ({"resolution_m": {"max": 16}}, "resolution_m.max", "resolution", "resolution_m"),
        ({"ground_resolution_m": {"min": 1}}, "ground_resolution_m.min", "Google_location", "ground_resolution_m"),
        ({"bbox": {"west": 0, "east": 1, "south": 0, "north": 1}}, "bbox", "Google_location", "longitude"),
        ({"top": {"signal": "resolution_m", "rows": 1}}, "top.signal", "resolution", "resolution_m"),
        ({"top": {"signal": "width", "rows": 1, "per_zoom": True}}, "top.per_zoom", "Google_location", "z"),
        ({"sampling": {"per_zoom": 1}}, "sampling.per_zoom", "Google_location", "z"),
        ({"similarity": {"min": 0.2}}, "similarity.min", "caption", "caption_xxh3"),
        ({"top": {"signal": "similarity", "rows": 1}}, "top.signal", "caption", "caption_xxh3"),
        ({"prompt_margin": {"min_quantile": 0.1, "per_zoom": True}}, "prompt_margin.per_zoom", "Google_location", "z"),
        ({"area": {"path": "a.geojson"}}, "area", "Google_location", "longitude"),
        ({"splits": {"spatial": {"zoom": 6}}}, "splits.spatial", "Google_location", "longitude"),
        ({"sampling": {"per_tile": {"zoom": 6, "rows": 1}}}, "sampling.per_tile", "Google_location", "longitude"),
    ],
)
def test_a_threshold_on_a_column_that_the_source_does_not_have_is_an_error(
    limits: dict[str, Any], key: str, column: str, signal: str
) -> None:
    none_has_it = table({signal: None})
    told = f"subset s: {key} needs the column {column}, which the source does not have"
    with pytest.raises(ColumnAbsent, match=told):
        require_columns(none_has_it, subset(**limits), [column])
    require_columns(none_has_it, subset(**limits), [name for name in FACT_COLUMNS if name != column])
    require_columns(none_has_it, subset(), FACT_COLUMNS)
    require_columns(table({signal: None}, {}), subset(**limits), [column])  # told by captions of the older layout


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
        ({"similarity": {"min": 0.3}}, {}, {"similarity": 0.29}, Reason.SIMILARITY_OUTSIDE),
        ({"similarity": {"max": 0.3}}, {}, {"similarity": None}, Reason.SIMILARITY_OUTSIDE),
        ({"prompt_margin": {"min": 0.1}}, {}, {"prompt_margin": -0.1}, Reason.PROMPT_MARGIN_OUTSIDE),
    ],
)
def test_thresholds_include_their_ends_and_an_absent_value_misses_them(
    limits: dict[str, Any], inside: dict[str, Any], outside: dict[str, Any], reason: Reason
) -> None:
    missed = rejects(table(inside, outside), subset(**limits))
    assert reasons(missed[0]) == []
    assert reasons(missed[1]) == [reason]


def test_quality_is_a_number_or_a_quantile_of_the_valid_rows() -> None:
    scores = table(*({"img_quality_score": score} for score in (1.0, 2.0, 3.0, 4.0, 9.0, None, float("nan"))))
    valid = [True, True, True, True, False, True, True]
    half = subset(quality={"min_quantile": 0.5})
    [limit] = resolved(scores, half, valid)
    assert (limit.key, limit.value, limit.quantile) == ("quality.min_quantile", 2.0, 0.5)
    [plain] = resolved(scores, subset(quality={"min_score": 2.5}), valid)
    assert (plain.value, plain.quantile) == (2.5, None)
    assert resolved(scores, subset(), valid) == ()
    missed = apply_thresholds(scores, half, [limit]).reject
    below = [reasons(mask) == [Reason.QUALITY_BELOW] for mask in missed]
    assert below == [True, False, False, False, False, True, True]
    with pytest.raises(NoValues, match=r"quality.min_quantile needs values of img_quality_score; none of 0 valid rows"):
        resolved(scores, half, [False] * 7)


def test_a_quantile_per_zoom_level_is_taken_of_each_level_and_of_the_rows_without_one() -> None:
    rows = [{"z": z, "img_quality_score": float(10 * (z or 0) + n)} for z in (11, 13, None) for n in range(1, 5)]
    rows.append({"z": 17, "img_quality_score": None})  # a level of which no row has a score
    signals = table(*rows)
    wanted = subset(quality={"min_quantile": 0.5, "per_zoom": True})
    [limit] = resolved(signals, wanted)
    assert limit.by_zoom == {"none": 2.0, "11": 112.0, "13": 132.0}
    kept = apply_thresholds(signals, wanted, [limit]).reject == 0
    assert kept.tolist() == [False, True, True, True] * 3 + [False]


@pytest.mark.parametrize("name", sorted(SIGNALS_AND_BOUNDS := {
    "byte_length": 30_000, "width": 256, "height": 256, "luma_mean": 100.0, "luma_std": 40.0, "nodata_fraction": 0.02,
    "sharpness": 300.0, "structure": 40.0,
}))  # fmt: skip
def test_every_signal_has_a_range_whose_ends_are_in_it(name: str) -> None:
    bound = SIGNALS_AND_BOUNDS[name]
    signals = table(
        *({name: value} for value in (bound, 2 * bound, bound / 2, None)[: 3 if name == "byte_length" else 4])
    )
    missed = rejects(signals, subset(signals={name: {"min": bound, "max": bound}}))
    reason = Reason(f"{name}_outside")
    assert [reasons(mask) for mask in missed] == [[], *[[reason]] * (len(signals) - 1)]


def test_both_ends_of_a_signal_may_be_quantiles() -> None:
    signals = table(*({"sharpness": float(n)} for n in range(1, 11)))
    wanted = subset(signals={"sharpness": {"min_quantile": 0.2, "max_quantile": 0.8}})
    assert [limit.value for limit in resolved(signals, wanted)] == [2.0, 8.0]
    assert np.flatnonzero(rejects(signals, wanted) == 0).tolist() == list(range(1, 8))


def test_a_signal_that_was_not_measured_is_no_threshold() -> None:
    with pytest.raises(ColumnAbsent, match=r"signals.sharpness needs scan.images: true"):
        require_columns(table({"sharpness": None}), subset(signals={"sharpness": {"min": 1}}), ())


@pytest.mark.parametrize(("words", "reason"), [(4, Reason.CAPTION_TOO_SHORT), (9, Reason.CAPTION_TOO_LONG)])
def test_a_caption_s_length_rejects_flags_or_is_ignored(words: int, reason: Reason) -> None:
    signals = table({"caption_words": words, "z": 3}, {"caption_words": 5}, {"caption_words": 8})
    for action in ("reject", "flag", "ignore"):
        limits = {"caption_words": {"min": 5, "max": 8, "action": action}, "zoom": {"min": 13}}
        masks = apply_thresholds(signals, subset(**limits), ())
        assert reasons(masks.reject[0]) == ([reason] if action == "reject" else []) + [Reason.ZOOM_OUTSIDE]
        assert reasons(masks.flag[0]) == ([reason] if action == "flag" else [])
        assert not masks.reject[1:].any()
        assert not masks.flag[1:].any()

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals import pictures, scanned, select, verdicts

from schemas.reasons import Reason
from schemas.subset import Sampling, Top
from tasks.select.sampling import draw_sample, take_top
from tasks.select.splits import Tiles

RNG = np.random.default_rng(11)
ROWS = 4_000
IDENTITY = RNG.integers(0, 2**64, ROWS, dtype=np.uint64)
LEVELS = RNG.choice([-1, 10, 13, 18], ROWS, p=[0.3, 0.1, 0.5, 0.1])
Z = np.maximum(LEVELS, 0)
TILES = Tiles(Z, RNG.integers(0, 2**Z), RNG.integers(0, 2**Z), LEVELS >= 0)
SIZES = RNG.integers(10_000, 60_000, ROWS)


def draw(**settings: Any) -> np.ndarray:
    return draw_sample(IDENTITY, TILES, LEVELS, SIZES, Sampling.model_validate(settings)).drawn


def test_everything_is_drawn_by_default() -> None:
    assert draw().all()


def test_a_fraction_is_met_on_every_level_and_a_seed_draws_other_rows() -> None:
    drawn = draw(fraction=0.25)
    for level in (-1, 13):
        assert drawn[level == LEVELS].mean() == pytest.approx(0.25, abs=0.05)
    other = draw(fraction=0.25, seed=1)
    assert (drawn & other).mean() == pytest.approx(0.25**2, abs=0.02)


def test_what_was_drawn_stays_drawn_when_rows_join_or_come_in_another_order() -> None:
    half, order = slice(0, ROWS // 2), RNG.permutation(ROWS)
    settings = Sampling(fraction=0.3)
    fewer = draw_sample(IDENTITY[half], TILES.take(np.arange(ROWS // 2)), LEVELS[half], SIZES[half], settings).drawn
    np.testing.assert_array_equal(fewer, draw(fraction=0.3)[half])
    turned = draw_sample(IDENTITY[order], TILES.take(order), LEVELS[order], SIZES[order], settings).drawn
    np.testing.assert_array_equal(turned, draw(fraction=0.3)[order])


def test_levels_are_capped_and_small_ones_kept_whole() -> None:
    counts, whole = Counter(LEVELS[draw(per_zoom=500)].tolist()), Counter(LEVELS.tolist())
    assert counts == {level: min(500, count) for level, count in whole.items()}


def test_the_globe_is_balanced_by_ancestor_tiles_and_rows_without_place_are_left_alone() -> None:
    drawn = draw(per_tile={"zoom": 2, "rows": 60})
    assert drawn[LEVELS < 0].all()
    placed = np.flatnonzero(LEVELS >= 0)
    around = (TILES.x >> (Z - 2 * (LEVELS >= 0))) * 4 + (TILES.y >> (Z - 2 * (LEVELS >= 0)))
    whole, counts = Counter(around[placed].tolist()), Counter(around[placed][drawn[placed]].tolist())
    assert counts == {block: min(60, count) for block, count in whole.items()}
    assert max(whole.values()) > 150


@pytest.mark.parametrize("most", [1, 7, 3_999, 4_000, 9_999])
def test_a_subset_has_no_more_rows_than_it_may(most: int) -> None:
    found = draw_sample(IDENTITY, TILES, LEVELS, SIZES, Sampling(max_rows=most))
    assert found.drawn.sum() == min(most, ROWS)
    np.testing.assert_array_equal(found.over_size, ~found.drawn)
    assert (draw(max_rows=most) & ~draw(max_rows=most + 500)).sum() == 0  # a larger one holds the smaller one


@pytest.mark.parametrize("most", [9_999, 1_000_000, 50_000_000, 10**12])
def test_a_subset_has_no_more_bytes_than_it_may_and_little_less(most: int) -> None:
    total = SIZES[draw(max_bytes=most)].sum()
    assert total <= most
    assert total > min(most, SIZES.sum()) - 60_000


def test_steps_draw_apart_from_each_other() -> None:
    """Ten tiles hold most rows. A cap leaves ten of each; of those a fraction is a tenth, and a size an even share."""
    rng = np.random.default_rng(2)
    tile = np.concatenate([np.repeat(np.arange(10), 1_000), np.repeat(np.arange(10, 1_000), 10)])
    rows = len(tile)
    identity = rng.integers(0, 2**64, rows, dtype=np.uint64)
    tiles = Tiles(np.full(rows, 10), tile, np.zeros(rows, np.int64), np.ones(rows, bool))
    cap = {"per_tile": {"zoom": 10, "rows": 10}}
    dense = tile < 10
    for settings, expected in ((cap | {"fraction": 0.3}, 30), (cap | {"max_rows": 3_000}, 30)):
        found = draw_sample(identity, tiles, tiles.z, np.ones(rows, int), Sampling.model_validate(settings)).drawn
        assert 12 <= found[dense].sum() <= 50
        assert found[~dense].sum() == pytest.approx(2_970, rel=0.06)
        assert expected


def test_what_is_not_finite_is_the_worst() -> None:
    values = np.array([1.0, np.inf, 2.0, -np.inf, np.nan])
    for lowest, best in ((False, 2), (True, 0)):
        taken = take_top(values, np.zeros(5, int), IDENTITY[:5], Top(signal="img_quality_score", rows=1, lowest=lowest))
        assert np.flatnonzero(taken).tolist() == [best]


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 6)), min_size=1, max_size=40),
    st.integers(1, 12),
    st.booleans(),
    st.booleans(),
)
def test_the_top_holds_the_best_of_all_or_of_each_level(
    values: list[int | None], most: int, lowest: bool, per_zoom: bool
) -> None:
    numbers = np.array([np.nan if value is None else value for value in values], float)
    levels = np.arange(len(values)) % 3 - 1
    top = Top(signal="sharpness", rows=most, lowest=lowest, per_zoom=per_zoom)
    taken = take_top(numbers, levels, np.arange(len(values), dtype=np.uint64), top)
    for group in [levels == level for level in range(-1, 2)] if per_zoom else [np.ones(len(values), bool)]:
        worth = np.where(np.isnan(numbers), np.inf, numbers if lowest else -numbers)
        assert (taken & group).sum() == min(most, group.sum())
        if (group & ~taken).any() and (group & taken).any():
            assert worth[group & taken].max() <= worth[group & ~taken].min()


def test_a_fraction_of_the_top_is_rounded_up() -> None:
    values, levels = np.arange(10.0), np.zeros(10, np.int64)
    for fraction, expected in ((0.25, [7, 8, 9]), (0.3, [7, 8, 9]), (0.31, [6, 7, 8, 9])):
        taken = take_top(values, levels, IDENTITY[:10], Top(signal="width", fraction=fraction))
        assert np.flatnonzero(taken).tolist() == expected


@pytest.mark.parametrize(
    ("subset", "reason"),
    [
        ({"sampling": {"fraction": 0.5}}, Reason.NOT_DRAWN),
        ({"sampling": {"max_rows": 60}}, Reason.OVER_SIZE),
        ({"top": {"signal": "sharpness", "fraction": 0.5}}, Reason.TOP_MISSED),
    ],
)
def test_copies_of_what_was_not_drawn_are_not_drawn_and_the_others_name_a_kept_row(
    tmp_path: Path, subset: dict[str, Any], reason: Reason
) -> None:
    """Each picture is near the next one: every other one is elected, and of those a part is drawn."""
    rows = [picture | {"img_quality_score": 1.0, "sharpness": float(n)} for n, picture in enumerate(pictures(200))]
    near = [(n, n + 1) for n in range(1, 200)]
    report = select(tmp_path, scanned(tmp_path, rows), {"near": None}, near, **subset)
    found = verdicts(report)
    kept = {verdict["row_id"] for verdict in found if verdict["kept"]}
    assert 0 < len(kept) < 80
    orphans = 0
    for verdict in found:
        if verdict["kept"]:
            continue
        if verdict["reasons"] & Reason.DUPLICATE_NEAR.bit:
            assert verdict["duplicate_of"] in kept
            assert abs(verdict["duplicate_of"] - verdict["row_id"]) == 1
        else:
            assert verdict["reasons"] == reason.bit
            assert verdict["duplicate_of"] is None
            orphans += 1
    assert orphans > len(kept) / 2


def test_rows_of_a_caption_that_is_full_no_more_share_the_fate_of_those_that_were_dropped(tmp_path: Path) -> None:
    rows = [picture | {"caption_xxh3": number // 4} for number, picture in enumerate(pictures(200))]
    rules = {"near": None, "caption_copies": 2}
    found = verdicts(select(tmp_path, scanned(tmp_path, rows), rules, sampling={"fraction": 0.5}))
    for begin in range(0, 200, 4):
        group = found[begin : begin + 4]
        kept = sum(verdict["kept"] for verdict in group)
        full = [bool(verdict["reasons"] & Reason.DUPLICATE_CAPTION.bit) for verdict in group]
        assert sum(full) == (2 if kept == 2 else 0)
        drawn = [bool(verdict["reasons"] & Reason.NOT_DRAWN.bit) for verdict in group]
        assert sum(drawn) == 4 - kept - sum(full)


def test_the_top_is_told_as_a_number(tmp_path: Path) -> None:
    rows = [picture | {"sharpness": float(n)} for n, picture in enumerate(pictures(100), start=1)]
    report = select(tmp_path, scanned(tmp_path, rows), {"near": None}, top={"signal": "sharpness", "rows": 10})
    [limit] = report.thresholds
    assert (limit.key, limit.value, limit.reason) == ("top.rows", 91.0, Reason.TOP_MISSED)

"""Which duplicate groups are shown: some of every reason, the doubtful and the large among them, always the same."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.reasons import Reason
from schemas.tables import VERDICTS
from tasks.report.groups import (
    GROUPED,
    GROUPS,
    MEMBERS,
    Draw,
    Mask,
    draw_groups,
    merged_rows,
    richest_pair,
    rows_of,
)


def verdicts(rows: list[dict[str, Any]]) -> pa.Table:
    """The verdicts file of ``rows``, each of which may say ``reasons`` and the columns that follow from them."""
    full = [
        {"row_id": row, "kept": "reasons" not in told, "flags": 0}
        | told
        | {"reasons": sum(reason.bit for reason in told.get("reasons", ()))}
        for row, told in enumerate(rows)
    ]
    columns = [pa.array([row.get(field.name) for row in full], field.type) for field in VERDICTS]
    return pa.table(columns, schema=VERDICTS)


def duplicate(of: int, reason: Reason = Reason.DUPLICATE_NEAR, **changes: Any) -> dict[str, Any]:
    return {"reasons": [reason], "duplicate_of": of} | changes


def near(of: int, distance: int, similarity: float | None) -> dict[str, Any]:
    return duplicate(of, duplicate_distance=distance, duplicate_similarity=similarity)


def draw(rows: list[dict[str, Any]], *, where: Mask | None = None, seed: int = 1) -> dict[Reason, Draw]:
    everywhere = np.ones(len(rows), np.bool_)
    return draw_groups(merged_rows(verdicts(rows)), everywhere if where is None else where, seed=seed)


def many(groups: int) -> list[dict[str, Any]]:
    """Groups of a kept row and one near-duplicate, less and less similar; the seventh has ten."""
    rows: list[dict[str, Any]] = []
    for group in range(groups):
        keeper = len(rows)
        rows += [{}, *[near(keeper, group % 9, 1 - group / 1000)] * (10 if group == 6 else 1)]
    return rows


def test_every_reason_has_groups_of_its_own() -> None:
    rows: list[dict[str, Any]] = []
    for reason in GROUPED:
        rows += [{}, duplicate(len(rows), reason), duplicate(len(rows), reason)]
    drawn = draw(rows)
    assert list(drawn) == list(GROUPED)
    assert [group for found in drawn.values() for group in found.shown] == [
        (3 * number, (3 * number + 1, 3 * number + 2), 2, 0, None) for number in range(len(GROUPED))
    ]
    assert rows_of(drawn.values()).tolist() == list(range(len(rows)))


def test_what_is_no_duplicate_of_a_kept_row_is_in_no_group() -> None:
    copy = {"reasons": [Reason.CONTAMINATED], "reference": "benchmark: 1.png", "reference_distance": 0}
    assert draw([{}, copy, {"reasons": [Reason.QUALITY_BELOW]}]) == {}
    assert draw([]) == {}
    assert rows_of([]).tolist() == []


def test_a_row_stands_under_the_first_of_its_duplicate_reasons() -> None:
    several = [Reason.IMAGE_SIZE, Reason.CONTAMINATED, Reason.DUPLICATE_PIXELS, Reason.DUPLICATE_TILE]
    drawn = draw([{}, duplicate(0) | {"reasons": several}, duplicate(0, Reason.DUPLICATE_TILE)])
    assert {reason: found.shown for reason, found in drawn.items()} == {
        Reason.DUPLICATE_PIXELS: ((0, (1,), 1, 1, None),),
        Reason.DUPLICATE_TILE: ((0, (2,), 1, 1, None),),
    }


def test_least_similar_first_then_most_bits_and_what_was_not_measured_last() -> None:
    rows = [{}, near(0, 0, None), near(0, 2, 0.9), near(0, 5, 0.9), near(0, 1, 0.85), near(0, 0, 1.0)]
    [group] = draw(rows)[Reason.DUPLICATE_NEAR].shown
    assert group.members == (4, 3, 2, 5, 1)


def test_of_many_groups_the_doubtful_the_largest_and_some_at_random_are_shown() -> None:
    rows = many(50)
    found = draw(rows)[Reason.DUPLICATE_NEAR]
    assert (found.rows, found.groups, len(found.shown)) == (59, 50, GROUPS)
    assert [group.why for group in found.shown] == [
        *["among the least similar"] * 2,
        "among the largest",
        *["drawn at random"] * 3,
    ]
    last = len(rows) - 2
    assert [group.keeper for group in found.shown[:3]] == [last, last - 2, 12]
    assert (found.shown[2].rows, len(found.shown[2].members)) == (10, MEMBERS)
    assert len({group.keeper for group in found.shown}) == GROUPS


def test_without_pictures_compared_none_is_in_doubt() -> None:
    rows = [row for keeper in range(0, 60, 2) for row in ({}, duplicate(keeper, Reason.DUPLICATE_CAPTION))]
    assert {group.why for group in draw(rows)[Reason.DUPLICATE_CAPTION].shown} == {"drawn at random"}


def test_same_rows_and_seed_give_the_same_groups() -> None:
    rows = many(200)
    assert draw(rows) == draw(rows)
    assert draw(rows) != draw(rows, seed=2)


@pytest.mark.parametrize("seed", range(5))
def test_only_rows_at_hand_are_shown_and_none_without_its_keeper(seed: int) -> None:
    rows = many(80)
    where = np.random.default_rng(seed).random(len(rows)) < 0.4
    found = draw(rows, where=where)[Reason.DUPLICATE_NEAR]
    assert found.groups == 80
    assert found.shown
    assert where[rows_of([found])].all()
    assert all(group.members for group in found.shown)


def test_reason_of_which_no_group_is_at_hand_is_counted() -> None:
    rows = [{}, duplicate(0), duplicate(0), {}, duplicate(3)]
    where = np.array([True, False, False, False, True])
    assert draw(rows, where=where) == {Reason.DUPLICATE_NEAR: Draw(3, 2, ())}


def test_no_pair_of_shards_where_nothing_is_a_duplicate() -> None:
    nothing = np.empty(0, np.int64)
    assert richest_pair(nothing, nothing) is None
    assert richest_pair(np.array([3, 3, 1]), np.array([3, 3, 0])) == (3, 3)

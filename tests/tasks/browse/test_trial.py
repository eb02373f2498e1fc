from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pairs import pair, recipe_for, scan_all, write_tree
from vectors import write_scores

from schemas.embedding import EmbedReport
from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport
from schemas.subset import Subset
from schemas.thresholds import Limits
from tasks.browse.controls import limits_of, with_limits
from tasks.browse.trial import STAGES, Outcome, Trial
from tasks.deduplicate.stage import find_duplicates
from tasks.report.maps import Extent, tile_counts
from tasks.select.basis import Basis
from tasks.select.thresholds import ColumnAbsent
from tasks.select.verdicts import give_verdicts

ROWS = 90

Scanned = tuple[Recipe, ScanReport, DeduplicateReport, tuple[EmbedReport, ...]]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """A source with copies of pictures and captions, rows without score, place or caption, and bad pictures."""
    folder = tmp_path_factory.mktemp("trial")
    rows: list[dict[str, Any]] = []
    for n in range(ROWS):
        changes: dict[str, Any] = {"Google_location": f"{10 + n % 5}_{n}_{n * 3}", "resolution": 2.0 ** (7 - n % 5)}
        changes |= {"img_quality_score": None} if n % 11 == 0 else {}
        changes |= {"Google_location": None} if n % 13 == 0 else {}
        changes |= {"image": b"no picture"} if n % 17 == 0 else {}
        rows.append(pair(n - 1 if n % 3 == 2 else n) | {"img_name": f"{n}.jpg"} | changes)
    recipe = recipe_for(
        write_tree(folder / "source", rows),
        folder,
        deduplication={"same_tile": True, "caption_copies": 2},
        scorers=[{"name": "one"}, {"name": "two"}],
    )
    scan = scan_all(recipe)
    reports = tuple(
        write_scores(folder, scan, [None if n % 19 == 0 else n * step % 47 / 50 for n in range(ROWS)], scorer=name)
        for name, step in (("one", 7), ("two", 11))
    )
    return recipe, scan, find_duplicates(scan, (), recipe.deduplication, recipe.workspace), reports


def trial_of(scanned: Scanned, **subset: Any) -> tuple[Trial, Recipe]:
    recipe = Recipe.model_validate(scanned[0].model_dump() | {"subsets": [{"name": "clean"} | subset]})
    return Trial(Basis(recipe, *scanned[1:]), recipe.subsets[0]), recipe


_ANY = st.one_of(st.none(), st.floats(-1, 6).map(lambda value: round(value, 2)))


@st.composite
def ranges(draw: st.DrawFn, low: int, high: int) -> Limits:
    ends = sorted(draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    return Limits(*(draw(st.sampled_from([end, None])) for end in ends))


@given(
    score=_ANY,
    words=ranges(0, 40),
    zoom=ranges(9, 15),
    sharpness=ranges(0, 60),
    nominal=ranges(1, 130),
    aligned=ranges(-2, 2),
    fixed=st.sampled_from(
        [
            {},
            {"bbox": {"west": -180, "south": 0, "east": -170, "north": 89}},
            {"quality": {"min_quantile": 0.3, "per_zoom": True}},
            {"similarity": {"scorers": ["two"]}},
        ]
    ),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_funnel_is_that_of_the_verdicts(
    scanned: Scanned,
    score: float | None,
    words: Limits,
    zoom: Limits,
    sharpness: Limits,
    nominal: Limits,
    aligned: Limits,
    fixed: dict[str, Any],
) -> None:
    trial, recipe = trial_of(scanned, **fixed)
    limits = {
        "quality": Limits(score), "caption_words": words, "zoom": zoom, "signals.sharpness": sharpness,
        "resolution_m": nominal, "similarity": aligned,
    }  # fmt: skip
    limits = {key: ends for key, ends in limits.items() if key in trial.limits}
    trial.outcome({"zoom": Limits(11)})  # what was looked at before must not count
    outcome = trial.outcome(limits)
    moved = recipe.model_copy(update={"subsets": [with_limits(recipe.subsets[0], limits)]})
    report = give_verdicts(moved.subsets[0], Basis(moved, *scanned[1:]))
    expected = {step.stage: step.rejected for step in report.funnel.steps}
    assert {step.stage: step.rejected for step in outcome.funnel.steps} == {
        stage: expected[stage] for stage in STAGES
    }  # fmt: skip
    assert outcome.funnel.kept == report.kept
    kept = pq.read_table(report.verdicts)["kept"].to_numpy()
    _assert_figures(trial, outcome, Basis(recipe, *scanned[1:]), recipe.subsets[0], kept)


def _assert_figures(trial: Trial, outcome: Outcome, basis: Basis, subset: Subset, kept: Any) -> None:
    names = [figure.control.signal for figure in trial.figures]
    assert "similarity" in names
    signals = basis.load([*names, "longitude", "latitude"], subset)
    for figure, counts in zip(trial.figures, outcome.figures, strict=True):
        values = signals[figure.control.signal].to_numpy().astype(np.float64)
        among = np.clip(values[kept & np.isfinite(values)], figure.edges[0], figure.edges[-1])
        assert counts.tolist() == np.histogram(among, figure.edges)[0].tolist()
        assert figure.missing == int((~np.isfinite(values)).sum())
    longitude, latitude = (signals[name].to_numpy() for name in ("longitude", "latitude"))
    there = kept & np.isfinite(longitude)
    world = Extent(west=-180.0, south=-90.0, cell=2.0, columns=180, rows=90)
    assert np.array_equal(outcome.cells, tile_counts(longitude[there], latitude[there], world))


def test_a_trial_begins_where_its_subset_is_and_knows_quantiles_as_numbers(
    scanned: Scanned,
) -> None:
    trial, recipe = trial_of(scanned, quality={"min_quantile": 0.5}, caption_words={"min": 12, "max": 30})
    report = give_verdicts(recipe.subsets[0], Basis(recipe, *scanned[1:]))
    assert trial.limits["quality"].low == report.thresholds[0].value
    assert trial.limits["caption_words"] == Limits(12, 30)
    assert trial.outcome(trial.limits).funnel.kept == report.kept


def test_what_cannot_be_moved_is_named_and_holds(scanned: Scanned) -> None:
    per_zoom = {"min_quantile": 0.4, "per_zoom": True}
    box = {"west": -179, "south": 0, "east": 179, "north": 89}
    trial, recipe = trial_of(scanned, quality=per_zoom, bbox=box, caption_words={"min": 12, "action": "flag"})
    report = give_verdicts(recipe.subsets[0], Basis(recipe, *scanned[1:]))
    assert set(trial.stays) == {"bbox", "quality", "caption_words"}
    assert {control.key for control in trial.controls}.isdisjoint({"quality", "caption_words"})
    assert trial.outcome(trial.limits).funnel.kept == report.kept


def test_both_sides_of_a_threshold_pass_all_else_and_lie_nearest(
    scanned: Scanned,
) -> None:
    trial, _ = trial_of(scanned)
    limits = {"quality": Limits(3.8), "zoom": Limits(11)}
    sides = trial.both_sides(limits, "quality", "low", count=4, draw=0)
    kept, lost = (trial.values("quality", rows) for rows in sides)
    assert len(kept) == len(lost) == 4
    assert (kept >= 3.8).all()
    assert (lost < 3.8).all()
    for rows in sides:
        assert (trial.values("zoom", rows) >= 11).all()
    lower = trial.outcome(limits | {"quality": Limits(float(lost.min()))}).funnel.kept
    assert lower >= trial.outcome(limits).funnel.kept + len(lost)
    again = trial.both_sides(limits, "quality", "low", count=4, draw=0)
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in sides]
    draws = {tuple(trial.both_sides(limits, "quality", "low", count=4, draw=draw).kept) for draw in range(6)}
    assert len(draws) > 1


def test_only_rows_at_hand_are_drawn(scanned: Scanned) -> None:
    recipe = scanned[0]
    at_hand = np.arange(ROWS) < ROWS // 2
    trial = Trial(Basis(*scanned), recipe.subsets[0], at_hand)
    sides = trial.both_sides({"caption_words": Limits(20)}, "caption_words", "low", count=50, draw=0)
    assert len(sides.kept)
    assert len(sides.lost)
    assert max(sides.kept.max(), sides.lost.max()) < ROWS // 2


def test_a_threshold_on_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    rows = [{key: pair(n)[key] for key in ("image", "caption")} for n in range(4)]
    recipe = recipe_for(_two_columns(tmp_path, rows), tmp_path, subsets=[{"name": "s", "quality": {"min_score": 1}}])
    scan = scan_all(recipe)
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    with pytest.raises(ColumnAbsent, match="img_quality_score"):
        Trial(Basis(recipe, scan, duplicates), recipe.subsets[0])
    bare = recipe.model_copy(update={"subsets": [with_limits(recipe.subsets[0], {"quality": Limits()})]})
    trial = Trial(Basis(bare, scan, duplicates), bare.subsets[0])
    keys = {control.key for control in trial.controls}
    assert "caption_words" in keys
    assert keys.isdisjoint({"quality", "zoom", "resolution_m"})
    assert trial.outcome({}).funnel.kept == 4


def _two_columns(folder: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow as pa

    path = folder / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_a_signal_that_is_the_same_for_all_has_no_slider(
    scanned: Scanned,
) -> None:
    keys = {control.key for control in trial_of(scanned)[0].controls}
    assert {"signals.sharpness", "quality"} <= keys
    assert keys.isdisjoint({"signals.width", "signals.height"})
    kept, _ = trial_of(scanned, signals={"width": {"min": 256}})
    assert "signals.width" in {control.key for control in kept.controls}


def test_other_limits_are_said_as_a_subset_says_them(scanned: Scanned) -> None:
    _, recipe = trial_of(scanned, quality={"min_quantile": 0.5}, signals={"sharpness": {"max_quantile": 0.9}})
    limits = {"quality": Limits(4.5), "caption_words": Limits(10.0, None), "signals.sharpness": Limits(1.5, 8.0)}
    subset = with_limits(recipe.subsets[0], limits)
    assert subset.model_dump(exclude_defaults=True) == {
        "name": "clean",
        "quality": {"min_score": 4.5},
        "caption_words": {"min": 10},
        "signals": {"sharpness": {"min": 1.5, "max": 8.0}},
    }
    assert limits_of(subset, ())["caption_words"] == Limits(10, None)

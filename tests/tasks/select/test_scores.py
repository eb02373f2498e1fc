from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signals import pictures, scanned, select, tile, verdicts
from vectors import write_scores

from schemas.reasons import REASONS, Reason
from schemas.recipe import Recipe
from schemas.reports import ScanReport, SelectReport
from tasks.deduplicate.stage import find_duplicates
from tasks.select.basis import Basis, NotEmbedded
from tasks.select.scores import mean_of_standard_scores
from tasks.select.thresholds import ColumnAbsent, NoValues
from tasks.select.verdicts import give_verdicts

SIMILARITY = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, None]
MARGIN = [0.3, -0.2, 0.1, 0.0, None, 0.2, 0.2, 0.2, 0.2, 0.2]


@pytest.fixture
def scan(tmp_path: Path) -> ScanReport:
    """Two shards of ten rows in all, the first five of zoom 12; the eighth is not valid."""
    rows = [picture | {"caption_xxh3": n} for n, picture in enumerate(pictures(10))]
    rows = [row | tile(12 if n < 5 else 14, n, n) for n, row in enumerate(rows)]
    rows[7]["defects"] = ["caption_refusal"]
    return scanned(tmp_path, rows[:6], rows[6:])


def kept(report: SelectReport) -> list[int]:
    return [row["row_id"] for row in verdicts(report) if row["kept"]]


def reasons(row: dict[str, Any]) -> list[Reason]:
    return [reason for reason in REASONS if row["reasons"] & reason.bit]


def test_a_row_is_held_against_what_the_scorer_tells_and_none_misses(tmp_path: Path, scan: ScanReport) -> None:
    told = write_scores(tmp_path, scan, SIMILARITY, MARGIN)
    report = select(tmp_path, scan, scorers=[told], similarity={"min": 0.3}, prompt_margin={"min": 0.1})
    assert kept(report) == [2, 5, 6, 8]
    rows = verdicts(report)
    assert reasons(rows[1]) == [Reason.SIMILARITY_OUTSIDE, Reason.PROMPT_MARGIN_OUTSIDE]
    assert [reasons(rows[n]) for n in (0, 9)] == [[Reason.SIMILARITY_OUTSIDE]] * 2
    assert reasons(rows[4]) == [Reason.PROMPT_MARGIN_OUTSIDE]
    assert [row["similarity"] for row in rows] == [
        None if value is None else pytest.approx(value, rel=1e-6) for value in SIMILARITY
    ]
    assert [row["prompt_margin"] is None for row in rows] == [value is None for value in MARGIN]
    [step] = [step for step in report.funnel.told if step.stage.value == "alignment"]
    assert (step.rejected, step.left) == (5, 4)


def test_a_subset_that_asks_no_scorer_has_no_scores_and_names_none(tmp_path: Path, scan: ScanReport) -> None:
    report = select(tmp_path, scan, scorers=[write_scores(tmp_path, scan, SIMILARITY)])
    assert {row["similarity"] for row in verdicts(report)} == {None}
    assert report.scorers == ()
    assert len(kept(report)) == 9


def test_the_best_part_is_a_quantile_of_the_valid_rows_in_all_or_of_each_level(
    tmp_path: Path, scan: ScanReport
) -> None:
    told = write_scores(tmp_path, scan, SIMILARITY)
    best = select(tmp_path, scan, scorers=[told], similarity={"min_quantile": 0.7})
    [limit] = best.thresholds
    assert (limit.key, limit.signal, limit.quantile) == ("similarity.min_quantile", "similarity", 0.7)
    assert limit.value == pytest.approx(0.6)  # of 0.1 to 0.9 without 0.8, whose row is not valid
    assert kept(best) == [5, 6, 8]

    each = select(tmp_path, scan, scorers=[told], similarity={"min_quantile": 0.5, "per_zoom": True})
    assert each.thresholds[0].by_zoom == {"12": pytest.approx(0.3), "14": pytest.approx(0.7)}
    assert kept(each) == [2, 3, 4, 6, 8]


def test_the_top_may_be_the_best_aligned(tmp_path: Path, scan: ScanReport) -> None:
    told = write_scores(tmp_path, scan, SIMILARITY)
    report = select(tmp_path, scan, scorers=[told], top={"signal": "similarity", "rows": 3})
    assert kept(report) == [5, 6, 8]
    assert str(report.thresholds[0]) == "similarity at least 0.6"


def test_of_two_scorers_the_mean_standard_score_counts(tmp_path: Path, scan: ScanReport) -> None:
    one = write_scores(tmp_path, scan, SIMILARITY)
    turned: list[float | None] = [9, 8, 7, 6, 5, 4, 3, 100, 1, 0]
    two = write_scores(tmp_path, scan, turned, scorer="two")
    both = select(tmp_path, scan, scorers=[one, two], similarity={"min": 0.2})
    told = [row["similarity"] for row in verdicts(both)]
    valid = np.array([n for n in range(10) if n != 7])
    expected = np.zeros(10)
    for values in (np.array([np.nan if v is None else v for v in SIMILARITY]), np.array(turned, float)):
        expected += (values - np.nanmean(values[valid])) / np.nanstd(values[valid]) / 2
    assert told[:9] == pytest.approx(expected[:9], abs=1e-6)
    assert told[9] is None  # one of them has none
    assert kept(both) == [n for n in valid.tolist() if expected[n] >= 0.2]

    alone = select(tmp_path, scan, scorers=[one, two], similarity={"min": 5, "scorers": ["two"]})
    assert kept(alone) == [0, 1, 2, 3, 4]
    assert [scorer.name for scorer in alone.scorers] == ["two"]
    named = select(tmp_path, scan, scorers=[one, two], similarity={"min": 0.2, "scorers": ["two", "one"]})
    assert [row["similarity"] for row in verdicts(named)] == told


def test_values_that_are_all_the_same_are_at_the_mean() -> None:
    values = np.float32([0.25, 0.25, np.nan])
    assert mean_of_standard_scores([values], np.ones(3, np.bool_)).tolist()[:2] == [0.0, 0.0]
    assert np.isnan(mean_of_standard_scores([values, np.float32([1, 2, 3])], np.zeros(3, np.bool_))).all()


def test_verdicts_are_those_of_the_numbers_wherever_they_lie(tmp_path: Path, scan: ScanReport) -> None:
    told = write_scores(tmp_path, scan, SIMILARITY)
    first = select(tmp_path, scan, scorers=[told], similarity={"min": 0.3})
    moved = write_scores(tmp_path / "elsewhere", scan, SIMILARITY)
    again = select(tmp_path, scan, scorers=[moved], similarity={"min": 0.3})
    other = select(tmp_path, scan, scorers=[write_scores(tmp_path, scan, SIMILARITY[::-1])], similarity={"min": 0.3})
    assert first == again
    assert other.verdicts != first.verdicts
    assert other.scorers != first.scorers
    assert [(scorer.name, scorer.dimensions) for scorer in first.scorers] == [("one", 4)]


def test_a_scorer_without_vectors_is_named(tmp_path: Path, scan: ScanReport) -> None:
    recipe = Recipe.model_validate(
        {
            "source": {"path": str(tmp_path), "name": "tiny"},
            "scorers": [{"name": "one"}, {"name": "two"}],
            "subsets": [{"name": "clean", "similarity": {"min": 0.2}}],
            "output": {"dir": str(tmp_path / "subsets")},
            "workspace": str(tmp_path / "workspace"),
        }
    )
    found = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    expected = "subset clean: similarity needs vectors of two for 10 rows; run git10m embed"
    with pytest.raises(NotEmbedded, match=expected):
        give_verdicts(recipe.subsets[0], Basis(recipe, scan, found, [write_scores(tmp_path, scan, SIMILARITY)]))


def test_without_captions_or_without_any_value_a_threshold_is_told_to_be_none(tmp_path: Path) -> None:
    layout = {"image": "image", "img_name": "img_name"}
    bare = scanned(tmp_path, pictures(3), layout=layout)
    nothing = write_scores(tmp_path, bare, [None] * 3)
    with pytest.raises(ColumnAbsent, match=r"subset clean: similarity.min needs the column caption"):
        select(tmp_path, bare, scorers=[nothing], similarity={"min": 0.2})
    with pytest.raises(NoValues, match=r"prompt_margin.min_quantile needs values of prompt_margin; none of"):
        select(tmp_path, bare, scorers=[nothing], prompt_margin={"min_quantile": 0.2})

"""Subsets chosen by what a scorer tells, from the recipe to the page, with a model that knows colours."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import COLOURS
from pairs import encode, pair, recipe_for, subset_files, write_tree
from PIL import Image
from upath import UPath

from flows.again import nothing_new
from flows.curate import curate
from schemas.plan import Plan
from schemas.reasons import Reason
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from schemas.thresholds import Limits
from tasks.browse.opening import open_source
from tasks.browse.trial import Trial
from tasks.diff.page import gather
from tasks.diff.stage import compare
from tasks.diff.verdicts import Sides
from tasks.explain.stage import explain
from tasks.planning.plan import plan_run
from tasks.published import read_manifest
from tasks.report.comparison import render_comparison
from tasks.select.basis import Basis
from tasks.verify.subset import verify

pytestmark = pytest.mark.usefixtures("prefect_server")

ASTRAY = [3, 9, 15, 21]
"""Rows whose caption names another colour than the picture has."""

SUBSETS: list[dict[str, Any]] = [
    {"name": "aligned", "similarity": {"min": 0.5}, "prompt_margin": {"min": -2}},
    {"name": "best", "similarity": {"min_quantile": 0.7}, "sampling": {"max_rows": 5}},
    {"name": "all"},
]


def coloured(folder: Path, model: Path, **changes: Any) -> Recipe:
    """Return a recipe that asks ``model`` of a source of 24 pictures, each of a colour that its caption names."""
    names, rows = list(COLOURS), []
    for seed in range(24):
        told = names[(seed + (3 if seed in ASTRAY else 0)) % len(names)]
        image = encode(Image.new("RGB", (64, 64), COLOURS[names[seed % len(names)]]), "PNG")
        rows.append(pair(seed, image=image + b"%d" % seed, caption=f"a satellite image of {told} {seed}"))
    source = write_tree(folder / "source", rows, shards=2)
    return recipe_for(
        source,
        folder,
        validation={"rules": {"image_blank": "ignore", "image_truncated": "ignore"}},
        deduplication={"exact_pixels": False, "near": None},
        scorers=[{"name": "colours", "model": str(model)}],
        **({"subsets": SUBSETS} | changes),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scored")


@pytest.fixture(scope="module")
def planned(home: Path, colour_model: Path) -> tuple[Recipe, Plan]:
    """A recipe, and the plan of its first run, of which all but the vectors is known."""
    recipe = coloured(home, colour_model)
    curate(recipe.model_copy(update={"scorers": [], "subsets": recipe.subsets[2:]}))
    return recipe, plan_run(recipe)


@pytest.fixture(scope="module")
def curated(planned: tuple[Recipe, Plan]) -> tuple[Recipe, CurateReport]:
    return planned[0], curate(planned[0])


def test_a_plan_tells_what_is_to_be_embedded_and_is_not_exact_before(planned: tuple[Recipe, Plan]) -> None:
    _, plan = planned
    assert [(one.name, one.known_rows, one.new_rows, one.new_bytes) for one in plan.scorers] == [
        ("colours", 0, 24, 4 * 24 * 8)
    ]
    assert plan.estimate == ("24 of 24 rows have no vectors by colours yet",)
    assert plan.problems == ()
    aligned, _, everything = plan.subsets
    assert aligned.problem == "subset aligned: similarity needs vectors of colours for 24 rows; run git10m embed"
    assert everything.outcome is not None
    assert "vectors" in [disk.holds for disk in plan.disks]


def test_pairs_are_kept_by_how_well_caption_and_picture_agree(curated: tuple[Recipe, CurateReport]) -> None:
    _, report = curated
    aligned, best, everything = report.subsets
    index = pq.read_table(aligned.directory / "index.parquet")
    assert index["row_id"].to_pylist() == [row for row in range(24) if row not in ASTRAY]
    assert min(index["similarity"].to_pylist()) >= 0.5
    rejected = pq.read_table(aligned.directory / "rejected.parquet").to_pylist()
    assert {row["primary_reason"] for row in rejected} == {"similarity_outside"}
    assert all(row["measured"][0] < 0.5 for row in rejected)
    assert best.select.kept == 5
    assert everything.select.kept == 24
    assert pq.read_table(everything.directory / "index.parquet")["similarity"].null_count == 24
    assert [one.name for one in read_manifest(aligned.directory).scorers] == ["colours"]
    assert read_manifest(everything.directory).scorers == ()


def test_a_run_over_vectors_that_are_there_finds_nothing_new_and_a_plan_is_exact(
    curated: tuple[Recipe, CurateReport],
) -> None:
    recipe, _ = curated
    again = nothing_new(recipe)
    assert again is not None
    assert not again.news
    plan = plan_run(recipe)
    assert (plan.estimate, [one.place for one in plan.subsets]) == ((), ["unchanged"] * 3)
    assert [one.new_rows for one in plan.scorers] == [0]


def test_the_same_vectors_give_the_same_bytes(curated: tuple[Recipe, CurateReport], tmp_path: Path) -> None:
    recipe, report = curated
    output = recipe.output.model_copy(update={"dir": UPath(tmp_path)})
    twice = curate(recipe.model_copy(update={"output": output}))
    for one, other in zip(report.subsets, twice.subsets, strict=True):
        assert subset_files(one.directory) == subset_files(other.directory)


def test_a_subset_is_sound_and_one_with_a_row_beyond_the_limit_is_not(
    curated: tuple[Recipe, CurateReport], tmp_path: Path
) -> None:
    _, report = curated
    for subset in report.subsets:
        assert verify(subset.directory).problems == ()
    copy = UPath(shutil.copytree(report.subsets[0].directory, tmp_path / "aligned"))
    index = pq.read_table(copy / "index.parquet")
    scores = pa.array([0.25, *index["similarity"].to_pylist()[1:]], pa.float32())
    at = index.schema.get_field_index("similarity")
    pq.write_table(index.set_column(at, index.schema.field(at), scores), copy / "index.parquet")
    assert "index.parquet: row id 0: expected similarity at least 0.5" in verify(copy).problems


def test_explain_tells_similarity_limit_and_scorer(curated: tuple[Recipe, CurateReport]) -> None:
    _, report = curated
    aligned = report.subsets[0].directory
    told = {}
    for row in (0, ASTRAY[0]):
        [answer] = explain(aligned, str(row)).rows
        assert answer.notes == ()
        [rule] = [rule for rule in answer.rules if rule.rule is Reason.SIMILARITY_OUTSIDE]
        told[rule.outcome.value] = (rule.measured, rule.limit)
    assert told["passed"][0] > 0.5 > told["rejected"][0]
    assert {limit for _, limit in told.values()} == {"similarity at least 0.5, by colours"}


def test_explain_tells_the_similarity_of_a_row_that_was_rejected_for_something_else(
    curated: tuple[Recipe, CurateReport],
) -> None:
    best = curated[1].subsets[1]
    rejected = pq.read_table(best.directory / "rejected.parquet").to_pylist()
    row = next(row["row_id"] for row in rejected if row["primary_reason"] == "over_size")
    [answer] = explain(best.directory, str(row)).rows
    [rule] = [rule for rule in answer.rules if rule.rule is Reason.SIMILARITY_OUTSIDE]
    [told] = pq.read_table(best.select.verdicts, filters=[("row_id", "=", row)])["similarity"].to_pylist()
    assert (rule.outcome.value, rule.measured) == ("passed", told)
    (best.directory / "run.json").rename(best.directory / "kept.json")
    [unknown] = explain(best.directory, str(row), workspace=curated[0].workspace).rows
    (best.directory / "kept.json").rename(best.directory / "run.json")
    assert [one.measured for one in unknown.rules if one.rule is Reason.SIMILARITY_OUTSIDE] == [None]


def test_a_comparison_draws_both(curated: tuple[Recipe, CurateReport]) -> None:
    aligned, best, everything = (subset.directory for subset in curated[1].subsets)
    titles = []
    for one, other in ((aligned, best), (aligned, everything)):
        sides = Sides.of(one, other)
        page = render_comparison(gather(sides, compare(sides)))
        titles.append("Similarity of picture and caption" in page)
    assert titles == [True, False]


def test_the_report_shows_where_the_threshold_cuts(curated: tuple[Recipe, CurateReport]) -> None:
    _, report = curated
    pages = [subset.report.read_text(encoding="utf-8") for subset in report.subsets if subset.report is not None]
    assert ["Similarity of picture and caption" in page for page in pages] == [True, True, False]
    assert "Threshold: ≥\N{NO-BREAK SPACE}0.5." in pages[0]
    assert "(quantile 0.7 of the valid rows)" in pages[1]
    assert (report.subsets[0].directory / "figures" / "similarity.png").is_file()
    assert not (report.subsets[2].directory / "figures" / "similarity.png").exists()


def test_browsing_has_a_slider_for_what_scorers_tell(curated: tuple[Recipe, CurateReport]) -> None:
    recipe, report = curated
    opened = open_source(recipe, "all")
    trial = Trial(Basis(opened.recipe, opened.scan, opened.duplicates, opened.embedded), opened.subset)
    assert "similarity" in {control.key for control in trial.controls}
    outcome = trial.outcome({"similarity": Limits(0.5)})
    assert outcome.funnel.kept == report.subsets[0].select.kept
    assert [step.rejected for step in outcome.funnel.told if step.stage.value == "alignment"] == [len(ASTRAY)]

"""Pictures that show the same to a model and are no copies of each other, from the source to what a person is told."""

import io
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import COLOURS
from pairs import encode, land, pair, published_files, recipe_for, write_tree
from PIL import Image
from rich.console import Console
from upath import UPath

from flows.curate import curate
from flows.explain import print_answer
from flows.plan import print_plan
from schemas.plan import Plan
from schemas.reasons import Reason
from schemas.recipe import Deduplication, Recipe
from schemas.reports import CurateReport
from tasks.explain.stage import explain
from tasks.planning.plan import plan_run
from tasks.published import read_manifest
from tasks.verify.subset import verify
from tasks.verify.tables import check_keepers

EACH = 3
ROWS = EACH * len(COLOURS)


def tinted(seed: int, colour: tuple[int, int, int]) -> bytes:
    """A picture of ground unlike any other, of one colour all over."""
    ground = np.asarray(land(seed), np.float32) - 128
    return encode(Image.fromarray(np.clip(ground * 0.3 + colour, 0, 255).astype(np.uint8)), quality=95)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    colours = list(COLOURS.values())
    rows = [
        pair(n, image=tinted(n, colours[n % len(colours)]), img_quality_score=1.0 + (n * 7 % ROWS)) for n in range(ROWS)
    ]
    return write_tree(tmp_path_factory.mktemp("semantic") / "source", rows, shards=4)


def recipe(source: Path, home: Path, model: Path, *, min_cosine: float = 0.97, **changes: Any) -> Recipe:
    return recipe_for(
        source, home,
        scorers=[{"name": "colours", "model": str(model), "batch_size": 5}],
        deduplication={"semantic": {"min_cosine": min_cosine, "clusters": 4}},
        **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("semantic")


@pytest.fixture(scope="module")
def curated(source: Path, home: Path, colour_model: Path, prefect_server: None) -> CurateReport:
    return curate(recipe(source, home, colour_model))


def told(plan: Plan) -> str:
    text = io.StringIO()
    print_plan(plan, Console(width=80, file=text))
    return text.getvalue()


def test_the_best_of_each_colour_is_kept_and_named_to_the_others(curated: CurateReport) -> None:
    [subset] = curated.subsets
    kept = pq.read_table(subset.directory / "index.parquet")["row_id"].to_pylist()
    best = {
        colour: max(range(colour, ROWS, len(COLOURS)), key=lambda n: n * 7 % ROWS) for colour in range(len(COLOURS))
    }
    assert sorted(kept) == sorted(best.values())
    rejected = pq.read_table(subset.directory / "rejected.parquet").to_pylist()
    assert len(rejected) == ROWS - len(COLOURS)
    for row in rejected:
        assert row["reasons"] == ["duplicate_semantic"]
        assert row["duplicate_of"] == best[row["row_id"] % len(COLOURS)]
        assert row["duplicate_distance"] is None
        assert row["measured"] == [pytest.approx(row["duplicate_similarity"])]
        assert 0.97 <= row["duplicate_similarity"] <= 1
    assert curated.deduplicate.semantic_pairs == len(COLOURS) * EACH * (EACH - 1) // 2
    assert curated.deduplicate.pairs == 0
    assert read_manifest(subset.directory).versions["faiss"] == version("faiss-cpu")
    page = (subset.directory / "report.html").read_text()
    assert "duplicate_semantic" in page
    assert "cosine 0.9" in page or "cosine 1.0" in page


def test_it_is_the_same_again_byte_for_byte_and_nothing_is_searched_for_twice(
    curated: CurateReport, source: Path, home: Path, colour_model: Path, tmp_path: Path
) -> None:
    assert published_files(UPath(home / "subsets"))
    curate(recipe(source, tmp_path, colour_model))
    assert published_files(UPath(tmp_path / "subsets")) == published_files(UPath(home / "subsets"))
    [pairs] = (home / "workspace" / "semantic").iterdir()
    before = pairs.stat().st_mtime_ns
    again = curate(recipe(source, home, colour_model), return_state=True)
    assert again.name == "Nothing new"
    curate(recipe(source, home, colour_model, subsets=[{"name": "long", "caption_words": {"min": 9}}]))
    assert [path.stat().st_mtime_ns for path in (home / "workspace" / "semantic").iterdir()] == [before]


def test_it_verifies_and_what_can_be_checked_is(curated: CurateReport) -> None:
    [subset] = curated.subsets
    assert verify(subset.directory).problems == ()
    index, rejected = (pq.read_table(subset.directory / name) for name in ("index.parquet", "rejected.parquet"))
    settings = Deduplication.model_validate({"semantic": {"min_cosine": 0.97}})
    assert list(check_keepers(index, rejected, settings)) == []

    def forged(name: str, value: float | None) -> list[str]:
        at = rejected.schema.get_field_index(name)
        column = pa.array([value, *rejected[name].to_pylist()[1:]], rejected.schema.field(at).type)
        return list(check_keepers(index, rejected.set_column(at, rejected.schema.field(at), column), settings))

    row_id = rejected["row_id"][0]
    [problem] = forged("duplicate_similarity", 0.9)
    assert problem == f"rejected.parquet: cosine of semantic duplicates is below 0.97: row id {row_id}"
    [problem] = forged("duplicate_distance", 3)
    assert problem == f"rejected.parquet: duplicate_distance of semantic duplicates is not null: row id {row_id}"
    assert any("not kept" in problem for problem in forged("duplicate_of", row_id.as_py()))


def test_explain_tells_the_limit_and_the_keeper(curated: CurateReport) -> None:
    [subset] = curated.subsets
    lost = pq.read_table(subset.directory / "rejected.parquet").to_pylist()[0]
    answer = explain(subset.directory, str(lost["row_id"]))
    [rule] = [rule for rule in answer.rows[0].rules if rule.rule is Reason.DUPLICATE_SEMANTIC]
    assert (rule.key, rule.outcome) == ("deduplication.semantic", "rejected")
    assert rule.limit == "no kept row of a cosine of 0.97 or more"
    assert rule.measured == pytest.approx(lost["duplicate_similarity"])
    text = io.StringIO()
    print_answer(answer, Console(width=100, file=text))
    assert f"row {lost['duplicate_of']} " in text.getvalue()
    assert "duplicate_semantic, cosine " in text.getvalue()


def test_plan_tells_what_a_run_would_do(
    curated: CurateReport, source: Path, home: Path, colour_model: Path, tmp_path: Path
) -> None:
    before = plan_run(recipe(source, home, colour_model))
    assert (before.estimate, before.problems) == ((), ())
    assert (before.duplicates.semantic, before.duplicates.semantic_pairs) == ("reused", ROWS)
    assert "reused; 24 pairs among the rows scanned" in told(before)
    searched = plan_run(recipe(source, home, colour_model, min_cosine=0.9999))
    assert searched.duplicates.semantic == "searched"
    assert searched.estimate == ()
    assert searched.subsets[0].outcome is not None
    assert searched.subsets[0].outcome.kept > len(COLOURS)
    assert len(list((home / "workspace" / "semantic").iterdir())) == 1
    other = recipe(source, home, colour_model)
    other = other.model_copy(update={"scorers": [other.scorers[0].model_copy(update={"captions": "sentences"})]})
    unknown = plan_run(other)
    assert (unknown.duplicates.semantic, unknown.duplicates.semantic_pairs) == ("searched", None)
    assert "semantic duplicates are left out here: not all rows are embedded" in unknown.estimate

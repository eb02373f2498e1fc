"""What ``git10m plan`` says of the source that ``curated`` is made of."""

import json
from io import StringIO
from pathlib import Path

import pytest
from pairs import pair, recipe_for, tiny_recipe, write_tree
from rich.console import Console

from flows.plan import print_plan, run_plan
from schemas.plan import Plan
from schemas.reports import CurateReport
from schemas.source import FileSource
from tasks.planning.plan import plan_run
from tasks.source.listing import shards_of


def printed(plan: Plan) -> str:
    told = StringIO()
    print_plan(plan, Console(width=80, file=told))
    return told.getvalue()


def test_the_plan_of_a_run_is_what_it_does(curated: CurateReport, source: Path, tmp_path: Path) -> None:
    home = curated.subsets[0].directory.parent.parent
    plan = plan_run(tiny_recipe(source, tmp_path, workspace=home / "workspace"))
    assert (plan.source.known_rows, plan.source.new_shards, plan.estimate, plan.problems) == (60, 0, (), ())
    assert plan.duplicates.pairs == curated.deduplicate.pairs
    for planned, done in zip(plan.subsets, curated.subsets, strict=True):
        assert planned.outcome is not None
        assert planned.place == "new"
        for name in ("kept", "splits", "thresholds", "funnel", "reasons", "flags"):
            assert getattr(planned.outcome, name) == getattr(done.select, name)
        assert planned.outcome.image_bytes == done.select.kept_image_bytes
        assert planned.outcome.data_files == len(done.write.files)
    assert [subset.place for subset in plan_run(tiny_recipe(source, home)).subsets] == ["unchanged", "unchanged"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_new_is_what_the_run_scans(curated: CurateReport, source: Path, tmp_path: Path) -> None:
    plan = plan_run(tiny_recipe(source, tmp_path))
    assert plan.source.new_shards == curated.scan.scanned
    assert plan.source.new_bytes == sum(shard.byte_length for shard in curated.scan.shards if not shard.reused)


def test_it_reads_at_80_columns(curated: CurateReport, source: Path, tmp_path: Path) -> None:
    home = curated.subsets[0].directory.parent.parent
    told = printed(plan_run(tiny_recipe(source, tmp_path, workspace=home / "workspace")))
    assert max(map(len, told.splitlines())) <= 80
    for words in (
        "near-duplicates are there, and reused: 1 pairs",
        "deduplication        │        2 │",
        "splits          test ",
        "quality_below",
        "will be written",
    ):
        assert words in told
    assert "estimate" not in told
    assert "not known before something is scanned" in printed(plan_run(tiny_recipe(source, tmp_path)))


def test_a_source_s_own_words_command_no_terminal(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "[red]a\x1b[2J", [pair(0), pair(1)], shards=2)
    recipe = recipe_for(tree, tmp_path)
    bad = shards_of(recipe)[0].path
    bad.unlink()
    named = FileSource(path=str(tree), name="[bold]\x1b[2Jme")
    told = printed(plan_run(recipe.model_copy(update={"source": named})))
    assert "\x1b" not in told
    assert "[bold]\\x1b[2Jme" in told.replace("\n", "")
    assert "problem" in told


def test_json_is_the_plan(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tiny_recipe(source, tmp_path)
    hostile = recipe.model_copy(update={"source": recipe.source.model_copy(update={"name": "\x9b2J é"})})
    plan = run_plan(hostile, as_json=True)
    told = capsys.readouterr().out
    assert told.isascii()
    assert json.loads(told)["source"]["name"] == "\x9b2J é"
    assert Plan.model_validate_json(told) == plan

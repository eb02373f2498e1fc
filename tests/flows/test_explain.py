"""What ``git10m explain`` prints of the rows of a curated subset."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pairs import encode, land, pair, publish_one, recipe_for, write_tree
from upath import UPath

from flows.curate import curate
from flows.explain import run_explain
from schemas.explanation import Answer, Outcome
from schemas.reasons import Reason
from schemas.reports import CurateReport

HOSTILE = "a\x1b[2J\x07[bold]b[/] \u202ec\x7f.jpg"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_rejected_row_is_told_with_its_keeper_and_every_limit_in_80_columns(
    curated: CurateReport, capsys: pytest.CaptureFixture[str]
) -> None:
    clean, strict = (UPath(subset.directory) for subset in curated.subsets)
    run_explain(clean, "tile_20.jpg")
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert "row 20 tile_20.jpg: not in clean: duplicate_bytes" in told
    assert "duplicate of  row 40 tile_40.jpg, duplicate_bytes" in told
    assert "image         JPEG RGB, 256 x 256, byte_length" in told
    run_explain(strict, "20")
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    limit = json.loads((strict / "manifest.json").read_text())["thresholds"][0]["value"]
    assert next(line for line in told.splitlines() if line.startswith("quality_below")).split()[-1] == "rejected"
    assert f"{limit:g} (quantile 0.4)" in " ".join(told.split())


def test_a_kept_row_is_told_with_its_place_and_who_made_way_for_it(
    curated: CurateReport, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = UPath(curated.subsets[0].directory)
    answer = run_explain(directory, "40")
    place = answer.rows[0].place
    assert place is not None
    told = " ".join(capsys.readouterr().out.split())
    assert "row 40 tile_40.jpg: kept in clean, split train" in told
    assert f"place {place.file}, row {place.file_row}" in told
    assert "has copies row 20 tile_20.jpg, duplicate_bytes" in told


def test_json_is_the_model(curated: CurateReport, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_explain(UPath(curated.subsets[0].directory), "21", as_json=True)
    assert Answer.model_validate_json(capsys.readouterr().out) == answer
    assert answer.rows[0].measured["img_quality_score"] == 9.0


@pytest.mark.slow
def test_a_copy_of_a_test_picture_is_told_with_that_picture(
    tmp_path: Path, prefect_server: None, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = write_tree(tmp_path / "reference", [pair(90, image=encode(land(1)))], shards=1)
    rows = [pair(seed, image=encode(land(seed), quality=60)) for seed in range(4)]
    references = {"references": [{"path": str(reference), "name": "benchmark"}]}
    recipe = recipe_for(write_tree(tmp_path / "source", rows), tmp_path, deduplication=references)
    directory = UPath(curate(recipe).subsets[0].directory)
    rejected = pq.read_table(directory / "rejected.parquet").to_pylist()
    assert [row["row_id"] for row in rejected] == [1]
    told = run_explain(directory, "1").rows[0]
    assert told.contamination is not None
    assert told.contamination.reference == "benchmark: tile_90.jpg"
    [rule] = [rule for rule in told.rules if rule.rule is Reason.CONTAMINATED]
    assert (rule.outcome, rule.measured) == (Outcome.REJECTED, told.contamination.distance)
    assert "copy of" in capsys.readouterr().out
    [passed] = [rule for rule in run_explain(directory, "0").rows[0].rules if rule.rule is Reason.CONTAMINATED]
    assert passed.outcome is Outcome.PASSED


def test_names_that_command_a_terminal_are_written_out_and_nan_is_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [pair(seed) for seed in range(3)]
    rows[1] |= {"img_name": HOSTILE, "img_quality_score": float("nan"), "caption": "bad \x1b[2J caption"}
    recipe = recipe_for(write_tree(tmp_path / "tree", rows), tmp_path)
    directory = UPath(publish_one(recipe))
    for as_json in (False, True):
        run_explain(directory, HOSTILE, workspace=recipe.workspace, as_json=as_json)
        told = capsys.readouterr().out
        assert not {character for character in told if not character.isprintable() and character != "\n"}
        if as_json:
            found = json.loads(told)
            assert found["rows"][0]["row"]["img_name"] == HOSTILE
            assert found["rows"][0]["measured"]["img_quality_score"] == "nan"
        else:
            assert r"a\x1b[2J\x07[bold]b[/]" in told
    run_explain(directory, "0")
    assert "name it with --workspace" in " ".join(capsys.readouterr().out.split())

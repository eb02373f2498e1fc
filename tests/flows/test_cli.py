import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pairs import recipe_for, tiny_recipe, write_tree
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from flows.cli import app
from schemas.difference import Difference
from schemas.explanation import Answer
from schemas.inspection import InspectReport
from schemas.materialization import Materialized
from schemas.recipe import Recipe
from schemas.reports import CurateReport, VerifyReport
from schemas.upload import UploadReport


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def save(recipe: Recipe, path: Path) -> Path:
    YAML(typ="safe").dump(recipe.model_dump(mode="json"), path)
    return path


def test_help_names_the_commands_and_reads_at_80_columns() -> None:
    commands = {"curate", "plan", "verify", "explain", "diff", "materialize", "publish", "inspect", "demo"}
    commands |= {"init", "schema", "serve", "evaluate"}
    for arguments in ([], *([command] for command in commands)):
        result = run(*arguments, "--help")
        assert result.exit_code == 0
        assert max(map(len, result.output.splitlines())) <= 80
    assert commands <= set(run("--help").output.split())


def test_curate_prints_the_funnel_and_where_things_lie(source: Path, tmp_path: Path, prefect_server: None) -> None:
    recipe = save(tiny_recipe(source, tmp_path), tmp_path / "recipe.yaml")
    result = run("curate", recipe)
    assert result.exit_code == 0, result.output
    assert "tiny: scanned 5, reused 0 of 5 shards (60 rows)" in result.output
    assert "deduplication" in result.output
    for name, numbers in (("clean", "55 │   91.7"), ("high-quality", "29 │   48.3")):
        assert numbers in result.output
        path = tmp_path / "subsets" / name / "report.html"
        assert f"{name}: {path}" in result.output.splitlines()
        assert path.exists()
    again = run("curate", recipe, "--set", "subsets.1.caption_words.min=12")
    assert again.exit_code == 0
    assert "scanned 0, reused all 5 shards" in again.output
    [clean] = [line for line in again.output.splitlines() if line.startswith("│ clean")]
    assert "v1 (unchanged)" in clean
    assert max(len(line) for line in again.output.splitlines() if "/" not in line) <= 80
    quiet = run("curate", recipe, "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")
    told = run("curate", recipe, "--json")
    assert told.exit_code == 0
    assert [one.select.kept for one in CurateReport.model_validate_json(told.stdout).subsets] == [55, 29]


def test_verify_says_sound_or_what_is_wrong(curated: CurateReport, tmp_path: Path) -> None:
    sound = run("verify", curated.subsets[0].directory)
    assert (sound.exit_code, ", 55 rows kept" in sound.output) == (0, True)
    (tmp_path / "manifest.json").write_text("{}")
    broken = run("verify", tmp_path)
    assert broken.exit_code == 1
    assert "not sound: 1 problem" in broken.output
    assert run("verify", curated.subsets[0].directory, "--quiet").output == ""
    quiet = run("verify", tmp_path, "--quiet")
    assert (quiet.exit_code, quiet.stdout) == (1, "")
    assert "manifest.json" in quiet.stderr
    told = run("verify", tmp_path, "--json")
    assert told.exit_code == 1
    assert len(VerifyReport.model_validate_json(told.stdout).problems) == 1
    assert run("verify", tmp_path / "nowhere").exit_code == 2


def test_a_subset_is_told_by_the_path_that_was_asked_for_which_outlasts_its_versions(curated: CurateReport) -> None:
    clean, strict = (Path(str(subset.directory)) for subset in curated.subsets)
    assert clean.is_symlink()
    verified, compared = run("verify", clean, "--json"), run("diff", clean, strict, "--json")
    assert VerifyReport.model_validate_json(verified.stdout).directory == clean
    found = Difference.model_validate_json(compared.stdout)
    assert (found.a.directory, found.b.directory) == (clean, strict)
    answer = Answer.model_validate_json(run("explain", clean, 40, "--json").stdout)
    [row] = answer.rows
    assert row.place is not None
    assert row.place.how.startswith(f'load_dataset("{clean}", split="train")[')
    assert (answer.directory, row.measured["img_quality_score"] is not None) == (clean, True)


@pytest.mark.parametrize(
    ("setting", "status", "words"),
    [
        ("subsets.0.nmae=x", 2, "subsets.0.nmae: no such key"),
        ("source.path=nowhere", 1, "nowhere: no such folder"),
        ("source.split=test", 1, "no split 'test'; found train"),
        ("output.dir={file}/out", 1, "cannot write there: Not a directory"),
        ("workspace={file}/work", 1, "cannot write there: Not a directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(
    source: Path, tmp_path: Path, setting: str, status: int, words: str
) -> None:
    (tmp_path / "file").touch()
    recipe = save(recipe_for(source, tmp_path), tmp_path / "recipe.yaml")
    result = run("curate", recipe, "--set", setting.format(file=tmp_path / "file"))
    assert result.exit_code == status
    assert words in result.output
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) == 1
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".yaml" and path.name != "file"
    ]


def test_an_empty_source_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "state.json").write_text('{"_data_files": []}')
    recipe = save(recipe_for(tmp_path / "source", tmp_path), tmp_path / "recipe.yaml")
    result = run("curate", recipe)
    assert (result.exit_code, "the source is empty" in result.output) == (1, True)
    assert not (tmp_path / "workspace").exists()


def test_a_bad_shard_fails_with_its_name_and_what_to_do(source: Path, tmp_path: Path, prefect_server: None) -> None:
    from pairs import pair

    tree = write_tree(tmp_path / "source", [pair(0), pair(1)], shards=2)
    (tree / "train" / "data-00001-of-00002.arrow").unlink()
    result = run("curate", save(recipe_for(tree, tmp_path), tmp_path / "recipe.yaml"))
    assert result.exit_code == 1
    assert "data-00001-of-00002.arrow: No such file or directory" in result.output
    assert "source.on_bad_shard" in result.output


def test_unusable_arguments_are_misuse() -> None:
    assert run("curate").exit_code == 2
    assert run("curate", "nowhere.yaml").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_inspect_publish_and_materialize_answer_in_json(source: Path, curated: CurateReport, tmp_path: Path) -> None:
    told = run("inspect", source, "--json")
    assert InspectReport.model_validate_json(told.stdout).rows == 60
    directory = curated.subsets[0].directory
    told = run("publish", directory, "someone/tiny", "--dry-run", "--json")
    report = UploadReport.model_validate_json(told.stdout)
    assert (report.form, report.commit) == ("index", None)
    assert "manifest.json" in {file.path for file in report.files}
    assert run("publish", directory, "someone/tiny", "--dry-run", "-q").output == ""
    made = run("materialize", directory, "--source", source, "--dir", tmp_path, "--workers", 1, "--json")
    assert Materialized.model_validate_json(made.stdout).rows == 55, made.output


def test_the_schema_is_printed_as_it_stands_in_the_docs() -> None:
    told = run("schema").output
    assert told == (Path(__file__).parents[2] / "docs" / "recipe.schema.json").read_text(encoding="utf-8")
    assert json.loads(told)["title"] == "A recipe of git10m"


def test_bash_completes_commands_options_and_files() -> None:
    def completed(*words: str) -> list[str]:
        """Return what the tab key finds, by the function that ``--show-completion`` gives bash."""
        script = (
            f'eval "$(git10m --show-completion)"; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; '
            '_git10m_completion git10m; echo "${COMPREPLY[@]}"; complete -p git10m'
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "--norc", "-c", script],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        found, how = done.stdout.splitlines()
        assert how == "complete -o default -F _git10m_completion git10m"  # where nothing is found, files are
        return found.split()

    assert completed("git10m", "ma") == ["materialize"]
    assert completed("git10m", "curate", "--s") == ["--set"]
    assert completed("git10m", "curate", "rec") == []

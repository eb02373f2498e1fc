"""The evaluate flow and command: planted classes, labels that mean nothing, copies left out, and what is said."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import COLOURS
from labelled import class_folders, coloured
from pairs import encode, pair, publish_one, recipe_for, write_tree
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from rich.console import Console
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.console import print_accuracies, run_evaluate
from flows.evaluate import evaluate
from schemas.evaluation import Evaluation, EvaluationReport, SetResult
from tasks.evaluate.table import Table

pytestmark = pytest.mark.usefixtures("prefect_server")

EACH = 3
ROWS = EACH * len(COLOURS)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with one picture that is none, the same with labels shuffled, and a subset with some of them."""
    home = tmp_path_factory.mktemp("labelled")
    class_folders(home / "folders", each=EACH)
    (home / "folders" / "red" / "broken.png").write_bytes(b"no picture")
    truth = np.repeat(np.array(list(COLOURS)), EACH)
    images = [encode(coloured(name, 100 + seed)) for seed, name in enumerate(truth)]
    labels = np.random.default_rng(0).permutation(truth)
    pq.write_table(pa.table({"image": images, "label": labels, "caption": ["red"] * ROWS}), home / "shuffled.parquet")
    rows = [pair(seed, image=encode(coloured("red", seed), quality=75)) for seed in range(2)]
    source = write_tree(home / "source", [*rows, pair(7), pair(8)])
    publish_one(recipe_for(source, home))
    return home


@pytest.fixture(scope="module")
def told(sets: Path, colour_model: Path, random_model: Path, prefect_server: None) -> Iterator[EvaluationReport]:
    return evaluate(Evaluation.model_validate(asked(sets, sets / "first", colour_model, random_model)))


def asked(sets: Path, home: Path, *models: Path, **changes: Any) -> dict[str, Any]:
    return {
        "checkpoints": [
            {"name": name, "model": str(model)} for name, model in zip(("git-rsclip", "random"), models, strict=False)
        ],
        "datasets": [
            {"name": "whurs19", "source": {"path": str(sets / "folders"), "name": "WHU"}},
            {
                "name": "shuffled",
                "source": {"path": str(sets / "shuffled.parquet"), "name": "Shuffled"},
                "templates": ["{}", "a picture of {}"],
            },
        ],
        "exclude_contaminated": [str(sets / "subsets" / "clean")],
        "workspace": str(sets / "workspace"),
        "output": str(home),
        "engine": {"workers": 1},
    } | changes


def of(told: EvaluationReport, checkpoint: str, dataset: str) -> SetResult:
    [result] = [one for one in told.of(checkpoint) if one.dataset == dataset]
    return result


@pytest.mark.slow
def test_planted_classes_are_all_told_and_what_is_no_picture_counts_nowhere(told: EvaluationReport) -> None:
    result = of(told, "git-rsclip", "whurs19")
    assert (result.rows, result.undecodable, result.every.rows, result.every.accuracy) == (ROWS + 1, 1, ROWS, 1.0)
    assert [(one.label, one.rows, one.correct) for one in result.every.classes] == [
        (name, EACH, EACH) for name in sorted(COLOURS)
    ]
    assert result.published == 0.94


@pytest.mark.slow
def test_shuffled_labels_are_told_by_chance(told: EvaluationReport) -> None:
    result = of(told, "git-rsclip", "shuffled")
    assert result.templates == ("{}", "a picture of {}")
    assert result.every.rows == ROWS
    chance = 1 / len(COLOURS)
    assert abs(result.every.correct - ROWS * chance) < 4 * (ROWS * chance * (1 - chance)) ** 0.5


@pytest.mark.slow
def test_copies_of_what_was_trained_on_are_left_out(told: EvaluationReport) -> None:
    assert told.excluded == ("clean",)
    result = of(told, "random", "whurs19")
    assert result.copies == 2
    assert result.clean is not None
    assert result.clean.rows == ROWS - 2
    assert {one.label: one.rows for one in result.clean.classes} == {
        name: EACH - 2 * (name == "red") for name in COLOURS
    }
    assert of(told, "random", "shuffled").copies == 0


@pytest.mark.slow
def test_tables_and_figures_lie_in_the_output(told: EvaluationReport, sets: Path) -> None:
    made = sets / "first"
    names = {f"confusion-{model}-{dataset}.png" for model in ("git-rsclip", "random") for dataset in told.datasets}
    assert {path.name for path in made.iterdir()} == names | {"evaluation.md", "evaluation.json"}
    assert EvaluationReport.model_validate_json((made / "evaluation.json").read_text()) == told
    text = (made / "evaluation.md").read_text()
    assert "| model | whurs19 | shuffled | mean |" in text
    assert "| difference | +0.06 | +0.06 |" in text
    assert all(f"]({name})" in text for name in names)


SIX = ("optimal31", "rsc11", "rsicb128", "whurs19", "rsscn7", "clrs")


@pytest.mark.parametrize(
    ("width", "models", "first"),
    [
        (80, ["git-rsclip"], "model"),
        (80, ["git-rsclip-patch16", "git-rsclip-patch14"], "data set"),
        (100, ["git-rsclip-patch16", "git-rsclip-patch14"], "model"),
        (80, [f"git-rsclip-patch{size}" for size in range(10, 16)], "model"),  # turned it would be wider still
    ],
)
def test_a_table_fits_the_terminal_with_every_name_in_full(width: int, models: list[str], first: str) -> None:
    told = Table("Top-1", (("model", *SIX, "mean"), *((name, *["0.88"] * 6, "0.90") for name in models)))
    text = io.StringIO()
    print_accuracies(told, Console(width=width, file=text))
    printed = text.getvalue()
    assert max(map(len, printed.splitlines())) <= width
    cells = [
        [cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in printed.splitlines() if line[0] in "│┃"
    ]
    assert cells[0][0] == first
    names = "".join((*cells[0], *(line[0] for line in cells)))  # a long one goes on in the line below
    assert all(name in names for name in (*models, *SIX, "mean"))
    assert printed.count("0.88") == 6 * len(models)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def save(evaluation: dict[str, Any], path: Path) -> Path:
    YAML(typ="safe").dump(evaluation, path)
    return path


@pytest.mark.slow
def test_the_command_prints_the_table_and_embeds_nothing_twice(
    told: EvaluationReport, sets: Path, tmp_path: Path, colour_model: Path
) -> None:
    vectors = {path: path.stat().st_mtime_ns for path in (sets / "workspace").glob("vectors/*/*.parquet")}
    file = save(asked(sets, tmp_path / "out", colour_model, exclude_contaminated=[]), tmp_path / "evaluation.yaml")

    result = run(file)

    assert result.exit_code == 0, result.output
    assert "git-rsclip │    1.00 │" in result.output
    assert "difference │   +0.06 │" in result.output
    assert max(len(line) for line in result.output.splitlines() if "/" not in line) <= 80
    assert str(tmp_path / "out" / "evaluation.md") in result.output.splitlines()
    assert {path: path.stat().st_mtime_ns for path in vectors} == vectors
    as_json = run(file, "--exclude-contaminated", sets / "subsets" / "clean", "--json")
    report = EvaluationReport.model_validate_json(as_json.stdout)
    assert [one.copies for one in report.results] == [2, 0]
    assert run(file, "--quiet", "--set", "datasets.0.templates=['{}']").output == ""
    assert (tmp_path / "out" / "evaluation.md").read_text().count("Sentences: {}") == 2


@pytest.mark.parametrize(
    ("setting", "status", "words"),
    [
        ("templates=[none]", 2, "templates.0: found 'none' with 0 places for the class; expected {} once"),
        ("datasets.0.source.pth=x", 2, "datasets.0.source.pth: no such key"),
        ("datasets.0.source.path=nowhere", 1, "nowhere: no such folder"),
        ("datasets.0.classes={red: red, green: green}", 1, "found 'black', expected red, green"),
        ("exclude_contaminated=[{home}]", 1, "no manifest.json, so this is not a subset"),
        ("checkpoints.0.model={home}", 1, "no config.json; expected what save_pretrained writes"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    sets: Path, tmp_path: Path, colour_model: Path, setting: str, status: int, words: str
) -> None:
    file = save(asked(sets, tmp_path / "out", colour_model), tmp_path / "evaluation.yaml")
    result = run(file, "--set", setting.replace("{home}", str(sets)))
    assert result.exit_code == status
    assert words in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("out/*"))


def runs() -> int:
    with get_client(sync_client=True) as client:
        return len(client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["evaluate"]))))


@pytest.mark.parametrize("place", ["workspace", "output"])
def test_what_cannot_be_written_is_refused_by_the_flow_and_before_it(
    sets: Path, tmp_path: Path, colour_model: Path, place: str
) -> None:
    changes = {place: str(sets / "shuffled.parquet" / "in")}
    asking = asked(sets, tmp_path / "out", colour_model, exclude_contaminated=[]) | changes
    told = r"cannot write there: Not a directory: .*shuffled\.parquet/in"
    before = runs()
    with pytest.raises(OSError, match=told):
        run_evaluate(Evaluation.model_validate(asking))
    assert runs() == before
    with pytest.raises(OSError, match=told):
        evaluate(Evaluation.model_validate(asking))
    assert runs() == before + 1

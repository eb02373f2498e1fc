"""What ``prefect.yaml`` defines is what ``git10m serve`` serves; and every deployment's parameters are its recipe."""

from pathlib import Path
from typing import Any, cast

import pytest
from pages import blocks
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import load_flow_from_entrypoint
from ruamel.yaml import YAML

from flows.recipes import load_recipe
from flows.serve import PREFECT_FILE, ROOT, NoServer, NotServable, deployments_of, serve_deployments
from schemas.recipe import Recipe

DEFINED: dict[str, Any] = YAML(typ="safe").load(PREFECT_FILE)


@pytest.fixture(scope="module")
def served(prefect_server: None) -> dict[str, RunnerDeployment]:
    return {f"{one.flow_name}/{one.name}": one for one in deployments_of(PREFECT_FILE)}


def test_these_are_defined(served: dict[str, RunnerDeployment]) -> None:
    names = ["curate/nightly", "curate/ad-hoc", "scan/incremental", "embed/gpu", "evaluate/ad-hoc", "verify/weekly"]
    assert list(served) == names
    schedules = {name: [cast(CronSchedule, s.schedule) for s in one.schedules or ()] for name, one in served.items()}
    assert {name: [(s.cron, s.timezone) for s in found] for name, found in schedules.items()} == {
        "curate/nightly": [("0 2 * * *", "UTC")],
        "curate/ad-hoc": [],
        "scan/incremental": [("0 8-20/4 * * *", "UTC")],
        "embed/gpu": [],
        "evaluate/ad-hoc": [],
        "verify/weekly": [("0 6 * * 0", "UTC")],
    }


def test_each_says_what_it_is_and_runs_one_at_a_time(served: dict[str, RunnerDeployment]) -> None:
    for config, one in zip(DEFINED["deployments"], served.values(), strict=True):
        assert one.description == config["description"].strip()
        assert "git10m" in one.tags
        assert one.version
        assert "{{" not in one.version
        assert one.concurrency_limit == 1
        assert one.concurrency_options is not None
        assert one.concurrency_options.collision_strategy.value == "ENQUEUE"
        assert config["work_pool"] == {"name": "local"}


def test_parameters_are_the_recipe_file_and_the_flow_takes_them(served: dict[str, RunnerDeployment]) -> None:
    for config, one in zip(DEFINED["deployments"], served.values(), strict=True):
        flow = load_flow_from_entrypoint(config["entrypoint"])
        flow.validate_parameters(one.parameters)
        files = [
            step["flows.serve.recipe_parameter"]["file"]
            for step in config["build"]
            if len(step) == 1 and "flows.serve.recipe_parameter" in step
        ]
        for file in files:
            assert Recipe.model_validate(one.parameters["recipe"]) == load_recipe(ROOT / file)
            assert "workers" not in one.parameters["recipe"].get("engine", {}), "of the machine that deploys"
        assert len(files) == ("recipe" in one.parameters)


def test_what_is_verified_is_what_the_night_publishes(served: dict[str, RunnerDeployment]) -> None:
    recipe = Recipe.model_validate(served["curate/nightly"].parameters["recipe"])
    subsets = [str(recipe.output.dir / subset.name) for subset in recipe.subsets]
    assert served["verify/weekly"].parameters["job"]["subset"] in subsets


def test_what_is_evaluated_is_what_the_page_shows(served: dict[str, RunnerDeployment]) -> None:
    shown = [block for block in blocks(ROOT / "docs" / "evaluating.md") if block.language == "yaml"]
    assert served["evaluate/ad-hoc"].parameters["evaluation"] == YAML(typ="safe").load(shown[0].text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("definitions: {}", "found no `deployments`"),
        ("a: [", "cannot be read"),
        (
            "deployments: [{name: x, entrypoint: flows.curate.curate, build: "
            "[{flows.serve.recipe_parameter: {file: deployments/recipes/none.yaml}}]}]",
            "deployments.0: x: .*none.yaml: cannot be read",
        ),
        ("deployments: [{name: x}]", "deployments.0: found .*expected a mapping with name and entrypoint"),
        ("deployments: [x]", "deployments.0: found 'x', expected a mapping"),
        (
            "deployments: [{name: x, entrypoint: flows.curate.curate, triggers: []}]",
            "deployments.0: triggers: not served",
        ),
        ("deployments: [{name: x, entrypoint: flows.no.no}]", "deployments.0: x: ModuleNotFoundError: "),
        (
            "deployments: [{name: x, entrypoint: flows.curate.curate, schedules: [{cron: never}]}]",
            "deployments.0: x: ValueError: Invalid cron",
        ),
    ],
)
def test_what_cannot_be_served_is_named(tmp_path: Path, prefect_server: None, text: str, told: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(NotServable, match=f"{path}: {told}"):
        deployments_of(path)


def test_without_a_server_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(NoServer, match="not set; expected"):
        serve_deployments(PREFECT_FILE)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(NoServer, match="refused at"):
        serve_deployments(PREFECT_FILE)

"""Server, worker and deployments as real processes, started by the commands of ``compose.yaml``."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pairs import pair, recipe_for, write_tree
from ruamel.yaml import YAML
from runs import SHARDS, large_recipe, large_source, latest, signals

from deployments.show import DEPLOYMENTS, Services, services, wait
from schemas.recipe import Recipe
from tasks.verify.subset import verify

pytestmark = pytest.mark.slow

_BLOCK = """
from prefect.blocks.notifications import CustomWebhookNotificationBlock
webhook = CustomWebhookNotificationBlock(
    name="here", url="{url}", json_data={{"subject": "{{{{subject}}}}", "body": "{{{{body}}}}"}}
)
print(webhook.save("here"))
"""


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("services")) as started:
        yield started


@pytest.fixture(scope="module")
def messages(prefect: Services) -> Iterator[list[dict[str, str]]]:
    """What the example automations send."""
    received: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        block = _BLOCK.format(url=f"http://127.0.0.1:{server.server_port}")
        block_id = prefect.run("python", "-c", block).stdout.splitlines()[-1]
        path = prefect.home / "automations.yaml"
        path.write_text((DEPLOYMENTS / "automations.yaml").read_text(encoding="utf-8").replace("BLOCK-ID", block_id))
        prefect.run("prefect", "--no-prompt", "automation", "create", "--from-file", str(path))
        yield received
        server.shutdown()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    home = tmp_path_factory.mktemp("tiny")
    source = write_tree(home / "source", [pair(seed) for seed in range(24)], shards=2)
    return recipe_for(source, home, deduplication={"near": None})


def at_work(prefect: Services) -> list[str]:
    """Return the commands of the worker processes of all runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_text()
            if str(prefect.home) in (process / "environ").read_text() and "multiprocessing.spawn" in command:
                found.append(command)
    return found


def parameters(recipe: Recipe) -> str:
    return json.dumps({"recipe": recipe.model_dump(mode="json", exclude_unset=True)})


def test_all_of_it_is_deployed(prefect: Services) -> None:
    names = ["curate/ad-hoc", "curate/nightly", "embed/gpu", "evaluate/ad-hoc", "scan/incremental", "verify/weekly"]
    assert prefect.names() == names
    defined = YAML(typ="safe").load(DEPLOYMENTS / "recipes" / "demo.yaml")
    deployed = prefect.deployed("curate/ad-hoc")
    assert deployed["parameters"]["recipe"]["subsets"] == defined["subsets"]
    assert deployed["work_pool_name"] == "local"
    assert deployed["concurrency_options"]["collision_strategy"] == "ENQUEUE"


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("subsets", [{"name": "x", "quality": {"min_quantile": 3}}], r"recipe.subsets\[0\].quality.min_quantile"),
        ("subsets", [{"name": "x", "qualty": {}}], r"recipe.subsets\[0\].*'qualty' was unexpected"),
        ("scan", {"max_pixels": "many"}, r"recipe.scan.max_pixels"),
    ],
)
def test_a_bad_value_is_refused_by_its_path_before_there_is_a_run(
    prefect: Services, recipe: Recipe, key: str, value: object, path: str
) -> None:
    given = json.loads(parameters(recipe))
    given["recipe"][key] = value
    before = len(prefect.runs("curate/ad-hoc"))
    refused = prefect.run("prefect", "deployment", "run", "curate/ad-hoc", "--params", json.dumps(given), check=False)
    assert refused.returncode == 1
    told = " ".join(refused.stdout.split())
    assert re.search(path, told), told
    assert len(prefect.runs("curate/ad-hoc")) == before


def test_a_run_by_hand_then_one_by_schedule_that_finds_nothing_new_then_one_that_fails(
    prefect: Services, messages: list[dict[str, str]], recipe: Recipe
) -> None:
    prefect.run("prefect", "deployment", "run", "curate/ad-hoc", "--params", parameters(recipe))
    (by_hand,) = prefect.finished("curate/ad-hoc", 1, 60)
    assert (by_hand["name"], by_hand["state_name"]) == ("curate tiny → clean", "Completed"), prefect.log("worker")
    schedule = {"schedule": {"interval": 20}, "parameters": json.loads(parameters(recipe)), "max_scheduled_runs": 1}
    prefect.ask(f"deployments/{by_hand['deployment_id']}/schedules", [schedule])
    by_schedule = prefect.finished("curate/ad-hoc", 2, 90)[0]
    prefect.run("prefect", "deployment", "schedule", "clear", "curate/ad-hoc", "--accept-yes")
    assert by_schedule["state_name"] == "Nothing new", prefect.log("worker")
    assert by_schedule["auto_scheduled"]
    gone = recipe.model_copy(update={"source": recipe.source.model_copy(update={"path": "/nowhere"})})
    prefect.run("prefect", "deployment", "run", "curate/ad-hoc", "--params", parameters(gone))
    wait(lambda: len(messages) >= 2, "two messages", 60)
    assert [message["subject"].partition(":")[0] for message in messages] == ["clean", "curate tiny → clean"]
    assert messages[0]["body"].startswith("Kept 24 of 24 pairs of tiny.")
    assert "/nowhere" in messages[1]["body"]


def test_a_run_that_is_cancelled_ends_at_once_and_the_next_goes_on(
    prefect: Services, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("cancelled")
    slow = large_recipe(large_source(home / "source", 48), home, scan={"pixel_digest": True})  # half a minute
    before = len(prefect.runs("curate/ad-hoc"))
    prefect.run("prefect", "deployment", "run", "curate/ad-hoc", "--params", parameters(slow))
    wait(lambda: bool(signals(home)), "the scan", 60)
    assert at_work(prefect)
    run = prefect.runs("curate/ad-hoc")[0]
    prefect.run("prefect", "flow-run", "cancel", run["id"])
    wait(lambda: prefect.runs("curate/ad-hoc")[0]["state_type"] == "CANCELLED", "the end of the run", 45)
    wait(lambda: not at_work(prefect), "the end of its processes", 15)
    done = signals(home)
    assert len(done) < SHARDS, "it was done before it was cancelled"
    prefect.run("prefect", "deployment", "run", "curate/ad-hoc", "--params", parameters(slow))
    again = prefect.finished("curate/ad-hoc", before + 2, 120)[0]
    assert again["state_name"] == "Completed", prefect.log("worker")
    assert done.items() <= signals(home).items(), "a shard was scanned twice"
    assert verify(latest(home)).sound


def test_served_without_a_worker(prefect: Services, recipe: Recipe, tmp_path: Path) -> None:
    path, home = tmp_path / "recipe.yaml", recipe.workspace.parent
    relative = {"source": {"path": "source", "name": "tiny"}, "output": {"dir": "subsets"}, "workspace": "workspace"}
    YAML(typ="safe").dump(json.loads(parameters(recipe))["recipe"] | relative, path)
    deployment = {
        "name": "served",
        "entrypoint": "flows.curate.curate",
        "build": [{"flows.serve.recipe_parameter": {"file": str(path)}}],
        "parameters": {"recipe": "{{ recipe }}"},
    }
    YAML(typ="safe").dump({"deployments": [deployment]}, tmp_path / "prefect.yaml")
    with (tmp_path / "log").open("w") as log:
        serving = subprocess.Popen(
            ["git10m", "serve", "--prefect-file", str(tmp_path / "prefect.yaml")],
            cwd=home,
            env=prefect.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait(lambda: "curate/served" in prefect.names(), "the deployment", 30)
        prefect.run("prefect", "deployment", "run", "curate/served")
        (run,) = prefect.finished("curate/served", 1, 60)
        assert run["state_type"] == "COMPLETED", (tmp_path / "log").read_text()
    finally:
        serving.send_signal(signal.SIGTERM)
        status = serving.wait(30)
    assert status in (0, 128 + signal.SIGTERM, -signal.SIGTERM)

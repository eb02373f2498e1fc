"""Every command, recipe, query and script on README and the pages runs, where what it supposes is there."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from hubserver import WRITER, HubServer
from pages import PAGES, ROOT, Block, blocks, code_in_lines, here
from pairs import recipe_for
from prefect.settings import PREFECT_API_URL
from ruamel.yaml import YAML
from typer.testing import CliRunner

from deployments.show import Services, free_port, wait
from flows.cli import app
from flows.recipes import load_evaluation
from schemas.recipe import Recipe
from schemas.subset import Subset

LANGUAGES = {"sh", "console", "yaml", "python", "sql", "diff", "text"}

APART = {
    "asking.md": "test_asking.py",
    "extending.md": "test_extending.py",
    "questions.md": "test_questions.py",
}
"""Pages whose blocks a test of their own runs."""

ELSEWHERE = {
    "make demo": "installs from a registry; what it runs then is run by tests/docs/test_asking.py::demo",
    "make test": "is what .ci/run runs, and this test with it: tests/docs/test_commands.py::test_page",
    "python3 -m venv": "installs from a registry, as make does for .ci/run: "
    "tests/deployments/test_container.py::test_the_image_takes_what_the_install_needs_and_what_is_there",
    "pip install": "installs from a registry, as make does for .ci/run: "
    "tests/deployments/test_container.py::test_the_image_takes_what_the_install_needs_and_what_is_there",
    "git10m browse": "serves a page until it is stopped: "
    "tests/flows/test_browse.py::test_a_workspace_and_a_recipe_are_browsed_as_well",
    "git10m serve": "stands in place of the worker: tests/deployments/test_running.py::test_served_without_a_worker",
    "sed s/BLOCK-ID": "wants a block of yours: tests/deployments/test_running.py::messages",
    "prefect automation create": "wants a block of yours: tests/deployments/test_running.py::messages",
    "export POSTGRES_PASSWORD": "for containers, which want an engine: "
    "tests/deployments/test_container.py::test_secrets_come_from_the_environment",
    "podman compose": "wants an engine; the services' commands: tests/deployments/test_running.py::prefect",
    "python deployments/show.py": "takes minutes and a browser; the same services: "
    "tests/deployments/test_running.py::prefect",
}
"""Commands that are not run here: why, and which test has to do with them instead."""

LOADING = ("embed", "evaluate", "retrieve")
"""Commands that load a model."""

SERVICES = ("prefect server start", "prefect worker start")
"""Commands that do not end."""


def commands(block: Block) -> list[str]:
    """Return the commands of a block; one may go over several lines."""
    found: list[str] = []
    pending = ""
    for line in block.text.splitlines():
        pending += f"{line}\n"
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # within quotes
            continue
        if words:
            found.append(pending.strip())
        pending = ""
    assert not pending, f"{block}: a quote that does not end"
    return found


def elsewhere(command: str) -> str | None:
    """Return the key of :data:`ELSEWHERE` that ``command`` begins with."""
    plain = " ".join(shlex.split(command, comments=True))
    return next((key for key in ELSEWHERE if plain.startswith(key)), None)


def wants_prefect(block: Block) -> bool:
    run = [command for command in commands(block) if elsewhere(command) is None] if block.language == "sh" else []
    return any(command.startswith("prefect ") for command in run)


class Shell:
    """A person at a terminal in the folder ``world``."""

    def __init__(self, world: Path, environment: dict[str, str], services: ExitStack, *, in_process: bool):
        self.world = world
        self.environment = environment
        self._services = services
        self._in_process = in_process  # quicker, where no other Prefect server is asked for

    def do(self, block: Block) -> None:
        """Do what ``block`` says.

        Raises:
            AssertionError: if that fails, with what was said.
        """
        text = here(block.text, self.world)
        match block.language:
            case "sh":
                for command in commands(block._replace(text=text)):
                    if elsewhere(command) is None:
                        self._run(command, str(block))
            case "yaml":
                self._plan(text, block)
            case "python":
                (self.world / "script.py").write_text(text, encoding="utf-8")
                self._run(f"{sys.executable} script.py", str(block))
            case "sql":
                assert duckdb.sql(text).fetchall(), block
            case _:
                assert block.language == "text", block

    def _run(self, command: str, where: str) -> None:
        words = shlex.split(command, comments=True)
        if words[0] == "export":
            self.environment |= dict(word.split("=", 1) for word in words[1:])
        elif " ".join(words).startswith(SERVICES):
            self._services.enter_context(self._running(words))
        # What loads a model in its own process has to find the tests' Hub when it first imports the Hub's client.
        elif words[0] == "git10m" and words[1] not in LOADING and self._in_process and ">" not in words:
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{where}: {command}\n{result.output}"
        else:
            done = subprocess.run(
                ["bash", "-ec", command],
                cwd=self.world,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, f"{where}: {command}\n{done.stdout}"

    @contextmanager
    def _running(self, words: list[str]) -> Iterator[None]:
        log = self.world / f"{words[1]}.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                words, cwd=self.world, env=self.environment, stdout=said, stderr=said, start_new_session=True
            )
        try:
            if words[1] == "server":
                port = int(self.environment["PREFECT_SERVER_API_PORT"])
                wait(lambda: listens(port), f"the server; see {log}", 90)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # of a busy machine; how services end is no matter of the pages
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)

    def _plan(self, text: str, block: Block) -> None:
        """Plan a recipe, or the part of one that the block shows, put into one."""
        shown = YAML(typ="safe").load(text)
        if "datasets" in shown:
            self._evaluation(shown)
            return
        recipe = recipe_for(self.world / "data" / "Git-10M", self.world).model_dump(mode="json", exclude_unset=True)
        if isinstance(shown, list):
            recipe |= {"subsets": shown}
        elif shown.keys() <= Recipe.model_fields.keys():
            recipe |= shown
        else:
            assert shown.keys() <= Subset.model_fields.keys(), block
            recipe["subsets"][0] |= shown
        YAML(typ="safe").dump(recipe, self.world / "shown.yaml")
        self._run("git10m plan shown.yaml", str(block))

    def _evaluation(self, shown: dict[str, Any]) -> None:
        """Write the evaluation that a page shows in full, and load the part of one."""
        place = self.world / "evaluation.yaml"
        former = YAML(typ="safe").load(place) if place.exists() else {}
        YAML(typ="safe").dump(former | shown, self.world / "part.yaml" if former else place)
        load_evaluation(self.world / "part.yaml" if former else place)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def shell(world: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> Iterator[Shell]:
    from huggingface_hub import constants

    hub.commit("lcybuaa/Git-10M", world / "data" / "Git-10M")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(world / "hub-cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(world / "hub-cache"))  # for processes of its own
    monkeypatch.setenv("HF_TOKEN", WRITER)
    monkeypatch.chdir(world)
    with ExitStack() as services:
        yield Shell(world, environment_of(world, str(PREFECT_API_URL.value())), services, in_process=True)


@pytest.fixture
def operator(world: Path, hub: HubServer) -> Iterator[Shell]:
    """A person with a terminal, and no server yet."""
    hub.commit("lcybuaa/Git-10M", world / "data" / "Git-10M")
    prefect = Services(world, free_port())
    with ExitStack() as services:
        yield Shell(world, environment_of(world, "") | prefect.environment, services, in_process=False)


def environment_of(world: Path, api: str) -> dict[str, str]:
    return os.environ | {
        "HOME": str(world),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PREFECT_API_URL": api,
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": WRITER,
    }


RUN_HERE = [page for page in PAGES if page.name not in APART and blocks(page)]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.stem)
def test_page(page: Path, shell: Shell, hub: HubServer, request: pytest.FixtureRequest) -> None:
    runs_models = any(" embed " in block.text or " evaluate " in block.text for block in blocks(page))
    model = request.getfixturevalue("colour_model") if runs_models else {"config.json": b"{}"}  # to be named alone
    hub.commit("lcybuaa/Git-RSCLIP", model)
    if page.name in ("README.md", "getting-started.md"):
        (shell.world / "recipe.yaml").unlink()  # they have one written
    for block in blocks(page):
        if not wants_prefect(block):
            shell.do(block)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in RUN_HERE if any(map(wants_prefect, blocks(p)))], ids=lambda page: page.stem
)
def test_page_with_prefect(page: Path, operator: Shell) -> None:
    asked = [block for block in blocks(page) if wants_prefect(block)]
    if any("deployment run curate/ad-hoc" in block.text for block in asked):  # whose recipe is the demo's
        from tasks.demo.reference import make_reference
        from tasks.demo.source import make_source

        make_source(operator.world / "demo" / "source", relief_max_zoom=4, bluemarble_max_zoom=3)
        make_reference(operator.world / "demo" / "reference.parquet")
    port = operator.environment["PREFECT_SERVER_API_PORT"]
    for block in asked:
        operator.do(block._replace(text=block.text.replace("127.0.0.1:4200", f"127.0.0.1:{port}")))


@pytest.mark.parametrize("block", blocks(*PAGES), ids=str)
def test_each_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES
    if block.language == "text":  # a layout, or how a command is used: not a way past the other tests
        for line in block.text.splitlines():
            assert "[--" in line or not line.startswith(("git10m ", "prefect ", "make ", "python", "pip ", "hf ", "$ "))


def test_what_is_not_run_here_stands_on_a_page_and_is_run_elsewhere() -> None:
    every = [command for block in blocks(*PAGES) if block.language == "sh" for command in commands(block)]
    assert {key for command in every if (key := elsewhere(command))} == set(ELSEWHERE)
    for told in ELSEWHERE.values():
        path, _, name = told.split()[-1].partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), told
    for page, test in APART.items():
        assert page in (Path(__file__).parent / test).read_text(encoding="utf-8")
        apart = [block for block in blocks(ROOT / "docs" / page) if block.language == "sh"]
        assert all(elsewhere(command) for block in apart for command in commands(block)), page


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_the_readme_names_the_commands_that_have_an_option_for_scripts(option: str) -> None:
    [told] = re.findall(rf"`{option}`, of ([^;.]*?), prints", (ROOT / "README.md").read_text(encoding="utf-8"))
    commands = typer.main.get_command(app).commands.items()
    having = {name for name, command in commands if any(option in parameter.opts for parameter in command.params)}
    assert set(re.findall("`([a-z]+)`", told)) == having


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_a_line_of_text_are_commands(page: Path) -> None:
    git10m = typer.main.get_command(app)
    for code in code_in_lines(page):
        if code.startswith("git10m "):
            _, *words = code.split()
            command = git10m if words[0].startswith("--") else git10m.commands[words[0]]
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, code

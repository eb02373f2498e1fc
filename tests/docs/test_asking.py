"""What asking.md shows is what the demo's subsets answer."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from pages import ROOT, Block, blocks
from typer.testing import CliRunner

from flows.cli import app

PAGE = blocks(ROOT / "docs" / "asking.md")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Path:
    """The folder that the demo was run in, as `make demo` runs it."""
    home = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        made = CliRunner().invoke(app, ["demo", "--dir", "demo"])
    assert made.exit_code == 0, made.output
    assert "planted 123, found 123" in made.output
    return home


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in PAGE if block.language == "console"], ids=str)
def test_the_answers_shown_are_the_demo_s(block: Block, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the page has ``…``, any letters or, on a line of its own, any lines may be."""
    monkeypatch.chdir(demo)
    command, _, shown = block.text.removeprefix("$ git10m ").partition("\n")
    told = CliRunner().invoke(app, shlex.split(command))
    assert told.exit_code == 0, told.output
    expected = "".join(
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r" *\n" for line in shown.splitlines()
    )
    assert re.fullmatch(expected, told.output.strip("\n") + "\n"), told.output


@pytest.mark.parametrize("block", [block for block in PAGE if block.language == "text"], ids=str)
def test_commands_are_used_as_it_says(block: Block) -> None:
    _, name, *rest = block.text.split()
    command = typer.main.get_command(app).commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", " ".join(rest))) <= known

"""The page on extending, applied to a copy of the project: its rule and its stage work, and the tests know of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pages import ROOT, blocks
from pairs import pair, recipe_for, write_tree
from prefect.settings import PREFECT_API_URL
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

_COPIED = ("deployments", "docs", "flows", "schemas", "tasks", "tests", "pyproject.toml", "README.md")
_TESTS = (
    "tests/schemas", "tests/tasks/select/test_actions.py", "tests/tasks/select/test_rules.py",
    "tests/docs/test_reference.py", "tests/tasks/scan/test_facts.py", "tests/tasks/demo/test_defects.py",
    "tasks/coverage.py",
)  # fmt: skip


def change(text: str, hunk: list[str]) -> str:
    """Return ``text`` with the lines of a hunk in the place of those that it takes away or leaves as they are."""
    old = "".join(f"{line[1:]}\n" for line in hunk if not line.startswith("+"))
    new = "".join(f"{line[1:]}\n" for line in hunk if not line.startswith("-"))
    at = f"\n{text}".find(f"\n{old}")
    assert at >= 0, f"not in the file:\n{old}"
    return text[:at] + new + text[at + len(old) :]


def apply(diff: str, project: Path) -> None:
    for part in f"\n{diff}".split("\n--- ")[1:]:
        name, *lines = part.rstrip("\n").split("\n")
        text = (project / name).read_text(encoding="utf-8")
        for hunk in "\n".join(lines).split("\n@@\n"):
            text = change(text, hunk.split("\n"))
        (project / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all that the page adds."""
    project = tmp_path_factory.mktemp("extended")
    for name in _COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, project / name)
    for block in blocks(ROOT / "docs" / "extending.md"):
        if block.language == "diff":
            apply(block.text, project)
        else:
            assert block.language == "python", block
            name, text = block.text.removeprefix("# ").split("\n", 1)
            assert not (project / name).exists(), block
            (project / name).write_text(text, encoding="utf-8")
    run(project, sys.executable, "docs/reference.py")
    return project


def run(project: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(project), "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tests_of_rules_know_the_new_one(project: Path) -> None:
    found = run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_TESTS)
    assert " passed" in found
    assert "| `caption_shouts` | validation | `flag` |" in (project / "docs" / "reasons.md").read_text(encoding="utf-8")
    run(project, sys.executable, "-m", "ruff", "check", "--no-cache", ".")
    run(project, sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


def test_a_run_has_the_rule_and_the_stage(project: Path, tmp_path: Path, prefect_server: None) -> None:
    rows = [pair(seed) for seed in range(6)]
    rows[2] = pair(2, caption="A HARBOUR WITH TWO PIERS")
    rows[4] = pair(4, Google_location="4_1_1", resolution=8192.0)
    tree = write_tree(tmp_path / "source", rows)
    recipe = recipe_for(tree, tmp_path).model_dump(mode="json")
    recipe["validation"]["rules"]["caption_shouts"] = "reject"  # a key of the copy, and not of this program
    YAML(typ="safe").dump(recipe, tmp_path / "recipe.yaml")
    cli = (sys.executable, "-c", "from flows.cli import app; app()")
    run(project, *cli, "curate", str(tmp_path / "recipe.yaml"))
    subset = tmp_path / "subsets" / "clean"
    rejected = pq.read_table(subset / "rejected.parquet", columns=["row_id", "primary_reason", "detail"]).to_pylist()
    assert rejected == [
        {
            "row_id": 2,
            "primary_reason": "caption_shouts",
            "detail": "caption: found 'A HARBOUR WITH TWO PIERS', expected small letters, too",
        }
    ]
    assert "small letters, too" in run(project, *cli, "explain", str(subset), "2")
    run(project, *cli, "verify", str(subset))
    (coverage,) = (tmp_path / "workspace" / "coverage").iterdir()
    assert pq.read_table(coverage).to_pylist() == [{"x": 0, "y": 31, "rows": 5}]

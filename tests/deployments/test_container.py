"""What can be told of the container's files without an engine."""

import re
import tomllib
from typing import Any

from ruamel.yaml import YAML

from deployments.show import DEPLOYMENTS
from flows.recipes import load_recipe
from flows.serve import ROOT

LINES = (DEPLOYMENTS / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
COMPOSED: dict[str, Any] = YAML(typ="safe").load(DEPLOYMENTS / "compose.yaml")


def _copied() -> set[str]:
    """Return what the image takes from the project's root."""
    copies = [line.split()[1:-1] for line in LINES if line.startswith("COPY ") and "--from" not in line]
    return {source.rstrip("/") for sources in copies for source in sources}


def test_the_image_takes_what_the_install_needs_and_what_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    metadata = {"pyproject.toml", "constraints.txt", project["project"]["readme"], *project["project"]["license-files"]}
    assert _copied() == {*packages, *metadata}
    assert all((ROOT / name).exists() for name in _copied())


def test_the_program_is_not_run_as_root() -> None:
    user = [line.split()[1] for line in LINES if line.startswith("USER ")]
    assert user == ["10001"]
    assert any(f"useradd --create-home --uid {user[0]} " in line for line in LINES)
    for name in ("server", "deploy", "worker"):
        assert COMPOSED["services"][name]["cap_drop"] == ["ALL"]


def test_secrets_come_from_the_environment() -> None:
    for service in COMPOSED["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("TOKEN|KEY|SECRET", name):
                assert value is None, f"{name}: a value in the file"
            elif re.search("PASSWORD|CONNECTION_URL", name):
                assert "${POSTGRES_PASSWORD" in value


def test_volumes_are_declared_and_belong_to_who_writes_them() -> None:
    made = next(line for line in LINES if "install --directory" in line).split()
    for name in ("server", "worker"):
        volumes = [mount.split(":") for mount in COMPOSED["services"][name]["volumes"] if not mount.endswith(":ro")]
        assert {volume for volume, _ in volumes} <= {*COMPOSED["volumes"]}
        assert {folder for _, folder in volumes} <= {*made}, "a volume on a folder that is not there belongs to root"


def test_the_worker_has_the_folders_of_the_recipes_and_reads_the_source_only() -> None:
    mounts = [mount.rsplit(":", 2) for mount in COMPOSED["services"]["worker"]["volumes"]]
    assert [mount[1:] for mount in mounts if mount[-1] == "ro"] == [["/data/source", "ro"]]
    writable = {mount[-1]: mount[-2] for mount in mounts if mount[-1] != "ro"}
    for path in (DEPLOYMENTS / "recipes").glob("git10m-*.yaml"):
        recipe = load_recipe(path)
        assert {str(recipe.output.dir), str(recipe.workspace)} == {*writable}

"""Deployments without a worker: what ``deployments/prefect.yaml`` defines, served by one process; and its build steps.

``prefect deploy`` runs the build steps by the names that file has for them, so that a recipe file is the parameter.
"""

import asyncio
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import prefect
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.deployments.steps.core import StepExecutionError, run_steps
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL
from prefect.utilities.templating import apply_values
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.recipes import load_recipe
from schemas.errors import CurationError

ROOT = Path(__file__).parents[1]
"""Where ``deployments/`` lies: the project's root, or the folder it is installed in."""

PREFECT_FILE = ROOT / "deployments" / "prefect.yaml"


_KEYS = {
    "build", "concurrency_limit", "description", "entrypoint", "name", "parameters", "schedules", "tags", "version",
    "work_pool",
}  # fmt: skip
"""What a deployment may say; a work pool is for workers, and passed over."""


class NotServable(CurationError):
    """A file of deployments that cannot be read, defines none, or names a recipe that is not valid."""


class NoServer(CurationError):
    """There is no Prefect server to be served by."""


def installed_version() -> dict[str, str]:
    """Return the version of this program: the build step that gives ``{{ version }}``."""
    return {"version": version("git10m")}


def recipe_parameter(file: str) -> dict[str, Any]:
    """Return the recipe in ``file``, as it is written: the build step that gives ``{{ recipe }}``.

    What the file leaves out stays out, so that its default is that of the machine and version that run it.

    Raises:
        RecipeError: if the file, relative to the project's root or absolute, is no valid recipe.
    """
    return {"recipe": load_recipe(ROOT / file).model_dump(mode="json", exclude_unset=True)}


def serve_deployments(prefect_file: Path) -> None:
    """Serve the deployments that ``prefect_file`` defines, until this process is stopped.

    Raises:
        NotServable: if it cannot be read, defines none, or names a recipe that is not valid.
        NoServer: if no Prefect server answers.
    """
    url = PREFECT_API_URL.value()
    with nullcontext() if url is None else get_client(sync_client=True) as client:
        problem = "not set" if client is None else client.api_healthcheck()
    if problem is not None:
        raise NoServer(
            f"PREFECT_API_URL: {problem}{f' at {url}' if url else ''}; expected the address of a Prefect server, "
            "such as http://127.0.0.1:4200/api: `prefect server start` starts one"
        )
    prefect.serve(*deployments_of(prefect_file))


def deployments_of(prefect_file: Path) -> list[RunnerDeployment]:
    """Return the deployments in ``prefect_file`` as ``prefect deploy --all`` makes them, but of no work pool.

    Raises:
        NotServable: if it cannot be read, defines none, or names a recipe that is not valid.
    """
    try:
        defined = YAML(typ="safe", pure=True).load(prefect_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise NotServable(f"{prefect_file}: cannot be read: {error}") from error
    configs = defined.get("deployments") if isinstance(defined, dict) else None
    if not configs:
        raise NotServable(f"{prefect_file}: found no `deployments`, expected a list of them")
    made = []
    for number, config in enumerate(configs):
        where = f"{prefect_file}: deployments.{number}"
        if not isinstance(config, dict) or not {"name", "entrypoint"} <= config.keys():
            raise NotServable(f"{where}: found {config!r}, expected a mapping with name and entrypoint")
        if unknown := sorted(config.keys() - _KEYS):
            told = f"{', '.join(map(str, unknown))}: not served; expected {', '.join(sorted(_KEYS))}"
            raise NotServable(f"{where}: {told}")
        try:
            made.append(_deployment(config))
        except StepExecutionError as error:
            raise NotServable(f"{where}: {config['name']}: {error.__cause__ or error}") from error
        except (ImportError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise NotServable(f"{where}: {config['name']}: {type(error).__name__}: {error}") from error
    return made


def _deployment(config: dict[str, Any]) -> RunnerDeployment:
    built = asyncio.run(run_steps(config.get("build") or [], print_function=lambda *_, **__: None))
    told: dict[str, Any] = apply_values({key: config[key] for key in config if key != "build"}, built)
    limit = told.get("concurrency_limit")
    return RunnerDeployment.from_entrypoint(
        told["entrypoint"],
        told["name"],
        description=told.get("description"),
        tags=told.get("tags"),
        version=told.get("version"),
        parameters=told.get("parameters"),
        schedules=[DeploymentScheduleCreate.from_schedule(Schedule(**one)) for one in told.get("schedules") or ()],
        concurrency_limit=ConcurrencyLimitConfig(**limit) if isinstance(limit, dict) else limit,
    )

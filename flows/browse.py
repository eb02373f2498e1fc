"""What ``git10m browse`` does: open what was scanned, and serve the page on this machine until it is stopped."""

import webbrowser
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from ruamel.yaml import YAML
from upath import UPath

from flows.recipes import load_recipe
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.subset import Subset
from tasks.browse.controls import Limits, with_limits
from tasks.browse.opening import open_source, recipe_at

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"
"""Nobody but this machine's user is to see the pictures."""


class BrowserAbsent(CurationError):
    """What draws the page is not installed, or its port is in use."""


def run_browse(place: UPath, *, subset: str | None, port: int, show: bool) -> None:
    """Serve the page of a subset's folder, a workspace or a recipe until the process is stopped.

    Args:
        place: a subset's folder, a workspace, or a recipe.
        subset: name of the recipe's subset to begin with; None: the folder's, or the first.
        port: of the server; 0: any that is free.
        show: open the page in the user's browser.

    Raises:
        BrowserAbsent: if Dash is not installed, or the port is in use.
        CurationError: as :func:`tasks.browse.opening.open_source`; RecipeError of a recipe.
    """
    try:
        from tasks.browse.page import make_app
    except ModuleNotFoundError as error:
        raise BrowserAbsent(f"browse needs {error.name}: pip install 'git10m[browse]'") from error
    from tasks.browse.trial import Trial
    from tasks.select.basis import Basis

    out, begun = Console(stderr=True), perf_counter()
    if isinstance(place, Path) and place.is_file():
        recipe, own = load_recipe(place, ()), None
    else:
        recipe, own = recipe_at(place)
    out.print(f"opening {recipe.source.name} …", style="dim", highlight=False)
    opened = open_source(recipe, subset or own)
    trial = Trial(Basis(opened.recipe, opened.scan, opened.duplicates), opened.subset, opened.at_hand)
    app = make_app(opened, trial, lambda limits: recipe_in_yaml(recipe, opened.subset, limits))
    server = _server(app.server, port)
    address = f"http://{HOST}:{server.server_port}/"
    told = f"{opened.scan.rows:,} pairs of {recipe.source.name}, opened in {perf_counter() - begun:.1f} s"
    out.print(f"{told}; Ctrl-C ends it", highlight=False)
    print(address, flush=True)
    if show:
        webbrowser.open(address)
    server.serve_forever()


def recipe_in_yaml(recipe: Recipe, subset: Subset, limits: Mapping[str, Limits]) -> str:
    """Return ``recipe`` with one subset, under other ``limits``, as YAML without what is the default anyway."""
    moved = recipe.model_copy(update={"subsets": [with_limits(subset, limits)]})
    told = moved.model_dump(mode="json", exclude_defaults=True)
    told["source"] = {"kind": recipe.source.kind, **told["source"]}
    told.get("engine", {}).pop("workers", None)  # of the machine that it ran on
    text = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # in the order of the model
    yaml.dump({key: value for key, value in told.items() if value != {}}, text)
    return text.getvalue()


def _server(application: "WSGIApplication", port: int) -> "BaseWSGIServer":
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing of a page that was served."""

    try:
        return make_server(HOST, port, application, threaded=True, request_handler=Quiet)
    except (OSError, SystemExit) as error:  # werkzeug ends the process
        raise BrowserAbsent(f"port {port} of {HOST} is in use; expected another --port, 0 for any") from error

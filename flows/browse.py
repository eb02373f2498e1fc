"""What ``git10m browse`` does: open what was scanned, and serve the page on this machine until it is stopped."""

import os
import secrets
import socket
import webbrowser
from collections.abc import Mapping
from io import StringIO
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from ruamel.yaml import YAML
from upath import UPath

from flows.place import recipe_of
from flows.terminal import printable
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.subset import Subset
from schemas.thresholds import Limits
from tasks.browse.controls import with_limits
from tasks.browse.opening import open_source

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from werkzeug.serving import BaseWSGIServer

HOST = "127.0.0.1"
"""Nobody elsewhere is to see the pictures."""


class NotServed(CurationError):
    """The page cannot be served: what draws it is not installed, or its port cannot be had."""


def run_browse(place: UPath, *, subset: str | None, port: int, show: bool) -> None:
    """Serve the page of a subset's folder, a workspace or a recipe until the process is stopped.

    Args:
        place: a subset's folder, a workspace, or a recipe.
        subset: name of the recipe's subset to begin with; None: the folder's, or the first.
        port: of the server; 0: any that is free.
        show: open the page in the user's browser.

    Raises:
        NotServed: if Dash is not installed, or the port cannot be had.
        CurationError: as :func:`flows.place.recipe_of` and :func:`tasks.browse.opening.open_source`.
    """
    try:
        from tasks.browse.page import make_app
    except ModuleNotFoundError as error:
        raise NotServed(f"browse needs {error.name}: pip install 'git10m[browse]'") from error
    from tasks.browse.trial import Trial
    from tasks.select.basis import Basis

    out, begun = Console(stderr=True), perf_counter()
    recipe, own = recipe_of(place)
    source = printable(recipe.source.name)
    out.print(f"opening {source} …", style="dim", highlight=False, markup=False, soft_wrap=True)
    opened = open_source(recipe, subset or own)
    basis = Basis(opened.recipe, opened.scan, opened.duplicates, opened.embedded)
    trial = Trial(basis, opened.subset, opened.at_hand)
    token = secrets.token_urlsafe()
    app = make_app(opened, trial, lambda limits: recipe_in_yaml(recipe, opened.subset, limits), token)
    server = _server(app.server, port)
    address = f"http://{HOST}:{server.server_address[1]}/?token={token}"
    told = f"{opened.scan.rows:,} pairs of {source}, opened in {perf_counter() - begun:.1f} s"
    out.print(f"{told}; Ctrl-C ends it", highlight=False, markup=False, soft_wrap=True)
    print(address, flush=True)
    if show:
        webbrowser.open(address)
    server.serve_forever()


def recipe_in_yaml(recipe: Recipe, subset: Subset, limits: Mapping[str, Limits]) -> str:
    """Return ``recipe`` with one subset, under other ``limits``, as YAML without what is the default anyway."""
    moved = recipe.model_copy(update={"subsets": [with_limits(subset, limits)]})
    told = moved.model_dump(mode="json", exclude_defaults=True, exclude={"engine"})  # that was another machine's
    # The kind of a source is a default of its own, and without it a data set of the Hub would be a folder.
    told["source"] = {"kind": recipe.source.kind, **told["source"]}
    references = told.get("deduplication", {}).get("references", [])
    for reference, source in zip(references, recipe.deduplication.references, strict=True):
        reference["kind"] = source.kind
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
        bound = socket.create_server((HOST, port))
    except OSError as error:
        raise NotServed(
            f"port {port} of {HOST}: {os.strerror(error.errno or 0)}; expected another --port, 0 for any"
        ) from error
    with bound:  # the server has a descriptor of its own
        return make_server(
            HOST, bound.getsockname()[1], application, threaded=True, request_handler=Quiet, fd=bound.fileno()
        )

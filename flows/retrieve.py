"""What ``git10m retrieve`` does: find pictures by texts, print them, and write their contact sheet."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from upath import UPath

from flows.as_json import as_json as json_of
from flows.place import recipe_of
from flows.progress import stage
from flows.terminal import plain
from schemas.retrieval import Retrieval
from tasks.files import write_text
from tasks.report.html import cut
from tasks.retrieve.page import render_retrieval
from tasks.retrieve.stage import retrieve

_CAPTION = 120  # characters that are printed


def run_retrieve(
    place: UPath, texts: Sequence[str], *, count: int, scorer: str | None, page: UPath, as_json: bool = False
) -> Retrieval:
    """Find pictures, print what was found, and write their contact sheet to ``page``.

    Args:
        place: a subset's folder, whose pictures alone are looked at; a workspace, or a recipe.
        texts: what to look for.
        count: pictures for each text.
        scorer: name of the recipe's scorer; None: the first.
        page: an HTML file.
        as_json: print the answer as JSON.

    Raises:
        CurationError: as :func:`tasks.retrieve.stage.retrieve` and :func:`flows.place.recipe_of`.
    """
    recipe, name = recipe_of(place)
    subset = None if name is None else (name, place)
    with stage("retrieve"):
        pictures = retrieve(recipe, texts, count=count, scorer=scorer, subset=subset)
        write_text(page, render_retrieval(*pictures))
    if as_json:
        print(json_of(pictures.found))
    else:
        print_retrieval(pictures.found, page, Console())
    return pictures.found


def print_retrieval(found: Retrieval, page: UPath, out: Console) -> None:
    """Print ``found`` in as many columns as the terminal has, and where its contact sheet lies."""
    out.print(plain(f"{found.pictures:,} pictures of {found.place}, by {found.scorer}"), highlight=False)
    for one in found.texts:
        table = Table(title=plain(one.text), title_justify="left")
        for heading in ("cosine", "row"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("img_name", overflow="fold", ratio=2)
        table.add_column("caption", ratio=3)
        for hit in one.hits:
            caption = cut(hit.caption or "", _CAPTION)
            table.add_row(f"{hit.cosine:.3f}", str(hit.row_id), plain(hit.img_name or ""), plain(caption))
        out.print(table if one.hits else plain(f"{one.text}: no picture has a vector"))
    out.print(plain(f"contact sheet: {page}"), highlight=False, soft_wrap=True)

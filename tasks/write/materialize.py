"""Complete a subset that was made again from its index."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from upath import UPath

from schemas.errors import CurationError
from schemas.manifest import Manifest
from schemas.reports import DataFile
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.files import write_bytes
from tasks.locks import Held
from tasks.options import STAGE
from tasks.published import MANIFEST
from tasks.verify.subset import verify
from tasks.write.card import render_card
from tasks.write.croissant import render_croissant
from tasks.write.manifest import versions
from tasks.write.sealing import seal
from tasks.write.staging import Staging

TABLES = (INDEX_FILE, REJECTED_FILE)


class NotTheSame(CurationError):
    """A data file came out otherwise than the one that the index stands for; the message names it."""


def as_data(index: Manifest) -> Manifest:
    """Return the manifest of the subset that ``index`` stands for, without files and without seal."""
    return index.model_copy(update={"mode": "data", "files": (), "indexed": (), "seal": ""})


def require_same(index: Manifest, files: Sequence[DataFile]) -> None:
    """Hold data files against those that ``index`` stands for, where it knows them.

    Raises:
        NotTheSame: naming the first that differs, and versions of libraries that do.
    """
    known = index.indexed or tuple(file for file in index.files if file.image_bytes is not None)
    if not known:
        return
    found = {file.path: file for file in files}
    for file in known:
        if found.pop(file.path, None) != file:
            others = [
                f"{name} {was} then and {now} now"
                for name, was in index.versions.items()
                if (now := versions().get(name)) not in (was, None)
            ]
            told = f"; versions differ: {', '.join(others)}" if others else ""
            raise NotTheSame(f"{file.path}: the rows are those of the source, but not the bytes of the file{told}")
    if found:
        raise NotTheSame(f"{next(iter(found))}: the subset has no such file")


def _require_sound(folder: UPath) -> None:
    report = verify(folder)
    if not report.sound:
        (folder / MANIFEST).unlink()
        raise NotTheSame(f"the rows are not those of the index: {'; '.join(report.problems[:3])}")


@task(name="publish", task_run_name="publish {index.subset}", **STAGE)
def publish_again(
    index: Manifest,
    directory: UPath,
    files: tuple[DataFile, ...],
    staging: Staging,
    keep_versions: int,
    held: Held,
    run: dict[str, Any],
) -> UPath:
    """Complete the staged subset with what ``directory`` has beside data files, and publish it; return its folder."""
    if staging.complete():  # by an attempt that failed after it
        return staging.publish(keep_versions, held)
    draft, folder = as_data(index), staging.subset
    carried = [file for file in index.files if file.path in TABLES or file.path.startswith("figures/")]
    for file in carried:
        write_bytes(folder / file.path, (directory / file.path).read_bytes())
    tables = [file for name in TABLES for file in carried if file.path == name]
    figures = [file.path for file in carried if file.path.startswith("figures/")]
    texts = {
        "README.md": render_card(draft, files, figures),
        "croissant.json": render_croissant(draft, files, tables),
    }
    seal(folder, draft, (*files, *carried), texts, run)
    if not draft.recipe["scan"]["images"]:  # no digest tells that the rows are the same: names and places have to
        _require_sound(folder)
    return staging.publish(keep_versions, held)

"""What ``git10m verify`` runs and prints."""

from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from upath import UPath

from flows.terminal import printable
from schemas.reports import VerifyReport
from tasks.published import read_manifest
from tasks.source.again import source_at
from tasks.source.listing import list_shards, pin
from tasks.source.places.fetch import FetchCache
from tasks.verify.source import compare_with_source
from tasks.verify.subset import verify

_FETCHED_BYTES = 20_000_000_000


def run_verify(
    directory: UPath, source: str | None = None, *, hub: bool = False, revision: str | None = None
) -> VerifyReport:
    """Verify the subset in ``directory``, and its rows against ``source`` if it is given; print what is wrong."""
    report = verify(directory)
    if source is not None and report.files:  # 0: there is no manifest to compare by
        problems = _against_source(directory, source, hub=hub, revision=revision)
        report = report.model_copy(update={"problems": (*report.problems, *problems)})
    for problem in report.problems:
        typer.echo(printable(problem), err=True)
    if report.sound:
        compared = ", each as in the source" if source is not None else ""
        typer.echo(printable(f"{directory}: sound: {report.files} files, {report.rows:,} rows kept{compared}"))
    return report


def _against_source(directory: UPath, path: str, *, hub: bool, revision: str | None) -> list[str]:
    manifest = read_manifest(directory)
    source = pin(source_at(manifest, path, hub=hub, revision=revision))
    with TemporaryDirectory(prefix="git10m-") as folder:
        shards = list_shards(source, FetchCache(Path(folder), _FETCHED_BYTES))
        return list(compare_with_source(directory, manifest, shards))

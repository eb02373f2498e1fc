"""What ``git10m verify`` runs and prints."""

from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from flows.as_json import as_json as json_of
from flows.progress import console, stage
from flows.terminal import printable
from schemas.reports import VerifyReport
from schemas.verification import Verification
from tasks.published import read_manifest
from tasks.source.again import source_at
from tasks.source.listing import list_shards, pin
from tasks.source.places.fetch import FetchCache
from tasks.verify.source import compare_with_source
from tasks.verify.subset import verify
from tasks.versions import followed


def run_verify(job: Verification, *, quiet: bool = False, as_json: bool = False) -> VerifyReport:
    """Verify the subset and print what is wrong, as JSON if that is asked for."""
    console.quiet = quiet
    with stage("verify"):
        report = verified(job)
    if as_json:
        print(json_of(report))
    for problem in report.problems if not as_json else ():
        typer.echo(printable(problem), err=True)
    if report.sound and not (quiet or as_json):
        compared = ", each as in the source" if job.source is not None else ""
        typer.echo(printable(f"{report}{compared}"))
    return report


def verified(job: Verification) -> VerifyReport:
    """Return what is wrong with the latest version of a subset, in itself and against its source if that is given."""
    directory = followed(job.subset)
    report = verify(directory).model_copy(update={"directory": job.subset})  # which outlasts its versions
    if job.source is None or not report.files:  # 0: there is no manifest to compare by
        return report
    manifest = read_manifest(directory)
    source = pin(source_at(manifest, job.source, hub=job.hub, revision=job.revision))
    with TemporaryDirectory(prefix="git10m-") as folder:
        shards = list_shards(source, FetchCache(Path(folder), job.engine.fetched_bytes))
        problems = tuple(compare_with_source(directory, manifest, shards))
    return report.model_copy(update={"problems": (*report.problems, *problems)})

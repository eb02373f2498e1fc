"""Make the data files of a subset again, from its index and anyone's own copy of the source."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prefect.runtime.flow_run as flow_run
from prefect import flow
from upath import UPath

from flows.publish import write_files
from flows.runner import pool_of, task_threads
from schemas.errors import CurationError
from schemas.manifest import Manifest
from schemas.materialization import Materialization
from schemas.recipe import Output
from schemas.reports import DataFile
from schemas.tables import INDEX_FILE
from tasks.files import ensure_writable, exclusive, read_parquet
from tasks.published import read_manifest
from tasks.source.again import source_at
from tasks.source.listing import list_shards, local_folder, pin
from tasks.source.places.fetch import FetchCache
from tasks.source.shards import Shard
from tasks.verify.subset import verify
from tasks.write.again import parts_of
from tasks.write.materialize import NotTheSame, as_data, publish_again, require_same
from tasks.write.rows import SourceChanged
from tasks.write.schema import DataSchema
from tasks.write.staging import Staging, refuse_strangers


class NotSound(CurationError):
    """The index is not what its manifest says."""


@flow(
    name="materialize",
    flow_run_name="materialize {job.index.name}",
    task_runner=task_threads(),
    persist_result=False,
)
def materialize(job: Materialization) -> UPath:
    """Make a subset again from its index, each image held against its SHA-256; return the subset's folder.

    The data files are, byte for byte, those of the subset that the index was made of.

    Raises:
        NotASubset, NotSound: if there is no index, or not a sound one.
        SourceError, AnotherSource, SourceChanged: if the source is not the one that the subset was made of.
        NotTheSame: if a data file comes out otherwise, as it does from other versions of the libraries.
        OSError: if the output cannot be written.
    """
    manifest = sound_manifest(job.index)
    ensure_writable(job.dir)
    refuse_strangers(job.dir / manifest.subset)
    staging = Staging(job.dir, as_data(manifest))
    if staging.published():
        return staging.final
    source = pin(source_at(manifest, job.source, hub=job.hub, revision=job.revision))
    staging.open()
    aside = local_folder(staging.folder)
    shards = list_shards(source, FetchCache(Path(str(aside)) / "fetched", job.engine.fetched_bytes))
    with exclusive(job.dir):
        files = _write(job, manifest, shards, staging, aside)
        run = {
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "flow_run_id": flow_run.get_id(),
            "flow_run_name": flow_run.get_name(),
            "materialization": job.model_dump(mode="json"),
        }
        try:
            require_same(manifest, files)
            return publish_again(manifest, job.index, files, staging, run)
        except NotTheSame:
            staging.clear()  # or these files would be taken again, when the source is the right one
            raise


def sound_manifest(directory: UPath) -> Manifest:
    """Return the manifest of the subset in ``directory``, which is verified.

    Raises:
        NotASubset: if there is none.
        NotSound: if the subset is not what it says; its data files, if they are there, count as well.
    """
    manifest = read_manifest(directory)
    report = verify(directory)
    if not report.sound:
        told = "\n  ".join(report.problems[:5])
        raise NotSound(f"{directory}: not sound; get it again:\n  {told}")
    return manifest


def _write(
    job: Materialization, manifest: Manifest, shards: tuple[Shard, ...], staging: Staging, aside: UPath
) -> tuple[DataFile, ...]:
    plans = parts_of(read_parquet(job.index / INDEX_FILE), manifest, shards)
    settings: dict[str, Any] = manifest.recipe["output"]
    output = Output.model_validate(settings | {"dir": job.dir})
    target = DataSchema.of(manifest.columns)
    workers = job.engine.workers
    try:
        with pool_of(workers, only_here=_only_here(job)) as pool:
            return write_files(plans, target, staging, output, aside, pool, workers)
    except SourceChanged as error:
        told = f"{job.source}: not the source that the subset was made of: {error}"
        raise SourceChanged(told, error.shard) from error


def _only_here(job: Materialization) -> bool:
    return any(str(place).startswith("memory://") for place in (job.source, job.dir))

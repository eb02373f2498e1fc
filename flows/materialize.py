"""Make the data files of a subset again, from its index and anyone's own copy of the source."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prefect.runtime.flow_run as flow_run
from prefect import flow
from upath import UPath

from flows.progress import stage
from flows.publish import write_files
from flows.runner import open_crew, write_engine
from schemas.manifest import Manifest
from schemas.materialization import Materialization, Materialized
from schemas.recipe import Output
from schemas.reports import DataFile
from schemas.tables import INDEX_FILE
from tasks.files import ensure_writable, read_parquet
from tasks.locks import exclusive
from tasks.published import read_manifest
from tasks.source.again import source_at
from tasks.source.listing import list_shards, local_folder, pin
from tasks.source.places.fetch import FetchCache
from tasks.source.shards import Shard
from tasks.verify.subset import NotSound, verify
from tasks.versions import followed
from tasks.write.again import parts_of
from tasks.write.materialize import NotTheSame, as_data, publish_again, require_same
from tasks.write.rows import SourceChanged
from tasks.write.schema import DataSchema
from tasks.write.staging import Staging


@flow(name="materialize", flow_run_name="materialize {job.index.name}", persist_result=False)
def materialize(job: Materialization) -> Materialized:
    """Make a subset again from its index, each image held against its SHA-256; return what was made.

    The data files are, byte for byte, those of the subset that the index was made of.

    Raises:
        NotASubset, NotSound: if there is no index, or not a sound one.
        SourceError, AnotherSource, SourceChanged: if the source is not the one that the subset was made of.
        NotTheSame: if a data file comes out otherwise, as it does from other versions of the libraries.
        OSError: if the output cannot be written.
    """
    index = followed(job.index)
    manifest = read_manifest(index)
    with stage("verify the index"):
        sound = verify(index)  # its data files, if they are there, count as well
    if not sound.sound:
        raise NotSound(f"{sound}\nGet it again.")
    ensure_writable(job.dir)
    return Materialized(
        subset=manifest.subset,
        source=manifest.source.name,
        rows=manifest.funnel.kept,
        same_files=bool(manifest.indexed) or manifest.mode == "data",
        directory=_published(job, index, manifest),
    )


def _published(job: Materialization, index: UPath, manifest: Manifest) -> UPath:
    """Return the folder of the subset, which is made if it is not there; errors as :func:`materialize`."""
    there = Staging(job.dir, as_data(manifest))
    if there.published():
        return there.directory
    source = pin(source_at(manifest, job.source, hub=job.hub, revision=job.revision))
    aside = local_folder(there.folder)
    shards = list_shards(source, FetchCache(Path(str(aside)) / "fetched", job.engine.fetched_bytes))
    with exclusive(job.dir, flow_run.get_name() or "materialize") as held:
        staging = Staging(job.dir, as_data(manifest))
        if staging.complete():
            return staging.publish(job.keep_versions, held)
        staging.open()
        files = _write(job, index, manifest, shards, staging, aside)
        run = {
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "flow_run_id": flow_run.get_id(),
            "flow_run_name": flow_run.get_name(),
            "materialization": job.model_dump(mode="json"),
        }
        try:
            require_same(manifest, files)
            return publish_again(manifest, index, files, staging, job.keep_versions, held, run)
        except NotTheSame:
            staging.give_up()  # or these files would be taken again, when the source is the right one
            raise


def _write(
    job: Materialization, index: UPath, manifest: Manifest, shards: tuple[Shard, ...], staging: Staging, aside: UPath
) -> tuple[DataFile, ...]:
    plans = parts_of(read_parquet(index / INDEX_FILE), manifest, shards)
    settings: dict[str, Any] = manifest.recipe["output"]
    output = Output.model_validate(settings | {"dir": job.dir})
    target = DataSchema.of(manifest.columns)
    try:
        with open_crew(write_engine(job.engine, output, job.dir), job.source, job.dir) as crew:
            return write_files(plans, target, staging, output, aside, crew)
    except SourceChanged as error:
        told = f"{job.source}: not the source that the subset was made of: {error}"
        raise SourceChanged(told, error.shard) from error

"""Write one subset: plan its files and copy the rows; and publish it. Part of the ``curate`` flow."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import prefect.runtime.flow_run as flow_run
from prefect import get_run_logger
from prefect.futures import wait

from flows.progress import stage
from schemas.manifest import Manifest
from schemas.recipe import Recipe, Subset
from schemas.reports import DataFile, DeduplicateReport, PublishReport, ScanReport, SelectReport, WriteReport
from tasks.grouping import in_groups, span
from tasks.source.shards import Shard
from tasks.workers import Pool
from tasks.write.manifest import draft_manifest
from tasks.write.plan import plan_files
from tasks.write.schema import data_schema
from tasks.write.stage import publish, write_data
from tasks.write.staging import Staging, read_manifest


class WrittenSubset(NamedTuple):
    """A subset whose data files are written, and out of readers' sight, or that was published before."""

    selected: SelectReport
    draft: Manifest
    staging: Staging
    data: WriteReport
    published: bool


def write_subset(
    recipe: Recipe,
    subset: Subset,
    shards: Sequence[Shard],
    scanned: ScanReport,
    duplicates: DeduplicateReport,
    selected: SelectReport,
    pool: Pool,
) -> WrittenSubset:
    """Write the data files of ``subset``, unless it is in its place already.

    Raises:
        SourceChanged: if a shard is no longer what was scanned.
    """
    draft = draft_manifest(recipe, subset, scanned, duplicates, selected)
    staging = Staging(recipe.output.dir, draft)
    if staging.published():
        data = tuple(file for file in read_manifest(staging.final).files if file.image_bytes is not None)
        return WrittenSubset(selected, draft, staging, _report(recipe, selected, data), published=True)
    staging.open()
    plans = plan_files(shards, scanned, selected.verdicts, subset, recipe.output, images=recipe.scan.images)
    groups = in_groups(plans, [plan.image_bytes for plan in plans], recipe.engine.workers)
    target = data_schema(scanned)
    with stage(f"write {subset.name}", selected.kept) as bar:

        def done(file: DataFile) -> None:
            bar.advance(rows=file.rows or 0, work=file.rows or 0)

        futures = [
            write_data.submit(
                group,
                span([f"{subset.name}/{plan.path}" for plan in group]),
                target,
                staging,
                recipe.output.row_group_rows,
                pool,
                done,
            )
            for group in groups
        ]
        wait(futures)  # all of them, though one may have failed: nothing is written behind the flow's back
        written = _report(recipe, selected, tuple(file for future in futures for file in future.result()))
        bar.finish(str(written))
    return WrittenSubset(selected, draft, staging, written, published=False)


def publish_subset(
    recipe: Recipe, written: WrittenSubset, shards: Sequence[Shard], scanned: ScanReport
) -> PublishReport:
    """Complete a written subset and put it in its place."""
    logger = get_run_logger()
    selected, draft, staging, data, published = written
    if published:
        logger.info("%s: published already, left as it is", draft.subset)
        staging.clear()
        return PublishReport(select=selected, write=data, directory=staging.final, reused=True)
    run = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "flow_run_id": flow_run.get_id(),
        "flow_run_name": flow_run.get_name(),
        "recipe": recipe.model_dump(mode="json"),
        "scan": str(scanned),
    }
    directory = publish(draft, data, shards, scanned, selected, staging, run)
    logger.info("%s: kept %s of %s rows, published in %s", draft.subset, selected.kept, selected.rows, directory)
    return PublishReport(select=selected, write=data, directory=directory, reused=False)


def _report(recipe: Recipe, selected: SelectReport, files: tuple[DataFile, ...]) -> WriteReport:
    return WriteReport(
        subset=selected.subset,
        expected_rows=selected.kept,
        expected_image_bytes=selected.kept_image_bytes if recipe.scan.images else None,
        files=files,
    )

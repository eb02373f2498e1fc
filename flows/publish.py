"""Publish one subset: plan its files, copy the rows, and complete it; part of the ``curate`` flow."""

from collections.abc import Sequence
from datetime import UTC, datetime

import prefect.runtime.flow_run as flow_run
from prefect import get_run_logger

from flows.progress import stage
from schemas.recipe import Recipe, Subset
from schemas.reports import DataFile, PublishReport, ScanReport, SelectReport, WriteReport
from tasks.grouping import in_groups, span
from tasks.signals import readable_shards
from tasks.source import Shard
from tasks.workers import Workers
from tasks.write.manifest import draft_manifest
from tasks.write.plan import plan_files
from tasks.write.stage import publish, write_data
from tasks.write.staging import Staging, read_manifest


def publish_subset(
    recipe: Recipe,
    subset: Subset,
    shards: Sequence[Shard],
    scanned: ScanReport,
    selected: SelectReport,
    pool: Workers,
) -> PublishReport:
    """Write ``subset`` and put it in its place, unless it is there already."""
    logger = get_run_logger()
    draft = draft_manifest(recipe, subset, scanned, selected)
    staging = Staging(recipe.output.dir, draft)
    if staging.published():
        logger.info("%s: published already, left as it is", subset.name)
        staging.clear()
        data = tuple(file for file in read_manifest(staging.final).files if file.image_bytes is not None)
        return PublishReport(select=selected, write=_report(selected, data), directory=staging.final, reused=True)
    staging.open()
    plans = plan_files(shards, scanned, selected.verdicts, subset, recipe.output)
    groups = in_groups(plans, [plan.image_bytes for plan in plans], recipe.engine.workers)
    template = readable_shards(shards, scanned)[0].path
    with stage(f"write {subset.name}", selected.kept) as bar:

        def done(file: DataFile) -> None:
            bar.advance(rows=file.rows or 0, work=file.rows or 0)

        futures = [
            write_data.submit(
                group,
                span([f"{subset.name}/{plan.path}" for plan in group]),
                template,
                staging,
                recipe.output.row_group_rows,
                pool,
                done,
            )
            for group in groups
        ]
        written = _report(selected, tuple(file for future in futures for file in future.result()))
        bar.finish(str(written))
    run = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "flow_run_id": flow_run.get_id(),
        "flow_run_name": flow_run.get_name(),
        "recipe": recipe.model_dump(mode="json"),
        "scan": str(scanned),
    }
    directory = publish(draft, written, shards, scanned, selected, staging, run)
    logger.info("%s: kept %s of %s rows, published in %s", subset.name, selected.kept, selected.rows, directory)
    return PublishReport(select=selected, write=written, directory=directory, reused=False)


def _report(selected: SelectReport, files: tuple[DataFile, ...]) -> WriteReport:
    return WriteReport(
        subset=selected.subset,
        expected_rows=selected.kept,
        expected_image_bytes=selected.kept_image_bytes,
        files=files,
    )

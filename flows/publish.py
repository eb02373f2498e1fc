"""Write one subset: plan its files and copy the rows; and publish it. Part of the ``curate`` flow."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import prefect.runtime.flow_run as flow_run
from prefect import get_run_logger
from prefect.futures import wait
from upath import UPath

from flows.progress import stage
from schemas.recipe import Output, Recipe
from schemas.reports import (
    DataFile,
    DeduplicateReport,
    PublishReport,
    ScanReport,
    SelectReport,
    WriteReport,
    written_in_words,
)
from schemas.subset import Subset
from tasks.grouping import in_groups, span
from tasks.published import read_manifest
from tasks.source.listing import local_folder
from tasks.source.shards import Shard
from tasks.workers import Pool
from tasks.write.manifest import draft_manifest
from tasks.write.placement import place_rows
from tasks.write.plan import FilePlan, ShardRows, plan_files
from tasks.write.rows import SourceChanged
from tasks.write.schema import DataSchema, data_schema
from tasks.write.shuffle import clear_aside, merge_parts
from tasks.write.stage import Making, lay_rows_aside, publish, write_data
from tasks.write.staging import Staging

_ASIDE = "laid-aside"


class WrittenSubset(NamedTuple):
    """A subset whose data files are written, and out of readers' sight, or that was published before."""

    making: Making
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
    """Write the data files of ``subset``, unless it is in its place already; in mode ``index``, none.

    Raises:
        SourceChanged: if a shard is no longer what was scanned.
    """
    output = recipe.output
    target = data_schema(scanned, text=output.text is not None)
    draft = draft_manifest(recipe, subset, scanned, duplicates, selected, target)
    staging = Staging(output.dir, draft)
    placement = place_rows(scanned, selected.verdicts, subset, output, images=recipe.scan.images)
    making = Making(subset, output, shards, scanned, selected, placement, draft, staging)
    if staging.published():
        data = tuple(file for file in read_manifest(staging.final).files if file.image_bytes is not None)
        return WrittenSubset(making, _report(recipe, selected, data), published=True)
    staging.open()
    if output.mode == "index":
        return WrittenSubset(making, _report(recipe, selected, ()), published=False)
    plans = plan_files(shards, scanned, placement, images=recipe.scan.images)
    files = write_files(plans, target, staging, output, local_folder(recipe.workspace), pool, recipe.engine.workers)
    return WrittenSubset(making, _report(recipe, selected, files), published=False)


def write_files(
    plans: Sequence[FilePlan],
    target: DataSchema,
    staging: Staging,
    output: Output,
    aside: UPath,
    pool: Pool,
    workers: int,
) -> tuple[DataFile, ...]:
    """Write the data files of ``plans``, but for those an earlier run finished; rows are laid ``aside`` to be shuffled.

    Raises:
        SourceChanged: if a shard is no longer what was scanned.
    """
    name = staging.final.name
    folder = None
    if output.shuffle_seed is not None:
        folder = aside / _ASIDE / staging.key
        _lay_aside(merge_parts(plans), target, folder, pool, workers, name)
    groups = in_groups(plans, [plan.image_bytes for plan in plans], workers)
    with stage(f"write {name}", sum(plan.rows for plan in plans)) as bar:

        def done(file: DataFile) -> None:
            bar.advance(rows=file.rows or 0, work=file.rows or 0)

        futures = [
            write_data.submit(
                group, span([f"{name}/{plan.path}" for plan in group]), target, staging, output, folder, pool, done
            )
            for group in groups
        ]
        wait(futures)  # all of them, though one may have failed: nothing is written behind the flow's back
        try:
            files = tuple(file for future in futures for file in future.result())
        except SourceChanged:
            clear_aside(aside / _ASIDE, name)  # or it would be found wrong again, when the source is right
            raise
        bar.finish(written_in_words(files))
    clear_aside(aside / _ASIDE, name)
    return files


def _lay_aside(
    parts: Sequence[ShardRows], target: DataSchema, folder: UPath, pool: Pool, workers: int, name: str
) -> None:
    groups = in_groups(parts, [len(part.rows) for part in parts], workers)
    with stage(f"shuffle {name}", sum(len(part.rows) for part in parts)) as bar:

        def done(rows: int) -> None:
            bar.advance(rows=rows, work=rows)

        futures = [
            lay_rows_aside.submit(
                group, span([f"{name}/{part.shard.name}" for part in group]), target, folder, pool, done
            )
            for group in groups
        ]
        wait(futures)
        for future in futures:
            future.result()
        bar.finish(f"laid the rows of {len(parts)} shards aside")


def publish_subset(recipe: Recipe, written: WrittenSubset) -> PublishReport:
    """Complete a written subset and put it in its place."""
    logger = get_run_logger()
    making, data, published = written
    selected, draft, staging = making.selected, making.draft, making.staging
    if published:
        logger.info("%s: published already, left as it is", draft.subset)
        staging.clear()
        return PublishReport(select=selected, write=data, directory=staging.final, mode=draft.mode, reused=True)
    run = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "flow_run_id": flow_run.get_id(),
        "flow_run_name": flow_run.get_name(),
        "recipe": recipe.model_dump(mode="json"),
        "scan": str(making.scan),
    }
    directory = publish(making, data, run)
    logger.info("%s: kept %s of %s rows, published in %s", draft.subset, selected.kept, selected.rows, directory)
    return PublishReport(select=selected, write=data, directory=directory, mode=draft.mode, reused=False)


def _report(recipe: Recipe, selected: SelectReport, files: tuple[DataFile, ...]) -> WriteReport:
    full = recipe.output.mode == "data"
    expected = selected.kept_image_bytes if full else 0
    return WriteReport(
        subset=selected.subset,
        expected_rows=selected.kept if full else 0,
        expected_image_bytes=expected if recipe.scan.images else None,
        files=files,
    )

"""Write one subset: plan its files and copy the rows; and publish it. Part of the ``curate`` flow."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NamedTuple

import prefect.runtime.flow_run as flow_run
from prefect import get_run_logger
from upath import UPath

from flows.again import files_of, left_as_it_is, written
from flows.events import emit_published
from flows.progress import stage
from flows.runner import Crew
from schemas.embedding import EmbedReport
from schemas.recipe import Output, Recipe, fingerprint
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
from tasks.locks import Held
from tasks.pinning import rooted
from tasks.source.listing import local_folder
from tasks.source.shards import Shard
from tasks.write.manifest import draft_manifest
from tasks.write.placement import place_rows
from tasks.write.plan import FilePlan, ShardRows, plan_files
from tasks.write.rows import SourceChanged
from tasks.write.schema import DataSchema
from tasks.write.shuffle import clear_aside, merge_parts
from tasks.write.stage import Making, lay_rows_aside, publish, write_data
from tasks.write.staging import Staging

_ASIDE = "laid-aside"


class WrittenSubset(NamedTuple):
    """A subset whose data files are written, where no link leads to them yet; or a version that was made before."""

    selected: SelectReport
    staging: Staging
    data: WriteReport
    making: Making | None  # None: nothing is left to be made


def write_subset(
    recipe: Recipe,
    subset: Subset,
    shards: Sequence[Shard],
    scanned: ScanReport,
    duplicates: DeduplicateReport,
    selected: SelectReport,
    target: DataSchema,
    crew: Crew,
    held: Held,
) -> WrittenSubset:
    """Write the data files of ``subset``, unless it is in its place already; in mode ``index``, none.

    Raises:
        SourceChanged: if a shard is no longer what was scanned.
    """
    output = recipe.output
    draft = draft_manifest(recipe, subset, scanned, duplicates, selected, target)
    staging = Staging(output.dir, draft)
    if staging.complete():
        return WrittenSubset(selected, staging, written(recipe, selected, files_of(staging)), making=None)
    staging.open()
    placement = place_rows(scanned, selected.verdicts, subset, output, images=recipe.scan.images)
    making = Making(subset, output, shards, scanned, selected, placement, draft, staging, held)
    files: tuple[DataFile, ...] = ()
    if output.mode == "data":
        plans = plan_files(shards, scanned, placement, images=recipe.scan.images)
        files = write_files(plans, target, staging, output, local_folder(recipe.workspace), crew)
    return WrittenSubset(selected, staging, written(recipe, selected, files), making)


def write_files(
    plans: Sequence[FilePlan],
    target: DataSchema,
    staging: Staging,
    output: Output,
    aside: UPath,
    crew: Crew,
) -> tuple[DataFile, ...]:
    """Write the data files of ``plans``, but for those an earlier run finished; rows are laid ``aside`` to be shuffled.

    Raises:
        SourceChanged: if a shard is no longer what was scanned.
    """
    name = staging.name
    laid = aside / _ASIDE / fingerprint(str(output.dir))[:16]  # a workspace may serve runs with other outputs as well
    folder = None
    if output.shuffle_seed is not None:
        folder = laid / staging.key
        _lay_aside(merge_parts(plans), target, folder, name, crew)
    image_bytes = sum(plan.image_bytes for plan in plans)
    with stage(f"write {name}", byte_length=image_bytes, items=len(plans), done="data files are written") as bar:

        def done(file: DataFile) -> None:
            bar.advance(rows=file.rows or 0, byte_length=file.image_bytes or 0)

        try:
            files = tuple(
                crew.each(
                    write_data,
                    plans,
                    lambda plan: f"{name}/{plan.path}",
                    lambda plan: plan.image_bytes,
                    *(target, staging, output, folder),
                    done=done,
                )
            )
        except SourceChanged:
            clear_aside(laid, name)  # or it would be found wrong again, when the source is right
            raise
        bar.finish(written_in_words(files))
    clear_aside(laid, name)
    return files


def _lay_aside(parts: Sequence[ShardRows], target: DataSchema, folder: UPath, name: str, crew: Crew) -> None:
    count = sum(len(part.rows) for part in parts)
    with stage(f"shuffle {name}", rows=count, items=len(parts), done="shards are laid aside") as bar:

        def done(rows: int) -> None:
            bar.advance(rows=rows)

        crew.each(
            lay_rows_aside,
            parts,
            lambda part: f"{name}/{part.shard.name}",
            lambda part: len(part.rows),
            *(target, folder),
            done=done,
        )
        bar.finish(f"laid the rows of {len(parts)} shards aside")


def publish_subset(
    recipe: Recipe,
    done: WrittenSubset,
    duplicates: DeduplicateReport,
    embedded: Sequence[EmbedReport],
    held: Held,
) -> PublishReport:
    """Complete a written subset and make it the latest version."""
    logger = get_run_logger()
    selected, staging, data, making = done
    version = staging.subset.name
    if staging.published():
        logger.info("%s: published already, left as it is: %s", selected.subset, version)
        staging.tidy(recipe.output.keep_versions)
        return left_as_it_is(recipe, selected, staging)
    if making is None:
        directory = staging.publish(recipe.output.keep_versions, held)  # a former version, which is the latest again
    else:
        run = {
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "flow_run_id": flow_run.get_id(),
            "flow_run_name": flow_run.get_name(),
            "recipe": rooted(recipe).model_dump(mode="json"),
            "scan": str(making.scan),
            "tables": _tables(making.scan, duplicates, embedded, selected),
        }
        with stage(f"publish {selected.subset}") as bar:
            directory = publish(making, data, run)
            bar.finish(f"{version.partition('-')[0]} in {directory}")
    logger.info("%s: %s, published as %s in %s", selected.subset, selected, version, directory)
    report = PublishReport(
        select=selected, write=data, mode=recipe.output.mode, version=version, directory=directory, reused=False
    )
    emit_published(recipe.source.name, report)
    return report


def _tables(
    scan: ScanReport, duplicates: DeduplicateReport, embedded: Sequence[EmbedReport], selected: SelectReport
) -> dict[str, Any]:
    """Return where the tables that a subset was made of lie, for whoever asks them: see docs/questions.md."""

    def place(path: UPath | None) -> str | None:
        return None if path is None else str(path.absolute())

    first = list(accumulate((shard.rows for shard in scan.shards), initial=0))
    scorers = {scorer.name for scorer in selected.scorers}
    return {
        "signals": [
            {"shard": shard.shard, "first_row_id": row_id, "path": place(shard.signals)}
            for shard, row_id in zip(scan.shards, first, strict=False)  # after the last shard there is one number more
        ],
        "vectors": [
            {
                "scorer": report.scorer,
                "shard": shard.shard,
                "first_row_id": row_id,
                "path": place(shard.vectors),
                "margins": place(shard.margins),
            }
            for report in embedded
            if report.scorer in scorers
            for shard, row_id in zip(report.shards, first, strict=False)
        ],
        "pairs": place(duplicates.path),
        "semantic": place(duplicates.semantic),
        "contaminated": place(duplicates.contaminated),
        "verdicts": place(selected.verdicts),
    }

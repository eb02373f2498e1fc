"""The flow that brings a source's signals up to date."""

from typing import cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import as_completed

from flows.progress import stage
from flows.runner import open_pool, task_threads
from schemas.recipe import Recipe
from schemas.reports import QuarantinedShard, ScanReport, ShardReport
from tasks.files import ensure_writable, sweep
from tasks.grouping import in_groups, span
from tasks.scan.stage import ShardOutcome, scan_shards
from tasks.source.listing import pin, shards_of
from tasks.source.preflight import refuse_other_columns
from tasks.source.shards import shard_size


@flow(name="scan", flow_run_name="scan {recipe.source.name}", task_runner=task_threads(), persist_result=False)
def scan(recipe: Recipe) -> ScanReport:
    """Scan every shard of the recipe's source that was never scanned with the recipe's settings.

    A shard that cannot be read is quarantined in the report; all others are done.
    """
    logger = get_run_logger()
    recipe = recipe.model_copy(update={"source": pin(recipe.source)})
    shards = shards_of(recipe)
    refuse_other_columns(recipe, shards)
    ensure_writable(recipe.workspace)
    for pattern in ("identities", "signals/*", "pairs/*", "contaminated"):
        for folder in recipe.workspace.glob(pattern):
            sweep(folder)
    sizes = [shard_size(shard) for shard in shards]
    columns = recipe.source.columns.model_dump()
    groups = in_groups(shards, sizes, recipe.engine.workers)
    description = f"{recipe.source.name}: groups of shards scanned or reused"
    progress = cast(UUID, create_progress_artifact(0.0, key="scan-progress", description=description))
    with open_pool(recipe) as pool, stage("scan", sum(sizes)) as bar:

        def done(outcome: ShardOutcome) -> None:
            if isinstance(outcome, ShardReport):
                bar.advance(rows=outcome.rows, work=outcome.byte_length)
            if error := outcome.error if isinstance(outcome, QuarantinedShard) else outcome.damage:
                logger.error("quarantined %s: %s", outcome.shard, error)

        futures = [
            scan_shards.submit(
                group, span([shard.name for shard in group]), recipe.scan, columns, recipe.workspace, pool, done
            )
            for group in groups
        ]
        for finished, _ in enumerate(as_completed(futures), start=1):
            update_progress_artifact(progress, 100 * finished / len(groups))
        outcomes = [outcome for future in futures for outcome in future.result()]
        report = ScanReport.of(outcomes)
        bar.finish(str(report))
    logger.info("%s", report)
    return report

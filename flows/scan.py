"""The flow that brings a source's signals up to date."""

from typing import cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import as_completed

from flows.progress import stage
from flows.runner import task_threads
from schemas.recipe import Recipe
from schemas.reports import QuarantinedShard, ScanReport, ShardReport
from tasks.files import ensure_writable, sweep
from tasks.grouping import in_groups, span
from tasks.scan.stage import ShardOutcome, scan_shards
from tasks.source import list_shards
from tasks.workers import workers


@flow(name="scan", flow_run_name="scan {recipe.source.name}", task_runner=task_threads(), persist_result=False)
def scan(recipe: Recipe) -> ScanReport:
    """Scan every shard of the recipe's source that was never scanned with the recipe's settings.

    A shard that cannot be read is quarantined in the report; all others are done.
    """
    logger = get_run_logger()
    shards = list_shards(recipe.source)
    ensure_writable(recipe.workspace)
    for folder in (recipe.workspace / "identities", *recipe.workspace.glob("signals/*")):
        sweep(folder)
    sizes = [shard.path.stat().st_size if shard.path.exists() else 0 for shard in shards]
    groups = in_groups(shards, sizes, recipe.engine.workers)
    description = f"{recipe.source.name}: groups of shards scanned or reused"
    progress = cast(UUID, create_progress_artifact(0.0, key="scan-progress", description=description))
    with workers(recipe.engine.workers) as pool, stage("scan", sum(sizes)) as bar:

        def done(outcome: ShardOutcome) -> None:
            if isinstance(outcome, ShardReport):
                bar.advance(rows=outcome.rows, work=outcome.byte_length)
            else:
                logger.error("quarantined %s: %s", outcome.shard, outcome.error)

        futures = [
            scan_shards.submit(group, span([shard.name for shard in group]), recipe.scan, recipe.workspace, pool, done)
            for group in groups
        ]
        for finished, _ in enumerate(as_completed(futures), start=1):
            update_progress_artifact(progress, 100 * finished / len(groups))
        outcomes = [outcome for future in futures for outcome in future.result()]
        report = ScanReport(
            shards=tuple(outcome for outcome in outcomes if isinstance(outcome, ShardReport)),
            quarantined=tuple(outcome for outcome in outcomes if isinstance(outcome, QuarantinedShard)),
            listed_shards=len(shards),
        )
        bar.finish(str(report))
    logger.info("%s", report)
    return report

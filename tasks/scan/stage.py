"""Scan as Prefect sees it: one task run for a group of shards."""

from collections.abc import Callable
from pathlib import Path

from prefect import task

from schemas.recipe import ScanSettings
from schemas.reports import QuarantinedShard, ShardReport
from tasks.options import STAGE
from tasks.scan.reuse import recall
from tasks.scan.shard import scan_shard
from tasks.source import Shard
from tasks.workers import Workers

ShardOutcome = ShardReport | QuarantinedShard


@task(
    name="scan shards",
    task_run_name="scan {label}",
    tags={"scan"},
    **STAGE,
)
def scan_shards(
    shards: tuple[Shard, ...],
    label: str,
    settings: ScanSettings,
    workspace: Path,
    pool: Workers,
    done: Callable[[ShardOutcome], None],
) -> tuple[ShardOutcome, ...]:
    """Scan ``shards`` one after the other in worker processes, but for those scanned before; ``done`` hears of each.

    ``label`` is for the task run's name.
    """
    outcomes = []
    for shard in shards:
        outcome = recall(shard, settings, workspace) or pool.run(scan_shard, shard, settings, workspace)
        outcomes.append(outcome)
        done(outcome)
    return tuple(outcomes)

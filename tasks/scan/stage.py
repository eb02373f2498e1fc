"""Scan as Prefect sees it: one task run for a group of shards."""

from collections.abc import Callable
from contextlib import nullcontext

from prefect import task
from upath import UPath

from schemas.recipe import ScanSettings
from schemas.reports import QuarantinedShard, ShardReport
from tasks.locks import claimed_last
from tasks.options import STAGE
from tasks.scan.identity import Columns
from tasks.scan.reuse import recall
from tasks.scan.shard import scan_shard
from tasks.source.read import at_hand, let_go
from tasks.source.shards import Shard, ShardUnreadable
from tasks.workers import OwnWorkers, Pool, WorkerLost

ShardOutcome = ShardReport | QuarantinedShard


@task(
    name="scan shards",
    task_run_name="scan {label}",
    **STAGE,
)
def scan_shards(
    shards: tuple[Shard, ...],
    label: str,
    settings: ScanSettings,
    columns: Columns,
    workspace: UPath,
    pool: Pool,
    done: Callable[[ShardOutcome], None],
) -> tuple[ShardOutcome, ...]:
    """Scan ``shards`` one after the other in a worker process, but for those scanned before; ``done`` hears of each.

    ``label`` is for the task run's name.
    """

    def scan(shard: Shard, wait: bool) -> ShardOutcome:
        known = recall(shard, settings, columns, workspace)
        outcome = known or _scan(shard, settings, columns, workspace, pool, wait=wait)
        done(outcome)
        return outcome

    outcomes = claimed_last(shards, scan)
    if isinstance(pool, OwnWorkers):
        let_go(shards)
    return outcomes


def _scan(
    shard: Shard, settings: ScanSettings, columns: Columns, workspace: UPath, pool: Pool, *, wait: bool
) -> ShardOutcome:
    """Scan ``shard`` in a worker process; if that is lost, once more with each image decoded in isolation."""
    try:
        with at_hand(shard) if settings.images else nullcontext():  # fetched here, while the workers decode others
            try:
                return pool.run(scan_shard, shard, settings, columns, workspace, wait=wait)
            except WorkerLost:
                return pool.run(scan_shard, shard, settings, columns, workspace, isolated=True, wait=wait)
    except WorkerLost as error:  # it is not the decoder: reading the shard itself ends the process
        return QuarantinedShard(shard=shard.name, error=f"{shard.name}: {error}")
    except ShardUnreadable as error:
        return QuarantinedShard(shard=shard.name, error=str(error.of(shard.name)))

"""Embed as Prefect sees it: one task run for a group of shards."""

from collections.abc import Callable
from typing import NamedTuple

from prefect import task
from upath import UPath

from schemas.embedding import VectorsReport
from schemas.recipe import ScanSettings
from schemas.reports import ShardReport
from schemas.scorer import Scorer
from tasks.beat import hearing
from tasks.embed.shard import embed_shard
from tasks.locks import claimed_last
from tasks.options import STAGE
from tasks.scan.identity import Columns
from tasks.source.read import at_hand, let_go
from tasks.source.shards import Shard
from tasks.workers import OwnWorkers, Pool


class Scanned(NamedTuple):
    """A shard, and what the scan found in it."""

    shard: Shard
    report: ShardReport


@task(
    name="embed shards",
    task_run_name="embed {label} by {scorer.name}",
    **STAGE,
)
def embed_shards(
    shards: tuple[Scanned, ...],
    label: str,
    scorer: Scorer,
    settings: ScanSettings,
    columns: Columns,
    workspace: UPath,
    pool: Pool,
    done: Callable[[VectorsReport], None],
    moved: Callable[[str, int], None],
) -> tuple[VectorsReport, ...]:
    """Embed ``shards`` one after the other in a worker process, which keeps the model; ``done`` hears of each.

    ``label`` is for the task run's name. ``moved`` hears how many rows are done of the shard at work, 0 if it fails.
    """

    def embed(scanned: Scanned, wait: bool) -> VectorsReport:
        shard, report = scanned
        try:
            # Fetched here, while the worker embeds another.
            with at_hand(shard), hearing(lambda rows: moved(shard.name, rows)):
                made = pool.run(embed_shard, shard, report, scorer, settings, columns, workspace, wait=wait)
        except Exception:
            moved(shard.name, 0)
            raise
        done(made)
        return made

    reports = claimed_last(shards, embed)
    if isinstance(pool, OwnWorkers):
        let_go(one.shard for one in shards)
    return reports

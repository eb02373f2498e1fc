"""Write as Prefect sees it: task runs that copy rows, and one that completes and publishes a subset."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from prefect import task
from upath import UPath

from schemas.manifest import Manifest
from schemas.recipe import Output
from schemas.reports import DataFile, ScanReport, SelectReport, WriteReport
from schemas.subset import Subset
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.locks import Held
from tasks.options import STAGE
from tasks.source.read import let_go
from tasks.source.shards import Shard
from tasks.workers import OwnWorkers, Pool
from tasks.write.card import render_card
from tasks.write.copy import copy_rows
from tasks.write.croissant import render_croissant
from tasks.write.placement import Placement
from tasks.write.plan import FilePlan, ShardRows
from tasks.write.schema import DataSchema
from tasks.write.sealing import seal
from tasks.write.shuffle import lay_aside
from tasks.write.staging import Staging
from tasks.write.tables import write_index, write_rejected


class Making(NamedTuple):
    """A subset in the making: all that its files are made from."""

    subset: Subset
    output: Output
    shards: Sequence[Shard]
    scan: ScanReport
    selected: SelectReport
    placement: Placement
    draft: Manifest
    staging: Staging
    held: Held


@task(
    name="lay rows aside",
    task_run_name="lay aside {label}",
    **STAGE,
)
def lay_rows_aside(
    parts: tuple[ShardRows, ...], label: str, target: DataSchema, folder: UPath, pool: Pool, done: Callable[[int], None]
) -> tuple[int, ...]:
    """Lay the kept rows of some shards aside, from where they can be read in any order; return how many of each."""
    for part in parts:
        pool.run(lay_aside, part, target, folder)
        done(len(part.rows))
    return tuple(len(part.rows) for part in parts)


@task(
    name="write data files",
    task_run_name="write {label}",
    **STAGE,
)
def write_data(
    plans: tuple[FilePlan, ...],
    label: str,
    target: DataSchema,
    staging: Staging,
    output: Output,
    laid_aside: UPath | None,
    pool: Pool,
    done: Callable[[DataFile], None],
) -> tuple[DataFile, ...]:
    """Write the data files of ``plans`` in a worker process, but for those an earlier run finished.

    ``label`` is for the task run's name; ``done`` hears of each file.
    """
    files = []
    for plan in plans:
        file = staging.finished(plan.path)
        if file is None:
            file = pool.run(copy_rows, plan, target, staging.subset / plan.path, output, laid_aside)
            staging.record(file)
        files.append(file)
        done(file)
    if isinstance(pool, OwnWorkers):
        let_go(part.shard for plan in plans for part in plan.parts)
    return tuple(files)


@task(
    name="publish",
    task_run_name="publish {making.draft.subset}",
    **STAGE,
)
def publish(making: Making, data: WriteReport, run: dict[str, Any]) -> UPath:
    """Complete the staged subset with index, rejected, card and report, seal it with its manifest, and publish it."""
    return complete(making, data, run)


def complete(making: Making, data: WriteReport, run: dict[str, Any]) -> UPath:
    """Write all that a subset holds beside its data files, the manifest last, and make it the latest version.

    Returns:
        The folder where readers find it.
    """
    from tasks.report.page import render  # matplotlib takes a second to import
    from tasks.report.samples import figure_data, gather
    from tasks.write.figures import draw_figures

    draft, staging, scan, verdicts = making.draft, making.staging, making.scan, making.selected.verdicts
    if staging.complete():  # by an attempt that failed after it
        return staging.publish(making.output.keep_versions, making.held)
    folder = staging.subset
    full = draft.mode == "data"
    index = write_index(scan, verdicts, making.placement, folder / INDEX_FILE)
    rejected = write_rejected(scan, verdicts, making.subset, folder / REJECTED_FILE, details=full)
    figures = draw_figures(draft, *figure_data(scan, verdicts))
    texts = {
        "README.md": render_card(draft, data.files if full else (index,), sorted(figures)),
        "croissant.json": render_croissant(draft, data.files, (index, rejected)),
    }
    if full:  # it shows pictures and captions
        texts["report.html"] = render(gather(draft, making.shards, scan, verdicts))
    others: dict[str, str | bytes] = {**figures, **texts}
    seal(folder, draft, (*data.files, index, rejected), {name: others[name] for name in sorted(others)}, run)
    return staging.publish(making.output.keep_versions, making.held)

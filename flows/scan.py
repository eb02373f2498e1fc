"""The flow that brings a source's signals up to date."""

from typing import cast

from prefect import flow, get_run_logger
from prefect.states import Completed

from flows.artifacts import ProgressArtifact, announce_quarantined
from flows.events import emit_quarantined
from flows.progress import stage
from flows.runner import EngineError, open_crew
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.reports import QuarantinedShard, ScanReport, ShardReport
from tasks.files import ensure_writable, is_local, sweep
from tasks.scan.stage import ShardOutcome, scan_shards
from tasks.source.listing import pin, shards_of
from tasks.source.preflight import refuse_other_columns
from tasks.source.shards import SourceError, shard_size


class ShardsQuarantined(CurationError):
    """Shards of the source cannot be read, and the recipe does not allow to go on without them."""


@flow(name="scan", flow_run_name="scan {recipe.source.name}", persist_result=False)
def scan(recipe: Recipe) -> ScanReport:
    """Scan every shard of the recipe's source that was never scanned with the recipe's settings.

    A shard that cannot be read is quarantined in the report; all others are done. A run that finds every shard scanned
    ends in the state "Nothing new".

    Raises:
        SourceError: if the source is missing, or has other columns than the recipe says.
        EngineError: if the recipe's engine cannot be had, or writes to another workspace than is seen here.
        OSError: if the workspace cannot be written.
    """
    logger = get_run_logger()
    recipe = recipe.model_copy(update={"source": pin(recipe.source)})
    shards = shards_of(recipe)
    refuse_other_columns(recipe, shards)
    ensure_writable(recipe.workspace)
    for pattern in (
        "identities",
        "signals/*",
        "pairs/*",
        "semantic",
        "contaminated",
        "duplicates",
        "kinships",
        "verdicts",
    ):
        for folder in recipe.workspace.glob(pattern):
            sweep(folder)
    columns = recipe.source.columns.model_dump()
    description = f"{recipe.source.name}: groups of shards scanned or reused"
    progress = ProgressArtifact("scan-progress", description)
    with (
        open_crew(recipe.engine, recipe.source.path, recipe.workspace) as crew,
        stage("scan", byte_length=sum(map(shard_size, shards)), items=len(shards), done="shards are scanned") as bar,
    ):

        def done(outcome: ShardOutcome) -> None:
            if isinstance(outcome, ShardReport):
                bar.advance(rows=outcome.rows, byte_length=outcome.byte_length)
            if error := outcome.error if isinstance(outcome, QuarantinedShard) else outcome.damage:
                logger.error("quarantined %s: %s", outcome.shard, error)

        outcomes = crew.each(
            scan_shards,
            shards,
            lambda shard: shard.name,
            shard_size,
            *(recipe.scan, columns, recipe.workspace),
            done=done,
            group_done=progress.move,
        )
        _require_shared(recipe, outcomes)
        report = ScanReport.of(outcomes)
        bar.finish(str(report))
    logger.info("%s", report)
    if report.quarantined:
        announce_quarantined(recipe.source.name, report.quarantined)
        for bad in report.quarantined:
            emit_quarantined(recipe.source.name, bad)
    elif not report.scanned:
        return cast(ScanReport, Completed(name="Nothing new", message=str(report), data=report))
    return report


def _require_shared(recipe: Recipe, outcomes: list[ShardOutcome]) -> None:
    """Make sure that a workspace on file systems is the same one for the engine's machines and for this one."""
    for outcome in outcomes if recipe.engine.kind != "local" and is_local(recipe.workspace) else ():
        if isinstance(outcome, ShardReport) and not outcome.signals.exists():
            told = f"{outcome.shard} was scanned, but {outcome.signals} is not seen here"
            raise EngineError(f"workspace: {told}; expected a folder that all machines of the engine share, or a URL")


def require_rows(recipe: Recipe, scanned: ScanReport, key: str = "source") -> None:
    """Raise :class:`ShardsQuarantined` or :class:`SourceError` where there is nothing, or not enough, to go on with."""
    if scanned.quarantined and (recipe.source.on_bad_shard == "fail" or scanned.rows == 0):
        lines = [
            f"{len(scanned.quarantined)} of {scanned.listed_shards} shards cannot be read; nothing was published:",
            *(f"  {bad.error}" for bad in scanned.quarantined),
            f"Mend or fetch them again, or set {key}.on_bad_shard to 'publish' to go on without them.",
        ]
        raise ShardsQuarantined("\n".join(lines))
    if scanned.rows == 0:
        raise SourceError(f"{recipe.source.path}: the source is empty: no row in {scanned.listed_shards} shards")

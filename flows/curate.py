"""The whole job: source → scan → deduplicate → select → write → manifest → report."""

from prefect import flow

from flows.artifacts import announce
from flows.progress import stage
from flows.publish import publish_subset
from flows.runner import task_threads
from flows.scan import scan
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.reports import CurateReport, ScanReport
from tasks.deduplicate.stage import deduplicate
from tasks.files import ensure_writable, exclusive
from tasks.select.stage import select
from tasks.source import SourceError, list_shards
from tasks.workers import workers
from tasks.write.staging import refuse_strangers


class ShardsQuarantined(CurationError):
    """Shards of the source cannot be read, and the recipe does not allow to go on without them."""


@flow(name="curate", flow_run_name="curate {recipe.title}", task_runner=task_threads(), persist_result=False)
def curate(recipe: Recipe) -> CurateReport:
    """Curate the recipe's subsets from its source.

    Raises:
        SourceError: if the source is missing, empty, or not what the recipe says.
        ShardsQuarantined: if shards cannot be read and ``source.on_bad_shard`` is ``fail``; nothing is published.
        OSError: if workspace or output cannot be written.
    """
    shards = list_shards(recipe.source)
    ensure_writable(recipe.output.dir)
    for subset in recipe.subsets:
        refuse_strangers(recipe.output.dir / subset.name)
    scanned = scan.with_options(task_runner=task_threads(recipe.engine.workers))(recipe)
    _require_rows(recipe, scanned)
    with stage("deduplicate") as bar:
        pairs = deduplicate(scanned, recipe.deduplication, recipe.workspace)
        bar.finish(str(pairs))
    published = []
    with exclusive(recipe.output.dir), workers(recipe.engine.workers) as pool:
        for subset in recipe.subsets:
            with stage(f"select {subset.name}") as bar:
                selected = select(recipe, subset, scanned, pairs)
                bar.finish(str(selected))
            published.append(publish_subset(recipe, subset, shards, scanned, selected, pool))
    report = CurateReport(source=recipe.source.name, scan=scanned, deduplicate=pairs, subsets=tuple(published))
    announce(report)
    return report


def _require_rows(recipe: Recipe, scanned: ScanReport) -> None:
    if scanned.quarantined and recipe.source.on_bad_shard == "fail":
        lines = [
            f"{len(scanned.quarantined)} of {scanned.listed_shards} shards cannot be read; nothing was published:",
            *(f"  {bad.error}" for bad in scanned.quarantined),
            "Mend or fetch them again, or set source.on_bad_shard to 'publish' to go on without them.",
        ]
        raise ShardsQuarantined("\n".join(lines))
    if scanned.rows == 0:
        raise SourceError(f"{recipe.source.path}: the source is empty: no row in {scanned.listed_shards} shards")

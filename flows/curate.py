"""The whole job: source → scan → embed → deduplicate → select → write → manifest → report."""

from collections.abc import Sequence
from typing import cast

import prefect.runtime.flow_run as flow_run
from prefect import flow
from prefect.states import Completed

from flows.artifacts import announce
from flows.embed import embed_scanned
from flows.progress import stage
from flows.publish import publish_subset, write_subset
from flows.runner import open_crew, standing_engine, write_engine
from flows.scan import require_rows, scan
from schemas.recipe import Recipe
from schemas.reports import CurateReport, ReferenceReport, ScanReport
from tasks.deduplicate.stage import count_searches, deduplicate
from tasks.files import ensure_writable
from tasks.locks import exclusive
from tasks.pinning import pinned
from tasks.select.basis import Basis
from tasks.select.stage import select
from tasks.source.listing import fetch_cache, shards_of
from tasks.source.shards import Shard
from tasks.versions import Versions
from tasks.workspace import remember
from tasks.write.rows import SourceChanged
from tasks.write.schema import data_schema


@flow(name="curate", flow_run_name="curate {recipe.title}", persist_result=False)
def curate(recipe: Recipe) -> CurateReport:
    """Curate the recipe's subsets from its source.

    A run that finds every shard scanned and every subset published ends in the state "Nothing new".

    Raises:
        SourceError: if the source is missing, empty, or not what the recipe says.
        CheckpointNotFound, ModelUnusable: of a scorer that cannot be had.
        ShardsQuarantined: if shards cannot be read and ``source.on_bad_shard`` is ``fail``; nothing is published.
        DirectoryBusy: if another run is writing to the output.
        OSError: if workspace or output cannot be written.
    """
    recipe = pinned(recipe)
    shards = shards_of(recipe)
    ensure_writable(recipe.output.dir)
    for subset in recipe.subsets:
        Versions(recipe.output.dir, subset.name).latest()  # refuses what is in the way, before hours of scanning
    with exclusive(recipe.output.dir, flow_run.get_name() or recipe.title):
        pass  # refuses another run there, too; of one that comes in between, the end is waited for
    with standing_engine(recipe.engine) as engine:
        recipe = recipe.model_copy(update={"engine": engine})
        scanned = scan(recipe)
        remember(recipe)
        references = tuple(_scan_reference(recipe, number) for number in range(len(recipe.deduplication.references)))
        while True:
            require_rows(recipe, scanned)
            try:
                report = _publish_all(recipe, shards, scanned, references)
                break
            except SourceChanged as error:  # a shard is another one than was scanned: it counts as unreadable
                scanned = scanned.without(error.shard, str(error))
    fetch_cache(recipe).clear()
    announce(recipe, report)
    return (
        report if report.news else cast(CurateReport, Completed(name="Nothing new", message=str(report), data=report))
    )


def _scan_reference(recipe: Recipe, number: int) -> ReferenceReport:
    """Scan the pictures of a reference set, as those of the source are scanned."""
    source = recipe.deduplication.references[number]
    recipe = recipe.model_copy(update={"source": source})
    scanned = scan(recipe)
    require_rows(recipe, scanned, f"deduplication.references.{number}")
    return ReferenceReport(name=source.name, scan=scanned)


def _publish_all(
    recipe: Recipe, shards: Sequence[Shard], scanned: ScanReport, references: tuple[ReferenceReport, ...]
) -> CurateReport:
    embedded = embed_scanned(recipe, shards, scanned)
    with stage("deduplicate", items=count_searches(recipe.deduplication), done="searches are done") as bar:
        settings = recipe.deduplication
        duplicates = deduplicate(scanned, references, settings, recipe.workspace, bar.advance, embedded)
        bar.finish(str(duplicates))
    written = []
    basis = Basis(recipe, scanned, duplicates, embedded)
    target = data_schema(scanned, text=recipe.output.text is not None)
    places = (recipe.source.path, recipe.output.dir, recipe.workspace)
    writers = open_crew(write_engine(recipe.engine, recipe.output, recipe.workspace), *places)
    with exclusive(recipe.output.dir, flow_run.get_name() or recipe.title, wait=True) as held, writers as crew:
        for subset in recipe.subsets:
            with stage(f"select {subset.name}") as bar:
                selected = select(subset, basis)
                bar.finish(str(selected))
            written.append(write_subset(recipe, subset, shards, scanned, duplicates, selected, target, crew, held))
        del basis  # a gigabyte of ten million rows
        # Only now, when every row of every subset has been read: before, a shard could still turn out to be changed.
        published = tuple(publish_subset(recipe, subset, duplicates, embedded, held) for subset in written)
    return CurateReport(source=recipe.source.name, scan=scanned, deduplicate=duplicates, subsets=published)

"""The flow that brings the vectors of a source up to date, by each scorer of the recipe."""

from collections.abc import Sequence
from typing import cast

from prefect import flow, get_run_logger
from prefect.states import Completed

from flows.artifacts import ProgressArtifact
from flows.progress import stage
from flows.runner import open_crew
from flows.scan import require_rows, scan
from schemas.embedding import EmbedReport, VectorsReport
from schemas.errors import CurationError
from schemas.recipe import Recipe
from schemas.reports import ScanReport
from schemas.scorer import Scorer
from tasks.embed.part import sweep_parts
from tasks.embed.reuse import embed_report, known_vectors
from tasks.embed.stage import Scanned, embed_shards
from tasks.files import sweep
from tasks.pinning import pinned
from tasks.signals import readable_shards
from tasks.source.listing import fetch_cache, shards_of
from tasks.source.shards import Shard
from tasks.workspace import remember


class NoScorer(CurationError):
    """The recipe names no model."""


@flow(name="embed", flow_run_name="embed {recipe.source.name}", persist_result=False)
def embed(recipe: Recipe) -> tuple[EmbedReport, ...]:
    """Scan what is new of the recipe's source, and embed every shard that has no vectors by one of its scorers.

    A run that finds all vectors ends in the state "Nothing new", and loads no model.

    Raises:
        NoScorer: if the recipe names none.
        SourceError: as the flow ``scan``, and if the source is empty.
        ShardsQuarantined: if shards cannot be read and ``source.on_bad_shard`` is ``fail``; nothing is embedded.
        CheckpointNotFound, ModelUnusable: if a model cannot be had, or is none that compares pictures with texts.
        ShardUnreadable: if a shard is not what was scanned any more.
        OSError: if the workspace cannot be written.
    """
    if not recipe.scorers:
        raise NoScorer("scorers: found none; expected one model at least, as in `scorers: [{name: git-rsclip}]`")
    recipe = pinned(recipe)
    scanned = scan(recipe)
    require_rows(recipe, scanned)
    remember(recipe)
    reports = embed_scanned(recipe, shards_of(recipe), scanned)
    fetch_cache(recipe).clear()
    if not any(report.embedded for report in reports):
        message = "; ".join(f"{report.scorer}: {report}" for report in reports)
        return cast("tuple[EmbedReport, ...]", Completed(name="Nothing new", message=message, data=reports))
    return reports


def embed_scanned(recipe: Recipe, shards: Sequence[Shard], scanned: ScanReport) -> tuple[EmbedReport, ...]:
    """Embed what was scanned of ``shards``, those of ``recipe``, which is pinned, by each scorer, one after the other.

    Raises:
        ModelUnusable, ShardUnreadable, OSError: as the flow ``embed``.
    """
    if not recipe.scorers:
        return ()
    for pattern in ("vectors/*", "margins/*"):  # late: by now those of a run that was just killed are mostly gone
        for folder in recipe.workspace.glob(pattern):
            sweep(folder)
    for folder in recipe.workspace.glob("vectors/*"):
        sweep_parts(folder)
    readable = readable_shards(shards, scanned)
    return tuple(_embed(recipe, scorer, readable, scanned) for scorer in recipe.scorers)


def _embed(recipe: Recipe, scorer: Scorer, shards: Sequence[Shard], scanned: ScanReport) -> EmbedReport:
    logger = get_run_logger()
    known = known_vectors(scorer, scanned, recipe)
    new = [
        Scanned(shard, report)
        for shard, report, vectors in zip(shards, scanned.shards, known, strict=True)
        if vectors is None
    ]
    rows = sum(one.report.rows for one in new)
    name, done = f"embed by {scorer.name}", "shards are embedded"
    # Of 300 s: a CPU may take a hundred seconds for one batch of pictures with a large model.
    with stage(name, rows=rows, items=len(new), done=done, of_late=300) as bar:
        made: list[VectorsReport] = []
        if new:
            progress = ProgressArtifact(f"embed-{scorer.name}", f"{scorer.name}: groups of shards embedded")
            # One process: a model takes gigabytes, and all cores or a GPU by itself.
            engine = recipe.engine
            engine = engine.model_copy(update={"workers": 1}) if engine.kind == "local" else engine
            with open_crew(engine, recipe.source.path, recipe.workspace) as crew:
                made = crew.each(
                    embed_shards,
                    new,
                    lambda one: one.shard.name,
                    lambda one: one.report.rows,
                    *(scorer, recipe.scan, recipe.source.columns.model_dump(), recipe.workspace),
                    done=lambda report: bar.advance(rows=report.rows, item=report.shard),
                    moved=bar.move,
                    group_done=progress.move,
                )
        fresh = iter(made)
        report = embed_report(scorer, [vectors or next(fresh) for vectors in known])
        bar.finish(str(report))
    logger.info("%s: %s", scorer.name, report)
    return report

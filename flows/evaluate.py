"""The flow that asks models what labelled pictures show, and counts how often they are right."""

from prefect import flow, get_run_logger
from upath import UPath

from flows.artifacts import announce_evaluation
from flows.embed import embed_scanned
from flows.progress import stage
from flows.runner import standing_engine
from flows.scan import require_rows, scan
from schemas.evaluation import Evaluation, EvaluationReport, LabelledSet, SetResult
from schemas.recipe import Output, Recipe
from schemas.reports import ReferenceReport
from schemas.scorer import Scorer
from schemas.source import Source
from schemas.subset import Subset
from tasks.embed.checkpoint import pinned_checkpoint
from tasks.evaluate.confusion import confusion_png
from tasks.evaluate.contamination import find_copies, subset_source
from tasks.evaluate.labels import read_labels
from tasks.evaluate.stage import Embedded, classify_sets
from tasks.evaluate.table import markdown
from tasks.files import ensure_writable, write_bytes, write_text
from tasks.source.listing import fetch_cache, pin, shards_of

MARKDOWN, JSON = "evaluation.md", "evaluation.json"


@flow(name="evaluate", flow_run_name="evaluate {evaluation.title}", persist_result=False)
def evaluate(evaluation: Evaluation) -> EvaluationReport:
    """Classify the pictures of labelled sets by the words for their classes, and write tables and figures.

    Pictures are scanned and embedded as those of a recipe; what the workspace has of them is not done again.

    Raises:
        SourceError: if a data set is missing, empty, or not what is said of it.
        ShardsQuarantined: if a shard of one cannot be read.
        LabelsUnclear: if a row has no label, or one that is no class, or a class has no picture.
        NotASubset, NoPictures: if copies of pictures are looked for in what has none.
        CheckpointNotFound, ModelUnusable: if a model cannot be had, or is none that compares pictures with texts.
        OSError: if workspace or output cannot be written.
    """
    checkpoints = [pinned_checkpoint(checkpoint) for checkpoint in evaluation.checkpoints]
    evaluation = evaluation.model_copy(update={"checkpoints": checkpoints})
    ensure_writable(evaluation.output)
    subsets = [subset_source(folder) for folder in evaluation.exclude_contaminated]
    with standing_engine(evaluation.engine) as engine:
        evaluation = evaluation.model_copy(update={"engine": engine})
        references = tuple(_scan_subset(evaluation, subset) for subset in subsets)
        sets = tuple(_embed(evaluation, number, references) for number in range(len(evaluation.datasets)))
    results: list[SetResult] = []
    with stage("classify", items=len(checkpoints), done="models were asked") as bar:
        for checkpoint in checkpoints:
            results += classify_sets(checkpoint, sets)
            bar.advance()
        report = EvaluationReport(
            checkpoints=tuple(checkpoints),
            datasets=tuple(dataset.name for dataset in evaluation.datasets),
            excluded=tuple(subset.name for subset in subsets),
            results=tuple(results),
        )
        bar.finish(str(report))
    announce_evaluation(_write(report, evaluation.output))
    get_run_logger().info("%s; see %s", report, evaluation.output / MARKDOWN)
    return report


def recipe_for(evaluation: Evaluation, source: Source) -> Recipe:
    """Return the recipe by which pictures of ``source`` are measured and embedded; captions are none of them."""
    source = source.model_copy(update={"columns": source.columns.model_copy(update={"caption": ""})})
    return Recipe(
        source=source,
        scorers=[Scorer.model_validate(checkpoint.model_dump()) for checkpoint in evaluation.checkpoints],
        subsets=[Subset(name="all")],
        output=Output(dir=evaluation.output),
        workspace=evaluation.workspace,
        engine=evaluation.engine,
    )


def _scan_subset(evaluation: Evaluation, subset: Source) -> ReferenceReport:
    recipe = recipe_for(evaluation, subset)
    scanned = scan(recipe)
    require_rows(recipe, scanned, "exclude_contaminated")
    return ReferenceReport(name=subset.name, scan=scanned)


def _embed(evaluation: Evaluation, number: int, references: tuple[ReferenceReport, ...]) -> Embedded:
    dataset: LabelledSet = evaluation.datasets[number]
    recipe = recipe_for(evaluation, pin(dataset.source))
    scanned = scan(recipe)
    require_rows(recipe, scanned, f"datasets.{number}.source")
    shards = shards_of(recipe)
    labels = read_labels(dataset, shards, scanned)  # before hours of embedding
    copied = None
    if references:
        with stage(f"copies in {dataset.name}") as bar:
            copied = find_copies(scanned, references, evaluation.near, evaluation.workspace)
            bar.finish(f"{copied.sum():,} of {scanned.rows:,} rows are copies of a subset's")
    vectors = {report.scorer: report for report in embed_scanned(recipe, shards, scanned)}
    fetch_cache(recipe).clear()
    return Embedded(dataset.name, tuple(evaluation.templates_of(dataset)), labels, vectors, copied)


def _write(report: EvaluationReport, output: UPath) -> str:
    """Write tables and figures, the JSON last; return the tables as Markdown."""
    figures = {
        (result.checkpoint, result.dataset): f"confusion-{result.checkpoint}-{result.dataset}.png"
        for result in report.results
    }
    for result in report.results:
        write_bytes(output / figures[result.checkpoint, result.dataset], confusion_png(result))
    told = markdown(report, figures)
    write_text(output / MARKDOWN, told)
    write_text(output / JSON, report.model_dump_json(indent=2) + "\n")
    return told

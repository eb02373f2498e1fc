"""The tables of an evaluation: models by data sets, beside what was published, and each class apart."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.evaluation import Classified, EvaluationReport, SetResult, mean
from tasks.evaluate.published import SOURCE, published_mean
from tasks.write.markdown import inline

_NONE = "-"


class Table(NamedTuple):
    """Accuracies as they are printed: the first line is the heading, the first column says whose they are."""

    title: str
    lines: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(report: EvaluationReport) -> tuple[Table, ...]:
    """Return models by data sets with their means; the same without copies; and beside what was published."""
    found = [Table("Top-1 accuracy", _measured(report, clean=False))]
    if report.excluded:
        found.append(
            Table(
                f"Without copies of pictures of {', '.join(report.excluded)}",
                (*_measured(report, clean=True), ("pictures left out", *_copies(report), "")),
            )
        )
    known = [dataset for dataset in report.datasets if any(r.published for r in report.results if r.dataset == dataset)]
    if known:
        beside = (line for checkpoint in report.checkpoints for line in _beside(report.of(checkpoint.name), known))
        note = f"Published: {SOURCE}, found by the names of models and data sets."
        found.append(Table("Beside the published figures", (("model", *known, "mean"), *beside), note))
    return tuple(found)


def markdown(report: EvaluationReport, figures: dict[tuple[str, str], str]) -> str:
    """Return the report as a Markdown document.

    Args:
        report: the report.
        figures: file name of the confusion of each model and data set.
    """
    lines = ["# Zero-shot classification", ""]
    for table in tables(report):
        lines += [f"## {inline(table.title)}", "", *_rows(table.lines), ""]
        if table.note:
            lines += [table.note, ""]
    for dataset in report.datasets:
        results = [result for result in report.results if result.dataset == dataset]
        lines += [f"## {inline(dataset)}", "", *_about(results), "", *_rows(_per_class(results)), ""]
        for result in results:
            name = figures[result.checkpoint, dataset]
            lines += [f"![Confusion of {result.checkpoint} on {dataset}]({name})", ""]
    return "\n".join(lines).rstrip() + "\n"


def _measured(report: EvaluationReport, *, clean: bool) -> tuple[tuple[str, ...], ...]:
    lines: list[tuple[str, ...]] = [("model", *report.datasets, "mean")]
    for checkpoint in report.checkpoints:
        accuracies = [_accuracy(result, clean=clean) for result in report.of(checkpoint.name)]
        lines.append((checkpoint.name, *map(_number, accuracies), _number(mean(accuracies))))
    return tuple(lines)


def _accuracy(result: SetResult, *, clean: bool) -> float | None:
    told: Classified | None = result.clean if clean else result.every
    return None if told is None else told.accuracy


def _copies(report: EvaluationReport) -> Iterator[str]:
    # What a model can be asked about is the same for all of them: the pictures that can be decoded.
    for result in report.of(report.checkpoints[0].name):
        yield f"{result.copies:,} of {result.every.rows:,}"


def _beside(results: Sequence[SetResult], datasets: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield what was measured of a model on ``datasets``, what was published, and the difference, if there is any."""
    shown = [result for result in results if result.dataset in datasets]
    published = [result.published for result in shown]
    if all(figure is None for figure in published):
        return
    measured = [result.every.accuracy for result in shown]
    published.append(published_mean(shown[0].checkpoint, datasets))
    measured.append(mean(measured))
    yield (shown[0].checkpoint, *map(_number, measured))
    yield ("published", *map(_number, published))
    yield ("difference", *map(_difference, measured, published))


def _difference(measured: float | None, published: float | None) -> str:
    # Of the figure as it is printed: the published one has no more digits.
    return _NONE if measured is None or published is None else f"{round(measured, 2) - published:+.2f}"


def _about(results: Sequence[SetResult]) -> Iterator[str]:
    first = results[0]
    yield f"{first.every.rows:,} pictures of {len(first.every.classes)} classes."
    if first.undecodable:
        yield f"Rows without a picture that can be decoded, which count nowhere: {first.undecodable:,}."
    if first.clean is not None:
        yield f"Copies of pictures of a subset: {first.copies:,}."
    yield f"Sentences: {'; '.join(map(inline, first.templates))}"


def _per_class(results: Sequence[SetResult]) -> tuple[tuple[str, ...], ...]:
    lines = [("class", "pictures", *(result.checkpoint for result in results))]
    for number, one in enumerate(results[0].every.classes):
        accuracies = (_number(result.every.classes[number].accuracy) for result in results)
        lines.append((one.words, f"{one.rows:,}", *accuracies))
    return tuple(lines)


def _number(accuracy: float | None) -> str:
    return _NONE if accuracy is None else f"{accuracy:.2f}"


def _rows(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    heading, *rest = lines
    yield _row(heading)
    yield f"|---|{'---:|' * (len(heading) - 1)}"
    yield from map(_row, rest)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(inline, cells))} |"

"""Tables and figures of reports made by hand."""

import io
import warnings

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from subsets import HOSTILE

from schemas.evaluation import Classified, EvaluationReport, SetResult
from schemas.scorer import Checkpoint
from tasks.evaluate.confusion import confusion_png
from tasks.evaluate.table import markdown, tables


def result(checkpoint: str, dataset: str, confusion: list[list[int]], **changes: object) -> SetResult:
    names = [(str(number), f"class {number}") for number in range(len(confusion))]
    every = Classified.of(names, confusion)
    facts = {"checkpoint": checkpoint, "dataset": dataset, "rows": every.rows, "undecodable": 0, "templates": ("{}",)}
    return SetResult.model_validate(facts | {"every": every} | changes)


def report(*results: SetResult, **changes: object) -> EvaluationReport:
    checkpoints = tuple(Checkpoint(name=name) for name in dict.fromkeys(one.checkpoint for one in results))
    datasets = tuple(dict.fromkeys(one.dataset for one in results))
    facts = {"checkpoints": checkpoints, "datasets": datasets, "results": results}
    return EvaluationReport.model_validate(facts | changes)


def test_models_by_data_sets_with_their_means() -> None:
    [table] = tables(
        report(
            result("a", "one", [[3, 1], [0, 4]]),
            result("a", "two", [[1, 1], [1, 1]]),
            result("b", "one", [[4, 0], [0, 4]]),
            result("b", "two", [[2, 0], [0, 2]]),
        )
    )
    assert table.lines == (
        ("model", "one", "two", "mean"),
        ("a", "0.88", "0.50", "0.69"),
        ("b", "1.00", "1.00", "1.00"),
    )


def test_without_copies_and_how_many_were_left_out() -> None:
    clean = Classified.of([("0", "class 0"), ("1", "class 1")], [[1, 1], [0, 4]])
    gone = Classified.of([("0", "class 0"), ("1", "class 1")], [[0, 0], [0, 0]])
    _, table = tables(
        report(
            result("a", "one", [[3, 1], [0, 4]], copies=2, clean=clean),
            result("a", "two", [[2, 0], [0, 2]], copies=4, clean=gone),
            excluded=("high-quality",),
        )
    )
    assert table.title == "Without copies of pictures of high-quality"
    assert table.lines[1:] == (("a", "0.83", "-", "-"), ("pictures left out", "2 of 8", "4 of 4", ""))


def test_beside_the_published_stand_only_those_that_were() -> None:
    _, table = tables(
        report(
            result("git-rsclip", "whurs19", [[9, 1], [0, 10]], published=0.94),
            result("git-rsclip", "mine", [[1, 1], [1, 1]]),
            result("b", "whurs19", [[9, 1], [0, 10]]),
            result("b", "mine", [[1, 1], [1, 1]]),
        )
    )
    assert table.lines == (
        ("model", "whurs19", "mean"),
        ("git-rsclip", "0.95", "0.95"),
        ("published", "0.94", "0.94"),
        ("difference", "+0.01", "+0.01"),
    )
    assert "https://" in table.note


def test_the_document_has_each_class_and_lets_no_label_break_out() -> None:
    names = [("0", HOSTILE), ("1", "pier")]
    every = Classified.of(names, [[3, 1], [0, 4]])
    one = result("a", "one", [[3, 1], [0, 4]], every=every, undecodable=1, rows=9, templates=("a picture of {}",))
    text = markdown(report(one), {("a", "one"): "confusion.png"})
    assert "| pier | 4 | 1.00 |" in text
    assert "8 pictures of 2 classes" in text
    assert "Sentences: a picture of {}" in text
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.count("<table>") == 2
    assert html.count("<tr>") == 2 + 3
    assert html.count("<img") == 1
    assert not {"<script", "<b>"} & set(html.split())
    assert "javascript:y" not in "".join(part.split('"')[0] for part in html.split('href="')[1:])


@pytest.mark.parametrize("classes", [2, 45])
def test_a_confusion_is_a_picture_the_same_each_time(classes: int) -> None:
    matrix = np.random.default_rng(0).integers(0, 9, (classes, classes))
    matrix[0] = 0  # a class whose pictures are all copies
    names = [(str(number), f"${HOSTILE} {number}") for number in range(classes)]
    every = Classified.of(names, matrix.tolist())
    one = result("a", "one", matrix.tolist(), every=every)
    made = confusion_png(one)
    assert made == confusion_png(one)
    with Image.open(io.BytesIO(made)) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 400
        assert max(picture.size) < 3_000


def named(*words: str) -> bytes:
    matrix = [[3, 1], [0, 4]]
    every = Classified.of([(str(number), told) for number, told in enumerate(words)], matrix)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return confusion_png(result("a", "one", matrix, every=every))


def test_words_that_the_font_cannot_draw_are_told_by_the_number_of_their_class() -> None:
    assert named("森林", "pier") == named("草地", "pier")
    assert len({named("森林", "pier"), named("pier", "森林"), named("лес", "pier"), named("forêt", "pier")}) == 4

"""Evaluations as people write them, and reports that have to add up."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.evaluation import Classified, Evaluation, EvaluationReport, SetResult, Tally
from schemas.scorer import Checkpoint

NAMES = [("0", "pier"), ("1", "airport")]


def evaluation(**changes: Any) -> Evaluation:
    told = {
        "checkpoints": [{"name": "a", "model": "m"}],
        "datasets": [{"name": "one", "source": {"path": "p", "name": "One"}}],
        "workspace": "w",
        "output": "o",
    }
    return Evaluation.model_validate(told | changes)


def test_a_source_is_files_and_labels_are_text_if_nothing_is_said() -> None:
    [dataset] = evaluation(
        datasets=[{"name": "one", "source": {"path": "p", "name": "One"}, "classes": {0: "pier"}}]
    ).datasets
    assert (dataset.source.kind, dataset.classes) == ("files", {"0": "pier"})
    assert evaluation().templates_of(dataset) == ["a satellite image of {}."]
    assert evaluation().title == "a on one"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"templates": ["a picture"]}, "found 'a picture' with 0 places for the class; expected {} once"),
        ({"templates": ["{} and {}"]}, "with 2 places"),
        ({"templates": []}, "at least 1 item"),
        ({"datasets": []}, "at least 1 item"),
        ({"checkpoints": [{"name": "a"}, {"name": "a"}]}, "checkpoints: every name must be used once; repeated: a"),
        (
            {"datasets": [{"name": "one", "source": {"path": "p", "name": "One"}, "templates": ["none"]}]},
            "found 'none' with 0 places",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        evaluation(**changes)
    assert told in str(refused.value)


def result(confusion: list[list[int]], **changes: Any) -> SetResult:
    every = Classified.of(NAMES, confusion)
    facts = {"checkpoint": "a", "dataset": "one", "rows": every.rows, "undecodable": 0, "templates": ("{}",)}
    return SetResult(**(facts | {"every": every} | changes))


def test_a_matrix_is_counted_by_class() -> None:
    told = Classified.of(NAMES, [[3, 1], [0, 4]])
    assert (told.rows, told.correct, told.accuracy) == (8, 7, 7 / 8)
    assert [(one.words, one.rows, one.correct, one.accuracy) for one in told.classes] == [
        ("pier", 4, 3, 0.75),
        ("airport", 4, 4, 1.0),
    ]
    assert Classified.of(NAMES, [[0, 0], [0, 0]]).accuracy is None


def test_what_does_not_add_up_is_no_report() -> None:
    told = Classified.of(NAMES, [[3, 1], [0, 4]])
    with pytest.raises(ValidationError, match="9 told right, of 8"):
        Tally(rows=8, correct=9, accuracy=1.0)
    with pytest.raises(ValidationError, match=r"accuracy 1\.0, of 7 told right of 8"):
        Tally(rows=8, correct=7, accuracy=1.0)
    for changes in (
        {"confusion": ((3, 1), (1, 3))},
        {"confusion": ((4, 1), (0, 4))},
        {"confusion": ((3, 1),)},
        {"rows": 9, "accuracy": 7 / 9},
    ):
        with pytest.raises(ValidationError):
            Classified.model_validate(told.model_dump() | changes)
    with pytest.raises(ValidationError, match="8 pictures and 1 undecodable, of 8"):
        result([[3, 1], [0, 4]], undecodable=1)
    with pytest.raises(ValidationError, match="2 copies of 8 pictures, which leave 6"):
        result([[3, 1], [0, 4]], copies=2, clean=told)
    assert result([[3, 1], [0, 4]], copies=2, clean=Classified.of(NAMES, [[3, 1], [0, 2]])).copies == 2


def test_a_report_has_a_result_of_each_model_and_data_set() -> None:
    facts = {"checkpoints": (Checkpoint(name="a"),), "datasets": ("one", "two")}
    both = (result([[3, 1], [0, 4]]), result([[1, 1], [1, 1]], dataset="two"))
    report = EvaluationReport(**facts, results=both)
    assert str(report) == "mean top-1 accuracy over 2 data sets: a 0.69"
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(ValidationError, match="expected results of"):
        EvaluationReport(**facts, results=both[:1])

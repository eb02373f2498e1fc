"""Zero-shot classification: which models are asked about which labelled pictures, and how many they tell right."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from schemas.base import Location, Model, require_distinct
from schemas.recipe import Engine, NearDuplicates
from schemas.scorer import Checkpoint
from schemas.source import Source, with_kind
from schemas.subset import SafeName


def _with_one_place(template: str) -> str:
    if (found := template.count("{}")) != 1:
        raise ValueError(f"found {template!r} with {found} places for the class; expected {{}} once")
    return template


Template = Annotated[str, AfterValidator(_with_one_place)]
"""A sentence about a picture, ``{}`` where the class stands."""

Words = Annotated[str, Field(min_length=1, pattern=r"\S")]

ClassWords = dict[str, Words] | list[Words]
"""The words for each label; of a list for the labels 0, 1, 2 and so on."""


class LabelledSet(Model):
    """Pictures of which somebody has said what they show."""

    name: SafeName = Field(description="What tables and files call it.", examples=["whurs19"])
    source: Source = Field(
        description="Where the pictures come from, as in a recipe; a folder with one for each class too."
    )
    label: str | None = Field(
        None,
        min_length=1,
        description="The column with the label; null: `label` or `cls`, of class folders the folder.",
    )
    classes: ClassWords | Location | None = Field(
        None,
        description="What each label is called in a sentence: a mapping of labels to words, a list of words for the "
        "labels 0, 1, 2, …, or a YAML or JSON file with either; null: the labels' own words, `baseball_field` being "
        "baseball field.",
    )
    templates: list[Template] | None = Field(
        None, min_length=1, description="Sentences for this set alone; null: those of all."
    )

    @field_validator("source", mode="before")
    @classmethod
    def _files_by_default(cls, source: Any) -> Any:
        return with_kind(source)

    @field_validator("classes", mode="before")
    @classmethod
    def _labels_as_text(cls, classes: Any) -> Any:
        return labels_as_text(classes)


def labels_as_text(classes: Any) -> Any:
    """Return what a person wrote for classes with whole numbers that label them as text: YAML reads `3: pier` so."""
    if not isinstance(classes, dict):
        return classes
    return {str(label) if type(label) is int else label: words for label, words in classes.items()}


class Evaluation(Model):
    """The parameters of ``evaluate``: every model is asked about every picture of every data set."""

    checkpoints: list[Checkpoint] = Field(min_length=1, description="The models; install git10m[clip].")
    datasets: list[LabelledSet] = Field(min_length=1, description="The labelled pictures.")
    templates: list[Template] = Field(
        default_factory=lambda: ["a satellite image of {}."],
        min_length=1,
        description="Sentences that the class is put into; of several the mean of the vectors counts.",
    )
    exclude_contaminated: list[Location] = Field(
        default_factory=list,
        description="Folders of subsets that a model was trained on: results are told without the pictures that are "
        "copies of theirs, too.",
    )
    near: NearDuplicates | None = Field(
        default_factory=NearDuplicates, description="When a picture is a copy, equal bytes aside; null: only then."
    )
    workspace: Location = Field(
        description="Folder for signals and vectors, kept and reused, which recipes may share: a local path or a URL."
    )
    output: Location = Field(description="Folder for tables and figures: a local path or a URL.")
    engine: Engine = Field(default_factory=Engine, description="What the run may use.")

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        for what, named in (("checkpoints", self.checkpoints), ("datasets", self.datasets)):
            require_distinct(what, (one.name for one in named))
        return self

    @property
    def title(self) -> str:
        """Which models are asked about what, as in ``git-rsclip on whurs19, rsc11``."""
        models, sets = (", ".join(one.name for one in named) for named in (self.checkpoints, self.datasets))
        return f"{models} on {sets}"

    def templates_of(self, dataset: LabelledSet) -> list[str]:
        """Return the sentences that a data set's classes are put into."""
        return list(dataset.templates or self.templates)


class Tally(Model):
    """Pictures whose class is known, and of how many it was told right."""

    rows: NonNegativeInt = Field(description="Pictures.")
    correct: NonNegativeInt = Field(description="Pictures whose class was told right.")
    accuracy: float | None = Field(description="Top-1 accuracy [0..1]; null of no picture.")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.correct > self.rows:
            raise ValueError(f"{self.correct} told right, of {self.rows}")
        if self.accuracy != part_of(self.correct, self.rows):
            raise ValueError(f"accuracy {self.accuracy}, of {self.correct} told right of {self.rows}")
        return self


def part_of(correct: int, rows: int) -> float | None:
    """Return ``correct`` of ``rows`` [0..1]; None of none."""
    return correct / rows if rows else None


class ClassTally(Tally):
    """The pictures of one class."""

    label: str = Field(description="As the data set has it.")
    words: str = Field(description="As it stood in the sentences.")


class Classified(Tally):
    """What each picture of a data set was taken for."""

    classes: tuple[ClassTally, ...]
    confusion: tuple[tuple[NonNegativeInt, ...], ...] = Field(
        description="Pictures by class, a line each, and by the class that they were taken for, a column each."
    )

    @classmethod
    def of(cls, names: Sequence[tuple[str, str]], confusion: Sequence[Sequence[int]]) -> Self:
        """Return the tally of a confusion matrix; ``names`` are label and words of each class."""
        tallies = []
        for number, ((label, words), line) in enumerate(zip(names, confusion, strict=True)):
            rows, right = sum(line), line[number]
            tallies.append(
                ClassTally(rows=rows, correct=right, accuracy=part_of(right, rows), label=label, words=words)
            )
        rows, right = sum(one.rows for one in tallies), sum(one.correct for one in tallies)
        return cls(
            rows=rows,
            correct=right,
            accuracy=part_of(right, rows),
            classes=tuple(tallies),
            confusion=tuple(tuple(line) for line in confusion),
        )

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        sides = {len(self.classes), len(self.confusion), *map(len, self.confusion)}
        if len(sides) != 1:
            raise ValueError(f"a confusion matrix of {len(self.confusion)} lines, of {len(self.classes)} classes")
        for number, (one, line) in enumerate(zip(self.classes, self.confusion, strict=True)):
            if (one.rows, one.correct) != (sum(line), line[number]):
                raise ValueError(f"{one.label}: {one.correct} of {one.rows} told right; the matrix has {line}")
        told = (sum(one.rows for one in self.classes), sum(one.correct for one in self.classes))
        if told != (self.rows, self.correct):
            raise ValueError(f"{self.correct} of {self.rows} told right; the classes have {told[1]} of {told[0]}")
        return self


class SetResult(Model):
    """What one model told of one data set."""

    checkpoint: str = Field(description="The model's name.")
    dataset: str = Field(description="The data set's name.")
    rows: PositiveInt = Field(description="Rows of the data set.")
    undecodable: NonNegativeInt = Field(description="Rows without a picture that can be decoded, which count nowhere.")
    templates: tuple[str, ...] = Field(description="The sentences that the classes stood in.")
    every: Classified = Field(description="All pictures.")
    copies: NonNegativeInt = Field(0, description="Pictures that are copies of a subset's.")
    clean: Classified | None = Field(None, description="The pictures without copies; null where none were looked for.")
    published: float | None = Field(None, description="The accuracy that was published of this model and data set.")

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        where = f"{self.checkpoint} on {self.dataset}"
        if self.every.rows + self.undecodable != self.rows:
            raise ValueError(f"{where}: {self.every.rows} pictures and {self.undecodable} undecodable, of {self.rows}")
        clean = self.every.rows - self.copies
        if (self.clean.rows if self.clean is not None else self.every.rows) != clean:
            raise ValueError(f"{where}: {self.copies} copies of {self.every.rows} pictures, which leave {clean}")
        return self


class EvaluationReport(Model):
    """What every model told of every data set."""

    checkpoints: tuple[Checkpoint, ...] = Field(description="The models, pinned.")
    datasets: tuple[str, ...] = Field(description="Names of the data sets.")
    excluded: tuple[str, ...] = Field((), description="Names of the subsets whose pictures were looked for.")
    results: tuple[SetResult, ...] = Field(description="For each model each data set, both in this order.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        expected = [(checkpoint.name, dataset) for checkpoint in self.checkpoints for dataset in self.datasets]
        if [(result.checkpoint, result.dataset) for result in self.results] != expected:
            raise ValueError(f"expected results of {expected}")
        return self

    def of(self, checkpoint: str) -> tuple[SetResult, ...]:
        """Return what one model told, a result for each data set."""
        return tuple(result for result in self.results if result.checkpoint == checkpoint)

    def __str__(self) -> str:
        """Return the mean accuracy of each model, in words."""
        means = [
            (checkpoint.name, mean([result.every.accuracy for result in self.of(checkpoint.name)]))
            for checkpoint in self.checkpoints
        ]
        told = ", ".join(f"{name} {'none' if value is None else f'{value:.2f}'}" for name, value in means)
        return f"mean top-1 accuracy over {len(self.datasets)} data sets: {told}"


def mean(accuracies: Sequence[float | None]) -> float | None:
    """Return the mean over data sets, each of the same weight; None where one has none."""
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    return sum(known) / len(known) if known and len(known) == len(accuracies) else None


def words_of(label: str) -> str:
    """Return a label as it stands in a sentence.

    >>> words_of("baseball_field"), words_of("DenseResidential"), words_of("storage-tanks")
    ('baseball field', 'dense residential', 'storage tanks')
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label)
    return " ".join(re.sub(r"[_\-\s]+", " ", apart).lower().split())

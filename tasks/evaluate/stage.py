"""Classify as Prefect sees it: one task run for each model, which is loaded once for all data sets."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prefect import task

from schemas.embedding import EmbedReport
from schemas.evaluation import Classified, SetResult
from schemas.scorer import Checkpoint
from tasks.embed.model import Embedder, load_embedder
from tasks.embed.vectors import vectors_in_pieces
from tasks.evaluate.labels import Labels
from tasks.evaluate.published import published_accuracy
from tasks.evaluate.zero_shot import class_vectors, classify, confusion
from tasks.options import STAGE


class Embedded(NamedTuple):
    """A data set, its pictures embedded by each model."""

    name: str
    templates: tuple[str, ...]
    labels: Labels
    vectors: dict[str, EmbedReport]  # by the model's name
    copied: NDArray[np.bool_] | None  # rows that are copies of a subset's; None where none were looked for


@task(
    name="classify",
    task_run_name="classify by {checkpoint.name}",
    **STAGE,
)
def classify_sets(checkpoint: Checkpoint, sets: tuple[Embedded, ...]) -> tuple[SetResult, ...]:
    """Return what a model, pinned, tells of each of ``sets``, whose pictures it has embedded.

    Raises:
        ModelUnusable: as :func:`tasks.embed.model.load_embedder`.
    """
    embedder = load_embedder(checkpoint)
    return tuple(_classify(checkpoint.name, embedder, one) for one in sets)


def _classify(checkpoint: str, embedder: Embedder, dataset: Embedded) -> SetResult:
    classes = dataset.labels.classes
    sentences = [template.replace("{}", words) for _, words in classes for template in dataset.templates]
    prompts = embedder.texts(sentences).reshape(len(classes), len(dataset.templates), -1)
    towards = class_vectors(prompts)
    told, seen = np.zeros(len(dataset.labels.truth), np.int64), np.zeros(len(dataset.labels.truth), np.bool_)
    for rows, vectors, present in vectors_in_pieces(dataset.vectors[checkpoint], "image"):
        told[rows], seen[rows] = classify(vectors, towards), present

    def classified(among: NDArray[np.bool_]) -> Classified:
        matrix = confusion(dataset.labels.truth[among], told[among], len(classes))
        return Classified.of(classes, matrix.tolist())

    return SetResult(
        checkpoint=checkpoint,
        dataset=dataset.name,
        rows=len(told),
        undecodable=int((~seen).sum()),
        templates=dataset.templates,
        every=classified(seen),
        copies=0 if dataset.copied is None else int((seen & dataset.copied).sum()),
        clean=None if dataset.copied is None else classified(seen & ~dataset.copied),
        published=published_accuracy(checkpoint, dataset.name),
    )

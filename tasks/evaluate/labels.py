"""The labels of a data set, read from its source, and the words for each class."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from upath import UPath

from schemas.errors import CurationError
from schemas.evaluation import ClassWords, LabelledSet, labels_as_text, words_of
from schemas.reports import ScanReport
from tasks.signals import first_row_ids, readable_shards
from tasks.source.columns import check_column, text_column
from tasks.source.read import read_batches, read_schema
from tasks.source.shards import Shard, ShardUnreadable

_BY_ITSELF = ("label", "cls")
_FILE = "file_name"  # of the picture, in image folders
_SHOWN = 5


class LabelsUnclear(CurationError):
    """The labels of a data set, or the words for its classes, are not what they should be."""


class Labels(NamedTuple):
    """What each row of a data set shows."""

    truth: NDArray[np.int64]  # shape (rows,): positions in `classes`
    classes: tuple[tuple[str, str], ...]  # label and words


def read_labels(dataset: LabelledSet, shards: Sequence[Shard], scan: ScanReport) -> Labels:
    """Return the label of every row of ``scan``, and the classes that there are.

    Args:
        dataset: which column has the labels, and what they are called.
        shards: of its source.
        scan: what was scanned of it.

    Raises:
        LabelsUnclear: if a row has no label, or one that is none of the classes; if a class has no picture, or the same
            words as another.
        ShardUnreadable: if a shard is not what was scanned any more.
    """
    words = _read_words(dataset)
    readable = readable_shards(shards, scan)
    labels = pa.concat_arrays(
        [
            _shard_labels(dataset, shard, report.rows, named=not isinstance(words, list))
            for shard, report in zip(readable, scan.shards, strict=True)
        ]
    )
    classes = _classes(dataset, words, labels)
    found = pc.index_in(labels, value_set=pa.array([label for label, _ in classes], pa.string()))
    if found.null_count:
        row_id = pc.index(found.is_null(), True).as_py()
        shard = int(np.searchsorted(first_row_ids(scan), row_id, "right")) - 1
        place = _place(readable[shard], int(row_id - first_row_ids(scan)[shard]))
        told = "no label" if labels[row_id].as_py() is None else repr(labels[row_id].as_py())
        raise LabelsUnclear(f"{dataset.name}: {place}: found {told}, expected {_listed([name for name, _ in classes])}")
    truth = found.to_numpy().astype(np.int64)
    counts = np.bincount(truth, minlength=len(classes))
    if empty := [classes[number][0] for number in np.flatnonzero(counts == 0).tolist()]:
        told = f"no picture has the label {_listed(empty)}; expected classes that there are pictures of"
        raise LabelsUnclear(f"{dataset.name}: classes: {told}")
    return Labels(truth, classes)


def _read_words(dataset: LabelledSet) -> ClassWords | None:
    if not isinstance(dataset.classes, UPath):
        return dataset.classes
    where = f"{dataset.name}: classes: {dataset.classes}"
    try:
        told = YAML(typ="safe", pure=True).load(dataset.classes.read_text(encoding="utf-8"))
        found: ClassWords = TypeAdapter(ClassWords).validate_python(labels_as_text(told))
    except OSError as error:
        raise LabelsUnclear(f"{where}: {error.strerror or error}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise LabelsUnclear(f"{where}: neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        raise LabelsUnclear(f"{where}: expected a mapping of labels to words, or a list of words") from error
    return found


def _shard_labels(dataset: LabelledSet, shard: Shard, rows: int, *, named: bool) -> pa.StringArray:
    """Return the label of each of the first ``rows`` of a shard; a number, if it is ``named``, by its name."""
    schema = read_schema(shard, in_place=True)
    column = dataset.label or next((name for name in _BY_ITSELF if name in schema.names), None)
    if column is None:
        told = f"found {', '.join(schema.names)}; expected label or cls, or its name in `label`"
        raise LabelsUnclear(f"{dataset.name}: {shard.name}: no column holds the label: {told}")
    try:
        check_column(schema, "the label", column)
    except ShardUnreadable as error:
        raise LabelsUnclear(f"{dataset.name}: {shard.name}: {error}") from error
    parts, missing = [], rows
    for batch in read_batches(shard, [column.split(".")[0]], in_place=True):
        parts.append(pc.utf8_trim_whitespace(text_column(batch, column))[:missing])
        missing -= len(parts[-1])
        if not missing:
            break
    if missing:
        raise ShardUnreadable(f"no row {rows - missing}; it had {rows} when it was scanned", shard.name)
    labels = pa.concat_arrays(parts) if parts else pa.array([], pa.string())
    labels = pc.if_else(pc.equal(labels, ""), None, labels)
    names = _names(schema, column)
    if named and names:
        numbers = pc.index_in(labels, value_set=pa.array([str(number) for number in range(len(names))]))
        labels = pc.coalesce(pa.array(names, pa.string()).take(numbers), labels)
    return labels


def _place(shard: Shard, row: int) -> str:
    """Return where a person finds a row: its shard, its position and, if that is told, the picture's file."""
    place = f"{shard.name}: row {row}"
    with suppress(ShardUnreadable):  # most have no such column
        check_column(read_schema(shard, in_place=True), "the picture's file", _FILE)
        for batch in read_batches(shard, [_FILE], in_place=True):
            if row < batch.num_rows:
                return f"{place}, {text_column(batch, _FILE)[row]}"
            row -= batch.num_rows
    return place


def _names(schema: pa.Schema, column: str) -> list[str]:
    """Return the names that ``datasets`` has noted for the numbers in a column; none if there are none."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
        return [str(name) for name in names]
    except (KeyError, TypeError, ValueError):
        return []


def _classes(dataset: LabelledSet, words: ClassWords | None, labels: pa.StringArray) -> tuple[tuple[str, str], ...]:
    if words is None:
        found = sorted(labels.unique().drop_null().to_pylist())
        if found and all(label.lstrip("-").isdecimal() for label in found):
            told = f"found the numbers {_listed(found)}; expected words for them in `classes`"
            raise LabelsUnclear(f"{dataset.name}: the labels have no names: {told}")
        words = {label: words_of(label) or label for label in found}
    pairs = words.items() if isinstance(words, dict) else ((str(number), told) for number, told in enumerate(words))
    classes = tuple((label, " ".join(told.split())) for label, told in pairs)
    if repeated := [told for told, times in Counter(told for _, told in classes).items() if times > 1]:
        alike = _listed([label for label, told in classes if told == repeated[0]])
        raise LabelsUnclear(
            f"{dataset.name}: classes: {alike} are all called {repeated[0]!r}; expected different words"
        )
    if len(classes) < 2:
        told = f"found {_listed([label for label, _ in classes]) or 'none'}; expected two classes or more"
        raise LabelsUnclear(f"{dataset.name}: {told}")
    return classes


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more

"""Look at a source without scanning it: its listing, and some rows from shards spread over it."""

import io
import warnings
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from schemas.inspection import Bin, ColumnFacts, InspectReport
from schemas.recipe import ImageFormat
from schemas.source import Source
from schemas.tables import FACT_COLUMNS
from tasks.scan.containers import sniff
from tasks.scan.facts import read_facts
from tasks.source.again import count_rows
from tasks.source.columns import IMAGE, FactColumns, Layout, facts, images, resolve
from tasks.source.listing import list_shards, pin
from tasks.source.places.fetch import FetchCache
from tasks.source.read import read_batches, read_schema
from tasks.source.shards import Shard, ShardUnreadable, shard_size

SHARDS = 4
"""Shards that are looked at, spread evenly: Git-10M is sorted by zoom and place, so its first rows tell little."""

ROWS = 2_500
"""Rows that are looked at in a shard, rounded up to whole batches; of one that lies elsewhere, one batch."""

SAMPLES = 5
_BINS = 10
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FORMATS = get_args(ImageFormat)


class _Look(NamedTuple):
    """Some rows of one shard."""

    shard: Shard
    schema: pa.Schema
    layout: Layout
    batches: list[pa.RecordBatch]
    facts: list[FactColumns]
    signals: list[dict[str, pa.Array]]  # beside each of the batches: what a scan would say of its facts
    whole: bool  # no row of the shard is left


def inspect_source(source: Source, fetched: FetchCache) -> InspectReport:
    """Return what ``source`` is, from its listing and a few thousand of its rows.

    Shards that lie elsewhere are read in place where their format allows it; of others, one is fetched.

    Raises:
        SourceError: if there is no such source, or its layout is not clear.
    """
    source = pin(source)
    shards = list_shards(source, fetched)
    looks: list[_Look] = []
    problems: list[str] = []
    for shard in _spread(shards):
        look = _look(shard, source.columns.model_dump(), problems)
        if look is not None:
            looks.append(look)
    rows, exact = _rows(shards, looks)
    values = _values(looks)
    samples = list(_samples(looks))
    present = {fact for look in looks for fact, column in look.layout._asdict().items() if column is not None}
    return InspectReport(
        source=source.path,
        format=source.format or shards[0].format,
        revision=source.revision,
        shards=len(shards),
        byte_length=sum(map(shard_size, shards)),
        rows=rows,
        rows_exact=exact,
        seen_rows=sum(batch.num_rows for look in looks for batch in look.batches),
        seen_shards=len(looks),
        columns=_columns(looks),
        absent=tuple(fact for fact in (IMAGE, *FACT_COLUMNS) if fact not in present) if looks else (),
        histograms=_histograms(values),
        quantiles={name: _quantiles(values[name]) for name in ("quality", "caption words")},
        samples=tuple(sample for sample, _ in samples),
        opened=sum(size is not None for _, size in samples),
        image_sizes=tuple(dict.fromkeys(size for _, size in samples if size is not None)),
        problems=tuple(problems),
    )


def _spread(shards: tuple[Shard, ...]) -> list[Shard]:
    elsewhere = shards[0].remote is not None
    count = 1 if elsewhere and shards[0].format == "webdataset" else 2 if elsewhere else SHARDS
    places = np.unique(np.linspace(0, len(shards) - 1, min(count, len(shards))).round().astype(int))
    return [shards[place] for place in places.tolist()]


def _look(shard: Shard, wanted: dict[str, str | None], problems: list[str]) -> _Look | None:
    batches: list[pa.RecordBatch] = []
    try:
        schema = read_schema(shard, in_place=True)
        layout = resolve(schema, wanted, images=False)
        try:
            layout = resolve(schema, wanted, images=wanted[IMAGE] != "")
        except ShardUnreadable as error:
            problems.append(f"{shard.name}: {error}")
        # By ranges, a column of images is as much as the whole; a mapped file's images are not touched.
        columns = layout._replace(image=None).names() if shard.format == "parquet" and shard.remote else None
        with closing(read_batches(shard, columns, in_place=True)) as rest:
            for batch in rest:
                batches.append(batch)
                if shard.remote or sum(map(len, batches)) >= ROWS:
                    break
            whole = shard.remote is None and next(rest, None) is None
    except (ShardUnreadable, OSError) as error:
        problems.append(str(error))
        if not batches:
            return None
        whole = False
    read = [facts(batch, layout) for batch in batches]
    signals = [read_facts(batch, layout).columns for batch in batches]
    return _Look(shard, schema, layout, batches, read, signals, whole)


def _rows(shards: tuple[Shard, ...], looks: list[_Look]) -> tuple[int, bool]:
    """Return the rows of all shards, and whether they were counted; if not, they are reckoned from those seen."""
    if shards[0].remote is None and shards[0].format in ("arrow", "parquet"):
        counts = [count_rows(shard) for shard in shards]
        return sum(count or 0 for count in counts), None not in counts
    seen = sum(batch.num_rows for look in looks for batch in look.batches)
    seen_bytes = sum(batch.nbytes for look in looks for batch in look.batches)
    exact = len(looks) == len(shards) and all(look.whole for look in looks)
    if shards[0].format == "parquet":  # the images were not read: rows and bytes are those of whole shards
        seen = sum(count_rows(look.shard) or 0 for look in looks)
        seen_bytes = sum(shard_size(look.shard) for look in looks)
        exact = len(looks) == len(shards)
    if exact or not seen_bytes:
        return seen, exact
    return round(sum(map(shard_size, shards)) * seen / seen_bytes), False


def _columns(looks: list[_Look]) -> tuple[ColumnFacts, ...]:
    found: dict[str, ColumnFacts] = {}
    for look in looks:
        used = {column.split(".")[0]: fact for fact, column in look.layout._asdict().items() if column is not None}
        for field in look.schema:
            nulls = sum(_nulls(batch, field.name, look.layout) for batch in look.batches)
            known = found.get(field.name)
            found[field.name] = ColumnFacts(
                name=field.name,
                dtype=str(field.type)
                if known is None or known.dtype == str(field.type)
                else f"{known.dtype}, {field.type}",
                nulls=nulls + (known.nulls if known else 0),
                fact=used.get(field.name),
            )
    return tuple(found.values())


def _nulls(batch: pa.RecordBatch, name: str, layout: Layout) -> int:
    if name not in batch.schema.names:
        return 0
    if name == layout.image:
        return int(images(batch, layout).null_count)
    return int(batch.column(batch.schema.get_all_field_indices(name)[0]).null_count)


def _values(looks: list[_Look]) -> dict[str, NDArray[np.float64]]:
    """Return the zooms, scores and word counts of the rows that have them."""
    signals = [look.signals for look in looks]
    zoom, quality, words = (
        np.concatenate([_finite(column[name]) for columns in signals for column in columns] or [np.empty(0)])
        for name in ("z", "img_quality_score", "caption_words")
    )
    if not any(look.layout.caption for look in looks):
        words = np.empty(0)
    return {"zoom": zoom, "quality": quality, "caption words": words}


def _histograms(values: dict[str, NDArray[np.float64]]) -> dict[str, tuple[Bin, ...]]:
    zoom = values["zoom"]
    return {
        "zoom": tuple(Bin(low=level, high=level, rows=int((zoom == level).sum())) for level in np.unique(zoom)),
        "quality": _bins(values["quality"]),
        "caption words": _bins(values["caption words"]),
    }


def _quantiles(values: NDArray[np.float64]) -> dict[float, float]:
    """Return values that rows have, none in between."""
    if not len(values):
        return {}
    return dict(zip(_QUANTILES, np.quantile(values, _QUANTILES, method="inverted_cdf").tolist(), strict=True))


def _finite(column: pa.Array) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.drop_null().cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values[np.isfinite(values)]


def _bins(values: NDArray[np.float64]) -> tuple[Bin, ...]:
    if not len(values):
        return ()
    edges = np.histogram_bin_edges(values, bins=min(_BINS, max(1, len(np.unique(values)))))
    counts, _ = np.histogram(values, edges)
    return tuple(Bin(low=a, high=b, rows=n) for a, b, n in zip(edges, edges[1:], counts.tolist(), strict=False))


def _samples(looks: list[_Look]) -> Iterator[tuple[dict[str, str], tuple[int, int] | None]]:
    """Yield rows in turn from each shard that was looked at, the middle ones first: no row is first for a reason.

    Beside each its picture's width and height, if it has one that can be opened.
    """
    places = [(look, at) for look in looks for at in range(len(look.batches)) if look.batches[at].num_rows]
    for number in range(SAMPLES if places else 0):
        look, at = places[number * max(1, len(places) // SAMPLES) % len(places)]
        batch, found = look.batches[at], look.facts[at]
        row = (batch.num_rows * (2 * number + 1)) // (2 * SAMPLES)
        picture, size = _picture(batch.slice(row, 1), look.layout)
        sample = {"shard": look.shard.name, IMAGE: picture}
        sample |= {fact: str(column[row].as_py()) for fact, column in found.columns.items()}
        yield sample, size


def _picture(row: pa.RecordBatch, layout: Layout) -> tuple[str, tuple[int, int] | None]:
    """Return what a row's picture is, in words, and its width and height."""
    if layout.image is None or layout.image.split(".")[0] not in row.schema.names:
        return "not read", None
    [data] = images(row, layout).to_pylist()
    if not data:
        return "none", None
    head = f"{sniff(memoryview(data)) or 'unknown'}, {len(data):,} bytes"
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            return f"{head}, {picture.width} x {picture.height} {picture.mode}", picture.size
    except Exception:  # a header of hostile bytes raises nearly anything, and this is only a look
        return f"{head}, unreadable", None

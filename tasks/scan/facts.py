"""The facts of a record batch, column by column; the row contract is asked only about rows that look wrong."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.captions import SUSPECT_OPENINGS
from schemas.reasons import Reason
from schemas.row import MAX_ZOOM, TILE_PATTERN, breaches
from tasks import tiles
from tasks.scan.texts import Captions, filled, read_captions, text_hashes
from tasks.source.columns import FactColumns, Layout, facts


class Facts(NamedTuple):
    """Signals from a batch's facts, and what is wrong with them."""

    columns: dict[str, pa.Array]  # by name in schemas.tables.SIGNALS; null where the source has no column
    breaches: dict[int, dict[Reason, str]]  # by row of the batch; good rows are absent


class _Tiles(NamedTuple):
    """Where n pictures were taken; 0 where a mask is false."""

    z: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    placed: NDArray[np.bool_]  # the row names a tile that exists
    zoomed: NDArray[np.bool_]  # z is known: by the tile, or by the level in front of the caption


def read_identity(batch: pa.RecordBatch, layout: Layout) -> dict[str, pa.Array]:
    """Return what names each row of ``batch``, as its signals do: ``img_name``, ``z``, ``x`` and ``y``."""
    read = facts(batch, layout)
    return _identity(read, _locate(read, batch.num_rows), batch.num_rows)


def _identity(read: FactColumns, where: _Tiles, rows: int) -> dict[str, pa.Array]:
    unplaced = ~where.placed
    return {
        "img_name": _column(read, "img_name", rows, pa.string()),
        "z": pa.array(where.z.astype(np.int8), mask=~where.zoomed),
        "x": pa.array(where.x.astype(np.int32), mask=unplaced),
        "y": pa.array(where.y.astype(np.int32), mask=unplaced),
    }


def read_facts(batch: pa.RecordBatch, layout: Layout) -> Facts:
    """Return the signals that come from the facts of ``batch``, and every breach of the row contract.

    Args:
        batch: the columns that ``layout`` names, or more.
        layout: where they hold the facts. A fact without a column gives null signals and breaks no rule.
    """
    read = facts(batch, layout)
    rows = batch.num_rows
    captions = read_captions(_column(read, "caption", rows, pa.string()))
    where = _locate(read, rows)
    longitude, latitude = tiles.tile_centre(where.z, where.x, where.y)
    unplaced = ~where.placed
    identity = _identity(read, where, rows)
    name = identity["img_name"]
    columns = identity | {
        "img_name_xxh3": text_hashes(pc.if_else(_blank(name), None, name)),
        "img_quality_score": _column(read, "img_quality_score", rows, pa.float64()),
        "caption_words": pa.array(captions.words),
        "caption_words_declared": _column(read, "caption_length", rows, pa.int64()),
        "caption_xxh3": captions.hashes,
        "resolution_m": _resolution(read, where),
        "longitude": pa.array(longitude, mask=unplaced),
        "latitude": pa.array(latitude, mask=unplaced),
        "ground_resolution_m": pa.array(tiles.ground_resolution(latitude, where.z), mask=unplaced),
    }
    return Facts(columns, _breaches_of(read, _looks_wrong(read, captions, where)))


def _column(read: FactColumns, fact: str, rows: int, type_: pa.DataType) -> pa.Array:
    return read.columns[fact] if fact in read.columns else pa.nulls(rows, type_)


def _blank(texts: pa.Array) -> pa.Array:
    """Return whether each text has nothing but white space; null for null."""
    return pc.equal(pc.utf8_trim_whitespace(texts), "")


def _locate(read: FactColumns, rows: int) -> _Tiles:
    location = _column(read, "Google_location", rows, pa.string())
    written = pc.if_else(pc.match_substring_regex(location, TILE_PATTERN), location, None)
    parts = pc.split_pattern(pc.fill_null(written, "0_0_0"), "_")
    z, x, y = (filled(pc.cast(pc.list_element(parts, i), pa.int64()), 0) for i in range(3))
    within = (z <= MAX_ZOOM) & (np.maximum(x, y) < np.left_shift(np.int64(1), np.minimum(z, MAX_ZOOM)))
    placed = within & filled(pc.is_valid(written), False)
    z, x, y = (np.where(placed, part, 0) for part in (z, x, y))
    if read.level is None:
        return _Tiles(z, x, y, placed, placed)
    level = filled(read.level, 0)  # 0 is no zoom level here: the picture is of a public data set
    zoomed = (level > 0) & (level <= MAX_ZOOM)
    return _Tiles(np.where(zoomed, level, 0), x, y, placed, zoomed)


def _resolution(read: FactColumns, where: _Tiles) -> pa.Array:
    """Return the declared resolution; in the older layout, which declares none, what the level stands for."""
    if read.level is not None:
        return pa.array(tiles.nominal_resolution(where.z), mask=~where.zoomed)
    return _column(read, "resolution", len(where.z), pa.float64())


def _looks_wrong(read: FactColumns, captions: Captions, where: _Tiles) -> NDArray[np.bool_]:
    """Return a mask of all rows that break a rule, other than by a place that is null, and of few others."""
    words = captions.words
    wrong = np.zeros(len(words), np.bool_)
    wrong[list(read.unread)] = True
    columns = read.columns
    if "img_name" in columns:
        wrong |= filled(_blank(columns["img_name"]), True)
    if "img_quality_score" in columns:
        wrong |= ~np.isfinite(filled(columns["img_quality_score"], np.nan))
    if "caption" in columns:
        wrong |= words == 0
        wrong |= captions.suspect
        wrong |= filled(pc.match_substring_regex(columns["caption"], SUSPECT_OPENINGS, ignore_case=True), False)
        if "caption_length" in columns:
            wrong |= filled(pc.not_equal(columns["caption_length"], pa.array(words, pa.int64())), False)
    if "Google_location" in columns:
        wrong |= ~where.placed & filled(columns["Google_location"].is_valid(), False)
        if "resolution" in columns:
            nominal = pa.array(tiles.nominal_resolution(where.z))
            wrong |= filled(pc.not_equal(columns["resolution"], nominal), False)
    if read.level is not None:
        wrong |= filled(read.level, 0) > MAX_ZOOM
    return wrong


def _breaches_of(read: FactColumns, wrong: NDArray[np.bool_]) -> dict[int, dict[Reason, str]]:
    """Return what the row contract says of the rows that look ``wrong``, and of those without a place."""
    found: dict[int, dict[Reason, str]] = {}
    columns = read.columns if read.level is None else read.columns | {"level": read.level}
    if "Google_location" in columns:  # a third of Git-10M has none, and nothing else that is wrong: it is asked once
        unplaced = filled(columns["Google_location"].is_null(), False) & ~wrong
        found = dict.fromkeys(np.flatnonzero(unplaced).tolist(), breaches({"Google_location": None}))
    rows = np.flatnonzero(wrong)
    suspects: list[dict[str, Any]] = pa.table(
        {name: column.take(pa.array(rows)) for name, column in columns.items()}
    ).to_pylist()
    for row, suspect in zip(rows.tolist(), suspects, strict=False):
        if broken := breaches(suspect | read.unread.get(row, {})):
            found[row] = broken
    return found

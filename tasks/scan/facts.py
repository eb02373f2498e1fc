"""The facts of a record batch, column by column; the row contract is asked only about rows that look wrong."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from schemas.errors import CurationError
from schemas.reasons import Reason
from schemas.row import MAX_ZOOM, TILE_PATTERN, breaches
from schemas.tables import FACT_COLUMNS
from tasks import tiles

_CANONICAL: dict[str, pa.DataType] = {
    "img_name": pa.string(),
    "img_quality_score": pa.float64(),
    "caption": pa.string(),
    "caption_length": pa.int64(),
    "resolution": pa.float64(),
    "Google_location": pa.string(),
}


class FactError(CurationError):
    """A column whose type cannot hold the fact; the message names column, found and expected type."""


class Facts(NamedTuple):
    """Signals from a batch's facts, and what is wrong with them."""

    columns: dict[str, pa.Array]  # by name in schemas.tables.SIGNALS
    breaches: dict[int, dict[Reason, str]]  # by row of the batch; good rows are absent


def read_facts(batch: pa.RecordBatch) -> Facts:
    """Return the signals that come from the facts of ``batch``, and every breach of the row contract.

    Raises:
        FactError: if a column's type does not cast losslessly to the fact's type.
    """
    facts = {name: _cast(batch, name) for name in FACT_COLUMNS}
    caption = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(facts["caption"]))
    words = _count_words(caption)
    z, x, y, placed = _tile(facts["Google_location"])
    longitude, latitude = tiles.tile_centre(z, x, y)
    unplaced = ~placed
    columns = {
        "img_name": facts["img_name"],
        "img_quality_score": facts["img_quality_score"],
        "caption_words": pa.array(words, pa.int32()),
        "caption_words_declared": facts["caption_length"],
        "caption_xxh3": _hash_captions(caption),
        "resolution_m": facts["resolution"],
        "z": pa.array(z.astype(np.int8), mask=unplaced),
        "x": pa.array(x.astype(np.int32), mask=unplaced),
        "y": pa.array(y.astype(np.int32), mask=unplaced),
        "longitude": pa.array(longitude, mask=unplaced),
        "latitude": pa.array(latitude, mask=unplaced),
        "ground_resolution_m": pa.array(tiles.ground_resolution(latitude, z), mask=unplaced),
    }
    suspects = np.flatnonzero(_looks_wrong(facts, words, z, unplaced))
    return Facts(columns, _breaches_of(facts, suspects))


def _cast(batch: pa.RecordBatch, name: str) -> pa.Array:
    column, expected = batch.column(name), _CANONICAL[name]
    try:
        return column.cast(expected)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FactError(f"column {name}: found {column.type}, expected what casts to {expected}: {error}") from error


def _count_words(words: pa.ListArray) -> NDArray[np.int32]:
    """Return what :func:`schemas.row.count_words` does, column-wise; 0 for null."""
    blank = pc.equal(pc.list_element(words, 0), "")  # splitting a blank text gives one empty word
    return _numpy(pc.if_else(blank, 0, pc.list_value_length(words)), 0).astype(np.int32)


def _hash_captions(words: pa.ListArray) -> pa.Array:
    """Return XXH3-64 of captions, case and runs of white space ignored; null for null and blank."""
    normalised = pc.utf8_lower(pc.binary_join(words, " ")).cast(pa.binary()).to_pylist()
    return pa.array([xxhash.xxh3_64_intdigest(text) if text else None for text in normalised], pa.uint64())


def _tile(location: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return z, x, y (0 where there is no tile) and whether each row names a tile that exists."""
    written = pc.if_else(pc.match_substring_regex(location, TILE_PATTERN), location, None)
    parts = pc.split_pattern(pc.fill_null(written, "0_0_0"), "_")
    z, x, y = (_numpy(pc.cast(pc.list_element(parts, i), pa.int64()), 0) for i in range(3))
    within = (z <= MAX_ZOOM) & (np.maximum(x, y) < np.left_shift(np.int64(1), np.minimum(z, MAX_ZOOM)))
    placed = within & _numpy(pc.is_valid(written), False)
    return np.where(placed, z, 0), np.where(placed, x, 0), np.where(placed, y, 0), placed


def _looks_wrong(
    facts: dict[str, pa.Array], words: NDArray[np.int32], z: NDArray[np.int64], unplaced: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    nameless = _numpy(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(facts["img_name"])), 0), True)
    score = _numpy(facts["img_quality_score"], np.nan)
    declared = _numpy(pc.not_equal(facts["caption_length"], pa.array(words, pa.int64())), False)
    resolution = _numpy(pc.not_equal(facts["resolution"], pa.array(tiles.nominal_resolution(z))), False)
    wrong: NDArray[np.bool_] = nameless | ~np.isfinite(score) | (words == 0) | declared | unplaced | resolution
    return wrong


def _breaches_of(facts: dict[str, pa.Array], rows: NDArray[np.int64]) -> dict[int, dict[Reason, str]]:
    suspects: list[dict[str, Any]] = pa.table(
        {name: column.take(pa.array(rows)) for name, column in facts.items()}
    ).to_pylist()
    found = {int(row): breaches(suspect) for row, suspect in zip(rows, suspects, strict=True)}
    return {row: broken for row, broken in found.items() if broken}


def _numpy(column: pa.Array, null: float | bool) -> NDArray[Any]:
    values: NDArray[Any] = pc.fill_null(column, null).to_numpy(zero_copy_only=False)
    return values

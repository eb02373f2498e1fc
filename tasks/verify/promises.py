"""What the recipe promises of the kept rows as a whole, held against the index: places, splits and sizes."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.manifest import Manifest
from schemas.reasons import Stage
from schemas.recipe import Deduplication, ScanSettings
from schemas.reports import DataFile
from schemas.row import MAX_ZOOM
from schemas.subset import Sampling, Spatial, Splits, Subset, Top
from schemas.tables import INDEX_FILE
from tasks.published import MANIFEST
from tasks.select.assign import in_buffer
from tasks.select.draw import identify_images, uniform_hash
from tasks.select.masks import levels
from tasks.select.splits import Ground, Tiles, find_blocks
from tasks.select.thresholds import apply_thresholds
from tasks.verify.data import rows_by_file
from tasks.verify.faults import SHOWN, some
from tasks.verify.files import data_files


class Promises(NamedTuple):
    """What the manifest's recipe says of its subset, as far as it is held against it."""

    scan: ScanSettings
    deduplication: Deduplication  # without reference sets: of those the manifest does not say where they are
    splits: Splits
    sampling: Sampling
    top: Top | None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Read the recipe.

        Raises:
            ValueError: if it is none.
        """
        try:
            recipe = manifest.recipe
            [subset] = recipe["subsets"]
            return cls(
                ScanSettings.model_validate(recipe["scan"]),
                Deduplication.model_validate(recipe["deduplication"] | {"references": []}),
                Splits.model_validate(subset["splits"]),
                Sampling.model_validate(subset["sampling"]),
                None if subset["top"] is None else Top.model_validate(subset["top"]),
            )
        except (ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"recipe: {type(error).__name__}: {error}") from error


def check_places(manifest: Manifest, index: pa.Table) -> Iterator[str]:
    """Yield whose file and row in it are not the rows of the data files, each once."""
    listed: dict[str, DataFile | None] = {file.path: file for file in (data_files(manifest) or manifest.indexed)}
    by_file = rows_by_file(index)
    if not listed and manifest.mode == "index":  # the data files were never made
        listed = dict.fromkeys(by_file)
    split = index["split"].combine_chunks().dictionary_encode()
    splits, code = split.dictionary.to_pylist(), split.indices.to_numpy()
    place, row_ids = index["file_row"].to_numpy(), index["row_id"].to_numpy()
    for name, rows in by_file.items():
        if name not in listed:
            yield f"{INDEX_FILE}: row id {some(row_ids[rows])}: file {name} is not in the manifest"
            continue
        here = [number for number, known in enumerate(splits) if name.startswith(f"data/{known}-")]
        astray = rows[~np.isin(code[rows], here)]
        if len(astray):
            yield f"{INDEX_FILE}: row id {some(row_ids[astray])}: the split is not that of {name}"
        wrong = np.flatnonzero(place[rows] != np.arange(len(rows)))
        if len(wrong):
            told = f"file_row {place[rows[wrong[0]]]} of {name} is not the next one"
            yield f"{INDEX_FILE}: row id {row_ids[rows[wrong[0]]]}: {told}: rows are missing or twice"
    for name, file in listed.items():
        found = len(by_file.get(name, ()))
        if file is not None and file.rows != found:
            yield f"{INDEX_FILE}: {found:,} rows are in {name}, expected {file.rows or 0:,}"


def check_promises(manifest: Manifest, promises: Promises, index: pa.Table) -> Iterator[str]:
    """Yield what of the recipe's splits, sampling, top and thresholds on scores does not hold."""
    tiles, level_of = Tiles.of(index), levels(index)
    zoom = np.clip(tiles.z, 0, MAX_ZOOM)
    outside = (zoom != tiles.z) | (tiles.x >> zoom != 0) | (tiles.y >> zoom != 0)
    if outside.any():
        yield f"{INDEX_FILE}: row id {some(index['row_id'].to_numpy()[outside])}: there is no such tile"
        z, x, y = (np.where(outside, 0, part) for part in (tiles.z, tiles.x, tiles.y))
        tiles = Tiles(z, x, y, tiles.placed & ~outside)
    if len(promises.splits.fractions) > 1 and promises.splits.spatial is not None:
        yield from _check_ground(index, tiles, promises.splits.spatial)
    strangers = sorted({*manifest.splits} - {*promises.splits.fractions})
    if strangers:
        yield f"{MANIFEST}: splits: {', '.join(strangers)}: the recipe has no such split"
    yield from _check_sampling(manifest, promises.sampling, index, tiles, level_of)
    top = promises.top
    if top is not None and top.rows is not None:
        yield from _over("top", level_of if top.per_zoom else np.zeros(len(level_of), np.int64), top.rows)
    for limit in manifest.thresholds:
        if limit.reason.stage is Stage.ALIGNMENT:
            missed = apply_thresholds(index, Subset(name="plain"), [limit]).reject != 0
            if missed.any():
                yield f"{INDEX_FILE}: row id {some(index['row_id'].to_numpy()[missed])}: expected {limit}"


def _check_ground(index: pa.Table, tiles: Tiles, spatial: Spatial) -> Iterator[str]:
    """Yield which ground is in two splits: whole blocks are in one, and whatever lies in a block with them."""
    row_ids = index["row_id"].to_numpy()
    coarse = tiles.placed & (tiles.z < spatial.zoom)
    if coarse.any():
        told = f"the tile is larger than the blocks of zoom {spatial.zoom} that splits are made of"
        yield f"{INDEX_FILE}: row id {some(row_ids[coarse])}: {told}"
    split = index["split"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int8)
    blocks = find_blocks(tiles, spatial.zoom)
    inside = np.flatnonzero(blocks.inside)
    order = inside[np.lexsort([split[inside], blocks.number[inside]])]
    torn = np.flatnonzero((np.diff(blocks.number[order]) == 0) & (np.diff(split[order]) != 0))
    for at in torn[:SHOWN].tolist():
        one, other = order[at], order[at + 1]
        up = tiles.z[one] - spatial.zoom
        block = f"{spatial.zoom}_{tiles.x[one] >> up}_{tiles.y[one] >> up}"
        told = f"are in different splits, and both in the block {block}"
        yield f"{INDEX_FILE}: row ids {row_ids[one]} and {row_ids[other]} {told}"
    if spatial.buffer is not None:
        everywhere = Ground.of(blocks, split, np.ones(len(split), np.bool_))
        near = in_buffer(spatial, tiles, blocks.inside, split, everywhere)
        if near.any():
            told = f"within {spatial.buffer.tiles} tiles of zoom {spatial.buffer.zoom} of another split's ground"
            yield f"{INDEX_FILE}: row id {some(row_ids[near])}: {told}"


def _check_sampling(
    manifest: Manifest, sampling: Sampling, index: pa.Table, tiles: Tiles, level_of: NDArray[np.int64]
) -> Iterator[str]:
    if sampling.per_tile is not None:
        around = tiles.take(np.flatnonzero(tiles.placed)).around(sampling.per_tile.zoom)
        yield from _over("sampling.per_tile", around, sampling.per_tile.rows)
    if sampling.per_zoom is not None:
        yield from _over("sampling.per_zoom", level_of, sampling.per_zoom)
    if sampling.max_rows is not None:
        yield from _over("sampling.max_rows", np.zeros(len(index), np.int64), sampling.max_rows)
    image_bytes = sum(file.image_bytes or 0 for file in (*data_files(manifest), *manifest.indexed))
    if sampling.max_bytes is not None and image_bytes > sampling.max_bytes:
        yield f"{MANIFEST}: sampling.max_bytes: the images have {image_bytes:,} bytes, {sampling.max_bytes:,} at most"
    if sampling.fraction is not None:
        hashed = index.filter(index["sha256"].is_valid())
        undrawn = uniform_hash(identify_images(hashed["sha256"]), sampling.seed, "fraction") >= sampling.fraction
        if undrawn.any():
            yield f"{INDEX_FILE}: row id {some(hashed['row_id'].to_numpy()[undrawn])}: was not drawn, and is kept"


def _over(key: str, group: NDArray[np.int64] | NDArray[np.uint64], most: int) -> Iterator[str]:
    _, counts = np.unique(group, return_counts=True)
    if (counts > most).any():
        which = f" of one group, and in {int((counts > most).sum()):,} groups too many" if len(counts) > 1 else ""
        yield f"{INDEX_FILE}: {key}: {int(counts.max()):,} rows{which}, {most:,} at most"

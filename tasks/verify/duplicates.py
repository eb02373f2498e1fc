"""Hold the kept rows of a subset against each other: no two may be duplicates by the subset's own recipe."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Deduplication, NearDuplicates, ScanSettings
from tasks.deduplicate.hamming import TooManyPairs
from tasks.scan.decode import THUMBNAIL, ImageDefect, decode
from tasks.scan.descriptor import SIDE, describe, hashes_of
from tasks.tiles import tile_number
from tasks.verify.data import images_at, rows_by_file
from tasks.verify.faults import SHOWN, UNREADABLE
from tasks.verify.files import at_hand
from tasks.write.schema import DataSchema

_TOGETHER = 256  # pictures that are described at a time


def check_duplicates(pictures: "Pictures", index: pa.Table, settings: Deduplication) -> Iterator[str]:
    """Yield what the kept rows have in common that they may not by ``settings``, in words; captions left out.

    Near-duplicates are looked for among whole pictures, in every orientation that the recipe counts: rows whose hashes
    in the index are within the radius are decoded again and compared. Crops and overlapping views are not looked for,
    nor near-duplicates where the data files are not there, nor semantic duplicates, which take the model.
    """
    if settings.exact_bytes:
        counts = index["sha256"].drop_null().value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        if len(twice):
            yield f"index.parquet: kept more than once: image {', '.join(d.hex() for d in twice[:SHOWN].to_pylist())}"
    if settings.same_tile or settings.nested_tiles:
        yield from _check_tiles(index, settings)
    if settings.near is not None and pc.count(index["phash"]).as_py():
        yield from _check_pictures(pictures, index, settings.near)


def _check_tiles(index: pa.Table, settings: Deduplication) -> Iterator[str]:
    placed = index.filter(pc.is_valid(index["x"]))
    z, x, y = (placed[name].to_numpy().astype(np.uint64) for name in ("z", "x", "y"))
    numbers, first, counts = np.unique(tile_number(z, x, y), return_index=True, return_counts=True)
    if settings.same_tile:
        for at in first[counts > 1][:SHOWN]:
            yield f"index.parquet: tile {z[at]}_{x[at]}_{y[at]} is kept more than once"
    if settings.nested_tiles:
        for up in range(1, int(z.max(initial=0)) + 1):
            inner = np.flatnonzero(z >= up)
            outer = (z[inner] - np.uint64(up), x[inner] >> np.uint64(up), y[inner] >> np.uint64(up))
            for at in np.flatnonzero(np.isin(tile_number(*outer), numbers))[:SHOWN]:
                around = "_".join(str(part[at]) for part in outer)
                row_id = placed["row_id"][int(inner[at])]
                yield f"index.parquet: row id {row_id} is kept, and so is the tile {around} around it"


def check_captions(hashes: list[pa.UInt64Array], most: int) -> Iterator[str]:
    """Yield whether a caption is kept too often; ``hashes`` are those of all kept rows."""
    counts = pa.chunked_array(hashes, pa.uint64()).drop_null().value_counts()
    over = pc.sum(pc.greater(counts.field("counts"), most)).as_py()
    if over:
        yield f"data: {over:,} captions are kept more than {most:,} times, which is the most that may be"


def _check_pictures(pictures: "Pictures", index: pa.Table, near: NearDuplicates) -> Iterator[str]:
    from tasks.deduplicate.pairs import nearness_of  # Numba takes half a second to import
    from tasks.deduplicate.search import near_pairs

    hashed = np.flatnonzero(index["phash"].is_valid().to_numpy())
    phash = index["phash"].drop_null().to_numpy()

    def descriptors(positions: NDArray[np.int64]) -> NDArray[np.int8]:
        return pictures.descriptors(hashed[positions])

    # The last bit of a correlation depends on which of two pictures is the first, and here their order is another one.
    least = min(1.0, near.min_similarity + 1e-6)
    nearness = nearness_of(near)._replace(overlapping=False, min_similarity=least)
    try:
        pairs = near_pairs(phash, np.ones(len(phash), np.bool_), descriptors, nearness)
    except TooManyPairs as error:
        yield f"index.parquet: near-duplicates cannot be looked for: {error}"
        return
    row_ids = index["row_id"].to_numpy()
    for a, b, distance, similarity in list(zip(*pairs, strict=True))[:SHOWN]:
        both = f"row ids {row_ids[hashed[a]]} and {row_ids[hashed[b]]} are kept"
        yield f"index.parquet: {both}, {distance} bits apart and {similarity:.2f} alike: near-duplicates by the recipe"
    for row, descriptor in pictures.known.items():
        expected = index["phash"][row].as_py()
        if descriptor.any() and int(hashes_of(descriptor[None])[0]) != expected:
            yield f"index.parquet: row id {row_ids[row]}: phash is not that of the image"


class Pictures:
    """The pictures of a subset, decoded and described when they are asked for."""

    def __init__(self, directory: UPath, target: DataSchema, index: pa.Table, settings: ScanSettings):
        """Take in where the pictures lie."""
        self.known: dict[int, NDArray[np.int8]] = {}
        self._directory = directory
        self._target = target
        self._index = index
        self._settings = settings

    def descriptors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return the descriptors of rows of the index, shape (n, 256); zeros where the image cannot be had."""
        wanted = set(rows.tolist()) - self.known.keys()
        self.known |= dict.fromkeys(wanted, np.zeros(SIDE**2, np.int8))
        images = self._images(wanted) if wanted else iter(())
        while some := list(islice(images, _TOGETHER)):
            luma = {row: self._luma(data) for row, data in some}
            there = [row for row, thumbnail in luma.items() if thumbnail is not None]
            described = describe(np.array([luma[row] for row in there]).reshape(-1, THUMBNAIL, THUMBNAIL))
            self.known |= zip(there, described.descriptor, strict=True)
        return np.array([self.known[row] for row in rows.tolist()], np.int8).reshape(-1, SIDE**2)

    def _luma(self, data: memoryview | None) -> NDArray[np.uint8] | None:
        scan = self._settings
        try:
            return decode(
                data or memoryview(b""), formats=scan.formats, max_pixels=scan.max_pixels, max_bytes=scan.max_bytes
            ).luma
        except (ImageDefect, MemoryError):
            return None  # that the image is another one is said where its digest is checked

    def _images(self, wanted: set[int]) -> Iterator[tuple[int, memoryview | None]]:
        rows = np.array(sorted(wanted), np.int64)
        places = self._index["file_row"].to_numpy()
        for name, chosen in rows_by_file(self._index.select(["file", "file_row"]).take(pa.array(rows))).items():
            here = rows[chosen]
            at = dict(zip(places[here].tolist(), here.tolist(), strict=True))
            with suppress(*UNREADABLE), at_hand(self._directory / name) as path:  # said where the file is checked
                yield from ((at[place], view) for place, view in images_at(path, self._target, places[here]))

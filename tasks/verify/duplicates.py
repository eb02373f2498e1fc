"""Hold the kept rows of a subset against each other: no two may be duplicates by the subset's own recipe."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.manifest import Manifest
from schemas.recipe import Deduplication, NearDuplicates, ScanSettings
from tasks.deduplicate.hamming import TooManyPairs
from tasks.scan.decode import THUMBNAIL, ImageDefect, decode
from tasks.scan.descriptor import SIDE, describe, hashes_of
from tasks.scan.facts import caption_hashes
from tasks.source.columns import Layout, facts
from tasks.tiles import tile_number
from tasks.verify.data import SHOWN, data_files, image_views

_TOGETHER = 256  # pictures that are described at a time


def check_duplicates(directory: UPath, manifest: Manifest, index: pa.Table) -> Iterator[str]:
    """Yield what the kept rows have in common that they may not, in words.

    Near-duplicates are looked for among whole pictures, in every orientation that the recipe counts: rows whose hashes
    in the index are within the radius are decoded again and compared. Crops and overlapping views are not looked for.
    """
    # Without reference sets: of those the manifest does not say where they are.
    settings = Deduplication.model_validate(manifest.recipe["deduplication"] | {"references": []})
    if settings.exact_bytes:
        counts = index["sha256"].drop_null().value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        if len(twice):
            yield f"index.parquet: kept more than once: image {', '.join(d.hex() for d in twice[:SHOWN].to_pylist())}"
    if settings.same_tile or settings.nested_tiles:
        yield from _check_tiles(index, settings)
    if settings.caption_copies is not None:
        yield from _check_captions(directory, manifest, settings.caption_copies)
    if settings.near is not None and pc.count(index["phash"]).as_py():
        yield from _check_pictures(directory, manifest, index, settings.near)


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


def _check_captions(directory: UPath, manifest: Manifest, most: int) -> Iterator[str]:
    layout = Layout(**manifest.source.columns)._replace(image=None)
    hashes = []
    for file in manifest.files:
        if file.path.startswith("data/") and file.rows:
            try:
                with (directory / file.path).open("rb") as opened:
                    table = pq.read_table(opened, columns=layout.names())
            except (OSError, pa.ArrowException):
                return  # said where the file itself is checked
            hashes += [caption_hashes(facts(batch, layout).columns["caption"]) for batch in table.to_batches()]
    counts = pa.chunked_array(hashes, pa.uint64()).drop_null().value_counts()
    over = pc.sum(pc.greater(counts.field("counts"), most)).as_py()
    if over:
        yield f"data: {over:,} captions are kept more than {most:,} times, which is the most that may be"


def _check_pictures(directory: UPath, manifest: Manifest, index: pa.Table, near: NearDuplicates) -> Iterator[str]:
    from tasks.deduplicate.pairs import nearness_of  # Numba takes half a second to import
    from tasks.deduplicate.search import near_pairs

    hashed = np.flatnonzero(index["phash"].is_valid().to_numpy())
    phash = index["phash"].drop_null().to_numpy()
    pictures = _Pictures(directory, manifest, index)

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


class _Pictures:
    """The pictures of a subset, decoded and described when they are asked for."""

    def __init__(self, directory: UPath, manifest: Manifest, index: pa.Table):
        self.known: dict[int, NDArray[np.int8]] = {}
        self._directory = directory
        self._manifest = manifest
        self._split = index["split"].to_numpy(zero_copy_only=False)
        self._settings = ScanSettings.model_validate(manifest.recipe["scan"])

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
        except ImageDefect:
            return None  # that the image is another one is said where its digest is checked

    def _images(self, wanted: set[int]) -> Iterator[tuple[int, memoryview | None]]:
        image = self._manifest.source.columns["image"]
        for split in self._manifest.splits:
            rows = np.flatnonzero(self._split == split)
            done = 0
            for file in data_files(self._manifest, split):
                here = rows[done : done + (file.rows or 0)].tolist()
                done += len(here)
                if wanted.isdisjoint(here):
                    continue
                with suppress(OSError, pa.ArrowException, KeyError):  # said where the file itself is checked
                    views = zip(here, image_views(self._directory / file.path, image), strict=False)
                    yield from ((row, view) for row, view in views if row in wanted)

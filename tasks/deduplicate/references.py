"""Decontamination: which rows are copies of pictures of reference sets, such as the benchmarks of the model to be."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Deduplication, NearDuplicates, fingerprint
from schemas.reports import ReferenceReport, ScanReport
from schemas.tables import CONTAMINATED, PAIRS_VERSION
from tasks.deduplicate.pairs import nearness_of
from tasks.deduplicate.pictures import Pictures, distinct_pictures, read_descriptors, rows_with
from tasks.deduplicate.search import near_pairs
from tasks.files import appearing, is_parquet
from tasks.signals import in_pieces, load_signals
from tasks.spill import room


def find_contaminated(
    scan: ScanReport,
    pictures: Pictures,
    references: Sequence[ReferenceReport],
    settings: Deduplication,
    workspace: UPath,
) -> UPath:
    """Return the file of the rows (:data:`schemas.tables.CONTAMINATED`) that are copies of a reference picture.

    A row names the picture with its own bytes or pixels, where there is one, else the nearest.

    Raises:
        TooManyPairs: if too many pictures look alike.
    """
    compared = settings.model_dump(mode="json", include={"exact_bytes", "exact_pixels", "near"})
    sets = [("", scan), *((reference.name, reference.scan) for reference in references)]
    signals = [
        [name, *((shard.shard if name else "", shard.signals.name) for shard in scanned.shards)]
        for name, scanned in sets
    ]  # the names of references' shards too: they may stand in the file
    measured = [shard.signals.parent.name for _, scanned in sets for shard in scanned.shards[:1]]
    key = fingerprint([signals, measured, compared, PAIRS_VERSION])
    path = workspace / "contaminated" / f"{key[:32]}.parquet"
    if not is_parquet(path):
        together = ScanReport.of([shard for reference in references for shard in reference.scan.shards])
        table = _contaminated(scan, pictures, together, pa.concat_arrays(list(map(_names, references))), settings)
        with appearing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    return path


def _contaminated(
    scan: ScanReport, pictures: Pictures, reference: ScanReport, names: pa.StringArray, settings: Deduplication
) -> pa.Table:
    copied = room(scan.rows, np.int64)
    copied[:] = -1  # the row of the reference
    distance, similarity = np.zeros(scan.rows, np.int8), np.ones(scan.rows, np.float32)
    digests = {
        "sha256": settings.exact_bytes,
        "pixels_xxh3": settings.exact_pixels,
        "signature": settings.near is not None,  # the same picture, however little there is to be seen in it
    }
    for name, wanted in digests.items():
        if wanted:
            np.copyto(copied, _equal(scan, reference, name), where=copied < 0)
    if settings.near is not None and len(pictures.signature):
        near, bits, correlation = _nearest(scan, pictures, reference, settings.near)
        similar = np.flatnonzero(near >= 0)
        known = pictures.signature[similar]
        for rows, signature in rows_with(scan, "signature") if len(similar) else ():
            at = np.minimum(np.searchsorted(known, signature), len(known) - 1)
            hit = (known[at] == signature) & (copied[rows] < 0)
            rows, picture = rows[hit], similar[at[hit]]
            copied[rows], distance[rows], similarity[rows] = near[picture], bits[picture], correlation[picture]
    rows = np.flatnonzero(copied >= 0)
    columns = [rows, names.take(pa.array(copied[rows])), distance[rows], similarity[rows]]
    return pa.table(columns, schema=CONTAMINATED)


def _equal(scan: ScanReport, reference: ScanReport, name: str) -> NDArray[np.int64]:
    """Return for each row the first row of the reference with the same digest; -1 where there is none."""
    theirs = load_signals(reference, [name])[name].combine_chunks()
    found = room(scan.rows, np.int64)

    def look_up(place: slice, table: pa.Table) -> None:
        found[place] = pc.fill_null(pc.index_in(table[name], value_set=theirs, skip_nulls=True), -1).to_numpy()

    deque(in_pieces(scan, [name], look_up), 0)
    return found


def _nearest(
    scan: ScanReport, pictures: Pictures, reference: ScanReport, near: NearDuplicates
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float32]]:
    """Return for each picture the row of the nearest reference picture, or -1; their distance; their similarity."""
    theirs = distinct_pictures(reference)
    ours = len(pictures.signature)

    def descriptors(positions: NDArray[np.int64]) -> NDArray[np.int8]:
        source, other = positions[positions < ours], positions[positions >= ours] - ours
        parts = ((scan, pictures.row_id[source]), (reference, theirs.row_id[other]))
        return np.concatenate([read_descriptors(report, row_ids) for report, row_ids in parts])

    fresh = np.arange(ours + len(theirs.signature)) >= ours
    pairs = near_pairs(np.concatenate([pictures.phash, theirs.phash]), fresh, descriptors, nearness_of(near))
    across = (pairs.a < ours) & (pairs.b >= ours)
    picture, row = pairs.a[across], theirs.row_id[pairs.b[across] - ours]
    order = np.lexsort((row, -pairs.similarity[across], pairs.distance[across], picture))
    picture, first = np.unique(picture[order], return_index=True)
    best = order[first]
    copied, distance, similarity = np.full(ours, -1, np.int64), np.zeros(ours, np.int8), np.zeros(ours, np.float32)
    copied[picture], distance[picture] = row[best], pairs.distance[across][best]
    similarity[picture] = pairs.similarity[across][best]
    return copied, distance, similarity


def _names(reference: ReferenceReport) -> pa.StringArray:
    """Return what to call each picture of a reference set: the set and the picture's name, or its shard and row."""
    signals = load_signals(reference.scan, ["img_name", "row"])
    shards = reference.scan.shards
    shard = pa.array([shard.shard for shard in shards]).take(
        pa.array(np.repeat(np.arange(len(shards)), [shard.rows for shard in shards]))
    )
    place = pc.binary_join_element_wise(shard, signals["row"].combine_chunks().cast(pa.string()), " row ")
    name = pc.coalesce(signals["img_name"].combine_chunks(), place)
    return pc.binary_join_element_wise(pa.scalar(reference.name), name, ": ")

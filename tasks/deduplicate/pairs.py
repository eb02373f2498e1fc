"""The pairs of near-duplicates that the workspace knows of, and how new shards join them."""

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import NearDuplicates, fingerprint
from schemas.reports import ScanReport
from schemas.tables import PAIRS, PAIRS_VERSION
from tasks.deduplicate.pictures import Pictures, read_descriptors, rows_with
from tasks.deduplicate.search import NO_PAIRS, Nearness, NearPairs, near_pairs
from tasks.files import appearing, read_parquet, read_parquet_metadata

_SHARDS = b"shards"
"""Key of a pairs file's metadata: the signals files whose pairs it holds, as JSON."""


def bring_pairs_up_to_date(
    scan: ScanReport,
    pictures: Pictures,
    near: NearDuplicates,
    workspace: UPath,
    searched: Callable[[], object] = lambda: None,
) -> tuple[UPath, bool]:
    """Return the file of the pairs (:data:`schemas.tables.PAIRS`) among ``pictures``, and whether it was there already.

    Of the pair sets that the workspace has, made with the same settings, the one that shares the most rows with the
    source is taken over, but for what is not in the source any more; only pictures that it does not know are searched
    for. The result is the same as without it. Of each search that is done ``searched`` hears.

    Raises:
        TooManyPairs: if too many pictures look alike.
    """
    folder = workspace / "pairs" / _key(scan, near)
    names = sorted({shard.signals.name for shard in scan.shards})
    path = folder / f"{fingerprint(names)[:32]}.parquet"
    if _shards_of(path):
        return path, True
    known, old = _known_pairs(scan, pictures, folder)
    found = near_pairs(
        pictures.phash,
        ~old,
        lambda positions: read_descriptors(scan, pictures.row_id[positions]),
        nearness_of(near),
        searched,
    )
    a, b = np.concatenate([known.a, found.a]), np.concatenate([known.b, found.b])
    order = np.lexsort((b, a))
    columns = [
        pictures.signature[a[order]],
        pictures.signature[b[order]],
        np.concatenate([known.distance, found.distance])[order],
        np.concatenate([known.similarity, found.similarity])[order],
    ]
    schema = PAIRS.with_metadata({_SHARDS: json.dumps(names)})
    with appearing(path) as temporary:
        pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")
    return path, False


def nearness_of(near: NearDuplicates) -> Nearness:
    """Return the settings of the search as its kernel takes them."""
    return Nearness(near.radius_bits, near.min_similarity, near.any_orientation, near.overlapping)


def _key(scan: ScanReport, near: NearDuplicates) -> str:
    measured = scan.shards[0].signals.parent.name if scan.shards else ""
    found = {"signals": measured, "near": near.model_dump(mode="json"), "version": PAIRS_VERSION}
    return fingerprint(found)[:16]


def _shards_of(path: UPath) -> frozenset[str]:
    """Return the signals files whose pairs ``path`` holds; none if it is not there, or damaged."""
    try:
        return frozenset(json.loads(read_parquet_metadata(path).metadata[_SHARDS]))
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):  # to pyarrow, damaged thrift is an OSError
        return frozenset()


def _known_pairs(scan: ScanReport, pictures: Pictures, folder: UPath) -> tuple[NearPairs, NDArray[np.bool_]]:
    """Return the pairs that an earlier search has found, and which pictures it has seen."""
    old = np.zeros(len(pictures.signature), np.bool_)
    best, seen, shared = None, frozenset[str](), 0
    for path in sorted(folder.glob("*.parquet"), key=str):
        names = _shards_of(path)
        rows = sum(shard.rows for shard in scan.shards if shard.signals.name in names)
        if rows > shared:
            best, seen, shared = path, names, rows
    if best is None:
        return NO_PAIRS, old
    if len(old):
        before = ScanReport.of([shard for shard in scan.shards if shard.signals.name in seen])
        for _, signature in rows_with(before, "signature"):
            old[np.searchsorted(pictures.signature, np.unique(signature))] = True
    table = read_parquet(best)
    a, b = (_positions(pictures, old, table[name].to_numpy()) for name in ("signature_a", "signature_b"))
    both = (a >= 0) & (b >= 0)
    distance, similarity = (table[name].to_numpy() for name in ("distance", "similarity"))
    return NearPairs(a[both], b[both], distance[both], similarity[both]), old


def _positions(pictures: Pictures, old: NDArray[np.bool_], signature: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the position of each signature among the pictures seen before; -1 for one that is gone."""
    if not old.any():
        return np.full(len(signature), -1, np.int64)
    at = np.minimum(np.searchsorted(pictures.signature, signature), len(old) - 1)
    return np.where(old[at] & (pictures.signature[at] == signature), at, -1)

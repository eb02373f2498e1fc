"""Embed one shard: the vectors file that appears whole or not at all, and the margins that follow from it.

Batches are laid down as they are made, so that a run that is killed costs one batch; of all of them the file is made.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from upath import UPath

from schemas.embedding import VectorsReport
from schemas.recipe import ScanSettings
from schemas.reports import ShardReport
from schemas.scorer import Scorer
from schemas.tables import vectors_schema
from tasks.beat import progressed
from tasks.embed.margins import write_margins
from tasks.embed.model import Embedder, load_embedder
from tasks.embed.pairs import Pair, embed_pairs
from tasks.embed.part import Part, part_of
from tasks.embed.reuse import about, margins_path, recall, report_on, vectors_path
from tasks.files import appearing, is_parquet, read_parquet
from tasks.locks import claimed
from tasks.records import record_key
from tasks.scan.identity import Columns, shard_status
from tasks.scan.images import byte_views
from tasks.source.columns import Layout, facts, images
from tasks.source.pairs import shown_of
from tasks.source.read import at_hand, read_batches
from tasks.source.shards import Shard, ShardUnreadable

_ROW_GROUP = 4_096  # rows that wait to be written: 8 MB for each of two vectors of 1,024 numbers


def embed_shard(
    shard: Shard,
    scanned: ShardReport,
    scorer: Scorer,
    settings: ScanSettings,
    columns: Columns,
    workspace: UPath,
    *,
    wait: bool = True,
) -> VectorsReport:
    """Embed the pairs of ``shard`` unless the workspace has their vectors, and return what was found.

    What an earlier run had made of it when it was killed is taken if it comes to the same: of a shard that nobody has
    touched since, by batches as large, on the same kind of device, by the same releases of all that computes.

    Args:
        shard: the shard.
        scanned: what the scan found in it: a picture that it could not decode has no vector.
        scorer: the model, pinned.
        settings: by which it was scanned.
        columns: column of the source that holds each fact; None: found by itself.
        workspace: where vectors lie.
        wait: whether to wait where another process embeds the shard now.

    Raises:
        Claimed: if another process embeds it, and ``wait`` is false.
        ModelUnusable: as :func:`tasks.embed.model.load_embedder`.
        ShardUnreadable: if it is not what was scanned any more.
    """
    vectors = vectors_path(workspace, scorer, settings, columns, scanned.content_xxh3)
    margins = margins_path(vectors, scorer)
    with claimed(workspace, str(vectors), wait=wait):
        if known := recall(scanned, vectors, margins):
            return known
        embedder = load_embedder(scorer)
        if not is_parquet(vectors):
            _require_as_scanned(shard, scanned)
            with at_hand(shard), part_of(vectors) as path:
                schema = vectors_schema(embedder.dimensions)
                made_by = {"model": scorer.model, "revision": scorer.revision, **embedder.made_by}
                part = Part(path, schema, record_key(made_by, scorer.batch_size, scanned.status).encode())
                _embed_rest(part, shard, scanned, scorer, settings, embedder)
                _require_as_scanned(shard, scanned)
                with appearing(vectors) as temporary:
                    _write(temporary, part, schema, made_by)
        write_margins(vectors, margins, scorer, embedder)
    return report_on(scanned, vectors, margins, reused=False)


def _require_as_scanned(shard: Shard, scanned: ShardReport) -> None:
    if list(scanned.status) != shard_status(shard):
        raise ShardUnreadable("changed since it was scanned; run again", shard.name)


def _embed_rest(
    part: Part, shard: Shard, scanned: ShardReport, scorer: Scorer, settings: ScanSettings, embedder: Embedder
) -> None:
    """Embed the rows of ``shard`` that are not in ``part``, which ends where a batch does; of the others no picture."""
    progressed(part.rows)
    if part.rows == scanned.rows:
        return
    decoded = read_parquet(scanned.signals, ["luma_std"])["luma_std"].is_valid().to_numpy()
    pairs = islice(_pairs(shard, shown_of(Layout(**scanned.layout)), decoded), part.rows, scanned.rows)
    batches = embed_pairs(pairs, embedder, scorer.batch_size, scorer.captions, settings.formats, first_row=part.rows)
    for batch in batches:
        part.append(batch)
        progressed(part.rows)
    if part.rows < scanned.rows:
        raise ShardUnreadable(f"no row {part.rows}; it had {scanned.rows} when it was scanned", shard.name)


def _write(path: Path, part: Part, schema: pa.Schema, made_by: dict[str, str | None]) -> None:
    """Make the vectors file of all rows, whose groups are those of the batches, whoever made them."""
    digest = hashlib.sha256()
    counts = dict.fromkeys(("pictures", "captions", "scored", "truncated"), 0)
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in part.batches():
            waiting.append(batch)
            for count, name in (("pictures", "image"), ("captions", "text"), ("scored", "similarity")):
                counts[count] += batch.num_rows - batch[name].null_count
            counts["truncated"] += batch["truncated"].true_count
            for values in (batch["image"].flatten(), batch["text"].flatten(), batch["similarity"].drop_null()):
                digest.update(values.to_numpy(zero_copy_only=False).tobytes())
            if sum(one.num_rows for one in waiting) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
        dimensions = schema.field("image").type.list_size
        writer.add_key_value_metadata(about(counts, dimensions, made_by, digest.hexdigest()))


def _pairs(shard: Shard, layout: Layout, decoded: NDArray[np.bool_]) -> Iterator[Pair]:
    """Yield the pairs of ``shard``; of a damaged one those before the damage, which the scan has seen."""
    row = 0
    for batch in read_batches(shard, layout.names()) if len(decoded) else ():
        texts = facts(batch, layout).columns.get("caption")
        captions = [None] * batch.num_rows if texts is None else texts.to_pylist()
        for view, caption in zip(byte_views(images(batch, layout)), captions, strict=True):
            yield Pair(view if row < len(decoded) and decoded[row] else None, caption)
            row += 1
        if row >= len(decoded):
            return

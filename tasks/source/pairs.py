"""Pairs of a source by their row ids: the image's bytes and the caption, as a person looks at them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.reports import ScanReport
from tasks.scan.images import byte_views
from tasks.signals import by_shard, first_row_ids
from tasks.source.columns import Layout, facts, images
from tasks.source.read import take_rows
from tasks.source.shards import Shard

Pairs = dict[int, tuple[bytes | None, str | None]]
"""Image and caption by row id; None where the row has none."""


def read_pairs(shards: Sequence[Shard], scan: ScanReport, row_ids: NDArray[np.int64]) -> Pairs:
    """Return image and caption of rows of a source.

    Args:
        shards: those that ``scan`` could read, in its order (:func:`tasks.signals.readable_shards`).
        scan: what was scanned.
        row_ids: ascending.

    Raises:
        ShardUnreadable: if a shard is not what was scanned any more.
    """
    starts = first_row_ids(scan)
    pairs: Pairs = {}
    for index, rows in by_shard(scan, row_ids):
        layout = shown_of(Layout(**scan.shards[index].layout))
        pairs |= zip(rows.tolist(), shard_pairs(shards[index], rows - starts[index], layout), strict=True)
    return pairs


def shown_of(layout: Layout) -> Layout:
    """Return ``layout`` without the columns that tell nothing of image and caption."""
    return layout._replace(img_name=None, img_quality_score=None, caption_length=None)


def shard_pairs(shard: Shard, rows: NDArray[np.int64], layout: Layout) -> Iterator[tuple[bytes | None, str | None]]:
    """Yield image and caption of rows of one shard, positions ascending; None for what ``layout`` has no column for.

    Raises:
        ShardUnreadable: if the shard cannot be read, or has fewer rows.
    """
    if not layout.names():
        yield from ((None, None) for _ in rows)
        return
    for table in take_rows(shard, rows, layout.names()):
        for batch in table.to_batches():
            views = byte_views(images(batch, layout)) if layout.image else [None] * batch.num_rows
            texts = facts(batch, layout).columns.get("caption")
            captions = [None] * batch.num_rows if texts is None else texts.to_pylist()
            yield from ((bytes(view) if view else None, text) for view, text in zip(views, captions, strict=True))

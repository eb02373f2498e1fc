"""What of which shard goes into each data file, from signals alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.reports import ScanReport
from tasks.signals import by_shard, first_row_ids, load_signals, readable_shards
from tasks.source.shards import Shard
from tasks.write.placement import Placement


class ShardRows(NamedTuple):
    """Rows to copy from one shard, with what their images were when they were scanned."""

    shard: Shard
    first_row_id: int  # of the shard's first row
    rows: NDArray[np.int64]  # positions in the shard, ascending
    places: NDArray[np.int64]  # of each row in its data file
    levels: NDArray[np.int8]  # zoom level of each row, 0 where it has none
    sha256: pa.FixedSizeBinaryArray | None  # beside each row, null where it has no image; None: images were not read
    layout: dict[str, str]  # column of the shard that holds each fact
    status: tuple[int | str, ...] | None  # of the shard's file when it was scanned; None: it was not


class FilePlan(NamedTuple):
    """One data file to be."""

    path: str  # relative to the subset's folder
    parts: tuple[ShardRows, ...]  # in source order
    image_bytes: int  # of all rows; reckoned where images were not read

    @property
    def rows(self) -> int:
        """How many rows the file has."""
        return sum(len(part.rows) for part in self.parts)


def plan_files(shards: Sequence[Shard], scan: ScanReport, placement: Placement, *, images: bool) -> list[FilePlan]:
    """Return the data files of ``placement``; ``images`` says whether the scan read images."""
    readers = readable_shards(shards, scan)
    starts = first_row_ids(scan)
    signals = load_signals(scan, ["byte_length", "sha256", "z"])
    byte_length, sha256 = signals["byte_length"].to_numpy(), signals["sha256"].combine_chunks()
    levels = pc.fill_null(signals["z"], 0).to_numpy()
    means = [shard.byte_length // max(shard.rows, 1) for shard in scan.shards]
    plans = []
    for path, row_ids, places in placement.by_file():
        parts = []
        done = size = 0
        for index, within in by_shard(scan, row_ids):
            report = scan.shards[index]
            parts.append(
                ShardRows(
                    readers[index],
                    int(starts[index]),
                    within - starts[index],
                    places[done : done + len(within)],
                    levels[within],
                    sha256.take(pa.array(within)) if images else None,
                    report.layout,
                    report.status,
                )
            )
            done += len(within)
            size += int(byte_length[within].sum()) if images else means[index] * len(within)
        plans.append(FilePlan(path, tuple(parts), size))
    return plans

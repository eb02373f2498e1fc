"""What the report shows: columns for its figures, and seeded samples of pictures read from the source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.manifest import Manifest
from schemas.reasons import Reason, Stage
from schemas.reports import ScanReport
from tasks.report.page import Picture, ReportData, Sheet
from tasks.scan.images import byte_views
from tasks.signals import by_shard, first_row_ids, load_signals, readable_shards
from tasks.source import Shard, image_bytes, take_rows

KEPT_PICTURES = 24
REJECTED_PICTURES = 12
_SEED = 20_251_103

_FIGURE_COLUMNS = ("longitude", "latitude", "z", "img_quality_score", "caption_words")
_UNITS = {"resolution_m": " m/pixel", "ground_resolution_m": " m/pixel", "caption_words": " words", "width": " pixels"}
_MEASURED = {reason.measured for reason in Reason} - {None, "duplicate_distance"}
_NOTE_COLUMNS = ["img_name", "detail", *sorted(filter(None, _MEASURED))]


def gather(manifest: Manifest, shards: Sequence[Shard], scan: ScanReport, verdicts: Path) -> ReportData:
    """Return what :func:`tasks.report.page.render` needs; the same source and recipe give the same samples."""
    columns = load_signals(scan, _FIGURE_COLUMNS)
    judged = pq.read_table(verdicts, columns=["kept", "reasons", "duplicate_of", "duplicate_distance"])
    kept = judged["kept"].to_numpy()
    masks = judged["reasons"].to_numpy()
    primary = masks & (~masks + np.uint64(1))
    draws: dict[Reason | None, NDArray[np.int64]] = {None: _draw(np.flatnonzero(kept), KEPT_PICTURES)}
    for count in manifest.reasons:
        rows = np.flatnonzero(primary == np.uint64(count.reason.bit))
        if not len(rows):  # never first: show rows that carry it beside another
            rows = np.flatnonzero(masks & np.uint64(count.reason.bit))
        draws[count.reason] = _draw(rows, REJECTED_PICTURES)
    wanted = np.unique(np.concatenate(list(draws.values())))
    keepers = judged["duplicate_of"].take(wanted).drop_null().to_numpy()
    facts = _facts(scan, np.unique(np.concatenate([wanted, keepers])))
    pairs = _pairs(readable_shards(shards, scan), scan, wanted)
    sheets = {
        reason: tuple(
            Picture(*pairs[row], facts[row]["img_name"], _note(reason, facts[row], _keeper(judged, row, facts)))
            for row in rows.tolist()
        )
        for reason, rows in draws.items()
    }
    return ReportData(
        manifest=manifest,
        columns=columns,
        kept=kept,
        kept_sheet=Sheet("Kept", "A random sample of the subset.", int(kept.sum()), sheets[None]),
        rejected_sheets=tuple(
            Sheet(count.reason.value, count.reason.meaning, count.rows, sheets[count.reason])
            for count in manifest.reasons
        ),
    )


def _draw(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(_SEED).choice(rows, count, replace=False))


def _facts(scan: ScanReport, row_ids: NDArray[np.int64]) -> dict[int, dict[str, Any]]:
    starts = first_row_ids(scan)
    facts: dict[int, dict[str, Any]] = {}
    for index, rows in by_shard(scan, row_ids):
        table = pq.read_table(scan.shards[index].signals, columns=_NOTE_COLUMNS).take(rows - starts[index])
        facts |= zip(rows.tolist(), table.to_pylist(), strict=True)
    return facts


def _pairs(
    shards: Sequence[Shard], scan: ScanReport, row_ids: NDArray[np.int64]
) -> dict[int, tuple[bytes | None, str | None]]:
    starts = first_row_ids(scan)
    pairs: dict[int, tuple[bytes | None, str | None]] = {}
    for index, rows in by_shard(scan, row_ids):
        images: list[bytes | None] = []
        captions: list[str | None] = []
        for table in take_rows(shards[index].path, rows - starts[index]):
            for batch in table.to_batches():
                images += [bytes(view) if view else None for view in byte_views(image_bytes(batch))]
                captions += batch.column("caption").to_pylist()
        pairs |= zip(rows.tolist(), zip(images, captions, strict=True), strict=True)
    return pairs


def _keeper(judged: pa.Table, row: int, facts: dict[int, dict[str, Any]]) -> str | None:
    keeper = judged["duplicate_of"][row].as_py()
    if keeper is None:
        return None
    distance = judged["duplicate_distance"][row].as_py()
    return f"{facts[keeper]['img_name'] or f'row {keeper}'}, {distance} of 64 bits away"


def _note(reason: Reason | None, facts: dict[str, Any], keeper: str | None) -> str:
    if reason is None:
        score = facts["img_quality_score"]
        return "no score" if score is None else f"score {score:g}"
    if reason.stage is Stage.DEDUPLICATION:
        return f"like {keeper}"
    if reason.stage is Stage.VALIDATION and facts["detail"]:
        return str(facts["detail"])
    value = facts.get(reason.measured) if reason.measured else None
    return "" if value is None else f"{reason.measured}: {value:g}{_UNITS.get(str(reason.measured), '')}"

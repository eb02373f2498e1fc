"""What the report shows: columns for its figures, and seeded samples of pictures read from the source."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from upath import UPath

from schemas.manifest import Manifest
from schemas.reasons import Reason
from schemas.reports import ScanReport
from tasks.files import read_parquet
from tasks.report.groups import GROUPED, Draw, Merged, draw_groups, merged_rows, richest_pair, rows_of
from tasks.report.notes import (
    NOTED_SIGNALS,
    NOTED_VERDICTS,
    Facts,
    keeper_note,
    member_note,
    rejected_note,
    score_note,
)
from tasks.report.page import Group, GroupSheet, Picture, ReportData, Sheet
from tasks.signals import by_shard, first_row_ids, load_signals, readable_shards
from tasks.source.pairs import Pairs, read_pairs
from tasks.source.shards import Shard

KEPT_PICTURES = 24
REJECTED_PICTURES = 12
FETCHED_SHARDS = 4
_SEED = 20_251_103

_FIGURE_COLUMNS = ("longitude", "latitude", "z", "img_quality_score", "caption_words")


def gather(manifest: Manifest, shards: Sequence[Shard], scan: ScanReport, verdicts: UPath) -> ReportData:
    """Return what :func:`tasks.report.page.render` needs; the same source and recipe give the same samples."""
    columns, kept = figure_data(scan, verdicts)
    judged = read_parquet(verdicts, ["reasons", "duplicate_of", *NOTED_VERDICTS])
    masks = judged["reasons"].to_numpy()
    primary = masks & (~masks + np.uint64(1))
    merged = merged_rows(judged)
    near = _near(shards, scan, kept, merged)
    kept_rows = _draw(np.flatnonzero(kept & near), KEPT_PICTURES)
    rejected: dict[Reason, NDArray[np.int64]] = {}
    for count in manifest.reasons:
        if count.reason in GROUPED:
            continue
        rows = np.flatnonzero((primary == np.uint64(count.reason.bit)) & near)
        if not len(rows):  # never first: show rows that carry it beside another
            rows = np.flatnonzero((masks & np.uint64(count.reason.bit) != 0) & near)
        rejected[count.reason] = _draw(rows, REJECTED_PICTURES)
    groups = draw_groups(merged, near, seed=_SEED)
    wanted = np.unique(np.concatenate([kept_rows, *rejected.values(), rows_of(groups.values())]))
    known = _facts(scan, wanted)
    for row, verdict in zip(wanted.tolist(), judged.select(NOTED_VERDICTS).take(wanted).to_pylist(), strict=True):
        known[row] |= verdict
    pairs = read_pairs(readable_shards(shards, scan), scan, wanted)
    return ReportData(
        manifest=manifest,
        columns=columns,
        kept=kept,
        kept_sheet=Sheet(
            "Kept",
            "A random sample of the subset.",
            int(kept.sum()),
            tuple(_picture(row, pairs, known, score_note(known[row])) for row in kept_rows.tolist()),
        ),
        group_sheets=tuple(_group_sheet(reason, draw, pairs, known) for reason, draw in groups.items()),
        rejected_sheets=tuple(
            Sheet(
                count.reason.value,
                count.reason.meaning,
                count.rows,
                tuple(
                    _picture(row, pairs, known, rejected_note(count.reason, known[row]))
                    for row in rejected[count.reason].tolist()
                ),
            )
            for count in manifest.reasons
            if count.reason in rejected
        ),
    )


def figure_data(scan: ScanReport, verdicts: UPath) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Return what figures are drawn from: the columns of every source row, and which rows are kept."""
    return load_signals(scan, _FIGURE_COLUMNS), read_parquet(verdicts, ["kept"])["kept"].to_numpy()


def _group_sheet(reason: Reason, draw: Draw, pairs: Pairs, known: dict[int, Facts]) -> GroupSheet:
    groups = []
    for group in draw.shown:
        keeper = known[group.keeper]
        members = [
            _picture(row, pairs, known, member_note(reason, known[row], keeper), score_note(known[row]))
            for row in group.members
        ]
        shown = _picture(group.keeper, pairs, known, keeper_note(reason, keeper))
        groups.append(Group(shown, tuple(members), group.rows, group.elsewhere, group.why))
    return GroupSheet(reason.value, reason.meaning, draw.rows, draw.groups, tuple(groups))


def _picture(row: int, pairs: Pairs, known: dict[int, Facts], note: str, aside: str = "") -> Picture:
    image, caption = pairs[row]
    measured = known[row]
    problem = ""
    if image and measured["luma_std"] is None:  # it may hang or crash a decoder here as well
        problem = "cannot be decoded" if measured["byte_length"] else "was not read by the scan"
    return Picture(image, caption, measured["img_name"] or f"row {row:,}", note, aside, problem)


def _near(shards: Sequence[Shard], scan: ScanReport, kept: NDArray[np.bool_], merged: Merged) -> NDArray[np.bool_]:
    """Return the rows that pictures may be drawn from: all, or, where shards are fetched, a few that have kept rows.

    Of some hundred shards, few at random would hold no duplicate together with its keeper: two are those that hold
    most of them.
    """
    readers = readable_shards(shards, scan)
    near = np.ones(len(kept), np.bool_)
    if any(shard.remote is not None for shard in readers):
        starts = first_row_ids(scan)
        near[:] = False
        holding = np.array([index for index, _ in by_shard(scan, np.flatnonzero(kept))], np.int64)
        member, keeper = (np.searchsorted(starts, rows, side="right") - 1 for rows in (merged.row, merged.keeper))
        beside = np.isin(member, holding)  # a keeper's shard always holds a kept row
        rich = np.unique(np.array(richest_pair(member[beside], keeper[beside]) or (), np.int64))
        others = _draw(np.setdiff1d(holding, rich), FETCHED_SHARDS - len(rich))
        for index in [*rich.tolist(), *others.tolist()]:
            near[starts[index] : starts[index + 1]] = True
    return near


def _draw(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(_SEED).choice(rows, count, replace=False))


def _facts(scan: ScanReport, row_ids: NDArray[np.int64]) -> dict[int, Facts]:
    starts = first_row_ids(scan)
    known: dict[int, Facts] = {}
    for index, rows in by_shard(scan, row_ids):
        table = read_parquet(scan.shards[index].signals, NOTED_SIGNALS).take(rows - starts[index])
        known |= zip(rows.tolist(), table.to_pylist(), strict=True)
    return known

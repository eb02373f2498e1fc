"""What the report shows: columns for its figures, and seeded samples of pictures read from the source."""

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from upath import UPath

from schemas.manifest import Manifest
from schemas.reasons import Reason
from schemas.reports import ScanReport
from schemas.tables import SCORES
from tasks.files import read_parquet
from tasks.report.captions import count_phrases
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
from tasks.report.page import Group, GroupSheet, ReportData
from tasks.report.sheets import Picture, Sheet
from tasks.signals import by_shard, first_row_ids, load_signals, readable_shards
from tasks.source.columns import Layout
from tasks.source.pairs import Pairs, shard_pairs, shown_of
from tasks.source.read import at_hand
from tasks.source.shards import Shard

KEPT_PICTURES = 24
REJECTED_PICTURES = 12
FETCHED_SHARDS = 4
COUNTED_CAPTIONS = 10_000
"""Most captions of kept pairs that are counted, and most of rejected ones: their shares are right to a percent."""
COUNTED_SHARDS = 8
"""Most shards that captions are read of: some 35 MB of them at the size of Git-10M's."""
_SEED = 20_251_103

FIGURE_COLUMNS = ("longitude", "latitude", "z", "img_quality_score", "caption_words")
"""The signals that figures are drawn from."""


def gather(manifest: Manifest, shards: Sequence[Shard], scan: ScanReport, verdicts: UPath) -> ReportData:
    """Return what :func:`tasks.report.page.render` needs; the same source and recipe give the same samples."""
    columns, kept = figure_data(scan, verdicts)
    judged = read_parquet(verdicts, ["reasons", "duplicate_of", *NOTED_VERDICTS])
    masks = judged["reasons"].to_numpy()
    primary = masks & (~masks + np.uint64(1))
    merged = merged_rows(judged)
    near = _near(shards, scan, kept, merged)
    kept_rows = draw(np.flatnonzero(kept & near), KEPT_PICTURES)
    rejected: dict[Reason, NDArray[np.int64]] = {}
    for count in manifest.reasons:
        if count.reason in GROUPED:
            continue
        rows = np.flatnonzero((primary == np.uint64(count.reason.bit)) & near)
        if not len(rows):  # never first: show rows that carry it beside another
            rows = np.flatnonzero((masks & np.uint64(count.reason.bit) != 0) & near)
        rejected[count.reason] = draw(rows, REJECTED_PICTURES)
    groups = draw_groups(merged, near, seed=_SEED)
    wanted = np.unique(np.concatenate([kept_rows, *rejected.values(), rows_of(groups.values())]))
    known = _facts(scan, wanted)
    for row, verdict in zip(wanted.tolist(), judged.select(NOTED_VERDICTS).take(wanted).to_pylist(), strict=True):
        known[row] |= verdict
    read, drawn = _counted(scan, kept, near)
    pairs, captions = _read(readable_shards(shards, scan), scan, wanted, read)
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
        captions=count_phrases(*(itertools.compress(captions, side[read]) for side in (kept, ~kept))),
        captions_drawn=drawn,
    )


def figure_data(scan: ScanReport, verdicts: UPath) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Return what figures are drawn from: the columns of every source row, and which rows are kept."""
    judged = read_parquet(verdicts, ["kept", "split", *SCORES.names])
    columns = load_signals(scan, FIGURE_COLUMNS)
    for name in ("split", *SCORES.names):
        columns = columns.append_column(name, judged[name])
    return columns, judged["kept"].to_numpy()


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
        others = draw(np.setdiff1d(holding, rich), FETCHED_SHARDS - len(rich))
        for index in [*rich.tolist(), *others.tolist()]:
            near[starts[index] : starts[index + 1]] = True
    return near


def draw(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return at most ``count`` of ``rows``, ascending; the same ones each time."""
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


def _counted(scan: ScanReport, kept: NDArray[np.bool_], near: NDArray[np.bool_]) -> tuple[NDArray[np.int64], str]:
    """Return the rows whose captions are counted, ascending, and, where those are not all, what they are drawn from."""
    starts = first_row_ids(scan)
    holding = np.array([index for index, _ in by_shard(scan, np.flatnonzero(near))], np.int64)
    chosen = draw(holding, COUNTED_SHARDS)
    within = np.zeros(len(kept), np.bool_)
    for index in chosen.tolist():
        within[starts[index] : starts[index + 1]] = True
    rows = np.union1d(*(draw(np.flatnonzero(within & side), COUNTED_CAPTIONS) for side in (kept, ~kept)))
    if len(rows) == len(kept):
        return rows, ""
    return rows, f", drawn at random from {len(chosen):,} of {len(scan.shards):,} shards"


def _read(
    shards: Sequence[Shard], scan: ScanReport, shown: NDArray[np.int64], counted: NDArray[np.int64]
) -> tuple[Pairs, list[str | None]]:
    """Return the pairs of the rows ``shown``, and the captions of the rows ``counted``; both are ascending."""
    starts = first_row_ids(scan)
    pairs: Pairs = {}
    captions: list[str | None] = []
    of_pairs, of_captions = dict(by_shard(scan, shown)), dict(by_shard(scan, counted))
    for index in sorted(of_pairs.keys() | of_captions.keys()):
        layout = shown_of(Layout(**scan.shards[index].layout))
        with at_hand(shards[index]):  # for both
            if index in of_pairs:
                rows = of_pairs[index]
                pairs |= zip(rows.tolist(), shard_pairs(shards[index], rows - starts[index], layout), strict=True)
            if index in of_captions:
                local = of_captions[index] - starts[index]
                captions += (caption for _, caption in shard_pairs(shards[index], local, layout._replace(image=None)))
    return pairs, captions

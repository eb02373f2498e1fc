"""Contact sheets of the pairs that lie on both sides of a threshold."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.thresholds import Limits
from tasks.browse.controls import Control
from tasks.browse.opening import Opened
from tasks.browse.trial import End, Trial
from tasks.report.thumbnails import Thumbnail, thumbnail
from tasks.source.pairs import read_pairs
from tasks.source.shards import ShardUnreadable

PICTURES = 8
"""On each side."""

_THUMBNAIL_BYTES = 12_000
_SIDES: dict[End, str] = {"low": "≥", "high": "≤"}


class Shown(NamedTuple):
    """One pair."""

    row: int
    value: float  # of the threshold's signal
    caption: str | None
    thumbnail: Thumbnail


class Sheet(NamedTuple):
    """Pairs on both sides of one end of a range."""

    control: Control
    sign: str  # ≥ or ≤
    limit: float
    kept: tuple[Shown, ...]
    lost: tuple[Shown, ...]
    problem: str = ""  # why there are no pictures


def draw_sheets(opened: Opened, trial: Trial, limits: Mapping[str, Limits], draw: int) -> tuple[Sheet, ...]:
    """Return a sheet for each end of a range that is not open; another ``draw`` shows other pairs."""
    sides = [
        (control, end, trial.both_sides(limits, control.key, end, count=PICTURES, draw=draw))
        for control in trial.controls
        for end in _SIDES
        if getattr(limits.get(control.key, Limits()), end) is not None
    ]
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *(rows for _, _, found in sides for rows in found)]))
    problem = ""
    try:
        pairs = read_pairs(opened.shards, opened.scan, rows)
    except (ShardUnreadable, OSError) as error:
        pairs, problem = {}, f"The pictures cannot be read: {error}"
    # A pair may lie beside several limits: its picture is made small once.
    small = {row: thumbnail(image, budget_bytes=_THUMBNAIL_BYTES) for row, (image, _) in pairs.items()}

    def shown(control: Control, side: NDArray[np.int64]) -> tuple[Shown, ...]:
        values = trial.values(control.key, side)
        return tuple(
            Shown(row, value, pairs[row][1], small[row])
            for row, value in zip(side.tolist(), values.tolist(), strict=True)
            if row in pairs
        )

    return tuple(
        Sheet(
            control,
            _SIDES[end],
            getattr(limits[control.key], end),
            shown(control, found.kept),
            shown(control, found.lost),
            problem,
        )
        for control, end, found in sides
    )

"""What each row is told by its own signals: rules that it breaks, thresholds that it misses, piece by piece."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from schemas.reasons import Reason
from schemas.reports import Threshold
from schemas.subset import Subset
from schemas.tables import SIGNALS
from tasks.select.area import inside, read_area
from tasks.select.basis import Basis
from tasks.select.lists import listed_rows
from tasks.select.masks import Mask, bit, number
from tasks.select.thresholds import (
    apply_thresholds,
    columns_for,
    columns_needed,
    quantile_columns,
    require_columns,
    require_duplicate_columns,
    resolve_thresholds,
)
from tasks.spill import copied


class Held(NamedTuple):
    """What all rows break and miss."""

    reject: Mask  # shape (rows,)
    flag: Mask  # shape (rows,)
    thresholds: tuple[Threshold, ...]  # as numbers


def require_all_columns(subset: Subset, basis: Basis) -> None:
    """Check that the source has what rows are chosen and told apart by.

    Raises:
        ColumnAbsent: naming the key and the column.
        NotEmbedded: if the subset asks a scorer of which there are no vectors.
    """
    for signal in subset.scored():
        basis.scored(signal, subset)
    absent = basis.scan.absent
    require_columns(_some_values(basis, columns_needed(subset, absent)), subset, absent)
    require_duplicate_columns(basis.recipe.deduplication, absent)


def hold_against_all(subset: Subset, basis: Basis) -> Held:
    """Hold every row against the recipe's rules and the thresholds of ``subset``.

    Raises:
        NoValues: if a threshold is a quantile and no valid row has a value.
        AreaInvalid, ListInvalid: if a file that the subset names is not what it should be.
    """
    broken = basis.broken
    quantiles = quantile_columns(subset)
    values = basis.load(quantiles, subset) if quantiles else SIGNALS.empty_table()
    thresholds = resolve_thresholds(values, broken.reject == 0, subset)
    del values
    area = None if subset.area is None else read_area(subset.area.path)
    reject = copied(broken.reject)
    flag = copied(broken.flag) if subset.caption_words.action == "flag" else broken.flag  # no other threshold flags
    columns = columns_for(subset)

    def hold_against_thresholds(place: slice, signals: pa.Table) -> None:
        missed = apply_thresholds(signals, subset, thresholds)
        reject[place] |= missed.reject
        if missed.flag.any():
            flag[place] |= missed.flag
        if area is not None:
            there = inside(area, number(signals, "longitude"), number(signals, "latitude"))
            reject[place] |= bit(Reason.AREA_OUTSIDE, ~there)

    deque(basis.in_pieces(columns, hold_against_thresholds, subset) if columns else (), 0)
    if subset.include is not None:
        reject |= bit(Reason.NOT_INCLUDED, ~listed_rows(basis.scan, subset.include))
    if subset.exclude is not None:
        reject |= bit(Reason.EXCLUDED, listed_rows(basis.scan, subset.exclude, all_there=False))
    return Held(reject, flag, thresholds)


def _some_values(basis: Basis, columns: Sequence[str]) -> pa.Table:
    """Return rows that have a value in each of ``columns`` that some row has one in."""
    found = SIGNALS.empty_table().select(columns)
    for signals in basis.in_pieces(columns, lambda _, table: table) if columns else ():
        found = pa.concat_tables([found, *(_first_value(signals, name) for name in columns)])
        if all(found[name].null_count < len(found) for name in columns):
            break
    return found


def _first_value(signals: pa.Table, name: str) -> pa.Table:
    valid = signals[name].is_valid().to_numpy()
    return signals.slice(int(valid.argmax()), 1)

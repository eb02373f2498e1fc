"""What each row is told by its own signals: the rules and thresholds that it breaks, piece by piece."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reasons import Reason
from schemas.recipe import Recipe
from schemas.reports import ScanReport, Threshold
from schemas.subset import Subset
from schemas.tables import SIGNALS
from tasks.select.area import inside, read_area
from tasks.select.lists import listed_rows
from tasks.select.masks import Mask, bit, number
from tasks.select.rules import RULE_COLUMNS, by_action, rules_broken
from tasks.select.thresholds import (
    apply_thresholds,
    columns_for,
    columns_needed,
    quantile_columns,
    require_columns,
    require_duplicate_columns,
    resolve_thresholds,
)
from tasks.signals import in_pieces, load_signals
from tasks.spill import room


class Held(NamedTuple):
    """What all rows break."""

    reject: Mask  # shape (rows,)
    flag: Mask  # shape (rows,)
    thresholds: tuple[Threshold, ...]  # as numbers


def require_all_columns(recipe: Recipe, subset: Subset, scan: ScanReport) -> None:
    """Check that the source has what rows are chosen and told apart by.

    Raises:
        ColumnAbsent: naming the key and the column.
    """
    require_columns(_some_values(scan, columns_needed(subset, scan.absent)), subset, scan.absent)
    require_duplicate_columns(recipe.deduplication, scan.absent)


def hold_against_rules(recipe: Recipe, subset: Subset, scan: ScanReport, repeated: NDArray[np.int64]) -> Held:
    """Hold every row against the recipe's rules and the subset's thresholds.

    Args:
        recipe, subset: whose rules and thresholds.
        scan: what was scanned.
        repeated: ``row_id``s, ascending, whose ``img_name`` an earlier row has.

    Raises:
        NoValues: if a threshold is a quantile and no valid row has a value.
        AreaInvalid, ListInvalid: if a file that the subset names is not what it should be.
    """
    reject, flag = room(scan.rows, np.uint64), room(scan.rows, np.uint64)

    def hold_against_rules_of_all(place: slice, signals: pa.Table) -> None:
        again = np.zeros(len(signals), np.bool_)
        again[repeated[slice(*np.searchsorted(repeated, [place.start, place.stop]))] - place.start] = True
        reject[place], flag[place] = by_action(rules_broken(signals, recipe.validation, again), recipe.validation)

    unused = {"img_name_xxh3", *(() if recipe.validation.image_size is not None else ("width", "height"))}
    deque(in_pieces(scan, [name for name in RULE_COLUMNS if name not in unused], hold_against_rules_of_all), 0)
    quantiles = quantile_columns(subset)
    values = load_signals(scan, quantiles) if quantiles else SIGNALS.empty_table()
    thresholds = resolve_thresholds(values, reject == 0, subset)
    del values
    area = None if subset.area is None else read_area(subset.area.path)
    columns = columns_for(subset)

    def hold_against_thresholds(place: slice, signals: pa.Table) -> None:
        missed = apply_thresholds(signals, subset, thresholds)
        reject[place] |= missed.reject
        flag[place] |= missed.flag
        if area is not None:
            there = inside(area, number(signals, "longitude"), number(signals, "latitude"))
            reject[place] |= bit(Reason.AREA_OUTSIDE, ~there)

    deque(in_pieces(scan, columns, hold_against_thresholds) if columns else (), 0)
    if subset.include is not None:
        reject |= bit(Reason.NOT_INCLUDED, ~listed_rows(scan, subset.include))
    if subset.exclude is not None:
        reject |= bit(Reason.EXCLUDED, listed_rows(scan, subset.exclude, all_there=False))
    return Held(reject, flag, thresholds)


def _some_values(scan: ScanReport, columns: Sequence[str]) -> pa.Table:
    """Return rows that have a value in each of ``columns`` that some row has one in."""
    found = SIGNALS.empty_table().select(columns)
    for signals in in_pieces(scan, columns, lambda _, table: table) if columns else ():
        found = pa.concat_tables([found, *(_first_value(signals, name) for name in columns)])
        if all(found[name].null_count < len(found) for name in columns):
            break
    return found


def _first_value(signals: pa.Table, name: str) -> pa.Table:
    valid = signals[name].is_valid().to_numpy()
    return signals.slice(int(valid.argmax()), 1)

"""What all subsets of a recipe are selected by: found when the first asks for it, and the same for all others."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport
from schemas.tables import CONTAMINATED
from tasks.files import read_parquet
from tasks.select.draw import identify_rows
from tasks.select.masks import Masks
from tasks.select.rules import RULE_COLUMNS, by_action, rules_broken
from tasks.signals import Kept, in_pieces, load_signals, of_rows
from tasks.spill import room

if TYPE_CHECKING:
    from tasks.deduplicate.kinships import Kinships
    from tasks.select.copies import Copies
    from tasks.select.duplicates import KeeperElections

_T = TypeVar("_T")


class Basis:
    """Signals, kinships and broken rules of a source. Its arrays are not to be written to."""

    def __init__(self, recipe: Recipe, scan: ScanReport, duplicates: DeduplicateReport):
        self.recipe = recipe
        self.scan = scan
        self.duplicates = duplicates
        self._kept = Kept()

    def in_pieces(self, columns: Sequence[str], work: Callable[[slice, pa.Table], _T]) -> Iterator[_T]:
        """Yield what ``work`` makes of pieces of the signals (:func:`tasks.signals.in_pieces`)."""
        return in_pieces(self.scan, columns, work, self._kept)

    def of_rows(
        self, columns: Sequence[str], row_ids: NDArray[np.int64], work: Callable[[slice, pa.Table], _T]
    ) -> Iterator[_T]:
        """Yield what ``work`` makes of the signals of ``row_ids`` (:func:`tasks.signals.of_rows`)."""
        return of_rows(self.scan, columns, row_ids, work, self._kept)

    def load(self, columns: Sequence[str]) -> pa.Table:
        """Return ``columns`` of all signals."""
        return load_signals(self.scan, columns, self._kept)

    @cached_property
    def kinships(self) -> "Kinships":
        """Rows that may be duplicates."""
        # Numba takes half a second to import.
        from tasks.deduplicate.kinships import bring_kinships_up_to_date, read_kinships

        settings, found = self.recipe.deduplication, self.duplicates
        files = found.path, found.semantic
        return read_kinships(bring_kinships_up_to_date(self.scan, settings, *files, self.recipe.workspace))

    @cached_property
    def elections(self) -> "KeeperElections":
        """Who is kept of rows that are duplicates of each other."""
        from tasks.select.duplicates import KeeperElections

        near = self.duplicates.path is not None
        return KeeperElections(self.kinships, self.recipe.deduplication, near=near)

    @cached_property
    def copies(self) -> "Copies":
        """Which rows are copies of each other, however many steps apart."""
        from tasks.select.copies import find_copies

        return find_copies(self.kinships)

    @cached_property
    def contaminated(self) -> pa.Table:
        """Rows that are copies of reference pictures (:data:`schemas.tables.CONTAMINATED`)."""
        path = self.duplicates.contaminated
        return CONTAMINATED.empty_table() if path is None else read_parquet(path)

    @cached_property
    def broken(self) -> Masks:
        """The validation rules that each row breaks."""
        validation, kinships = self.recipe.validation, self.kinships
        repeated = np.sort(kinships.row_id[kinships.repeated])  # an earlier row has their img_name
        masks = Masks(room(self.scan.rows, np.uint64), room(self.scan.rows, np.uint64))

        def hold_against_rules(place: slice, signals: pa.Table) -> None:
            again = np.zeros(len(signals), np.bool_)
            again[repeated[slice(*np.searchsorted(repeated, [place.start, place.stop]))] - place.start] = True
            masks.reject[place], flagged = by_action(rules_broken(signals, validation, again), validation)
            if flagged.any():  # memory that nobody writes to takes no room
                masks.flag[place] = flagged

        unused = {"img_name_xxh3", *(() if validation.image_size is not None else ("width", "height"))}
        deque(self.in_pieces([name for name in RULE_COLUMNS if name not in unused], hold_against_rules), 0)
        return masks

    @cached_property
    def identity(self) -> NDArray[np.uint64]:
        """What each row is drawn by, shape (rows,)."""
        identity = room(self.scan.rows, np.uint64)

        def identify(place: slice, table: pa.Table) -> None:
            identity[place] = identify_rows(table["sha256"], table["img_name_xxh3"], place.start)

        # Read once, and too large to be kept.
        deque(in_pieces(self.scan, ["sha256", "img_name_xxh3"], identify), 0)
        return identity

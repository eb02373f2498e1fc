"""What all subsets of a recipe are selected by: found when the first asks for it, and the same for all others."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.embedding import EmbedReport
from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport
from schemas.subset import SCORED, ScoredSignal, Subset
from schemas.tables import CONTAMINATED, SCORES
from schemas.thresholds import ScorerRange
from tasks.embed.vectors import NotEmbedded, load_scores
from tasks.files import read_parquet
from tasks.select.draw import identify_rows
from tasks.select.masks import Masks
from tasks.select.rules import RULE_COLUMNS, by_action, rules_broken
from tasks.signals import Kept, in_pieces, load_signals, of_rows
from tasks.spill import kept_in_room, room

if TYPE_CHECKING:
    from tasks.deduplicate.kinships import Kinships
    from tasks.select.copies import Copies
    from tasks.select.duplicates import KeeperElections

_T = TypeVar("_T")


class Basis:
    """Signals, kinships, broken rules and scores of a source. Its arrays are not to be written to."""

    def __init__(
        self, recipe: Recipe, scan: ScanReport, duplicates: DeduplicateReport, embedded: Sequence[EmbedReport] = ()
    ):
        self.recipe = recipe
        self.scan = scan
        self.duplicates = duplicates
        self.embedded = tuple(embedded)
        self._kept = Kept()
        self._scores: dict[tuple[str, ...], NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def in_pieces(
        self, columns: Sequence[str], work: Callable[[slice, pa.Table], _T], subset: Subset | None = None
    ) -> Iterator[_T]:
        """Yield what ``work`` makes of pieces of the signals (:func:`tasks.signals.in_pieces`).

        Args:
            columns: of :data:`schemas.tables.SIGNALS`, and of :data:`schemas.tables.SCORES`.
            work: is given ``row_id``s and a table.
            subset: that asks for scores.
        """
        plain, scores = self._apart(columns, subset)

        def made(place: slice, table: pa.Table) -> _T:
            return work(place, _beside(table, {name: values[place] for name, values in scores.items()}))

        return in_pieces(self.scan, plain, made if scores else work, self._kept)

    def of_rows(
        self,
        columns: Sequence[str],
        row_ids: NDArray[np.int64],
        work: Callable[[slice, pa.Table], _T],
        subset: Subset | None = None,
    ) -> Iterator[_T]:
        """Yield what ``work`` makes of the signals of ``row_ids`` (:func:`tasks.signals.of_rows`), and of scores."""
        plain, scores = self._apart(columns, subset)

        def made(here: slice, table: pa.Table) -> _T:
            return work(here, _beside(table, {name: values[row_ids[here]] for name, values in scores.items()}))

        return of_rows(self.scan, plain, row_ids, made if scores else work, self._kept)

    def load(self, columns: Sequence[str], subset: Subset | None = None) -> pa.Table:
        """Return ``columns`` of all signals, and of scores."""
        plain, scores = self._apart(columns, subset)
        return _beside(load_signals(self.scan, plain, self._kept) if plain else pa.table({}), scores)

    def scored(self, signal: ScoredSignal, subset: Subset) -> NDArray[np.float32]:
        """Return what the scorers that ``subset`` asks tell of each row, shape (rows,), NaN for nothing.

        Of several it is the mean of their standard scores (:func:`tasks.select.scores.mean_of_standard_scores`).

        Raises:
            NotEmbedded: if there are no vectors of one.
        """
        from tasks.select.scores import mean_of_standard_scores

        limits: ScorerRange = getattr(subset, signal)
        names = tuple(one.name for one in self.recipe.scorers if not limits.scorers or one.name in limits.scorers)
        known = {report.scorer: report for report in self.embedded}
        if missing := [name for name in names if name not in known]:
            told = f"subset {subset.name}: {signal} needs vectors of {', '.join(missing)}"
            raise NotEmbedded(f"{told} for {self.scan.rows:,} rows; run git10m embed")
        with self._lock:  # of several that ask, one reads
            if (signal, *names) not in self._scores:
                told_by_each = [load_scores(known[name], signal) for name in names]
                if len(names) > 1:
                    told_by_each = [mean_of_standard_scores(told_by_each, self.broken.reject == 0)]
                self._scores[signal, *names] = kept_in_room(told_by_each[0])
            return self._scores[signal, *names]

    def _apart(self, columns: Sequence[str], subset: Subset | None) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
        """Return those of ``columns`` that are signals, and of the others all values."""
        plain = [name for name in columns if name not in SCORES.names]
        if subset is None or len(plain) == len(columns):
            return plain, {}
        return plain, {name: self.scored(name, subset) for name in SCORED if name in columns}

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


def _beside(table: pa.Table, scores: Mapping[str, NDArray[np.float32]]) -> pa.Table:
    """Return ``table``, which may have no column, with ``scores`` as columns, null for NaN."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table(columns | {name: pa.array(values, from_pandas=True) for name, values in scores.items()})

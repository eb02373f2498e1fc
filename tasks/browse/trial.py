"""What a subset would hold under other thresholds, told at once: all that decides is in memory."""

import threading
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.reasons import REASONS, Stage
from schemas.reports import Funnel
from schemas.subset import Subset
from schemas.tables import SCORES, SIGNALS
from schemas.thresholds import Limits
from tasks.browse._count import Counts, count_rows
from tasks.browse.controls import CONTROLS, WHOLE, Control, limits_of, stays, without
from tasks.select.basis import Basis
from tasks.select.criteria import hold_against_all, require_all_columns
from tasks.select.masks import number
from tasks.select.thresholds import quantile_columns, resolve_thresholds

STAGES = tuple(stage for stage in Stage if stage not in (Stage.SPLITS, Stage.SAMPLING))
"""Stages that can be told at once; what is drawn of what is left comes after them."""

_DUPLICATE = np.uint8(1 << STAGES.index(Stage.DEDUPLICATION))
_CELLS = 90 * 180
_NO_BAR = 255
_MOST_BARS = 60
_SAMPLED = 200_000
"""Rows that contact sheets are drawn from: so many that some lie beside any threshold."""
_NEAREST = 48
_TAIL = 0.001
_SHOWN = ("quality", "caption_words", "zoom", *SCORES.names)

_FLOAT32 = frozenset(field.name for field in (*SIGNALS, *SCORES) if pa.types.is_float32(field.type))

End = Literal["low", "high"]


class Scale(NamedTuple):
    """Where the values of a signal lie, but for the outermost 0.1 % on each side."""

    low: float
    high: float
    step: float  # of bars


class Figure(NamedTuple):
    """One histogram."""

    control: Control
    edges: NDArray[np.float64]  # shape (bars + 1,); the outer bars hold what lies beyond as well
    source: Counts  # shape (bars,)
    missing: int  # rows without a value


class Outcome(NamedTuple):
    """What is kept under some limits."""

    funnel: Funnel
    figures: tuple[Counts, ...]  # kept rows by bar, for each figure of the trial
    cells: Counts  # kept rows by cell of 2 degrees, shape (90, 180), from the south-west


class Sides(NamedTuple):
    """Rows that lie nearest to one end of a range, on both sides of it, and pass all else."""

    kept: NDArray[np.int64]
    lost: NDArray[np.int64]


class Trial:
    """One source, and one subset whose thresholds are moved. Threads may ask at the same time."""

    def __init__(self, basis: Basis, subset: Subset, at_hand: NDArray[np.bool_] | None = None):
        """Load what decides.

        Args:
            basis: what the subset is selected by.
            subset: where to begin.
            at_hand: shape (rows,): rows that contact sheets may show; None: all.

        Raises:
            ColumnAbsent: if a threshold needs a column that the source does not have.
            NotEmbedded: if a scorer is asked of which there are no vectors.
            NoValues: if a threshold is a quantile and no valid row has a value.
            AreaInvalid, ListInvalid: if a file that the subset names is not what it should be.
        """
        require_all_columns(subset, basis)
        self.rows = basis.scan.rows
        self._lock = threading.Lock()
        self._kinships, self._elections = basis.kinships, basis.elections
        quantiles = quantile_columns(subset)
        counted = basis.load(quantiles, subset) if quantiles else pa.table({})
        thresholds = resolve_thresholds(counted, basis.broken.reject == 0, subset)
        self.limits = limits_of(subset, thresholds)
        self._fixed = _by_stage(hold_against_all(without(subset, self.limits), basis).reject)
        self._fixed[basis.contaminated["row_id"].to_numpy()] |= _DUPLICATE
        self.stays = tuple(stays(subset, self.limits))
        self._values: dict[str, NDArray[Any]] = {}
        self.scales: dict[str, Scale] = {}
        for control in CONTROLS:
            if control.key not in self.limits or (values := _load(basis, subset, control.signal)) is None:
                continue
            scale = _scale(values, control.signal in WHOLE)
            if scale.low < scale.high or self.limits[control.key] != Limits():  # else no limit parts the rows
                self._values[control.key], self.scales[control.key] = values, scale
        self.controls = tuple(control for control in CONTROLS if control.key in self._values)
        shown = [control for control in self.controls if control.key in _SHOWN]
        self._bars = np.full((len(shown), self.rows), _NO_BAR, np.uint8)
        edges = [self._lay_bars(at, control) for at, control in enumerate(shown)]
        self._cells = _cells(basis)
        _, of_bars, of_cells = self._count(np.zeros(self.rows, np.uint8))
        self.cells = of_cells
        self.figures = tuple(
            Figure(control, edge, counts[: len(edge) - 1], int(counts[_NO_BAR]))
            for control, edge, counts in zip(shown, edges, of_bars, strict=True)
        )
        self._missed: dict[str, NDArray[np.bool_]] = {}
        self._judged: dict[str, Limits] | None = None
        self._stages = self._fixed
        self._sample = _draw(self.rows, at_hand)

    def outcome(self, limits: Mapping[str, Limits]) -> Outcome:
        """Return what is kept under ``limits``, by key; what is left out is open."""
        with self._lock:
            self._judge(limits)
            values, of_bars, cells = self._count(self._stages)
        return Outcome(
            _funnel(values),
            tuple(
                counts[: len(figure.source)] for counts, figure in zip(of_bars, self.figures, strict=True)
            ),
            cells,
        )  # fmt: skip

    def both_sides(self, limits: Mapping[str, Limits], key: str, end: End, *, count: int, draw: int) -> Sides:
        """Return up to ``count`` kept rows that lie nearest to one end of a range, and as many that miss it alone.

        Another ``draw`` gives other rows of those that lie near.
        """
        limit = getattr(limits[key], end)
        rows = self._sample
        with self._lock:
            self._judge(limits)
            kept = self._stages[rows] == 0
            alone = self._fixed[rows] == 0
            alone &= (self._stages[rows] & _DUPLICATE) == 0
            for other, missed in self._missed.items():
                alone &= missed[rows] if other == key else ~missed[rows]
        values = self._values[key][rows]
        alone &= values < limit if end == "low" else values > limit
        rng = np.random.default_rng(draw)
        apart = np.abs(values.astype(np.float64) - limit)
        return Sides(*(rows[_nearest(np.flatnonzero(side), apart, count, rng)] for side in (kept, alone)))

    def values(self, key: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what the threshold ``key`` is held against of some rows, NaN where they have no value."""
        return self._values[key][rows].astype(np.float64)

    def _judge(self, limits: Mapping[str, Limits]) -> None:
        """Bring the bits of the stages that reject a row up to date, where they are those of other limits."""
        wanted = {control.key: limits.get(control.key, Limits()) for control in self.controls}
        if wanted == self._judged:
            return
        stages = self._fixed.copy()
        for control in self.controls:
            ends = wanted[control.key]
            if self._judged is None or ends != self._judged[control.key]:
                self._missed[control.key] = self._misses(control, ends)
            if ends != Limits():
                bits = self._missed[control.key].view(np.uint8) << STAGES.index(control.stage)
                np.bitwise_or(stages, bits, out=stages)
        row_id = self._kinships.row_id
        thinned = self._elections.thin(stages[row_id] == 0)
        stages[row_id[thinned.copies]] |= _DUPLICATE
        self._stages, self._judged = stages, wanted

    def _misses(self, control: Control, limits: Limits) -> NDArray[np.bool_]:
        values = self._values[control.key]
        missed = np.zeros(self.rows, np.bool_)
        for limit, held in ((limits.low, np.greater_equal), (limits.high, np.less_equal)):
            if limit is not None:
                # As the signal is stored; and float64, for NumPy would round a plain float to the values' own type.
                limit = np.float64(np.float32(limit)) if control.signal in _FLOAT32 else np.float64(limit)
                missed |= ~held(values, limit)
        return missed

    def _lay_bars(self, at: int, control: Control) -> NDArray[np.float64]:
        values, scale = self._values[control.key], self.scales[control.key]
        half = scale.step / 2 if control.signal in WHOLE else 0.0
        bars = max(1, round((scale.high - scale.low) / scale.step) + (1 if half else 0))
        edges = scale.low - half + scale.step * np.arange(bars + 1)
        finite = np.isfinite(values)
        place = np.searchsorted(edges, values[finite], side="right") - 1
        self._bars[at, finite] = np.clip(place, 0, bars - 1).astype(np.uint8)
        return np.asarray(edges, np.float64)

    def _count(self, stages: NDArray[np.uint8]) -> tuple[Counts, Counts, Counts]:
        values, of_bars, of_cells = count_rows(stages, self._bars, self._cells, _CELLS + 1)
        return values, of_bars, of_cells[:_CELLS].reshape(90, 180)


def _by_stage(masks: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return a bit for each stage that has a reason in a row's mask; shape (rows,)."""
    stages = np.zeros(len(masks), np.uint8)
    for place, stage in enumerate(STAGES):
        bits = np.uint64(sum(reason.bit for reason in REASONS if reason.stage is stage))
        stages |= ((masks & bits) != 0).view(np.uint8) << place
    return stages


def _load(basis: Basis, subset: Subset, signal: str) -> NDArray[Any] | None:
    """Return a signal of all rows, NaN for null: in float32 where that holds each value exactly, in half the memory.

    None: no row has a value, or there are no vectors that would tell one.
    """
    if signal in SCORES.names and len(basis.embedded) < max(len(basis.recipe.scorers), 1):
        return None
    for dtype in (np.float32, np.float64):
        values = np.empty(basis.scan.rows, dtype)

        def take_in(place: slice, signals: pa.Table, into: NDArray[Any] = values) -> tuple[bool, bool]:
            given = number(signals, signal)
            with np.errstate(over="ignore"):
                into[place] = given
            return np.array_equal(into[place], given, equal_nan=True), bool(np.isfinite(given).any())

        exact, some = np.array(list(basis.in_pieces([signal], take_in, subset)), np.bool_).reshape(-1, 2).T
        if not some.any():
            return None
        if exact.all():
            break
    return values


def _scale(values: NDArray[Any], whole: bool) -> Scale:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Scale(0, 1, 1)
    some = np.random.default_rng(0).choice(finite, 1_000_000) if len(finite) > 1_000_000 else finite
    low, high = np.quantile(some.astype(np.float64), [_TAIL, 1 - _TAIL], method="nearest").tolist()
    step = _round_step((high - low) / _MOST_BARS)
    step = max(1.0, np.ceil(step)) if whole else step
    return Scale(float(np.floor(low / step) * step), float(np.ceil(high / step) * step), float(step))


def _round_step(step: float) -> float:
    """Return the least of 1, 2, 5 times a power of ten that is not below ``step``."""
    if step <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(power * digit for digit in (1, 2, 5, 10) if power * digit >= step * (1 - 1e-9)))


def _cells(basis: Basis) -> NDArray[np.uint16]:
    """Return the cell of 2 degrees that each row's tile centre lies in, from the south-west; the last for no place."""
    cells = np.full(basis.scan.rows, _CELLS, np.uint16)

    def place(at: slice, signals: pa.Table) -> None:
        longitude, latitude = number(signals, "longitude"), number(signals, "latitude")
        there = np.isfinite(longitude) & np.isfinite(latitude)
        x = np.clip((longitude[there] + 180) // 2, 0, 179)
        y = np.clip((latitude[there] + 90) // 2, 0, 89)
        cells[at][there] = (y * 180 + x).astype(np.uint16)

    for _ in basis.in_pieces(["longitude", "latitude"], place):
        pass
    return cells


def _draw(rows: int, at_hand: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    candidates = np.arange(rows) if at_hand is None else np.flatnonzero(at_hand)
    if len(candidates) <= _SAMPLED:
        return candidates
    return np.sort(np.random.default_rng(0).choice(candidates, _SAMPLED, replace=False))


def _nearest(
    rows: NDArray[np.int64], apart: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return ``count`` of ``rows``, drawn from those that are least ``apart`` from a limit."""
    apart = apart[rows]
    if len(rows) > _NEAREST:
        farthest = np.partition(apart, _NEAREST - 1)[_NEAREST - 1]
        nearer, equal = rows[apart < farthest], rows[apart == farthest]
        rows = np.concatenate([nearer, rng.choice(equal, _NEAREST - len(nearer), replace=False)])
    return np.sort(rng.permutation(rows)[:count])


def _funnel(values: Counts) -> Funnel:
    combination = np.arange(1, len(values))
    first = combination & -combination
    rejected: dict[Stage, int] = {
        stage: int(values[1:][first == 1 << place].sum()) for place, stage in enumerate(STAGES)
    }
    return Funnel.of(int(values.sum()), rejected)

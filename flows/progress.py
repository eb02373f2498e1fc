"""Progress on a terminal: a bar for the stage at work, and one line when it is done. Silent when nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Literal

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from flows.terminal import plain

console = Console(stderr=True)

_NAME_COLUMNS = 22  # a longer name ends in an ellipsis while the stage is at work; all else is told in 80 columns


Unit = Literal["bytes", "rows", "items"]
"""What a stage is counted in."""


class StageBar:
    """The bar of one stage. Threads may move it at the same time."""

    def __init__(self, name: str, bars: Progress, unit: Unit | None, total: int | None, items: int, done: str):
        self._name = name
        self._bars = bars
        self._unit = unit
        self._bar = bars.add_task(plain(name), total=total, rows=0, unit=unit)
        self._begun = monotonic()
        self._lock = Lock()
        self._rows = self._items = 0
        self._under_way: dict[str, int] = {}
        self._told = f"of {items:,} {done}" if items else ""

    def advance(self, *, rows: int = 0, byte_length: int = 0, item: str = "") -> None:
        """Count an item as done: so many rows and bytes, with those that :meth:`move` counted of it."""
        with self._lock:
            self._items += 1
            self._count(rows - self._under_way.pop(item, 0), byte_length, 1)

    def move(self, item: str, rows: int) -> None:
        """Count so many rows of an item that is not done, in place of those that were counted of it before."""
        with self._lock:
            self._count(rows - self._under_way.get(item, 0), 0, 0)
            self._under_way[item] = rows

    def _count(self, rows: int, byte_length: int, items: int) -> None:
        self._rows += rows
        advance = {"bytes": byte_length, "rows": rows, "items": items, None: 0}[self._unit]
        self._bars.update(self._bar, advance=advance, rows=self._rows)

    @property
    def so_far(self) -> str:
        """What is done, in words; empty where it is not counted."""
        if not self._told:
            return ""
        rows = sum(list(self._under_way.values()))
        return f"{self._items:,} {self._told}" + (f", and {rows:,} rows more" if rows else "")

    def finish(self, line: str) -> None:
        """Say in one line what the stage did, and how long it took."""
        if console.is_interactive:
            took, name = _duration(monotonic() - self._begun), plain(self._name)
            told = plain(line)
            console.print(
                f"[bold green]✓[/] [dim]{took:>8}[/] [bold]{name}[/]: {told}", highlight=False, soft_wrap=True
            )


class _Speeds(ProgressColumn):
    """What is done, and how many rows and bytes a second, of late."""

    def render(self, task: Task) -> Text:
        rows, speed, unit = task.fields["rows"], task.speed or 0.0, task.fields["unit"]
        if unit == "items":
            return Text(f"{task.completed:,.0f} of {task.total:,.0f}", style="progress.data.speed")
        told = [f"{rows:,} rows" if rows or unit == "rows" else decimal(int(task.completed))]
        if rows and task.completed and speed:
            rows_s = rows / task.completed * speed
            told.append(f"{rows_s:,.0f} rows/s" if rows_s >= 10 else f"{rows_s:.1f} rows/s")
        if speed and unit == "bytes":
            told.append(f"{decimal(int(speed))}/s")
        return Text(" ".join(told), style="progress.data.speed")


@contextmanager
def stage(
    name: str,
    *,
    rows: int | None = None,
    byte_length: int | None = None,
    items: int = 0,
    done: str = "",
    of_late: float = 30,
) -> Iterator[StageBar]:
    """Show how far a stage is, for the length of a ``with`` block.

    Args:
        name: of the stage.
        rows: the whole work, where no ``byte_length`` is given.
        byte_length: the whole work [bytes].
        items: how many times :meth:`StageBar.advance` will be called; the whole work, where neither is given and it is
            more than one. Work that cannot be counted has none of them.
        done: what such items are, and that they are done, as in ``shards are scanned``.
        of_late: what the speed is of [s].
    """
    global _at_work
    totals: dict[Unit, int | None] = {"bytes": byte_length, "rows": rows, "items": items if items > 1 else None}
    unit = next((unit for unit, total in totals.items() if total is not None), None)
    described = TextColumn("{task.description}", table_column=Column(max_width=_NAME_COLUMNS, no_wrap=True))
    counted = (described, BarColumn(None), TaskProgressColumn(), _Speeds(Column(no_wrap=True)), TimeRemainingColumn())
    columns = counted if unit else (SpinnerColumn(), described, TimeElapsedColumn())
    hidden = not console.is_interactive or console.quiet
    bars = Progress(
        *columns,
        console=console,
        transient=True,
        expand=unit is not None,
        disable=hidden,
        speed_estimate_period=of_late,
    )
    with bars:
        _at_work = StageBar(name, bars, unit, totals[unit] if unit else None, items, done)
        yield _at_work
    _at_work = None  # in no `finally`: of what an exception ends, as Prefect's on SIGTERM, it is told how far it was


_at_work: StageBar | None = None


def so_far() -> str:
    """Return what of the stage at work is done, as in ``612 of 787 shards are scanned``; it takes no lock."""
    return _at_work.so_far if _at_work is not None else ""


def _duration(seconds: float) -> str:
    """Return how long something took, for a reader.

    >>> _duration(0.42), _duration(61), _duration(45_296)
    ('0.4 s', '1:01', '12:34:56')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

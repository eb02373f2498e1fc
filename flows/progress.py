"""Progress on a terminal: one bar a stage, and one line when it is done. Silent when nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

console = Console(stderr=True)


class StageBar:
    """The bar of one stage. Threads may call :meth:`advance` at the same time."""

    def __init__(self, name: str, bars: Progress, total: float | None):
        self._name = name
        self._bars = bars
        self._task = bars.add_task(name, total=total, done="")
        self._rows = 0

    def advance(self, *, rows: int, work: float) -> None:
        """Add ``rows`` done, which were ``work`` of the total."""
        self._rows += rows
        elapsed = self._bars.tasks[self._task].elapsed
        done = f"{self._rows:,} rows" + (f" {self._rows / elapsed:,.0f} rows/s" if elapsed else "")
        self._bars.update(self._task, advance=work, done=done)

    def finish(self, line: str) -> None:
        """Say in one line what the stage did."""
        if console.is_terminal:
            console.print(f"[bold green]✓[/] {self._name:<26} {line}", highlight=False)


@contextmanager
def stage(name: str, total: float | None = None) -> Iterator[StageBar]:
    """Show a bar for the length of a ``with`` block.

    ``total`` is in the unit of ``advance(work=…)``; None for work that cannot be counted.
    """
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield StageBar(name, bars, total)

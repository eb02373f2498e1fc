"""What ``git10m inspect`` prints of a source."""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from flows.as_json import as_json as json_of
from flows.progress import stage
from flows.terminal import plain
from schemas.inspection import Bin, InspectReport
from schemas.recipe import Engine
from schemas.source import Source
from tasks.inspection import inspect_source
from tasks.source.places.fetch import FetchCache

_BARS = " ▁▂▃▄▅▆▇█"
_CAPTION = 300  # characters of a caption that are shown


def run_inspect(source: Source, *, as_json: bool = False) -> InspectReport:
    """Look at ``source`` and print what it is."""
    with stage("inspect"), TemporaryDirectory(prefix="git10m-") as folder:
        report = inspect_source(source, FetchCache(Path(folder), Engine().fetched_bytes))
    if as_json:
        print(json_of(report))
    else:
        print_inspection(report, Console())
    return report


def print_inspection(report: InspectReport, out: Console) -> None:
    """Print ``report`` in as many columns as the terminal has."""
    rows = f"{report.rows:,}" if report.rows_exact else f"about {report.rows:,}"
    told = {
        "source": report.source,
        "format": report.format,
        "revision": report.revision or "not given",
        "shards": f"{report.shards:,}, {report.byte_length / 1e6:,.1f} MB",
        "rows": f"{rows}; looked at {report.seen_rows:,} in {report.seen_shards} of {report.shards:,} shards",
    }
    if report.absent:
        told["no column for"] = ", ".join(report.absent)
    for name, value in told.items():
        out.print(f"[bold]{name:<14}[/]{plain(value)}", highlight=False)
    for problem in report.problems:
        out.print(f"[bold red]{'problem':<14}[/]{plain(problem)}", highlight=False)
    out.print(_columns(report))
    for name, bins in report.histograms.items():
        out.print(f"[bold]{name:<14}[/]{_histogram(bins)}", highlight=False, markup=True)
    for number, sample in enumerate(report.samples, start=1):
        table = Table.grid(padding=(0, 2))
        table.title, table.title_justify = f"row {number} of {len(report.samples)}", "left"
        for fact, value in sample.items():
            table.add_row(fact, plain(value if len(value) <= _CAPTION else value[: _CAPTION - 1] + "…"))
        out.print("", table)


def _columns(report: InspectReport) -> Table:
    table = Table("column", "dtype", "nulls", "holds", title_justify="left")
    for column in report.columns:
        nulls = f"{column.nulls:,}" + (f" ({column.nulls / report.seen_rows:.0%})" if column.nulls else "")
        holds = "" if column.fact is None else "yes" if column.fact == column.name else column.fact
        table.add_row(plain(column.name), plain(column.dtype), nulls, holds)
    return table


def _histogram(bins: tuple[Bin, ...]) -> str:
    if not bins:
        return "[dim]no value[/]"
    most = max(bin.rows for bin in bins)
    bars = "".join(_BARS[-(-bin.rows * (len(_BARS) - 1) // most)] if most else " " for bin in bins)
    low, high = f"{bins[0].low:.4g}", f"{bins[-1].high:.4g}"
    ends = low if low == high else f"{low} … {high}"
    return f"{bars}  {plain(ends)}; {sum(bin.rows for bin in bins):,} rows"

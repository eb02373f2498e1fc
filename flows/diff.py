"""What ``git10m diff`` prints of two subsets."""

from typing import Any

from rich.console import Console
from rich.table import Table
from upath import UPath

from flows.as_json import as_json as json_of
from flows.terminal import plain
from schemas.difference import Change, Difference, ReasonRows
from tasks.diff.rows import write_rows
from tasks.diff.stage import compare
from tasks.diff.verdicts import Sides


def run_diff(
    a: UPath, b: UPath, *, rows: UPath | None = None, page: UPath | None = None, as_json: bool = False
) -> Difference:
    """Compare the subsets in ``a`` and ``b`` and print what differs; errors as :meth:`tasks.diff.verdicts.Sides.of`.

    Args:
        a: a subset's folder.
        b: that of the one to hold against it.
        rows: where to write the rows lost and gained, a Parquet file.
        page: where to write a page that shows the difference, an HTML file.
        as_json: print the difference as JSON, and nothing else.
    """
    sides = Sides.of(a, b)
    difference = compare(sides)
    if rows is not None:
        write_rows(sides, rows)
    if page is not None:
        from tasks.diff.page import gather  # matplotlib takes a second to import
        from tasks.files import write_text
        from tasks.report.comparison import render_comparison

        write_text(page, render_comparison(gather(sides, difference)))
    if as_json:
        print(json_of(difference))
        return difference
    out = Console()
    print_difference(difference, out)
    if rows is not None:
        told = f"{difference.lost_rows + difference.gained_rows:,} rows lost or gained are in {rows}"
        out.print(plain(told), highlight=False, soft_wrap=True)
    if page is not None:
        out.print(plain(f"the page is {page}"), highlight=False, soft_wrap=True)
    return difference


def print_difference(found: Difference, out: Console) -> None:
    """Print ``found`` in as many columns as the terminal has."""
    for name, side in (("A", found.a), ("B", found.b)):
        out.print(f"[bold]{name}[/] {plain(str(side.directory))}", highlight=False, soft_wrap=True)
    if found.same_manifest:
        out.print(f"the same subset, byte for byte: {found.both:,} rows", highlight=False)
        return
    out.print(_sizes(found))
    own = [(name, side) for name, side in (("A", found.a), ("B", found.b)) if side.own_shards]
    for name, side in own:
        told = f"{side.own_shards:,} of {side.shards:,} shards, {side.own_rows:,} rows"
        out.print(f"only in the source of {name}: {told}", highlight=False)
    if found.same_rows:
        out.print(f"[bold]the same {found.both:,} rows in the same splits[/]", highlight=False)
    for title, counts, other in (("lost", found.lost, "B"), ("gained", found.gained, "A")):
        if counts:
            out.print(_reasons(title, counts, other))
    for move in found.moved:
        out.print(f"moved from split {plain(move.a)} to {plain(move.b)}: {move.rows:,} rows", highlight=False)
    for title, changes in (
        ("recipe", found.recipe),
        ("thresholds as numbers", found.thresholds),
        ("vectors of scorers", tuple(map(_shortened, found.vectors))),
        ("versions", found.versions),
    ):
        if changes:
            out.print(_changes(title, changes))


def _sizes(found: Difference) -> Table:
    table = _table("", "", "A", "B", "B - A")
    a, b = found.a, found.b
    rows: list[tuple[str, int | None, int | None]] = [
        ("rows of the source", a.source_rows, b.source_rows),
        ("rows kept", a.kept, b.kept),
        *((f"split {name}", a.splits.get(name, 0), b.splits.get(name, 0)) for name in {**a.splits, **b.splits}),
        ("image bytes", a.image_bytes, b.image_bytes),
    ]
    for name, one, other in rows:
        change = "" if one is None or other is None else f"{other - one:+,}"
        table.add_row(plain(name), *("not known" if value is None else f"{value:,}" for value in (one, other)), change)
    return table


def _reasons(title: str, counts: tuple[ReasonRows, ...], other: str) -> Table:
    total = sum(count.rows for count in counts)
    table = _table(f"{title}: {total:,} rows", f"primary reason in {other}", "rows")
    for count in counts:
        reason = f"not in the source of {other}" if count.reason is None else count.reason.value
        table.add_row(reason, f"{count.rows:,}")
    return table


def _changes(title: str, changes: tuple[Change, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("key", "A", "B"):
        table.add_column(heading, overflow="fold")
    for change in changes:
        table.add_row(plain(change.key.removeprefix("subsets.0.")), _told(change.a), _told(change.b))
    return table


def _shortened(change: Change) -> Change:
    """Return a change of a SHA-256 with as many digits as are told apart."""
    return change.model_copy(update={"a": change.a[:12], "b": change.b[:12]})


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    table.add_column(first)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _told(value: Any) -> str:
    if value is None:
        return "[dim]none[/]"
    if isinstance(value, list):
        return plain(", ".join(map(str, value)) or "none")
    return plain(f"{value:.6g}" if isinstance(value, float) else str(value))

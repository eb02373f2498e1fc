"""A funnel as a table, for the terminal and for the Prefect UI."""

from rich.table import Table

from schemas.reports import Funnel


def funnel_rows(funnel: Funnel) -> list[dict[str, str]]:
    """Return table rows: stage, rows rejected there, rows left, and what part of all that is."""
    rows = [{"stage": "source", "rejected": "", "left": f"{funnel.source_rows:,}", "left %": "100.0"}]
    for step in funnel.told:
        left = {"left": f"{step.left:,}", "left %": funnel.share(step.left)}
        rows.append({"stage": step.stage.value, "rejected": f"{step.rejected:,}", **left})
    return rows


def funnel_table(funnel: Funnel, title: str | None = None) -> Table:
    """Return :func:`funnel_rows` as the terminal shows them."""
    table = Table("stage", title=title, title_justify="left")
    for heading in ("rejected", "left", "left %"):
        table.add_column(heading, justify="right")
    for row in funnel_rows(funnel):
        table.add_row(*row.values())
    return table

"""The demo: real map tiles with planted defects, curated, and the defects counted again."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from rich.table import Table

from flows.console import out, run_curate
from flows.recipes import load_recipe
from schemas.errors import CurationError
from schemas.reasons import REASONS
from tasks.demo.planted import Planted
from tasks.demo.source import make_source

RECIPE = Path(__file__).parents[1] / "deployments" / "recipes" / "demo.yaml"


class DefectsMissed(CurationError):
    """A planted defect was not found: the program is wrong."""


def run_demo(directory: Path) -> None:
    """Make the demo's source in ``directory``, curate it, and hold what was found against what was planted.

    Raises:
        DefectsMissed: if a planted row does not carry its reason.
    """
    demo = make_source(directory / "source")
    folders = {"source.path": "source", "output.dir": "subsets", "workspace": "workspace"}
    recipe = load_recipe(RECIPE, [f"{key}={directory / folder}" for key, folder in folders.items()])
    report = run_curate(recipe)
    _compare(Planted.load(demo.directory), report.subsets[0].directory)


def _compare(planted: Planted, subset: Path) -> None:
    rejected = pq.read_table(subset / "rejected.parquet", columns=["row_id", "reasons"]).to_pylist()
    reasons = {row["row_id"]: row["reasons"] for row in rejected}
    missed = [row for row in planted.planted if row.reason not in reasons.get(row.row_id, ())]
    found = Counter(row.reason for row in planted.planted) - Counter(row.reason for row in missed)
    ours = {row.row_id for row in planted.planted}
    natural = Counter(code for row_id, codes in reasons.items() if row_id not in ours for code in codes)
    table = Table(title=f"planted defects, found in {subset.name}", title_justify="left")
    for heading in ("reason", "planted", "found", "beside them"):
        table.add_column(heading, justify="left" if heading == "reason" else "right")
    for reason in REASONS:
        if planted.counts.get(reason) or natural[reason]:
            counts = (planted.counts.get(reason, 0), found[reason], natural[reason])
            table.add_row(reason.value, *(f"{count:,}" for count in counts))
    out.print(table)
    if missed:
        rows = ", ".join(f"{row.row_id} ({row.reason})" for row in missed[:5])
        raise DefectsMissed(f"planted {len(ours)} defects, found {len(ours) - len(missed)}; missed rows {rows}")
    out.print(f"planted {len(ours)}, found {len(ours)}", highlight=False)

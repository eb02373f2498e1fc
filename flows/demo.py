"""The demo: real map tiles with planted defects, curated, and the defects counted again."""

from collections import Counter
from pathlib import Path

from rich.table import Table
from upath import UPath

from flows.console import out, run_curate
from flows.recipes import load_recipe
from schemas.errors import CurationError
from schemas.reasons import REASONS
from schemas.recipe import ValidationRules
from schemas.tables import INDEX_FILE, REJECTED_FILE
from tasks.demo.planted import Planted
from tasks.demo.reference import make_reference
from tasks.demo.source import make_source
from tasks.files import read_parquet

RECIPE = Path(__file__).parents[1] / "deployments" / "recipes" / "demo.yaml"


class DefectsMissed(CurationError):
    """A planted defect was not found: the program is wrong."""


def run_demo(directory: Path) -> None:
    """Make the demo's source and reference set in ``directory``, curate, and hold what was found against the planted.

    Raises:
        DefectsMissed: if a planted row does not carry its reason, as one to reject or as a flag.
    """
    demo = make_source(directory / "source")
    make_reference(directory / "reference.parquet")
    places = {
        "source.path": "source",
        "deduplication.references.0.path": "reference.parquet",
        "output.dir": "subsets",
        "workspace": "workspace",
    }
    recipe = load_recipe(RECIPE, [f"{key}={directory / place}" for key, place in places.items()])
    report = run_curate(recipe)
    _compare(Planted.load(demo.directory), report.subsets[0].directory, recipe.validation.rules)


def _compare(planted: Planted, subset: UPath, rules: ValidationRules) -> None:
    reasons = _codes(subset / REJECTED_FILE, "reasons") | _codes(subset / INDEX_FILE, "flags")
    missed = [row for row in planted.planted if row.reason not in reasons[row.row_id]]
    found = Counter(row.reason for row in planted.planted) - Counter(row.reason for row in missed)
    ours = {row.row_id for row in planted.planted}
    natural = Counter(code for row_id, codes in reasons.items() if row_id not in ours for code in codes)
    table = Table(title=f"planted defects, found in {subset.name}", title_justify="left")
    for heading in ("reason", "action"):
        table.add_column(heading)
    for heading in ("planted", "found", "beside them"):
        table.add_column(heading, justify="right")
    for reason in REASONS:
        if planted.counts.get(reason) or natural[reason]:
            counts = (planted.counts.get(reason, 0), found[reason], natural[reason])
            action = getattr(rules, reason.value, "reject")  # a duplicate is always rejected
            table.add_row(reason.value, action, *(f"{count:,}" for count in counts))
    out.print(table)
    if missed:
        rows = ", ".join(f"{row.row_id} ({row.reason})" for row in missed[:5])
        raise DefectsMissed(f"planted {len(ours)} defects, found {len(ours) - len(missed)}; missed rows {rows}")
    out.print(f"planted {len(ours)}, found {len(ours)}", highlight=False)


def _codes(path: UPath, column: str) -> dict[int, list[str]]:
    rows = read_parquet(path, ["row_id", column])
    return dict(zip(rows["row_id"].to_pylist(), rows[column].to_pylist(), strict=True))

"""What ``git10m plan`` prints: what a run would read, keep and write."""

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from flows.as_json import as_json as json_of
from flows.funnel import funnel_table
from flows.progress import stage
from flows.terminal import plain
from schemas.plan import DuplicatesPlan, Outcome, Place, Plan, SourcePlan, SubsetPlan
from schemas.recipe import Recipe
from tasks.planning.plan import plan_run

_TOP_REASONS = 5
_PLACES: dict[Place, str] = {
    "new": "will be written",
    "unchanged": "is there already, just so, and stays as it is",
    "kept": "is a version that is kept, and will be the latest again",
    "changed": "holds another version, beside which a new one is written",
    "there": "holds a version already, beside which a new one is written if it differs",
    "in the way": "is no subset, and in the way",
}
_NEAR = {
    "off": "are off",
    "reused": "are there, and reused",
    "extended": "are there for a part of the rows, and will be extended",
    "searched": "will be searched for",
}


def run_plan(recipe: Recipe, *, search: bool = False, as_json: bool = False) -> Plan:
    """Tell what a run of ``recipe`` would do, in words or as JSON."""
    with stage("plan"):
        plan = plan_run(recipe, search=search)
    if as_json:
        print(json_of(plan))
    else:
        print_plan(plan, Console())
    return plan


def print_plan(plan: Plan, out: Console) -> None:
    """Print ``plan`` in as many columns as the terminal has."""
    out.print(_sources(plan))
    _tell(out, "near-duplicates", _near(plan.duplicates))
    if plan.duplicates.semantic != "off":
        _tell(out, "semantic", _semantic(plan.duplicates))
    if plan.references:
        _tell(out, "references", _copies(plan.duplicates))
    for scorer in plan.scorers:
        size = f", {decimal(scorer.new_bytes)} of vectors" if scorer.new_bytes else ""
        told = [f"vectors of {scorer.known_rows:,} rows are there, and reused"] if scorer.known_rows else []
        told += [f"{scorer.new_rows:,} rows to embed{size}"] if scorer.new_rows else []
        told += ["those of shards to scan to embed"] if plan.source.new_shards else []
        _tell(out, "scorer", f"{scorer.name}: {'; '.join(told)}")
    for disk in plan.disks:
        needed = "" if not disk.needed_bytes else f"about {decimal(disk.needed_bytes)} "
        free = f"{decimal(disk.free_bytes)} are free"
        _tell(out, "disk", f"{needed}{disk.holds} in {disk.folder}; {free}")
    if any(source.fetched_bytes for source in (plan.source, *plan.references)):
        _tell(out, "fetched", f"at most {decimal(plan.fetched_limit_bytes)} at once, by engine.fetched_bytes")
    for reason in plan.estimate:
        _tell(out, "not exact", reason, style="bold yellow")
    for subset in plan.subsets:
        _print_subset(subset, plan, out)
    for problem in plan.problems:
        _tell(out, "problem", problem, style="bold red")


def _sources(plan: Plan) -> Table:
    table = Table("source")
    for heading in ("shards", "size", "scanned", "rows", "to scan", "to fetch"):
        table.add_column(heading, justify="right")
    for source in (plan.source, *plan.references):
        table.add_row(plain(source.name), *_numbers(source))
    return table


def _numbers(source: SourcePlan) -> tuple[str, ...]:
    return (
        f"{source.shards:,}",
        decimal(source.known_bytes + source.new_bytes),
        f"{source.known_shards:,}",
        f"{source.known_rows:,}",
        f"{source.new_shards:,}" + (f": {decimal(source.new_bytes)}" if source.new_shards else ""),
        decimal(source.fetched_bytes) if source.fetched_bytes else "-",
    )


def _near(plan: DuplicatesPlan) -> str:
    pairs = "" if plan.pairs is None or plan.near == "off" else f"; {plan.pairs:,} pairs among the rows scanned"
    if plan.near == "reused":
        pairs = f": {plan.pairs:,} pairs"
    new = f" by {plan.new_rows:,} rows" if plan.near == "extended" and plan.new_rows is not None else ""
    return f"{_NEAR[plan.near]}{new}{pairs}"


def _semantic(plan: DuplicatesPlan) -> str:
    pairs = "" if plan.semantic_pairs is None else f"; {plan.semantic_pairs:,} pairs among the rows scanned"
    return ("reused" if plan.semantic == "reused" else "will be searched for") + pairs


def _copies(plan: DuplicatesPlan) -> str:
    found = "" if plan.contaminated_rows is None else f"; {plan.contaminated_rows:,} rows are copies"
    return ("compared already" if plan.references == "reused" else "will be compared") + found


def _print_subset(subset: SubsetPlan, plan: Plan, out: Console) -> None:
    out.print()
    if subset.outcome is not None:
        of = f", of the {subset.outcome.rows:,} rows scanned so far" if plan.source.new_shards else ""
        label = f" [bold yellow](estimate{of})[/]" if plan.estimate else ""
        title = f"[italic]{subset.subset}[/]{label}"
        out.print(title, highlight=False)
        out.print(funnel_table(subset.outcome.funnel))
        _print_outcome(subset.outcome, out)
    else:
        out.print(f"[italic]{subset.subset}[/]")
        _tell(out, "outcome", subset.problem or "not known before something is scanned")
    _tell(out, "folder", f"{subset.directory} {_PLACES[subset.place]}")


def _print_outcome(outcome: Outcome, out: Console) -> None:
    images = "" if outcome.image_bytes is None else f", {decimal(outcome.image_bytes)} of images"
    _tell(out, "kept", f"{outcome.kept:,} rows{images}")
    _tell(out, "splits", ", ".join(f"{name} {rows:,}" for name, rows in outcome.splits.items()))
    files = f"{outcome.data_files:,} data files, " if outcome.data_files else "no data file, "
    _tell(out, "on disk", f"{files}about {decimal(outcome.estimated_bytes)} in all")
    if outcome.refetched_bytes:
        again = f"up to {decimal(outcome.refetched_bytes)} of {outcome.read_shards:,} shards, to copy rows from"
        _tell(out, "fetched again", again)
    if outcome.thresholds:
        _tell(out, "thresholds", "; ".join(map(str, outcome.thresholds)))
    reasons = sorted(outcome.reasons, key=lambda count: -count.primary)
    if reasons:
        told = ", ".join(f"{count.reason.value} {count.primary:,}" for count in reasons[:_TOP_REASONS])
        more = len(reasons) - _TOP_REASONS
        _tell(out, "reasons", told + (f", and {more} more" if more > 0 else ""))


def _tell(out: Console, what: str, told: str, *, style: str = "bold") -> None:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=15)
    grid.add_column(overflow="fold")
    grid.add_row(f"[{style}]{what}[/]", plain(told))
    out.print(grid, highlight=False)

"""What ``git10m explain`` prints of a row."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from upath import UPath

from flows.as_json import as_json as json_of
from flows.terminal import plain
from schemas.explanation import Answer, Explanation, Outcome, Relative, RuleOutcome, Value
from schemas.reasons import Reason
from tasks.explain.stage import explain

_STYLES = {Outcome.REJECTED: "bold red", Outcome.FLAGGED: "yellow", Outcome.PASSED: "green"}
_UNITS = {"resolution_m": "m/pixel", "ground_resolution_m": "m/pixel", "byte_length": "bytes"}


def run_explain(
    directory: UPath, asked: str, *, workspace: UPath | None = None, by_name: bool = False, as_json: bool = False
) -> Answer:
    """Explain rows of the subset in ``directory`` and print it; errors as :func:`tasks.explain.stage.explain`."""
    answer = explain(directory, asked, workspace=workspace, by_name=by_name)
    if as_json:
        print(json_of(answer))
    else:
        print_answer(answer, Console())
    return answer


def print_answer(answer: Answer, out: Console) -> None:
    """Print ``answer`` in as many columns as the terminal has."""
    if answer.found_rows > 1:
        told = f"{answer.found_rows:,} rows have the img_name {answer.asked}"
        shown = "" if answer.found_rows == len(answer.rows) else f"; the first {len(answer.rows)} are told"
        out.print(plain(told + shown), highlight=False)
    for row in answer.rows:
        _print_row(answer, row, out)


def _print_row(answer: Answer, row: Explanation, out: Console) -> None:
    named = row.row
    name = "without img_name" if named.img_name is None else repr(named.img_name)[1:-1]  # it may have newlines
    out.print(
        f"\n[bold]row {named.row_id}[/] {plain(name)}: {_verdict(answer, row)}",
        highlight=False,
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(row):
        facts.add_row(name, plain(value))
    out.print(facts, "", _rules(row.rules))
    for note in row.notes:
        out.print(f"[yellow]note[/] {plain(note)}", highlight=False)


def _verdict(answer: Answer, row: Explanation) -> str:
    subset = plain(answer.subset)
    if row.place is not None:
        flags = f", flagged {', '.join(row.flags)}" if row.flags else ""
        return f"[bold green]kept[/] in {subset}, split {plain(row.place.split)}{flags}"
    assert row.primary_reason is not None
    return f"[bold red]not in[/] {subset}: {row.primary_reason.value}\n{row.primary_reason.meaning}"


def _facts(row: Explanation) -> list[tuple[str, str]]:
    facts = [("source", f"{row.row.shard}, row {row.row.row}")]
    if row.place is not None:
        facts += [("place", f"{row.place.file}, row {row.place.file_row}"), ("read it", row.place.how)]
    if len(row.reasons) > 1:
        facts.append(("reasons", ", ".join(row.reasons)))
    if row.flags and not row.kept:
        facts.append(("flags", ", ".join(row.flags)))
    if row.detail:
        facts.append(("detail", row.detail))
    if row.duplicate_of is not None:
        facts.append(("duplicate of", _relative(row.duplicate_of)))
    if row.contamination is not None:
        facts.append(("copy of", f"{row.contamination.reference}, {_bits(row.contamination.distance)}"))
    facts += [("has copies", _relative(copy)) for copy in row.duplicates]
    if row.duplicate_rows > len(row.duplicates):
        facts.append(("", f"and {row.duplicate_rows - len(row.duplicates):,} more rows"))
    return facts + _measured(row.measured)


def _relative(other: Relative) -> str:
    told = [f"row {other.row.row_id} {other.row.img_name or 'without img_name'}"]
    if other.reason is not None:
        told.append(other.reason.value)
    if other.reason is Reason.DUPLICATE_NEAR:
        told.append(f"{_bits(other.distance)}, similarity {_number(other.similarity)}")
    if other.reason is Reason.DUPLICATE_SEMANTIC:
        told.append(f"cosine {_number(other.similarity)}")
    return ", ".join(told)


def _bits(distance: float | None) -> str:
    return "distance not known" if distance is None else f"{distance:g} bit{'' if distance == 1 else 's'}"


def _measured(values: dict[str, Value]) -> list[tuple[str, str]]:
    if not values:
        return []

    def told(*names: str, joint: str = ", ") -> str:
        """Return the values that are there, with name and unit."""
        known = [name for name in names if values[name] is not None]
        return joint.join(f"{name} {_number(values[name])} {_UNITS.get(name, '')}".strip() for name in known) or "none"

    def joined(*names: str, joint: str) -> str:
        return "none" if values[names[0]] is None else joint.join(_number(values[name]) for name in names)

    declared = values["caption_words_declared"]
    words = f"{values['caption_words']} words" + ("" if declared is None else f", declared {declared}")
    tile = joined("z", "x", "y", joint="/") if values["x"] is not None else _number(values["z"])
    size = joined("width", "height", joint=" x ")
    centre = "" if values["x"] is None else f", centre {joined('longitude', 'latitude', joint=', ')} degrees"
    return [
        ("score", _number(values["img_quality_score"])),
        ("caption", words),
        ("tile z/x/y", tile + centre),
        ("resolution", told("resolution_m", "ground_resolution_m")),
        ("image", f"{_number(values['format'])} {_number(values['mode'])}, {size}, {told('byte_length')}"),
        ("luma", told("luma_mean", "luma_std", "sharpness", "nodata_fraction", "structure")),
        ("SHA-256", _number(values["sha256"])),
        ("phash", _number(values["phash"])),
    ]


def _rules(rules: tuple[RuleOutcome, ...]) -> Table:
    """Return every rule with what was measured, what was expected and what it said."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("rule", no_wrap=True)
    table.add_column("measured", overflow="fold", max_width=16)
    table.add_column("expected", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    for rule in rules:
        style = _STYLES.get(rule.outcome, "dim")
        measured = "" if rule.measured is None else plain(_number(rule.measured))
        outcome = f"[{style}]{rule.outcome.value}[/]"
        table.add_row(rule.rule.value, measured, plain(rule.limit), outcome)
    return table


def _number(value: Value) -> str:
    """Return a value as a person reads it: whole numbers whole, others to 6 digits."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return str(value)

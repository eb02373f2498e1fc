"""The page of a comparison: two subsets side by side, on the same axes, in one HTML file that loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.difference import Change, Difference, ReasonRows
from schemas.manifest import Manifest
from tasks.report.html import cut, template
from tasks.report.plots import Side, compared
from tasks.report.sheets import THUMBNAILS_BYTES, Card, Sheet, card

_PICTURES = 360
_VALUE_CHARACTERS = 300
_CHANGES = 500


@dataclass(frozen=True)
class ComparisonData:
    """What the page is made of.

    ``figures`` are the two sides, A and B, or why there are no figures; ``lost`` and ``gained`` are sheets titled with
    the other subset's reason codes, and why there are none, or nothing.
    """

    difference: Difference
    manifests: tuple[Manifest, Manifest]
    figures: tuple[Side, Side] | str
    lost: tuple[tuple[Sheet, ...], str]
    gained: tuple[tuple[Sheet, ...], str]


def render_comparison(data: ComparisonData) -> str:
    """Return the page as HTML: self-contained, the same for the same data; at most 5 MB."""
    found = data.difference
    maps, distributions = compared(*data.figures) if not isinstance(data.figures, str) else ((), ())
    sheets = len(data.lost[0]) + len(data.gained[0])
    most = _PICTURES // max(sheets, 1)
    budget_bytes = THUMBNAILS_BYTES // max(sum(len(s.pictures[:most]) for s in (*data.lost[0], *data.gained[0])), 1)

    def cards(sheet: Sheet) -> list[Card]:
        return [card(picture, budget_bytes) for picture in sheet.pictures[:most]]

    changes = [
        _Changes(
            title=title,
            counts=counts,
            total=sum(count.rows for count in counts),
            whole=max(whole, 1),
            other=other,
            side=side,
            sheets=[(sheet, cards(sheet)) for sheet in pictures],
            missing=missing,
            anchors={sheet.title: f"{title.lower()}-{number}" for number, sheet in enumerate(pictures, 1)},
        )
        for title, counts, whole, other, side, (pictures, missing) in (
            ("Lost", found.lost, found.a.kept, "B", "a", data.lost),
            ("Gained", found.gained, found.b.kept, "A", "b", data.gained),
        )
    ]
    settings = [
        (title, _told(values[:_CHANGES]), max(0, len(values) - _CHANGES))
        for title, values in (
            ("Recipe", found.recipe),
            ("Thresholds as numbers", found.thresholds),
            ("Vectors of scorers", found.vectors),
            ("Versions", found.versions),
        )
        if values
    ]
    sections = [
        ("Funnels", True),
        *((change.title, change.counts) for change in changes),
        ("Settings", settings),
        ("Figures", True),
        ("Provenance", True),
    ]
    return template("comparison.html.j2").render(
        found=found,
        manifests=data.manifests,
        changes=changes,
        settings=settings,
        maps=maps,
        distributions=distributions,
        no_figures=data.figures if isinstance(data.figures, str) else "",
        sections=[(name.lower(), name) for name, shown in sections if shown],
    )


@dataclass(frozen=True)
class _Changes:
    title: str
    counts: tuple[ReasonRows, ...]
    total: int
    whole: int
    other: str
    side: str
    sheets: list[tuple[Sheet, list[Card]]]
    missing: str
    anchors: dict[str, str]


def _told(changes: Sequence[Change]) -> list[tuple[str, str, str]]:
    return [(change.key.removeprefix("subsets.0."), _value(change.a), _value(change.b)) for change in changes]


def _value(value: Any) -> str:
    if value is None or value == []:
        return "none"
    told = (
        ", ".join(map(str, value)) if isinstance(value, list) else f"{value:.6g}" if isinstance(value, float) else value
    )
    return cut(str(told), _VALUE_CHARACTERS)

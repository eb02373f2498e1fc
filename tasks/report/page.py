"""The report page: everything a person needs to judge a subset, in one HTML file that loads nothing."""

import json
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.manifest import Manifest
from tasks.report.captions import Phrases
from tasks.report.groups import GROUPS, MEMBERS
from tasks.report.html import template
from tasks.report.plots import distributions, maps, split_plot
from tasks.report.reasons import reason_bars
from tasks.report.sheets import GROUP_CAPTION_CHARACTERS, THUMBNAILS_BYTES, Card, Picture, Sheet, card

_PICTURES_A_SHEET = 24
_REJECTED_PICTURES = 412  # those in groups included
_GROUP_PICTURES = 252
_QUARANTINED = 50


@dataclass(frozen=True)
class Group:
    """A kept pair and examples of those rejected in its favour."""

    keeper: Picture
    members: tuple[Picture, ...]
    rows: int  # rejected in its favour for the sheet's reason, shown or not
    elsewhere: int = 0  # and for other duplicate reasons
    why: str | None = None  # it was chosen; None where all groups are shown


@dataclass(frozen=True)
class GroupSheet:
    """Example groups out of ``groups`` with ``rows`` rejected rows in all. Its title is their reason's code."""

    title: str
    meaning: str
    rows: int
    groups: int
    shown: tuple[Group, ...]


@dataclass(frozen=True)
class ReportData:
    """What a report is made of.

    ``columns`` has one row per source row, in source order: ``longitude``, ``latitude`` (float64 [degrees], null
    without a place), ``z`` (int8, nullable), ``img_quality_score`` (float64, nullable, NaN and infinity allowed),
    ``caption_words`` (int32), ``split`` (text, null where the row is not kept), ``similarity`` and ``prompt_margin``
    (float32, null where the subset asks no scorer). ``kept``, of the same length, marks
    the subset's rows. The manifest may be unsealed and may lack its files.
    """

    manifest: Manifest
    columns: pa.Table
    kept: NDArray[np.bool_]
    kept_sheet: Sheet
    group_sheets: tuple[GroupSheet, ...]
    rejected_sheets: tuple[Sheet, ...]
    captions: Phrases
    captions_drawn: str  # of what, where not all were counted


class _GroupCards(NamedTuple):
    keeper: Card
    members: list[Card]
    rows: int
    more: int  # rejected for the same reason, and not shown
    elsewhere: int
    why: str | None


def render(data: ReportData) -> str:
    """Return the page as HTML: self-contained, the same for the same data; 5 MB and the recipe's length at most.

    Raises :class:`ValueError` when ``kept`` and ``columns`` do not belong together.
    """
    if len(data.kept) != data.columns.num_rows:
        raise ValueError(f"kept has {len(data.kept)} rows, but columns has {data.columns.num_rows}; expected the same")
    manifest, funnel = data.manifest, data.manifest.funnel
    groups = _fitting(data.group_sheets)
    grouped = sum(1 + len(group.members) for sheet in groups for group in sheet.shown)
    most = min(_PICTURES_A_SHEET, (_REJECTED_PICTURES - grouped) // max(len(data.rejected_sheets), 1))
    sheets = [(data.kept_sheet, data.kept_sheet.pictures[:_PICTURES_A_SHEET])]
    sheets += [(sheet, sheet.pictures[:most]) for sheet in data.rejected_sheets]
    budget_bytes = THUMBNAILS_BYTES // max(sum(len(pictures) for _, pictures in sheets) + grouped, 1)
    kept_sheet, *rejected_sheets = (
        (sheet, [card(picture, budget_bytes) for picture in pictures]) for sheet, pictures in sheets
    )
    titles = [sheet.title for sheet in groups] + [sheet.title for sheet in data.rejected_sheets]
    reasons = [count for count in manifest.reasons if count.rows]
    sections = [
        *((name, True) for name in ("Funnel", "Figures", "Reasons", "Kept")),
        ("Duplicates", groups),
        ("Rejected", rejected_sheets),
        ("Captions", data.captions.kept or data.captions.rejected),
        ("Provenance", True),
    ]
    anchors = {title: f"rejected-{number}" for number, title in enumerate(titles, 1)}
    return template("report.html.j2").render(
        manifest=manifest,
        rows=funnel.source_rows,
        kept=funnel.kept,
        costliest=max(reasons, key=lambda count: count.primary, default=None),
        reasons=reasons,
        flags=[count for count in manifest.flags if count.rows],
        maps=maps(manifest, data.columns, data.kept),
        distributions=distributions(manifest, data.columns, data.kept),
        kept_sheet=kept_sheet,
        rejected_sheets=rejected_sheets,
        group_sheets=[(sheet, [_group(group, budget_bytes) for group in sheet.shown]) for sheet in groups],
        splits=split_plot(manifest, data.columns, data.kept),
        bars=Markup(reason_bars(reasons, anchors)) if reasons else None,
        anchors=anchors,
        captions=data.captions,
        captions_drawn=data.captions_drawn,
        sections=[(name.lower(), name) for name, shown in sections if shown],
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
        quarantined=manifest.source.quarantined[:_QUARANTINED],
    )


def _fitting(sheets: tuple[GroupSheet, ...]) -> list[GroupSheet]:
    """Return ``sheets`` with as many groups and members as the page has room for."""
    most = min(GROUPS, _GROUP_PICTURES // (max(len(sheets), 1) * (1 + MEMBERS)))
    return [
        replace(sheet, shown=tuple(replace(group, members=group.members[:MEMBERS]) for group in sheet.shown[:most]))
        for sheet in sheets
    ]


def _group(group: Group, budget_bytes: int) -> _GroupCards:
    keeper, *members = (
        card(picture, budget_bytes, GROUP_CAPTION_CHARACTERS) for picture in (group.keeper, *group.members)
    )
    return _GroupCards(keeper, members, group.rows, group.rows - len(members), group.elsewhere, group.why)

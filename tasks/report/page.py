"""The report page: everything a person needs to judge a subset, in one HTML file that loads nothing."""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jinja2 import Environment, StrictUndefined, Template
from numpy.typing import NDArray

from schemas.manifest import Manifest
from tasks.report.groups import GROUPS, MEMBERS
from tasks.report.plots import distributions, maps
from tasks.report.thumbnails import Thumbnail, thumbnail

MAX_PAGE_BYTES = 5_000_000
"""No page is larger [bytes]: figures take less than a megabyte, the rest is bounded by the limits below."""

_THUMBNAILS_BYTES = 2_800_000
_PICTURES_A_SHEET = 24
_REJECTED_PICTURES = 376  # those in groups included
_GROUP_PICTURES = 216
_CAPTION_CHARACTERS = 320
_GROUP_CAPTION_CHARACTERS = 70
_NOTE_CHARACTERS = 160
_NAME_CHARACTERS = 80
_QUARANTINED = 50
_OPEN_PICTURES = 6


@dataclass(frozen=True)
class Picture:
    """One picture of a contact sheet: the image's bytes as in the source, decodable or not."""

    image: bytes | None
    caption: str | None
    img_name: str | None
    note: str
    aside: str = ""  # a second, quieter note
    problem: str = ""  # why it must not be decoded


@dataclass(frozen=True)
class Sheet:
    """Example pictures out of ``rows`` rows. A rejected sheet's title is its reason code."""

    title: str
    meaning: str
    rows: int
    pictures: tuple[Picture, ...]


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
    without a place), ``z`` (int8, nullable), ``img_quality_score`` (float64, nullable, NaN and infinity allowed) and
    ``caption_words`` (int32). ``kept``, of the same length, marks the subset's rows. The manifest may be unsealed and
    may lack its files.
    """

    manifest: Manifest
    columns: pa.Table
    kept: NDArray[np.bool_]
    kept_sheet: Sheet
    group_sheets: tuple[GroupSheet, ...]
    rejected_sheets: tuple[Sheet, ...]


class _Card(NamedTuple):
    name: str
    note: str
    aside: str
    caption: str | None
    thumbnail: Thumbnail


class _GroupCards(NamedTuple):
    keeper: _Card
    members: list[_Card]
    rows: int
    more: int  # rejected for the same reason, and not shown
    elsewhere: int
    why: str | None


def render(data: ReportData) -> str:
    """Return the page as HTML: self-contained, at most 5 MB in UTF-8, the same for the same data.

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
    budget_bytes = _THUMBNAILS_BYTES // max(sum(len(pictures) for _, pictures in sheets) + grouped, 1)
    kept_sheet, *rejected_sheets = (
        (sheet, [_card(picture, budget_bytes, _CAPTION_CHARACTERS) for picture in pictures])
        for sheet, pictures in sheets
    )
    titles = [sheet.title for sheet in groups] + [sheet.title for sheet in data.rejected_sheets]
    reasons = [count for count in manifest.reasons if count.rows]
    return _template().render(
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
        anchors={title: f"rejected-{number}" for number, title in enumerate(titles, 1)},
        open_pictures=_OPEN_PICTURES,
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
        quarantined=manifest.source.quarantined[:_QUARANTINED],
    )


def percent(part: int, whole: int) -> str:
    """Return ``part`` of ``whole`` in percent, never rounded to none or all of it.

    >>> percent(1, 3), percent(1, 9999), percent(9998, 9999), percent(0, 0)
    ('33.3 %', '< 0.1 %', '> 99.9 %', '0.0 %')
    """
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %"


def _fitting(sheets: tuple[GroupSheet, ...]) -> list[GroupSheet]:
    """Return ``sheets`` with as many groups and members as the page has room for."""
    most = min(GROUPS, _GROUP_PICTURES // (max(len(sheets), 1) * (1 + MEMBERS)))
    return [
        replace(sheet, shown=tuple(replace(group, members=group.members[:MEMBERS]) for group in sheet.shown[:most]))
        for sheet in sheets
    ]


def _group(group: Group, budget_bytes: int) -> _GroupCards:
    keeper, *members = (
        _card(picture, budget_bytes, _GROUP_CAPTION_CHARACTERS) for picture in (group.keeper, *group.members)
    )
    return _GroupCards(keeper, members, group.rows, group.rows - len(members), group.elsewhere, group.why)


def _card(picture: Picture, budget_bytes: int, caption_characters: int) -> _Card:
    shown = Thumbnail(None, picture.problem) if picture.problem else thumbnail(picture.image, budget_bytes=budget_bytes)
    return _Card(
        name=_cut(picture.img_name or "unnamed", _NAME_CHARACTERS),
        note=_cut(picture.note, _NOTE_CHARACTERS),
        aside=_cut(picture.aside, _NOTE_CHARACTERS),
        caption=None if picture.caption is None else _cut(picture.caption, caption_characters),
        thumbnail=shown,
    )


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cut"] = _cut
    environment.globals["percent"] = percent
    return environment.from_string(resources.files("tasks.report").joinpath("page.html.j2").read_text("utf-8"))

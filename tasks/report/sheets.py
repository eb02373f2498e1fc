"""Contact sheets: example pictures with their captions, and the cards that a page shows of them."""

from dataclasses import dataclass
from typing import NamedTuple

from tasks.report.html import cut
from tasks.report.thumbnails import Thumbnail, thumbnail

THUMBNAILS_BYTES = 2_800_000
"""All thumbnails of a page together [bytes]."""

CAPTION_CHARACTERS = 320
GROUP_CAPTION_CHARACTERS = 70
_ALT_CHARACTERS = 100
_NOTE_CHARACTERS = 160
_NAME_CHARACTERS = 80


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


class Card(NamedTuple):
    """A picture as a page shows it."""

    name: str
    note: str
    aside: str
    caption: str | None
    alt: str
    thumbnail: Thumbnail


def card(picture: Picture, budget_bytes: int, caption_characters: int = CAPTION_CHARACTERS) -> Card:
    """Return the card of ``picture``, its thumbnail no larger than ``budget_bytes``; never raises."""
    shown = Thumbnail(None, picture.problem) if picture.problem else thumbnail(picture.image, budget_bytes=budget_bytes)
    name = cut(picture.img_name or "unnamed", _NAME_CHARACTERS)
    return Card(
        name=name,
        note=cut(picture.note, _NOTE_CHARACTERS),
        aside=cut(picture.aside, _NOTE_CHARACTERS),
        caption=None if picture.caption is None else cut(picture.caption, caption_characters),
        alt=cut((picture.caption or "").strip(), _ALT_CHARACTERS) or name,
        thumbnail=shown,
    )

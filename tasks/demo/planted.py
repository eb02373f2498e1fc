"""The record of what was planted in a demo source, by which a curation can be checked."""

from collections import Counter
from pathlib import Path
from typing import Self

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from schemas.base import Model
from schemas.errors import CurationError
from schemas.reasons import Reason

GENERATOR_VERSION = 3
"""Raised whenever the same settings would give other data."""

RECORD = "planted.json"


class NotADemoSource(CurationError):
    """A folder is not a demo source, or not the one that was asked for; it is left as it is."""


class Settings(Model):
    """All that decides what a demo source holds."""

    generator_version: PositiveInt = GENERATOR_VERSION
    seed: NonNegativeInt
    relief_max_zoom: int = Field(
        ge=4, le=5, description="Deepest zoom level of the shaded relief; down to 4 there are enough tiles to copy."
    )
    bluemarble_max_zoom: int = Field(ge=0, le=4, description="Deepest zoom level of the Blue Marble.")


class PlantedRow(Model):
    """A row that breaks one rule."""

    row_id: NonNegativeInt = Field(description="Position in the split.")
    img_name: str | None
    reason: Reason
    note: str = Field(description="What was done to it.")


class Planted(Model):
    """``planted.json``: the planted rows in order, and how many there are for each reason."""

    settings: Settings
    rows: NonNegativeInt = Field(description="Rows of the split, planted ones among them.")
    shards: PositiveInt
    planted: tuple[PlantedRow, ...]
    counts: dict[Reason, PositiveInt]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        ids = [row.row_id for row in self.planted]
        if ids != sorted(set(ids)) or (ids and ids[-1] >= self.rows):
            raise ValueError(f"planted rows must be in order, each once, and below {self.rows}; found {ids}")
        if dict(Counter(row.reason for row in self.planted)) != self.counts:
            raise ValueError("counts are not those of the planted rows")
        return self

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Return the record of the demo source in ``directory``.

        Raises:
            NotADemoSource: if there is none, or it cannot be read.
        """
        path = directory / RECORD
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotADemoSource(f"{directory}: no {RECORD}, so this is not a demo source") from error
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise NotADemoSource(f"{path}: not a demo source's record: {error}") from error

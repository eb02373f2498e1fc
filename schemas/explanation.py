"""What ``git10m explain`` says of a row: what was measured, every rule it met, and where it went."""

from enum import StrEnum
from typing import Self

from pydantic import Field, NonNegativeInt, model_validator

from schemas.base import Location, Model
from schemas.reasons import Reason, Stage

Value = int | float | str | None
"""What was measured; a number that is not finite is a word, as ``nan``."""


class Outcome(StrEnum):
    """What a rule said of a row."""

    PASSED = "passed"
    FLAGGED = "flagged"
    REJECTED = "rejected"
    IGNORED = "not looked at"  # the recipe ignores the rule, or gives no limit
    OFF = "off"  # the source has no column for it, or no image was read
    NO_VALUE = "no value"  # this row has nothing that could be held against the rule
    NOT_REACHED = "not reached"  # what came before had decided
    UNKNOWN = "not known"  # without the signals; rejected.parquet has no flags


class RuleOutcome(Model):
    """One rule, and what it said of the row."""

    rule: Reason
    stage: Stage
    key: str = Field(description="Where the rule stands in the recipe, such as subsets.0.zoom.")
    measured: Value = Field(None, description="What was compared; null where there was nothing, or it is not known.")
    limit: str = Field(description="What was expected, in words.")
    outcome: Outcome


class RowName(Model):
    """Which row of the source."""

    row_id: NonNegativeInt
    shard: str
    row: NonNegativeInt = Field(description="Position in the shard.")
    img_name: str | None


class Relative(Model):
    """Another row that this one is a duplicate of, or that is one of this."""

    row: RowName
    reason: Reason | None = Field(description="In which way.")
    distance: int | None = Field(description="Hamming [bits]; 0 for equal bytes or pixels, null for no picture.")
    similarity: float | None = Field(description="Correlation of a near-duplicate [-1..1].")


class Contamination(Model):
    """The reference picture that a row is a copy of."""

    reference: str = Field(description="Name of the reference set, and of its picture.")
    distance: float | None = Field(description="Hamming [bits].")


class Place(Model):
    """Where a kept row stands in the subset."""

    split: str
    file: str = Field(description="Data file, relative to the subset.")
    file_row: NonNegativeInt = Field(description="Position in it.")
    how: str = Field(description="How to read it: a line of Python or of a shell, or words.")


class Explanation(Model):
    """Why one row is in a subset, or why not."""

    row: RowName
    kept: bool
    primary_reason: Reason | None
    reasons: tuple[Reason, ...] = Field(description="All of a rejected row, in stage order.")
    flags: tuple[Reason, ...] = Field(
        description="Rules broken that only flag; of a rejected row, if its signals are there."
    )
    detail: str | None = Field(description="What was found and expected in a row with defects.")
    measured: dict[str, Value] = Field(description="The row's signals by name; empty if they are not there.")
    rules: tuple[RuleOutcome, ...] = Field(description="Every rule of the recipe, in stage order.")
    duplicate_of: Relative | None = Field(None, description="The kept row in whose favour this one was rejected.")
    duplicates: tuple[Relative, ...] = Field((), description="Rows rejected in favour of this one, the first of them.")
    duplicate_rows: NonNegativeInt = Field(0, description="How many they are in all.")
    contamination: Contamination | None = None
    place: Place | None = Field(None, description="Of a kept row.")
    notes: tuple[str, ...] = Field((), description="What could not be told, and why.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kept != (not self.reasons) or self.kept != (self.place is not None):
            raise ValueError(f"row {self.row.row_id}: kept {self.kept}, reasons {self.reasons}, place {self.place}")
        return self


class Answer(Model):
    """All that was found for what was asked."""

    directory: Location
    subset: str
    source: str
    asked: str
    found_rows: NonNegativeInt = Field(description="Rows of that id or name.")
    rows: tuple[Explanation, ...] = Field(description="The first of them.")

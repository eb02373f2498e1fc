"""What ``git10m diff`` says of two subsets: rows gained and lost by reason, and what differs in how they were made."""

from typing import Any, Self

from pydantic import Field, NonNegativeInt, model_validator

from schemas.base import Location, Model
from schemas.reasons import Reason


class Change(Model):
    """One value that differs."""

    key: str
    a: Any = Field(description="In A; null also where A has no such key.")
    b: Any = Field(description="In B; null also where B has no such key.")


class ReasonRows(Model):
    """Rows that one subset kept and the other did not, by why not."""

    reason: Reason | None = Field(description="The primary reason in the other subset; null: not in its source.")
    rows: NonNegativeInt


class Moved(Model):
    """Rows that both kept, in different splits."""

    a: str = Field(description="Split in A.")
    b: str = Field(description="Split in B.")
    rows: NonNegativeInt


class Side(Model):
    """One of the two subsets."""

    directory: Location
    subset: str
    source: str
    revision: str | None
    source_rows: NonNegativeInt
    shards: NonNegativeInt
    own_shards: NonNegativeInt = Field(description="Shards that the other's source does not have.")
    own_rows: NonNegativeInt = Field(description="Rows of them.")
    kept: NonNegativeInt
    splits: dict[str, NonNegativeInt]
    image_bytes: NonNegativeInt | None = Field(description="Of the kept rows; null where it is not known [bytes].")


class Difference(Model):
    """Two subsets, A and B, held against each other."""

    a: Side
    b: Side
    same_manifest: bool = Field(description="The two are the same subset, byte for byte.")
    both: NonNegativeInt = Field(description="Rows that both kept.")
    lost: tuple[ReasonRows, ...] = Field(description="Rows that A kept and B did not, by B's reason.")
    gained: tuple[ReasonRows, ...] = Field(description="Rows that B kept and A did not, by A's reason.")
    moved: tuple[Moved, ...] = Field(description="Rows in another split in B than in A.")
    recipe: tuple[Change, ...]
    thresholds: tuple[Change, ...] = Field(description="Thresholds as numbers; a number for each zoom where they have.")
    vectors: tuple[Change, ...] = Field(
        description="SHA-256 of what scorers told, by their names, where both asked them of the same shards."
    )
    versions: tuple[Change, ...] = Field(description="Versions of what can change a byte.")

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        if (self.a.kept, self.b.kept) != (self.both + self.lost_rows, self.both + self.gained_rows):
            told = f"{self.both} in both, {self.lost_rows} lost, {self.gained_rows} gained"
            raise ValueError(f"{self.a.kept} rows in A, {self.b.kept} in B; found {told}")
        return self

    def __str__(self) -> str:
        """Return how many rows differ, in words."""
        kept = f"A {self.a.directory}: {self.a.kept:,} rows; B {self.b.directory}: {self.b.kept:,} rows"
        moved = sum(move.rows for move in self.moved)
        return f"{kept}; {self.both:,} in both, {self.lost_rows:,} lost, {self.gained_rows:,} gained, {moved:,} moved"

    @property
    def lost_rows(self) -> int:
        """Rows that A kept and B did not."""
        return sum(count.rows for count in self.lost)

    @property
    def gained_rows(self) -> int:
        """Rows that B kept and A did not."""
        return sum(count.rows for count in self.gained)

    @property
    def same_rows(self) -> bool:
        """Whether both keep the same rows in the same splits."""
        return not (self.lost or self.gained or self.moved)

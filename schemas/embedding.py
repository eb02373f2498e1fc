"""What the embed stage says it did: a report for each shard and scorer, which adds up."""

from typing import Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from schemas.base import Location, Model
from schemas.recipe import fingerprint


class VectorsReport(Model):
    """The vectors of one shard by one scorer, made now or before."""

    shard: str = Field(description="File name in the source.")
    rows: NonNegativeInt
    pictures: NonNegativeInt = Field(description="Rows whose picture has a vector.")
    captions: NonNegativeInt = Field(description="Rows whose caption has a vector.")
    scored: NonNegativeInt = Field(description="Rows that have both, and so a similarity.")
    truncated: NonNegativeInt = Field(description="Captions that are longer than the model reads.")
    vectors: Location = Field(description="The vectors file in the workspace.")
    margins: Location = Field(description="The file of what each picture is like, in the workspace.")
    digest: str = Field(description="Stands for the numbers in the vectors file; the last digits are a machine's own.")
    margins_digest: str = Field(description="Stands for those in the other.")
    reused: bool = Field(description="True when an earlier run's vectors were taken.")

    @model_validator(mode="after")
    def _conserves(self) -> Self:
        if max(self.pictures, self.captions) > self.rows:
            raise ValueError(f"{self.shard}: {self.pictures} pictures and {self.captions} captions of {self.rows} rows")
        if self.scored > min(self.pictures, self.captions) or self.truncated > self.captions:
            raise ValueError(
                f"{self.shard}: {self.scored} scored and {self.truncated} truncated, of {self.pictures} pictures and "
                f"{self.captions} captions"
            )
        return self


class ScorerIdentity(Model):
    """The numbers that a scorer gave: the same model gives others, in the last digits, on another machine."""

    name: str = Field(description="Of the scorer in the recipe, which says by which weights.")
    dimensions: PositiveInt = Field(description="Numbers of a vector.")
    vectors_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 that stands for all its numbers.")


class EmbedReport(Model):
    """All shards of a source by one scorer, in source order."""

    scorer: str = Field(description="Its name in the recipe.")
    dimensions: PositiveInt = Field(description="Numbers of a vector.")
    shards: tuple[VectorsReport, ...]

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def identity(self) -> ScorerIdentity:
        """What stands for its numbers, whoever made them."""
        numbers = fingerprint([[shard.digest, shard.margins_digest] for shard in self.shards])
        return ScorerIdentity(name=self.scorer, dimensions=self.dimensions, vectors_sha256=numbers)

    @property
    def embedded(self) -> int:
        """Shards that were embedded in this run."""
        return sum(not shard.reused for shard in self.shards)

    def __str__(self) -> str:
        """Return what was done, in words."""
        done = f"embedded {self.embedded}, reused {len(self.shards) - self.embedded} of {len(self.shards)} shards"
        if not self.embedded:
            done = f"embedded 0, reused all {len(self.shards)} shards"
        pictures = sum(shard.pictures for shard in self.shards)
        scored = sum(shard.scored for shard in self.shards)
        return f"{done}; {pictures:,} of {self.rows:,} pictures, {scored:,} with their caption"

"""The manifest: what a subset is, sealed, with no word on when or where it was made (that is in run.json)."""

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from schemas.base import Model
from schemas.embedding import ScorerIdentity
from schemas.reasons import Reason
from schemas.recipe import fingerprint
from schemas.reports import DataFile, Funnel, QuarantinedShard, ReasonCount, Threshold

MANIFEST_VERSION = 5


class ShardIdentity(Model):
    """One source shard as it was scanned."""

    shard: str
    content_xxh3: str = Field(description="XXH3-128, in hex, of what the scan read of the shard.")
    rows: NonNegativeInt
    byte_length: NonNegativeInt = Field(description="[bytes]")
    absent: tuple[str, ...] = Field((), description="Facts that this shard has no column for, though others have.")


class SourceIdentity(Model):
    """A source as it was scanned, with the terms that travel with it."""

    name: str
    hub: str | None = Field(description="Id of the data set on the Hub; null where the source is files.")
    split: str
    revision: str | None
    licence: str | None
    terms: str | None = None
    citation: str | None
    authorization: str | None = Field(None, description="To pass pictures and captions on, where the licence does not.")
    columns: dict[str, str] = Field(description="Column of the source that holds each fact, and the image.")
    rows: NonNegativeInt
    shards: tuple[ShardIdentity, ...]
    quarantined: tuple[QuarantinedShard, ...]


class Column(Model):
    """One column of the data files."""

    name: str
    dtype: str = Field(description="Arrow type.")


class DataColumns(Model):
    """The columns of the data files, in order, and which of them hold the facts."""

    columns: tuple[Column, ...]
    facts: dict[str, str] = Field(description="Column that holds each fact, and the image, by Git-10M's names.")
    arrow: str = Field(description="The Arrow schema with the Hub's features, as an IPC message in base64.")


class Manifest(Model):
    """``manifest.json`` of a subset. The same source, recipe and, if it asks scorers, vectors give the same bytes."""

    manifest_version: int = MANIFEST_VERSION
    subset: str
    recipe: dict[str, Any] = Field(description="All of the recipe that can change a byte of this subset.")
    recipe_sha256: str = Field(description="SHA-256 of `recipe` as canonical JSON.")
    mode: Literal["data", "index"] = Field("data", description="`index`: the data files are not here.")
    thresholds: tuple[Threshold, ...] = Field((), description="Thresholds on scores and signals as numbers.")
    scorers: tuple[ScorerIdentity, ...] = Field((), description="The numbers of the scorers that had a say.")
    source: SourceIdentity
    references: tuple[SourceIdentity, ...] = Field((), description="Sets of pictures no copy of which is kept.")
    funnel: Funnel
    reasons: tuple[ReasonCount, ...]
    flags: tuple[ReasonCount, ...]
    rules_off: tuple[Reason, ...] = Field(description="Rules that held no row to account: the column is absent.")
    splits: dict[str, NonNegativeInt] = Field(description="Kept rows of each split.")
    columns: DataColumns = Field(description="The columns of the data files.")
    indexed: tuple[DataFile, ...] = Field(
        (), description="The data files that an index stands for, where they are known; else none."
    )
    files: tuple[DataFile, ...] = Field(description="Every file of the subset but this one and run.json.")
    versions: dict[str, str] = Field(description="Versions of all that can change a byte.")
    seal: str = Field("", description="SHA-256 of this manifest as canonical JSON, this field left empty.")

    @property
    def min_score(self) -> float | None:
        """The quality threshold as a number; None where there is none, or one for each zoom level."""
        scores = (limit.value for limit in self.thresholds if limit.key.startswith("quality."))
        return next(scores, None)

    def sealed(self) -> Self:
        """Return a copy whose ``seal`` is right."""
        return self.model_copy(update={"seal": self._seal()})

    @model_validator(mode="after")
    def _seal_holds(self) -> Self:
        if self.seal and self.seal != self._seal():
            raise ValueError(f"the manifest was changed: its seal is {self.seal}, its content gives {self._seal()}")
        return self

    def _seal(self) -> str:
        return fingerprint({**self.model_dump(mode="json"), "seal": ""})

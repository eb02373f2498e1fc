"""The manifest: what a subset is, sealed, with no word on when or where it was made (that is in run.json)."""

from typing import Any, Self

from pydantic import Field, NonNegativeInt, model_validator

from schemas.base import Model
from schemas.reasons import Reason
from schemas.recipe import fingerprint
from schemas.reports import DataFile, Funnel, QuarantinedShard, ReasonCount

MANIFEST_VERSION = 3


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
    citation: str | None
    columns: dict[str, str] = Field(description="Column of the source that holds each fact, and the image.")
    rows: NonNegativeInt
    shards: tuple[ShardIdentity, ...]
    quarantined: tuple[QuarantinedShard, ...]


class Manifest(Model):
    """``manifest.json`` of a subset. The same source and recipe give the same bytes."""

    manifest_version: int = MANIFEST_VERSION
    subset: str
    recipe: dict[str, Any] = Field(description="All of the recipe that can change a byte of this subset.")
    recipe_sha256: str = Field(description="SHA-256 of `recipe` as canonical JSON.")
    min_score: float | None = Field(description="The quality threshold as a number, quantiles resolved.")
    source: SourceIdentity
    references: tuple[SourceIdentity, ...] = Field((), description="Sets of pictures no copy of which is kept.")
    funnel: Funnel
    reasons: tuple[ReasonCount, ...]
    flags: tuple[ReasonCount, ...]
    rules_off: tuple[Reason, ...] = Field(description="Rules that held no row to account: the column is absent.")
    splits: dict[str, NonNegativeInt]
    files: tuple[DataFile, ...] = Field(description="Every file of the subset but this one and run.json.")
    versions: dict[str, str] = Field(description="Versions of all that can change a byte.")
    seal: str = Field("", description="SHA-256 of this manifest as canonical JSON, this field left empty.")

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

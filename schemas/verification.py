"""The parameters of ``verify``: which subset is read again, and what it is held against."""

from typing import Self

from pydantic import Field, model_validator

from schemas.base import Address, Location, Model
from schemas.recipe import Engine


class Verification(Model):
    """A published subset, and its source if the rows are to be held against it."""

    subset: Location = Field(description="Folder of the subset, of which the latest version is read: a path or a URL.")
    source: Address | None = Field(
        None,
        description="Where the source lies: folder, file, glob or URL; or its id. Every kept row is held against it; "
        "null: the subset is held against its manifest alone.",
    )
    hub: bool = Field(False, description="`source` is the id of a data set of the Hugging Face Hub: owner/name.")
    revision: str | None = Field(None, description="Of the data set on the Hub; null: the one the subset was made of.")
    engine: Engine = Field(default_factory=Engine, description="What the run may use.")

    @model_validator(mode="after")
    def _of_a_source(self) -> Self:
        if self.source is None and (self.hub or self.revision is not None):
            raise ValueError("hub and revision say where the source is; expected source beside them")
        return self

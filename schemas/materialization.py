"""The parameters of ``materialize``: which subset is made again, of what, and where; and what came of it."""

from pydantic import Field, NonNegativeInt

from schemas.base import Address, Location, Model
from schemas.recipe import Engine


class Materialization(Model):
    """A subset of which there is an index, and one's own copy of its source."""

    index: Location = Field(description="Folder of the subset; its data files need not be there: a path or a URL.")
    source: Address = Field(description="Where the source lies: folder, file, glob or URL; or its id.")
    hub: bool = Field(False, description="`source` is the id of a data set of the Hugging Face Hub: owner/name.")
    revision: str | None = Field(None, description="Of the data set on the Hub; null: the one the subset was made of.")
    dir: Location = Field(description="Folder that will hold the subset's folder: a local path or a URL.")
    keep_versions: int = Field(
        2, ge=1, le=10_000, description="Versions of the subset that are kept in `dir`, the latest included."
    )
    engine: Engine = Field(default_factory=Engine, description="What the run may use.")


class Materialized(Model):
    """A subset that was made again."""

    subset: str
    source: str = Field(description="The source's name.")
    rows: NonNegativeInt
    same_files: bool = Field(description="Whether the data files were held against those that the index was made of.")
    directory: Location = Field(description="Where readers find it.")

    def __str__(self) -> str:
        """Return what was made of what, in words."""
        same = ", as they were" if self.same_files else ""
        return f"{self.subset}: {self.rows:,} rows of {self.source}{same}: {self.directory}"

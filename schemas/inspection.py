"""What a source is, as far as a look at some of its rows tells."""

from pydantic import Field, NonNegativeInt

from schemas.base import Model


class ColumnFacts(Model):
    """One column of a source, as far as it was looked at."""

    name: str
    dtype: str = Field(description="Arrow type.")
    nulls: NonNegativeInt = Field(description="Nulls among the rows that were looked at.")
    fact: str | None = Field(description="The fact that it holds, in Git-10M's name; None: not used.")


class Bin(Model):
    """Rows of one bar of a histogram."""

    low: float
    high: float
    rows: NonNegativeInt


class InspectReport(Model):
    """What a source is, from its listing and a look at some of its rows."""

    source: str
    format: str
    revision: str | None
    shards: NonNegativeInt
    byte_length: NonNegativeInt = Field(description="Of all shards [bytes].")
    rows: NonNegativeInt
    rows_exact: bool = Field(description="False where rows are reckoned from the shards that were looked at.")
    seen_rows: NonNegativeInt = Field(description="Rows that were looked at.")
    seen_shards: NonNegativeInt = Field(description="Shards that were looked at.")
    columns: tuple[ColumnFacts, ...]
    absent: tuple[str, ...] = Field(description="Facts without a column.")
    histograms: dict[str, tuple[Bin, ...]] = Field(description="Of zoom, quality score and caption words.")
    quantiles: dict[str, dict[float, float]] = Field(
        description="Of quality score and caption words: the value that a part [0..1] of the rows seen is at or below."
    )
    samples: tuple[dict[str, str], ...] = Field(description="Some rows, by fact, as text; pictures in words.")
    opened: NonNegativeInt = Field(description="Of these pictures, how many could be opened.")
    image_sizes: tuple[tuple[int, int], ...] = Field(description="Width and height of those, each once [pixels].")
    problems: tuple[str, ...] = Field(description="Shards that could not be read, or not to the end.")

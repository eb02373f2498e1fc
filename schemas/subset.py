"""One curated output: which rows, in which splits."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.base import Model
from schemas.thresholds import (
    BoundingBox,
    NamedFile,
    QualityThreshold,
    ResolutionRange,
    ScorerRange,
    SignalRange,
    SignalRanges,
    WordRange,
    ZoomRange,
)

SafeName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"), Field(examples=["high-quality"])
]
"""Lower-case letters, digits, ``-`` and ``_``: the same folder name on every file system and object store."""

SplitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"), Field(examples=["train"])]
"""A split as `datasets` can name it: lower-case letters, digits and ``_``; `all` is a word of its own there."""

Signal = Literal[
    "img_quality_score", "caption_words", "resolution_m", "ground_resolution_m", "byte_length", "width", "height",
    "luma_mean", "luma_std", "nodata_fraction", "sharpness", "structure", "similarity", "prompt_margin",
]  # fmt: skip
"""A number that is known of each row."""

ScoredSignal = Literal["similarity", "prompt_margin"]
"""A number that an image-text model tells of each row."""

SCORED: tuple[ScoredSignal, ...] = get_args(ScoredSignal)

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class RowList(NamedFile):
    """Rows by name: a Parquet or CSV file, a text file of one a line, or the folder of a former subset."""

    column: Literal["row_id", "img_name"] | None = Field(
        None,
        description="What names a row; null: of a table row_id if it has that column, else img_name; of a text file "
        "row_id. Of a former subset the source's shard and row.",
    )


class Top(Model):
    """The best of the rows that pass all thresholds and are no duplicates, by one signal."""

    signal: Signal = Field(description="What makes a row the better one; a row without a value is the worst.")
    fraction: float | None = Field(None, gt=0, le=1, description="Part of them that is kept [0..1], rounded up.")
    rows: int | None = Field(None, ge=1, description="Or how many of them are kept [rows].")
    lowest: bool = Field(False, description="The lowest values are the best.")
    per_zoom: bool = Field(False, description="Of each zoom level; rows without one are a level of their own.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.fraction is None) == (self.rows is None):
            raise ValueError("give fraction or rows, one of them")
        return self


class TileCap(Model):
    """At most some rows of each tile of a coarse zoom level, for balance over the globe."""

    zoom: int = Field(ge=0, le=30, description="Zoom level of the tiles; a coarser one stands for itself.")
    rows: int = Field(ge=1, description="Most rows that are kept of each [rows].")


class Sampling(Model):
    """What is drawn of the rows that pass all else, in the order of these keys, by a seeded hash of the image.

    Which row comes first depends on nothing but its image and the seed. What a fraction drew stays drawn when shards
    join; a cap may give a row's place to a new one.
    """

    seed: Seed = Field(0, description="Another seed draws other rows.")
    per_tile: TileCap | None = Field(
        None, description="At most so many rows of each ancestor tile; rows without place are not counted. null: all."
    )
    per_zoom: int | None = Field(None, ge=1, description="Most rows of each zoom level [rows]; null: all.")
    fraction: float | None = Field(None, gt=0, lt=1, description="Part that is drawn [0..1]; null: all.")
    max_rows: int | None = Field(None, ge=1, description="Most rows in all [rows]; null: any number.")
    max_bytes: int | None = Field(None, ge=1, description="Most bytes of all images [bytes]; null: any number.")


class Buffer(Model):
    """Tiles left out on both sides of the border between blocks of different splits."""

    zoom: int = Field(ge=0, le=30, description="Zoom level of the tiles that are counted.")
    tiles: int = Field(1, ge=1, le=1024, description="How many tiles deep on each side of the border.")


class Spatial(Model):
    """Splits by place: all ground of one block, a tile of a coarse zoom level, is in one split."""

    zoom: int = Field(ge=0, le=30, description="Zoom level of the blocks; rows with coarser tiles are left out.")
    buffer: Buffer | None = Field(None, description="Leave out rows near another split's blocks; null: none.")

    @model_validator(mode="after")
    def _finer(self) -> Self:
        if self.buffer is not None:
            if self.buffer.zoom < self.zoom:
                raise ValueError(f"buffer.zoom {self.buffer.zoom} is below zoom {self.zoom}; expected at least that")
            if self.buffer.tiles > (side := 2 ** (self.buffer.zoom - self.zoom)):
                raise ValueError(f"buffer.tiles {self.buffer.tiles} is more than a block is wide: {side} tiles")
        return self


class Splits(Model):
    """Fractions of the kept rows, drawn by a seeded hash of the image or of the place.

    Copies share a split: a row is drawn by the first row of its source that it is a copy of.
    """

    fractions: dict[SplitName, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=lambda: {"train": 1.0}, min_length=1, description="Split name to fraction; they sum to 1."
    )
    seed: Seed = Field(0, description="Another seed draws other rows.")
    spatial: Spatial | None = Field(None, description="Draw by place instead of by image; null: by image.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = sum(self.fractions.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"fractions sum to {total:g}; expected 1")
        return self

    @field_validator("fractions")
    @classmethod
    def _in_order(cls, fractions: dict[str, float]) -> dict[str, float]:
        if "all" in fractions:
            raise ValueError("found a split `all`, which to `datasets` is all splits; expected another name")
        return dict(sorted(fractions.items()))  # the order in which they are written must not change the draw


class Subset(Model):
    """One curated output. What is left out selects everything."""

    name: SafeName = Field(description="Folder name of the subset: lower-case letters, digits, '-' and '_'.")
    quality: QualityThreshold = Field(default_factory=QualityThreshold, description="Quality-score threshold.")
    caption_words: WordRange = Field(default_factory=WordRange, description="Words in the caption, counted.")
    zoom: ZoomRange = Field(default_factory=ZoomRange, description="Zoom levels of the tile.")
    resolution_m: ResolutionRange = Field(
        default_factory=ResolutionRange, description="Declared (nominal) resolution [m/pixel]."
    )
    ground_resolution_m: ResolutionRange = Field(
        default_factory=ResolutionRange, description="True ground resolution at the tile's centre [m/pixel]."
    )
    bbox: BoundingBox | None = Field(None, description="Where the tile's centre must lie; null: anywhere.")
    area: NamedFile | None = Field(
        None, description="A GeoJSON file of polygons, in one of which the tile's centre must lie; null: anywhere."
    )
    signals: SignalRanges = Field(default_factory=SignalRanges, description="Thresholds on what was measured.")
    similarity: ScorerRange = Field(
        default_factory=ScorerRange, description="Cosine of picture and caption, by the recipe's scorers [-1..1]."
    )
    prompt_margin: ScorerRange = Field(
        default_factory=ScorerRange,
        description="By how much the picture is more like a prompt of remote sensing than like any other [-2..2].",
    )
    include: RowList | None = Field(None, description="Only rows that are listed here; null: all.")
    exclude: RowList | None = Field(None, description="No row that is listed here; null: all.")
    top: Top | None = Field(None, description="Only the best of what is left; null: all of it.")
    sampling: Sampling = Field(default_factory=Sampling, description="What is drawn of what is left then.")
    splits: Splits = Field(default_factory=Splits, description="How the kept rows are divided.")

    def measured_keys(self) -> list[str]:
        """Return the keys that can be answered only where pictures are read."""
        keys = [f"signals.{name}" for name in SignalRanges.model_fields if getattr(self.signals, name) != SignalRange()]
        if self.top is not None and self.top.signal in SignalRanges.model_fields:
            keys.append("top.signal")
        return keys + (["sampling.max_bytes"] if self.sampling.max_bytes is not None else [])

    def scored(self) -> dict[ScoredSignal, list[str]]:
        """Return what scorers are asked for by this subset, and the names of those that are; empty names mean all."""
        wanted: dict[ScoredSignal, list[str]] = {}
        for signal in SCORED:
            limits: ScorerRange = getattr(self, signal)
            if limits != ScorerRange() or (self.top is not None and self.top.signal == signal):
                wanted[signal] = limits.scorers
        return wanted

"""Thresholds: the ranges that the values of a row must lie in."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from schemas.base import Location, Model

Action = Literal["reject", "flag", "ignore"]
"""What becomes of a row that breaks a rule: not kept; kept and marked; not looked at."""


class Limits(NamedTuple):
    """The ends of a range as numbers, both included; None: an open end."""

    low: float | None = None
    high: float | None = None


class Range(Model):
    """A range, both ends included; an end that is null is open."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        low, high = (getattr(self, end) for end in ("min", "max"))
        if low is not None and high is not None and low > high:
            raise ValueError(f"empty range: min {low} is above max {high}; expected min <= max")
        return self


class ScoreRange(Range):
    """A range of quality scores, both ends included."""

    min: float | None = Field(None, allow_inf_nan=False, description="Lowest score; null: no lower limit.")
    max: float | None = Field(None, allow_inf_nan=False, description="Highest score; null: no upper limit.")


class ZoomRange(Range):
    """A range of zoom levels, both ends included."""

    min: int | None = Field(None, ge=0, le=30, description="Lowest zoom level; null: no lower limit.")
    max: int | None = Field(None, ge=0, le=30, description="Highest zoom level; null: no upper limit.")


Fraction = Annotated[float, Field(gt=0, lt=1)]


class QualityThreshold(Model):
    """The least quality score that is kept: a number, or a quantile of the valid rows' scores; neither keeps all."""

    min_score: float | None = Field(None, allow_inf_nan=False, description="Keep scores at or above this.")
    min_quantile: Fraction | None = Field(
        None, description="Keep scores at or above this quantile of the valid rows' scores [0..1]."
    )
    per_zoom: bool = Field(False, description="A quantile for each zoom level; rows without one are a level of theirs.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.min_score is not None and self.min_quantile is not None:
            raise ValueError("give min_score or min_quantile, not both")
        if self.per_zoom and self.min_quantile is None:
            raise ValueError("per_zoom: needs min_quantile")
        return self


class SignalRange(Range):
    """A range of what was measured, each end a number or a quantile of the valid rows' values; null: no limit."""

    min: float | None = Field(None, allow_inf_nan=False, description="Lowest value; null: no lower limit.")
    max: float | None = Field(None, allow_inf_nan=False, description="Highest value; null: no upper limit.")
    min_quantile: Fraction | None = Field(None, description="Keep values at or above this quantile [0..1].")
    max_quantile: Fraction | None = Field(None, description="Keep values at or below this quantile [0..1].")
    per_zoom: bool = Field(False, description="Quantiles for each zoom level; rows without one are a level of theirs.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        for end in ("min", "max"):
            if getattr(self, end) is not None and getattr(self, f"{end}_quantile") is not None:
                raise ValueError(f"give {end} or {end}_quantile, not both")
        low, high = self.min_quantile, self.max_quantile
        if low is not None and high is not None and low > high:
            raise ValueError(f"empty range: min_quantile {low} is above max_quantile {high}")
        if self.per_zoom and low is None and high is None:
            raise ValueError("per_zoom: needs min_quantile or max_quantile")
        return self


class SignalRanges(Model):
    """Thresholds on what the scan measured of a picture."""

    byte_length: SignalRange = Field(default_factory=SignalRange, description="Size of the image file [bytes].")
    width: SignalRange = Field(default_factory=SignalRange, description="Width [pixels].")
    height: SignalRange = Field(default_factory=SignalRange, description="Height [pixels].")
    luma_mean: SignalRange = Field(default_factory=SignalRange, description="Mean brightness [0..255].")
    luma_std: SignalRange = Field(
        default_factory=SignalRange, description="Standard deviation of brightness, contrast [0..127.5]."
    )
    nodata_fraction: SignalRange = Field(
        default_factory=SignalRange, description="Part that is pure black or white from an edge on [0..1]."
    )
    sharpness: SignalRange = Field(
        default_factory=SignalRange, description="Variance of the Laplacian at 64 x 64 pixels."
    )
    structure: SignalRange = Field(
        default_factory=SignalRange, description="Parts of 256 that share what is to be seen; few make a plain picture."
    )


class ScorerRange(SignalRange):
    """A range of what the recipe's scorers tell; an image-text model is sure of nothing, so look before you cut."""

    scorers: list[str] = Field(
        default_factory=list,
        description="Names of the scorers that are asked; of several the mean of their standard scores counts: by how "
        "many standard deviations of the valid rows' values a row is above their mean. Empty: all of the recipe.",
    )


class WordRange(Range):
    """A range of words, both ends included."""

    min: int | None = Field(None, ge=0, description="Fewest words; null: no lower limit.")
    max: int | None = Field(None, ge=0, description="Most words; null: no upper limit.")
    action: Action = Field("reject", description="What becomes of a row outside the range.")


class ResolutionRange(Range):
    """A range of resolutions in metres a pixel, both ends included."""

    min: float | None = Field(None, gt=0, allow_inf_nan=False, description="Finest [m/pixel]; null: no lower limit.")
    max: float | None = Field(None, gt=0, allow_inf_nan=False, description="Coarsest [m/pixel]; null: no upper limit.")


class BoundingBox(Model):
    """A box in degrees that must hold a tile's centre. `west` above `east` crosses the antimeridian."""

    west: float = Field(ge=-180, le=180, description="Western edge, longitude [degrees].")
    south: float = Field(ge=-90, le=90, description="Southern edge, latitude [degrees].")
    east: float = Field(ge=-180, le=180, description="Eastern edge, longitude [degrees].")
    north: float = Field(ge=-90, le=90, description="Northern edge, latitude [degrees].")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.south >= self.north:
            raise ValueError(f"empty box: south {self.south} is not below north {self.north}")
        if self.west == self.east:
            raise ValueError(f"empty box: west equals east ({self.west})")
        return self


class NamedFile(Model):
    """A file whose content counts, wherever it lies."""

    path: Location = Field(description="The file: a local path or a URL.")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the file, in hex; null: that of the file as it is, which the manifest records.",
    )

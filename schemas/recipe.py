"""The recipe: the parameters of a run, the one parameter of the ``curate`` flow, and the file a person writes."""

import hashlib
import json
import os
from collections import Counter
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from schemas.base import Location, Model

Action = Literal["reject", "flag", "ignore"]
"""What becomes of a row that breaks a validation rule: not kept; kept and marked; not looked at."""

SafeName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"), Field(examples=["high-quality"])
]
"""Lower-case letters, digits, ``-`` and ``_``: the same folder name on every file system and object store."""

SplitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"), Field(examples=["train"])]
"""A split as `datasets` can name it: lower-case letters, digits and ``_``."""

ImageFormat = Literal["JPEG", "PNG", "WEBP", "TIFF"]


SourceFormat = Literal["save_to_disk", "arrow", "parquet", "webdataset", "imagefolder"]
"""How a source lies in its files."""


class Columns(Model):
    """Which column of the source holds each fact; null: the one with Git-10M's name, or found by itself; "": none.

    A dot names a field of a struct column, as in ``json.score``.
    """

    image: str | None = Field(None, description="The picture: struct<bytes, path> or plain binary.")
    img_name: str | None = Field(None, description="The picture's name.")
    img_quality_score: str | None = Field(None, description="The quality score, a number.")
    caption: str | None = Field(None, description="The caption; by itself `caption`, `text` or `txt`.")
    caption_length: str | None = Field(None, description="The declared length of the caption [words].")
    resolution: str | None = Field(None, description="The declared resolution [m/pixel].")
    Google_location: str | None = Field(None, description="The tile, z_x_y.")


class _Source(Model):
    """What any source has, and the terms that travel with it."""

    format: SourceFormat | None = Field(None, description="How it lies in its files; null: found by itself.")
    split: str = Field("train", min_length=1, description="The split to read.")
    columns: Columns = Field(default_factory=Columns, description="The columns to read; null: found by themselves.")
    name: str = Field(min_length=1, description="The source's name in manifests, cards and run names.")
    revision: str | None = Field(None, description="The source's revision, if it has one; recorded in the manifest.")
    licence: str | None = Field(
        None,
        min_length=1,
        description="SPDX identifier of the source's licence, CC-BY-NC-ND-4.0 for Git-10M; null: not given.",
    )
    citation: str | None = Field(None, description="How to cite the source; copied to manifest and card.")
    on_bad_shard: Literal["fail", "publish"] = Field(
        "fail",
        description="When a shard cannot be read: 'fail' scans the rest and publishes nothing; "
        "'publish' goes on without it and names it in the manifest.",
    )


class FileSource(_Source):
    """Files: local, or on any object store that `fsspec` reads."""

    kind: Literal["files"] = Field("files", description="Files; the default.")
    path: str = Field(min_length=1, description="Folder, file or glob: a local path, or a URL as s3://bucket/folder.")

    @field_validator("path", mode="before")
    @classmethod
    def _as_text(cls, path: Any) -> Any:
        return str(path) if isinstance(path, PurePath) else path


class HubSource(_Source):
    """A data set of the Hugging Face Hub; your token is read from HF_TOKEN or the login's file, never from here."""

    kind: Literal["hub"] = Field(description="A data set of the Hub.")
    path: str = Field(
        pattern=r"^[\w.-]+/[\w.-]+$", description="The data set's id: owner/name.", examples=["lcybuaa/Git-10M"]
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit; null: main. The manifest records the commit it stood for."
    )


Source = Annotated[FileSource | HubSource, Field(discriminator="kind")]


def _with_kind(source: Any) -> Any:
    """Return what a person wrote for a source, its kind put in: files, where it says none."""
    return {"kind": "files"} | source if isinstance(source, dict) else source


_WHEREABOUTS = {"kind", "path", "on_bad_shard"}
"""What of a source no byte of a subset depends on."""


class ScanSettings(Model):
    """How images are measured. A change here scans the source again."""

    images: bool = Field(
        True, description="False: no image is read; only rules on captions, scores, places and names apply."
    )
    formats: list[ImageFormat] = Field(
        ["JPEG", "PNG", "WEBP", "TIFF"], min_length=1, description="Image formats whose decoders may run."
    )
    max_pixels: int = Field(
        16_777_216, ge=1, le=2**30, description="Largest width x height that is decoded [pixels]; default 4096 x 4096."
    )
    max_bytes: int = Field(
        67_108_864, ge=1, le=2**31 - 1, description="Largest image file that is decoded [bytes]; default 64 MiB."
    )
    decode_seconds: float = Field(
        20.0, gt=0, le=3600, description="A picture whose decoder runs longer counts as undecodable [s]."
    )
    decode_memory_bytes: int = Field(
        2**31, ge=2**28, le=2**40, description="A decoder that needs more counts as failed [bytes]; default 2 GiB."
    )
    pixel_digest: bool = Field(
        False,
        description="Decode and hash every pixel, for deduplication.exact_pixels; JPEG then takes three times as long.",
    )


class ImageSize(Model):
    """An exact image size."""

    width: int = Field(ge=1, description="Width [pixels].")
    height: int = Field(ge=1, description="Height [pixels].")


class ValidationRules(Model):
    """One action per validation rule: `reject`, `flag` (keep and mark) or `ignore`."""

    image_missing: Action = Field("reject", description="The row has no image bytes.")
    image_format: Action = Field("reject", description="The bytes are not of an allowed format.")
    image_too_large: Action = Field("reject", description="More pixels than scan.max_pixels or bytes than max_bytes.")
    image_truncated: Action = Field("reject", description="The bytes end before the picture does.")
    image_undecodable: Action = Field("reject", description="A strict decoder refuses the bytes.")
    image_animated: Action = Field("reject", description="The file holds several frames or pages.")
    image_mode: Action = Field("reject", description="The pixel format does not convert to RGB.")
    image_size: Action = Field("reject", description="Not of the size in validation.image_size.")
    image_blank: Action = Field("reject", description="Luma spread at or below validation.blank_luma_std.")
    image_nodata: Action = Field("flag", description="Black or white from an edge, validation.nodata_fraction or more.")
    caption_missing: Action = Field("reject", description="The caption is null or blank.")
    caption_length_mismatch: Action = Field("flag", description="caption_length is not the counted words.")
    caption_garbled: Action = Field("reject", description="Control characters or mojibake in the caption.")
    caption_refusal: Action = Field("reject", description="The caption is a model's refusal or boilerplate.")
    score_missing: Action = Field("flag", description="The quality score is null or no number.")
    score_not_finite: Action = Field("reject", description="The quality score is NaN or infinite.")
    score_out_of_range: Action = Field("reject", description="The quality score is outside validation.score.")
    place_missing: Action = Field("flag", description="The row names no tile, as public-data rows of Git-10M.")
    place_malformed: Action = Field("reject", description="The tile is not three whole numbers z_x_y.")
    place_out_of_range: Action = Field("reject", description="x or y at or above 2^z, or z outside validation.zoom.")
    resolution_mismatch: Action = Field("flag", description="resolution is not 2^(17-z) metres a pixel.")
    img_name_missing: Action = Field("reject", description="The row has no img_name.")
    img_name_repeated: Action = Field("flag", description="An earlier row has the same img_name.")


class _Range(Model):
    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        low, high = (getattr(self, end) for end in ("min", "max"))
        if low is not None and high is not None and low > high:
            raise ValueError(f"empty range: min {low} is above max {high}; expected min <= max")
        return self


class ScoreRange(_Range):
    """A range of quality scores, both ends included."""

    min: float | None = Field(None, allow_inf_nan=False, description="Lowest score; null: no lower limit.")
    max: float | None = Field(None, allow_inf_nan=False, description="Highest score; null: no upper limit.")


class ZoomRange(_Range):
    """A range of zoom levels, both ends included."""

    min: int | None = Field(None, ge=0, le=30, description="Lowest zoom level; null: no lower limit.")
    max: int | None = Field(None, ge=0, le=30, description="Highest zoom level; null: no upper limit.")


class Validation(Model):
    """What a row must be to be considered at all."""

    image_size: ImageSize | None = Field(None, description="The one image size allowed; null allows any.")
    blank_luma_std: float = Field(
        1.0,
        ge=0,
        le=127.5,
        description="A picture is blank when its luma standard deviation is at or below this [0..255].",
    )
    nodata_fraction: float = Field(
        0.02, gt=0, le=1, description="A picture has a nodata border when this part of it, or more, is one [0..1]."
    )
    score: ScoreRange = Field(default_factory=ScoreRange, description="The range that quality scores are declared in.")
    zoom: ZoomRange = Field(default_factory=ZoomRange, description="The zoom levels that a tile may have.")
    rules: ValidationRules = Field(default_factory=ValidationRules, description="The action of each rule.")


class NearDuplicates(Model):
    """When two pictures are the same picture, saved otherwise: both conditions must hold."""

    radius_bits: int = Field(
        10,
        ge=0,
        le=16,
        description="Largest Hamming distance of two 64-bit perceptual hashes [bits]; 10 takes 3 times as long as 8.",
    )
    min_similarity: float = Field(
        0.9,
        ge=0.5,
        le=1,
        description="Least correlation of two pictures laid over each other, at a sharpness of 16 x 16 pixels [0..1]; "
        "at least 0.95 where they only overlap, 0.98 where there is little to be seen.",
    )
    any_orientation: bool = Field(
        False, description="Also find pictures that were rotated by quarter turns or mirrored; takes 7 times as long."
    )
    overlapping: bool = Field(
        False,
        description="Also find crops of one picture, and views that share 80 % of their ground; takes some 180 times "
        "as long: minutes for 400,000 pictures, and hours for ten million.",
    )


Priority = Literal["preferred", "quality", "caption_words", "sharpness", "image_bytes", "ground_resolution"]
"""What makes one of several duplicates the better one."""


class Preference(Model):
    """Rows that are better than all others, by where they come from."""

    field: Literal["img_name", "shard", "format"] = Field(description="What the pattern is held against.")
    pattern: str = Field(min_length=1, description="A glob, as in `*_GOOGLE_*` or `PNG`; upper and lower case differ.")


class Deduplication(Model):
    """What counts as the same, and which of several duplicates is kept."""

    exact_bytes: bool = Field(True, description="Rows whose image bytes are equal are duplicates.")
    exact_pixels: bool = Field(
        False, description="Rows whose pixels are equal, in whatever format, are duplicates; needs scan.pixel_digest."
    )
    near: NearDuplicates | None = Field(
        default_factory=NearDuplicates, description="Pictures that were saved again, or changed a little; null: off."
    )
    same_tile: bool = Field(False, description="Rows of the same tile (z, x, y) are duplicates.")
    nested_tiles: Literal["finest", "coarsest"] | None = Field(
        None,
        description="Of tiles that lie within each other, keep the finest or the coarsest, before all other priority; "
        "null: nested tiles are no duplicates.",
    )
    caption_copies: int | None = Field(
        None,
        ge=1,
        description="Most rows that are kept of one caption, case and white space ignored; null: any number.",
    )
    references: list[Source] = Field(
        default_factory=list,
        description="Sets of pictures, such as the benchmarks to be tested on, no copy of which may be kept; each is "
        "written as a `source`.",
    )
    priority: list[Priority] = Field(
        ["preferred", "quality", "caption_words"],
        description="Which of several duplicates is kept, by what in turn: the highest, longest or largest first, of "
        "ground_resolution the finest, at last the first in the source.",
    )
    preferred: list[Preference] = Field(
        default_factory=list, description="Rows that are kept before others, the first that matches the best."
    )

    @field_validator("references", mode="before")
    @classmethod
    def _files_by_default(cls, references: Any) -> Any:
        return [_with_kind(source) for source in references] if isinstance(references, list) else references

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.references and not (self.exact_bytes or self.exact_pixels or self.near):
            raise ValueError("references: nothing is compared; expected exact_bytes, exact_pixels or near beside them")
        for what, names in (
            ("references", [source.name for source in self.references]),
            ("priority", list(self.priority)),
        ):
            if repeated := [name for name, times in Counter(names).items() if times > 1]:
                raise ValueError(f"{what}: every name must be used once; repeated: {', '.join(repeated)}")
        return self


class QualityThreshold(Model):
    """The least quality score that is kept: a number, or a quantile of the valid rows' scores; neither keeps all."""

    min_score: float | None = Field(None, allow_inf_nan=False, description="Keep scores at or above this.")
    min_quantile: float | None = Field(
        None, gt=0, lt=1, description="Keep scores at or above this quantile of the valid rows' scores [0..1]."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.min_score is not None and self.min_quantile is not None:
            raise ValueError("give min_score or min_quantile, not both")
        return self


class WordRange(_Range):
    """A range of words, both ends included."""

    min: int | None = Field(None, ge=0, description="Fewest words; null: no lower limit.")
    max: int | None = Field(None, ge=0, description="Most words; null: no upper limit.")
    action: Action = Field("reject", description="What becomes of a row outside the range.")


class ResolutionRange(_Range):
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


class Splits(Model):
    """Fractions of the kept rows, drawn by a seeded hash of the image, so that equal images share a split."""

    fractions: dict[SplitName, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=lambda: {"train": 1.0}, min_length=1, description="Split name to fraction; they sum to 1."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Another seed draws other rows.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = sum(self.fractions.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"fractions sum to {total:g}; expected 1")
        return self

    @field_validator("fractions")
    @classmethod
    def _in_order(cls, fractions: dict[str, float]) -> dict[str, float]:
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
    splits: Splits = Field(default_factory=Splits, description="How the kept rows are divided.")


class Output(Model):
    """Where subsets go and how their files are cut."""

    dir: Location = Field(description="Folder that will hold one folder per subset: a local path or a URL.")
    shard_bytes: int = Field(
        500_000_000, ge=1, le=2**40, description="A data file is closed once its images reach this size [bytes]."
    )
    row_group_rows: int = Field(
        100, ge=1, le=100_000, description="Rows in a Parquet row group; data-set viewers read 100 well [rows]."
    )


class Engine(Model):
    """What the run may use. Nothing here changes a byte of the result."""

    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Worker processes of the scan; default: all cores.",
    )
    fetched_bytes: int = Field(
        20_000_000_000,
        ge=1,
        description="Most bytes of fetched shards that may lie on this disk at once [bytes]; default 20 GB.",
    )


class Recipe(Model):
    """The parameters of a run: one source, one scan, any number of subsets."""

    source: Source = Field(description="Where the pairs come from.")
    scan: ScanSettings = Field(default_factory=ScanSettings, description="How images are measured.")
    validation: Validation = Field(default_factory=Validation, description="What a row must be.")
    deduplication: Deduplication = Field(default_factory=Deduplication, description="What counts as the same.")
    subsets: list[Subset] = Field(min_length=1, description="The curated outputs.")
    output: Output = Field(description="Where the subsets go.")
    workspace: Location = Field(
        description="Folder for signals, pairs and verdicts, kept and reused between runs: a local path or a URL."
    )
    engine: Engine = Field(default_factory=Engine, description="What the run may use.")

    @field_validator("source", mode="before")
    @classmethod
    def _files_by_default(cls, source: Any) -> Any:
        return _with_kind(source)

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.deduplication.exact_pixels and not self.scan.pixel_digest:
            raise ValueError("deduplication.exact_pixels: needs scan.pixel_digest: true, found false")
        for key in ("exact_pixels", "references"):
            if getattr(self.deduplication, key) and not self.scan.images:
                raise ValueError(f"deduplication.{key}: needs scan.images: true, found false")
        return self

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        repeated = [name for name, times in Counter(s.name for s in self.subsets).items() if times > 1]
        if repeated:
            raise ValueError(f"subsets: every name must be used once; repeated: {', '.join(repeated)}")
        return self

    @property
    def title(self) -> str:
        """What the run makes of what, as in ``demo → clean, high-quality``."""
        return f"{self.source.name} → {', '.join(subset.name for subset in self.subsets)}"

    def essence(self, subset: Subset) -> dict[str, Any]:
        """Return all of the recipe that can change a byte of ``subset``: no path, no other subset, no engine.

        The result is plain JSON data, and stands in the manifest as the recipe.
        """
        data = self.model_dump(
            mode="json",
            exclude={
                "source": _WHEREABOUTS,
                "deduplication": {"references": {"__all__": _WHEREABOUTS}},
                "output": {"dir"},
                "workspace": True,
                "engine": True,
            },
        )
        data["subsets"] = [subset.model_dump(mode="json")]
        return data


def fingerprint(data: Any) -> str:
    """Return the SHA-256, in hex, of ``data`` as canonical JSON (sorted keys, no spaces, UTF-8).

    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()

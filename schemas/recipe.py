"""The recipe: the parameters of a run, the one parameter of the ``curate`` flow, and the file a person writes."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from upath import UPath

from schemas.base import Location, Model, require_distinct
from schemas.scorer import Scorer
from schemas.source import WHEREABOUTS, Source, with_kind
from schemas.subset import RowList, Seed, Subset
from schemas.thresholds import Action, ScoreRange, ZoomRange

ImageFormat = Literal["JPEG", "PNG", "WEBP", "TIFF"]


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


class SemanticDuplicates(Model):
    """When two pictures show the same to an image-text model, however they look: SemDeDup's rule.

    Pictures are clustered, and compared with those of their own cluster (Abbas et al. 2023, arXiv:2303.09540) and of
    the clusters next to it.
    """

    min_cosine: float = Field(0.95, ge=0.5, le=1, description="Least cosine of two pictures' vectors [0.5..1].")
    scorer: str | None = Field(None, description="Name of the scorer whose vectors are compared; null: the first.")
    clusters: int | None = Field(
        None, ge=1, le=1_000_000, description="Clusters of pictures; null: one for each 1,000 pictures."
    )
    probes: int = Field(
        3,
        ge=1,
        le=16,
        description="Nearest clusters whose pictures each picture is compared with; 1: its own alone, as SemDeDup.",
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
    semantic: SemanticDuplicates | None = Field(
        None, description="Pictures that show the same, by the vectors of one of the recipe's scorers; null: off."
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
        return [with_kind(source) for source in references] if isinstance(references, list) else references

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.references and not (self.exact_bytes or self.exact_pixels or self.near):
            raise ValueError("references: nothing is compared; expected exact_bytes, exact_pixels or near beside them")
        require_distinct("references", (source.name for source in self.references))
        require_distinct("priority", self.priority)
        return self


class Output(Model):
    """Where subsets go and how their files are cut."""

    dir: Location = Field(description="Folder that will hold one folder per subset: a local path or a URL.")
    mode: Literal["data", "index"] = Field(
        "data",
        description="'index' writes no image and no caption; `git10m materialize` makes the data files of it.",
    )
    format: Literal["parquet", "webdataset"] = Field("parquet", description="Parquet files, or WebDataset tars.")
    text: Literal["text2earth"] | None = Field(
        None, description="Adds a column `text`, as Text2Earth is prompted: {level}_GOOGLE_LEVEL_{caption}; null: none."
    )
    shuffle_seed: Seed | None = Field(
        None,
        description="Write the rows of each split in a random order, which takes as much disk again as the kept rows; "
        "null: as in the source, whose first rows are a biased sample.",
    )
    shard_bytes: int = Field(
        500_000_000, ge=1, le=2**40, description="A data file is closed once its images reach this size [bytes]."
    )
    row_group_rows: int = Field(
        100, ge=1, le=100_000, description="Rows in a Parquet row group; data-set viewers read 100 well [rows]."
    )
    keep_versions: int = Field(
        2,
        ge=1,
        le=10_000,
        description="Versions of each subset that are kept, the latest included; with 1, whoever is reading the former "
        "one loses it when the next is published.",
    )


class Engine(Model):
    """What the run may use. Nothing here changes a byte of the result."""

    kind: Literal["local", "dask", "ray"] = Field(
        "local",
        description="Who scans and writes: this machine, or a Dask or Ray cluster; install git10m[dask] or [ray].",
    )
    address: str | None = Field(
        None,
        min_length=1,
        description="Where a cluster is: tcp://host:8786 of Dask's scheduler, host:6379 or ray://host:10001 of Ray; "
        "null: one of this machine, for the length of the run.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Worker processes; default: all cores. Of a cluster with an address: how many task runs it does at "
        "a time; work is cut for so many.",
    )
    fetched_bytes: int = Field(
        20_000_000_000,
        ge=1,
        description="Most bytes of fetched shards that may lie on a machine's disk at once [bytes]; default 20 GB.",
    )

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if self.kind == "local" and self.address is not None:
            raise ValueError(f"address: found {self.address} beside kind local; expected kind dask or ray")
        return self


class Recipe(Model):
    """The parameters of a run: one source, one scan, any number of subsets."""

    source: Source = Field(description="Where the pairs come from.")
    scan: ScanSettings = Field(default_factory=ScanSettings, description="How images are measured.")
    validation: Validation = Field(default_factory=Validation, description="What a row must be.")
    scorers: list[Scorer] = Field(
        default_factory=list,
        description="Image-text models that score each pair; install git10m[clip]. Empty: none is asked.",
    )
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
        return with_kind(source)

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.deduplication.exact_pixels and not self.scan.pixel_digest:
            raise ValueError("deduplication.exact_pixels: needs scan.pixel_digest: true, found false")
        for key in ("exact_pixels", "references"):
            if getattr(self.deduplication, key) and not self.scan.images:
                raise ValueError(f"deduplication.{key}: needs scan.images: true, found false")
        for number, subset in enumerate(self.subsets):
            if not self.scan.images and (measured := subset.measured_keys()):
                raise ValueError(f"subsets.{number}.{measured[0]}: needs scan.images: true, found false")
        return self

    @model_validator(mode="after")
    def _scored(self) -> Self:
        names = [scorer.name for scorer in self.scorers]
        require_distinct("scorers", names)
        if names and not self.scan.images:
            raise ValueError("scorers: needs scan.images: true, found false")
        semantic = self.deduplication.semantic
        asked: list[tuple[str, list[str]]] = []
        if semantic is not None:
            asked.append(("deduplication.semantic.scorer", [] if semantic.scorer is None else [semantic.scorer]))
        for number, subset in enumerate(self.subsets):
            asked += [(f"subsets.{number}.{key}.scorers", scorers) for key, scorers in subset.scored().items()]
        for key, wanted in asked:
            if not names:
                raise ValueError(f"{key}: no scorer is there to ask; expected one in scorers")
            if unknown := [name for name in wanted if name not in names]:
                raise ValueError(f"{key}: found {', '.join(unknown)}; expected names of scorers: {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _made_of_others(self) -> Self:
        made = [_absolute(self.output.dir / subset.name) for subset in self.subsets]
        for number, subset in enumerate(self.subsets):
            for key in ("include", "exclude"):
                listed: RowList | None = getattr(subset, key)
                if listed is not None and any(_within(_absolute(listed.path), folder) for folder in made):
                    told = f"found {listed.path}, which this recipe writes; expected a list that stays as it is"
                    raise ValueError(f"subsets.{number}.{key}.path: {told}")
        return self

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        require_distinct("subsets", (subset.name for subset in self.subsets))
        return self

    @property
    def title(self) -> str:
        """What the run makes of what, as in ``demo → clean, high-quality``."""
        return f"{self.source.name} → {', '.join(subset.name for subset in self.subsets)}"

    def asked(self, subset: Subset) -> list[Scorer]:
        """Return the scorers that have a say in ``subset``, in the recipe's order."""
        semantic = self.deduplication.semantic
        names = {name for wanted in subset.scored().values() for name in wanted or [one.name for one in self.scorers]}
        if semantic is not None:
            names.add(semantic.scorer or self.scorers[0].name)
        return [scorer for scorer in self.scorers if scorer.name in names]

    def essence(self, subset: Subset) -> dict[str, Any]:
        """Return all of the recipe that can change a byte of ``subset``: no path, no other subset, no engine.

        The result is plain JSON data, and stands in the manifest as the recipe.
        """
        data = self.model_dump(
            mode="json",
            exclude={
                "source": WHEREABOUTS,
                "deduplication": {"references": {"__all__": WHEREABOUTS}},
                "output": {"dir", "mode", "keep_versions"},  # an index is of the same subset
                "workspace": True,
                "engine": True,
            },
        )
        data["scorers"] = [
            scorer.model_dump(mode="json", exclude={"model", "revision", "sha256", "batch_size"}) | scorer.weights()
            for scorer in self.asked(subset)
        ]
        files = {"path"}  # their content counts, by its SHA-256
        data["subsets"] = [subset.model_dump(mode="json", exclude={"area": files, "include": files, "exclude": files})]
        return data


def _absolute(path: UPath) -> str:
    return str(path.absolute()) if isinstance(path, Path) else str(path).rstrip("/")


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def fingerprint(data: Any) -> str:
    """Return the SHA-256, in hex, of ``data`` as canonical JSON (sorted keys, no spaces, UTF-8).

    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()

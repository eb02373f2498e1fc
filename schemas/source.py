"""Where the pairs come from, and the terms that travel with them."""

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from schemas.base import Address, Model
from schemas.licence import GIT10M_TERMS, is_git10m

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

    kind: str  # these two first, as they are asked for first; each kind of source says more of them
    path: str
    name: str = Field(min_length=1, description="The source's name in manifests, cards and run names.")
    format: SourceFormat | None = Field(None, description="How it lies in its files; null: found by itself.")
    split: str = Field("train", min_length=1, description="The split to read.")
    revision: str | None = Field(None, description="The source's revision, if it has one; recorded in the manifest.")
    licence: str | None = Field(
        None,
        min_length=1,
        description="SPDX identifier of the source's licence; null: not given, which lets nobody pass pictures on. "
        "Of Git-10M it is CC-BY-NC-ND-4.0, and terms and citation are those of its card, unless they are given.",
    )
    terms: str | None = Field(None, min_length=1, description="What the source asks beside its licence.")
    citation: str | None = Field(None, min_length=1, description="How to cite the source; copied to manifest and card.")
    authorization: str | None = Field(
        None,
        min_length=1,
        description="By whom and when you were allowed to pass pictures and captions on, where the licence does not "
        "let you; stands in manifest and card.",
    )
    on_bad_shard: Literal["fail", "publish"] = Field(
        "fail",
        description="When a shard cannot be read: 'fail' scans the rest and publishes nothing; "
        "'publish' goes on without it and names it in the manifest.",
    )
    columns: Columns = Field(default_factory=Columns, description="The columns to read; null: found by themselves.")

    @model_validator(mode="before")
    @classmethod
    def _known_terms(cls, source: Any) -> Any:
        if isinstance(source, dict) and is_git10m(str(source.get("name")), str(source.get("path"))):
            return source | {key: source.get(key) or told for key, told in GIT10M_TERMS.items()}
        return source


class FileSource(_Source):
    """Files: local, or on any object store that `fsspec` reads."""

    model_config = ConfigDict(title="Files")

    kind: Literal["files"] = Field("files", description="Files; the default.", json_schema_extra={"enum": ["files"]})
    path: Address = Field(description="Folder, file or glob: a local path, or a URL as s3://bucket/folder.")

    @field_validator("path", mode="before")
    @classmethod
    def _as_text(cls, path: Any) -> Any:
        return str(path) if isinstance(path, PurePath) else path


class HubSource(_Source):
    """A data set of the Hugging Face Hub; your token is read from HF_TOKEN or the login's file, never from here."""

    model_config = ConfigDict(title="Hugging Face Hub")

    kind: Literal["hub"] = Field("hub", description="A data set of the Hub.", json_schema_extra={"enum": ["hub"]})
    path: str = Field(
        pattern=r"^[\w.-]+/[\w.-]+$", description="The data set's id: owner/name.", examples=["lcybuaa/Git-10M"]
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit; null: main. The manifest records the commit it stood for."
    )


class _AnyOf:
    """Names the kinds of a union as ``anyOf`` in its schema: of a ``oneOf`` Prefect's first UI shows no form."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        return {"anyOf": schema.pop("oneOf")} | {key: schema[key] for key in schema if key != "discriminator"}


Source = Annotated[FileSource | HubSource, Field(discriminator="kind"), _AnyOf()]


def with_kind(source: Any) -> Any:
    """Return what a person wrote for a source, its kind put in: files, where it says none."""
    return {"kind": "files"} | source if isinstance(source, dict) else source


WHEREABOUTS = {"kind", "path", "on_bad_shard"}
"""What of a source no byte of a subset depends on."""

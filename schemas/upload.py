"""What ``git10m publish`` says of an upload: what of a subset leaves, why, and where it lies then."""

from typing import Literal

from pydantic import Field, NonNegativeInt

from schemas.base import Model


class UploadedFile(Model):
    """One file that is uploaded."""

    path: str = Field(description="Relative to the subset's folder, with forward slashes.")
    byte_length: NonNegativeInt = Field(description="Size of the file [bytes].")


class Commit(Model):
    """What the data set on the Hub holds now."""

    commit: str
    created: bool = Field(description="The data set is new.")
    private: bool
    sent: tuple[str, ...] = Field(description="Files that were not there, or others.")
    removed: tuple[str, ...] = Field(description="Files of the former version.")


class UploadReport(Model):
    """A subset, uploaded; or with ``commit`` null, what would be."""

    subset: str
    source: str
    url: str = Field(description="The data set's page.")
    form: Literal["data", "index"] = Field(description="`index`: without pictures and captions.")
    because: str = Field(description="Why all of it may be passed on, or may not.")
    files: tuple[UploadedFile, ...]
    commit: Commit | None = Field(description="null after a dry run: nothing was uploaded.")

"""What a stage reported when it was done, kept beside what it made: where nothing is new, nothing is done again."""

from importlib.metadata import version
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from upath import UPath

from schemas.recipe import fingerprint
from tasks.files import write_text

_Report = TypeVar("_Report", bound=BaseModel)


def record_key(*made_of: Any) -> str:
    """Return 16 hex digits that stand for JSON data that a stage's result depends on, and for this release."""
    return fingerprint([version("git10m"), *made_of])[:16]


def recall(record: UPath, report: type[_Report]) -> _Report | None:
    """Return the report in the file ``record``; None if there is none. Files that it names may be elsewhere by now."""
    try:
        return report.model_validate_json(record.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None  # never made, or damaged: making it again is always right


def note(record: UPath, report: BaseModel, *, without: set[str] | None = None) -> None:
    """Write ``report`` to the file ``record``, ``without`` some of its fields, once all that it tells of is on disk."""
    write_text(record, report.model_dump_json(exclude=without))

"""What of a subset may be passed on: all of it, or its index form."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from schemas.errors import CurationError
from schemas.licence import redistributable
from schemas.manifest import SourceIdentity
from schemas.reports import DataFile
from schemas.tables import INDEX_FILE, REJECTED_FILE

INDEX_TABLES = (INDEX_FILE, REJECTED_FILE)

_IN_INDEX_FORM = re.compile(r"index\.parquet|rejected\.parquet|README\.md|croissant\.json|figures/[\w.-]+\.png")


class UploadRefused(CurationError):
    """Something may not, or cannot, be uploaded; nothing of it was."""


class Permission(NamedTuple):
    """Whether all of a subset may be passed on, and why."""

    whole: bool
    because: str


def permission(source: SourceIdentity) -> Permission:
    """Return what the terms of ``source`` let one pass on."""
    if redistributable(source.licence):
        return Permission(True, f"the licence {source.licence} lets it be passed on")
    licence = (
        f"the licence {source.licence} is none that is known to let it be passed on"
        if source.licence
        else "no licence of the source is given"
    )
    authorization = (source.authorization or "").strip()
    if authorization:
        return Permission(True, f"{licence}, but there is an authorization: {authorization}")
    return Permission(False, f"{licence}, and there is no authorization")


def refuse_other_files(files: Iterable[DataFile]) -> None:
    """Raise :class:`UploadRefused` if one of ``files`` has no place in an index form, by its path."""
    strangers = [file.path for file in files if not in_index_form(file.path)]
    if strangers:
        raise UploadRefused(
            f"{', '.join(strangers)}: may hold pictures or captions; expected in an index nothing but "
            f"{', '.join(INDEX_TABLES)}, README.md, croissant.json and figures/*.png"
        )


def in_index_form(path: str) -> bool:
    """Return whether a file of this path in a subset has a place in its index form.

    >>> [in_index_form(path) for path in ("index.parquet", "figures/scores.png", "report.html", "data/figures/a.png")]
    [True, True, False, False]
    """
    return _IN_INDEX_FORM.fullmatch(path) is not None

"""The strict, immutable pydantic base that every model of this project shares, and the types of a place for files."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.fields import ComputedFieldInfo, FieldInfo
from upath import UPath

_REPR_COLUMNS, _REPR_ITEMS = 100, 8

_SECRET_WORDS = ("credential", "key", "password", "sas", "secret", "sig", "signature", "token")


def _title(name: str, field: FieldInfo | ComputedFieldInfo) -> str:
    return name[:1].upper() + name[1:].replace("_", " ")


class Model(BaseModel):
    """A frozen model that refuses unknown keys, so that a misspelt key is an error and not a default.

    Its ``repr`` is for a person: what it says of itself in words, if it does, else what is not as by default.
    """

    # Titles of our own: pydantic's leave out each field that is a model, and Prefect's form heads it with the class.
    model_config = ConfigDict(extra="forbid", frozen=True, field_title_generator=_title)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Yield the fields that are not as by default, places as plain text, as they may be given."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if field.is_required() or value != field.get_default(call_default_factory=True, validated_data={}):
                yield name, str(value) if isinstance(value, UPath) else value

    def __repr__(self) -> str:
        """Return at most some lines, of long lists the beginning."""
        if type(self).__str__ is not BaseModel.__str__:
            told = str(self)
            return f"{type(self).__name__}:{chr(10) if chr(10) in told else ' '}{told}"
        from rich.pretty import pretty_repr  # takes a while to import, and few look

        return pretty_repr(self, max_width=_REPR_COLUMNS, max_length=_REPR_ITEMS)


def require_distinct(what: str, names: Iterable[str]) -> None:
    """Raise a ValueError if one of the ``names`` of ``what`` is used twice.

    >>> require_distinct("subsets", ["clean", "few", "clean"])
    Traceback (most recent call last):
    ValueError: subsets: every name must be used once; repeated: clean
    """
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{what}: every name must be used once; repeated: {', '.join(repeated)}")


def _without_secrets(address: str) -> str:
    """Return ``address``; one with a password in it would stand in recipes, logs and the records of runs."""
    if "://" in address:
        parts = urlsplit(address)
        named = {word for name, _ in parse_qsl(parts.query) for word in name.lower().replace("_", "-").split("-")}
        if parts.password is not None or named & {*_SECRET_WORDS}:
            raise ValueError("holds a password, key or token; expected an address without: set it in the environment")
    return address


def _location(value: Any) -> UPath:
    if isinstance(value, UPath):
        return value
    if not isinstance(value, str | Path) or not str(value).strip():
        raise ValueError(f"found {value!r}; expected a path or a URL")
    path = UPath(_without_secrets(str(value)))
    if isinstance(path, Path):
        return path.expanduser()
    return UPath(value, use_listings_cache=False)  # other processes write there, too


Location = Annotated[
    UPath,
    PlainValidator(_location),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"\S"}),
]
"""A file or folder: a local path (``~`` is your home), then also a :class:`pathlib.Path`, or a URL for ``fsspec``,
such as ``s3://bucket/folder``; a string in JSON."""

Address = Annotated[str, StringConstraints(min_length=1), AfterValidator(_without_secrets)]
"""Where a source lies: a local path or a URL, in which no secret may stand."""

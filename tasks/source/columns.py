"""Kernel: which of a shard's columns hold the image and the facts, and those columns in the types the rest knows."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FACT_COLUMNS
from tasks.source.shards import ShardUnreadable

IMAGE = "image"
"""The image among the facts, and the column that holds it by default."""

IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""An image as the Hub stores it."""

_OTHER_NAMES = {
    IMAGE: ("jpg", "jpeg", "png", "webp", "tif", "tiff"),  # as WebDataset names columns, by the members' extension
    "caption": ("text", "txt"),
}
_NUMBERS = {"img_quality_score": pa.float64(), "caption_length": pa.int64(), "resolution": pa.float64()}

LEVELLED = r"^[0-9]{1,2}_GOOGLE_LEVEL_"
"""How a caption begins in the older layout of Git-10M; level 0 is a picture of a public data set, without zoom."""

_NUMERAL = r"(?i)^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?$|^[+-]?inf(inity)?$|^nan$"
_EXACT = 2**53  # whole numbers up to here are exact in float64


class Layout(NamedTuple):
    """The source's column that holds the image and each fact; None where it has none.

    ``json.score`` is the field ``score`` of the struct column ``json``.
    """

    image: str | None = None
    img_name: str | None = None
    img_quality_score: str | None = None
    caption: str | None = None
    caption_length: str | None = None
    resolution: str | None = None
    Google_location: str | None = None

    def names(self) -> list[str]:
        """Return the top-level columns in use, each once."""
        return list(dict.fromkeys(column.split(".")[0] for column in self if column is not None))

    @property
    def older(self) -> bool:
        """Whether captions may carry a zoom level in front: nothing else says where a picture was taken."""
        return self.caption is not None and self.resolution is None and self.Google_location is None


class FactColumns(NamedTuple):
    """The facts of n rows that the source has columns for."""

    columns: dict[str, pa.Array]  # by Git-10M's name: string, float64 or int64, of length n
    unread: dict[int, dict[str, str]]  # by row and fact: the text that is no number; the column has null there
    level: pa.Array | None  # int64, in front of a caption of the older layout; None where no caption has one


def resolve(schema: pa.Schema, wanted: Mapping[str, str | None], *, images: bool = True) -> Layout:
    """Return where the columns of ``schema`` hold the image and the facts.

    Args:
        schema: of one shard.
        wanted: column to take for a fact, by Git-10M's name; None or left out: the column of that very name, for the
            image also ``jpg``, ``jpeg``, ``png``, ``webp``, ``tif`` or ``tiff``, for the caption ``text`` or ``txt``;
            "": none, though there is a column of that name.
        images: whether the image is needed; if not, no column is looked for.

    Raises:
        ShardUnreadable: if a wanted column or the image is absent, a name stands for several columns, or a column's
            type cannot hold what it should.

    >>> resolve(pa.schema({"jpg": pa.binary(), "txt": pa.string()}), {})[:4]
    ('jpg', None, None, 'txt')
    """
    found: dict[str, str] = {}
    for fact in (IMAGE, *FACT_COLUMNS) if images else FACT_COLUMNS:
        name = wanted.get(fact)
        column = _found_by_itself(schema, fact) if name is None else name
        if column:
            _check(fact, column, _type_at(schema, fact, column))
            found[fact] = column
    if images and IMAGE not in found:
        known = ", ".join((IMAGE, *_OTHER_NAMES[IMAGE]))
        raise ShardUnreadable(
            f"no column holds the image: found {_listed(schema)}; expected {known}, or its name in "
            "source.columns.image; git10m init finds it by what is in it"
        )
    return Layout(**found)


def _found_by_itself(schema: pa.Schema, fact: str) -> str | None:
    if fact in schema.names:
        return fact
    others = [name for name in _OTHER_NAMES.get(fact, ()) if name in schema.names]
    if len(others) > 1:
        raise ShardUnreadable(
            f"{fact}: found columns {' and '.join(others)}, expected one; name it in source.columns.{fact}"
        )
    return others[0] if others else None


def _type_at(schema: pa.Schema, fact: str, column: str) -> pa.DataType:
    """Return the type of ``column``, through structs if it has dots."""
    if "." in column and column in schema.names:
        raise ShardUnreadable(
            f"column {column}: found a column of that very name, but a dot names a field of a struct; "
            "expected a column without dots in its name"
        )
    fields: Any = schema
    way = column.split(".")
    for depth, name in enumerate(way):
        indices = fields.get_all_field_indices(name)
        here = f"column {'.'.join(way[: depth + 1])}"
        if not indices:
            raise ShardUnreadable(f"{here}: not found, expected to hold {fact}; found {_listed(fields)}")
        if len(indices) > 1:
            raise ShardUnreadable(f"{here}: found {len(indices)} columns of that name, expected one")
        type_ = _storage(fields.field(indices[0]).type)
        if depth < len(way) - 1:
            if not pa.types.is_struct(type_):
                raise ShardUnreadable(f"{here}: found {type_}, expected a struct with a field {way[depth + 1]}")
            fields = type_
    return type_


def _listed(fields: Any) -> str:
    return ", ".join(field.name for field in fields) or "none"


def _check(fact: str, column: str, type_: pa.DataType) -> None:
    if fact != IMAGE:
        if not _holds_fact(type_):
            kind = "numbers" if fact in _NUMBERS else "texts"
            raise ShardUnreadable(f"column {column}: found {type_}, expected {kind} for {fact}")
        return
    held = type_
    if pa.types.is_struct(type_):
        indices = type_.get_all_field_indices("bytes")
        held = _storage(type_.field(indices[0]).type) if len(indices) == 1 else type_
    if not (_is_binary(_value_type(held)) or pa.types.is_null(held)):
        raise ShardUnreadable(f"column {column}: found {type_}, expected struct<bytes: binary, path: string> or binary")


def _holds_fact(type_: pa.DataType) -> bool:
    type_ = _value_type(type_)
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return _is_text(type_) or _is_binary(type_) or any(is_kind(type_) for is_kind in kinds)


def _storage(type_: pa.DataType) -> pa.DataType:
    return type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_


def _value_type(type_: pa.DataType) -> pa.DataType:
    """Return the type of the values behind dictionary and run-end encoding."""
    encoded = pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_)
    return type_.value_type if encoded else type_


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _is_binary(type_: pa.DataType) -> bool:
    plain = pa.types.is_binary(type_) or pa.types.is_large_binary(type_)
    return bool(plain or pa.types.is_binary_view(type_) or pa.types.is_fixed_size_binary(type_))


def check_column(schema: pa.Schema, fact: str, column: str) -> None:
    """Raise :class:`ShardUnreadable` if ``schema`` has no such ``column``, or it cannot hold ``fact``."""
    _check(fact, column, _type_at(schema, fact, column))


def text_column(batch: pa.RecordBatch, column: str) -> pa.StringArray:
    """Return a column as text, numbers as they are written; dots in its name lead through structs."""
    return _text(_decoded(_column(batch, column)))


def images(batch: pa.RecordBatch, layout: Layout) -> pa.BinaryArray | pa.LargeBinaryArray:
    """Return the images of ``batch`` as one binary column, null where a row has none.

    Nothing is copied from a column of binary or large_binary, in a struct or not; other types are.
    """
    if layout.image is None:
        raise ValueError("the layout has no image: it was resolved without images")
    column = _column(batch, layout.image)
    if pa.types.is_struct(column.type):
        column = _field(column, "bytes")
    column = _decoded(column)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.binary())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return column
    return column.cast(pa.large_binary())


def facts(batch: pa.RecordBatch, layout: Layout) -> FactColumns:
    """Return the facts of ``batch`` in the types the rest knows: texts as string, scores and resolutions as float64,
    declared lengths as int64.

    A number in a text column becomes text, and the other way round; what is no number becomes null and is reported.
    Bytes that are no UTF-8 become U+FFFD, which the row rules call garbled. In an int64 column, NaN is null (so
    pandas writes it), and a fraction is no number. A caption of the older layout loses its level, which stands apart.
    """
    columns: dict[str, pa.Array] = {}
    unread: dict[int, dict[str, str]] = {}
    for fact in FACT_COLUMNS:
        name = getattr(layout, fact)
        if name is None:
            continue
        column = _decoded(_column(batch, name))
        if fact not in _NUMBERS:
            columns[fact] = _text(column)
            continue
        columns[fact], told = _number(column, _NUMBERS[fact])
        for row, text in told:
            unread.setdefault(row, {})[fact] = text
    level = None
    if layout.older:
        columns["caption"], level = _without_level(columns["caption"])
    return FactColumns(columns, unread, level)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    first, *rest = name.split(".")
    column = batch.column(first)
    for field in rest:
        column = _field(column, field)
    return column


def _field(column: pa.Array, name: str) -> pa.Array:
    # struct_field respects the struct's own nulls; StructArray.field does not.
    return pc.struct_field(column.storage if isinstance(column, pa.ExtensionArray) else column, name)


def _decoded(column: pa.Array) -> pa.Array:
    """Return ``column`` without dictionary, run-end encoding or extension."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        values = column.dictionary
        if pa.types.is_string_view(values.type):
            values = values.view(pa.binary_view())
        if _is_text(values.type) or _is_binary(values.type):
            values = _bytes(values).cast(pa.large_binary())  # views cannot be taken, and 2 GiB may be passed
        return values.take(column.indices)
    if pa.types.is_run_end_encoded(column.type):
        return pc.run_end_decode(column)
    return column


def _bytes(column: pa.Array) -> pa.Array:
    """Return texts as the bytes they are, unchecked."""
    if pa.types.is_string(column.type):
        return column.view(pa.binary())
    if pa.types.is_large_string(column.type):
        return column.view(pa.large_binary())
    if pa.types.is_string_view(column.type):
        return column.view(pa.binary_view())
    return column


def _text(column: pa.Array) -> pa.Array:
    if not (_is_text(column.type) or _is_binary(column.type)):
        return column.cast(pa.string())
    column = _bytes(column)
    if pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.large_binary())
    try:
        return column.cast(pa.string())  # checks that it is UTF-8
    except pa.ArrowInvalid:
        texts = [None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist()]
        return pa.array(texts, pa.string())


def _number(column: pa.Array, type_: pa.DataType) -> tuple[pa.Array, Iterator[tuple[int, str]]]:
    """Return ``column`` as ``type_``, null where it is no such number, and those rows with the text found."""
    if pa.types.is_null(column.type):
        return column.cast(type_), iter(())
    if pa.types.is_integer(column.type):
        if pa.types.is_floating(type_):
            return column.cast(type_, safe=False), iter(())
        if pa.types.is_uint64(column.type):
            small = pc.if_else(pc.less(column, pa.scalar(2**63, pa.uint64())), column, None)
            return small.cast(type_), _lost(column, small)
        return column.cast(type_), iter(())
    if pa.types.is_float32(column.type):
        column = column.cast(pa.string())  # the 4.7 that a float32 stands for, and not the 4.699999809 that it holds
    values, readable = column, column
    if _is_text(column.type) or _is_binary(column.type):
        texts = pc.utf8_trim_whitespace(_text(column))
        column = pc.if_else(pc.equal(texts, ""), None, texts)
        readable = pc.if_else(pc.match_substring_regex(column, _NUMERAL), column, None)
    values = readable.cast(pa.float64(), safe=False)
    if not pa.types.is_floating(type_):
        column = pc.if_else(pc.fill_null(pc.is_nan(values), False), None, column)
        whole = pc.and_(pc.less_equal(pc.abs(values), _EXACT), pc.equal(values, pc.trunc(values)))
        values = pc.if_else(whole, values, None).cast(type_)
    return values, _lost(column, values)


def _lost(column: pa.Array, values: pa.Array) -> Iterator[tuple[int, str]]:
    lost = pc.and_(column.is_valid(), values.is_null())
    if not pc.any(lost).as_py():
        return
    for row in pc.indices_nonzero(lost).to_pylist():
        yield row, str(column[row].as_py())


def _without_level(caption: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    levelled = pc.match_substring_regex(caption, LEVELLED)
    if not pc.any(levelled).as_py():
        return caption, None
    rest = pc.replace_substring_regex(caption, LEVELLED, "", max_replacements=1)
    level = pc.replace_substring_regex(pc.if_else(levelled, caption, None), "(?s)_.*", "")
    return pc.if_else(levelled, rest, caption), level.cast(pa.int64())

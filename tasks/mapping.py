"""Which columns hold picture and caption, where they have other names than are known: by type, content and habit."""

from collections.abc import Mapping
from contextlib import closing

import pyarrow as pa

from tasks.scan.containers import sniff
from tasks.source.columns import IMAGE, resolve
from tasks.source.read import read_batches, read_schema
from tasks.source.shards import Shard, ShardUnreadable, SourceError

_CAPTIONS = (
    "captions", "caption_text", "text_caption", "description", "prompt", "sentence", "alt_text", "alt", "title"
)  # fmt: skip
"""What captions are called elsewhere, likeliest first; `caption`, `text` and `txt` are known without a guess."""

_NO_CAPTIONS = frozenset({"file_name", "label", "cls"})
"""What names or classes of pictures are called, in image folders and tars of benchmarks."""

_LOOKED_AT = 16  # values of a binary column, of which one is to begin as a picture does


class ColumnsUnclear(SourceError):
    """Which column holds the picture or the caption is for a person to say."""


def guess_columns(shard: Shard, wanted: Mapping[str, str | None]) -> dict[str, str]:
    """Return the columns of ``shard`` that have to be named in ``source.columns``: ``wanted``, and what is found.

    Args:
        shard: whose columns are looked at; of a column of plain bytes, its first values as well.
        wanted: column of a fact, by Git-10M's name; None where nobody said.

    Raises:
        ColumnsUnclear: if no column, or more than one, can be the picture; or none of several texts is a caption.
        ShardUnreadable: if the shard cannot be read, or has no column that is wanted.
    """
    schema = read_schema(shard, in_place=True)
    mapping = {fact: column for fact, column in wanted.items() if column is not None}
    layout = resolve(schema, wanted, images=False)
    try:
        resolve(schema, wanted)
    except ShardUnreadable:
        if mapping.get(IMAGE):
            raise
        if IMAGE not in mapping:  # "": a person says that there is none
            mapping[IMAGE] = _picture(shard, schema)
    taken = {*layout.names(), mapping.get(IMAGE), *_NO_CAPTIONS}
    texts = [field.name for field in schema if field.name not in taken and _is_text(field.type)]
    if layout.caption is None and "caption" not in mapping and texts:
        lower = {name.lower(): name for name in reversed(texts)}
        usual = [lower[name] for name in ("caption", "text", "txt", *_CAPTIONS) if name in lower]
        if not usual:
            raise ColumnsUnclear(
                f"{shard.name}: no column is known to hold the caption: found {_listed(schema)}; "
                "say which with --column caption=COLUMN, or that there is none with --column caption="
            )
        mapping["caption"] = usual[0]
    return mapping


def _picture(shard: Shard, schema: pa.Schema) -> str:
    found = [field.name for field in schema if _is_image_struct(field.type)]
    if not found:
        found = _with_pictures(shard, [field.name for field in schema if _is_bytes(field.type)])
    if len(found) != 1:
        told = f"columns {' and '.join(found)} hold pictures" if found else "no column holds a picture"
        raise ColumnsUnclear(
            f"{shard.name}: {told}: found {_listed(schema)}; expected one; say which with --column image=COLUMN, "
            "or that there is none with --column image="
        )
    return found[0]


def _with_pictures(shard: Shard, columns: list[str]) -> list[str]:
    """Return which of ``columns`` have a value among the first that begins as a picture does."""
    if not columns:
        return []
    with closing(read_batches(shard, columns, in_place=True)) as batches:
        batch = next(batches, None)
    if batch is None:
        return []
    first = {name: batch.column(name).drop_null()[:_LOOKED_AT].cast(pa.large_binary()) for name in columns}
    return [name for name, values in first.items() if any(sniff(memoryview(v.as_buffer())) for v in values)]


def _is_image_struct(type_: pa.DataType) -> bool:
    return bool(pa.types.is_struct(type_)) and any(
        field.name == "bytes" and _is_bytes(field.type) for field in type_.fields
    )


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_))


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"

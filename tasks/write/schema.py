"""The one schema of a subset's data files, whatever the schemas of the shards are."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import CurationError
from schemas.manifest import Column, DataColumns
from schemas.reports import ScanReport
from tasks.scan.reuse import source_schema
from tasks.source.columns import IMAGE, IMAGE_TYPE, Layout, images


class SchemasDiffer(CurationError):
    """Shards hold a column in types that no one type can hold."""


class DataSchema(NamedTuple):
    """How data files look: every column of every shard under its own name, the image as ``struct<bytes, path>``."""

    schema: pa.Schema  # with the Hub's features
    columns: dict[str, str]  # column that holds each fact of schemas.tables.FACT_COLUMNS, and the image

    @classmethod
    def of(cls, described: DataColumns) -> Self:
        """Return what the manifest has of a subset's columns."""
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(described.arrow)))
        return cls(schema, dict(described.facts))

    def described(self) -> DataColumns:
        """Return this as it stands in the manifest."""
        return DataColumns(
            columns=tuple(Column(name=field.name, dtype=str(field.type)) for field in self.schema),
            facts=self.columns,
            arrow=base64.b64encode(self.schema.serialize()).decode(),
        )


TEXT = "text"
"""The column that Text2Earth is trained on."""


def data_schema(scan: ScanReport, *, text: bool = False) -> DataSchema:
    """Return the schema that holds every row of ``scan``'s shards without loss.

    Args:
        scan: what was scanned.
        text: add the column :data:`TEXT`, unless captions stand there already in that form.

    Raises:
        SchemasDiffer: if no type holds a column of all shards, or there is no caption, or another column ``text``.
    """
    target = _merged(scan)
    if not text or target.columns.get("caption") == TEXT:
        return target
    if "caption" not in target.columns:
        raise SchemasDiffer("output.text: the source has no column for captions; name it in source.columns.caption")
    if TEXT in target.schema.names:
        raise SchemasDiffer(f"output.text: the source has a column {TEXT} already, which is not the caption")
    schema = target.schema.append(pa.field(TEXT, pa.string()))
    features = _features(schema, target.columns.get(IMAGE), target.schema.metadata or {})
    return DataSchema(schema.with_metadata(features), target.columns)


def _merged(scan: ScanReport) -> DataSchema:
    columns: dict[str, str] = {}
    for shard in scan.shards:
        columns = shard.layout | columns  # the first shard's names win
    types: dict[str, pa.DataType] = {}
    metadata: dict[bytes, bytes] = {}
    plain = True
    seen: set[str] = set()
    for shard in scan.shards:
        schema = source_schema(shard.signals)
        key = schema.to_string(show_schema_metadata=False) + json.dumps(shard.layout)
        if key in seen:
            continue
        plain = plain and not seen
        seen.add(key)
        metadata = metadata or dict(schema.metadata or {})
        for name, found in _fields(schema, shard.layout, columns):
            known = types.get(name)
            types[name] = found if known in (None, found) else _common(name, known, found, shard.shard)
    merged = pa.schema(list(types.items()))
    if plain and _is_described(merged, columns.get(IMAGE), metadata):
        first = source_schema(scan.shards[0].signals)
        if first.remove_metadata().equals(merged):
            return DataSchema(merged.with_metadata(metadata), columns)
    return DataSchema(merged.with_metadata(_features(merged, columns.get(IMAGE), metadata)), columns)


def conform(table: pa.Table, layout: Mapping[str, str], target: DataSchema) -> pa.Table:
    """Return ``table``, read from a shard of ``layout``, in the ``target`` schema; null where it has no such column."""
    names = _names(layout, target.columns)
    found: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        found.setdefault(names.get(name, name), column)  # of two columns with one name, the first
    if IMAGE in layout:
        found[target.columns[IMAGE]] = _image(table, layout)
    arrays = []
    for field in target.schema:
        column = found.get(field.name)
        arrays.append(pa.chunked_array([pa.nulls(len(table), field.type)]) if column is None else _cast(column, field))
    return pa.Table.from_arrays(arrays, schema=target.schema)


def _fields(
    schema: pa.Schema, layout: Mapping[str, str], columns: Mapping[str, str]
) -> Iterable[tuple[str, pa.DataType]]:
    names = _names(layout, columns)
    told = set()
    for field in schema:
        name = names.get(field.name, field.name)
        if name not in told:  # of two columns with one name, the first
            told.add(name)
            yield name, IMAGE_TYPE if field.name == layout.get(IMAGE) else _stored(field.type)


def _names(layout: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that hold a fact under another name than in the data files."""
    return {
        name: columns[fact]
        for fact, name in layout.items()
        if columns[fact] != name and "." not in name + columns[fact]
    }


def _stored(found: pa.DataType) -> pa.DataType:
    """Return the type that a Parquet reader of any age knows."""
    if pa.types.is_dictionary(found):
        return _stored(found.value_type)
    if pa.types.is_string_view(found):
        return pa.string()
    if pa.types.is_binary_view(found):
        return pa.binary()
    return found if _known_to_the_hub(found) else pa.string()  # as JSON


def _known_to_the_hub(found: pa.DataType) -> bool:
    """Return whether `datasets` has a feature for the type."""
    kinds = pa.types
    if kinds.is_list(found) or kinds.is_large_list(found) or kinds.is_fixed_size_list(found):
        return _known_to_the_hub(found.value_type)
    if kinds.is_struct(found):
        return found.num_fields > 0 and all(_known_to_the_hub(field.type) for field in found)
    plain = (kinds.is_boolean, kinds.is_integer, kinds.is_floating, kinds.is_string, kinds.is_large_string)
    others = (kinds.is_binary, kinds.is_large_binary, kinds.is_decimal128, kinds.is_decimal256)
    times = (kinds.is_timestamp, kinds.is_date, kinds.is_time, kinds.is_duration)
    return any(is_kind(found) for is_kind in (*plain, *others, *times))


def _common(name: str, one: pa.DataType, other: pa.DataType, shard: str) -> pa.DataType:
    try:
        pair = [pa.schema([(name, kind)]) for kind in (one, other)]
        return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        if not (pa.types.is_nested(one) or pa.types.is_nested(other)):
            return pa.string()  # numbers here, text there: text holds both
        raise SchemasDiffer(f"{shard}: column {name}: found {other}, but {one} in an earlier shard") from error


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    if column.type.equals(field.type):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(field.type) and not (_known_to_the_hub(column.type) or _is_text_view(column.type)):
        values = (None if value is None else json.dumps(value, default=str) for value in column.to_pylist())
        return pa.chunked_array([pa.array(values, pa.string())])
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        told = f"found {column.type}, which does not become {field.type}, the type of all shards: {error}"
        raise SchemasDiffer(f"column {field.name}: {told}") from error


def _is_text_view(found: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(found))


def _image(table: pa.Table, layout: Mapping[str, str]) -> pa.ChunkedArray:
    name = layout[IMAGE]
    if name in table.column_names and table.schema.field(name).type == IMAGE_TYPE:
        return table[name]
    where = Layout(**{fact: layout.get(fact) for fact in Layout._fields})
    chunks = []
    for batch in table.to_batches():
        data = images(batch, where)
        source = batch.column(name) if name in batch.schema.names else None
        path = pa.nulls(len(data), pa.string())
        if source is not None and pa.types.is_struct(source.type) and source.type.get_field_index("path") >= 0:
            path = pc.struct_field(source, "path").cast(pa.string())
        chunks.append(
            pa.StructArray.from_arrays([data.cast(pa.binary()), path], fields=list(IMAGE_TYPE), mask=data.is_null())
        )
    return pa.chunked_array(chunks, IMAGE_TYPE)


def _features(schema: pa.Schema, image: str | None, metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the Hub's metadata: the source's own features where the type is still theirs, and ``Image``."""
    from datasets import Features, Image  # slow to import, and rarely needed

    features = Features.from_arrow_schema(schema)
    for name, feature in _given(metadata).items():
        if name in features and Features({name: feature}).arrow_schema.field(0).type == schema.field(name).type:
            features[name] = feature
    if image is not None:
        features[image] = Image()
    return {"huggingface": json.dumps({"info": {"features": features.to_dict()}})}


def _is_described(schema: pa.Schema, image: str | None, metadata: Mapping[bytes, bytes]) -> bool:
    """Return whether ``metadata`` holds the Hub's features of just these columns, the image an ``Image``."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return features.keys() == set(schema.names) and (image is None or features[image]["_type"] == "Image")
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _given(metadata: Mapping[bytes, bytes]) -> dict[str, object]:
    from datasets import Features

    try:
        return dict(Features.from_dict(json.loads(metadata[b"huggingface"])["info"]["features"]))
    except Exception:  # what a stranger wrote there is nobody's contract
        return {}

"""The subset's ``croissant.json``: what its files and columns are, in ML Commons' vocabulary (Croissant 1.0).

No date is in it: the same source and recipe give the same bytes. Who publishes the subset may add ``datePublished``.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from schemas.reports import DataFile
from schemas.tables import INDEX, INDEX_COLUMNS
from tasks.source.columns import IMAGE, IMAGE_TYPE
from tasks.write.card import is_tars
from tasks.write.licences import licence_url
from tasks.write.schema import DataSchema

Json = dict[str, Any]

_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""As the standard has it: readers warn of any other."""

_PARQUET, _TAR = "application/x-parquet", "application/x-tar"
_DATA_FILES = "data-files"
_TABLES = {
    "index.parquet": "The kept rows: no image, no caption.",
    "rejected.parquet": "Every other row, with reasons.",
}

_ABOUT_INDEX = {column.name: column.meaning for column in INDEX_COLUMNS if column.name not in ("sha256", "phash")}
"""What is told of the index. Digest and hash are not: Croissant has no bytes, and readers round numbers that large."""

_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_boolean, "sc:Boolean"),
    (pa.types.is_int8, "cr:Int8"),
    (pa.types.is_int16, "cr:Int16"),
    (pa.types.is_int32, "cr:Int32"),
    (pa.types.is_int64, "cr:Int64"),
    (pa.types.is_uint8, "cr:UInt8"),
    (pa.types.is_uint16, "cr:UInt16"),
    (pa.types.is_uint32, "cr:UInt32"),
    (pa.types.is_uint64, "cr:UInt64"),
    (pa.types.is_float16, "cr:Float16"),
    (pa.types.is_float32, "cr:Float32"),
    (pa.types.is_float64, "cr:Float64"),
    (pa.types.is_string, "sc:Text"),
    (pa.types.is_large_string, "sc:Text"),
    (pa.types.is_timestamp, "sc:DateTime"),
    (pa.types.is_date, "sc:Date"),
)


def render_croissant(manifest: Manifest, data: Sequence[DataFile], tables: Sequence[DataFile]) -> str:
    """Return the Croissant description of a subset as JSON-LD, the same for the same subset.

    Args:
        manifest: of the subset; unsealed or without files will do.
        data: its data files; none in mode ``index``.
        tables: ``index.parquet`` and ``rejected.parquet``.
    """
    source = manifest.source
    kept, rows = manifest.funnel.kept, manifest.funnel.source_rows
    told: Json = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.subset,
        "description": f"A curated subset of {source.name}: {kept:,} of {rows:,} image-caption pairs."
        + (" Only the index is here: no image, no caption." if manifest.mode == "index" else ""),
        "license": licence_url(source.licence) or source.licence or "not given",
        "version": f"1.0.0+{fingerprint([file.sha256 for file in (*data, *tables)])[:16]}",
    }
    if source.citation:
        told["citeAs"] = source.citation
    if source.hub:
        told["url"] = f"https://huggingface.co/datasets/{source.hub}"
    if source.terms:
        told["usageInfo"] = source.terms
    told["distribution"] = list(_distribution(manifest, data, tables))
    told["recordSet"] = list(_record_sets(manifest, data, tables))
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _distribution(manifest: Manifest, data: Sequence[DataFile], tables: Sequence[DataFile]) -> Iterable[Json]:
    kind = _TAR if is_tars(manifest) else _PARQUET
    for file in data:
        yield _file(file, kind)
    if data:
        yield {
            "@type": "cr:FileSet",
            "@id": _DATA_FILES,
            "name": _DATA_FILES,
            "description": "All data files.",
            "encodingFormat": kind,
            "includes": f"data/*{PurePosixPath(data[0].path).suffix}",
        }
    for file in tables:
        yield _file(file, _PARQUET) | {"description": _TABLES[file.path]}


def _file(file: DataFile, kind: str) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.byte_length} B",
        "encodingFormat": kind,
        "sha256": file.sha256,
    }


def _record_sets(manifest: Manifest, data: Sequence[DataFile], tables: Sequence[DataFile]) -> Iterable[Json]:
    if data and not is_tars(manifest):
        yield _pairs(manifest)
    if any(file.path == "index.parquet" for file in tables):
        where = {"fileObject": {"@id": "index.parquet"}}
        fields = [
            _column(f"index/{name}", INDEX.field(name), where) | {"description": about}
            for name, about in _ABOUT_INDEX.items()
        ]
        yield {
            "@type": "cr:RecordSet",
            "@id": "index",
            "name": "index",
            "description": "The kept pairs, without image and caption.",
            "key": {"@id": "index/row_id"},
            "field": fields,
        }


def _pairs(manifest: Manifest) -> Json:
    target = DataSchema.of(manifest.columns)
    where = {"fileSet": {"@id": _DATA_FILES}}
    facts = {column: fact for fact, column in target.columns.items()}
    fields, told = [], set[str]()
    for column in target.schema:
        if not column.name or _data_type(column.type) is None:
            continue  # no name, or bytes, structs, nested lists: the standard has no word for them
        field = _column(_unused(f"pairs/{_identifier(column.name)}", told), column, where)
        if fact := facts.get(column.name):
            field["description"] = "The picture." if fact == IMAGE else f"Holds {fact}."
        fields.append(field)
    fields.append(
        {
            "@type": "cr:Field",
            "@id": (identity := _unused("pairs/split", told)),
            "name": identity.split("/", 1)[1],
            "description": "The split, by the name of the data file.",
            "dataType": "sc:Text",
            "source": where
            | {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"^(.+)-\d+-of-\d+\.parquet$"}},
        }
    )
    return {
        "@type": "cr:RecordSet",
        "@id": "pairs",
        "name": "pairs",
        "description": "The pairs, each an image and its caption with all other columns of the source.",
        "field": fields,
    }


def _column(identity: str, column: pa.Field, where: Json) -> Json:
    listed = _is_list(column.type)
    source = where | {"extract": {"column": column.name}}
    if column.type == IMAGE_TYPE:
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": identity,
        "name": column.name,
        "dataType": _data_type(column.type),
        **({"repeated": True} if listed else {}),
        "source": source,
    }


def _data_type(found: pa.DataType) -> str | None:
    if found == IMAGE_TYPE:
        return "sc:ImageObject"
    if _is_list(found):
        found = found.value_type
    return next((name for is_kind, name in _TYPES if is_kind(found)), None)


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found))


def _identifier(name: str) -> str:
    """Return ``name`` as part of an id, which in JSON-LD is an IRI."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII) or "_"


def _unused(identity: str, told: set[str]) -> str:
    """Return ``identity``, numbered if another column has it already, and add it to ``told``."""
    number, found = 1, identity
    while found in told:
        number += 1
        found = f"{identity}_{number}"
    told.add(found)
    return found

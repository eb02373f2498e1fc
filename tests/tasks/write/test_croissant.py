import hashlib
import json
from pathlib import Path
from typing import Any

import mlcroissant as mlc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import encode, pair, picture, publish_one, write_tree
from PIL import Image
from subsets import HOSTILE, described, manifest_of, source_of

from schemas.recipe import Recipe
from schemas.reports import DataFile
from tasks.write.croissant import render_croissant

WITHOUT_DATE = '[Metadata(small)] Property "https://schema.org/datePublished" is recommended, but does not exist.'
"""All that a reader may miss: no date is in a subset, which is the same whenever it is made."""


def publish(home: Path, **output: Any) -> Path:
    tree = write_tree(home / "source", [pair(seed) for seed in range(24)])
    source = {"path": tree, "name": "tiny", "licence": "CC-BY-4.0", "citation": "Somebody, 2026"}
    subset = {
        "name": "small",
        "quality": {"min_score": 3.5},
        "splits": {"fractions": {"train": 0.5, "test_1": 0.5}},
    }
    output = {"dir": home / "subsets", "shard_bytes": 80_000} | output
    recipe = {"source": source, "subsets": [subset], "output": output, "workspace": home / "workspace"}
    return publish_one(Recipe.model_validate(recipe))


def opened(path: Path) -> mlc.Dataset:
    dataset = mlc.Dataset(str(path))
    assert dataset.metadata.ctx.issues.errors == set()
    assert dataset.metadata.ctx.issues.warnings == {WITHOUT_DATE}
    return dataset


def test_the_pairs_are_read_through_it(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    dataset = opened(folder / "croissant.json")
    files = sorted((folder / "data").iterdir())
    assert len(files) > 2
    rows = [row | {"split": file.name.split("-")[0]} for file in files for row in pq.read_table(file).to_pylist()]
    records = list(dataset.records("pairs"))
    assert len(records) == len(rows) > 5
    for record, row in zip(records, rows, strict=True):
        assert {key.removeprefix("pairs/") for key in record} == set(row)
        assert record["pairs/caption"].decode() == row["caption"]
        assert record["pairs/split"].decode() == row["split"]
        assert record["pairs/img_quality_score"] == row["img_quality_score"]
        assert record["pairs/image"].convert("RGB").tobytes() == _pixels(row["image"]["bytes"])


def _pixels(data: bytes) -> bytes:
    import io

    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("output", [{}, {"mode": "index"}, {"format": "webdataset"}])
def test_the_index_is_read_through_it(tmp_path: Path, output: dict[str, Any]) -> None:
    folder = publish(tmp_path, **output)
    dataset = opened(folder / "croissant.json")
    index = pq.read_table(folder / "index.parquet").to_pylist()
    records = list(dataset.records("index"))
    assert [record["index/row_id"] for record in records] == [row["row_id"] for row in index]
    assert [record["index/file"].decode() for record in records] == [row["file"] for row in index]
    assert [[flag.decode() for flag in record["index/flags"]] for record in records] == [row["flags"] for row in index]
    assert {record_set.id for record_set in dataset.metadata.record_sets} == (
        {"pairs", "index"} if not output else {"index"}
    )


@pytest.mark.parametrize("output", [{}, {"mode": "index"}, {"format": "webdataset"}])
def test_every_file_is_told_with_its_hash(tmp_path: Path, output: dict[str, Any]) -> None:
    folder = publish(tmp_path, **output)
    told = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    files = {file["contentUrl"]: file for file in told["distribution"] if file["@type"] == "cr:FileObject"}
    paths = [path for path in folder.rglob("*") if path.suffix in {".parquet", ".tar"}]
    assert files.keys() == {path.relative_to(folder).as_posix() for path in paths}
    for path, file in ((folder / path, file) for path, file in files.items()):
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file["contentSize"] == f"{path.stat().st_size} B"
    sets = [file["includes"] for file in told["distribution"] if file["@type"] == "cr:FileSet"]
    assert sets == ([] if output.get("mode") else [f"data/*{'.tar' if output else '.parquet'}"])


def test_a_changed_file_is_not_read(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    data = (folder / "index.parquet").read_bytes()
    (folder / "index.parquet").write_bytes(data[:-5] + b"x" + data[-4:])
    with pytest.raises(mlc.GenerationError):
        list(opened(folder / "croissant.json").records("index"))


def by_hand(folder: Path, table: pa.Table) -> mlc.Dataset:
    schema = described(table.schema).schema
    path = folder / "data/train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(table.cast(schema), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record = DataFile(
        path="data/train-00000-of-00001.parquet", rows=len(table), byte_length=path.stat().st_size, sha256=digest
    )
    (folder / "croissant.json").write_text(render_croissant(manifest_of(table.schema), [record], ()), encoding="utf-8")
    return opened(folder / "croissant.json")


def test_odd_columns_have_ids_of_their_own_and_nulls_are_none(tmp_path: Path) -> None:
    names = ["split", "split_2", "a b", "a/b", "a_b", "ünï", "@id", "http://x/y?z#f", HOSTILE, "image", "bytes"]
    image = {"bytes": encode(picture(1)), "path": None}
    columns: dict[str, pa.Array] = {name: pa.array([f"{name}!", None]) for name in names[:-2]}
    columns["image"] = pa.array([image, None], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    columns[""] = pa.array(["without a name", None])
    columns["bytes"] = pa.array([b"1", None])
    columns["whole"] = pa.array([7, None], pa.int64())
    columns["listed"] = pa.array([["a", "b"], []], pa.list_(pa.string()))
    dataset = by_hand(tmp_path, pa.table(columns))
    fields = dataset.metadata.record_sets[0].fields
    assert [field.name for field in fields] == [*names[:-2], "image", "whole", "listed", "split_3"]
    assert len({field.id for field in fields}) == len(fields)
    first, second = dataset.records("pairs")
    values = {field.name: first[field.id] for field in fields}
    assert all(values[name].decode() == f"{name}!" for name in names[:-2])
    assert values["whole"] == 7
    assert values["listed"] == [b"a", b"b"]
    assert values["image"].size == (256, 256)
    assert values["split_3"] == b"train"
    assert [second[field.id] for field in fields] == [None] * (len(names) - 2) + [None, None, [], b"train"]


def test_what_is_not_known_is_not_made_up() -> None:
    told = json.loads(render_croissant(manifest_of(source=source_of(hub=None, licence=None, citation=None)), [], ()))
    assert told["license"] == "not given"
    assert not told.keys() & {"url", "citeAs", "datePublished", "creator"}
    told = json.loads(render_croissant(manifest_of(), [], ()))
    assert told["license"] == "https://spdx.org/licenses/CC-BY-NC-ND-4.0.html"
    assert told["url"] == "https://huggingface.co/datasets/lcybuaa/Git-10M"
    assert render_croissant(manifest_of(), [], ()) == render_croissant(manifest_of(), [], ())

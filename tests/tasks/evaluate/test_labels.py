"""Labels of any source, and what may be wrong with them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from labelled import class_folders, coloured
from pairs import encode, recipe_for, scan_all

from schemas.evaluation import LabelledSet
from tasks.evaluate.labels import Labels, LabelsUnclear, read_labels
from tasks.source.listing import shards_of


@pytest.fixture(scope="module")
def image() -> bytes:
    return encode(coloured("red", 0))


def labels(tmp_path: Path, source: Path, **changes: Any) -> Labels:
    told = {"name": "set", "source": {"path": str(source), "name": "Set"}}
    recipe = recipe_for(source, tmp_path)
    return read_labels(LabelledSet.model_validate(told | changes), shards_of(recipe), scan_all(recipe))


def parquet(path: Path, image: bytes, labels: pa.Array, name: str = "label", metadata: Any = None) -> Path:
    table = pa.table({"image": [image] * len(labels), name: labels})
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path)
    return path


def test_a_folder_is_the_label_of_what_lies_in_it(tmp_path: Path) -> None:
    class_folders(tmp_path / "set", each=2)
    (tmp_path / "set" / "white" / "broken.png").write_bytes(b"none")
    found = labels(tmp_path, tmp_path / "set", classes=None)
    assert found.classes[:2] == (("black", "black"), ("blue", "blue"))
    assert found.truth.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 7]


def test_a_label_in_a_folder_is_told_with_its_picture(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "set", each=2)
    with pytest.raises(LabelsUnclear, match=r"set: \.: row 2, blue/000\.png: found 'blue', expected black, red$"):
        labels(tmp_path, folder, classes={"black": "black", "red": "red"})
    coloured("red", 0).save(folder / "stray.png")
    with pytest.raises(LabelsUnclear, match=r"row 12, stray\.png: found no label, expected black, blue"):
        labels(tmp_path, folder)


def test_numbers_are_named_by_the_schema_or_by_a_list_or_a_mapping(tmp_path: Path, image: bytes) -> None:
    features = {"info": {"features": {"label": {"names": ["Pier_North", "airport"], "_type": "ClassLabel"}}}}
    named = parquet(tmp_path / "named.parquet", image, pa.array([1, 0, 1]), metadata=features)
    found = labels(tmp_path, named)
    assert found.classes == (("Pier_North", "pier north"), ("airport", "airport"))
    assert found.truth.tolist() == [1, 0, 1]
    assert labels(tmp_path, named, classes={"airport": "an airport", "Pier_North": "a pier"}).truth.tolist() == [
        0,
        1,
        0,
    ]
    assert labels(tmp_path, named, classes=["a pier", "an airport"]).classes == (("0", "a pier"), ("1", "an airport"))
    plain = parquet(tmp_path / "plain.parquet", image, pa.array([1, 0, 1], pa.uint8()), name="klass")
    assert labels(tmp_path, plain, label="klass", classes={0: "pier", 1: "airport"}).truth.tolist() == [1, 0, 1]
    file = tmp_path / "classes.yaml"
    file.write_text("0: pier\n1: airport\n")
    assert labels(tmp_path, plain, label="klass", classes=str(file)).classes == (("0", "pier"), ("1", "airport"))
    file.write_text('["pier", "airport"]')
    assert labels(tmp_path, plain, label="klass", classes=str(file)).classes == (("0", "pier"), ("1", "airport"))


def test_tars_have_their_classes_in_members(tmp_path: Path, image: bytes) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        for number, label in enumerate((b"1\n", b"0\n", b"1\n")):
            for name, data in ((f"{number}.jpg", image), (f"{number}.cls", label)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    assert labels(tmp_path, tmp_path / "set.tar", classes=["pier", "airport"]).truth.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("values", "changes", "told"),
    [
        (["a", "b", "c"], {"classes": {"a": "pier", "b": "airport"}}, r"set.parquet: row 2: found 'c', expected a, b$"),
        (["a", None, "b"], {}, "set.parquet: row 1: found no label, expected a, b"),
        (["a", " ", "b"], {}, "row 1: found no label"),
        (["a", "b"], {"classes": {"a": "pier", "b": "dam", "c": "d"}}, "classes: no picture has the label c; expected"),
        ([0, 1], {}, "the labels have no names: found the numbers 0, 1; expected words for them in `classes`"),
        (["a", "b"], {"classes": ["pier", "airport"]}, "row 0: found 'a', expected 0, 1"),
        (["a", "A"], {}, "classes: A, a are all called 'a'; expected different words"),
        (["a", "a"], {}, "found a; expected two classes or more"),
        (["a", "b"], {"label": "klass"}, "column klass: not found, expected to hold the label; found image, label"),
        (["a", "b"], {"classes": "nowhere.yaml"}, "classes: nowhere.yaml: No such file"),
    ],
)
def test_what_is_wrong_is_told_with_where_and_what_was_expected(
    tmp_path: Path, image: bytes, values: list[Any], changes: dict[str, Any], told: str
) -> None:
    source = parquet(tmp_path / "set.parquet", image, pa.array(values))
    with pytest.raises(LabelsUnclear, match=told):
        labels(tmp_path, source, **changes)


def test_no_column_with_labels_is_told(tmp_path: Path, image: bytes) -> None:
    source = parquet(tmp_path / "set.parquet", image, pa.array([1, 2]), name="klass")
    with pytest.raises(LabelsUnclear, match=r"no column holds the label: found image, klass; expected label or cls"):
        labels(tmp_path, source)
    (tmp_path / "bad.yaml").write_text("just text")
    with pytest.raises(LabelsUnclear, match=r"bad.yaml: expected a mapping of labels to words, or a list"):
        labels(tmp_path, source, label="klass", classes=str(tmp_path / "bad.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(LabelsUnclear, match=r"bad.yaml: neither YAML nor JSON"):
        labels(tmp_path, source, label="klass", classes=str(tmp_path / "bad.yaml"))

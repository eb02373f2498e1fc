import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import Row, pair, publish_one, recipe_for, write_tree

from schemas.manifest import Manifest
from tasks.published import read_manifest
from tasks.source.again import source_at
from tasks.source.listing import list_shards
from tasks.verify.source import compare_with_source

FORMS: dict[str, dict[str, Any]] = {
    "parquet": {},
    "shuffled": {"shuffle_seed": 1},
    "tar": {"format": "webdataset", "text": "text2earth", "shuffle_seed": 1},
    "index": {"mode": "index"},
    "unread": {"shuffle_seed": 1},
    "unread tar": {"format": "webdataset"},
}
"""What the output is like; in those that are called unread, the scan read no image."""


def rows() -> list[Row]:
    made = [pair(seed) for seed in range(20)]
    made[3] = pair(3, img_quality_score=float("nan"))
    made[4] = pair(4, caption_length=None)
    return made


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source and a subset of each form, beside each other."""
    homes = {}
    for name, output in FORMS.items():
        home = homes[name] = tmp_path_factory.mktemp(name)
        output = {"dir": home / "out", "shard_bytes": 40_000, **output}
        validation = {"rules": {"score_not_finite": "flag"}}
        source = write_tree(home / "source", rows())
        scan = {"images": not name.startswith("unread")}
        publish_one(recipe_for(source, home, output=output, validation=validation, scan=scan))
        shutil.rmtree(home / "workspace")
    return homes


def compare(home: Path, subset: Path | None = None) -> list[str]:
    subset = subset or home / "out" / "clean"
    manifest = read_manifest(subset)
    return list(compare_with_source(subset, manifest, list_shards(source_at(manifest, str(home / "source")))))


@pytest.mark.parametrize("form", FORMS)
def test_a_subset_is_what_its_source_gives(homes: dict[str, Path], form: str) -> None:
    assert compare(homes[form]) == []


CHANGES: list[tuple[str, Any, str]] = [
    ("caption", "another one", "column caption"),
    ("img_quality_score", 3.0000000000000004, "column img_quality_score"),
    ("caption_length", 99, "column caption_length"),
    ("img_name", None, "column img_name"),
    ("image", pair(99)["image"], "the image is not the one in index.parquet"),
]


@pytest.mark.parametrize(
    ("form", "column", "value", "words"),
    [(form, *change) for form in FORMS for change in (CHANGES[-1:] if form == "index" else CHANGES)],
)
def test_a_changed_value_names_shard_row_and_column(
    homes: dict[str, Path], tmp_path: Path, form: str, column: str, value: Any, words: str
) -> None:
    if column == "image" and form.startswith("unread"):
        words = "column .image" if form.endswith("tar") else "column image.bytes"
    changed = rows()
    changed[12][column] = value
    write_tree(tmp_path / "source", changed)
    problems = compare(tmp_path, homes[form] / "out" / "clean")
    told = [problem for problem in problems if words in problem]
    assert told
    assert all(problem.startswith("data-00001-of-00002.arrow: row 2 (row id 12): ") for problem in problems)
    made_of_it = {"tar": 2, "unread tar": 1}.get(form, 0) if column == "caption" else 0  # text and .txt
    assert len(problems) == 1 + made_of_it


def test_a_column_of_the_data_files_that_was_changed_is_found(homes: dict[str, Path], tmp_path: Path) -> None:
    subset = Path(shutil.copytree(homes["shuffled"] / "out" / "clean", tmp_path / "clean"))
    file = next((subset / "data").glob("train-00000*"))
    table = pq.read_table(file)
    at = table.schema.get_field_index("resolution")
    resolutions = [8.0, *table["resolution"].to_pylist()[1:]]
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(resolutions)), file)
    [problem] = compare(homes["shuffled"], subset)
    assert problem.endswith("column resolution: the data file has another value")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda source: (source / "train" / "data-00001-of-00002.arrow").unlink(), "data-00001-of-00002.arrow: not in"),
        (lambda source: write_tree(source, rows()[:12]), "data-00001-of-00002.arrow: found 6 rows, expected 10"),
    ],
)
def test_a_source_with_other_shards_is_told(
    homes: dict[str, Path], tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    shutil.copytree(homes["parquet"] / "source", tmp_path / "source")
    damage(tmp_path / "source")
    subset = homes["parquet"] / "out" / "clean"
    manifest: Manifest = read_manifest(subset)
    listed = [shard for shard in list_shards(source_at(manifest, str(tmp_path / "source"))) if shard.path.exists()]
    assert any(words in problem for problem in compare_with_source(subset, manifest, listed))


@pytest.mark.parametrize("form", ["parquet", "tar"])
def test_damaged_data_files_are_told_and_the_rest_is_compared(
    homes: dict[str, Path], tmp_path: Path, form: str
) -> None:
    subset = Path(shutil.copytree(homes[form] / "out" / "clean", tmp_path / "clean"))
    file = next((subset / "data").glob("train-00000*"))
    file.write_bytes(file.read_bytes()[:3_000])
    problems = compare(homes[form], subset)
    assert any(problem.startswith(f"data/{file.name}: cannot be compared with the source") for problem in problems)
    assert any("not in the data files" in problem for problem in problems)

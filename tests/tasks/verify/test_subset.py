import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import encode, pair, picture, publish_one, recipe_for, write_tree

from schemas.manifest import Manifest
from tasks.files import sha256_of
from tasks.verify.subset import verify


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    rows = [pair(seed) for seed in range(20)]
    rows[7] = pair(7, image=encode(picture(9), quality=50), img_quality_score=1.0)
    return publish_one(recipe_for(write_tree(home / "source", rows), home, output={"dir": home, "shard_bytes": 90_000}))


@pytest.fixture
def subset(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "clean"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def reseal(subset: Path, name: str) -> None:
    """Make the manifest agree with a changed file, as a careful forger would."""
    path = subset / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_text())
    found = {"sha256": sha256_of(subset / name), "byte_length": (subset / name).stat().st_size}
    files = [file.model_copy(update=found) if file.path == name else file for file in manifest.files]
    path.write_text(manifest.model_copy(update={"files": tuple(files)}).sealed().model_dump_json())


def test_a_sound_subset_has_no_problem(subset: Path) -> None:
    report = verify(subset)
    assert report.sound
    assert (report.files, report.rows) == (7, 19)


def test_a_flipped_bit_in_an_image_names_file_and_row(subset: Path) -> None:
    path = subset / "data" / "train-00001-of-00002.parquet"
    image = pq.read_table(path)["image"].combine_chunks().field("bytes")[3].as_py()
    flip(path, path.read_bytes().index(image) + len(image) // 2)
    problems = verify(subset).problems
    assert [problem.split(": ")[0] for problem in problems] == ["data/train-00001-of-00002.parquet"] * 2
    assert "SHA-256" in problems[0]
    assert "row 3 (row id " in problems[1]


@pytest.mark.parametrize("name", ["index.parquet", "rejected.parquet", "README.md", "report.html"])
def test_a_flipped_bit_in_any_other_file_is_found(subset: Path, name: str) -> None:
    flip(subset / name, (subset / name).stat().st_size // 2)
    assert any(problem.startswith(f"{name}: found SHA-256") for problem in verify(subset).problems)


def test_a_changed_manifest_is_found(subset: Path) -> None:
    path = subset / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 20', '"rows": 21', 1))
    [problem] = verify(subset).problems
    assert "the manifest was changed" in problem


@pytest.mark.parametrize("name", ["index.parquet", "data/train-00000-of-00002.parquet", "README.md"])
def test_a_missing_file_is_found(subset: Path, name: str) -> None:
    (subset / name).unlink()
    assert f"{name}: missing" in verify(subset).problems


def test_an_extra_file_is_found(subset: Path) -> None:
    (subset / "data" / "train-00002-of-00002.parquet").write_bytes(b"")
    assert verify(subset).problems == ("data/train-00002-of-00002.parquet: not in the manifest",)


def test_no_manifest_is_no_subset(subset: Path) -> None:
    (subset / "manifest.json").unlink()
    assert "so this is not a subset" in verify(subset).problems[0]


def rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path, str], None]:
    def apply(subset: Path, name: str) -> None:
        pq.write_table(change(pq.read_table(subset / name)), subset / name)
        reseal(subset, name)

    return apply


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("data/train-00000-of-00002.parquet", lambda t: pa.concat_tables([t, t.slice(0, 1)]), "rows, expected"),
        ("index.parquet", lambda t: pa.concat_tables([t, t.slice(18)]), "row ids do not ascend at row 19"),
        ("index.parquet", lambda t: t.slice(1), "neither holds row id 0"),
        ("rejected.parquet", lambda t: t.slice(1), "neither holds row id 7"),
        ("rejected.parquet", lambda t: t.set_column(0, t.schema.field(0), pa.array([3])), "both hold row id 3"),
        (
            "rejected.parquet",
            lambda t: t.set_column(t.schema.get_field_index("duplicate_of"), "duplicate_of", pa.array([7])),
            "duplicate_of names rows that are not kept: 7",
        ),
        ("index.parquet", lambda t: t.drop_columns("phash"), "found columns"),
        (
            "index.parquet",
            lambda t: t.set_column(
                t.schema.get_field_index("phash"),
                t.schema.field("phash"),
                pa.array([5, 4, *t["phash"].to_pylist()[2:]], pa.uint64()),
            ),
            "row id 0: phash is not that of the image",
        ),
    ],
)
def test_what_a_forger_resealed_is_found(
    subset: Path, name: str, change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    rewrite(change)(subset, name)
    assert any(words in problem for problem in verify(subset).problems)

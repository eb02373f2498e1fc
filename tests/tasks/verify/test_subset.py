import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import encode, pair, picture, publish_one, recipe_for, write_tree

from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from tasks.files import sha256_of
from tasks.published import read_manifest
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
    assert (report.files, report.rows) == (1 + len(read_manifest(subset).files), 19)


def test_what_the_hub_s_client_leaves_beside_a_download_is_no_problem(subset: Path) -> None:
    (subset / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (subset / ".cache" / "huggingface" / "download" / "index.parquet.metadata").touch()
    (subset / ".gitattributes").touch()
    assert verify(subset).sound


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


def forge(subset: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and seal it again."""
    path = subset / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(Manifest.model_validate(data | {"seal": ""}).sealed().model_dump_json())


def claim(**recipe: Any) -> Callable[[dict[str, Any]], object]:
    """Return a change that lets the manifest's recipe promise more of its subset."""

    def change(data: dict[str, Any]) -> None:
        data["recipe"]["subsets"][0] |= recipe
        data["recipe_sha256"] = fingerprint(data["recipe"])

    return change


def put(name: str, at: int, value: Any) -> Callable[[pa.Table], pa.Table]:
    """Return a change of one value of a table."""

    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        values = table[name].to_pylist()
        values[at] = value
        return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("index.parquet", put("file_row", 0, 1), "file_row 1 of data/train-00000-of-00002.parquet is not the next"),
        ("index.parquet", put("file", 0, "data/train-00007-of-00002.parquet"), "row id 0: file data/train-00007"),
        ("index.parquet", put("split", 0, "test"), "row id 0: the split is not that of data/train-00000"),
        ("index.parquet", put("row", 3, 9), "row 3: row id 3 is not that of shard data-00000-of-00002.arrow, row 9"),
        ("index.parquet", put("shard", 3, "x.arrow"), "row 3: row id 3 is not that of shard x.arrow, row 3"),
        ("index.parquet", put("flags", 0, ["place_missing"]), "flags: place_missing: found 0 and 0, recounted 1"),
        ("index.parquet", put("flags", 0, ["mistaken"]), "row id 0: flags are ['mistaken']"),
        ("index.parquet", put("sha256", 2, bytes(32)), "row 2 (row id 2): the image is not the one in index.parquet"),
        ("index.parquet", put("x", 2, 9000), "row id 2: there is no such tile"),
        ("index.parquet", put("x", 2, 3), "row 2 (row id 2): x is 2, in index.parquet 3"),
        (
            "index.parquet",
            put("img_name", 2, "a.jpg"),
            "row 2 (row id 2): img_name is tile_2.jpg, in index.parquet a.jpg",
        ),
        ("rejected.parquet", put("primary_reason", 0, "zoom_outside"), "row id 7: primary reason is zoom_outside"),
        ("rejected.parquet", put("primary_reason", 0, "zoom_outside"), "funnel: deduplication: 1 rejected, 19 left"),
        (
            "rejected.parquet",
            put("reasons", 0, ["zoom_outside"]),
            "reasons: duplicate_near: found 1 and 1, recounted 0",
        ),
        ("rejected.parquet", put("reasons", 0, []), "row id 7: reasons are []"),
        ("rejected.parquet", put("measured", 0, []), "row id 7: measured has not one value"),
        ("rejected.parquet", put("duplicate_of", 0, None), "names no kept row of which it is a duplicate: row id 7"),
        ("rejected.parquet", put("duplicate_distance", 0, 64), "duplicate_distance is not within 10 bits: row id 7"),
        ("rejected.parquet", put("duplicate_similarity", 0, 0.5), "duplicate_similarity is below 0.9: row id 7"),
        (
            "data/train-00001-of-00002.parquet",
            lambda t: t.replace_schema_metadata(None),
            "the metadata 'huggingface' is not what the manifest says",
        ),
        ("data/train-00001-of-00002.parquet", lambda t: t.drop_columns("caption"), "found columns"),
        (
            "data/train-00001-of-00002.parquet",
            lambda t: t.set_column(4, "caption_length", t["caption_length"].cast(pa.int32())),
            "column caption_length: found int32, expected int64",
        ),
    ],
)
def test_a_forged_row_is_found(subset: Path, name: str, change: Callable[[pa.Table], pa.Table], words: str) -> None:
    rewrite(change)(subset, name)
    assert any(words in problem for problem in verify(subset).problems), verify(subset).problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(recipe_sha256="0" * 64), "recipe_sha256: found"),
        (lambda m: m["splits"].update(train=18), "split train: 19 rows in index.parquet, expected 18"),
        (lambda m: m["funnel"]["steps"].pop(), "funnel: 9 steps, expected 10"),
        (lambda m: m["reasons"].clear(), "reasons: duplicate_near: found 0 and 0, recounted 1"),
        (lambda m: m["files"].pop(0), "train-00000-of-00002.parquet: not in the manifest"),
        (lambda m: m["files"].append(m["files"][0]), "is listed more than once"),
        (lambda m: m.update(files=[f for f in m["files"] if f["path"] != "README.md"]), "README.md is not listed"),
        (lambda m: m["files"][0].update(image_bytes=1), "bytes of images, expected 1"),
        (lambda m: m["files"][0].update(rows=3), "rows, expected 3"),
        (lambda m: m["recipe"].pop("deduplication"), "manifest.json: recipe: KeyError"),
        (lambda m: m["columns"].update(arrow="AAAA"), "manifest.json: columns.arrow"),
        (lambda m: m["columns"]["columns"].pop(), "columns: names and types are not those"),
        (lambda m: m.update(mode="index"), "data/train-00000-of-00002.parquet: holds pictures or captions"),
        (lambda m: m["source"].update(rows=10**15), "source.rows: found 1000000000000000, expected 20"),
        (claim(top={"signal": "img_quality_score", "rows": 5}), "top: 19 rows, 5 at most"),
        (claim(sampling={"max_rows": 5}), "sampling.max_rows: 19 rows, 5 at most"),
        (claim(sampling={"max_bytes": 5}), "sampling.max_bytes: the images have"),
        (claim(sampling={"per_zoom": 5}), "sampling.per_zoom: 19 rows, 5 at most"),
        (claim(sampling={"per_tile": {"zoom": 5, "rows": 5}}), "sampling.per_tile: 19 rows"),
        (claim(sampling={"fraction": 0.01}), "was not drawn, and is kept"),
        (claim(splits={"fractions": {"a": 0.5, "b": 0.5}}), "splits: train: the recipe has no such split"),
    ],
)
def test_a_forged_manifest_is_found(subset: Path, change: Callable[[dict[str, Any]], object], words: str) -> None:
    forge(subset, change)
    assert any(words in problem for problem in verify(subset).problems), verify(subset).problems


@pytest.fixture(scope="module")
def spatial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subset whose splits are drawn by place, its rows shuffled."""
    home = tmp_path_factory.mktemp("spatial")
    rows = [pair(seed, Google_location=f"13_{seed * 16}_{4000 + seed % 3}") for seed in range(40)]
    splits = {"fractions": {"test": 0.4, "train": 0.6}, "spatial": {"zoom": 9, "buffer": {"zoom": 13, "tiles": 1}}}
    output = {"dir": home / "out", "shard_bytes": 60_000, "shuffle_seed": 3}
    source = write_tree(home / "source", rows)
    return publish_one(recipe_for(source, home, output=output, subsets=[{"name": "clean", "splits": splits}]))


def test_shuffled_rows_in_several_splits_are_sound(spatial: Path) -> None:
    index = pq.read_table(spatial / "index.parquet")
    assert len(set(index["split"].to_pylist())) == 2
    assert index["file_row"].to_pylist() != sorted(index["file_row"].to_pylist())
    assert verify(spatial).problems == ()


def test_ground_in_two_splits_is_found(spatial: Path, tmp_path: Path) -> None:
    subset = Path(shutil.copytree(spatial, tmp_path / "clean"))
    index = pq.read_table(subset / "index.parquet")
    split = index["split"].to_pylist()
    one, other = split.index("train"), split.index("test")
    for name in ("x", "y"):
        rewrite(put(name, one, index[name][other].as_py()))(subset, "index.parquet")
    problems = verify(subset).problems
    told = [problem for problem in problems if "are in different splits, and both in the block 9_" in problem]
    assert any(f"{index['row_id'][one]} " in problem for problem in told)
    rewrite(put("x", one, (index["x"][other].as_py() // 16) * 16 - 1))(subset, "index.parquet")
    problems = verify(subset).problems
    assert any("within 1 tiles of zoom 13 of another split's ground" in problem for problem in problems)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("indexed")
    rows = [pair(seed) for seed in range(20)]
    rows[7] = pair(7, caption=None)
    output = {"dir": home / "out", "mode": "index", "shuffle_seed": 1}
    return publish_one(recipe_for(write_tree(home / "source", rows), home, output=output))


def test_an_index_is_sound_and_its_details_are_null(indexed: Path, tmp_path: Path) -> None:
    assert verify(indexed).problems == ()
    subset = Path(shutil.copytree(indexed, tmp_path / "clean"))
    rewrite(put("detail", 0, "caption: found a river"))(subset, "rejected.parquet")
    [problem] = verify(subset).problems
    assert problem == "rejected.parquet: row id 7: detail may quote a caption; expected null in mode index"


def test_an_index_with_a_report_or_data_is_found(indexed: Path, tmp_path: Path) -> None:
    subset = Path(shutil.copytree(indexed, tmp_path / "clean"))
    (subset / "report.html").write_text("")
    assert verify(subset).problems == ("report.html: not in the manifest",)


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("tars")
    rows = [pair(seed, caption=f"ein Fluß {seed}") for seed in range(20)]
    output = {"dir": home / "out", "format": "webdataset", "text": "text2earth", "shuffle_seed": 1}
    deduplication = {"near": None, "caption_copies": 1}
    source = write_tree(home / "source", rows)
    return publish_one(recipe_for(source, home, output=output | {"shard_bytes": 90_000}, deduplication=deduplication))


def test_tars_are_sound(tars: Path) -> None:
    assert verify(tars).problems == ()


def rewrite_tar(path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    with tarfile.open(path) as old:
        members = [(member.name, old.extractfile(member).read()) for member in old]  # type: ignore[union-attr]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as new:
        for changed in (change(*member) for member in members):
            if changed is not None:
                member = tarfile.TarInfo(changed[0])
                member.size = len(changed[1])
                new.addfile(member, io.BytesIO(changed[1]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n, d: (n, d + b" ") if n.endswith("jpg") else (n, d), "the image is not the one in index.parquet"),
        (lambda n, d: None if n.endswith("json") else (n, d), ".json: missing"),
        (lambda n, d: (n, b"[1") if n.endswith("json") else (n, d), ".json: Expecting"),
        (lambda n, d: (n, b"{}") if n.endswith("json") else (n, d), ".json: found [], expected ['img_name'"),
        (lambda n, d: None if n.endswith("txt") else (n, d), ".txt: is not the caption in"),
        (lambda n, d: (f"x{n}", d), "expected a file <row id>.<extension>"),
        (lambda n, d: (f"0{n}", d), None),
        (lambda n, d: (f"1{n}", d), "found row id 1000"),
        (lambda n, d: None if n.startswith("000000000003") else (n, d), "rows, expected"),
    ],
)
def test_a_forged_tar_is_found(
    tars: Path, tmp_path: Path, change: Callable[[str, bytes], Any], words: str | None
) -> None:
    subset = Path(shutil.copytree(tars, tmp_path / "clean"))
    for path in (subset / "data").iterdir():
        rewrite_tar(path, change)
        reseal(subset, f"data/{path.name}")
    problems = verify(subset).problems
    assert problems == () if words is None else any(words in problem for problem in problems), problems


def test_another_name_or_place_than_in_a_tar_is_found(tars: Path, tmp_path: Path) -> None:
    subset = Path(shutil.copytree(tars, tmp_path / "clean"))
    for name, value in (("img_name", "another.jpg"), ("y", 7)):
        rewrite(put(name, 1, value))(subset, "index.parquet")
    problems = "\n".join(verify(subset).problems)
    assert "in index.parquet another.jpg" in problems
    assert "in index.parquet 7" in problems


def test_captions_of_tars_are_counted(tars: Path, tmp_path: Path) -> None:
    subset = Path(shutil.copytree(tars, tmp_path / "clean"))

    def same(name: str, data: bytes) -> tuple[str, bytes]:
        return name, json.dumps(json.loads(data) | {"caption": "one"}).encode() if name.endswith("json") else data

    for path in (subset / "data").iterdir():
        rewrite_tar(path, same)
        reseal(subset, f"data/{path.name}")
    assert "data: 1 captions are kept more than 1 times, which is the most that may be" in verify(subset).problems


@pytest.mark.parametrize("form", ["published", "tars", "spatial"])
def test_no_damage_is_more_than_a_problem(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Flip, cut, blow up and swap what lies there, resealed or not: it is always told, and never raised."""
    sound: Path = request.getfixturevalue(form)
    names = [file.path for file in read_manifest(sound).files if file.path.endswith((".parquet", ".tar"))]
    rng = np.random.default_rng(0)
    for number in range(60):
        subset = Path(shutil.copytree(sound, tmp_path / str(number)))
        name = names[number % len(names)]
        data = bytearray((subset / name).read_bytes())
        at = int(rng.integers(len(data)))
        match number % 5:
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at:]
            case 2:
                data[at : at + 64] = rng.bytes(64)
            case 3:
                data[-200:] = bytes(b ^ 0xFF if rng.random() < 0.05 else b for b in data[-200:])
            case 4:
                data = bytearray((subset / names[(number + 1) % len(names)]).read_bytes())
        (subset / name).write_bytes(data)
        assert not verify(subset).sound
        reseal(subset, name)
        verify(subset)
        shutil.rmtree(subset)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_report_is_the_same_for_any_number_of_threads(subset: Path, threads: int) -> None:
    for path in (subset / "data").iterdir():
        flip(path, path.stat().st_size // 2)
    assert verify(subset, threads=threads) == verify(subset)

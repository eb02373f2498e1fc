import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, publish_one, recipe_for, subset_files, write_tree
from upath import UPath

from flows.curate import curate
from flows.materialize import materialize
from schemas.materialization import Materialization
from schemas.reports import DataFile
from tasks.published import NotASubset, read_manifest
from tasks.source.listing import shards_of
from tasks.source.read import read_batches
from tasks.source.shards import SourceError
from tasks.verify.subset import NotSound, verify
from tasks.write.again import AnotherSource
from tasks.write.materialize import NotTheSame
from tasks.write.rows import SourceChanged

SUBSET = {
    "name": "some",
    "sampling": {"fraction": 0.8},
    "splits": {"fractions": {"train": 0.6, "test": 0.4}},
}
FORMS: dict[str, dict[str, Any]] = {
    "source order": {},
    "shuffled": {"shuffle_seed": 5},
    "with text": {"text": "text2earth", "row_group_rows": 7},
    "tars": {"format": "webdataset", "shuffle_seed": 1, "text": "text2earth"},
}


def curated(source: Path, home: Path, **output: Any) -> Path:
    """Curate by the real flow; return the subset's folder."""
    settings = {"dir": home / "subsets", "shard_bytes": 80_000} | output
    report = curate(recipe_for(source, home, subsets=[SUBSET], output=settings, engine={"workers": 2}))
    return Path(str(report.subsets[0].directory))


def again(index: Path, source: Path, home: Path, **changes: Any) -> Path:
    job = {"index": index, "source": str(source), "dir": home, "engine": {"workers": 2}}
    return Path(str(materialize(Materialization.model_validate(job | changes)).directory))


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [pair(seed) for seed in range(50)]
    rows[7] |= {"caption": "I'm sorry, I can't see any image here", "caption_length": 8}
    rows[9] |= {"Google_location": "public_9"}
    return write_tree(tmp_path_factory.mktemp("origin") / "source", rows, shards=4)


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=() if form == "shuffled" else pytest.mark.slow) for form in FORMS]
)
def test_an_index_and_a_copy_of_the_source_give_the_same_bytes(
    origin: Path, tmp_path: Path, form: str, prefect_server: None
) -> None:
    original = curated(origin, tmp_path / "a", **FORMS[form])
    index = curated(origin, tmp_path / "b", mode="index", **FORMS[form])
    copy = tmp_path / "my own copy of it"
    shutil.copytree(origin, copy)
    made = again(index, copy, tmp_path / "c")

    theirs, ours = subset_files(original), subset_files(made)
    assert len([name for name in theirs if name.startswith("data/")]) >= 4
    differing = {name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)}
    # Of a report there is no index, and what was found in rejected rows may quote a caption.
    assert differing == {"report.html", "rejected.parquet", "croissant.json", "manifest.json"}
    for folder in (original, index, made):
        assert verify(UPath(folder)).problems == ()
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (original, index, made)]
    assert len({manifest["recipe_sha256"] for manifest in manifests}) == 1
    assert [manifest["mode"] for manifest in manifests] == ["data", "index", "data"]
    # Once more, from what was made: it is there already.
    before = subset_files(made)
    assert again(index, copy, tmp_path / "c") == made
    assert subset_files(made) == before


def test_no_image_and_no_caption_is_in_an_index(origin: Path, tmp_path: Path, prefect_server: None) -> None:
    index = curated(origin, tmp_path, mode="index")
    files = subset_files(index)
    assert not [name for name in files if name.startswith(("data", "report"))]
    tables = [pq.read_table(index / name) for name in ("index.parquet", "rejected.parquet")]
    assert tables[1]["detail"].null_count == len(tables[1]) > 5
    text = "\n".join(str(table.to_pydict()) for table in tables)
    everything = b"\n".join(files.values())
    for batch in (batch for shard in shards_of(recipe_for(origin, tmp_path)) for batch in read_batches(shard)):
        for row in batch.to_pylist():
            image, caption = row["image"]["bytes"], row["caption"]
            assert image[200:240] not in everything
            assert caption not in text
            assert caption.encode() not in everything
    assert "I'm sorry" not in text


def test_what_was_written_says_what_the_source_s_rows_are(origin: Path, tmp_path: Path) -> None:
    rows = pa.concat_tables(
        [pa.Table.from_batches(read_batches(shard)) for shard in shards_of(recipe_for(origin, tmp_path))]
    )
    output = {"dir": tmp_path / "subsets", "shuffle_seed": 3, "text": "text2earth", "shard_bytes": 150_000}
    folder = publish_one(recipe_for(origin, tmp_path, output=output))
    index = pq.read_table(folder / "index.parquet").to_pylist()
    texts = []
    for row in index:
        stored = pq.read_table(folder / row["file"]).slice(row["file_row"], 1).to_pylist()[0]
        texts.append(stored.pop("text"))
        assert stored == rows.slice(row["row_id"], 1).to_pylist()[0]
        assert hashlib.sha256(stored["image"]["bytes"]).digest() == row["sha256"]
        assert texts[-1] == f"{row['z'] or 0}_GOOGLE_LEVEL_{stored['caption']}"
    assert {text.split("_")[0] for text in texts} == {"13", "0"}
    order = [row["row_id"] for row in sorted(index, key=lambda row: (row["file"], row["file_row"]))]
    assert order != sorted(order)
    halves = sum(row < 25 for row in order[: len(order) // 2])
    assert 6 < halves < 19  # of 24: mixed, where the source's order would have all


@pytest.fixture(scope="module")
def index(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = {"dir": tmp_path_factory.mktemp("index"), "mode": "index"}
    return publish_one(recipe_for(origin, tmp_path_factory.mktemp("home"), output=output))


def test_another_source_is_refused_by_shard_and_row(
    index: Path, origin: Path, tmp_path: Path, prefect_server: None
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(origin, copy)
    shard = copy / "train" / "data-00002-of-00004.arrow"
    data = shard.read_bytes()
    image = pair(30)["image"]
    shard.write_bytes(flip(data, data.index(image) + 300))
    with pytest.raises(SourceChanged, match=r"not the source that .*data-00002-of-00004.arrow, row \d+: the image"):
        again(index, copy, tmp_path / "made")
    shard.write_bytes(data[:-3000])
    with pytest.raises((SourceChanged, AnotherSource), match=r"data-00002-of-00004.arrow"):
        again(index, copy, tmp_path / "made")
    fewer = write_tree(tmp_path / "fewer", [pair(seed) for seed in range(50)], shards=2)
    with pytest.raises(AnotherSource, match=r"data-00000-of-00004.arrow.*not in the source"):
        again(index, fewer, tmp_path / "made")
    with pytest.raises(SourceError, match=r"nowhere: "):
        again(index, tmp_path / "nowhere", tmp_path / "made")
    assert not (tmp_path / "made" / "clean").exists()
    assert again(index, origin, tmp_path / "made").name == "clean"  # what was staged by then serves


def test_an_index_that_was_changed_is_refused(index: Path, origin: Path, tmp_path: Path, prefect_server: None) -> None:
    changed = tmp_path / "clean"
    shutil.copytree(index, changed)
    data = (changed / "index.parquet").read_bytes()
    (changed / "index.parquet").write_bytes(flip(data, len(data) // 2))
    with pytest.raises(NotSound, match=r"index.parquet: found SHA-256"):
        again(changed, origin, tmp_path / "made")
    with pytest.raises(NotASubset, match=r"no manifest.json"):
        again(tmp_path, origin, tmp_path / "made")
    (tmp_path / "made" / "clean").mkdir(parents=True)
    with pytest.raises(NotASubset, match="clean: is in the way of versions"):
        again(index, origin, tmp_path / "made")


def test_bytes_that_come_out_otherwise_are_told(
    index: Path, origin: Path, tmp_path: Path, prefect_server: None
) -> None:
    """The index of a subset that was written knows its data files: here one of them is known otherwise."""
    manifest = read_manifest(UPath(index))
    written = read_manifest(UPath(publish_one(recipe_for(origin, tmp_path))))
    data = tuple(file for file in written.files if file.path.startswith("data/"))
    folder = tmp_path / "known"
    shutil.copytree(index, folder)

    def known(file: DataFile) -> None:
        versions = manifest.versions | {"pyarrow": "1.0"}
        changes = {"indexed": (file, *data[1:]), "versions": versions, "seal": ""}
        (folder / "manifest.json").write_text(manifest.model_copy(update=changes).sealed().model_dump_json())

    known(data[0].model_copy(update={"sha256": "0" * 64}))
    told = rf"{data[0].path}: the rows are .* not the bytes .*pyarrow 1.0 then and {pa.__version__}"
    with pytest.raises(NotTheSame, match=told):
        again(folder, origin, tmp_path / "made")
    known(data[0])
    assert verify(UPath(again(folder, origin, tmp_path / "made"))).sound


def test_another_source_is_refused_where_no_picture_was_read(
    origin: Path, tmp_path: Path, prefect_server: None
) -> None:
    """No digest tells: names and places do."""
    output = {"dir": tmp_path / "index", "mode": "index"}
    index = publish_one(recipe_for(origin, tmp_path, output=output, scan={"images": False}))
    other = write_tree(tmp_path / "other", [pair(seed) for seed in range(100, 150)], shards=4)
    with pytest.raises(NotTheSame, match=r"the rows are not those of the index: .*img_name is tile_100.jpg, in index"):
        again(index, other, tmp_path / "made")
    assert not (tmp_path / "made" / "clean").exists()
    made = again(index, origin, tmp_path / "made")
    assert verify(UPath(made)).problems == ()

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hubserver import HubServer
from pairs import pair, write_tree

from schemas.source import FileSource
from tasks.source.listing import list_shards, pin
from tasks.source.places.fetch import FetchCache
from tasks.source.shards import SourceError


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("source"), [pair(seed) for seed in range(10)], shards=3)


def listed(path: Path | str, **changes: object) -> list[tuple[str, str]]:
    source = FileSource.model_validate({"path": path, "name": "tiny"} | changes)
    return [(shard.name, shard.format) for shard in list_shards(source)]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_shards_are_listed_in_order_from_either_kind_of_saved_tree(tree: Path) -> None:
    names = [(f"data-{n:05d}-of-00003.arrow", "arrow") for n in range(3)]
    assert listed(tree) == names
    assert listed(tree / "train") == names


def test_a_source_that_is_none_is_refused_by_name(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        listed(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="the source is empty"):
        listed(tmp_path)
    with pytest.raises(SourceError, match="no split 'test'; found train"):
        listed(tree, split="test")
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(SourceError, match=r"state.json: .*expected JSON"):
        listed(tmp_path)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": []}))
    with pytest.raises(SourceError, match="the source is empty"):
        listed(tmp_path)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret"}]}))
    with pytest.raises(SourceError, match="outside the split's folder"):
        listed(tmp_path)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a"}, {"filename": "a"}]}))
    with pytest.raises(SourceError, match="listed twice"):
        listed(tmp_path)


def test_a_listed_file_that_is_missing_is_still_a_shard(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a.arrow"}]}))
    assert listed(tmp_path) == [("a.arrow", "arrow")]


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (("b.parquet", "a.parquet"), "parquet"),
        (("b.arrow", "a.arrow"), "arrow"),
        (("b.tar", "a.tar"), "webdataset"),
        (("b.tar.gz", "a.tgz"), "webdataset"),
    ],
)
def test_formats_are_known_by_their_suffix(tmp_path: Path, names: tuple[str, ...], form: str) -> None:
    assert listed(touch(tmp_path, *names, "README.md")) == [(name, form) for name in sorted(names)]


def test_an_image_folder_is_known_by_its_metadata(tmp_path: Path) -> None:
    touch(tmp_path, "one/metadata.csv", "one/a.jpg", "two/metadata.jsonl", "two/b.png")
    assert listed(tmp_path) == [("one/metadata.csv", "imagefolder"), ("two/metadata.jsonl", "imagefolder")]


def test_images_in_folders_without_metadata_are_one_shard(tmp_path: Path) -> None:
    touch(tmp_path, "airport/a.jpg", "test/b.PNG", "readme.txt")
    assert listed(tmp_path) == [(".", "imagefolder")]
    with pytest.raises(SourceError, match="no split 'test'; found none"):
        listed(tmp_path, split="test")
    assert list_shards(FileSource(path=str(tmp_path), name="tiny"))[0].path == tmp_path
    touch(tmp_path, "a.parquet")
    assert listed(tmp_path) == [("a.parquet", "parquet")]
    assert listed(tmp_path, format="imagefolder") == [(".", "imagefolder")]


def test_folders_called_as_splits_hold_the_folders_of_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/airport/a.jpg", "Test/airport/b.jpg", "Test/forest/c.jpg")
    assert listed(tmp_path) == [("train", "imagefolder")]
    assert listed(tmp_path, split="test") == [("Test", "imagefolder")]


def test_images_in_no_folder_are_a_source_where_that_is_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    assert listed(tmp_path, format="imagefolder") == [(".", "imagefolder")]
    with pytest.raises(SourceError, match=r"or images with metadata\.csv or in sub-folders"):
        listed(tmp_path)


def test_a_file_and_a_glob_select_shards(tmp_path: Path) -> None:
    touch(tmp_path, "a-1.parquet", "a-2.parquet", "b-1.parquet", "deep/a-3.parquet", "note.txt")
    assert listed(tmp_path / "b-1.parquet") == [("b-1.parquet", "parquet")]
    assert listed(tmp_path / "a-*.parquet") == [("a-1.parquet", "parquet"), ("a-2.parquet", "parquet")]
    assert [name for name, _ in listed(tmp_path / "**" / "a-*.parquet")][-1] == "deep/a-3.parquet"
    with pytest.raises(SourceError, match=r"c-\*"):
        listed(tmp_path / "c-*.parquet")


def test_splits_are_told_by_words_in_names(tmp_path: Path) -> None:
    touch(tmp_path, "data/train-00000.parquet", "data/val-00000.parquet", "data/test/x.parquet")
    assert listed(tmp_path) == [("data/train-00000.parquet", "parquet")]
    assert listed(tmp_path, split="validation") == [("data/val-00000.parquet", "parquet")]
    assert listed(tmp_path, split="test") == [("data/test/x.parquet", "parquet")]
    with pytest.raises(SourceError, match="no split 'extra'; found test, train, validation"):
        listed(tmp_path, split="extra")


def test_a_file_whose_name_tells_of_no_split_is_not_lost_among_those_that_do(tmp_path: Path) -> None:
    touch(tmp_path, "airport.parquet", "train_station.parquet")
    with pytest.raises(SourceError, match=r"some names tell of a split \(train\), and some of none, such as airport"):
        listed(tmp_path)
    assert len(listed(tmp_path / "*.parquet")) == 2
    assert listed(tmp_path / "airport.parquet", split="test") == [("airport.parquet", "parquet")]


def test_names_that_tell_of_no_split_are_train(tmp_path: Path) -> None:
    touch(tmp_path, "trained-0.parquet")
    assert listed(tmp_path) == [("trained-0.parquet", "parquet")]
    with pytest.raises(SourceError, match="no split 'test'; found none"):
        listed(tmp_path, split="test")


def test_two_formats_at_once_are_for_a_person_to_tell_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.arrow", "b.tar")
    with pytest.raises(SourceError, match=r"found arrow and webdataset files; say which in source\.format"):
        listed(tmp_path)
    assert listed(tmp_path, format="arrow") == [("a.arrow", "arrow")]
    with pytest.raises(SourceError, match="expected parquet"):
        listed(tmp_path, format="parquet")


def test_nothing_known_is_told_with_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"found 2 files \(a.jpg, b.txt.*expected a datasets.save_to_disk tree"):
        listed(touch(tmp_path, "a.jpg", "b.txt"))


def test_a_memory_url_lists_as_a_folder_does() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    with memory.open("/listing/part-0.parquet", "wb") as file:
        pq.write_table(pa.table({"image": [b"x"]}), file)
    source = FileSource(path="memory://listing", name="tiny")
    [shard] = list_shards(source, FetchCache(Path("/nowhere"), 1))
    assert (shard.name, shard.format) == ("part-0.parquet", "parquet")
    assert shard.remote is not None
    assert shard.remote.byte_length == memory.size("/listing/part-0.parquet")
    memory.rm("/listing", recursive=True)


def test_a_branch_in_an_address_of_the_hub_is_pinned_to_its_commit(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("someone/pairs", {"data/train-0.parquet": b"a", "data/train-1.parquet": b"b"})
    for path, names in (
        ("hf://datasets/someone/pairs@main", ["data/train-0.parquet", "data/train-1.parquet"]),
        ("hf://datasets/someone/pairs/data/*-1.parquet", ["train-1.parquet"]),
    ):
        pinned = pin(FileSource(path=path, name="tiny"))
        assert pinned.revision == commit
        assert f"@{commit}" in pinned.path
        hub.commit("someone/pairs", {"README.md": b"later"})
        assert [shard.name for shard in list_shards(pinned, FetchCache(tmp_path, 1))] == names
        hub.commit("someone/pairs", {"data/train-0.parquet": b"a", "data/train-1.parquet": b"b"})

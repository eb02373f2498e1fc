"""Image folders without a metadata file: rows by path, labels by folder, and nothing of what lies outside."""

from pathlib import Path

import pytest

from tasks.source.formats import classfolders, imagefolder
from tasks.source.shards import ShardUnreadable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    folder = tmp_path / "set"
    for place, names in ((folder / "pier", ("b.jpg", "a.PNG", "note.txt")), (folder / "deep" / "airport", ("c.tif",))):
        place.mkdir(parents=True)
        for name in names:
            (place / name).write_bytes(f"picture {name}".encode())
    (folder / "top.jpg").write_bytes(b"picture top")
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"not to be read")
    (folder / "pier" / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "other").symlink_to(outside)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.jpg").write_bytes(b"hidden")
    return folder


def test_rows_are_sorted_by_path_and_labelled_by_their_folder(folder: Path) -> None:
    [batch] = imagefolder.read_batches(folder, None)
    assert imagefolder.read_schema(folder) == batch.schema
    assert [(row["file_name"], row["label"], row["image"] and row["image"]["bytes"]) for row in batch.to_pylist()] == [
        ("deep/airport/c.tif", "airport", b"picture c.tif"),
        ("other/secret.jpg", "other", None),
        ("pier/a.PNG", "pier", b"picture a.PNG"),
        ("pier/b.jpg", "pier", b"picture b.jpg"),
        ("pier/link.jpg", "pier", None),
        ("top.jpg", None, b"picture top"),
    ]


def test_labels_are_read_without_images(folder: Path) -> None:
    [batch] = imagefolder.read_batches(folder, ["label"])
    assert batch.to_pydict() == {"label": ["airport", "other", "pier", "pier", "pier", None]}


def test_the_digest_covers_every_name_and_image(folder: Path) -> None:
    def told() -> tuple[str, str]:
        return imagefolder.digest(folder), imagefolder.stat_all(folder)

    known = [told()]
    assert told() == known[0]
    (folder / "pier" / "b.jpg").write_bytes(b"picture B.jpg")
    known.append(told())
    (folder / "pier" / "b.jpg").rename(folder / "pier" / "bb.jpg")
    known.append(told())
    (folder / "pier").rename(folder / "port")
    known.append(told())
    (folder / "port" / "d.jpg").write_bytes(b"")
    known.append(told())
    assert [len(set(column)) for column in zip(*known, strict=True)] == [5, 5]
    (folder / "port" / "note.txt").write_bytes(b"changed")
    assert told() == known[-1]


def test_a_folder_that_cannot_be_listed_is_no_shard(tmp_path: Path) -> None:
    with pytest.raises(ShardUnreadable, match="gone: cannot be listed: "):
        list(classfolders.read_batches(tmp_path / "gone", None))

"""Versions: a link that moves in one step, whether a file system has links or not."""

import os
import threading
from pathlib import Path

import pytest
from pairs import pair, publish_one, recipe_for, write_tree
from upath import UPath

from tasks.published import NotASubset, read_manifest
from tasks.versions import Versions, followed

KEYS = [f"{number:016x}" for number in range(1, 6)]


@pytest.fixture(params=["links", "no links", "memory"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UPath:
    if request.param == "memory":
        folder = UPath(f"memory://versions-{tmp_path.name}")
        folder.mkdir(parents=True)
        return folder
    if request.param == "no links":

        def refused(*args: object, **kwargs: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "symlink", refused)
    return UPath(tmp_path)


def make(versions: Versions, key: str) -> UPath:
    folder = versions.place(key)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(key)
    return folder


def test_the_link_leads_to_the_latest_and_some_are_kept(output: UPath) -> None:
    versions = Versions(output, "clean")
    assert versions.latest() is None
    assert versions.all() == []
    for number, key in enumerate(KEYS, start=1):
        folder = make(versions, key)
        assert folder.name == f"v{number}-{key}"
        assert versions.place(key) == folder
        versions.point_to(folder)
        assert versions.latest() == folder == followed(output / "clean")
        assert (followed(output / "clean") / "manifest.json").read_text() == key
        versions.prune(3)
    assert [version.number for version in versions.all()] == [3, 4, 5]
    versions.place("f" * 16).mkdir(parents=True)  # given up before it had a manifest
    versions.point_to(versions.all()[0].folder)  # back to an old one
    assert versions.prune(2) == [f"v4-{KEYS[3]}", "v6-ffffffffffffffff"]
    assert [version.number for version in versions.all()] == [3, 5]
    assert versions.latest() == versions.all()[0].folder
    assert versions.prune(1) == [f"v5-{KEYS[4]}"]


def test_other_subsets_are_left_alone(output: UPath) -> None:
    clean, other = Versions(output, "clean"), Versions(output, "clean-too")
    for versions in (clean, other):
        versions.point_to(make(versions, KEYS[0]))
        versions.point_to(make(versions, KEYS[1]))
    clean.prune(1)
    assert [version.number for version in other.all()] == [1, 2]


def test_a_folder_of_before_there_were_versions_becomes_one(output: UPath, tmp_path: Path) -> None:
    published = publish_one(recipe_for(write_tree(tmp_path / "source", [pair(1)], shards=1), tmp_path / "home"))
    plain = output / "clean"
    for name in ("manifest.json", "index.parquet"):
        plain.mkdir(parents=True, exist_ok=True)
        (plain / name).write_bytes((followed(UPath(published)) / name).read_bytes())
    versions = Versions(output, "clean")
    assert versions.latest() == plain
    versions.point_to(make(versions, KEYS[0]))
    [old, _] = sorted(versions.all(), key=lambda version: version.key)
    assert read_manifest(old.folder).subset == "clean"
    assert versions.latest() != plain


@pytest.mark.parametrize("kind", ["file", "folder", "link elsewhere", "dangling"])
def test_what_is_not_ours_is_in_the_way_and_stays(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "clean"
    match kind:
        case "file":
            place.write_text(".versions/other/v1-0000000000000001")
        case "folder":
            place.mkdir()
        case "link elsewhere":
            (tmp_path / "mine").mkdir()
            place.symlink_to("mine")
        case "dangling":
            place.symlink_to("nowhere")
    versions = Versions(UPath(tmp_path), "clean")
    with pytest.raises(NotASubset, match="clean: "):
        versions.latest()
    with pytest.raises(NotASubset):
        versions.point_to(make(versions, KEYS[0]))
    assert os.path.lexists(place)
    assert followed(UPath(place)) == UPath(place)


@pytest.mark.parametrize("output", ["links", "no links"], indirect=True)  # in memory nothing is renamed
def test_who_follows_the_link_always_finds_a_whole_version(output: UPath) -> None:
    versions = Versions(output, "clean")
    folders = [make(versions, key) for key in KEYS]
    versions.point_to(folders[0])
    done = threading.Event()
    found: set[str] = set()

    def read() -> None:
        while not done.is_set():
            found.add((followed(output / "clean") / "manifest.json").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(40):
        for folder in folders:
            versions.point_to(folder)
    done.set()
    reader.join()
    assert found <= set(KEYS)
    assert len(found) > 1

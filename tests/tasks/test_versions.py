"""Versions: a link that moves in one step, whether a file system has links or not."""

import errno
import os
import threading
from pathlib import Path

import pytest
from upath import UPath

from tasks.published import NotASubset
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
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "symlink", refused)
    return UPath(tmp_path)


def make(versions: Versions, key: str) -> UPath:
    folder = versions.next(key)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(key)
    return folder


def numbers(versions: Versions) -> list[int]:
    return [version.number for version in versions.all()]


def test_the_link_leads_to_the_latest_and_some_are_kept(output: UPath) -> None:
    versions = Versions(output, "clean")
    assert versions.latest() is None
    assert versions.all() == []
    for number, key in enumerate(KEYS, start=1):
        folder, former = make(versions, key), versions.latest()
        assert folder.name == f"v{number}-{key}"
        versions.point_to(folder)
        assert versions.latest() == folder == followed(output / "clean")
        assert (followed(output / "clean") / "manifest.json").read_text() == key
        versions.prune(folder, former, 3)
    assert numbers(versions) == [3, 4, 5]


def test_who_was_the_latest_stays_rather_than_who_is_newer(output: UPath) -> None:
    versions = Versions(output, "clean")
    folders = [make(versions, key) for key in KEYS[:4]]
    versions.next("f" * 16).mkdir(parents=True)  # given up before it had a manifest
    versions.point_to(folders[0])  # back to an old one
    versions.point_to(folders[3])
    assert versions.prune(folders[3], folders[0], 2) == [folders[1].name, folders[2].name, f"v5-{'f' * 16}"]
    assert numbers(versions) == [1, 4]
    assert versions.prune(folders[3], folders[0], 1) == [folders[0].name]
    assert versions.latest() == folders[3]


def test_other_subsets_are_left_alone(output: UPath) -> None:
    clean, other = Versions(output, "clean"), Versions(output, "clean-too")
    for versions in (clean, other):
        versions.point_to(make(versions, KEYS[0]))
        versions.point_to(make(versions, KEYS[1]))
    clean.prune(clean.all()[1].folder, None, 1)
    assert numbers(other) == [1, 2]


def test_a_link_that_was_made_by_hand_to_go_back_is_ours(tmp_path: Path) -> None:
    versions = Versions(UPath(tmp_path), "clean")
    one, two = make(versions, KEYS[0]), make(versions, KEYS[1])
    versions.point_to(two)
    (tmp_path / "clean").unlink()
    (tmp_path / "clean").symlink_to(str(one))  # not as we write it
    assert versions.latest() == one
    versions.point_to(two)
    assert numbers(versions) == [1, 2]


@pytest.mark.parametrize("kind", ["file", "folder", "subset", "link elsewhere", "dangling"])
def test_what_is_not_ours_is_in_the_way_and_stays(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "clean"
    match kind:
        case "file":
            place.write_text(".versions/other/v1-0000000000000001")
        case "folder":
            place.mkdir()
        case "subset" | "link elsewhere":
            mine = tmp_path / "mine" if kind == "link elsewhere" else place
            mine.mkdir()
            (mine / "manifest.json").touch()
            if kind == "link elsewhere":
                place.symlink_to("mine")
        case "dangling":
            place.symlink_to("nowhere")
    versions = Versions(UPath(tmp_path), "clean")
    with pytest.raises(NotASubset, match="clean: is in the way of versions: it was put there by hand"):
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

import shutil
from pathlib import Path

import pytest
from pairs import pair, publish_one, recipe_for, write_tree

from schemas.reports import DataFile
from tasks.published import NotASubset, read_manifest
from tasks.verify.subset import verify
from tasks.write.staging import Staging


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    return publish_one(recipe_for(write_tree(home / "source", [pair(seed) for seed in range(4)]), home))


def fill(staging: Staging, published: Path) -> None:
    shutil.copytree(published, staging.subset, dirs_exist_ok=True)


def test_a_finished_file_is_known_until_it_changes(published: Path, tmp_path: Path) -> None:
    staging = Staging(tmp_path, read_manifest(published))
    staging.open()
    path = "data/train-00000-of-00001.parquet"
    assert staging.finished(path) is None
    (staging.subset / path).write_bytes(b"12345")
    file = DataFile(path=path, rows=1, byte_length=5, sha256="0" * 64, image_bytes=2)
    staging.record(file)
    assert Staging(tmp_path, read_manifest(published)).finished(path) == file
    (staging.subset / path).write_bytes(b"123")
    assert staging.finished(path) is None


def test_other_content_is_staged_elsewhere(published: Path, tmp_path: Path) -> None:
    manifest = read_manifest(published)
    other = manifest.model_copy(update={"recipe_sha256": "0"})
    assert Staging(tmp_path, manifest).subset != Staging(tmp_path, other).subset


def test_a_subset_without_manifest_is_never_published(published: Path, tmp_path: Path) -> None:
    staging = Staging(tmp_path, read_manifest(published))
    staging.open()
    with pytest.raises(NotASubset, match=r"no manifest\.json"):
        staging.publish()
    assert not staging.final.exists()


def test_an_older_subset_gives_way_whole(published: Path, tmp_path: Path) -> None:
    manifest = read_manifest(published)
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "manifest.json").write_text("old")
    (tmp_path / "clean" / "old.txt").touch()
    staging = Staging(tmp_path, manifest)
    staging.open()
    fill(staging, published)
    staging.publish()
    names = {path.name for path in (tmp_path / "clean").iterdir()}
    assert "manifest.json" in names
    assert "old.txt" not in names
    assert [path.name for path in tmp_path.iterdir()] == ["clean"]


def test_a_publication_that_stopped_between_its_two_renames_is_completed(published: Path, tmp_path: Path) -> None:
    staging = Staging(tmp_path, read_manifest(published))
    staging.open()
    fill(staging, published)
    (staging.subset.parent / "former").mkdir()  # the old subset was moved away, the new one not yet in place
    assert not staging.published()
    staging.open()
    staging.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["clean"]
    assert verify(tmp_path / "clean").sound


def test_what_killed_runs_left_does_not_block_the_next_and_goes(published: Path, tmp_path: Path) -> None:
    manifest = read_manifest(published)
    shutil.copytree(published, tmp_path / "clean")
    other = Staging(tmp_path, manifest.model_copy(update={"recipe_sha256": "0"}))
    other.open()
    staging = Staging(tmp_path, manifest)
    staging.open()
    (staging.subset.parent / "former" / "data").mkdir(parents=True)  # killed after its second rename
    fill(staging, published)
    staging.publish()
    assert verify(tmp_path / "clean").sound
    assert [path.name for path in tmp_path.iterdir()] == ["clean"]


def test_a_subset_that_lacks_a_file_is_neither_published_nor_taken_for_published(
    published: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(published)
    staging = Staging(tmp_path, manifest.model_copy(update={"files": (), "seal": ""}))
    staging.open()
    fill(staging, published)
    lost = staging.subset / manifest.files[0].path
    data = lost.read_bytes()
    lost.unlink()
    with pytest.raises(NotASubset, match="missing; a subset is published whole"):
        staging.publish()
    lost.write_bytes(data)
    staging.publish()
    assert staging.published()
    (staging.final / manifest.files[0].path).unlink()
    assert not staging.published()

import shutil
from pathlib import Path

import pytest
from pairs import pair, publish_one, recipe_for, write_tree

from schemas.reports import DataFile
from tasks.locks import Held, LeaseLost
from tasks.published import NotASubset, read_manifest
from tasks.verify.subset import verify
from tasks.write.staging import Staging


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    return publish_one(recipe_for(write_tree(home / "source", [pair(seed) for seed in range(4)]), home))


def stage(published: Path, output: Path, **changes: object) -> Staging:
    draft = read_manifest(published).model_copy(update={"files": (), "seal": "", **changes})
    staging = Staging(output, draft)
    staging.open()
    return staging


def fill(staging: Staging, published: Path) -> None:
    shutil.copytree(published, staging.subset, dirs_exist_ok=True)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_finished_file_is_known_until_it_changes(published: Path, tmp_path: Path) -> None:
    staging = stage(published, tmp_path)
    path = "data/train-00000-of-00001.parquet"
    assert staging.finished(path) is None
    (staging.subset / path).write_bytes(b"12345")
    file = DataFile(path=path, rows=1, byte_length=5, sha256="0" * 64, image_bytes=2)
    staging.record(file)
    assert stage(published, tmp_path).finished(path) == file
    (staging.subset / path).write_bytes(b"123")
    assert staging.finished(path) is None


def test_other_content_is_staged_elsewhere(published: Path, tmp_path: Path) -> None:
    assert stage(published, tmp_path).subset != stage(published, tmp_path, recipe_sha256="0").subset


def test_a_subset_without_manifest_is_never_published(published: Path, tmp_path: Path) -> None:
    staging = stage(published, tmp_path)
    with pytest.raises(NotASubset, match=r"no manifest\.json"):
        staging.publish(1, Held())
    assert not (tmp_path / "clean").exists()


def test_a_new_version_takes_the_place_of_the_former_which_is_kept_or_not(published: Path, tmp_path: Path) -> None:
    for number, kept in ((1, 2), (2, 2), (3, 1)):
        staging = stage(published, tmp_path, recipe_sha256=str(number))
        fill(staging, published)
        former = (tmp_path / "clean").resolve()
        assert staging.publish(kept, Held()) == tmp_path / "clean"
        assert (tmp_path / "clean").resolve() == staging.subset
        assert former.exists() == (kept == 2)
    assert names(tmp_path) == {".versions", "clean"}
    assert [path.name[:3] for path in (tmp_path / ".versions" / "clean").iterdir()] == ["v3-"]
    assert verify(tmp_path / "clean").sound


def test_a_former_version_that_is_asked_for_again_is_the_latest_again(published: Path, tmp_path: Path) -> None:
    one = stage(published, tmp_path)
    fill(one, published)
    one.publish(2, Held())
    other = stage(published, tmp_path, recipe_sha256="1")
    fill(other, published)
    other.publish(2, Held())
    again = stage(published, tmp_path)
    assert again.subset == one.subset
    assert again.complete()
    assert not again.published()
    again.publish(2, Held())
    assert again.published()
    assert len(names(tmp_path / ".versions" / "clean")) == 2


def test_a_published_version_that_lost_a_file_is_left_as_it_is_and_made_anew(published: Path, tmp_path: Path) -> None:
    damaged = stage(published, tmp_path)
    fill(damaged, published)
    damaged.publish(2, Held())
    (damaged.subset / "index.parquet").unlink()
    left = names(damaged.subset)
    again = stage(published, tmp_path)
    assert again.subset.name == damaged.subset.name.replace("v1-", "v2-")
    again.give_up()
    assert names(damaged.subset) == left
    again = stage(published, tmp_path)
    fill(again, published)
    again.publish(2, Held())
    assert verify(tmp_path / "clean").sound


def test_a_run_that_does_not_hold_the_folder_any_more_changes_nothing(published: Path, tmp_path: Path) -> None:
    class Lost(Held):
        def check(self) -> None:
            raise LeaseLost

    staging = stage(published, tmp_path)
    fill(staging, published)
    with pytest.raises(LeaseLost):
        staging.publish(2, Lost())
    assert not (tmp_path / "clean").exists()


def test_what_killed_runs_left_does_not_block_the_next_and_goes(published: Path, tmp_path: Path) -> None:
    other = stage(published, tmp_path, recipe_sha256="0")
    other.record(DataFile(path="data/a.parquet", rows=1, byte_length=5, sha256="0" * 64))
    (other.subset / "data" / "a.parquet").touch()
    staging = stage(published, tmp_path)
    fill(staging, published)
    (staging.subset / "figures" / ".a.svg.4999999-deadbeef.tmp").touch()
    staging.open()
    staging.publish(2, Held())
    assert verify(tmp_path / "clean").problems == ()
    assert names(tmp_path) == {".versions", "clean"}
    assert names(tmp_path / ".versions" / "clean") == {staging.subset.name}


def test_a_subset_that_lacks_a_file_is_neither_published_nor_taken_for_published(
    published: Path, tmp_path: Path
) -> None:
    staging = stage(published, tmp_path)
    fill(staging, published)
    lost = staging.subset / read_manifest(published).files[0].path
    data = lost.read_bytes()
    lost.unlink()
    with pytest.raises(NotASubset, match="missing; a subset is published whole"):
        staging.publish(2, Held())
    lost.write_bytes(data)
    staging.publish(2, Held())
    assert staging.published()
    lost.unlink()
    assert not staging.published()


def test_one_that_is_given_up_leaves_nothing(published: Path, tmp_path: Path) -> None:
    staging = stage(published, tmp_path)
    fill(staging, published)
    staging.give_up()
    assert not staging.subset.exists()
    assert not (tmp_path / ".staging").exists()

"""Sources, workspaces and outputs that are not on this machine's disk: the same subset comes out."""

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hubserver import HubServer
from pairs import pair, published_files, tiny_recipe, write_tree
from s3server import S3Server
from upath import UPath

from flows.curate import curate
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from schemas.source import HubSource
from tasks.published import read_manifest
from tasks.source.shards import SourceError
from tasks.verify.subset import verify
from tasks.versions import followed


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [pair(seed) for seed in range(30)]
    rows[3] = pair(3, image=None)
    rows[20] = pair(20, image=rows[10]["image"], img_quality_score=1.0)
    return write_tree(tmp_path_factory.mktemp("source") / "tiny", rows, shards=3)


@pytest.fixture(scope="module")
def expected(tree: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> dict[str, bytes]:
    home = tmp_path_factory.mktemp("local")
    curate(tiny_recipe(tree, home))
    return published_files(home / "subsets")


def without_pictures(files: dict[str, bytes]) -> dict[str, bytes]:
    """All but the report, which shows pictures of fetched shards only, and the manifest, which holds its digest."""
    return {name: data for name, data in files.items() if not name.endswith(("report.html", "manifest.json"))}


def upload(tree: Path, url: str) -> None:
    filesystem, root = fsspec.core.url_to_fs(url)
    filesystem.put(f"{tree}/", f"{root}/", recursive=True)


def on_the_hub(tree: Path, home: Path, source: dict[str, Any], **changes: Any) -> Recipe:
    recipe = tiny_recipe(tree, home, **changes)
    return recipe.model_copy(update={"source": HubSource.model_validate({"kind": "hub", "name": "tiny"} | source)})


def recipe_at(url: str, **changes: Any) -> dict[str, Any]:
    return {"output": {"dir": f"{url}/subsets", "shard_bytes": 80_000}, "workspace": f"{url}/workspace"} | changes


@pytest.mark.slow
def test_everything_on_s3(
    tree: Path, expected: dict[str, bytes], s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"s3://{s3.bucket}"
    upload(tree, f"{url}/tiny")
    recipe = tiny_recipe(f"{url}/tiny", tmp_path, **recipe_at(url))
    report = curate(recipe)
    assert report.scan.scanned == 3
    found = published_files(UPath(f"{url}/subsets"))
    assert without_pictures(found) == without_pictures(expected)
    assert [verify(subset.directory).problems for subset in report.subsets] == [(), ()]
    assert not list((tmp_path / "cache").rglob("*.arrow")), "fetched shards were left on the disk"
    again = curate(recipe)
    assert again.scan.scanned == 0
    assert [subset.reused for subset in again.subsets] == [True, True]
    other = recipe_at(url, subsets=[{"name": "clean", "zoom": {"min": 14}}])
    changed = curate(tiny_recipe(f"{url}/tiny", tmp_path, **other))
    assert changed.subsets[0].select.kept == 0
    assert verify(changed.subsets[0].directory).problems == ()
    names = {path.name for path in UPath(f"{url}/subsets").iterdir()}
    assert names == {".versions", "clean", "high-quality"}
    assert read_manifest(report.subsets[0].directory).funnel.kept > 0, "the former version is kept"


@pytest.mark.slow
def test_a_publication_on_s3_that_was_killed_is_made_again(
    tree: Path, expected: dict[str, bytes], s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"s3://{s3.bucket}"
    recipe = tiny_recipe(tree, tmp_path, output={"dir": f"{url}/subsets", "shard_bytes": 80_000})
    curate(recipe)
    clean = followed(UPath(f"{url}/subsets/clean"))
    (clean / "manifest.json").unlink()  # as a killed run leaves it
    (clean / "index.parquet").unlink()
    assert not verify(clean).sound
    report = curate(recipe)
    assert [subset.reused for subset in report.subsets] == [False, True]
    assert published_files(UPath(f"{url}/subsets")) == expected  # a local source: the same pictures as well


def test_everything_in_memory(
    tree: Path, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    upload(tree, "memory://places/tiny")
    curate(tiny_recipe("memory://places/tiny", tmp_path, **recipe_at("memory://places")))
    assert without_pictures(published_files(UPath("memory://places/subsets"))) == without_pictures(expected)
    fsspec.filesystem("memory").rm("/places", recursive=True)


def test_the_hub_at_a_branch_through_a_disk_that_holds_two_shards(
    tree: Path, expected: dict[str, bytes], hub: HubServer, tmp_path: Path
) -> None:
    commit = hub.commit("someone/tiny", tree)
    largest = max(path.stat().st_size for path in tree.rglob("*.arrow"))
    source = {"path": "someone/tiny", "revision": "main"}
    recipe = on_the_hub(tree, tmp_path, source, engine={"workers": 1, "fetched_bytes": 2 * largest})
    report: CurateReport = curate(recipe)
    found = published_files(tmp_path / "subsets")
    cards = {
        name for name in expected if name.endswith(("README.md", "croissant.json"))
    }  # they name the Hub's data set
    assert found.keys() == expected.keys()
    alike = without_pictures(found).keys() - cards
    assert {name: found[name] for name in alike} == {name: expected[name] for name in alike}
    manifest = json.loads(report.subsets[0].manifest.read_text())
    assert (manifest["source"]["hub"], manifest["source"]["revision"]) == ("someone/tiny", commit)
    assert list((tmp_path / "workspace" / "fetched").glob("*.arrow")) == []
    hub.commit("someone/tiny", {"README.md": b"a later commit, on the same branch"})
    pinned = on_the_hub(tree, tmp_path, source | {"revision": commit})
    assert curate(pinned).scan.scanned == 0


def test_a_misspelt_column_is_told_before_anything_is_fetched(tree: Path, hub: HubServer, tmp_path: Path) -> None:
    hub.commit("someone/tiny", tree)
    recipe = on_the_hub(tree, tmp_path, {"path": "someone/tiny", "columns": {"caption": "captoin"}})
    with pytest.raises(SourceError, match="column captoin: not found, expected to hold caption; found image, img_name"):
        curate(recipe)
    assert not list(tmp_path.rglob("*.arrow"))


@pytest.mark.slow
def test_only_shards_with_kept_rows_are_fetched_again(tree: Path, hub: HubServer, tmp_path: Path) -> None:
    hub.commit("someone/tiny", tree)
    largest = max(path.stat().st_size for path in tree.rglob("*.arrow"))
    recipe = on_the_hub(
        tree, tmp_path, {"path": "someone/tiny"}, engine={"workers": 1, "fetched_bytes": largest},
        subsets=[{"name": "few", "caption_words": {"min": 20, "max": 20}}],
    )  # fmt: skip
    report = curate(recipe)
    assert report.subsets[0].select.kept == 1  # row 12, in the second shard
    gets = [len(hub.content_requests(f"train/data-{n:05d}-of-00003.arrow")) for n in range(3)]
    assert (gets[0], gets[2]) == (2, 1)  # scanned, and before that a look at the schema of the first
    assert gets[1] <= 2  # scanned, and written, unless it was the last to be scanned and is still there

"""A plan against what the run then does, over real signals; and that it leaves no trace."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hubserver import HubServer
from pairs import encode, pair, picture, publish_one, recipe_for, scan_all, tiny_recipe, write_tree
from upath import UPath

from schemas.manifest import Manifest
from schemas.plan import Outcome, Plan
from schemas.recipe import Recipe
from schemas.source import Columns, HubSource
from tasks.deduplicate.stage import find_duplicates
from tasks.planning import search
from tasks.planning.plan import plan_run
from tasks.scan.reuse import recall
from tasks.scan.shard import scan_shard
from tasks.source.listing import shards_of
from tasks.source.read import at_hand, read_batches

SHARDS, ROWS = 5, 60
_CAP_DAC_OVERRIDE, _PR_CAPBSET_DROP = 1, 24


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Arrow files, with a broken picture, an equal one, and one that was saved again."""
    rows = [pair(seed) for seed in range(ROWS)]
    rows[3] = pair(3, image=encode(picture(3))[:-200])
    rows[20] = pair(20, image=rows[40]["image"], img_quality_score=1.0)
    rows[21] = pair(21, image=encode(picture(41), quality=55), img_quality_score=9.0)
    folder = tmp_path_factory.mktemp("source")
    tree = write_tree(folder / "tree", rows, shards=SHARDS)
    (folder / "files").mkdir()
    for number, path in enumerate(sorted(tree.rglob("*.arrow"))):
        shutil.copy(path, folder / "files" / f"{number}.arrow")
    return folder / "files"


@pytest.fixture
def source(shards: Path, tmp_path: Path) -> Path:
    """A copy of the shards that a test may change."""
    return Path(shutil.copytree(shards, tmp_path / "source"))


def scan(recipe: Recipe, count: int | None = None) -> None:
    """Scan the first ``count`` shards."""
    columns = recipe.source.columns.model_dump()
    for shard in shards_of(recipe)[:count]:
        if recall(shard, recipe.scan, columns, recipe.workspace) is None:
            with at_hand(shard):
                scan_shard(shard, recipe.scan, columns, recipe.workspace)


def with_columns(recipe: Recipe, **columns: str) -> Recipe:
    return recipe.model_copy(update={"source": recipe.source.model_copy(update={"columns": Columns(**columns)})})


def size_of(*paths: Path) -> int:
    return sum(path.stat().st_size for path in paths)


def files_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.arrow"))


def outcome_of(plan: Plan, number: int = 0) -> Outcome:
    outcome = plan.subsets[number].outcome
    assert outcome is not None, plan.subsets[number].problem
    return outcome


def state_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {str(path): (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size) for path, stat in found.items()}


def assert_is_what_was_published(outcome: Outcome, folder: Path) -> None:
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    for name in ("funnel", "reasons", "flags", "splits", "thresholds"):
        assert getattr(outcome, name) == getattr(manifest, name)
    data = [file for file in manifest.files if file.path.startswith("data/")]
    assert outcome.data_files == len(data)
    assert outcome.image_bytes == sum(file.image_bytes or 0 for file in data)
    assert outcome.kept == sum(file.rows or 0 for file in data)


def test_nothing_scanned(source: Path, tmp_path: Path) -> None:
    plan = plan_run(tiny_recipe(source, tmp_path))
    told = plan.source
    assert (told.shards, told.known_shards, told.known_rows, told.new_shards, told.missing_shards) == (5, 0, 0, 5, 0)
    assert (told.new_bytes, told.fetched_bytes) == (size_of(*files_of(source)), 0)
    assert plan.duplicates.near == "searched"
    assert [(subset.place, subset.outcome, subset.problem) for subset in plan.subsets] == [("new", None, None)] * 2
    assert (plan.estimate, plan.problems) == (("5 of 5 shards of source are not scanned yet",), ())
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_all_scanned_is_what_the_run_then_publishes(source: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(source, tmp_path)
    scan_all(recipe)
    plan = plan_run(recipe)
    assert (plan.source.known_shards, plan.source.known_rows, plan.source.new_bytes) == (5, ROWS, 0)
    assert (plan.duplicates.near, plan.duplicates.new_rows, plan.duplicates.pairs) == ("searched", ROWS, 1)
    assert plan.estimate == plan.problems == ()
    for number, subset in enumerate(recipe.subsets):
        folder = publish_one(recipe.model_copy(update={"subsets": [subset]}))
        outcome = outcome_of(plan, number)
        assert_is_what_was_published(outcome, folder)
        written = size_of(*folder.rglob("*.parquet"))
        assert outcome.estimated_bytes == pytest.approx(written, rel=0.2)
    again = plan_run(recipe)
    assert [subset.place for subset in again.subsets] == ["unchanged", "unchanged"]
    assert (again.duplicates.near, again.duplicates.new_rows, again.duplicates.pairs) == ("reused", 0, 1)
    assert [outcome_of(again, number) for number in range(2)] == [outcome_of(plan, number) for number in range(2)]


def test_a_part_scanned_is_an_estimate_of_that_part(source: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(source, tmp_path)
    scan(recipe, 3)
    plan = plan_run(recipe)
    paths = files_of(source)
    assert (plan.source.known_bytes, plan.source.new_bytes) == (size_of(*paths[:3]), size_of(*paths[3:]))
    assert plan.estimate == ("2 of 5 shards of source are not scanned yet",)
    assert outcome_of(plan).rows == 36
    assert outcome_of(plan).kept == 35  # neither copy's better half is known
    assert plan.duplicates.new_rows is None
    assert plan.problems == ()


def test_a_shard_that_joined(source: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(source, tmp_path)
    last = files_of(source)[-1]
    last.rename(tmp_path / "later")
    publish_one(recipe)
    (tmp_path / "later").rename(last)
    plan = plan_run(recipe)
    assert (plan.source.known_shards, plan.source.new_shards, plan.source.new_bytes) == (4, 1, size_of(last))
    assert (plan.duplicates.near, plan.duplicates.new_rows) == ("extended", None)
    assert [subset.place for subset in plan.subsets] == ["there", "new"]
    scan(recipe)
    plan = plan_run(recipe)
    assert (plan.duplicates.near, plan.duplicates.new_rows) == ("extended", 12)
    assert [subset.place for subset in plan.subsets] == ["changed", "new"]
    assert_is_what_was_published(outcome_of(plan), publish_one(recipe))


def test_another_recipe_s_subset(source: Path, tmp_path: Path) -> None:
    publish_one(tiny_recipe(source, tmp_path))
    words = {"name": "wordy", "caption_words": {"min": 20}, "top": {"signal": "img_quality_score", "rows": 9}}
    stricter = {"name": "clean", "quality": {"min_score": 4}}
    recipe = tiny_recipe(source, tmp_path, subsets=[words, stricter], output={"dir": tmp_path / "subsets"})
    plan = plan_run(recipe)
    assert [subset.place for subset in plan.subsets] == ["new", "changed"]
    assert (plan.source.new_shards, plan.duplicates.near) == (0, "reused")
    assert outcome_of(plan).kept == 9
    assert_is_what_was_published(outcome_of(plan), publish_one(recipe))


@pytest.mark.parametrize("scanned", [0, 3, SHARDS])
def test_no_trace_is_left_and_a_read_only_home_is_enough(source: Path, tmp_path: Path, scanned: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    recipe = tiny_recipe(source, home)
    scan(recipe, scanned)
    if scanned == SHARDS:
        publish_one(recipe)
        (home / "workspace" / "verdicts").joinpath("mine.txt").write_text("kept")
    before = state_of(tmp_path)
    plan = plan_run(recipe)
    assert state_of(tmp_path) == before
    folders = [path for path in (home, *home.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    before = state_of(tmp_path)
    try:
        told = in_a_process_without_privileges(recipe)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert told.subsets == plan.subsets
    assert all("no permission to write" in problem for problem in told.problems)
    assert len(told.problems) == 2
    assert {path: stat[0] for path, stat in state_of(tmp_path).items()} == {p: stat[0] for p, stat in before.items()}


def in_a_process_without_privileges(recipe: Recipe) -> Plan:
    """Plan as someone whom permissions bind, though the tests may be run by root."""
    code = (
        "import sys; from schemas.recipe import Recipe; from tasks.planning.plan import plan_run; "
        "print(plan_run(Recipe.model_validate_json(sys.argv[1])).model_dump_json())"
    )
    libc = ctypes.CDLL(None)
    done = subprocess.run(
        [sys.executable, "-c", code, recipe.model_dump_json()],
        cwd=Path(__file__).parents[3],
        preexec_fn=lambda: libc.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0) if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Plan.model_validate_json(done.stdout)


def test_a_long_search_is_left_out_unless_it_is_asked_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(source, tmp_path)
    scan(recipe)
    monkeypatch.setattr(search, "SEARCHED_ROWS", ROWS - 1)
    plan = plan_run(recipe)
    assert plan.estimate == (
        "near-duplicates of 60 rows are left out here, and searched for in the run; --search does it now",
    )
    assert (plan.duplicates.near, plan.duplicates.pairs) == ("searched", None)
    asked = plan_run(recipe, search=True)
    assert (asked.estimate, asked.duplicates.pairs) == ((), 1)
    assert outcome_of(plan).kept == outcome_of(asked).kept + 1
    find_duplicates(scan_all(recipe), (), recipe.deduplication, recipe.workspace)
    assert plan_run(recipe).estimate == ()


def test_references(source: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = tmp_path / "benchmark"
    benchmark.mkdir()
    shutil.copy(files_of(shards)[1], benchmark / "b.arrow")
    references = {"references": [{"path": benchmark, "name": "bench"}]}
    recipe = tiny_recipe(source, tmp_path, deduplication=references)
    scan(recipe)
    plan = plan_run(recipe)
    [told] = plan.references
    assert (told.key, told.new_shards, told.new_bytes) == (
        "deduplication.references.0",
        1,
        size_of(*files_of(benchmark)),
    )
    assert plan.estimate == ("1 of 1 shards of deduplication.references.0 are not scanned yet",)
    assert (plan.duplicates.references, plan.duplicates.contaminated_rows) == ("searched", None)
    scan(recipe.model_copy(update={"source": recipe.deduplication.references[0]}))
    monkeypatch.setattr(search, "SEARCHED_ROWS", 11)
    assert plan_run(recipe).estimate == (
        "near-duplicates of 60 rows are left out here, and searched for in the run; --search does it now",
        "near copies of 12 pictures of references are left out here, and searched for in the run; --search does it now",
    )
    plan = plan_run(recipe, search=True)
    # 12 rows of the shard, of which 20 and 21 have copies elsewhere
    assert (plan.duplicates.references, plan.duplicates.contaminated_rows, plan.estimate) == ("searched", 14, ())
    assert outcome_of(plan).kept == ROWS - 14 - 1
    problems = recipe.model_copy(
        update={"deduplication": recipe.deduplication.model_copy(update={"exact_bytes": False, "near": None})}
    )
    assert plan_run(problems).duplicates.near == "off"


def test_what_would_fail_is_told_and_the_rest_shown(source: Path, tmp_path: Path) -> None:
    recipe = with_columns(tiny_recipe(source, tmp_path), img_quality_score="")
    scan(recipe, 3)
    partly = plan_run(recipe)
    assert "needs the column img_quality_score" in str(partly.subsets[1].problem)
    assert partly.problems == ()  # the shards to come may have it
    scan(recipe)
    (tmp_path / "subsets" / "clean").mkdir(parents=True)
    plan = plan_run(recipe)
    assert [subset.place for subset in plan.subsets] == ["in the way", "new"]
    assert outcome_of(plan).kept == 57
    assert plan.subsets[1].outcome is None
    assert [problem.split(":")[0] for problem in plan.problems] == [
        str(tmp_path / "subsets" / "clean"), "subset high-quality",
    ]  # fmt: skip


def test_misspelt_columns_are_told_before_anything_is_scanned(source: Path, tmp_path: Path) -> None:
    plan = plan_run(with_columns(tiny_recipe(source, tmp_path), caption="captoin"))
    [problem] = plan.problems
    assert "column captoin: not found, expected to hold caption" in problem


def test_bad_shards(shards: Path, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", [pair(seed) for seed in range(12)], shards=3)
    recipe = recipe_for(tree, tmp_path)
    files_of(tree)[1].unlink()
    scan_what_is_there = [shards_of(recipe)[number] for number in (0, 2)]
    for shard in scan_what_is_there:
        scan_shard(shard, recipe.scan, recipe.source.columns.model_dump(), recipe.workspace)
    plan = plan_run(recipe)
    assert (plan.source.known_shards, plan.source.new_shards, plan.source.missing_shards) == (2, 0, 1)
    assert "No such file or directory" in plan.problems[0]
    assert "set source.on_bad_shard to 'publish'" in plan.problems[1]
    assert plan.estimate == ("1 of 3 shards of source cannot be read, or not to their end",)
    allowed = recipe.model_copy(update={"source": recipe.source.model_copy(update={"on_bad_shard": "publish"})})
    plan = plan_run(allowed)
    assert (plan.problems, plan.estimate, outcome_of(plan).kept) == ((), (), 8)


@pytest.mark.parametrize("place", ["workspace", "output"])
def test_a_place_that_is_no_folder(source: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    where: Any = tmp_path / "file" / "deeper"
    recipe = recipe_for(source, tmp_path, **{place: {"dir": where} if place == "output" else where})
    [problem] = plan_run(recipe).problems
    assert problem == f"{where}: cannot write there: {tmp_path / 'file'} is no folder"


def test_room(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(source, tmp_path, output={"dir": tmp_path / "subsets", "shuffle_seed": 1})
    scan(recipe)
    plan = plan_run(recipe)
    sizes = [outcome_of(plan, number).estimated_bytes for number in range(2)]
    assert [(disk.holds, disk.needed_bytes) for disk in plan.disks] == [("subsets", sum(sizes))]
    assert plan.problems == ()
    table = pa.concat_tables([pa.Table.from_batches(read_batches(shard)) for shard in shards_of(recipe)])
    (tmp_path / "parquet").mkdir()
    pq.write_table(table, tmp_path / "parquet" / "rows.parquet")  # whose rows cannot be drawn from where they lie
    copied = tiny_recipe(tmp_path / "parquet", tmp_path, output={"dir": tmp_path / "others", "shuffle_seed": 1})
    scan(copied)
    plan = plan_run(copied)
    sizes = [outcome_of(plan, number).estimated_bytes for number in range(2)]
    aside = ("rows on their way into random order", max(sizes))
    assert [(disk.holds, disk.needed_bytes) for disk in plan.disks] == [("subsets", sum(sizes)), aside]
    index = tiny_recipe(source, tmp_path, output={"dir": tmp_path / "subsets", "mode": "index"})
    told = outcome_of(plan_run(index))
    assert (told.data_files, told.read_shards) == (0, 0)
    assert told.estimated_bytes < 10_000


def test_a_hub_s_shards_are_fetched_once_each_and_only_those_that_are_new(
    source: Path, hub: HubServer, tmp_path: Path
) -> None:
    hub.commit("someone/tiny", source)
    recipe = tiny_recipe(source, tmp_path).model_copy(
        update={"source": HubSource(kind="hub", path="someone/tiny", name="tiny")}
    )
    names = [path.name for path in files_of(source)]
    scan(recipe, 2)
    shutil.rmtree(tmp_path / "workspace" / "fetched")
    hub.requests.clear()
    plan = plan_run(recipe)
    assert not any(hub.content_requests(name) for name in names)
    scan(recipe)
    fetched = [name for name in names if hub.content_requests(name)]
    assert plan.source.fetched_bytes == plan.source.new_bytes == size_of(*(source / name for name in fetched))
    assert fetched == names[2:]
    plan = plan_run(recipe)
    assert plan.source.fetched_bytes == 0
    assert outcome_of(plan).refetched_bytes == size_of(*(source / name for name in names[:2]))  # the others lie here
    small = recipe.model_copy(update={"engine": recipe.engine.model_copy(update={"fetched_bytes": 1000})})
    [problem] = plan_run(small).problems
    assert "at most 1,000 may lie on this disk at once: raise engine.fetched_bytes" in problem


def test_a_workspace_elsewhere(source: Path, tmp_path: Path) -> None:
    workspace = UPath("memory://planning/workspace")
    recipe = tiny_recipe(source, tmp_path, workspace=workspace)
    scan(recipe)
    find_duplicates(scan_all(recipe), (), recipe.deduplication, recipe.workspace)
    memory = fsspec.filesystem("memory")
    before = sorted(memory.find("/planning"))
    plan = plan_run(recipe)
    assert (plan.duplicates.near, plan.estimate) == ("reused", ())
    assert sorted(memory.find("/planning")) == before
    memory.rm("/planning", recursive=True)

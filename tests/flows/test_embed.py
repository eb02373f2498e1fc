"""The embed flow and command: what they make, leave alone, and say, from folders and from the Hub."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from checkpoints import COLOURS
from hubserver import HubServer
from pairs import encode, pair, recipe_for, write_tree
from PIL import Image
from ruamel.yaml import YAML
from runs import half_written, kill, start, wait_until
from typer.testing import CliRunner
from upath import UPath

from flows.cli import app
from flows.embed import NoScorer, embed
from flows.progress import StageBar
from flows.scan import ShardsQuarantined
from schemas.embedding import EmbedReport
from schemas.recipe import Recipe
from tasks.embed.checkpoint import CheckpointNotFound
from tasks.embed.pairs import embed_pairs
from tasks.embed.shard import embed_shard
from tasks.pinning import pinned
from tasks.scan.shard import scan_shard
from tasks.source.listing import shards_of

pytestmark = pytest.mark.usefixtures("prefect_server")


def coloured(folder: Path, *, shards: int = 3, rows: int = 24) -> Path:
    """Write a source whose captions name the colour of their picture, but for each seventh."""
    names = list(COLOURS)
    pairs = []
    for seed in range(rows):
        told = names[(seed + (3 if seed % 7 == 6 else 0)) % len(names)]
        image = encode(Image.new("RGB", (64, 64), COLOURS[names[seed % len(names)]]), "PNG")
        pairs.append(pair(seed, image=image + b"%d" % seed, caption=f"a satellite image of {told} {seed}"))
    return write_tree(folder, pairs, shards=shards)


def recipe(tmp_path: Path, model: Path | str, **changes: object) -> Recipe:
    source = tmp_path / "source"
    if not source.exists():
        coloured(source)
    scorers = [{"name": "colours", "model": str(model), "batch_size": 5}]
    return recipe_for(source, tmp_path, **({"scorers": scorers} | changes))


def vectors(tmp_path: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "workspace").glob("vectors/*/*.parquet")}


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "workspace").glob("vectors/*/.*.part"))


def test_every_shard_is_embedded_once(tmp_path: Path, colour_model: Path) -> None:
    [report] = embed(recipe(tmp_path, colour_model))
    before = vectors(tmp_path)

    state = embed(recipe(tmp_path, colour_model), return_state=True)

    assert str(report).startswith("embedded 3, reused 0 of 3 shards; 24 of 24 pictures, 24 with their caption")
    assert state.name == "Nothing new"
    [again] = state.result()
    assert isinstance(again, EmbedReport)
    assert again.embedded == 0
    assert vectors(tmp_path) == before
    assert len(before) == 3


def test_a_new_shard_is_embedded_alone(tmp_path: Path, colour_model: Path) -> None:
    embed(recipe(tmp_path, colour_model))
    before = vectors(tmp_path)
    more = coloured(tmp_path / "more", shards=1) / "train" / "data-00000-of-00001.arrow"
    source = tmp_path / "source" / "train"
    more.rename(source / "more.arrow")
    state = json.loads((source / "state.json").read_text())
    state["_data_files"].append({"filename": "more.arrow"})
    (source / "state.json").write_text(json.dumps(state))

    [report] = embed(recipe(tmp_path, colour_model))

    assert (report.embedded, len(report.shards)) == (1, 4)
    assert before.items() <= vectors(tmp_path).items()


def test_a_model_of_the_hub_is_fetched_and_pinned(
    tmp_path: Path, colour_model: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    commit = hub.commit("someone/colours", colour_model)

    [report] = embed(recipe(tmp_path, "someone/colours"))
    hub.commit("someone/colours", {"config.json": b"{}"})
    scorers = [{"name": "colours", "model": "someone/colours", "revision": commit}]
    [again] = embed(recipe(tmp_path, "", scorers=scorers))

    assert report.embedded == 3
    assert again.embedded == 0


def test_a_recipe_without_a_model_is_told(tmp_path: Path, colour_model: Path) -> None:
    with pytest.raises(NoScorer, match="scorers: found none; expected one model at least"):
        embed(recipe(tmp_path, colour_model, scorers=[]))
    with pytest.raises(CheckpointNotFound, match="no such folder"):
        embed(recipe(tmp_path, tmp_path / "gone"))
    assert not list(tmp_path.glob("workspace/signals/*/*"))  # refused before hours of scanning


def test_the_command_tells_in_a_table_and_in_json(tmp_path: Path, colour_model: Path) -> None:
    path = tmp_path / "recipe.yaml"
    YAML(typ="safe").dump(recipe(tmp_path, colour_model).model_dump(mode="json"), path)

    told = CliRunner().invoke(app, ["embed", str(path)])
    as_json = CliRunner().invoke(app, ["embed", str(path), "--json"])
    wrong = CliRunner().invoke(app, ["embed", str(path), "--set", "scorers.0.captions=some"])

    assert told.exit_code == as_json.exit_code == 0, told.output
    row = told.stdout.splitlines()[3].replace("│", " ").split()
    assert row[:6] == ["colours", "24", "24", "24", "0", "8"]
    [report] = json.loads(as_json.stdout)
    assert EmbedReport.model_validate(report).rows == 24
    assert wrong.exit_code == 2
    assert "scorers.0.captions" in wrong.output


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_next_shard(tmp_path: Path, random_model: Path) -> None:
    coloured(tmp_path / "source", shards=24)
    scorers = [{"name": "random", "model": str(random_model), "batch_size": 1}]
    interrupted = recipe(tmp_path, "", scorers=scorers)
    run = start(interrupted, tmp_path, command="embed")
    wait_until(lambda: len(vectors(tmp_path)) >= 3, run)
    kill(run)
    before, margins = vectors(tmp_path), len(list((tmp_path / "workspace").glob("margins/*/*.parquet")))

    [report] = embed(interrupted)

    assert 3 <= len(before) < 24
    assert report.embedded == 24 - margins  # of the last one the pictures may be known, and not what they are like
    assert before.items() <= vectors(tmp_path).items()
    assert not half_written(tmp_path)
    assert not parts(tmp_path)


def records(part: Path) -> int:
    """Return how many records of a part are whole."""
    data, at, found = part.read_bytes(), 0, 0
    while at + 24 <= len(data) and (end := at + 24 + int.from_bytes(data[at : at + 8], "little")) <= len(data):
        at, found = end, found + 1
    return found


@pytest.mark.slow
def test_a_run_that_is_killed_within_a_shard_goes_on_there(
    tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured(tmp_path / "source", shards=1, rows=1_200)
    scorers = [{"name": "random", "model": str(random_model), "batch_size": 4}]
    interrupted = recipe(tmp_path, "", scorers=scorers)
    run = start(interrupted, tmp_path, command="embed")
    wait_until(lambda: any(path.stat().st_size > 10_000 for path in parts(tmp_path)), run)
    kill(run)
    assert not vectors(tmp_path)
    [part] = parts(tmp_path)
    whole = 4 * (records(part) - 1)  # the first says what made them
    rows: list[int] = []

    def heard(*arguments: Any, **settings: Any) -> Iterator[pa.RecordBatch]:
        for batch in embed_pairs(*arguments, **settings):
            rows.extend(batch["row"].to_pylist())
            yield batch

    monkeypatch.setattr("tasks.embed.shard.embed_pairs", heard)
    known = pinned(interrupted)
    [shard], columns = shards_of(known), known.source.columns.model_dump()
    scanned = scan_shard(shard, known.scan, columns, known.workspace)
    made = embed_shard(shard, scanned, known.scorers[0], known.scan, columns, known.workspace)

    assert scanned.reused
    assert 0 < rows[0] < 1_200
    assert rows[0] - whole in (0, 4)  # its worker lived on for a moment
    assert rows == list(range(rows[0], 1_200))
    assert embed(interrupted, return_state=True).name == "Nothing new"
    assert not parts(tmp_path)
    assert not half_written(tmp_path)
    [undisturbed] = embed(interrupted.model_copy(update={"workspace": UPath(tmp_path / "undisturbed")}))
    assert made.vectors.read_bytes() == undisturbed.shards[0].vectors.read_bytes()
    assert made.margins.read_bytes() == undisturbed.shards[0].margins.read_bytes()


@pytest.mark.slow
def test_the_bar_moves_within_a_shard_and_comes_to_the_total(
    tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured(tmp_path / "source", shards=2, rows=1_200)
    bars: list[StageBar] = []
    told: list[int] = []
    count = StageBar._count

    def counted(bar: StageBar, rows: int, byte_length: int, items: int) -> None:
        count(bar, rows, byte_length, items)
        if bar._name == "embed by random":
            told.append(bar._rows)
            bars.append(bar)

    monkeypatch.setattr(StageBar, "_count", counted)
    scorers = [{"name": "random", "model": str(random_model), "batch_size": 1}]
    embed(recipe(tmp_path, "", scorers=scorers))

    assert len(told) > 2  # more than once a shard
    assert told == sorted(told)
    assert told[-1] == 1_200
    assert not bars[-1]._under_way


def test_a_source_that_cannot_be_read_is_told_as_curate_tells_it(tmp_path: Path, colour_model: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.parquet").write_bytes(b"no parquet")

    with pytest.raises(ShardsQuarantined, match=r"1 of 1 shards cannot be read[\s\S]*a\.parquet"):
        embed(recipe(tmp_path, colour_model))

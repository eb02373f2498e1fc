"""The embed flow and command: what they make, leave alone, and say, from folders and from the Hub."""

import json
import os
import signal
from pathlib import Path

import pytest
from checkpoints import COLOURS
from hubserver import HubServer
from pairs import encode, pair, recipe_for, write_tree
from PIL import Image
from ruamel.yaml import YAML
from typer.testing import CliRunner

from flows.cli import app
from flows.embed import NoScorer, embed
from flows.scan import ShardsQuarantined
from schemas.embedding import EmbedReport
from schemas.recipe import Recipe
from tasks.embed.checkpoint import CheckpointNotFound

pytestmark = pytest.mark.usefixtures("prefect_server")


def coloured(folder: Path, *, shards: int = 3) -> Path:
    """Write a source whose captions name the colour of their picture, but for each seventh."""
    names = list(COLOURS)
    rows = []
    for seed in range(24):
        told = names[(seed + (3 if seed % 7 == 6 else 0)) % len(names)]
        image = encode(Image.new("RGB", (64, 64), COLOURS[names[seed % len(names)]]), "PNG")
        rows.append(pair(seed, image=image + b"%d" % seed, caption=f"a satellite image of {told} {seed}"))
    return write_tree(folder, rows, shards=shards)


def recipe(tmp_path: Path, model: Path | str, **changes: object) -> Recipe:
    source = tmp_path / "source"
    if not source.exists():
        coloured(source)
    scorers = [{"name": "colours", "model": str(model), "batch_size": 5}]
    return recipe_for(source, tmp_path, **({"scorers": scorers} | changes))


def vectors(tmp_path: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "workspace").glob("vectors/*/*.parquet")}


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
    import subprocess
    import sys
    import time

    from prefect.settings import PREFECT_API_URL

    path = tmp_path / "recipe.yaml"
    coloured(tmp_path / "source", shards=24)
    scorers = [{"name": "random", "model": str(random_model), "batch_size": 1}]
    YAML(typ="safe").dump(recipe(tmp_path, "", scorers=scorers).model_dump(mode="json"), path)
    run = subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import app; app()", "embed", str(path)],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(vectors(tmp_path)) < 3:
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    before, margins = vectors(tmp_path), len(list((tmp_path / "workspace").glob("margins/*/*.parquet")))

    [report] = embed(Recipe.model_validate(YAML(typ="safe").load(path)))

    assert 3 <= len(before) < 24
    assert report.embedded == 24 - margins  # of the last one the pictures may be known, and not what they are like
    assert before.items() <= vectors(tmp_path).items()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_source_that_cannot_be_read_is_told_as_curate_tells_it(tmp_path: Path, colour_model: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.parquet").write_bytes(b"no parquet")

    with pytest.raises(ShardsQuarantined, match=r"1 of 1 shards cannot be read[\s\S]*a\.parquet"):
        embed(recipe(tmp_path, colour_model))

"""The vectors of a shard on the disk: whole or not at all, known again, and made anew where anything is another."""

import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pairs import pair, recipe_for, write_tree
from upath import UPath

from schemas.embedding import VectorsReport
from schemas.recipe import Recipe
from schemas.reports import ScanReport
from schemas.scorer import Scorer
from tasks.embed import shard as embedding
from tasks.embed.model import ModelUnusable
from tasks.embed.pairs import embed_pairs
from tasks.embed.reuse import known_embeddings, known_vectors
from tasks.embed.shard import embed_shard
from tasks.embed.vectors import load_scores, read_vectors, vectors_in_pieces
from tasks.pinning import pinned
from tasks.scan.shard import scan_shard
from tasks.source.listing import shards_of
from tasks.source.shards import ShardUnreadable


@pytest.fixture
def recipe(tmp_path: Path, random_model: Path) -> Recipe:
    rows = [pair(seed, caption=f"boats and {seed} rivers") for seed in range(10)]
    rows[3]["image"], rows[4]["image"], rows[8]["caption"] = None, b"no picture", None
    tree = write_tree(tmp_path / "source", rows, shards=2)
    scorer = {"name": "random", "model": str(random_model), "batch_size": 3}
    return pinned(recipe_for(tree, tmp_path, scorers=[scorer]))


def scan(recipe: Recipe) -> ScanReport:
    columns = recipe.source.columns.model_dump()
    return ScanReport.of([scan_shard(s, recipe.scan, columns, recipe.workspace) for s in shards_of(recipe)])


def embed(recipe: Recipe, scanned: ScanReport, scorer: Scorer | None = None) -> list[VectorsReport]:
    columns = recipe.source.columns.model_dump()
    return [
        embed_shard(shard, report, scorer or recipe.scorers[0], recipe.scan, columns, recipe.workspace)
        for shard, report in zip(shards_of(recipe), scanned.shards, strict=True)
    ]


def test_what_is_made_is_counted_and_known_again(recipe: Recipe) -> None:
    scanned = scan(recipe)
    assert known_embeddings(recipe, scanned) is None

    first, again = embed(recipe, scanned), embed(recipe, scanned)

    assert [(r.rows, r.pictures, r.captions, r.scored, r.truncated) for r in first] == [
        (5, 3, 5, 3, 0),
        (5, 5, 4, 4, 0),
    ]
    assert not any(report.reused for report in first)
    assert again == [report.model_copy(update={"reused": True}) for report in first]
    known = known_embeddings(recipe, scanned)
    assert known is not None
    assert known[0].shards == tuple(again)
    assert known[0].dimensions == 32


def test_vectors_and_scores_are_those_of_the_files(recipe: Recipe) -> None:
    scanned = scan(recipe)
    embed(recipe, scanned)
    [report] = known_embeddings(recipe, scanned) or ()

    places, vectors, present = zip(*vectors_in_pieces(report, "image"), strict=True)
    assert places == (slice(0, 5), slice(5, 10))
    assert np.concatenate(present).tolist() == [row not in (3, 4) for row in range(10)]
    together = np.concatenate(vectors)
    assert together.dtype == np.float16
    lengths = np.linalg.norm(together.astype(np.float32), axis=1)
    np.testing.assert_allclose(lengths, np.concatenate(present), atol=2e-3)
    text = np.concatenate([vectors for _, vectors, _ in vectors_in_pieces(report, "text")])
    cosine = (together.astype(np.float32) * text.astype(np.float32)).sum(axis=1)
    similarity = load_scores(report, "similarity")
    assert np.isnan(similarity).tolist() == [row in (3, 4, 8) for row in range(10)]
    np.testing.assert_allclose(similarity, np.where(np.isnan(similarity), np.nan, cosine), atol=3e-3)
    margin = load_scores(report, "prompt_margin")
    assert np.isnan(margin).tolist() == [row in (3, 4) for row in range(10)]


def test_other_prompts_read_no_picture_again(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = scan(recipe)
    first = embed(recipe, scanned)
    other = recipe.scorers[0].model_copy(update={"other": ["a red town"]})
    monkeypatch.setattr(embedding, "read_batches", None)  # whoever read the shard would fail

    again = embed(recipe, scanned, other)

    assert [report.vectors for report in again] == [report.vectors for report in first]
    assert [report.margins for report in again] != [report.margins for report in first]


@pytest.mark.parametrize("change", [{"captions": "sentences"}, {"sha256": "0" * 64}])
def test_another_model_or_way_to_read_has_files_of_its_own(recipe: Recipe, change: dict[str, str]) -> None:
    scanned = scan(recipe)
    embed(recipe, scanned)

    other = recipe.scorers[0].model_copy(update=change)

    assert known_vectors(other, scanned, recipe) == [None, None]
    assert all(known_vectors(recipe.scorers[0].model_copy(update={"batch_size": 9, "name": "x"}), scanned, recipe))


@pytest.mark.parametrize("which", ["vectors", "margins"])
def test_a_damaged_file_is_made_again_and_no_other(recipe: Recipe, which: str) -> None:
    scanned = scan(recipe)
    first = embed(recipe, scanned)
    path = Path(str(getattr(first[1], which)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    again = embed(recipe, scanned)

    assert [report.reused for report in again] == [True, False]
    assert path.read_bytes() == whole


def embedded_rows(monkeypatch: pytest.MonkeyPatch, *, until: int | None = None) -> list[int]:
    """Return a list that hears of all rows that a model is asked for; after so many batches of a shard it fails."""
    rows: list[int] = []

    def heard(*arguments: Any, **settings: Any) -> Iterator[pa.RecordBatch]:
        for batch in islice(embed_pairs(*arguments, **settings), until):
            yield batch
            rows.extend(batch["row"].to_pylist())
        if until is not None:
            raise OSError("gone")

    monkeypatch.setattr(embedding, "embed_pairs", heard)
    return rows


def cut_short(monkeypatch: pytest.MonkeyPatch, recipe: Recipe, scorer: Scorer | None = None) -> list[int]:
    """Embed one batch of the first shard that has no vectors, and fail; return its rows."""
    scanned = scan(recipe)
    with monkeypatch.context() as patched:
        rows = embedded_rows(patched, until=1)
        with pytest.raises(OSError, match="gone"):
            embed(recipe, scanned, scorer)
    return rows


def files_of(workspace: UPath) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workspace.glob("vectors/*/*")}


def test_a_run_goes_on_where_another_ended_within_a_shard(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = recipe.model_copy(update={"workspace": UPath(tmp_path / "undisturbed")})
    expected = [report.digest for report in embed(undisturbed, scan(undisturbed))]
    assert cut_short(monkeypatch, recipe) == [0, 1, 2]
    assert [path.suffix for path in recipe.workspace.glob("vectors/*/.*")] == [".part"]

    rows = embedded_rows(monkeypatch)
    reports = embed(recipe, scan(recipe))

    assert rows == [3, 4, *range(5)]
    assert [report.digest for report in reports] == expected
    assert files_of(recipe.workspace) == files_of(undisturbed.workspace)
    assert [report.reused for report in reports] == [False, False]


def test_groups_of_rows_are_those_of_an_undisturbed_run(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_ROW_GROUP", 2)
    scorer = recipe.scorers[0].model_copy(update={"batch_size": 1})
    undisturbed = recipe.model_copy(update={"workspace": UPath(tmp_path / "undisturbed")})
    [first, _] = embed(undisturbed, scan(undisturbed), scorer)
    assert [cut_short(monkeypatch, recipe, scorer) for _ in range(3)] == [[0], [1], [2]]
    embed(recipe, scan(recipe), scorer)

    footer = pq.read_metadata(str(first.vectors))
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == [2, 2, 1]
    assert files_of(recipe.workspace) == files_of(undisturbed.workspace)


def test_a_part_that_would_come_to_other_numbers_is_begun_anew(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cut_short(monkeypatch, recipe) == [0, 1, 2]
    os.utime(shards_of(recipe)[0].path)  # it is what it was, but who knows what it was in between
    assert cut_short(monkeypatch, recipe) == [0, 1, 2]

    rows = embedded_rows(monkeypatch)
    embed(recipe, scan(recipe), recipe.scorers[0].model_copy(update={"batch_size": 2}))
    assert rows == [*range(5), *range(5)]


def test_a_shard_that_was_changed_since_leaves_nothing(recipe: Recipe) -> None:
    scanned = scan(recipe)
    path = shards_of(recipe)[1].path
    path.write_bytes(path.read_bytes()[:-8])

    with pytest.raises(ShardUnreadable, match=r"data-00001-of-00002\.arrow: .*changed|no row"):
        embed(recipe, scanned)

    assert len(list(recipe.workspace.glob("vectors/*/*.parquet"))) == 1
    assert not list(recipe.workspace.glob("vectors/*/.*"))


def test_a_model_that_is_gone_leaves_nothing(recipe: Recipe, tmp_path: Path) -> None:
    scanned = scan(recipe)
    gone = recipe.scorers[0].model_copy(update={"model": str(tmp_path / "gone"), "sha256": "1" * 64})

    with pytest.raises(ModelUnusable, match=r"random: .*gone"):
        embed(recipe, scanned, gone)

    assert not list(recipe.workspace.glob("vectors/*/*"))


def test_the_file_says_what_it_was_made_by(recipe: Recipe) -> None:
    scanned = scan(recipe)
    [report, _] = embed(recipe, scanned)

    metadata = pq.read_metadata(str(report.vectors)).metadata
    told = json.loads(metadata[b"vectors"])
    assert told["made_by"]["device"]  # a GPU's by its name
    assert told["made_by"]["pillow"] == version("pillow")
    assert {"model", "revision", "dtype", "image_processor", "torch", "transformers"} < told["made_by"].keys()
    assert len(metadata[b"digest"]) == 64


def test_rows_of_an_empty_shard_have_no_vectors(tmp_path: Path, random_model: Path) -> None:
    (tmp_path / "source").mkdir()
    schema = pa.schema({"image": pa.binary(), "caption": pa.string()})
    pq.write_table(schema.empty_table(), tmp_path / "source" / "empty.parquet")
    scorer = {"name": "random", "model": str(random_model)}
    recipe = pinned(recipe_for(tmp_path / "source", tmp_path, scorers=[scorer]))

    [report] = embed(recipe, scan(recipe))

    assert (report.rows, report.pictures) == (0, 0)
    assert not list(read_vectors(UPath(report.vectors), "image"))

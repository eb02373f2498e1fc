"""Pairs to rows of a vectors file: which rows have what, and on what their values do not depend."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pairs import encode, picture

from schemas.scorer import Checkpoint
from schemas.tables import vectors_schema
from tasks.embed.checkpoint import pinned_checkpoint
from tasks.embed.model import Embedder, load_embedder
from tasks.embed.pairs import Pair, embed_pairs

FORMATS = ("JPEG", "PNG")


@pytest.fixture
def embedder(random_model: Path) -> Embedder:
    return load_embedder(pinned_checkpoint(Checkpoint(name="random", model=str(random_model))))


def pairs() -> list[Pair]:
    made = [Pair(memoryview(encode(picture(seed))), f"boats and {seed} rivers") for seed in range(9)]
    made[2] = made[2]._replace(image=None)
    made[3] = made[3]._replace(caption=None)
    made[4] = made[4]._replace(caption=" \n")
    made[5] = made[5]._replace(image=memoryview(b"no picture"))
    made[6] = made[6]._replace(image=memoryview(encode(picture(6), "WEBP")))  # not of the formats
    made[7] = Pair(None, None)
    made[8] = made[8]._replace(caption="boats " * 30)
    return made


def embedded(embedder: Embedder, batch_size: int) -> pa.Table:
    return pa.Table.from_batches(embed_pairs(pairs(), embedder, batch_size, "whole", FORMATS))


def test_each_row_has_what_its_pair_has(embedder: Embedder) -> None:
    table = embedded(embedder, 4)

    assert table.schema == vectors_schema(embedder.dimensions)
    assert table["row"].to_pylist() == list(range(9))
    has = {name: table[name].is_valid().to_pylist() for name in table.column_names}
    assert has["image"] == [seed in (0, 1, 3, 4, 8) for seed in range(9)]
    assert has["text"] == has["caption_tokens"] == has["truncated"] == [seed not in (3, 4, 7) for seed in range(9)]
    assert has["similarity"] == has["logit"] == [seed in (0, 1, 8) for seed in range(9)]
    assert [row for row, cut in enumerate(table["truncated"].to_pylist()) if cut] == [8]


def test_the_vectors_are_those_of_the_model(embedder: Embedder) -> None:
    table = embedded(embedder, 4)
    image = embedder.images([picture_of(seed) for seed in (0, 1)])
    text = embedder.texts([f"boats and {seed} rivers" for seed in (0, 1)])

    stored = np.array(table["image"].slice(0, 2).to_pylist(), np.float32)
    np.testing.assert_allclose(stored, image, atol=1e-3)  # half precision
    similarity = table["similarity"].slice(0, 2).to_numpy()
    np.testing.assert_allclose(similarity, (image * text).sum(axis=1), atol=1e-6)
    logit = table["logit"].slice(0, 2).to_numpy()
    np.testing.assert_allclose(logit, embedder.scale * similarity + embedder.bias, atol=1e-5)


def picture_of(seed: int):  # type: ignore[no-untyped-def]
    import io

    from PIL import Image

    return Image.open(io.BytesIO(encode(picture(seed)))).convert("RGB")


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_how_many_are_taken_at_once_changes_the_last_digits_alone(embedder: Embedder, batch_size: int) -> None:
    one, other = embedded(embedder, 4), embedded(embedder, batch_size)

    for name in one.column_names:
        assert one[name].is_valid().equals(other[name].is_valid())
    np.testing.assert_allclose(
        one["similarity"].drop_null().to_numpy(), other["similarity"].drop_null().to_numpy(), atol=1e-5
    )


def test_the_same_batches_give_the_same_bytes(embedder: Embedder) -> None:
    assert embedded(embedder, 4).equals(embedded(embedder, 4))


def test_no_pair_is_no_batch(embedder: Embedder) -> None:
    assert not list(embed_pairs([], embedder, 4, "whole", FORMATS))


def test_who_stops_early_leaves_no_thread_behind(embedder: Embedder) -> None:
    batches = embed_pairs(pairs() * 20, embedder, 4, "whole", FORMATS)
    assert next(batches).num_rows == 4
    batches.close()

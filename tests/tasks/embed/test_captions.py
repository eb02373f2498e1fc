from pathlib import Path

import numpy as np
import pytest

from schemas.scorer import Checkpoint
from tasks.embed.captions import cosines, read_captions, tokenize_captions
from tasks.embed.checkpoint import pinned_checkpoint
from tasks.embed.model import Embedder, load_embedder

LONG = "A red town with a red bridge near the red river. " + "Blue boats in the harbour. " * 3 + "Snow"


@pytest.fixture
def embedder(colour_model: Path) -> Embedder:
    return load_embedder(pinned_checkpoint(Checkpoint(name="colours", model=str(colour_model))))


def test_a_caption_is_read_as_far_as_the_model_reads(embedder: Embedder) -> None:
    read = read_captions(tokenize_captions(["blue boats", LONG], embedder, "whole"), embedder)

    np.testing.assert_allclose(read.vectors, embedder.texts(["blue boats", LONG]), atol=1e-6)
    assert read.part_of.tolist() == [0, 1]
    assert read.tokens[1] > embedder.max_tokens


def test_of_a_long_caption_each_sentence_counts(embedder: Embedder) -> None:
    read = read_captions(tokenize_captions(["A red field. Blue boats.", LONG], embedder, "sentences"), embedder)
    sentences = ["A red town with a red bridge near the red river.", *["Blue boats in the harbour."] * 3, "Snow"]
    each = embedder.texts(sentences)

    assert read.part_of.tolist() == [0, 1, 1, 1, 1, 1]  # the first is short enough to be read as a whole
    np.testing.assert_allclose(read.parts[1:], each, atol=1e-6)
    mean = each.mean(axis=0)
    np.testing.assert_allclose(read.vectors[1], mean / np.linalg.norm(mean), atol=1e-6)
    images = np.eye(embedder.dimensions, dtype=np.float32)[:2]
    found = cosines(images, np.array([1, 0]), read, np.array([1, 0]))
    np.testing.assert_allclose(found, [(each @ images[1]).mean(), read.parts[0] @ images[0]], atol=1e-6)


def test_no_caption_is_no_vector(embedder: Embedder) -> None:
    read = read_captions(tokenize_captions([], embedder, "sentences"), embedder)

    assert read.vectors.shape == (0, embedder.dimensions)
    assert cosines(np.empty((0, 8), np.float32), np.empty(0, np.int64), read, np.empty(0, np.int64)).shape == (0,)

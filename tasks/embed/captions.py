"""Kernel: what of a caption is read by a model that reads so many tokens and no more."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.embed.model import Embedder, Prepared, Vectors

_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s+")


class Tokenized(NamedTuple):
    """Some captions as a model takes them, each whole or in parts."""

    parts: Prepared  # of the sentences, or of the caption as a whole
    part_of: NDArray[np.int64]  # shape (parts,), ascending: the caption that each is a part of
    tokens: NDArray[np.int32]  # shape (n,): of the whole caption


class Read(NamedTuple):
    """The vectors of some captions, and how long the captions are."""

    vectors: Vectors  # shape (n, dimensions), of length 1
    parts: Vectors  # shape (parts, dimensions): of the sentences, or of the caption as a whole
    part_of: NDArray[np.int64]  # shape (parts,), ascending: the caption that each is a part of
    tokens: NDArray[np.int32]  # shape (n,): of the whole caption


def tokenize_captions(captions: Sequence[str], embedder: Embedder, how: Literal["whole", "sentences"]) -> Tokenized:
    """Return ``captions`` as the model takes them; of threads that ask at the same time one waits.

    Of ``sentences``, a caption longer than the model reads is cut into its sentences; all others are read as a whole,
    as far as the model reads.
    """
    tokens = embedder.count_tokens(captions)
    long = (tokens > embedder.max_tokens) if how == "sentences" else np.zeros(len(captions), np.bool_)
    parts = [sentences(text) if cut else [text] for text, cut in zip(captions, long.tolist(), strict=True)]
    part_of = np.repeat(np.arange(len(captions)), [len(part) for part in parts])
    return Tokenized(embedder.tokenize([sentence for part in parts for sentence in part]), part_of, tokens)


def read_captions(captions: Tokenized, embedder: Embedder) -> Read:
    """Return the vectors of ``captions``: of one in parts the mean of theirs, of length 1."""
    of_parts = embedder.tokenized_texts(captions.parts)
    mean = np.zeros((len(captions.tokens), of_parts.shape[1]), np.float32)
    np.add.at(mean, captions.part_of, of_parts)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Read(mean, of_parts, captions.part_of, captions.tokens)


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text``; what ends in no full stop is one, too.

    >>> sentences("A harbour. Two piers, 3.5 km apart!  Boats")
    ['A harbour.', 'Two piers, 3.5 km apart!', 'Boats']
    """
    return [part for part in _END_OF_SENTENCE.split(text.strip()) if part] or [text]


def cosines(
    images: Vectors, of_image: NDArray[np.int64], captions: Read, of_caption: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosine of each of some pictures with a caption: of one read by sentence the mean of theirs.

    Args:
        images: shape (m, dimensions).
        of_image: shape (n,): the picture of each pair, and
        captions: the captions, and
        of_caption: shape (n,): which of them it has.
    """
    begins = np.searchsorted(captions.part_of, np.arange(len(captions.tokens) + 1))
    found = np.empty(len(of_image), np.float32)
    for pair, (image, caption) in enumerate(zip(of_image.tolist(), of_caption.tolist(), strict=True)):
        found[pair] = (captions.parts[begins[caption] : begins[caption + 1]] @ images[image]).mean()
    return found

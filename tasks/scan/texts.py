"""Kernel: a column of texts: words counted, hashed, and those pointed out that may be no valid text."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from schemas.captions import SUSPECT_CHARACTERS


class Captions(NamedTuple):
    """What is found in n captions."""

    words: NDArray[np.int32]  # as schemas.captions.count_words counts them; 0 for null
    hashes: pa.UInt64Array  # XXH3-64, case and runs of white space ignored; null for null and blank
    suspect: NDArray[np.bool_]  # all that schemas.captions.SUSPECT_CHARACTERS is found in


def read_captions(captions: pa.StringArray) -> Captions:
    """Return what is found in ``captions``, valid UTF-8.

    Most are plain: their words are told apart by single spaces, so that a look at their bytes is enough.

    >>> read_captions(pa.array(["A  small harbour ", "a small harbour", None])).words.tolist()
    [3, 3, 0]
    """
    plain, words = _plain(captions)
    suspect = np.zeros(len(captions), np.bool_)
    texts = pc.if_else(pa.array(plain), pc.ascii_lower(captions), None)
    if not plain.all():
        others = np.flatnonzero(~plain)
        some = captions.take(pa.array(others))
        words[others], normalised = _split(some)
        suspect[others] = filled(pc.match_substring_regex(some, SUSPECT_CHARACTERS), False)
        texts = pc.replace_with_mask(texts, pa.array(~plain), normalised)
    return Captions(words, text_hashes(texts), suspect)


def text_hashes(texts: pa.StringArray) -> pa.UInt64Array:
    """Return XXH3-64 of each text's UTF-8; null for null."""
    digest = xxhash.xxh3_64_intdigest
    values = texts.cast(pa.binary()).to_pylist()
    return pa.array([None if value is None else digest(value) for value in values], pa.uint64())


def _plain(texts: pa.StringArray) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Return which texts are printable ASCII, with one space between words and none at the ends, and their words.

    A null is none, and where a text is none it counts 0 words.
    """
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return np.zeros(len(texts), np.bool_), np.zeros(len(texts), np.int32)
    edges = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8)[edges[0] : edges[-1]]
    edges = edges - edges[0]
    odd = characters - np.uint8(0x20) > 0x7E - 0x20  # wraps around: control characters, DEL, and all beyond ASCII
    space = characters == 0x20
    odd[1:] |= space[1:] & space[:-1]
    plain = edges[1:] > edges[:-1]
    first, last = edges[:-1][plain], edges[1:][plain] - 1
    plain[plain] = ~(space[first] | space[last])
    plain[np.searchsorted(edges, np.flatnonzero(odd), "right") - 1] = False
    plain &= filled(texts.is_valid(), False)
    spaces = np.diff(np.searchsorted(np.flatnonzero(space), edges))
    return plain, np.where(plain, spaces + 1, 0).astype(np.int32)


def _split(texts: pa.StringArray) -> tuple[NDArray[np.int32], pa.StringArray]:
    """Return the words of each text, counted, and joined in lower case by single spaces; 0 and null for blank."""
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    blank = pc.equal(pc.list_element(words, 0), "")  # splitting a blank text gives one empty word
    count = filled(pc.if_else(blank, 0, pc.list_value_length(words)), 0).astype(np.int32)
    return count, pc.if_else(blank, None, pc.utf8_lower(pc.binary_join(words, " ")))


def filled(column: pa.Array, null: float | bool) -> NDArray[Any]:
    """Return the values of ``column``, with ``null`` in the place of nulls."""
    values: NDArray[Any] = pc.fill_null(column, null).to_numpy(zero_copy_only=False)
    return values

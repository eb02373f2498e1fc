import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.captions import SUSPECT_CHARACTERS, count_words
from tasks.scan.texts import read_captions

PIECES = st.lists(
    st.sampled_from(
        [*"aZ .-~\x7f\x00\t\n\r\x0b\x1c\x1f\x85\xa0\u2003\u3000", "\u00c3\u00a9", "Caf\u00e9", "\ufffd", "  "]
    )
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | PIECES.map("".join)
COLUMN = st.lists(st.none() | TEXT, max_size=9)


def hash_of(text: str) -> int | None:
    normalised = pc.utf8_lower(
        pa.scalar(" ".join(text.split()))
    ).as_py()  # what is lower case, Unicode's versions differ
    return xxhash.xxh3_64_intdigest(normalised.encode()) if normalised else None


@given(COLUMN, st.integers(0, 9), st.integers(0, 9))
@example([" a", "b ", "", " ", None, "c  d", "e f"], 0, 9)
@example(["a ", " b"], 0, 9)
@settings(max_examples=400, deadline=None)
def test_a_column_is_read_as_its_texts_are_one_by_one(texts: list[str | None], start: int, length: int) -> None:
    found = read_captions(pa.array(texts, pa.string()).slice(start, length))
    chosen = texts[start : start + length]
    assert found.words.tolist() == [count_words(text or "") for text in chosen]
    assert found.suspect.tolist() == [bool(re.search(SUSPECT_CHARACTERS, text or "")) for text in chosen]
    assert found.hashes.to_pylist() == [hash_of(text or "") for text in chosen]


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_white_space_and_what_stands_beside_a_text_do_not_change_its_hash(text: str) -> None:
    alone, beside, spaced = (
        read_captions(pa.array(texts, pa.string())).hashes[-1].as_py()
        for texts in ([text], ["Caf\u00e9", None, "a  b", text], ["\n" + "\u2003 ".join(text.split()) + " "])
    )
    assert alone == beside == spaced


@pytest.mark.parametrize("hidden", [b"x  y", b"\xc3\xa9", b"\n\n"])
def test_what_a_null_hides_is_not_read(hidden: bytes) -> None:
    offsets = np.cumsum([0, 1, len(hidden), 2], dtype=np.int32)
    buffers = [pa.py_buffer(b"\x05"), pa.py_buffer(offsets), pa.py_buffer(b"a" + hidden + b"bc")]
    column = pa.Array.from_buffers(pa.string(), 3, buffers)
    assert column.to_pylist() == ["a", None, "bc"]
    found = read_captions(column)
    assert (found.words.tolist(), found.suspect.any()) == ([1, 0, 1], False)
    assert found.hashes.to_pylist() == [hash_of("a"), None, hash_of("bc")]

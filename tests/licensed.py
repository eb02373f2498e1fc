"""A small source under a licence, the subset made of it, and whether a text or a picture of it is in given bytes."""

import base64
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pairs import Row, encode, pair, picture, publish_one, write_tree

from schemas.recipe import Recipe

ND = "CC-BY-NC-ND-4.0"
AUTHORIZATION = "By letter of the authors, 3 May 2025"
REFUSAL = "Your request was, quokkas and wombats say, rejected by the echidnas."
"""A caption that a row is rejected for; its detail quotes the first half."""

_TELLING = ("orchard", "quokkas", "wombats", "echidnas")
"""Words of the captions begin so, and no others."""

_WINDOW = 32  # bytes; whatever has 64 bytes of a picture in a row has one of its 32-byte blocks whole


class Source(NamedTuple):
    """The source's tree, and what is in it."""

    path: Path
    rows: tuple[Row, ...]
    home: Path  # where its measurements are kept, whatever its licence

    def captions(self) -> list[str]:
        """Return every caption."""
        return [row["caption"] for row in self.rows]

    def found_in(self, content: bytes) -> set[str]:
        """Return which pictures and captions of the source are in ``content``, wholly or in part."""
        found = set()
        for number, row in enumerate(self.rows):
            image = row["image"]
            blocks = {image[at : at + _WINDOW] for at in range(0, len(image) - _WINDOW, _WINDOW)}
            if any(block in content for block in blocks if len(set(block)) > 8):
                found.add(f"image {number}")
            if any(word.encode() in content for word in row["caption"].split() if word.startswith(_TELLING)):
                found.add(f"caption {number}")
        return found


def source(home: Path) -> Source:
    """Write a source of 24 pairs in three shards, of which rows 3, 6 and 20 cannot be kept."""
    rows = [pair(seed, caption=" ".join(f"orchard{seed}x{n}" for n in range(12))) for seed in range(24)]
    rows[3] |= {"image": encode(picture(3))[:-200]}
    rows[6] |= {"caption": REFUSAL, "caption_length": len(REFUSAL.split())}
    rows[20] |= {"image": rows[10]["image"], "img_quality_score": 1.0}
    return Source(write_tree(home / "tree", rows, shards=3), tuple(rows), home)


def subset(source: Source, home: Path, licence: str | None, authorization: str | None = None, **output: Any) -> Path:
    """Curate a subset of ``source``, of several data files, into ``home``; return its folder."""
    recipe = {
        "source": {"path": source.path, "name": "tiny", "licence": licence, "authorization": authorization},
        "subsets": [{"name": "clean"}],
        "output": {"dir": home / "subsets", "shard_bytes": 20_000} | output,
        "workspace": source.home / "workspace",
        "engine": {"workers": 1},
    }
    return publish_one(Recipe.model_validate(recipe))


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below ``folder``, by its path there."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def readable(bodies: Iterable[bytes]) -> bytes:
    """Return all of ``bodies``, what is base64 in their JSON, and the values in Parquet, in clear."""
    parts = {part for body in bodies for part in (body, *_decoded(body))}
    return b"\0".join(content for part in parts for content in (part, *_cells(part)))


def _decoded(body: bytes) -> Iterator[bytes]:
    try:
        lines = [json.loads(line) for line in body.splitlines()]
    except ValueError:
        return
    for line in lines:
        for value in _strings(line):
            try:
                yield base64.b64decode(value, validate=True)
            except ValueError:
                continue


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _cells(content: bytes) -> Iterator[bytes]:
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        return
    for row in pq.read_table(io.BytesIO(content)).to_pylist():
        for cell in row.values():
            yield from (repr(cell).encode(), *_parts(cell))


def _parts(cell: Any) -> Iterator[bytes]:
    if isinstance(cell, bytes):
        yield cell
    elif isinstance(cell, dict):
        for part in cell.values():
            yield from _parts(part)


def details_of(rejected: Path) -> pa.ChunkedArray:
    """Return the column ``detail`` of ``rejected.parquet``."""
    return pq.read_table(rejected)["detail"]

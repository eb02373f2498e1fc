"""The pictures that ours and its peers are given: real imagery with captions, broken pictures and copies among them.

Windows with sides of 256, 384 and 512 pixels are cut from mosaics, half a side apart, resized to 256 pixels, and left
out where there is little to see. Where more rows are asked for than there are windows, all are taken again rotated by
quarter turns and mirrored: none of the tools, as it is used here, takes those for the same. Captions are drawn words,
scores drawn numbers. What was planted stands in ``planted.json``, and passes every threshold of the benchmark.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, Value
from numpy.typing import NDArray
from PIL import Image as Pictures
from upath import UPath

from benchmarks.copies import TRANSFORMATIONS, UPRIGHT, Mosaic
from tasks.demo import bad_images
from tasks.demo.copies import png
from tasks.demo.imagery import TILE_PIXELS, encode, encode_jpeg
from tasks.files import appearing

SCORES = (4.5, 4.8)
"""The least quality score of the first subset, and of the second."""

CAPTION_WORDS = (10, 100)

PAIRS = "pairs"
"""The folder of the Parquet files, beside the record of what was planted."""

_FILES = 4
_SIDES = (TILE_PIXELS, TILE_PIXELS * 3 // 2, TILE_PIXELS * 2)  # of a window, before it is resized to a tile [pixels]
_COPIES = 25  # pictures to a planted copy
_LEAST_CONTRAST = 12.0  # luma standard deviation below which a window is left out [grey levels]
_BEST_SCORE = 5.5
_WORDS = ["river", "road", "field", "forest", "lake", "coast", "village", "roof", "bridge", "terrace", "valley"]


def _scrambled(image: bytes) -> bytes:
    """Return ``image`` with 64 bytes of its scan inverted."""
    middle = len(image) // 2
    return image[:middle] + bytes(byte ^ 0xFF for byte in image[middle : middle + 64]) + image[middle + 64 :]


def _with_wrong_crc(image: bytes) -> bytes:
    """Return ``image`` as a PNG whose pixel data is sound and its checksum is not."""
    whole = png(image, 6)
    end = whole.rindex(b"IEND") - 4  # the length of the last chunk stands before its name, the checksum before that
    return whole[: end - 4] + bytes(byte ^ 0xFF for byte in whole[end - 4 : end]) + whole[end:]


BROKEN = {
    "null": lambda image: None,
    "no bytes": lambda image: b"",
    "error page": lambda image: bad_images.ERROR_PAGE,
    "header only": lambda image: image[: image.index(b"\xff\xda")],  # the marker that begins the scan
    "truncated, 60 %": lambda image: bad_images.truncated(image, 0.6),
    "truncated, 95 %": lambda image: bad_images.truncated(image, 0.95),
    "Huffman table": bad_images.without_huffman_table,
    "scan inverted": _scrambled,
    "PNG, wrong CRC": _with_wrong_crc,
    "bomb": lambda image: bad_images.claiming_size(image, 60_000, 60_000),
}
"""The kinds of broken pictures, each planted twice, and how they are made."""


class Row(NamedTuple):
    """A row, in Git-10M's columns; its place is not known."""

    image: bytes | None
    img_name: str
    img_quality_score: float
    caption: str


class Planted(NamedTuple):
    """What the input holds beside pictures that are unlike each other."""

    broken: dict[str, str]  # name: kind
    copies: dict[str, str]  # name: that of the original
    rows: int


class Cut(NamedTuple):
    """A window of a mosaic, in one of eight orientations."""

    name: str
    pixels: NDArray[np.uint8]  # shape (256, 256, 3)


def make_source(folder: Path, mosaics: Sequence[Mosaic], rows: int) -> Planted:
    """Write ``rows`` pictures that are unlike each other, and what is planted, to Parquet files below ``folder``.

    The same mosaics and number of rows give the same rows. A folder that has been written is left as it is.
    """
    record = folder / "planted.json"
    if record.exists():
        return Planted(**json.loads(record.read_text(encoding="utf-8")))
    pairs = folder / PAIRS
    pairs.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    made, planted = _rows(mosaics, rows, rng)
    made = [made[place] for place in rng.permutation(len(made))]
    for number in range(_FILES):
        pq.write_table(_table(made[number::_FILES]), pairs / f"train-{number}.parquet", row_group_size=500)
    with appearing(UPath(record)) as temporary:
        temporary.write_text(json.dumps(planted._asdict(), indent=1), encoding="utf-8")
    return planted


def _rows(mosaics: Sequence[Mosaic], rows: int, rng: np.random.Generator) -> tuple[list[Row], Planted]:
    kinds = [kind for kind in BROKEN for _ in range(2)]
    cuts = list(itertools.islice(_cuts(mosaics), rows + len(kinds)))
    if len(cuts) < rows + len(kinds):
        raise SystemExit(f"--rows: found {len(cuts)} windows with something to see, expected {rows + len(kinds)}")
    whole, to_break = cuts[:rows], cuts[rows:]
    made = [Row(encode_jpeg(cut.pixels), cut.name, _score(rng), _caption(_words(rng), rng)) for cut in whole]
    ways = [way for way in TRANSFORMATIONS if way.group in UPRIGHT and not way.name.startswith("resized")]
    copies: dict[str, str] = {}
    for number, place in enumerate(rng.permutation(rows)[: rows // _COPIES].tolist()):
        original = made[place] = made[place]._replace(img_quality_score=_BEST_SCORE, caption=_caption(50, rng))
        if number % 4 == 0:
            image, extension = original.image, "jpg"
        else:
            way = ways[number % len(ways)]
            edited = way.edit(Pictures.fromarray(whole[place].pixels), rng)
            options = {"quality": 85} if way.format == "JPEG" else {}
            image, extension = encode(edited, way.format, **options), way.format.lower()
        name = f"copy_{number}.{extension}"
        copies[name] = original.img_name
        made.append(Row(image, name, _BEST_SCORE - 0.1, _caption(50, rng)))
    broken = {f"broken_{number}.jpg": kind for number, kind in enumerate(kinds)}
    for (name, kind), cut in zip(broken.items(), to_break, strict=True):
        made.append(Row(BROKEN[kind](encode_jpeg(cut.pixels)), name, _BEST_SCORE, _caption(50, rng)))
    return made, Planted(broken, copies, len(made))


def _cuts(mosaics: Sequence[Mosaic]) -> Iterator[Cut]:
    """Yield the windows, upright ones first."""
    for mirrored, turns in itertools.product((False, True), range(4)):
        for mosaic, side in itertools.product(mosaics, _SIDES):
            height, width = (tiles * TILE_PIXELS for tiles in mosaic.known.shape)
            for top, left in itertools.product(*(range(0, end - side + 1, side // 2) for end in (height, width))):
                part = [slice(begin // TILE_PIXELS, (begin + side - 1) // TILE_PIXELS + 1) for begin in (top, left)]
                if not mosaic.known[part[0], part[1]].all():
                    continue
                picture = Pictures.fromarray(mosaic.pixels[top : top + side, left : left + side])
                picture = picture.resize((TILE_PIXELS, TILE_PIXELS), Pictures.Resampling.LANCZOS)
                if np.asarray(picture.convert("L"), np.float32).std() >= _LEAST_CONTRAST:
                    pixels = np.asarray(picture)
                    way = "mirrored" if mirrored else "upright"
                    name = f"{mosaic.name}_{side}_{top}_{left}_{way}_{90 * turns}.jpg"
                    yield Cut(name, np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, turns)))


def _score(rng: np.random.Generator) -> float:
    return round(float(np.clip(rng.normal(4.9, 0.35), 3, _BEST_SCORE)), 2)


def _words(rng: np.random.Generator) -> int:
    return int(np.clip(rng.normal(52, 25), 3, 140))


def _caption(words: int, rng: np.random.Generator) -> str:
    return " ".join(rng.choice(_WORDS, words).tolist()).capitalize() + "."


def _table(rows: Sequence[Row]) -> pa.Table:
    features = Features(
        image=Image(),
        img_name=Value("string"),
        img_quality_score=Value("float64"),
        caption=Value("string"),
        caption_length=Value("int64"),
        resolution=Value("float64"),
        Google_location=Value("string"),
    )
    columns: dict[str, list[Any]] = {
        "image": [None if row.image is None else {"bytes": row.image, "path": None} for row in rows],
        "img_name": [row.img_name for row in rows],
        "img_quality_score": [row.img_quality_score for row in rows],
        "caption": [row.caption for row in rows],
        "caption_length": [len(row.caption.split()) for row in rows],
        "resolution": [None] * len(rows),
        "Google_location": [None] * len(rows),
    }
    schema = features.arrow_schema
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)

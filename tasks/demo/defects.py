"""The planted defects: for every validation rule, the ways in which a sound pair is made to break it and no other."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from schemas.captions import count_words
from schemas.reasons import Reason, Stage
from tasks.demo import bad_images
from tasks.demo.duplicates import COPIES
from tasks.demo.pairs import Pair, PlantedPair, present
from tasks.demo.pixels import BEST_SCORE
from tasks.tiles import ground_resolution

_FEWEST, _MOST = 3, 6  # pairs planted for one reason
_CREDIT = "Picture: Reto Stöckli, NASA Earth Observatory."  # who made the Blue Marble


class _Way(NamedTuple):
    note: str
    spoil: Callable[[Pair], Pair]


def _image(note: str, make: Callable[[bytes], bytes | None]) -> _Way:
    return _Way(note, lambda pair: pair._replace(image=make(present(pair.image))))


def _fact(note: str, **columns: Callable[[Pair], Any]) -> _Way:
    return _Way(note, lambda pair: pair._replace(**{name: make(pair) for name, make in columns.items()}))


def _caption(note: str, make: Callable[[str], str]) -> _Way:
    def spoil(pair: Pair) -> Pair:
        caption = make(present(pair.caption))
        return pair._replace(caption=caption, caption_length=count_words(caption))

    return _Way(note, spoil)


def _true_resolution(pair: Pair) -> float:
    return round(float(ground_resolution(pair.place.latitude, pair.place.z)), 2)


def _per_cent(pair: Pair) -> float:
    return round(100 * present(pair.img_quality_score) / BEST_SCORE, 1)


def _relief_at_zoom_2(pair: Pair) -> str:
    deeper = pair.place.z - 2
    return f"relief_2_{pair.place.x >> deeper}_{pair.place.y >> deeper}.jpg"


_WAYS: dict[Reason, tuple[_Way, ...]] = {
    Reason.IMAGE_MISSING: (
        _image("the image is null", lambda image: None),
        _image("the image has 0 bytes", lambda image: b""),
    ),
    Reason.IMAGE_FORMAT: (
        _image("a GIF", lambda image: bad_images.encode_as(image, "GIF")),
        _image("a BMP", lambda image: bad_images.encode_as(image, "BMP")),
    ),
    Reason.IMAGE_TOO_LARGE: (
        _image("a black PNG of 8192 x 4096 pixels", lambda image: bad_images.huge_png(8192, 4096)),
        _image("its header claims 60000 x 60000 pixels", lambda image: bad_images.claiming_size(image, 60_000, 60_000)),
    ),
    Reason.IMAGE_TRUNCATED: (
        _image("truncated after 60 % of its bytes", lambda image: bad_images.truncated(image, 0.6)),
        _image("truncated after 95 % of its bytes", lambda image: bad_images.truncated(image, 0.95)),
    ),
    Reason.IMAGE_UNDECODABLE: (
        _image("its first Huffman table is overwritten", bad_images.without_huffman_table),
        _image("a PNG, bytes in its middle inverted", bad_images.damaged_png),
        _image("a server's error page", lambda image: bad_images.ERROR_PAGE),
    ),
    Reason.IMAGE_ANIMATED: (
        _image("a PNG of two frames", lambda image: bad_images.animated(image, "PNG")),
        _image("a WebP of two frames", lambda image: bad_images.animated(image, "WEBP")),
        _image("a TIFF of two pages", lambda image: bad_images.animated(image, "TIFF")),
    ),
    Reason.IMAGE_MODE: (
        _image("a grey PNG of 16 bits", bad_images.sixteen_bit_grey_png),
        _image("a TIFF of floating-point numbers", bad_images.float_tiff),
    ),
    Reason.IMAGE_SIZE: (
        _image("128 x 128 pixels", lambda image: bad_images.resized(image, 128, 128)),
        _image("256 x 255 pixels", lambda image: bad_images.resized(image, 256, 255)),
        _image("512 x 512 pixels", lambda image: bad_images.resized(image, 512, 512)),
    ),
    Reason.IMAGE_BLANK: (
        _image("one colour all over", bad_images.uniform),
        _image("two greys, one level apart", bad_images.nearly_uniform),
    ),
    Reason.IMAGE_NODATA: (
        _image("a black wedge of 10 degrees", lambda image: bad_images.with_black_wedge(image, 10)),
        _image("a white rim of 16 pixels", lambda image: bad_images.with_white_rim(image, 16)),
    ),
    Reason.CAPTION_MISSING: (
        _fact("the caption is null", caption=lambda pair: None, caption_length=lambda pair: 0),
        _fact("the caption is white space", caption=lambda pair: " \n\t", caption_length=lambda pair: 0),
    ),
    Reason.CAPTION_LENGTH_MISMATCH: (
        _fact("one word too many declared", caption_length=lambda pair: present(pair.caption_length) + 1),
        _fact("declared in characters, not in words", caption_length=lambda pair: len(present(pair.caption))),
    ),
    Reason.CAPTION_GARBLED: (
        _caption("UTF-8 read as Windows-1252", lambda caption: f"{caption} {_CREDIT}".encode().decode("cp1252")),
        _caption("a NUL between two words", lambda caption: caption.replace(" ", "\0", 1)),
        _caption("U+FFFD in the place of its last character", lambda caption: f"{caption[:-1]}\ufffd"),
    ),
    Reason.CAPTION_REFUSAL: (
        _caption("a model's refusal", lambda caption: "I'm sorry, but I can't assist with that request."),
        _caption("a model that saw no picture", lambda caption: "As an AI language model, I am unable to view images."),
        _caption("a model's small talk", lambda caption: f"Certainly! Here is a description of the image: {caption}"),
    ),
    Reason.SCORE_MISSING: (_fact("the score is null", img_quality_score=lambda pair: None),),
    Reason.SCORE_NOT_FINITE: (
        _fact("the score is NaN", img_quality_score=lambda pair: math.nan),
        _fact("the score is infinite", img_quality_score=lambda pair: math.inf),
        _fact("the score is minus infinity", img_quality_score=lambda pair: -math.inf),
    ),
    Reason.SCORE_OUT_OF_RANGE: (
        _fact("the score is -1", img_quality_score=lambda pair: -1.0),
        _fact("the score is in per cent of the best", img_quality_score=_per_cent),
    ),
    Reason.PLACE_MISSING: (
        _fact("no tile: null", Google_location=lambda pair: None, resolution=lambda pair: None),
        _fact(
            "no tile: the name of a data set", Google_location=lambda pair: "Blue Marble", resolution=lambda pair: None
        ),
    ),
    Reason.PLACE_MALFORMED: (
        _fact("no y", Google_location=lambda pair: f"{pair.place.z}_{pair.place.x}_"),
        _fact("y is not whole", Google_location=lambda pair: f"{pair.place.z}_{pair.place.x}_{pair.place.y}.5"),
        _fact("z has a letter", Google_location=lambda pair: f"z{pair.place.z}_{pair.place.x}_{pair.place.y}"),
        _fact("x is negative", Google_location=lambda pair: f"{pair.place.z}_-{pair.place.x + 1}_{pair.place.y}"),
    ),
    Reason.PLACE_OUT_OF_RANGE: (
        _fact("x is 2^z", Google_location=lambda pair: f"{pair.place.z}_{2**pair.place.z}_{pair.place.y}"),
        _fact("y is 9 times 2^z", Google_location=lambda pair: f"{pair.place.z}_{pair.place.x}_{9 * 2**pair.place.z}"),
        _fact("z is 31", Google_location=lambda pair: f"31_{pair.place.x}_{pair.place.y}"),
    ),
    Reason.RESOLUTION_MISMATCH: (
        _fact("half of the nominal resolution", resolution=lambda pair: present(pair.resolution) / 2),
        _fact("the true ground resolution", resolution=_true_resolution),
    ),
    Reason.IMG_NAME_MISSING: (
        _fact("the name is null", img_name=lambda pair: None),
        _fact("the name is empty", img_name=lambda pair: ""),
        _fact("the name is white space", img_name=lambda pair: "  "),
    ),
    # Names of tiles that every demo source has, further out than any planted pair: they stand before it.
    Reason.IMG_NAME_REPEATED: (
        _fact("the name of the relief around it at zoom 2", img_name=_relief_at_zoom_2),
        _fact("the name of the picture of the whole world", img_name=lambda pair: "bluemarble_0_0_0.jpg"),
    ),
}


PLANTED: tuple[Reason, ...] = (*_WAYS, *COPIES)
"""The reasons that are planted, in stage order: all of validation, and those of deduplication by what a picture shows.

Not planted are ``duplicate_tile``, ``nested_tile`` and ``duplicate_caption``. The demo's maps are a pyramid, in which
every tile lies within others, and two maps show each: with the first two rules next to nothing would be left. Captions
are put together of a few phrases, and say the same of many a stretch of open sea.
"""


def draw_counts(rng: random.Random) -> dict[Reason, int]:
    """Return how many pairs to plant for each of :data:`PLANTED`: 3 to 6, and never fewer than there are ways to."""
    return {reason: max(rng.randint(_FEWEST, _MOST), len(_WAYS.get(reason) or COPIES[reason])) for reason in PLANTED}


def spoil(pairs: Sequence[Pair], counts: Mapping[Reason, int]) -> list[PlantedPair]:
    """Return ``pairs``, each spoilt in one way, so many for each validation reason as ``counts`` says.

    Args:
        pairs: sound pairs, as many as are to be planted, whose pictures are nowhere else in the data set.
        counts: number of pairs by reason; deduplication reasons are passed over.

    Raises:
        ValueError: if there are more or fewer pairs than counted.
    """
    reasons = [reason for reason, count in counts.items() if reason.stage is Stage.VALIDATION for _ in range(count)]
    ways = {reason: cycle(ways) for reason, ways in _WAYS.items()}
    planted = []
    for pair, reason in zip(pairs, reasons, strict=True):
        way = next(ways[reason])
        planted.append(PlantedPair(way.spoil(pair), reason, way.note))
    return planted

"""The planted copies: for every reason, the ways in which a picture is made the same as another, and found again."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

from PIL.Image import Transpose

from schemas.reasons import Reason
from tasks.demo import copies
from tasks.demo.imagery import decode
from tasks.demo.pairs import Pair, PlantedPair, present
from tasks.demo.pixels import least_contrast

_BEST_SHARE = 0.25  # copies are made of the best-scored pairs,
_LIVELY_SHARE = 0.2  # and of those with something to be seen all over: a little of it would be like other such pictures
_KINDS = (Reason.DUPLICATE_BYTES, Reason.DUPLICATE_PIXELS, Reason.DUPLICATE_NEAR)

Cut = Callable[[Pair, int, int], bytes]
"""Gives what the map shows so many pixels further down and right than a pair does; see :func:`.pairs.cut_view`."""


class _Copy(NamedTuple):
    note: str  # to be read after the name of the original
    suffix: str  # of the copy's name
    make: Callable[[Pair, Cut], bytes]


def _copy(note: str, suffix: str, make: Callable[[bytes], bytes]) -> _Copy:
    return _Copy(note, suffix, lambda pair, cut: make(present(pair.image)))


def _shifted(pair: Pair, cut: Cut) -> bytes:
    towards_the_equator = int(math.copysign(16, pair.place.latitude))  # where the map goes on
    return cut(pair, towards_the_equator, 24)


_THE_SAME_FILE = _copy("the same file", "copy.jpg", lambda image: image)
_MIRRORED = _copy("mirrored", "mirrored.jpg", lambda image: copies.turned(image, Transpose.FLIP_LEFT_RIGHT))
_CROPPED = _copy(
    "cropped to 240 x 240 pixels, at its size again", "cropped.jpg", lambda image: copies.cropped(image, 4, 10, 12, 6)
)

COPIES: Mapping[Reason, tuple[_Copy, ...]] = {
    Reason.CONTAMINATED: (
        _THE_SAME_FILE,
        _copy("as JPEG of quality 60", "recompressed.jpg", lambda image: copies.recompressed(image, 60)),
        _MIRRORED,
        _CROPPED,
    ),
    Reason.DUPLICATE_BYTES: (_THE_SAME_FILE,),
    # Pillow cannot rearrange a JPEG without decoding it: other formats without loss are what leaves every pixel.
    Reason.DUPLICATE_PIXELS: (
        _copy("as PNG", "lossless.png", lambda image: copies.png(image, 6)),
        _copy("as WebP without loss", "lossless.webp", copies.lossless_webp),
        _copy("as TIFF", "lossless.tiff", copies.tiff),
        _copy("as PNG without compression", "stored.png", lambda image: copies.png(image, 0)),
    ),
    Reason.DUPLICATE_NEAR: (
        _copy("4 % brighter, as JPEG of quality 60", "brighter.jpg", lambda image: copies.brightened(image, 1.04, 60)),
        _copy("halved in size and doubled again", "resampled.jpg", copies.resampled),
        _copy("blurred by 2 pixels", "blurred.jpg", lambda image: copies.blurred(image, 2)),
        _copy("with a gamma of 1.3", "gamma.jpg", lambda image: copies.with_gamma(image, 1.3)),
        _copy("rotated by a quarter turn", "turned.jpg", lambda image: copies.turned(image, Transpose.ROTATE_90)),
        _MIRRORED,
        _CROPPED,
        _Copy("seen 24 pixels further east and 16 nearer to the equator", "shifted.jpg", _shifted),
    ),
}
"""The ways to plant each reason, one after the other; all keep the size of a tile, which is a rule of its own."""


def duplicate(pairs: Sequence[Pair], counts: Mapping[Reason, int], rng: random.Random, cut: Cut) -> list[PlantedPair]:
    """Return copies of some of ``pairs`` under new names, scored lower than their originals.

    Args:
        pairs: sound pairs; none is copied twice.
        counts: number of copies for ``duplicate_bytes`` (the same file), ``duplicate_pixels`` (the same pixels in
            another format) and ``duplicate_near`` (the same picture, changed a little); other reasons are passed over.
        rng: chooses the originals.
        cut: makes the copies that show a little of what is beside the original.
    """
    reasons = [reason for reason in _KINDS for _ in range(counts[reason])]
    copyable = (pair for pair in pairs if pair.place.z > 0)  # beside the whole world there is nothing to see
    best_first = sorted(copyable, key=lambda pair: (-present(pair.img_quality_score), pair.order))
    best = best_first[: max(len(reasons), int(_BEST_SHARE * len(pairs)))]
    liveliest_first = sorted(best, key=lambda pair: -least_contrast(decode(present(pair.image))))
    originals = rng.sample(liveliest_first[: max(len(reasons), int(_LIVELY_SHARE * len(best)))], len(reasons))
    ways = {reason: cycle(COPIES[reason]) for reason in _KINDS}
    planted = []
    for original, reason in zip(originals, reasons, strict=True):
        way = next(ways[reason])
        copy = _lower(original, rng)._replace(image=way.make(original, cut), img_name=f"{_stem(original)}_{way.suffix}")
        planted.append(PlantedPair(copy, reason, f"{original.img_name}, {way.note}"))
    return planted


def contaminate(pairs: Sequence[Pair], cut: Cut) -> list[PlantedPair]:
    """Return ``pairs``, whose pictures are those of a reference set, each with a copy of its picture."""
    planted = []
    for pair, way in zip(pairs, cycle(COPIES[Reason.CONTAMINATED]), strict=False):
        note = f"the reference set's {pair.img_name}, {way.note}"
        copy = pair._replace(image=way.make(pair, cut), img_name=f"{_stem(pair)}_{way.suffix}")
        planted.append(PlantedPair(copy, Reason.CONTAMINATED, note))
    return planted


def _stem(pair: Pair) -> str:
    return present(pair.img_name).removesuffix(".jpg")


def _lower(pair: Pair, rng: random.Random) -> Pair:
    return pair._replace(img_quality_score=round(present(pair.img_quality_score) - rng.randint(1, 50) / 100, 2))

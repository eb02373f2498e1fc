"""The demo's pairs: tiles of the world maps, each with its caption, score and place."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.captions import count_words
from schemas.reasons import Reason
from tasks.demo.captions import describe
from tasks.demo.imagery import TILE_LEVEL, TILE_PIXELS, decode, encode_jpeg, mercator, mercator_window, overview
from tasks.demo.mapdata import Product, read_world
from tasks.demo.pixels import look_at_land, quality_score
from tasks.demo.places import Atlas, Place
from tasks.tiles import nominal_resolution

T = TypeVar("T")
Tile = tuple[int, int, int]
"""Zoom, x and y."""


class Pair(NamedTuple):
    """One image with its caption and facts, and where it stands in the data set; the upper fields are the columns."""

    image: bytes | None  # an image file
    img_name: str | None
    img_quality_score: float | None
    caption: str | None
    caption_length: int | None  # [words]
    resolution: float | None  # nominal [m/pixel]
    Google_location: str | None
    place: Place  # of the tile that was cut, whatever Google_location says
    product: Product

    @property
    def order(self) -> tuple[int, int, int, Product]:
        """The key by which the data set is sorted: zoom, x, y, then the product."""
        return self.place.z, self.place.x, self.place.y, self.product


class PlantedPair(NamedTuple):
    """A pair that breaks one rule."""

    pair: Pair
    reason: Reason
    note: str  # what was done to it


def present(value: T | None) -> T:
    """Return ``value``, which every sound pair has.

    Raises:
        ValueError: if it has none.
    """
    if value is None:
        raise ValueError("only of a sound pair a defect can be made; found one without a value")
    return value


def cut_pairs(product: Product, atlas: Atlas, max_zoom: int, seed: int) -> Iterator[Pair]:
    """Yield a pair for every tile of ``product`` from zoom ``max_zoom`` up to zoom 0."""
    picture = mercator(read_world(product), max_zoom + TILE_LEVEL)
    for z in range(max_zoom, -1, -1):
        for y, x in np.ndindex(2**z, 2**z):
            top, left = TILE_PIXELS * y, TILE_PIXELS * x
            pixels = picture[top : top + TILE_PIXELS, left : left + TILE_PIXELS]
            yield _pair(product, atlas.place(z, x, y), pixels, seed)
        picture = overview(picture)


def cut_single_pairs(product: Product, places: list[Place], seed: int) -> Iterator[Pair]:
    """Yield a pair for each of ``places``, of any zoom level, without making the rest of the level."""
    world = read_world(product)
    for place in places:
        yield _pair(product, place, _tile(world, place.z, TILE_PIXELS * place.y, TILE_PIXELS * place.x), seed)


def cut_view(pair: Pair, down: int, right: int) -> bytes:
    """Return what its map shows so many pixels further down and right than ``pair`` does: a JPEG of a tile's size.

    The map goes on beyond its eastern edge, but not beyond the northern and the southern.
    """
    top, left = TILE_PIXELS * pair.place.y + down, TILE_PIXELS * pair.place.x + right
    return encode_jpeg(_tile(read_world(pair.product), pair.place.z, top, left))


def cut_pictures(product: Product, tiles: Sequence[Tile]) -> Iterator[bytes]:
    """Yield the pictures, as JPEG, that the pairs of ``tiles`` have."""
    world = read_world(product)
    for z, x, y in tiles:
        yield encode_jpeg(_tile(world, z, TILE_PIXELS * y, TILE_PIXELS * x))


def name_of(product: Product, tile: Tile) -> str:
    """Return what the picture of a tile is called.

    >>> name_of("relief", (5, 17, 11))
    'relief_5_17_11.jpg'
    """
    return f"{product}_{'_'.join(map(str, tile))}.jpg"


def _tile(world: NDArray[np.uint8], z: int, top: int, left: int) -> NDArray[np.uint8]:
    return mercator_window(world, z + TILE_LEVEL, top, left, TILE_PIXELS, TILE_PIXELS)


def _pair(product: Product, place: Place, pixels: NDArray[np.uint8], seed: int) -> Pair:
    tile = (place.z, place.x, place.y)
    location = "_".join(map(str, tile))
    image = encode_jpeg(pixels)
    seen = decode(image)  # what a reader of the data set sees
    # random.Random draws the same from the same text on every platform and in every version of Python 3.
    rng = random.Random(f"{seed} {product} {location}")
    caption = describe(product, place, look_at_land(seen, place.land), rng)
    return Pair(
        image=image,
        img_name=name_of(product, tile),
        img_quality_score=quality_score(seen),
        caption=caption,
        caption_length=count_words(caption),
        resolution=float(nominal_resolution(place.z)),
        Google_location=location,
        place=place,
        product=product,
    )

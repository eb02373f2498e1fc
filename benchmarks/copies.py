"""Tiles of real pictures, and copies of them made in every way: what near-duplicate detection is measured on."""

import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from schemas.recipe import ScanSettings
from tasks.demo.imagery import TILE_LEVEL, TILE_PIXELS, decode, encode, encode_jpeg, mercator
from tasks.demo.mapdata import Product, read_world
from tasks.scan import decode as scan_decode
from tasks.scan.descriptor import Descriptors, describe

SEED = 0
BLANK = 3.0  # luma standard deviation below which a tile is left out [grey levels]
ALIKE = 2.0  # mean difference of pixels below which two tiles are not a negative [grey levels]

NEITHER, POSITIVE, NEGATIVE = 0, 1, 2

Random = np.random.Generator
Edit = Callable[[Image.Image, Random], Image.Image]
Move = Callable[[Random], tuple[int, int]]
"""Draws how far a view lies down and right of its tile [pixels]; which way is drawn later."""


class Mosaic(NamedTuple):
    """Tiles that lie side by side."""

    name: str
    pixels: NDArray[np.uint8]  # shape (rows * 256, columns * 256, 3)
    known: NDArray[np.bool_]  # shape (rows, columns): the tiles that are there
    scale: int = 1  # ground under a pixel, in a unit that the mosaics of a set share

    def has(self, top: int, left: int) -> bool:
        """Return whether all of a 256-pixel view is there."""
        rows, columns = self.known.shape
        if min(top, left) < 0 or top > (rows - 1) * TILE_PIXELS or left > (columns - 1) * TILE_PIXELS:
            return False
        last = TILE_PIXELS - 1
        part = [slice(begin // TILE_PIXELS, (begin + last) // TILE_PIXELS + 1) for begin in (top, left)]
        return bool(self.known[part[0], part[1]].all())

    def view(self, top: int, left: int) -> NDArray[np.uint8]:
        """Return the pixels of a 256-pixel view."""
        return self.pixels[top : top + TILE_PIXELS, left : left + TILE_PIXELS]


class Tile(NamedTuple):
    """An original, or the view that a copy was made from."""

    mosaic: Mosaic
    top: int
    left: int

    @property
    def ground(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right, in the unit that the mosaics share."""
        scale = self.mosaic.scale
        bottom, right = self.top + TILE_PIXELS, self.left + TILE_PIXELS
        return self.top * scale, self.left * scale, bottom * scale, right * scale


class Transformation(NamedTuple):
    """One way to make a copy: a view beside the tile, where there is a move; then an edit; then saved."""

    group: str
    name: str
    edit: Edit = lambda image, _: image
    move: Move | None = None
    format: str = "JPEG"


class Copy(NamedTuple):
    """A copy of a tile, and where it lies."""

    tile: int
    transformation: int
    view: Tile
    data: bytes


class Pictures(NamedTuple):
    """N tiles and their M copies, and which pairs of tile and picture are what."""

    tiles: list[Tile]
    copies: list[Copy]
    files: list[bytes]  # of the tiles, then of the copies
    truth: NDArray[np.int8]  # shape (N, N + M): POSITIVE, NEGATIVE or NEITHER; of two tiles, once; none of plain tiles
    of_plain: NDArray[np.int8]  # the same of the pairs that have a plain tile
    neighbours: NDArray[np.bool_]  # shape (N, N): tiles that touch
    contrast: NDArray[np.float64]  # shape (N,): luma standard deviation [grey levels]

    @property
    def of(self) -> NDArray[np.int64]:
        """The tile of each picture: shape (N + M,)."""
        return np.array([*range(len(self.tiles)), *(copy.tile for copy in self.copies)])


def _recompressed(quality: int) -> Edit:
    return lambda image, _: Image.open(io.BytesIO(encode(image, "JPEG", quality=quality)))


def _resized(width: int, height: int) -> Edit:
    return lambda image, _: image.resize((width, height), Image.Resampling.LANCZOS)


def _enhanced(enhancer: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Edit:
    return lambda image, _: enhancer(image).enhance(factor)


def _filtered(kernel: ImageFilter.Filter) -> Edit:
    return lambda image, _: image.filter(kernel)


def _turned(method: Image.Transpose) -> Edit:
    return lambda image, _: image.transpose(method)


def _with_noise(image: Image.Image, rng: Random) -> Image.Image:
    pixels = np.asarray(image, np.float64)
    return Image.fromarray(np.clip(np.rint(pixels + rng.normal(0, 8, pixels.shape)), 0, 255).astype(np.uint8))


def _cropped(percent: int, centred: bool, image: Image.Image, rng: Random) -> Image.Image:
    side = round(TILE_PIXELS * (1 - percent / 100))
    room = TILE_PIXELS - side
    top, left = (room // 2, room // 2) if centred else rng.integers(0, room + 1, 2).tolist()
    part = image.crop((left, top, left + side, top + side))
    return part.resize(image.size, Image.Resampling.BICUBIC)


def _shift(percent: int, diagonal: bool, _: Random) -> tuple[int, int]:
    pixels = round(TILE_PIXELS * percent / 100)
    return (pixels if diagonal else 0), pixels


def _sharing(share: float, rng: Random) -> tuple[int, int]:
    """Draw an offset that leaves ``share`` of the ground in common: to within a pixel, and never less."""
    one = int(rng.integers(0, int(TILE_PIXELS * (1 - share)) + 1))
    other = int(TILE_PIXELS * (1 - share / (1 - one / TILE_PIXELS)))
    return (one, other) if rng.random() < 0.5 else (other, one)


def _transformations() -> Iterator[Transformation]:
    saved, light, sharpness, crop = "saved again", "light and colour", "sharpness and noise", "crop, resized back"
    shift, overlap, turn = "shifted view", "overlapping view", "turned"
    for quality in (75, 50, 30, 10):
        yield Transformation(saved, f"JPEG, quality {quality}", _recompressed(quality))
    yield Transformation(saved, "PNG", format="PNG")
    for width, height in ((512, 512), (128, 128), (64, 64), (224, 256)):
        yield Transformation(saved, f"resized to {width} x {height}", _resized(width, height))
    for factor in (0.7, 0.9, 1.1, 1.3):
        yield Transformation(light, f"brightness x {factor}", _enhanced(ImageEnhance.Brightness, factor))
    yield Transformation(light, "contrast x 1.3", _enhanced(ImageEnhance.Contrast, 1.3))
    table = [round(255 * (value / 255) ** 0.7) for value in range(256)]
    yield Transformation(light, "gamma 0.7", lambda image, _: image.point(table * 3))
    yield Transformation(light, "saturation x 1.5", _enhanced(ImageEnhance.Color, 1.5))
    yield Transformation(light, "grey", lambda image, _: image.convert("L"))
    for sigma in (1, 2):
        yield Transformation(sharpness, f"blurred, sigma {sigma}", _filtered(ImageFilter.GaussianBlur(sigma)))
    yield Transformation(sharpness, "sharpened", _filtered(ImageFilter.UnsharpMask(2, 150, 0)))
    yield Transformation(sharpness, "noise, sigma 8", _with_noise)
    for centred, percent in itertools.product((True, False), (2, 4, 8, 10, 15)):
        where = "centre" if centred else "anywhere"
        yield Transformation(crop, f"{percent} % of the side off, {where}", partial(_cropped, percent, centred))
    for diagonal, percent in itertools.product((False, True), (1, 2, 4, 8, 12)):
        way = "diagonally" if diagonal else "sideways"
        yield Transformation(shift, f"{percent} % {way}", move=partial(_shift, percent, diagonal))
    for share in (0.9, 0.85, 0.8):
        yield Transformation(overlap, f"{share:.0%} in common".replace("%", " %"), move=partial(_sharing, share))
    for degrees in (90, 180, 270):
        yield Transformation(turn, f"by {degrees} degrees", _turned(Image.Transpose[f"ROTATE_{degrees}"]))
    yield Transformation(turn, "mirrored", _turned(Image.Transpose.FLIP_LEFT_RIGHT))
    quarter, worse = _turned(Image.Transpose.ROTATE_90), _recompressed(30)
    yield Transformation(turn, "by 90 degrees, JPEG, quality 30", lambda image, rng: worse(quarter(image, rng), rng))


TRANSFORMATIONS = tuple(_transformations())
"""What is done to copies, before they are saved in JPEG quality 85; the one saved as PNG keeps its tile's pixels."""

GROUPS = tuple(dict.fromkeys(transformation.group for transformation in TRANSFORMATIONS))
UPRIGHT = ("saved again", "light and colour", "sharpness and noise")
CLAIMED = {False: UPRIGHT, True: tuple(group for group in GROUPS if group != "turned")}
"""The groups that the recipe promises to find, without and with ``overlapping``; the sweep's recall is theirs."""


def map_mosaics() -> list[Mosaic]:
    """Return the demo's maps at the deepest zoom that it cuts tiles of by default: 5 and 4."""
    mosaics = []
    deepest: dict[Product, int] = {"relief": 5, "bluemarble": 4}
    for product, zoom in deepest.items():
        pixels = mercator(read_world(product), zoom + TILE_LEVEL)
        mosaics.append(Mosaic(product, pixels, np.ones((2**zoom, 2**zoom), np.bool_), 2 ** (5 - zoom)))
    return mosaics


def aerial_mosaics(folder: Path) -> list[Mosaic]:
    """Return the mosaic of the 512-pixel chips in ``folder``."""
    chips = {tuple(int(part) for part in path.stem.split("_")): path for path in sorted(folder.glob("*.tif"))}
    if not chips:
        raise SystemExit(f"--tiles: found no *.tif in {folder}, expected 512-pixel RGB GeoTIFFs named z_x_y.tif")
    left, top = (min(place[axis] for place in chips) for axis in (1, 2))
    columns, rows = (max(place[axis] for place in chips) + 1 - low for axis, low in ((1, left), (2, top)))
    pixels = np.zeros((rows * 512, columns * 512, 3), np.uint8)
    known = np.zeros((rows * 2, columns * 2), np.bool_)
    for (_, x, y), path in chips.items():
        row, column = y - top, x - left
        pixels[row * 512 : (row + 1) * 512, column * 512 : (column + 1) * 512] = decode(path.read_bytes())
        known[row * 2 : row * 2 + 2, column * 2 : column * 2 + 2] = True
    return [Mosaic("aerial", pixels, known)]


def make_pictures(mosaics: Sequence[Mosaic], most_copied: int) -> Pictures:
    """Cut the tiles, and copy ``most_copied`` of them in every way."""
    tiles = [
        Tile(mosaic, int(row) * TILE_PIXELS, int(column) * TILE_PIXELS)
        for mosaic in mosaics
        for row, column in np.argwhere(mosaic.known)
    ]
    files = [encode_jpeg(tile.mosaic.view(tile.top, tile.left)) for tile in tiles]
    contrast = np.array([_luma_std(file) for file in files])
    shown = np.flatnonzero(contrast >= BLANK)
    tiles, files = [tiles[number] for number in shown], [files[number] for number in shown]
    drawn = np.random.default_rng(SEED).permutation(len(tiles))[:most_copied]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda number: list(_copies(number, tiles[number], files[number])), sorted(drawn.tolist()))
        copies = [copy for of_tile in made for copy in of_tile]
    grounds = np.array([tile.ground for tile in tiles])
    views = np.array([copy.view.ground for copy in copies])
    unlike = _unlike([decode(file) for file in files])
    of = np.array([copy.tile for copy in copies])
    among = np.where(np.triu(unlike & ~_meet(grounds, grounds), 1), NEGATIVE, NEITHER)
    beside = np.where(unlike[:, of] & ~_meet(grounds, views), NEGATIVE, NEITHER)
    beside[of, np.arange(len(of))] = POSITIVE
    truth = np.concatenate([among, beside], axis=1).astype(np.int8)
    plain = describe_files(files).plain
    has_plain = plain[:, None] | plain[np.concatenate([np.arange(len(tiles)), of])]
    truth, of_plain = np.where(has_plain, NEITHER, truth), np.where(has_plain, truth, NEITHER)
    touching = _meet(grounds + np.array([-1, -1, 1, 1]), grounds)
    return Pictures(tiles, copies, files + [copy.data for copy in copies], truth, of_plain, touching, contrast[shown])


def _luma_std(file: bytes) -> float:
    return float(np.asarray(Image.fromarray(decode(file)).convert("L"), np.float64).std())


def _copies(number: int, tile: Tile, file: bytes) -> Iterator[Copy]:
    for which, transformation in enumerate(TRANSFORMATIONS):
        rng = np.random.default_rng([SEED, tile.mosaic.scale, tile.top, tile.left, which])
        view = tile
        pixels = decode(file)
        if transformation.move:
            ways = _ways(tile, *transformation.move(rng))
            if not ways:
                continue
            view = ways[int(rng.integers(len(ways)))]
            pixels = view.mosaic.view(view.top, view.left)
        image = transformation.edit(Image.fromarray(pixels), rng)
        options = {"quality": 85} if transformation.format == "JPEG" else {}
        yield Copy(number, which, view, encode(image, transformation.format, **options))


def _ways(tile: Tile, down: int, right: int) -> list[Tile]:
    """Return the views that lie as far from ``tile`` and that the mosaic has."""
    offsets = dict.fromkeys((down * y, right * x) for y in (-1, 1) for x in (-1, 1))
    views = [Tile(tile.mosaic, tile.top + y, tile.left + x) for y, x in offsets]
    return [view for view in views if view.mosaic.has(view.top, view.left)]


def _meet(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether rectangles have an area in common: shape (len(a), len(b))."""
    starts = np.maximum(a[:, None, :2], b[None, :, :2])
    ends = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common: NDArray[np.bool_] = (starts < ends).all(axis=2)
    return common


def _unlike(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Return whether the pixels of each two differ by ``ALIKE`` or more in the mean."""
    blocks = np.stack([picture.reshape(32, 8, 32, 8, 3).mean(axis=(1, 3)) for picture in pictures])
    blocks = blocks.reshape(len(pictures), -1).astype(np.float32)
    # Means differ less than pixels do: most pairs are decided by them alone.
    unlike: NDArray[np.bool_] = np.stack([np.abs(blocks - block).mean(axis=1) >= ALIKE for block in blocks])
    for a, b in np.argwhere(np.triu(~unlike, 1)):
        difference = np.abs(pictures[a].astype(np.int16) - pictures[b]).mean()
        unlike[a, b] = unlike[b, a] = bool(difference >= ALIKE)
    return unlike


def describe_files(files: Sequence[bytes]) -> Descriptors:
    """Describe pictures as the scan does."""
    settings = ScanSettings()
    decoded = partial(
        scan_decode.decode, formats=settings.formats, max_pixels=settings.max_pixels, max_bytes=settings.max_bytes
    )
    return describe(np.stack([decoded(memoryview(file)).luma for file in files]))

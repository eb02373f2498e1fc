"""How well near-duplicates are told from other pictures: recall by what was done to the copy, beside other hashes.

Tiles are cut from mosaics, the demo's two maps and, with ``--tiles``, aerial imagery: 512-pixel RGB GeoTIFFs named
``z_x_y.tif``. Each tile, a JPEG of quality 90, is copied in every way of :data:`TRANSFORMATIONS`, and each copy is
saved once more, in quality 85. Then the search that the pipeline runs is asked for the pairs among the tiles, and
between the tiles and all copies.

- Positive: a tile and a copy of it.
- Negative: two tiles, or a tile and the copy of another, that have no ground in common, the tiles' pixels differing by
  2 grey levels or more in the mean: equal sea is not told apart by anyone.
- Left out: tiles whose luma has a standard deviation below 3 grey levels, pairs that are neither, and, but for one row
  of the second table, tiles that the scan calls plain (:data:`tasks.scan.descriptor.LEAST_STRUCTURE`): ours does not
  compare them at all, and the peers' thresholds are chosen without them.

Precision is that of single pairs: positives found / (positives found + negatives found), all of them counted. Our
methods are measured at the recipe's thresholds; each peer at the largest Hamming distance at which its precision on the
same pictures is 0.99 or more, and PDQ also at the distance that its authors recommend, without their quality filter.
The peers (imagehash, imagededup, pdqhash) are not installed with the project: ``--peers`` names the Python of an
environment that has them; without it they are left out.

    python -m benchmarks.near_duplicates --tiles FOLDER --peers PEERS/bin/python
"""

import argparse
import inspect
import io
import itertools
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from schemas.recipe import NearDuplicates, ScanSettings
from tasks.deduplicate.pairs import nearness_of
from tasks.deduplicate.search import near_pairs
from tasks.demo.imagery import TILE_LEVEL, TILE_PIXELS, decode, encode, encode_jpeg, mercator
from tasks.demo.mapdata import Product, read_world
from tasks.scan import decode as scan_decode
from tasks.scan.descriptor import Descriptors, describe

SEED = 0
BLANK = 3.0  # luma standard deviation below which a tile is left out [grey levels]
ALIKE = 2.0  # mean difference of pixels below which two tiles are not a negative [grey levels]
LEAST_PRECISION = 0.99  # at which the peers' thresholds are chosen
PDQ_RECOMMENDED = 31  # [bits of 256], https://github.com/facebook/ThreatExchange/tree/main/pdq
RADII = (4, 6, 8, 10, 11)
SIMILARITIES = (0.7, 0.8, 0.9, 0.95)
CONTRASTS = (BLANK, 6.0, 12.0, 25.0)  # luma standard deviations that tiles are told apart by [grey levels]
WIDEST = max(RADII)

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


class Result(NamedTuple):
    """What one method finds."""

    name: str
    threshold: str
    found: NDArray[np.bool_]  # shape (N, N + M)


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


class Search:
    """Our search among the tiles, and between tiles and copies."""

    def __init__(self, pictures: Pictures):
        self.described = describe_files(pictures.files)
        self.shown = np.flatnonzero(~self.described.plain)
        self.shape = pictures.truth.shape

    def distances(self, near: NearDuplicates) -> NDArray[np.int8]:
        """Return the distance of the pairs that are found, -1 for the others; shape (N, N + M)."""
        shown = self.shown
        descriptors = self.described.descriptor[shown]
        fresh = shown < self.shape[0]
        found = near_pairs(self.described.phash[shown], fresh, lambda rows: descriptors[rows], nearness_of(near))
        distances = np.full(self.shape, -1, np.int8)
        distances[shown[found.a], shown[found.b]] = found.distance
        return distances


def our_results(search: Search) -> Iterator[tuple[Result, NearDuplicates]]:
    """Yield what the recipe finds, with its defaults and with each of its two switches."""
    for name, near in (
        ("ours", NearDuplicates()),
        ("ours, any orientation", NearDuplicates(any_orientation=True)),
        ("ours, overlapping", NearDuplicates(overlapping=True)),
    ):
        threshold = f"{near.radius_bits} of 64, {near.min_similarity}"
        yield Result(name, threshold, search.distances(near) >= 0), near


def worst_negative(search: Search, near: NearDuplicates, truth: NDArray[np.int8]) -> str:
    """Return the highest ``min_similarity``, in hundredths, that a negative would reach."""
    low, high = 49, 101  # a negative is found at low, or low is below what a recipe can say; none is at high
    while high - low > 1:
        middle = (low + high) // 2
        tried = near.model_copy(update={"min_similarity": middle / 100})
        if ((search.distances(tried) >= 0) & (truth == NEGATIVE)).any():
            low = middle
        else:
            high = middle
    return f"{low / 100:.2f}" if low >= 50 else "below 0.50"


def hash_with_peers(pictures: str, hashes: str) -> None:
    """Hash the pictures of a file. Runs among the peers, where nothing of this project is: it imports what it uses."""
    import io
    from importlib.metadata import version

    import imagehash
    import numpy as np
    import pdqhash
    from imagededup.methods import PHash
    from PIL import Image

    with np.load(pictures) as given:
        data, ends = given["data"].tobytes(), given["ends"].tolist()
    names = ["imagehash pHash", "imagehash dHash", "imagededup PHash", "PDQ", "PDQ, any orientation"]
    modules = ("imagehash", "imagededup", "pdqhash", "numpy", "pillow")
    versions = ", ".join(f"{module} {version(module)}" for module in modules)
    imagededup = PHash(verbose=False)
    rows = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        with Image.open(io.BytesIO(data[begin:end])) as file:
            image = file.convert("RGB")
        pixels = np.asarray(image)
        turned, _ = pdqhash.compute_dihedral(pixels)
        rows.append((
            [np.packbits(imagehash.phash(image).hash)],
            [np.packbits(imagehash.dhash(image).hash)],
            [np.frombuffer(bytes.fromhex(imagededup.encode_image(image_array=pixels)), np.uint8)],
            [np.packbits(pdqhash.compute(pixels)[0])],
            [np.packbits(view) for view in turned],
        ))  # fmt: skip
    columns = {name: np.array([row[column] for row in rows]) for column, name in enumerate(names)}
    np.savez(hashes, versions=np.array(versions), **columns)


def peer_distances(python: str, files: Sequence[bytes], tiles: int) -> Iterator[tuple[str, int, NDArray[np.int16]]]:
    """Yield each peer's name, the bits of its hash, and the distances of the tiles to all pictures."""
    program = f"import sys\n{inspect.getsource(hash_with_peers)}\nhash_with_peers(*sys.argv[1:])"
    pieces = np.array_split(np.arange(len(files)), os.cpu_count() or 1)

    def hashed(folder: Path, piece: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        part = [files[number] for number in piece]
        given, made = folder / f"pictures-{piece[0]}.npz", folder / f"hashes-{piece[0]}.npz"
        np.savez(given, data=np.frombuffer(b"".join(part), np.uint8), ends=np.cumsum([len(file) for file in part]))
        subprocess.run([python, "-c", program, str(given), str(made)], check=True)
        with np.load(made) as found:
            return dict(found)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(pieces)) as pool:
        parts = list(pool.map(partial(hashed, Path(folder)), pieces))
    print(f"Peers: {parts[0].pop('versions')}.", flush=True)
    for name in parts[0]:
        hashes = np.concatenate([part[name] for part in parts])  # shape (N + M, views, bytes); the first as it is
        words = hashes.view(np.uint64)
        distances = [
            np.bitwise_count(words ^ words[tile, :1]).sum(axis=2, dtype=np.int16).min(axis=1) for tile in range(tiles)
        ]
        yield name, hashes.shape[2] * 8, np.stack(distances)


def peer_results(python: str, pictures: Pictures) -> Iterator[Result]:
    """Yield what each peer finds at its best threshold, and PDQ also at the recommended one."""
    for name, bits, distances in peer_distances(python, pictures.files, len(pictures.tiles)):
        if name == "PDQ":
            yield Result(f"{name}, recommended", f"{PDQ_RECOMMENDED} of {bits}", distances <= PDQ_RECOMMENDED)
        best = best_threshold(distances, bits, pictures.truth)
        yield Result(name, f"{best} of {bits}" if best >= 0 else "none", distances <= best)


def best_threshold(distances: NDArray[np.int16], bits: int, truth: NDArray[np.int8]) -> int:
    """Return the largest distance at which the precision is ``LEAST_PRECISION`` or more; -1 if there is none."""
    right, wrong = (
        np.cumsum(np.bincount(distances[truth == kind], minlength=bits + 1)) for kind in (POSITIVE, NEGATIVE)
    )
    precise = np.flatnonzero((right > 0) & (right >= LEAST_PRECISION * (right + wrong)))
    return int(precise[-1]) if len(precise) else -1


def recalls(found: NDArray[np.bool_], pictures: Pictures) -> Mapping[int, tuple[int, int]]:
    """Return, for each transformation, the positives that were found, and all."""
    counts: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for number, copy in enumerate(pictures.copies, len(pictures.tiles)):
        if pictures.truth[copy.tile, number] != POSITIVE:
            continue
        hits, all_ = counts[copy.transformation]
        counts[copy.transformation] = (hits + int(found[copy.tile, number]), all_ + 1)
    return counts


def _recall(counts: Sequence[tuple[int, int]]) -> str:
    hits, all_ = (sum(count) for count in zip(*counts, strict=True))
    return f"{hits / all_:.3f}" if all_ else "-"


def _precision(found: NDArray[np.bool_], truth: NDArray[np.int8]) -> str:
    right, wrong = (int((found & (truth == kind)).sum()) for kind in (POSITIVE, NEGATIVE))
    return f"{right / max(right + wrong, 1):.4f}"


def _print_row(*cells: object) -> None:
    print(f"| {' | '.join(str(cell) for cell in cells)} |", flush=True)


def print_tables(title: str, pictures: Pictures, peers: str | None) -> None:
    """Measure every method on ``pictures`` and print the tables."""
    tiles = len(pictures.tiles)
    truth = pictures.truth
    negatives = truth == NEGATIVE
    copied = len(set(np.nonzero(truth == POSITIVE)[0]))
    plain = len(set(np.nonzero(pictures.of_plain == POSITIVE)[0]))
    print(f"\n## {title}\n")
    among, beside = negatives[:, :tiles], negatives[:, tiles:]
    print(f"{tiles:,} tiles. Copied: {copied:,}, and {plain:,} plain ones. Positives: {(truth == POSITIVE).sum():,}.")
    print(
        f"Negatives: {among.sum():,} pairs of tiles, {(among & pictures.neighbours).sum():,} of them neighbours, and "
        f"{beside.sum():,} pairs of a tile and the copy of another."
    )
    if not peers:
        print("The peers are left out: no --peers.")
    search = Search(pictures)
    ours = list(our_results(search))
    results = [result for result, _ in ours] + (list(peer_results(peers, pictures)) if peers else [])
    counts = [recalls(result.found, pictures) for result in results]
    print()
    _print_row("recall", "copies", *(result.name for result in results))
    _print_row("---", "---:", *["---:"] * len(results))
    _print_row("threshold", "", *(result.threshold for result in results))
    for group in GROUPS:
        rows = [which for which, transformation in enumerate(TRANSFORMATIONS) if transformation.group == group]
        _print_row(f"**{group}**", "", *(f"**{_recall([count[which] for which in rows])}**" for count in counts))
        for which in rows:
            copies = counts[0][which][1]
            _print_row(TRANSFORMATIONS[which].name, copies, *(_recall([count[which]]) for count in counts))
    _print_row("**precision**", "", *(f"**{_precision(result.found, truth)}**" for result in results))
    wrong = [result.found & negatives for result in results]
    touching = np.zeros_like(negatives)
    touching[:, :tiles] = pictures.neighbours
    apart = np.zeros_like(negatives)
    apart[:, :tiles] = ~pictures.neighbours
    for name, part in (
        ("neighbours", touching),
        ("other tiles", apart),
        ("a tile and the copy of another", ~(touching | apart)),
    ):
        _print_row(f"false merges: {name}", "", *(int((found & part).sum()) for found in wrong))
    worst = [worst_negative(search, near, truth) for _, near in ours]
    _print_row("a negative's highest similarity", "", *worst, *[""] * (len(results) - len(ours)))
    print_by_contrast(results, pictures)
    print_sweep(search, pictures)


def print_by_contrast(results: Sequence[Result], pictures: Pictures) -> None:
    """Print how recall and false merges depend on how much there is to be seen in a tile."""
    truth, of_plain = pictures.truth, pictures.of_plain
    groups = [TRANSFORMATIONS[copy.transformation].group for copy in pictures.copies]
    upright = np.array([False] * len(pictures.tiles) + [group in UPRIGHT for group in groups])
    fainter = np.minimum(pictures.contrast[:, None], pictures.contrast[pictures.of])
    bands = {"plain": of_plain}
    for low, high in itertools.pairwise((*CONTRASTS, np.inf)):
        bands[f"luma std {low:g} to {high:g}"] = np.where((fainter >= low) & (fainter < high), truth, NEITHER)
    print(
        "\nBy what there is to be seen, of two tiles the fainter: recall of", " / ".join(UPRIGHT) + "; false merges\n"
    )
    _print_row("tiles", "positives", "negatives", *(result.name for result in results))
    _print_row("---", *["---:"] * (len(results) + 2))
    for name, kinds in bands.items():
        positives, negatives = (kinds == POSITIVE) & upright, kinds == NEGATIVE
        all_ = int(positives.sum())
        cells = [
            f"{_recall([(int((result.found & positives).sum()), all_)])}; {(result.found & negatives).sum()}"
            for result in results
        ]
        _print_row(name, all_, int(negatives.sum()), *cells)


def print_sweep(search: Search, pictures: Pictures) -> None:
    """Print recall and false merges of the search at other thresholds.

    One search at the widest radius tells all of one similarity: a pair's distance is the least at which it is found.
    """
    tiles = len(pictures.tiles)
    negatives = pictures.truth == NEGATIVE
    print("\nOurs at other thresholds: recall of what is claimed; false merges of tiles + of a tile and another's copy")
    print()
    _print_row("overlapping", "min_similarity", *(f"radius_bits {radius}" for radius in RADII))
    _print_row("---", "---:", *["---:"] * len(RADII))
    for overlapping, similarity in itertools.product((False, True), SIMILARITIES):
        near = NearDuplicates(radius_bits=WIDEST, min_similarity=similarity, overlapping=overlapping)
        distances = search.distances(near)
        cells = []
        for radius in RADII:
            found = (distances >= 0) & (distances <= radius)
            counts = recalls(found, pictures)
            claimed = [count for which, count in counts.items() if TRANSFORMATIONS[which].group in CLAIMED[overlapping]]
            wrong = found & negatives
            cells.append(f"{_recall(claimed)}; {wrong[:, :tiles].sum()} + {wrong[:, tiles:].sum()}")
        _print_row("yes" if overlapping else "no", similarity, *cells)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=Path, help="a folder of 512-pixel RGB GeoTIFFs named z_x_y.tif")
    parser.add_argument("--peers", metavar="PYTHON", help="the Python of an environment that has the peers")
    parser.add_argument("--copied", type=int, default=256, help="tiles that are copied, of each set; all are compared")
    options = parser.parse_args()
    if options.tiles:
        print_tables("Aerial imagery", make_pictures(aerial_mosaics(options.tiles), options.copied), options.peers)
    print_tables("The demo's maps", make_pictures(map_mosaics(), options.copied), options.peers)


if __name__ == "__main__":
    main()

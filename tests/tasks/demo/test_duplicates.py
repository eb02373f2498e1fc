"""Every way to copy a picture gives one that is found to be the same in the way it was planted for, and no plainer."""

import random
from collections import Counter
from functools import partial

import numpy as np
import pytest
from PIL import Image

from schemas.reasons import Reason
from schemas.recipe import ScanSettings
from tasks.deduplicate.search import Nearness, near_pairs
from tasks.demo.duplicates import COPIES, contaminate, duplicate
from tasks.demo.imagery import decode as pixels_of
from tasks.demo.imagery import encode_jpeg
from tasks.demo.pairs import Pair
from tasks.demo.places import Place, Shore
from tasks.scan.decode import decode
from tasks.scan.descriptor import describe

NEARNESS = Nearness(
    radius=8, min_similarity=0.9, any_orientation=True, overlapping=True
)  # deployments/recipes/demo.yaml
_SETTINGS = ScanSettings()
DECODER = partial(
    decode,
    formats=_SETTINGS.formats,
    max_pixels=_SETTINGS.max_pixels,
    max_bytes=_SETTINGS.max_bytes,
    pixel_digest=True,
)


def _ground(number: int) -> Image.Image:
    """A picture wider than a tile, of which a view can be cut a little to the side."""
    coarse = np.random.default_rng(number).integers(40, 200, (20, 20, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 320), Image.Resampling.BICUBIC)


def _pair(number: int, z: int = 5) -> Pair:
    place = Place(z, number % 2**z, 11 % 2**z, 16.9, 45.1, np.ones((32, 32)), 0.0, Shore(100.0, "north"))
    location = f"{z}_{place.x}_{place.y}"
    score = 2 + number / 100
    return Pair(
        _cut(number, 0, 0), f"{number}.jpg", score, "Five words about a place.", 5, 4096.0, location, place, "relief"
    )


def _cut(number: int, down: int, right: int) -> bytes:
    left, top = 32 + right, 32 + down
    return encode_jpeg(np.asarray(_ground(number).crop((left, top, left + 256, top + 256))))


def _cut_pair(pair: Pair, down: int, right: int) -> bytes:
    return _cut(int(str(pair.img_name).removesuffix(".jpg")), down, right)


def _sameness(image: bytes, other: bytes) -> Reason | None:
    """Return the plainest way in which two pictures are the same."""
    if image == other:
        return Reason.DUPLICATE_BYTES
    one, two = (DECODER(memoryview(data)) for data in (image, other))
    if one.pixels_xxh3 == two.pixels_xxh3:
        return Reason.DUPLICATE_PIXELS
    described = describe(np.stack([one.luma, two.luma]))
    assert not described.plain.any()
    pairs = near_pairs(described.phash, np.ones(2, np.bool_), lambda rows: described.descriptor[rows], NEARNESS)
    return Reason.DUPLICATE_NEAR if len(pairs.a) else None


@pytest.mark.parametrize(
    ("reason", "way"),
    [(reason, number) for reason, ways in COPIES.items() for number in range(len(ways))],
    ids=[f"{reason}: {way.note}" for reason, ways in COPIES.items() for way in ways],
)
def test_each_way_is_found_for_what_it_is(reason: Reason, way: int) -> None:
    for number in range(2):
        pair = _pair(number)
        copy = COPIES[reason][way].make(pair, _cut_pair)
        assert pair.image is not None
        assert pixels_of(copy).shape == (256, 256, 3)
        found = _sameness(pair.image, copy)
        assert found is not None
        if reason is not Reason.CONTAMINATED:  # a copy of any kind
            assert found is reason


def test_pictures_of_other_places_are_not_the_same() -> None:
    described = describe(np.stack([DECODER(memoryview(_cut(number, 0, 0))).luma for number in range(40)]))
    pairs = near_pairs(described.phash, np.ones(40, np.bool_), lambda rows: described.descriptor[rows], NEARNESS)
    assert list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == []


def test_copies_are_scored_below_their_originals_under_names_of_their_own() -> None:
    originals = {str(pair.img_name): pair for pair in map(_pair, range(60))}
    counts = {Reason.DUPLICATE_BYTES: 2, Reason.DUPLICATE_PIXELS: 5, Reason.DUPLICATE_NEAR: 9, Reason.IMAGE_BLANK: 3}
    planted = duplicate(list(originals.values()), counts, random.Random(0), _cut_pair)
    assert Counter(copy.reason for copy in planted) == {
        reason: count for reason, count in counts.items() if reason is not Reason.IMAGE_BLANK
    }
    assert len({copy.img_name for copy, *_ in planted} | set(originals)) == 60 + 16
    assert len({str(copy.img_name).split("_")[0] for copy, *_ in planted}) == 16  # as many originals
    for copy, _, note in planted:
        original = originals[str(copy.img_name).split("_")[0] + ".jpg"]
        assert note.startswith(f"{original.img_name}, ")
        assert copy.img_quality_score is not None
        assert original.img_quality_score is not None
        assert 0 < original.img_quality_score - copy.img_quality_score < 0.51
        assert copy.img_quality_score == round(copy.img_quality_score, 2)
        changed = {name for name in Pair._fields if getattr(copy, name) is not getattr(original, name)}
        assert changed <= {"image", "img_name", "img_quality_score"}


def test_ways_follow_each_other() -> None:
    counts = {Reason.DUPLICATE_BYTES: 1, Reason.DUPLICATE_PIXELS: 5, Reason.DUPLICATE_NEAR: 8}
    planted = duplicate([_pair(number) for number in range(60)], counts, random.Random(0), _cut_pair)
    notes = [note.split(", ", 1)[1] for _, reason, note in planted if reason is Reason.DUPLICATE_PIXELS]
    ways = [way.note for way in COPIES[Reason.DUPLICATE_PIXELS]]
    assert notes == [*ways, ways[0]]


def test_originals_are_of_the_best_and_liveliest_and_not_the_whole_world() -> None:
    pairs = [_pair(number) for number in range(80)]
    flat = np.asarray(_ground(79).crop((0, 0, 256, 256))).copy()
    flat[:64, :64] = 90
    pairs[79] = pairs[79]._replace(image=encode_jpeg(flat))
    pairs[78] = _pair(78, z=0)
    counts = {Reason.DUPLICATE_BYTES: 2, Reason.DUPLICATE_PIXELS: 1, Reason.DUPLICATE_NEAR: 1}
    draws = [duplicate(pairs, counts, random.Random(seed), _cut_pair) for seed in range(30)]
    chosen = {int(str(copy.img_name).split("_")[0]) for planted in draws for copy, *_ in planted}
    assert len(chosen) == 4  # a fifth of a quarter
    assert chosen <= set(range(58, 78))


def test_a_view_goes_towards_the_equator_where_the_map_goes_on() -> None:
    asked: list[tuple[float, int, int]] = []

    def cut(pair: Pair, down: int, right: int) -> bytes:
        asked.append((pair.place.latitude, down, right))
        return b""

    northern = _pair(1)
    southern = northern._replace(place=northern.place._replace(latitude=-45.1))
    for pair in (northern, southern):
        COPIES[Reason.DUPLICATE_NEAR][-1].make(pair, cut)
    assert asked == [(45.1, 16, 24), (-45.1, -16, 24)]


def test_contaminated_pairs_keep_all_but_their_picture_and_name() -> None:
    pairs = [_pair(number) for number in range(6)]
    planted = contaminate(pairs, _cut_pair)
    assert {reason for _, reason, _ in planted} == {Reason.CONTAMINATED}
    ways = [way.note for way in COPIES[Reason.CONTAMINATED]]
    assert [note for *_, note in planted] == [
        f"the reference set's {number}.jpg, {ways[number % len(ways)]}" for number in range(6)
    ]
    for pair, (copy, *_) in zip(pairs, planted, strict=True):
        assert copy._replace(image=pair.image, img_name=pair.img_name) == pair

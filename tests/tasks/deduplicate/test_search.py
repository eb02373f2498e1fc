from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pairs import land, thumbnail
from PIL import Image, ImageEnhance

from schemas.recipe import Deduplication
from tasks.deduplicate import search
from tasks.deduplicate.hamming import TooManyPairs
from tasks.deduplicate.pairs import nearness_of
from tasks.deduplicate.registration import Registrations, similarities
from tasks.deduplicate.search import Nearness, NearPairs, near_pairs
from tasks.deduplicate.stage import count_searches
from tasks.deduplicate.views import FULL, ORIENTATIONS, Overlap, turned_hashes
from tasks.scan.descriptor import Descriptors, describe

UPRIGHT = Nearness(8, 0.9, any_orientation=False, overlapping=False)
WORLD = land(5, around=60)


def describe_all(pictures: Sequence[Image.Image]) -> Descriptors:
    return describe(np.stack([thumbnail(picture, quality=85) for picture in pictures]))


def found_among(
    described: Descriptors, nearness: Nearness, fresh: NDArray[np.bool_] | None = None
) -> dict[tuple[int, int], tuple[int, float]]:
    everything = np.ones(len(described.phash), np.bool_)
    pairs = near_pairs(
        described.phash, everything if fresh is None else fresh, lambda at: described.descriptor[at], nearness
    )
    assert_ordered(pairs)
    rows = zip(*(column.tolist() for column in pairs), strict=True)
    return {(a, b): (distance, similarity) for a, b, distance, similarity in rows}


def assert_ordered(pairs: NearPairs) -> None:
    keys = list(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert all(a < b for a, b in keys)


def shifted(down: int, right: int, side: int = 256) -> Image.Image:
    return WORLD.crop((60 + right, 60 + down, 60 + right + side, 60 + down + side)).resize((256, 256))


COPIES = [
    WORLD.crop((60, 60, 316, 316)),
    land(1),
    ImageEnhance.Brightness(land(1)).enhance(1.1),
    land(2),
    land(1).transpose(Image.Transpose.ROTATE_90),
    shifted(0, 40),
    land(2).resize((100, 100)),
    shifted(12, 6, 230),
    land(3),
    land(2).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
]
UPRIGHT_PAIRS = {(1, 2), (3, 6)}
TURNED_PAIRS = {(1, 4), (2, 4), (3, 9), (6, 9)}
OVERLAPPING_PAIRS = {(0, 5), (0, 7)}


@pytest.mark.parametrize(
    ("any_orientation", "overlapping", "expected"),
    [
        (False, False, UPRIGHT_PAIRS),
        (True, False, UPRIGHT_PAIRS | TURNED_PAIRS),
        (False, True, UPRIGHT_PAIRS | OVERLAPPING_PAIRS),
        (True, True, UPRIGHT_PAIRS | TURNED_PAIRS | OVERLAPPING_PAIRS),
    ],
)
def test_each_option_finds_its_copies_and_nothing_else(
    any_orientation: bool, overlapping: bool, expected: set[tuple[int, int]]
) -> None:
    found = found_among(describe_all(COPIES), Nearness(8, 0.9, any_orientation, overlapping))
    assert found.keys() - {(5, 7)} == expected  # the shifted view and the crop share 3/4, which may be found or not
    assert all(distance <= 8 and similarity >= np.float32(0.9) for distance, similarity in found.values())


def compared(described: Descriptors, nearness: Nearness) -> dict[tuple[int, int], tuple[int, float]]:
    """Compare all with all, in every orientation."""
    best: dict[tuple[int, int], tuple[int, float]] = {}
    same = Overlap(FULL, FULL)
    a, b = np.triu_indices(len(described.phash), 1)
    for orientation in range(ORIENTATIONS if nearness.any_orientation else 1):
        distance = np.bitwise_count(described.phash[a] ^ turned_hashes(described.phash, orientation)[b])
        turns = np.full(len(a), orientation, np.int8)
        enough = np.full(len(a), 0.9, np.float32)
        similarity = similarities(described.descriptor, Registrations(a, b, turns), same, enough)
        for at in np.flatnonzero((distance <= nearness.radius) & (similarity >= np.float32(0.9))).tolist():
            pair, measured = (int(a[at]), int(b[at])), (int(distance[at]), -float(similarity[at]))
            best[pair] = min(best.get(pair, measured), measured)
    return {pair: (distance, -similarity) for pair, (distance, similarity) in best.items()}


@pytest.mark.parametrize("any_orientation", [False, True])
def test_exactly_the_pairs_are_found_that_comparing_all_with_all_finds(any_orientation: bool) -> None:
    rng = np.random.default_rng(3)
    pictures = []
    for seed in range(60):
        picture = land(seed)
        pictures.append(picture)
        for _ in range(int(rng.integers(0, 3))):
            edge = int(rng.integers(0, 12))
            turn = Image.Transpose(int(rng.integers(0, 7)))
            pictures.append(picture.crop((edge, 0, 256, 256 - edge)).resize((256, 256)).transpose(turn))
    order = rng.permutation(len(pictures))
    described = describe_all([pictures[at] for at in order])
    nearness = Nearness(8, 0.9, any_orientation, overlapping=False)
    found = found_among(described, nearness)
    assert found == compared(described, nearness)
    assert len(found) > (30 if any_orientation else 1)


@pytest.mark.parametrize("nearness", [UPRIGHT, Nearness(8, 0.9, any_orientation=True, overlapping=True)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pairs_found_piece_by_piece_are_those_found_at_once(nearness: Nearness, seed: int) -> None:
    described = describe_all([*COPIES, *(land(1) for _ in range(3))])
    whole = found_among(described, nearness)
    rng = np.random.default_rng(seed)
    fresh = rng.random(len(described.phash)) < 0.4
    new = found_among(described, nearness, fresh)
    old = np.flatnonzero(~fresh)
    before = found_among(Descriptors(*(column[old] for column in described)), nearness)
    assert new.keys().isdisjoint({(old[a], old[b]) for a, b in before})
    assert new | {(int(old[a]), int(old[b])): measured for (a, b), measured in before.items()} == whole


@pytest.mark.parametrize(
    "near", [{}, {"any_orientation": True}, {"overlapping": True}, {"any_orientation": True, "overlapping": True}]
)
def test_each_search_is_heard_of_once(near: dict[str, bool]) -> None:
    settings = Deduplication.model_validate({"near": near})
    assert settings.near is not None
    described = describe_all([land(1), land(2)])
    heard: list[None] = []
    fresh = np.ones(2, np.bool_)
    near_pairs(
        described.phash, fresh, lambda rows: described.descriptor[rows], nearness_of(settings.near),
        lambda: heard.append(None),
    )  # fmt: skip
    assert len(heard) == count_searches(settings)


def test_pictures_of_one_hash_and_other_content_are_told_apart() -> None:
    """The lowest frequencies are those of one picture, all others those of as many places."""
    base = describe_all([land(1)]).descriptor.reshape(16, 16)
    others = describe_all([land(seed) for seed in range(2, 12)]).descriptor.reshape(-1, 16, 16).copy()
    others[:, :8, :8] = base[:8, :8] // 3
    phash = np.full(10, describe_all([land(1)]).phash[0])
    described = describe_all([land(seed) for seed in range(2, 12)])._replace(
        descriptor=others.reshape(-1, 256), phash=phash
    )
    assert found_among(described, UPRIGHT) == {}


def test_pictures_of_little_structure_must_be_alike_all_the_more() -> None:
    """A place in an empty picture is found when it is saved again, and not where other ground shows through."""

    def within(place: Image.Image) -> Image.Image:
        picture = Image.new("RGB", (256, 256), (90, 90, 90))
        picture.paste(place.crop((0, 0, 100, 104)), (55, 40))
        return picture

    rich, mixed = land(1), Image.blend(land(1), land(2), 0.18)
    poor = within(rich)
    described = describe_all([poor, poor.resize((128, 128)), within(mixed), rich, mixed])
    assert described.structure[0] < search.RICH < described.structure[3]
    assert not described.plain.any()
    assert found_among(described, UPRIGHT).keys() == {(0, 1), (3, 4)}
    assert 0.9 < found_among(described, UPRIGHT)[3, 4][1] < search.POOR_SIMILARITY


def test_descriptors_are_asked_for_candidates_alone() -> None:
    described = describe_all([land(1), *(land(seed) for seed in range(10, 40)), land(1).resize((99, 99))])
    asked: list[list[int]] = []

    def descriptors(positions: NDArray[np.int64]) -> NDArray[np.int8]:
        asked.append(positions.tolist())
        return described.descriptor[positions]

    pairs = near_pairs(described.phash, np.ones(32, np.bool_), descriptors, UPRIGHT)
    assert asked == [[0, 31]]
    assert (pairs.a.tolist(), pairs.b.tolist()) == ([0], [31])


def test_candidates_in_many_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    described = describe_all([*COPIES, *(land(1).resize((n, n)) for n in range(90, 99))])
    whole = found_among(described, UPRIGHT)
    assert len(whole) > 40
    monkeypatch.setattr(search, "_CHUNK", 7)
    assert found_among(described, UPRIGHT) == whole


def test_too_many_look_alikes_are_refused_with_a_word_on_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_CANDIDATES", 20)
    described = describe_all([land(1).resize((n, n)) for n in range(90, 99)])
    with pytest.raises(TooManyPairs, match=r"lower deduplication\.near\.radius_bits"):
        found_among(described, UPRIGHT)


def test_too_many_near_duplicates_are_refused_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_NEAR_PAIRS", 35)
    described = describe_all([land(1).resize((n, n)) for n in range(90, 99)])
    with pytest.raises(TooManyPairs, match=r"more than 35 pairs .* raise deduplication\.near\.min_similarity"):
        found_among(described, UPRIGHT)


@pytest.mark.parametrize("count", [0, 1])
def test_few_pictures_have_no_pairs(count: int) -> None:
    described = describe_all(COPIES[:1])
    few = Descriptors(*(column[:count] for column in described))
    assert found_among(few, Nearness(8, 0.9, any_orientation=True, overlapping=True)) == {}

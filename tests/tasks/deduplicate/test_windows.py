import numpy as np
from pairs import land, thumbnail

from tasks.deduplicate.views import FULL, View
from tasks.deduplicate.windows import view_hashes
from tasks.scan.descriptor import describe

PICTURES = [land(seed) for seed in range(12)]
DESCRIPTORS = describe(np.stack([thumbnail(picture) for picture in PICTURES]))


def test_the_whole_picture_has_its_own_hash() -> None:
    hashes, present = view_hashes(DESCRIPTORS.descriptor, [FULL])
    assert np.bitwise_count(hashes[0] ^ DESCRIPTORS.phash).max() <= 1  # where a number is nearly 0
    assert present.all()


def test_a_view_has_the_hash_of_the_picture_that_it_is() -> None:
    view = View(6, 3, 45)
    box = tuple(round(256 * at / 60) for at in (3, 6, 48, 51))
    cut = describe(np.stack([thumbnail(picture.crop(box).resize((256, 256))) for picture in PICTURES]))
    hashes, _ = view_hashes(DESCRIPTORS.descriptor, [FULL, view])
    assert np.bitwise_count(hashes[1] ^ cut.phash).mean() <= 2
    assert np.bitwise_count(hashes[1] ^ cut.phash).max() <= 5
    assert np.bitwise_count(hashes[1] ^ np.roll(cut.phash, 1)).min() > 12


def test_a_view_without_anything_in_it_is_not_hashed() -> None:
    picture = thumbnail(PICTURES[0]).copy()
    picture[:, :51] = 160
    found = describe(picture[None])
    assert not found.plain[0]
    _, present = view_hashes(found.descriptor, [View(0, 0, 48), View(12, 12, 48)])
    assert present[:, 0].tolist() == [False, True]

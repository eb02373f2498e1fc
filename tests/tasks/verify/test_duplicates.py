"""What a subset promises of its kept rows, held against subsets whose manifest promises more than was done."""

import json
from pathlib import Path
from typing import Any

import pytest
from pairs import encode, land, pair, publish_one, recipe_for, write_tree

from schemas.manifest import Manifest
from schemas.recipe import fingerprint
from tasks.verify.subset import verify


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subset in which nothing was taken for a duplicate."""
    home = tmp_path_factory.mktemp("published")
    rows = [pair(seed, image=encode(land(seed)), caption=f"place {seed}") for seed in range(12)]
    rows[4] = pair(4, image=encode(land(3).resize((120, 120))), caption="Place  3")
    rows[7] = pair(7, image=encode(land(6).transpose(method=2)), caption="place 7")
    rows[9] = pair(9, image=encode(land(8)), caption="place 9")
    rows[10] = pair(10, image=encode(land(10)), caption="place 10", Google_location="13_3_4000")
    rows[11] = pair(11, image=encode(land(11)), caption="place 11", Google_location="12_2_2000", resolution=32.0)
    deduplication = {"exact_bytes": False, "near": None}
    source = write_tree(home / "source", rows)
    return publish_one(
        recipe_for(source, home, output={"dir": home, "shard_bytes": 90_000}, deduplication=deduplication)
    )


def claim(subset: Path, home: Path, **deduplication: Any) -> Path:
    """Copy a subset with a manifest, rightly sealed, that says that it was deduplicated so."""
    import shutil

    copied = Path(shutil.copytree(subset, home / "claimed"))
    data = json.loads((copied / "manifest.json").read_text())
    data["recipe"]["deduplication"] |= deduplication
    data["recipe_sha256"] = fingerprint(data["recipe"])
    manifest = Manifest.model_validate(data | {"seal": ""}).sealed()
    (copied / "manifest.json").write_text(manifest.model_dump_json())
    return copied


NEAR = {"radius_bits": 8, "min_similarity": 0.9, "any_orientation": False, "overlapping": False}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"exact_bytes": True}, ["kept more than once: image"]),
        ({"near": NEAR}, ["row ids 3 and 4 are kept", "row ids 8 and 9 are kept"]),
        (
            {"near": NEAR | {"any_orientation": True}},
            ["row ids 3 and 4 are kept", "row ids 6 and 7 are kept", "row ids 8 and 9 are kept"],
        ),
        ({"near": NEAR | {"min_similarity": 1.0, "radius_bits": 0}}, ["row ids 8 and 9 are kept, 0 bits apart"]),
        ({"same_tile": True}, ["tile 13_3_4000 is kept more than once"]),
        ({"nested_tiles": "finest"}, ["the tile 12_2_2000 around it"]),
        ({"caption_copies": 1}, ["1 captions are kept more than 1 times"]),
        ({"caption_copies": 2}, []),
    ],
)
def test_what_is_kept_in_spite_of_the_recipe_is_found(
    published: Path, tmp_path: Path, settings: dict[str, Any], words: list[str]
) -> None:
    problems = verify(claim(published, tmp_path, **settings)).problems
    if settings.get("near", {}) == NEAR:
        assert not any("row ids 6 and 7" in problem for problem in problems)
    if not settings.get("exact_bytes"):
        assert all(any(word in problem for word in words) for problem in problems)
    for word in words:
        assert any(word in problem for problem in problems), problems

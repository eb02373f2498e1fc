"""Every validation rule, with each of its actions, from a spoilt row to its verdict and to the published subset."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pairs import encode, pair, picture, publish_one, recipe_for, write_tree
from PIL import Image

from schemas.reasons import REASONS, Reason, Stage
from tasks.published import read_manifest
from tasks.verify.subset import verify

RULES = [reason for reason in REASONS if reason.stage is Stage.VALIDATION]


def animated(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "PNG", save_all=True, append_images=[picture(seed + 500)])
    return file.getvalue()


def sixteen_bits(seed: int) -> bytes:
    values = np.asarray(picture(seed, mode="L")).astype(np.uint16) * 257
    return encode(Image.fromarray(values), "PNG")


def bordered(seed: int) -> bytes:
    pixels = np.asarray(picture(seed)).copy()
    pixels[:40] = 0
    return encode(Image.fromarray(pixels), "PNG")


SPOILT: dict[Reason, dict[str, Any]] = {
    Reason.IMAGE_MISSING: {"image": None},
    Reason.IMAGE_FORMAT: {"image": encode(picture(101), "GIF")},
    Reason.IMAGE_TOO_LARGE: {"image": encode(picture(102, size=(300, 300)))},
    Reason.IMAGE_TRUNCATED: {"image": encode(picture(103))[:-500]},
    Reason.IMAGE_UNDECODABLE: {"image": b"<html>not found</html>"},
    Reason.IMAGE_ANIMATED: {"image": animated(105)},
    Reason.IMAGE_MODE: {"image": sixteen_bits(106)},
    Reason.IMAGE_SIZE: {"image": encode(picture(107, size=(128, 128)))},
    Reason.IMAGE_BLANK: {"image": encode(Image.new("RGB", (256, 256), (90, 90, 90)))},
    Reason.IMAGE_NODATA: {"image": bordered(109)},
    Reason.CAPTION_MISSING: {"caption": " "},
    Reason.CAPTION_LENGTH_MISMATCH: {"caption_length": 1},
    Reason.CAPTION_GARBLED: {"caption": "a cafÃ© by the harbour"},
    Reason.CAPTION_REFUSAL: {"caption": "I'm sorry, but I can't assist with that request."},
    Reason.SCORE_MISSING: {"img_quality_score": None},
    Reason.SCORE_NOT_FINITE: {"img_quality_score": float("inf")},
    Reason.SCORE_OUT_OF_RANGE: {"img_quality_score": 11.0},
    Reason.PLACE_MISSING: {"Google_location": "Million-AID"},
    Reason.PLACE_MALFORMED: {"Google_location": "13_x_7"},
    Reason.PLACE_OUT_OF_RANGE: {"Google_location": "13_8192_7"},
    Reason.RESOLUTION_MISMATCH: {"resolution": 15.0},
    Reason.IMG_NAME_MISSING: {"img_name": ""},
    Reason.IMG_NAME_REPEATED: {"img_name": "tile_0.jpg"},
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row 0 is sound, and so is the last one; between them, a row for each rule, in the rules' order."""
    spoilt = [pair(seed, **SPOILT[rule]) for seed, rule in enumerate(RULES, start=1)]
    rows = [pair(0), *spoilt, pair(len(RULES) + 1)]
    return write_tree(tmp_path_factory.mktemp("actions") / "source", rows, shards=2)


@pytest.mark.parametrize("action", ["reject", "flag", "ignore"])
def test_each_rule_does_what_its_action_says_to_its_own_row_alone(action: str, tree: Path, tmp_path: Path) -> None:
    validation = {
        "image_size": {"width": 256, "height": 256},
        "score": {"min": 0, "max": 10},
        "rules": dict.fromkeys(RULES, action),
    }
    settings = {"scan": {"max_pixels": 256 * 256}, "deduplication": {"near": None}}
    subset = publish_one(recipe_for(tree, tmp_path, validation=validation, **settings))
    assert verify(subset).problems == ()
    flags = {row["row_id"]: row["flags"] for row in pq.read_table(subset / "index.parquet").to_pylist()}
    reasons = {row["row_id"]: row["reasons"] for row in pq.read_table(subset / "rejected.parquet").to_pylist()}
    expected = {row: [rule.value] for row, rule in enumerate(RULES, start=1)}
    if action == "reject":
        assert reasons == expected
        assert flags == {0: [], len(RULES) + 1: []}
        return
    assert reasons == {}
    assert flags == {row: expected.get(row, []) if action == "flag" else [] for row in range(len(RULES) + 2)}
    from datasets import Image as ImageFeature
    from datasets import load_dataset

    opened = load_dataset(str(subset), split="train", cache_dir=str(tmp_path / "cache"))
    kept = opened.cast_column("image", ImageFeature(decode=False))["image"]
    spoilt = [SPOILT[rule].get("image", pair(seed)["image"]) for seed, rule in enumerate(RULES, start=1)]
    assert [row and row["bytes"] for row in kept] == [pair(0)["image"], *spoilt, pair(len(RULES) + 1)["image"]]


@pytest.mark.parametrize("action", ["reject", "flag", "ignore"])
def test_a_range_of_words_does_what_its_action_says(action: str, tree: Path, tmp_path: Path) -> None:
    subset = {"name": "words", "caption_words": {"min": 9, "max": 20, "action": action}}
    rules = dict.fromkeys(RULES, "ignore")
    made = publish_one(recipe_for(tree, tmp_path, subsets=[subset], validation={"rules": rules}))
    told = {
        "reject": pq.read_table(made / "rejected.parquet")["reasons"].to_pylist(),
        "flag": pq.read_table(made / "index.parquet")["flags"].to_pylist(),
    }
    found = {code for codes in told.get(action, []) for code in codes} & {"caption_too_short", "caption_too_long"}
    assert found == ({"caption_too_short", "caption_too_long"} if action != "ignore" else set())
    others = [codes for name, rows in told.items() if name != action for codes in rows]
    assert not {code for codes in others for code in codes} & {"caption_too_short", "caption_too_long"}


def test_without_images_no_rule_on_them_applies_and_the_manifest_says_so(tree: Path, tmp_path: Path) -> None:
    rules = dict.fromkeys(RULES, "reject")
    subset = publish_one(recipe_for(tree, tmp_path, scan={"images": False}, validation={"rules": rules}))
    assert verify(subset).problems == ()
    off = {rule for rule in RULES if rule.value.startswith("image_")}
    assert set(read_manifest(subset).rules_off) == off
    reasons = pq.read_table(subset / "rejected.parquet")["reasons"].to_pylist()
    met = {Reason(code) for codes in reasons for code in codes}
    assert met == set(RULES) - off - {Reason.SCORE_OUT_OF_RANGE}
    [path] = (subset / "data").iterdir()
    kept = [row and row["bytes"] for row in pq.read_table(path, columns=["image"])["image"].to_pylist()]
    passed = off | {Reason.SCORE_OUT_OF_RANGE}  # no range is declared
    spoilt = [SPOILT[rule].get("image", pair(n)["image"]) for n, rule in enumerate(RULES, start=1) if rule in passed]
    assert kept == [pair(0)["image"], *spoilt, pair(len(RULES) + 1)["image"]]

from pathlib import Path
from typing import Any

import mercantile
import numpy as np
import pytest
from signals import pictures, scanned, select, tile, verdicts

HALVES = {"test": 0.5, "train": 0.5}


def nested_tiles(count: int, seed: int, degrees: float) -> list[dict[str, Any]]:
    """Return rows at zooms 5 to 12 near one point of the antimeridian, where many tiles lie within others."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        z = int(rng.integers(5, 13))
        east, north = rng.uniform(-degrees, degrees, 2).tolist()
        corner = mercantile.tile(east % 360 - 180, north, z)
        rows.append(tile(z, corner.x, corner.y) | {"sha256": rng.bytes(32)})
    return rows


def kept_by_split(rows: list[dict[str, Any]], found: list[dict[str, Any]]) -> dict[str, list[mercantile.Tile]]:
    kept: dict[str, list[mercantile.Tile]] = {}
    for row, verdict in zip(rows, found, strict=True):
        if verdict["kept"] and row.get("x") is not None:
            kept.setdefault(verdict["split"], []).append(mercantile.Tile(row["x"], row["y"], row["z"]))
    return kept


def distance(one: mercantile.Tile, other: mercantile.Tile, zoom: int) -> int:
    """Return how many tiles of ``zoom`` lie between two tiles, -1 where they share ground."""

    def ends(at: int, z: int) -> tuple[int, int]:
        return (at >> (z - zoom), at >> (z - zoom)) if z >= zoom else (at << (zoom - z), ((at + 1) << (zoom - z)) - 1)

    world = 1 << zoom
    (a, b), (c, d) = ends(one.x, one.z), ends(other.x, other.z)
    sideways = min(max(c + turn - b, a - d - turn) for turn in (-world, 0, world)) - 1
    (a, b), (c, d) = ends(one.y, one.z), ends(other.y, other.z)
    return max(sideways, max(c - b, a - d) - 1)


@pytest.mark.parametrize("seed", range(3))
def test_no_ground_is_in_two_splits_at_any_zoom(tmp_path: Path, seed: int) -> None:
    rows = nested_tiles(400, seed, degrees=8)
    splits = {"fractions": HALVES, "seed": seed, "spatial": {"zoom": 7}}
    found = verdicts(select(tmp_path, scanned(tmp_path, rows), splits=splits))
    kept = kept_by_split(rows, found)
    assert min(map(len, kept.values())) > 20
    for one in kept["train"]:
        for other in kept["test"]:
            high, low = sorted((one, other), key=lambda at: at.z)
            assert low != high
            assert low.z == high.z or mercantile.parent(low, zoom=high.z) != high
    # Only what is coarser than a block was left out for it, and all of it.
    straddled = [row["z"] < 7 for row in rows]
    assert straddled == [not verdict["kept"] for verdict in found]


@pytest.mark.parametrize(("zoom", "tiles"), [(7, 1), (9, 2), (10, 3)])
def test_a_buffer_keeps_splits_apart_also_across_the_antimeridian(tmp_path: Path, zoom: int, tiles: int) -> None:
    rows = nested_tiles(600, seed=7, degrees=8 if zoom > 7 else 60)
    spatial = {"zoom": 7, "buffer": {"zoom": zoom, "tiles": tiles}}
    scan = scanned(tmp_path, rows)
    splits = {"fractions": HALVES, "seed": 1, "spatial": {"zoom": 7}}
    without = kept_by_split(rows, verdicts(select(tmp_path, scan, splits=splits)))
    kept = kept_by_split(rows, verdicts(select(tmp_path, scan, splits=splits | {"spatial": spatial})))
    between = [distance(one, other, zoom) for one in kept["train"] for other in kept["test"]]
    assert min(between) >= 2 * tiles - 1
    assert sum(map(len, kept.values())) < sum(map(len, without.values()))


def test_a_block_without_other_rows_is_nobody_s_ground(tmp_path: Path) -> None:
    rows = [tile(8, 100, 100)]
    splits = {"fractions": HALVES, "spatial": {"zoom": 7, "buffer": {"zoom": 8, "tiles": 2}}}
    assert select(tmp_path, scanned(tmp_path, rows), splits=splits).kept == 1


@pytest.mark.parametrize("spatial", [None, {"zoom": 6}])
@pytest.mark.parametrize("near", [None, {}])
def test_copies_never_straddle_splits(
    tmp_path: Path, spatial: dict[str, int] | None, near: dict[str, Any] | None
) -> None:
    """Of 300 pictures some are there five times: in bytes, to the scan's eye, with and without a place."""
    rng = np.random.default_rng(5)
    rows = []
    for number in rng.integers(0, 300, 900).tolist():
        places = [{}, {}, tile(9, number, 200), tile(9, (number * 37) % 512, 300)]
        image = {"sha256": bytes([number % 256, number // 256, int(rng.integers(2))]) + bytes(29)}
        seen = {"signature": 1000 + number, "phash": 1000 + number, "descriptor": rng.bytes(256)}
        rows.append(image | seen | places[int(rng.integers(4))])
    rules = {"near": near, "exact_bytes": near is not None}
    splits = {"fractions": HALVES, "spatial": spatial}
    found = verdicts(select(tmp_path, scanned(tmp_path, rows), rules, splits=splits))
    kept = [(row["signature"], verdict["split"]) for row, verdict in zip(rows, found, strict=True) if verdict["kept"]]
    if near is None:  # all copies stay, but those in blocks of two splits, and have to be together
        assert len(kept) > 500
    else:
        assert len(kept) == len({signature for signature, _ in kept}) > 200
    assert len({signature for signature, _ in kept}) == len(set(kept))
    assert {split for _, split in kept} == {"train", "test"}


def test_pictures_that_are_near_share_a_split_though_the_one_between_them_is_not_kept(tmp_path: Path) -> None:
    """Chains a - b - c, of which b is a copy of both: a and c are no duplicates, and go together all the same."""
    rows = pictures(120)
    for end in (*rows[::3], *rows[2::3]):
        end["img_quality_score"] = 1.0
    near = [pair for n in range(1, 121, 3) for pair in ((n, n + 1), (n + 1, n + 2))]
    found = verdicts(select(tmp_path, scanned(tmp_path, rows), {"near": None}, near, splits={"fractions": HALVES}))
    assert [verdict["kept"] for verdict in found] == [True, False, True] * 40
    splits = [verdict["split"] for verdict in found if verdict["kept"]]
    assert splits[::2] == splits[1::2]
    assert set(splits) == {"train", "test"}


@pytest.mark.parametrize("seed", range(6))
def test_a_row_without_place_goes_where_the_place_is_that_it_is_a_copy_of_by_steps(tmp_path: Path, seed: int) -> None:
    """Placed rows, rows between that are rejected, and rows without place: near, one after the other."""
    rows = pictures(60)
    for number, end in enumerate(rows):
        end["img_quality_score"] = None if number % 3 == 1 else 1.0
        if number % 3 == 0:
            end |= tile(9, number * 7, 100 + number)
    near = [pair for n in range(1, 61, 3) for pair in ((n, n + 1), (n + 1, n + 2))]
    splits = {"fractions": HALVES, "seed": seed, "spatial": {"zoom": 7}}
    found = verdicts(select(tmp_path, scanned(tmp_path, rows), {"near": None}, near, splits=splits))
    kept = [verdict["split"] for verdict in found if verdict["kept"]]
    assert len(kept) == 40
    assert kept[::2] == kept[1::2]
    assert set(kept) == {"train", "test"}

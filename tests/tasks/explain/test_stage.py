"""Explanations against verdicts: every row of rich subsets, with the signals and without."""

import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pairs import Row, encode, land, pair, picture, publish_one, recipe_for, write_tree
from upath import UPath

from schemas.explanation import Explanation, Outcome, RuleOutcome
from schemas.reasons import Reason
from schemas.recipe import Recipe, ValidationRules
from schemas.source import Columns
from tasks.explain.lookup import NoSuchRow
from tasks.explain.stage import explain, explain_row
from tasks.published import NotASubset, SubsetDamaged, read_manifest

ROWS = 125


def rich_rows() -> list[Row]:
    """Return pairs over three zoom levels with planted defects of most kinds, and with duplicates of each."""
    rows = []
    for seed in range(ROWS):
        zoom = 12 + seed % 3
        x, y = (3000 + 97 * seed) % 2**zoom, (1200 + 31 * seed) % 2**zoom
        place = {"resolution": 2.0 ** (17 - zoom), "Google_location": f"{zoom}_{x}_{y}"}
        rows.append(pair(seed, caption=f"place{seed} {pair(seed)['caption']}", **place))
    planted: list[dict[str, Any]] = [
        {"image": None},
        {"image": encode(picture(1))[:-200]},
        {"image": b"<html>no picture</html>"},
        {"image": encode(picture(3), "GIF")},
        {"image": encode(picture(4, size=(128, 128)))},
        {"image": encode(picture(5).point(lambda value: 7))},
        {"image": encode(picture(6).convert("I;16"), "TIFF")},
        {"caption": " "},
        {"caption": "I'm sorry, but I cannot see the image."},
        {"caption": "bro\x00ken words of a caption that has enough of them to count"},
        {"caption_length": 3},
        {"img_quality_score": None},
        {"img_quality_score": float("nan")},
        {"img_quality_score": 99.0},
        {"Google_location": None},
        {"Google_location": "public_22"},
        {"Google_location": "1_2_x"},
        {"Google_location": "3_9_9"},
        {"resolution": 5.0},
        {"img_name": ""},
        {"img_name": None},
        {"img_name": "tile_40.jpg"},
        {"img_name": "tile_41.jpg", "image": None},
        {"img_name": "tile_0.jpg"},
    ]
    for number, changes in enumerate(planted):
        rows[3 * number + 50] |= changes
    rows[2] |= {"image": rows[30]["image"], "img_quality_score": 3.1}
    rows[4] |= {"image": encode(picture(33), quality=60)}
    rows[6] |= {"image": encode(land(5))}
    rows[7] |= {"image": encode(land(5), quality=40), "img_quality_score": 3.2}
    rows[8] |= {"Google_location": rows[11]["Google_location"], "resolution": rows[11]["resolution"]}
    rows[10] |= {"caption": rows[12]["caption"], "caption_length": rows[12]["caption_length"]}
    return rows


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("source") / "tiny", rich_rows(), shards=4)


STRICT = {
    "image_size": {"width": 256, "height": 256},
    "score": {"min": 0, "max": 6},
    "zoom": {"min": 3, "max": 14},
    "rules": {
        "score_missing": "reject",
        "place_missing": "flag",
        "img_name_repeated": "reject",
        "image_mode": "ignore",
    },
}
LOOSE = {"rules": dict.fromkeys(ValidationRules.model_fields, "flag")}

SUBSETS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quantiles": {
        "quality": {"min_quantile": 0.3, "per_zoom": True},
        "caption_words": {"min": 10, "max": 33},
        "zoom": {"min": 12, "max": 13},
        "resolution_m": {"min": 9},
        "ground_resolution_m": {"max": 30},
        "signals": {
            "byte_length": {"min_quantile": 0.1, "max_quantile": 0.95},
            "sharpness": {"min": 0.5, "max_quantile": 0.9, "per_zoom": True},
            "luma_std": {"min": 20.0, "max": 90.0},
        },
    },
    "places": {
        "bbox": {"west": -180, "south": -60, "east": 170, "north": 80},
        "area": {"path": "{folder}/area.geojson"},
        "include": {"path": "{folder}/include.txt"},
        "exclude": {"path": "{folder}/exclude.csv"},
        "caption_words": {"min": 12, "action": "flag"},
        "splits": {
            "fractions": {"train": 0.6, "test": 0.4},
            "spatial": {"zoom": 5, "buffer": {"zoom": 8, "tiles": 2}},
        },
    },
    "drawn": {
        "quality": {"min_score": 3.2},
        "top": {"signal": "sharpness", "fraction": 0.7, "per_zoom": True},
        "sampling": {"per_zoom": 20, "fraction": 0.8, "max_rows": 25},
        "splits": {"fractions": {"train": 0.7, "test": 0.3}},
    },
}


def curated(tree: Path, home: Path, name: str, validation: dict[str, Any]) -> Path:
    home.mkdir(exist_ok=True)
    ring = [[-170, -80], [150, -80], [150, 75], [-170, 75], [-170, -80]]
    (home / "area.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    (home / "include.txt").write_text("\n".join(map(str, range(5, ROWS))))
    (home / "exclude.csv").write_text("img_name\ntile_17.jpg\ntile_18.jpg\n")
    subset = json.loads(json.dumps({"name": name} | SUBSETS[name]).replace("{folder}", str(home)))
    found = {"exact_pixels": True, "same_tile": True, "caption_copies": 1, "near": {"any_orientation": True}}
    settings = {
        "validation": validation,
        "deduplication": found,
        "scan": {"pixel_digest": True},
        "output": {"dir": home / "subsets", "shard_bytes": 300_000},
        "workspace": tree.parent / "workspace",
    }
    return published(recipe_for(tree, home, subsets=[subset], **settings))


def published(recipe: Recipe) -> Path:
    """Curate as ``publish_one`` does, with the ``run.json`` of a real run."""
    directory = publish_one(recipe)
    (directory / "run.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json")}))
    return directory


@pytest.fixture(scope="module", params=[(name, rules) for name in SUBSETS for rules in ("strict", "loose")], ids=str)
def case(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A subset of every kind, and the workspace that it was made in."""
    name, rules = request.param
    home = tmp_path_factory.mktemp(f"{name}-{rules}")
    return curated(tree, home, name, STRICT if rules == "strict" else LOOSE), tree.parent / "workspace"


def of(rules: tuple[RuleOutcome, ...], outcome: Outcome) -> set[Reason]:
    return {rule.rule for rule in rules if rule.outcome is outcome}


def explained(directory: Path, workspace: Path | None, step: int = 1) -> list[Explanation]:
    manifest = read_manifest(UPath(directory))
    folder, place = UPath(directory), None if workspace is None else UPath(workspace)
    return [explain_row(folder, manifest, row_id, place, folder) for row_id in range(0, manifest.source.rows, step)]


def test_the_rules_explained_as_rejecting_and_flagging_are_those_published(case: tuple[Path, Path]) -> None:
    directory, workspace = case
    rejected = {row["row_id"]: row for row in pq.read_table(directory / "rejected.parquet").to_pylist()}
    index = {row["row_id"]: row for row in pq.read_table(directory / "index.parquet").to_pylist()}
    assert rejected
    assert index
    for told in explained(directory, workspace):
        row_id = told.row.row_id
        assert told.notes == ()
        assert told.kept == (row_id in index)
        reasons = [] if told.kept else rejected[row_id]["reasons"]
        assert of(told.rules, Outcome.REJECTED) == set(reasons), row_id
        assert told.primary_reason == (reasons[0] if reasons else None)
        if told.kept:
            assert of(told.rules, Outcome.FLAGGED) == set(index[row_id]["flags"]), row_id
            assert not of(told.rules, Outcome.NOT_REACHED)
        assert not of(told.rules, Outcome.UNKNOWN)
        assert set(told.flags) == of(told.rules, Outcome.FLAGGED)


def test_without_the_workspace_the_same_rules_reject_and_it_is_said(case: tuple[Path, Path], tmp_path: Path) -> None:
    directory, workspace = case
    for full, bare in zip(explained(directory, workspace, 3), explained(directory, tmp_path, 3), strict=True):
        assert "no signals of data-0000" in bare.notes[0]
        assert len(bare.notes) == 1
        assert bare.measured == {}
        assert [(rule.key, rule.limit) for rule in bare.rules] == [(rule.key, rule.limit) for rule in full.rules]
        for known, told in zip(full.rules, bare.rules, strict=True):
            same = {known.outcome, told.outcome}
            known_only = {Outcome.NO_VALUE, Outcome.PASSED} >= same or told.outcome is Outcome.UNKNOWN
            assert len(same) == 1 or known_only, (full.row, known, told)
            assert told.outcome is not Outcome.UNKNOWN or not full.kept


def test_all_rows_of_a_name_are_told_up_to_three(case: tuple[Path, Path]) -> None:
    directory, workspace = case
    answer = explain(UPath(directory), "tile_40.jpg", workspace=UPath(workspace))
    ids = [row.row.row_id for row in answer.rows]
    assert (answer.found_rows, ids) == (2, [40, 113])
    repeated = {rule.rule: rule.outcome for rule in answer.rows[1].rules}[Reason.IMG_NAME_REPEATED]
    assert repeated in (Outcome.REJECTED, Outcome.FLAGGED)


@pytest.fixture(scope="module")
def plain(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curated(tree, tmp_path_factory.mktemp("plain"), "quantiles", STRICT)


def ask(directory: Path, asked: object, **options: Any) -> Explanation:
    return explain(UPath(directory), str(asked), **options).rows[0]


def test_measured_values_are_those_of_the_row(plain: Path) -> None:
    told = ask(plain, 1)
    row = rich_rows()[1]
    assert told.measured["img_quality_score"] == row["img_quality_score"]
    assert told.measured["caption_words"] == row["caption_length"]
    assert told.measured["byte_length"] == len(row["image"])
    assert (told.measured["format"], told.measured["width"], told.measured["height"]) == ("JPEG", 256, 256)
    assert "/".join(str(told.measured[name]) for name in "zxy") == row["Google_location"].replace("_", "/")
    assert len(str(told.measured["sha256"])) == 64
    assert len(str(told.measured["phash"])) == 16


def test_a_quantile_is_told_as_the_number_of_the_row_s_zoom(plain: Path) -> None:
    manifest = read_manifest(UPath(plain))
    [limit] = [limit for limit in manifest.thresholds if limit.key == "quality.min_quantile"]
    assert limit.by_zoom is not None
    for row_id in (0, 1, 2):
        [rule] = [rule for rule in ask(plain, row_id).rules if rule.rule is Reason.QUALITY_BELOW]
        zoom = 12 + row_id % 3
        assert rule.limit == f"img_quality_score at least {limit.by_zoom[str(zoom)]:g} at zoom {zoom} (quantile 0.3)"
        assert (rule.outcome is Outcome.PASSED) == (float(rule.measured or 0) >= limit.by_zoom[str(zoom)])


def test_of_two_ends_of_a_range_only_the_missed_one_rejects(tree: Path, plain: Path, tmp_path: Path) -> None:
    seen = set()
    rejected = pq.read_table(plain / "rejected.parquet")
    missed = pc.list_value_length(rejected["reasons"])
    for row in rejected.filter(pc.greater(missed, 0)).to_pylist():
        if "byte_length_outside" not in row["reasons"]:
            continue
        for workspace in (tree.parent / "workspace", tmp_path):
            folder = UPath(plain)
            told = explain_row(folder, read_manifest(folder), row["row_id"], UPath(workspace), folder)
            ends = {
                rule.key.rpartition(".")[2]: rule.outcome
                for rule in told.rules
                if rule.rule is Reason.BYTE_LENGTH_OUTSIDE
            }
            assert sorted(ends.values()) == [Outcome.PASSED, Outcome.REJECTED], row
            seen |= {end for end, outcome in ends.items() if outcome is Outcome.REJECTED}
    assert seen == {"min_quantile", "max_quantile"}


def test_duplicates_name_each_other(tree: Path, tmp_path: Path) -> None:
    directory = curated(tree, tmp_path, "plain", STRICT)
    worse, better = ask(directory, 2), ask(directory, 30)
    assert worse.duplicate_of is not None
    assert (worse.duplicate_of.row.row_id, worse.duplicate_of.reason) == (30, Reason.DUPLICATE_BYTES)
    assert worse.duplicate_of.distance == 0
    assert better.duplicate_rows == 1
    assert [(copy.row.row_id, copy.reason) for copy in better.duplicates] == [(2, Reason.DUPLICATE_BYTES)]
    outcomes = {rule.rule: rule.outcome for rule in worse.rules}
    assert outcomes[Reason.DUPLICATE_PIXELS] is outcomes[Reason.DUPLICATE_NEAR] is Outcome.NOT_REACHED
    near = ask(directory, 4)
    assert near.duplicate_of is not None
    assert (near.duplicate_of.row.row_id, near.duplicate_of.reason) == (33, Reason.DUPLICATE_NEAR)
    assert near.duplicate_of.similarity is not None
    assert near.duplicate_of.similarity > 0.9
    [rule] = [rule for rule in near.rules if rule.rule is Reason.DUPLICATE_NEAR]
    assert rule.measured == near.duplicate_of.distance


@pytest.mark.parametrize("name", ["drawn", "plain"])
def test_the_line_that_reads_a_row_reads_that_row(tree: Path, tmp_path: Path, name: str) -> None:
    from datasets import load_dataset

    directory = curated(tree, tmp_path, name, STRICT)
    index = pq.read_table(directory / "index.parquet").to_pylist()
    for row in index[:: max(1, len(index) // 6)]:
        told = ask(directory, row["row_id"])
        assert told.place is not None
        assert (told.place.split, told.place.file) == (row["split"], row["file"])
        here = pq.read_table(directory / told.place.file).slice(told.place.file_row, 1).to_pylist()[0]
        read = eval(told.place.how, {"load_dataset": load_dataset})
        assert here["img_name"] == read["img_name"] == row["img_name"]


def test_rules_without_column_are_off_and_rules_without_value_say_so(tmp_path: Path) -> None:
    rows = [pair(seed) for seed in range(6)]
    rows[1]["image"] = None
    columns = {"img_quality_score": "", "caption_length": ""}
    tree = write_tree(tmp_path / "tree", rows)
    recipe = recipe_for(tree, tmp_path)
    source = recipe.source.model_copy(update={"columns": Columns.model_validate(columns)})
    told = ask(published(recipe.model_copy(update={"source": source})), 1)
    outcomes = {rule.rule: rule.outcome for rule in told.rules}
    assert outcomes[Reason.SCORE_MISSING] is outcomes[Reason.CAPTION_LENGTH_MISMATCH] is Outcome.OFF
    assert outcomes[Reason.IMAGE_MISSING] is Outcome.REJECTED
    assert outcomes[Reason.IMAGE_BLANK] is outcomes[Reason.DUPLICATE_NEAR] is Outcome.NO_VALUE
    assert outcomes[Reason.IMAGE_SIZE] is Outcome.IGNORED
    assert outcomes[Reason.CAPTION_MISSING] is Outcome.PASSED


def test_rows_that_are_not_there_are_refused_by_range_or_with_names_like_them(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(NoSuchRow, match=r"no row 125; row ids are 0 to 124"):
        ask(plain, ROWS)
    with pytest.raises(NoSuchRow, match=r"no row has the img_name 'TILE_120\.png'; there is 'tile_120\.jpg'"):
        ask(plain, "TILE_120.png")
    with pytest.raises(NoSuchRow, match=r"no row has the img_name '5'$"):
        ask(plain, "5", by_name=True)
    with pytest.raises(NotASubset, match=r"no manifest\.json"):
        explain(UPath(tmp_path), "1")


def test_a_digit_name_beyond_the_row_ids_is_a_name(tmp_path: Path) -> None:
    rows = [pair(seed, img_name=str(100 - seed)) for seed in range(4)]
    directory = published(recipe_for(write_tree(tmp_path / "tree", rows), tmp_path))
    assert ask(directory, "99").row.row_id == 1
    assert ask(directory, "3").row.row_id == 3
    assert ask(directory, "98", by_name=True).row.row_id == 2


def test_a_damaged_table_is_named_and_signals_that_cannot_be_read_are_a_note(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", [pair(seed) for seed in range(4)])
    directory = published(recipe_for(tree, tmp_path))
    assert ask(directory, 1).notes == ()
    for path in (tmp_path / "workspace" / "signals").rglob("*.parquet"):
        path.write_bytes(b"PAR1 nothing of the kind PAR1")
    told = ask(directory, 1)
    assert "cannot be read" in told.notes[0]
    assert told.measured == {}
    (directory / "run.json").unlink()
    assert "name it with --workspace" in ask(directory, 1).notes[0]
    (directory / "index.parquet").unlink()
    with pytest.raises(SubsetDamaged, match=r"index\.parquet: cannot be read"):
        ask(directory, 2)

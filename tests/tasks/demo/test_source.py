"""The demo source on disk: its tree, its order, its pictures of known places, and what was planted in it."""

import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import mercantile
import pyarrow as pa
import pytest
from pairs import recipe_for, scan_all
from PIL import Image
from pydantic import ValidationError

from schemas.reasons import Reason, Stage
from schemas.recipe import ScanSettings, ValidationRules
from schemas.reports import ReferenceReport
from schemas.row import breaches, count_words
from schemas.source import FileSource
from schemas.tables import FACT_COLUMNS
from tasks.deduplicate.stage import find_duplicates
from tasks.demo import mapdata
from tasks.demo import source as demo_source
from tasks.demo.defects import PLANTED
from tasks.demo.duplicates import COPIES
from tasks.demo.mapdata import MapsMissing
from tasks.demo.planted import NotADemoSource, Planted
from tasks.demo.reference import make_reference
from tasks.demo.source import SHARDS, DemoSource, make_source
from tasks.files import read_parquet
from tasks.scan.decode import decode
from tasks.scan.images import read_images
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts
from tasks.source.columns import images, resolve
from tasks.source.listing import list_shards
from tasks.source.read import read_batches

SMALL = {"relief_max_zoom": 4, "bluemarble_max_zoom": 2}
SOUND = (1 + 4 + 16 + 64 + 256) + (1 + 4 + 16)  # tiles of the relief and of the Blue Marble
SCORES = (0, 6)  # deployments/recipes/demo.yaml

_MISNAMED = (Reason.IMG_NAME_MISSING, Reason.IMG_NAME_REPEATED)
_SETTINGS = ScanSettings()
DECODER = partial(decode, formats=_SETTINGS.formats, max_pixels=_SETTINGS.max_pixels, max_bytes=_SETTINGS.max_bytes)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoSource:
    return make_source(tmp_path_factory.mktemp("demo") / "source", **SMALL)


@pytest.fixture(scope="module")
def planted(made: DemoSource) -> Planted:
    return Planted.load(made.directory)


@pytest.fixture(scope="module")
def rows(made: DemoSource) -> list[dict[str, Any]]:
    tree = datasets.load_from_disk(str(made.directory))
    return list(tree["train"].cast_column("image", datasets.Image(decode=False)))


@pytest.fixture(scope="module")
def sound(rows: list[dict[str, Any]], planted: Planted) -> list[dict[str, Any]]:
    spoilt = {row.row_id for row in planted.planted}
    return [row for row_id, row in enumerate(rows) if row_id not in spoilt]


def _digests(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tree_has_git10m_columns_and_shards(made: DemoSource, planted: Planted) -> None:
    train = datasets.load_from_disk(str(made.directory))["train"]
    assert train.features == datasets.Features(
        image=datasets.Image(),
        img_name=datasets.Value("string"),
        img_quality_score=datasets.Value("float64"),
        caption=datasets.Value("string"),
        caption_length=datasets.Value("int64"),
        resolution=datasets.Value("float64"),
        Google_location=datasets.Value("string"),
    )
    assert len(train) == made.rows == planted.rows == SOUND + len(planted.planted)
    shards = list_shards(FileSource(path=str(made.directory), name="demo"))
    assert len(shards) == made.shards == planted.shards == SHARDS
    assert sum(batch.num_rows for shard in shards for batch in read_batches(shard)) == made.rows
    assert train[0]["image"].size == (256, 256)


def test_sound_rows_keep_the_contract(sound: list[dict[str, Any]]) -> None:
    assert len(sound) == SOUND
    for row in sound:
        assert breaches({name: row[name] for name in FACT_COLUMNS}) == {}
        assert row["caption_length"] == count_words(row["caption"])
        assert row["resolution"] == 2.0 ** (17 - int(row["Google_location"].split("_")[0]))
        assert 0 <= row["img_quality_score"] <= 6
        assert row["img_name"].endswith(f"_{row['Google_location']}.jpg")
        assert Image.open(io.BytesIO(row["image"]["bytes"])).format == "JPEG"
    assert len({row["img_name"] for row in sound}) == SOUND
    assert len({row["caption_length"] for row in sound}) > 12


def test_rows_are_sorted_by_zoom_x_y(rows: list[dict[str, Any]], sound: list[dict[str, Any]], planted: Planted) -> None:
    tiles = [tuple(map(int, row["Google_location"].split("_"))) for row in sound]
    assert tiles == sorted(tiles)
    # A spoilt row may not say where it belongs; those that do, named after their tile, stand in the same order.
    misnamed = {row.row_id for row in planted.planted if row.reason in _MISNAMED}
    named = [row["img_name"].removesuffix(".jpg").split("_")[1:4] for i, row in enumerate(rows) if i not in misnamed]
    assert named == sorted(named, key=lambda tile: tuple(map(int, tile)))


@pytest.mark.parametrize(
    ("place", "longitude", "latitude", "is_sea"),
    [
        ("the Pacific", -150.0, 0.0, True),
        ("the Sahara", 10.0, 22.0, False),
        ("the Indian Ocean", 80.0, -30.0, True),
        ("Australia", 135.0, -25.0, False),
        ("the North Atlantic", -40.0, 45.0, True),
        ("Greenland", -40.0, 72.0, False),
    ],
)
@pytest.mark.parametrize(("product", "z"), [("relief", 0), ("relief", 2), ("bluemarble", 0), ("bluemarble", 1)])
def test_places_have_their_colours(
    sound: list[dict[str, Any]], product: str, z: int, place: str, longitude: float, latitude: float, is_sea: bool
) -> None:
    tile = mercantile.tile(longitude, latitude, z)
    bounds = mercantile.xy_bounds(tile)
    x, y = mercantile.xy(longitude, latitude)
    column = int((x - bounds.left) / (bounds.right - bounds.left) * 256)
    line = int((bounds.top - y) / (bounds.top - bounds.bottom) * 256)
    image = {row["img_name"]: row["image"]["bytes"] for row in sound}[f"{product}_{z}_{tile.x}_{tile.y}.jpg"]
    red, _, blue = Image.open(io.BytesIO(image)).convert("RGB").getpixel((column, line))
    assert (blue - red > 15) == is_sea, f"{place}: red {red}, blue {blue}"


def _fact_breaches(rows: list[dict[str, Any]]) -> Iterator[set[Reason]]:
    names: set[str] = set()
    for row in rows:
        broken = set(breaches({name: row[name] for name in FACT_COLUMNS}))
        score, name = row["img_quality_score"], row["img_name"]
        if score is not None and math.isfinite(score) and not SCORES[0] <= score <= SCORES[1]:
            broken.add(Reason.SCORE_OUT_OF_RANGE)
        if name in names:
            broken.add(Reason.IMG_NAME_REPEATED)
        if (name or "").strip():
            names.add(name)
        yield broken


def _image_breaches(directory: Path) -> Iterator[set[Reason]]:
    for signals, defects in _measured(directory):
        columns = (signals[name].to_pylist() for name in ("width", "height", "luma_std", "nodata_fraction"))
        for row, (width, height, luma_std, nodata_fraction) in enumerate(zip(*columns, strict=True)):
            broken = set(defects.get(row, {}))
            if luma_std is not None:  # it was decoded
                broken |= {Reason.IMAGE_SIZE} if (width, height) != (256, 256) else set()
                broken |= {Reason.IMAGE_BLANK} if luma_std <= 1 else set()
                broken |= {Reason.IMAGE_NODATA} if nodata_fraction >= 0.02 else set()
            yield broken


def _measured(directory: Path) -> Iterator[tuple[dict[str, pa.Array], dict[int, dict[Reason, str]]]]:
    for shard in list_shards(FileSource(path=str(directory), name="demo")):
        for batch in read_batches(shard):
            yield read_images(images(batch, resolve(batch.schema, {})), decoder=DECODER)


def _shows_a_pole(tile: str) -> bool:
    z, _, y = map(int, tile.split("_"))
    return y in (0, 2**z - 1)


def test_each_planted_row_breaks_its_own_rule_alone(
    made: DemoSource, planted: Planted, rows: list[dict[str, Any]]
) -> None:
    reasons = {spoilt.row_id: spoilt.reason for spoilt in planted.planted}
    both = zip(_fact_breaches(rows), _image_breaches(made.directory), strict=True)
    for row_id, (row, (fact_breaches, image_breaches)) in enumerate(zip(rows, both, strict=True)):
        found = fact_breaches | image_breaches
        reason = reasons.get(row_id)
        if reason is not None and reason.stage is Stage.VALIDATION:
            assert found == {reason}, row["img_name"]
        else:  # sound, or a copy of a sound row: ice is pure white in the maps, and the deep sea is of one colour
            may_be = {Reason.IMAGE_NODATA} if _shows_a_pole(row["Google_location"]) else set()
            may_be |= {Reason.IMAGE_BLANK} if reason is None and row["img_name"].startswith("relief") else set()
            assert found <= may_be, row["img_name"]


def test_a_row_with_a_repeated_name_stands_after_its_namesake(planted: Planted, rows: list[dict[str, Any]]) -> None:
    names = [row["img_name"] for row in rows]
    repeated = [row for row in planted.planted if row.reason is Reason.IMG_NAME_REPEATED]
    assert [row for row in repeated if names.index(row.img_name) >= row.row_id] == []
    others = [name for row_id, name in enumerate(names) if row_id not in {row.row_id for row in repeated}]
    assert [name for name, times in Counter(others).items() if times > 1 and (name or "").strip()] == []


@pytest.fixture(scope="module")
def verdicts(made: DemoSource, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What becomes of each row where nothing but deduplication counts, as the demo's recipe has it."""
    home = tmp_path_factory.mktemp("curated")
    make_reference(home / "reference.parquet")
    recipe = recipe_for(
        made.directory,
        home,
        scan={"pixel_digest": True},
        validation={"rules": dict.fromkeys(ValidationRules.model_fields, "ignore")},
        deduplication={
            "exact_pixels": True,
            "near": {"any_orientation": True, "overlapping": True},
            "references": [{"path": str(home / "reference.parquet"), "name": "benchmark"}],
        },
    )
    scanned = scan_all(recipe)
    (source,) = recipe.deduplication.references
    reference = ReferenceReport(name=source.name, scan=scan_all(recipe.model_copy(update={"source": source})))
    found = find_duplicates(scanned, (reference,), recipe.deduplication, recipe.workspace)
    return read_parquet(give_verdicts(recipe.subsets[0], Basis(recipe, scanned, found)).verdicts).to_pylist()


def test_each_copy_is_found_for_its_reason_alone(
    verdicts: list[dict[str, Any]], planted: Planted, rows: list[dict[str, Any]]
) -> None:
    row_ids = {row["img_name"]: row_id for row_id, row in enumerate(rows)}
    copies = [row for row in planted.planted if row.reason.stage is Stage.DEDUPLICATION]
    for copy in copies:
        verdict = verdicts[copy.row_id]
        assert verdict["reasons"] == copy.reason.bit, copy.note
        tile = f"{'_'.join(str(copy.img_name).split('_')[:4])}.jpg"
        if copy.reason is Reason.CONTAMINATED:
            assert verdict["reference"] == f"benchmark: {tile}"
            assert tile not in row_ids
        else:
            assert verdict["duplicate_of"] == row_ids[tile] == copy.row_id - 1
            assert rows[copy.row_id]["img_quality_score"] < rows[row_ids[tile]]["img_quality_score"]


def test_nothing_but_copies_is_the_same_as_another(verdicts: list[dict[str, Any]], planted: Planted) -> None:
    pictureless = (Reason.IMAGE_TOO_LARGE, Reason.IMAGE_UNDECODABLE)  # the same black PNG, the same error page
    copies = {row.row_id for row in planted.planted if row.reason.stage is Stage.DEDUPLICATION}
    alike = {row.row_id for row in planted.planted if row.reason in pictureless}
    found = [row["row_id"] for row in verdicts if row["reasons"] and row["row_id"] not in copies | alike]
    assert found == []


def test_record_names_rows_and_counts(planted: Planted, rows: list[dict[str, Any]]) -> None:
    assert [row.img_name for row in planted.planted] == [rows[row.row_id]["img_name"] for row in planted.planted]
    assert planted.counts == Counter(row.reason for row in planted.planted)
    assert set(planted.counts) == set(PLANTED)
    assert all(3 <= count <= 8 for count in planted.counts.values())


def test_every_way_is_in_the_record(planted: Planted) -> None:
    for reason, ways in COPIES.items():
        notes = [row.note for row in planted.planted if row.reason is reason]
        assert [way.note for way in ways if not any(note.endswith(f", {way.note}") for note in notes)] == []


@pytest.mark.slow
def test_same_arguments_give_the_same_bytes(made: DemoSource, tmp_path: Path) -> None:
    again = make_source(tmp_path / "elsewhere" / "again", **SMALL)
    assert not again.reused
    assert _digests(again.directory) == _digests(made.directory)


def test_no_file_names_the_machine(made: DemoSource) -> None:
    for path in made.directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for place in (made.directory.parent, Path.home(), Path.cwd()):
                assert f"{place}/".encode() not in data


def test_a_finished_source_is_reused(made: DemoSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_source, "_make_rows", None)  # would fail if it were called
    assert make_source(made.directory, **SMALL) == made.model_copy(update={"reused": True})


def test_another_source_in_the_way_is_refused(made: DemoSource) -> None:
    before = _digests(made.directory)
    with pytest.raises(NotADemoSource, match=r"another demo source.*seed=0.*seed=5"):
        make_source(made.directory, seed=5, **SMALL)
    assert _digests(made.directory) == before


@pytest.mark.parametrize("record", [None, "not json", json.dumps({"planted": []})])
def test_a_users_folder_is_left_alone(tmp_path: Path, record: str | None) -> None:
    (tmp_path / "thesis.txt").write_text("four years of work")
    if record is not None:
        (tmp_path / "planted.json").write_text(record)
    before = _digests(tmp_path)
    with pytest.raises(NotADemoSource, match="name a folder that does not exist yet"):
        make_source(tmp_path, **SMALL)
    assert _digests(tmp_path) == before


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(demo_source, "_make_rows", fail)
    with pytest.raises(OSError, match="disk full"):
        make_source(tmp_path / "source", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_missing_maps_are_named_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise ModuleNotFoundError(package)

    monkeypatch.setattr(mapdata, "files", absent)
    with pytest.raises(MapsMissing, match=r"pip install 'git10m\[demo\]'"):
        make_source(tmp_path / "source", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_record_must_add_up(planted: Planted) -> None:
    data = planted.model_dump(mode="json")
    with pytest.raises(ValidationError, match="counts are not those"):
        Planted.model_validate_json(json.dumps(data | {"planted": data["planted"][1:]}))
    with pytest.raises(ValidationError, match="must be in order"):
        Planted.model_validate_json(json.dumps(data | {"planted": data["planted"][::-1]}))
    with pytest.raises(ValidationError, match="below 3"):
        Planted.model_validate_json(json.dumps(data | {"rows": 3}))


@pytest.mark.parametrize(
    "argument", [{"relief_max_zoom": 6}, {"relief_max_zoom": 3}, {"bluemarble_max_zoom": 5}, {"seed": -1}]
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, argument: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        make_source(tmp_path / "source", **argument)

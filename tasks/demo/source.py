"""Make the demo's source: a ``datasets.save_to_disk`` tree of map tiles, some of them with planted defects."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from schemas.base import Model
from schemas.reasons import Reason, Stage
from schemas.recipe import fingerprint
from schemas.tables import FACT_COLUMNS
from tasks.demo.defects import draw_counts, spoil
from tasks.demo.duplicates import contaminate, duplicate
from tasks.demo.mapdata import read_coast, read_land_mask
from tasks.demo.pairs import Pair, PlantedPair, cut_pairs, cut_single_pairs, cut_view
from tasks.demo.places import Atlas, Place
from tasks.demo.planted import RECORD, NotADemoSource, Planted, PlantedRow, Settings
from tasks.demo.reference import REFERENCE_TILES

SPLIT = "train"
"""The one split of a demo source."""

SHARDS = 8
"""Files that a demo source is cut into."""

_SPARE_ZOOM = 5  # one level below the Blue Marble's deepest: pictures that only planted rows have
_SPARE_ROWS = range(4, 28)  # up to 74 degrees of latitude: further on, much is plain white
_SPARE_LAND = (0.3, 0.9)  # share of land: a shoreline makes a picture like no other


class DemoSource(Model):
    """A demo source on disk."""

    directory: Path
    split: str = SPLIT
    rows: int
    shards: int
    planted: Path  # read it with Planted.load(directory)
    reused: bool  # True when it was there already


def make_source(
    directory: Path, *, seed: int = 0, relief_max_zoom: int = 5, bluemarble_max_zoom: int = 4
) -> DemoSource:
    """Make a demo source in ``directory``, or return the one that is there.

    Its rows are tiles of two world maps, sorted by zoom, x and y, in Git-10M's columns. Beside them stand rows that
    break one rule each; ``planted.json`` lists them. Some are copies of pictures of the reference set that
    :func:`tasks.demo.reference.make_reference` makes. The same arguments give the same bytes. The folder appears by
    rename, whole or not at all.

    Args:
        directory: must not exist, be empty, or hold the source that these arguments give.
        seed: another seed words captions otherwise and plants other defects.
        relief_max_zoom: deepest zoom level of the shaded relief, 4 or 5; 5 gives 1,365 tiles.
        bluemarble_max_zoom: deepest zoom level of the Blue Marble, 0 to 4; 4 gives 341 tiles.

    Raises:
        NotADemoSource: if ``directory`` holds something else; nothing is changed.
        MapsMissing: if the maps are not installed.
        pydantic.ValidationError: if an argument is out of range.
    """
    settings = Settings(seed=seed, relief_max_zoom=relief_max_zoom, bluemarble_max_zoom=bluemarble_max_zoom)
    if _is_occupied(directory):
        return _existing(directory, settings)
    with _appearing(directory) as temporary:
        rows, planted = _make_rows(settings)
        _save(rows, temporary, settings)
        record = Planted(
            settings=settings,
            rows=len(rows),
            shards=SHARDS,
            planted=planted,
            counts=dict(sorted(Counter(row.reason for row in planted).items())),
        )
        (temporary / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return _report(directory, record, reused=False)


def _is_occupied(directory: Path) -> bool:
    return directory.exists() and not (directory.is_dir() and not any(directory.iterdir()))


def _existing(directory: Path, settings: Settings) -> DemoSource:
    try:
        record = Planted.load(directory)
    except NotADemoSource as error:
        raise NotADemoSource(f"{error}; name a folder that does not exist yet") from error
    if record.settings != settings:
        raise NotADemoSource(
            f"{directory} holds another demo source; found {record.settings}, expected {settings}; "
            "remove it, or name another folder"
        )
    return _report(directory, record, reused=True)


def _report(directory: Path, record: Planted, *, reused: bool) -> DemoSource:
    return DemoSource(
        directory=directory, rows=record.rows, shards=record.shards, planted=directory / RECORD, reused=reused
    )


def _make_rows(settings: Settings) -> tuple[list[Pair], tuple[PlantedRow, ...]]:
    """Return all rows in order, and the record of the planted ones."""
    seed = settings.seed
    rng = random.Random(f"{seed} defects")
    counts = draw_counts(rng)
    atlas = Atlas(read_land_mask(), read_coast(), _SPARE_ZOOM)
    sound = [
        *cut_pairs("relief", atlas, settings.relief_max_zoom, seed),
        *cut_pairs("bluemarble", atlas, settings.bluemarble_max_zoom, seed),
    ]
    spares = list(cut_single_pairs("bluemarble", _draw_spare_places(atlas, counts, rng), seed))
    tested = [atlas.place(*tile) for tile in rng.sample(REFERENCE_TILES, counts[Reason.CONTAMINATED])]
    planted = [
        *spoil(spares, counts),
        *contaminate(list(cut_single_pairs("bluemarble", tested, seed)), cut_view),
        *duplicate(sound, counts, rng, cut_view),
    ]
    rows: list[Pair | PlantedPair] = [*sound, *planted]
    rows.sort(key=lambda row: _pair(row).order)  # stable: a copy follows its original
    record = tuple(
        PlantedRow(row_id=row_id, img_name=row.pair.img_name, reason=row.reason, note=row.note)
        for row_id, row in enumerate(rows)
        if isinstance(row, PlantedPair)
    )
    return [_pair(row) for row in rows], record


def _pair(row: Pair | PlantedPair) -> Pair:
    return row.pair if isinstance(row, PlantedPair) else row


def _draw_spare_places(atlas: Atlas, counts: Mapping[Reason, int], rng: random.Random) -> list[Place]:
    places = (atlas.place(_SPARE_ZOOM, x, y) for x in range(2**_SPARE_ZOOM) for y in _SPARE_ROWS)
    low, high = _SPARE_LAND
    suitable = [
        place
        for place in places
        if low <= place.land_share <= high and (place.z, place.x, place.y) not in REFERENCE_TILES
    ]
    return rng.sample(suitable, sum(count for reason, count in counts.items() if reason.stage is Stage.VALIDATION))


def _save(rows: Sequence[Pair], directory: Path, settings: Settings) -> None:
    import datasets

    features = datasets.Features(
        image=datasets.Image(),
        img_name=datasets.Value("string"),
        img_quality_score=datasets.Value("float64"),
        caption=datasets.Value("string"),
        caption_length=datasets.Value("int64"),
        resolution=datasets.Value("float64"),
        Google_location=datasets.Value("string"),
    )
    schema = features.arrow_schema
    columns = {"image": [None if row.image is None else {"bytes": row.image, "path": None} for row in rows]}
    columns |= {name: [getattr(row, name) for row in rows] for name in FACT_COLUMNS}
    table = pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)
    # datasets would draw the fingerprint, which it writes to state.json, from the state of the process.
    drawn = fingerprint(settings.model_dump(mode="json"))[:16]
    split = datasets.Dataset(table, split=datasets.NamedSplit(SPLIT), fingerprint=drawn)
    with _without_progress_bars():
        datasets.DatasetDict({SPLIT: split}).save_to_disk(directory, num_shards={SPLIT: SHARDS})


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """Yield a new folder beside ``directory`` that takes its place if all goes well, and is removed if not.

    A killed process leaves only a hidden ``.<name>.<pid>-<random>.partial``.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = directory.parent / f".{directory.name}.{os.getpid()}-{uuid4().hex[:8]}.partial"
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

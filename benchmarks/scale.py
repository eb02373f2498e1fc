"""All but the scan on up to 100 million simulated rows of signals: seconds, CPU seconds and peak memory.

The signals have Git-10M's shape and stand for pictures that nobody drew: shards of 13,400 rows, sorted by zoom a
million at a time, a third of them without place, places that nest between zooms. Of the rows 3 % have the bytes of an
earlier row, 3 % its picture saved again, 4 % its picture changed a little, 4 % one of 2,000 common pictures, and 3 %
are plain. The hashes are skewed: of a third of the pictures, 16 of 64 bits are those of one of 3,000 centres. All of a
row follows from its number, so that fewer rows are the first ones of more.

Each stage runs in a fresh process, which has imported its modules before the clock starts; what Numba compiles is
compiled before. The stages are `deduplicate`; each subset alone, and `select`, all three of them as a run does it;
`plan`, when all that is known, and with a threshold that nobody selected by; `write`, the three subsets in mode
`index`. RssAnon is the memory that the process itself holds, looked at every 20 ms; VmHWM is the most
that it ever held, pages of mapped files included, which the system takes back when others need them.

    python -m benchmarks.scale --rows 10545800 --dir FOLDER

Signals in FOLDER are made where they are missing, some 340 bytes a row, and stay; all else is made anew. The source's
shards are Arrow files with Git-10M's columns and no rows, since none of these stages reads any: only the signals, which
a scan would have made of them, have rows.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray
from upath import UPath

from schemas.recipe import Recipe
from schemas.reports import DeduplicateReport, ScanReport, WriteReport
from schemas.tables import FACT_COLUMNS, SIGNALS
from tasks.deduplicate.stage import find_duplicates
from tasks.files import appearing
from tasks.locks import exclusive
from tasks.planning.known import look_up
from tasks.planning.plan import plan_run
from tasks.scan.descriptor import SIDE, SPREAD, hashes_of
from tasks.scan.identity import identify, shard_status
from tasks.scan.reuse import note_of, signals_path
from tasks.select.basis import Basis
from tasks.select.stage import select
from tasks.select.verdicts import known_verdicts
from tasks.source.listing import shards_of
from tasks.tiles import ground_resolution, nominal_resolution, tile_centre
from tasks.write.manifest import draft_manifest
from tasks.write.placement import place_rows
from tasks.write.schema import data_schema
from tasks.write.stage import Making, complete
from tasks.write.staging import Staging

SHARD_ROWS, SHARD_BYTES = 13_400, 500_000_000
CYCLE = 75 * SHARD_ROWS  # rows after which zooms begin again, so that the first million is like all
KINDS = {"bytes": 0.03, "saved again": 0.03, "changed": 0.04, "common": 0.04, "plain": 0.03}
COMMON_PICTURES, CENTRES, CAPTIONS, SPOTS = 2_000, 3_000, 1_000, 2_000_000
CHANGE = 6  # root mean square of what is added to the numbers of a changed picture, which have 24
ZOOMS = np.arange(10, 19)
OF_ZOOM = np.cumsum([0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.25, 0.2, 0.05])

DEDUPLICATION: dict[str, Any] = {"same_tile": True, "caption_copies": 20}
SUBSETS: list[dict[str, Any]] = [
    {
        "name": "numbers",
        "quality": {"min_score": 4.2},
        "caption_words": {"min": 30, "max": 90},
        "zoom": {"min": 12},
        "signals": {"sharpness": {"min": 60}},
    },
    {
        "name": "balanced",
        "quality": {"min_quantile": 0.3, "per_zoom": True},
        "top": {"signal": "sharpness", "fraction": 0.8, "per_zoom": True},
        "sampling": {"per_tile": {"zoom": 9, "rows": 500}, "per_zoom": 800_000, "fraction": 0.9, "max_bytes": 10**11},
    },
    {
        "name": "spatial",
        "zoom": {"min": 11},
        "splits": {
            "fractions": {"train": 0.8, "test": 0.1, "validation": 0.1},
            "spatial": {"zoom": 8, "buffer": {"zoom": 11, "tiles": 1}},
        },
    },
]

CHANGED = [SUBSETS[0] | {"zoom": {"min": 13}}, *SUBSETS[1:]]

Numbers = NDArray[np.uint64]


def mixed(numbers: Numbers, purpose: int) -> Numbers:
    """Return an unrelated number for each one: SplitMix64."""
    value = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(purpose * 0x632BE59BD9B4E019 % 2**64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def uniform(numbers: Numbers, purpose: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each one."""
    return np.asarray((mixed(numbers, purpose) >> np.uint64(11)) * 2.0**-53, np.float64)


_NORMAL = np.array([NormalDist().inv_cdf((value + 0.5) / 256) for value in range(256)])


def normal(numbers: Numbers, purpose: int, deviation: float, words: int) -> NDArray[np.int8]:
    """Return eight numbers of a normal distribution for each word of each number, shape (n, 8 * words)."""
    each = mixed(numbers[:, None] * np.uint64(words) + np.arange(words, dtype=np.uint64), purpose)
    return np.rint(_NORMAL * deviation).astype(np.int8)[each.view(np.uint8)]


def descriptors_of(picture: Numbers, changed: Numbers) -> NDArray[np.int8]:
    """Return a descriptor for each picture, shape (n, 256), other ones where ``changed`` is not 0."""
    descriptor = normal(picture, 1, SPREAD, SIDE**2 // 8)
    skewed = np.flatnonzero(uniform(picture, 2) < 1 / 3)
    low = descriptor.reshape(-1, SIDE, SIDE)[:, :4, :4]
    centre = normal(mixed(picture[skewed], 3) % np.uint64(CENTRES), 4, SPREAD, 2).reshape(-1, 4, 4)
    low[skewed] = np.copysign(np.abs(low[skewed]), np.where(centre > 0, 1, -1)).astype(np.int8)
    there = np.flatnonzero(changed)
    noise = normal(changed[there], 5, CHANGE, SIDE**2 // 8)
    descriptor[there] = np.clip(descriptor[there].astype(np.int16) + noise, -127, 127)
    return descriptor


def signals_of(rows: Numbers) -> pa.Table:
    """Return the signals of some rows, in :data:`schemas.tables.SIGNALS`."""
    kind = np.searchsorted(np.cumsum(list(KINDS.values())), uniform(rows, 10), side="right")
    is_ = {name: kind == number for number, name in enumerate(KINDS)}
    earlier = mixed(rows, 11) % (rows + np.uint64(1))
    copied = is_["bytes"] | is_["saved again"] | is_["changed"]
    picture = np.where(copied, earlier, rows)
    common = np.minimum(COMMON_PICTURES * uniform(rows, 12) ** 3, COMMON_PICTURES - 1).astype(np.uint64)
    picture = np.where(is_["common"], common + np.uint64(2**40), picture)
    changed = np.where(is_["changed"], rows + np.uint64(1), np.uint64(0))
    file = np.where(is_["bytes"] | is_["common"], picture, rows)
    sha256 = np.stack([mixed(file, purpose) for purpose in range(20, 24)], axis=1)
    descriptor = descriptors_of(picture, changed)
    plain = is_["plain"]

    cycle, within = np.divmod(rows, np.uint64(CYCLE))
    z = ZOOMS[np.minimum(np.searchsorted(OF_ZOOM, (within + np.uint64(1)) / CYCLE), len(ZOOMS) - 1)]
    spot = mixed(rows, 30) % np.uint64(SPOTS) + cycle * np.uint64(SPOTS)
    x = (uniform(spot, 31) * 2.0**z).astype(np.int64)
    y = ((0.15 + 0.7 * uniform(spot, 32)) * 2.0**z).astype(np.int64)
    longitude, latitude = tile_centre(z, x, y)
    homeless = uniform(rows, 33) < 1 / 3

    score, words = (_NORMAL[(mixed(rows, purpose) >> np.uint64(56)).astype(np.int64)] for purpose in (40, 42))
    score = np.round(4.5 + 0.5 * score + uniform(rows, 41) / 5, 3)
    words = (52 + 15 * words).clip(1).astype(np.int32)
    caption = np.where(uniform(rows, 43) < 0.01, mixed(rows, 44) % np.uint64(CAPTIONS), mixed(rows, 45))
    name = np.where(uniform(rows, 46) < 0.002, earlier, rows)
    names = pc.binary_join_element_wise("picture", pa.array(name).cast(pa.string()), "_")
    defect = np.where(uniform(rows, 47) < 0.01, 1 + (mixed(rows, 48) & np.uint64(1)).astype(np.int64), 0)
    offsets = np.concatenate([[0], np.cumsum(defect > 0)]).astype(np.int32)
    codes = np.array(["", "caption_length_mismatch", "image_truncated"])[defect[defect > 0]]
    measured = {purpose: uniform(picture + changed, purpose).astype(np.float32) for purpose in range(50, 55)}

    def fixed(values: NDArray[Any], width: int, absent: NDArray[np.bool_]) -> pa.Array:
        present = pa.py_buffer(np.packbits(~absent, bitorder="little"))
        data = pa.py_buffer(np.ascontiguousarray(values))
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [present, data])

    nobody = np.zeros(len(rows), np.bool_)
    columns = {
        "row": np.arange(len(rows), dtype=np.int32),
        "img_name": names,
        "img_name_xxh3": mixed(name, 49),
        "img_quality_score": pa.array(score, mask=uniform(rows, 55) < 0.02),
        "caption_words": words,
        "caption_words_declared": words.astype(np.int64),
        "caption_xxh3": caption,
        "resolution_m": pa.array(nominal_resolution(z), mask=homeless),
        "z": pa.array(z.astype(np.int8), mask=homeless),
        "x": pa.array(x.astype(np.int32), mask=homeless),
        "y": pa.array(y.astype(np.int32), mask=homeless),
        "longitude": pa.array(longitude, mask=homeless),
        "latitude": pa.array(latitude, mask=homeless),
        "ground_resolution_m": pa.array(ground_resolution(latitude, z), mask=homeless),
        "byte_length": (20_000 + 35_000 * uniform(file, 56)).astype(np.int64),
        "sha256": fixed(sha256, 32, nobody),
        "format": pa.array(np.where(uniform(file, 57) < 0.9, "JPEG", "PNG")).cast(SIGNALS.field("format").type),
        "mode": pa.array(np.full(len(rows), "RGB")).cast(SIGNALS.field("mode").type),
        "width": np.full(len(rows), 256, np.int32),
        "height": np.full(len(rows), 256, np.int32),
        "luma_mean": 60 + 120 * measured[50],
        "luma_std": 2 + 60 * measured[51],
        "nodata_fraction": np.where(measured[52] < 0.97, np.float32(0), (measured[52] - np.float32(0.97))),
        "sharpness": 1_000 * measured[53] ** 2,
        "structure": pa.array(11 + 100 * measured[54], mask=plain),
        "phash": pa.array(hashes_of(descriptor), mask=plain),
        "signature": pa.array(mixed(picture + (changed << np.uint64(24)), 58), mask=plain),
        "descriptor": fixed(descriptor, 256, plain),
        "pixels_xxh3": pa.nulls(len(rows), pa.uint64()),
        "defects": pa.ListArray.from_arrays(pa.array(offsets), pa.array(codes.astype(object), pa.string())),
        "detail": pa.nulls(len(rows), pa.string()),
    }
    return pa.table(
        [pa.array(columns[field.name], field.type) for field in SIGNALS],
        schema=SIGNALS,
    )


def source_schema() -> pa.Schema:
    """Return the columns of Git-10M's shards, with the Hub's features."""
    from datasets import Features, Image, Value  # a second, and needed by few

    types = dict(zip(FACT_COLUMNS, ("string", "float64", "string", "int64", "float64", "string"), strict=True))
    return Features({"image": Image(), **{name: Value(kind) for name, kind in types.items()}}).arrow_schema


def make_signals(folder: Path, number: int) -> None:
    """Write the signals of a shard, as a scan does, unless they are there."""
    path = UPath(folder / f"{number:05}.parquet")
    if path.exists():
        return
    table = signals_of(np.arange(number * SHARD_ROWS, (number + 1) * SHARD_ROWS, dtype=np.uint64))
    sound = pc.sum(pc.equal(pc.list_value_length(table["defects"]), 0)).as_py()
    counts = {
        "sound_rows": sound,
        "defective_rows": len(table) - sound,
        "image_bytes": pc.sum(table["byte_length"]).as_py(),
    }
    layout = {name: name for name in ("image", *FACT_COLUMNS)}
    table = table.replace_schema_metadata(note_of(counts, layout, None, source_schema()))
    with appearing(path) as temporary:
        dictionaries = ["format", "mode", "defects.list.element"]
        pq.write_table(table, temporary, compression="zstd", use_dictionary=dictionaries, row_group_size=16_384)


def lay_out(folder: Path, rows: int, radius: int) -> None:
    """Make a source of as many shards as hold ``rows``, and a workspace that has scanned it."""
    recipe = recipe_of(folder, radius)
    count, schema, source = -(-rows // SHARD_ROWS), source_schema(), folder / "source"
    (source / "train").mkdir(parents=True, exist_ok=True)
    names = [f"data-{number:05}-of-{count:05}.arrow" for number in range(count)]
    for number, name in enumerate(names):
        told = {**schema.metadata, b"number": str(number)}  # no two are the same content
        with pa.OSFile(str(source / "train" / name), "wb") as file, pa.ipc.new_stream(file, schema.with_metadata(told)):
            pass
    (source / "train" / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (source / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    columns = recipe.source.columns.model_dump()
    for number, shard in enumerate(shards_of(recipe)):
        content = identify(shard, recipe.scan, columns, recipe.workspace)
        path = Path(str(signals_path(recipe.workspace, recipe.scan, columns, content)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((folder / "signals" / f"{number:05}.parquet").resolve())
    notes = [json.loads(path.read_text()) | {"path": path} for path in (folder / "workspace" / "identities").iterdir()]
    paths = {note["shard"]: note.pop("path") for note in notes}
    for note, shard in zip(sorted(notes, key=lambda note: note["shard"]), shards_of(recipe), strict=True):
        # As long as Git-10M's, by a hole that nobody reads: runs are cut and disks are planned by it.
        os.truncate(shard.path, SHARD_BYTES)
        paths[shard.name].write_text(json.dumps(note | {"status": shard_status(shard)}))


def make_all(folder: Path, rows: int, radius: int) -> int:
    """Make signals, source and workspace, as far as they are missing; return how many shards there are."""
    shards = range(-(-rows // SHARD_ROWS))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make_signals, [folder / "signals"] * len(shards), shards, chunksize=8))
    if not (folder / "workspace").exists():
        lay_out(folder, rows, radius)
    return len(shards)


def recipe_of(folder: Path, radius: int, subsets: Sequence[dict[str, Any]] = SUBSETS) -> Recipe:
    """Return the recipe that is measured."""
    return Recipe.model_validate(
        {
            "source": {"path": str(folder / "source"), "name": "simulated"},
            "deduplication": DEDUPLICATION | {"near": {"radius_bits": radius}},
            "subsets": subsets,
            "output": {"dir": str(folder / "subsets"), "mode": "index"},
            "workspace": str(folder / "workspace"),
        }
    )


def digest_of(path: UPath) -> str:
    """Return the XXH3-64, in hex, of what a Parquet file holds, however it is cut into row groups."""
    digest = xxhash.xxh3_64()
    with pq.ParquetFile(str(path)) as file:
        for name in file.schema_arrow.names:
            for batch in file.iter_batches(100_000, columns=[name]):
                values = batch.column(0)
                if name in ("split", "reference"):
                    values = pc.index_in(values.cast(pa.string()), value_set=pa.array(["test", "train", "validation"]))
                digest.update(pc.is_valid(values).to_numpy(zero_copy_only=False))
                digest.update(pc.fill_null(values, pa.scalar(0).cast(values.type)).to_numpy(zero_copy_only=False))
    return digest.hexdigest()


class Done(NamedTuple):
    """What a stage made: in words, and files."""

    told: str
    paths: tuple[UPath, ...]


def run_stage(stage: str, folder: Path, radius: int) -> dict[str, Any]:
    """Run one stage in this process, on the workspace that is laid out in ``folder``."""
    import tasks.deduplicate.pairs
    import tasks.report.samples
    import tasks.select.borders
    import tasks.select.caps
    import tasks.select.copies
    import tasks.select.duplicates  # noqa: F401  # load Numba and Matplotlib, as whatever ran before them has

    recipe = recipe_of(folder, radius)
    job: Callable[[], Done]
    if stage.startswith("plan"):
        job = partial(_plan, recipe_of(folder, radius, CHANGED) if stage == "plan, changed" else recipe)
    else:
        scan, found = look_up(recipe).scan, folder / "duplicates.json"
        if stage == "deduplicate":
            job = partial(_deduplicate, recipe, scan, found)
        else:
            duplicates = DeduplicateReport.model_validate_json(found.read_text())
            subsets = [subset for subset in recipe.subsets if stage in ("select", "write", subset.name)]
            recipe = recipe.model_copy(update={"subsets": subsets})
            job = partial(_write if stage == "write" else _select, Basis(recipe, scan, duplicates))
            if stage != "write":
                shutil.rmtree(folder / "workspace" / "verdicts", ignore_errors=True)
    begin, cpu = time.perf_counter(), time.process_time()
    done = job()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "told": done.told, "paths": [str(path) for path in done.paths]}


def _deduplicate(recipe: Recipe, scan: ScanReport, found: Path) -> Done:
    report = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    found.write_text(report.model_dump_json())
    assert report.path is not None
    return Done(str(report), (report.path,))


def _select(basis: Basis) -> Done:
    selected = [select.fn(subset, basis) for subset in basis.recipe.subsets]
    return Done(f"kept {', '.join(f'{one.kept:,}' for one in selected)}", tuple(one.verdicts for one in selected))


def _plan(recipe: Recipe) -> Done:
    plan = plan_run(recipe)
    assert not plan.problems
    assert not plan.estimate, plan.estimate
    return Done(f"kept {', '.join(f'{one.outcome.kept:,}' for one in plan.subsets if one.outcome)}", ())


def _write(basis: Basis) -> Done:
    """Write index, rejected, figures, card and manifest of each subset; what they hold was selected before."""
    recipe, scan, duplicates = basis.recipe, basis.scan, basis.duplicates
    recipe.output.dir.mkdir(parents=True)
    folders = []
    with exclusive(recipe.output.dir, "benchmark") as held:
        for subset in recipe.subsets:
            selected = known_verdicts(recipe, subset, scan, duplicates)
            assert selected is not None
            draft = draft_manifest(recipe, subset, scan, duplicates, selected, data_schema(scan))
            staging = Staging(recipe.output.dir, draft)
            staging.open()
            placement = place_rows(scan, selected.verdicts, subset, recipe.output, images=True)
            making = Making(subset, recipe.output, (), scan, selected, placement, draft, staging, held)
            nothing = WriteReport(subset=subset.name, expected_rows=0, expected_image_bytes=0, files=())
            folders.append(complete(making, nothing, {}))
    files = [path for folder in folders for path in folder.iterdir()]
    written = sum(path.stat().st_size for path in files)
    return Done(f"{len(files)} files, {written / 1e6:,.0f} MB", ())


def status_of(pid: int | str, key: str) -> int:
    """Return a figure of a process's memory [KiB]; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{key}:")), 0)


def measure(stage: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one stage in a process of its own, and watch its memory."""
    command = [sys.executable, "-m", "benchmarks.scale", "--stage", stage, "--rows", str(options.rows)]
    command += ["--dir", str(options.dir), "--radius", str(options.radius)]
    anonymous = peak = 0
    with tempfile.TemporaryFile() as out, subprocess.Popen(command, stdout=out) as process:
        while process.poll() is None:
            anonymous = max(anonymous, status_of(process.pid, "RssAnon"))
            peak = max(peak, status_of(process.pid, "VmHWM"))
            time.sleep(0.02)
        out.seek(0)
        text = out.read().decode()
    if process.returncode:
        raise SystemExit(f"{stage}: ended with {process.returncode}")
    told: dict[str, Any] = json.loads(text)
    return told | {"anonymous": anonymous / 1024, "peak": peak / 1024}


def warm(folder: Path, rows: int, radius: int) -> None:
    """Have Numba compile what is measured, by the first of its rows, and keep it."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        (Path(home) / "signals").symlink_to(folder / "signals")
        lay_out(Path(home), min(rows, 2 * SHARD_ROWS), radius)
        for stage in STAGES:
            run_stage(stage, Path(home), radius)


STAGES = ("deduplicate", *(str(subset["name"]) for subset in SUBSETS), "select", "plan", "plan, changed", "write")
"""What is measured, in order."""


def main() -> None:
    """Make the signals, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="as many whole shards as hold them")
    parser.add_argument("--dir", type=Path, required=True, help="folder for signals, kept, and all else")
    parser.add_argument("--radius", type=int, default=8, help="deduplication.near.radius_bits")
    parser.add_argument("--stage", choices=("signals", *STAGES), help="this one alone, in this process")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    if options.stage not in (None, "signals"):
        print(json.dumps(run_stage(options.stage, options.dir, options.radius)))
        return
    for name in ("source", "workspace", "subsets"):
        shutil.rmtree(options.dir / name, ignore_errors=True)
    count = make_all(options.dir, options.rows, options.radius)
    if options.stage is not None:
        return
    warm(options.dir, options.rows, options.radius)
    print(f"{count * SHARD_ROWS:,} rows in {count:,} shards, radius {options.radius}\n", flush=True)
    print("| stage | s | CPU s | RssAnon, peak [MiB] | VmHWM [MiB] | made | XXH3-64 |")
    print("|---|---:|---:|---:|---:|---|---|")
    for stage in STAGES:
        told = measure(stage, options)
        figures = f"{told['seconds']:.1f} | {told['cpu']:.1f} | {told['anonymous']:,.0f} | {told['peak']:,.0f}"
        digests = " ".join(digest_of(UPath(path)) for path in told["paths"])
        print(f"| {stage} | {figures} | {told['told']} | {digests} |", flush=True)


if __name__ == "__main__":
    main()

"""Small real sources for tests: pictures with content, rows in Git-10M's columns, trees as ``datasets`` writes them."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from upath import UPath

from schemas.recipe import Recipe, ScanSettings
from schemas.reports import ScanReport, WriteReport
from tasks.deduplicate.stage import find_duplicates
from tasks.locks import Held
from tasks.scan.decode import decode
from tasks.scan.shard import scan_shard
from tasks.select.basis import Basis
from tasks.select.verdicts import give_verdicts
from tasks.source.listing import shards_of
from tasks.versions import followed
from tasks.write.copy import copy_rows
from tasks.write.manifest import draft_manifest
from tasks.write.placement import place_rows
from tasks.write.plan import plan_files
from tasks.write.schema import data_schema
from tasks.write.shuffle import lay_aside, merge_parts
from tasks.write.stage import Making, complete
from tasks.write.staging import Staging

Row = dict[str, Any]


def picture(seed: int, *, size: tuple[int, int] = (256, 256), mode: str = "RGB") -> Image.Image:
    """Return a smooth random picture: different seeds give far apart perceptual hashes."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    """Return ``image`` as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format, **({"quality": 90} if format == "JPEG" else {}) | options)
    return buffer.getvalue()


def thumbnail(image: Image.Image, **options: Any) -> NDArray[np.uint8]:
    """Return the luma thumbnail of ``image`` as a scan sees it, saved as :func:`encode` does."""
    data, scan = memoryview(encode(image, **options)), ScanSettings()
    return decode(data, formats=scan.formats, max_pixels=scan.max_pixels, max_bytes=scan.max_bytes).luma


def land(seed: int, *, size: int = 256, around: int = 0) -> Image.Image:
    """Return a picture with the spectrum of ground, about 1/f; ``around`` adds that many pixels on each side."""
    side = 512
    noise = np.random.default_rng(seed).standard_normal((side, side))
    wave = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]) * side
    field = np.fft.ifft2(np.fft.fft2(noise) / np.maximum(wave, 2)).real
    field = field[: size + 2 * around, : size + 2 * around]
    return Image.fromarray(np.clip(128 + 45 * field / field.std(), 0, 255).astype(np.uint8)).convert("RGB")


def pair(seed: int, **changes: Any) -> Row:
    """Return a good row; ``changes`` replace its values, and ``image`` may be bytes or None."""
    words = 8 + seed % 30
    row = {
        "image": encode(picture(seed)),
        "img_name": f"tile_{seed}.jpg",
        "img_quality_score": 3.0 + (seed * 7 % 20) / 10,
        "caption": " ".join(f"word{n}" for n in range(words)),
        "caption_length": words,
        "resolution": 16.0,
        "Google_location": f"13_{seed % 8192}_{4000 + seed // 8192}",
    } | changes
    if "caption" in changes and "caption_length" not in changes:
        row["caption_length"] = len((changes["caption"] or "").split())
    return row


def write_tree(directory: Path, rows: Sequence[Row], shards: int = 2) -> Path:
    """Write ``rows`` as ``datasets.DatasetDict.save_to_disk`` does."""
    from datasets import Dataset, DatasetDict, Features, Image, Value

    features = Features(
        {
            "image": Image(),
            "img_name": Value("string"),
            "img_quality_score": Value("float64"),
            "caption": Value("string"),
            "caption_length": Value("int64"),
            "resolution": Value("float64"),
            "Google_location": Value("string"),
        }
    )
    stored = [row | {"image": row["image"] and {"bytes": row["image"], "path": None}} for row in rows]
    dataset = Dataset.from_list(stored, features=features)
    DatasetDict({"train": dataset}).save_to_disk(str(directory), num_shards={"train": shards})
    return directory


def write_tar(path: Path, rows: Sequence[Row]) -> Path:
    """Write images and captions of ``rows`` as a WebDataset tar."""
    with tarfile.open(path, "w") as tar:
        for number, row in enumerate(rows):
            for name, data in ((f"{number}.jpg", row["image"]), (f"{number}.txt", row["caption"].encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def write_image_folder(folder: Path, rows: Sequence[Row], columns: Mapping[str, str]) -> Path:
    """Write images of ``rows`` into ``folder``, and a ``metadata.csv`` of columns that hold these keys."""
    lines = [",".join(["file_name", *columns])]
    for number, row in enumerate(rows):
        (folder / f"{number}.jpg").write_bytes(row["image"])
        lines.append(",".join([f"{number}.jpg", *(str(row[key]) for key in columns.values())]))
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def recipe_for(source: Path, home: Path, **changes: Any) -> Recipe:
    """Return a recipe that reads ``source`` and works in ``home``."""
    data = {
        "source": {"path": source, "name": "tiny"},
        "subsets": [{"name": "clean"}],
        "output": {"dir": home / "subsets"},
        "workspace": home / "workspace",
        "engine": {"workers": 1},
    }
    return Recipe.model_validate(data | changes)


def tiny_recipe(source: Path, home: Path, **changes: Any) -> Recipe:
    """Return a recipe of two subsets, the second with thresholds, splits, and several data files."""
    subsets = [
        {"name": "clean"},
        {
            "name": "high-quality",
            "quality": {"min_quantile": 0.4},
            "caption_words": {"min": 10, "max": 33},
            "splits": {"fractions": {"train": 0.7, "test": 0.3}, "seed": 3},
        },
    ]
    output = {"dir": home / "subsets", "shard_bytes": 80_000}
    return recipe_for(source, home, **{"subsets": subsets, "output": output} | changes)


def published_files(directory: UPath) -> dict[str, bytes]:
    """Return :func:`subset_files` of the latest version of all subsets in ``directory``."""
    links = [link for link in directory.iterdir() if not link.name.startswith(".")] if directory.is_dir() else []
    return {f"{link.name}/{path}": data for link in links for path, data in subset_files(followed(link)).items()}


def subset_files(directory: UPath) -> dict[str, bytes]:
    """Return every file of the subset in ``directory`` but ``run.json``, which alone may tell the time."""
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def scan_all(recipe: Recipe) -> ScanReport:
    """Scan without Prefect, in this process."""
    columns = recipe.source.columns.model_dump()
    return ScanReport.of([scan_shard(s, recipe.scan, columns, recipe.workspace) for s in shards_of(recipe)])


def publish_one(recipe: Recipe) -> Path:
    """Curate the first subset of ``recipe`` without Prefect, in this process; return its folder."""
    shards, scan, subset = shards_of(recipe), scan_all(recipe), recipe.subsets[0]
    duplicates = find_duplicates(scan, (), recipe.deduplication, recipe.workspace)
    selected = give_verdicts(subset, Basis(recipe, scan, duplicates))
    output, images = recipe.output, recipe.scan.images
    target = data_schema(scan, text=output.text is not None)
    draft = draft_manifest(recipe, subset, scan, duplicates, selected, target)
    staging = Staging(output.dir, draft)
    staging.open()
    placement = place_rows(scan, selected.verdicts, subset, output, images=images)
    files = []
    if output.mode == "data":
        plans = plan_files(shards, scan, placement, images=images)
        aside = recipe.workspace / "laid-aside" / staging.key if output.shuffle_seed is not None else None
        for part in merge_parts(plans) if aside is not None else ():
            lay_aside(part, target, aside)
        files = [copy_rows(plan, target, staging.subset / plan.path, output, aside) for plan in plans]
    full = output.mode == "data"
    written = WriteReport(
        subset=subset.name,
        expected_rows=selected.kept if full else 0,
        expected_image_bytes=(selected.kept_image_bytes if full else 0) if images else None,
        files=tuple(files),
    )
    return complete(Making(subset, output, shards, scan, selected, placement, draft, staging, Held()), written, run={})

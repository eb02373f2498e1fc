"""Small real sources for tests: pictures with content, rows in Git-10M's columns, trees as ``datasets`` writes them."""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

os.environ |= {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}

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


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server on a temporary database for all tests of the run that need one."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield

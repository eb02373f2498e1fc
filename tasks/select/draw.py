"""Kernel: seeded draws that depend on nothing but what is drawn and the seed."""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.scan.images import byte_matrix
from tasks.select.masks import as_stored


def identify_rows(sha256: pa.ChunkedArray, img_name_xxh3: pa.ChunkedArray, first_row_id: int = 0) -> NDArray[np.uint64]:
    """Return what each row is drawn by: its image, where there is none its name, else its place in the source.

    Args:
        sha256: fixed_size_binary[32], the digests of the images; null where no image was read.
        img_name_xxh3: uint64, null where a row has no name.
        first_row_id: of the first row; the others follow.
    """
    image = identify_images(sha256)
    if not sha256.null_count:
        return image
    place = np.arange(first_row_id, first_row_id + len(image), dtype=np.uint64)
    unnamed = np.where(img_name_xxh3.is_null().to_numpy(), place, as_stored(img_name_xxh3))
    return np.where(sha256.is_null().to_numpy(), unnamed, image)


def identify_images(sha256: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Return what rows with these digests are drawn by; what it says of null ones is of no meaning."""
    heads = np.concatenate([np.empty((0, 8), np.int8), *(byte_matrix(chunk)[:, :8] for chunk in sha256.chunks)])
    return heads.view(">u8")[:, 0].astype(np.uint64)


def uniform_hash(identity: NDArray[np.uint64], seed: int, purpose: str) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each identity, of its shape: another seed or purpose gives unrelated numbers.

    >>> uniform_hash(np.array([7, 7, 8], np.uint64), 0, "split").round(3).tolist()
    [0.455, 0.455, 0.042]
    """
    told = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    salt = _mix(np.array([seed], np.uint64) ^ _mix(np.array([told], np.uint64)))
    return np.asarray((_mix(identity ^ salt) >> np.uint64(11)) * 2.0**-53, np.float64)  # 53 bits fill a float64


def by_chance(chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions of all values, the least first, of equal ones the first in order."""
    order = np.argsort(chance)  # several times as fast as a stable one
    ordered = chance[order]
    return np.argsort(chance, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))

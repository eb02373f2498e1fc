"""Kernel: the descriptor of a picture, its 16 x 16 lowest frequencies, and the perceptual hash of their signs.

A descriptor is what :mod:`tasks.deduplicate` tells copies by: 256 bytes that hold the picture at the sharpness of some
16 x 16 pixels, without its brightness and contrast. Whole numbers all the way, but for a few operations that IEEE 754
rounds alike everywhere: the same picture has the same bits on every machine, in a batch of any size.
"""

from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from tasks.scan.decode import THUMBNAIL

SIDE = 16
"""Frequencies of a descriptor along each axis: 0 to 15 half-waves across the picture."""

HASH_SIDE = 8
"""Frequencies of a perceptual hash along each axis, the constant one among them, whose bit is always 0."""

SPREAD = 24
"""Root mean square of a descriptor's numbers; those beyond 127, some one in ten thousand, are cut."""

FAINTEST = 384
"""Root mean square of the weighed coefficients below which a picture is plain: what white noise of a quarter of a grey
level gives."""

LEAST_STRUCTURE = 11
"""Structure below which a picture is plain, without descriptor and hash: it could not be told from others of its kind,
as open sea with a gradient, a shore along one edge, one islet. Of the demo's 1,803 pictures 271 are plain, of 214
aerial tiles one is; see also :data:`tasks.deduplicate.search.ENOUGH_STRUCTURE`."""

_HALF = THUMBNAIL // 2  # the picture is halved first: 32 samples are enough for 15 half-waves
_FIXED_POINT = 4096  # the cosines are rounded to multiples of 1/4096
_SLAB = 64  # thumbnails at a time: measured to take half as long as 8


class Descriptors(NamedTuple):
    """What n pictures are compared by; a plain picture has zeros."""

    descriptor: NDArray[np.int8]  # shape (n, 256)
    phash: NDArray[np.uint64]  # shape (n,)
    signature: NDArray[np.uint64]  # shape (n,): XXH3-64 of the descriptor; pictures of equal ones are the same node
    structure: NDArray[np.float32]  # shape (n,): how many of 256 parts share what is to be seen [1..256]; 0 for nothing
    plain: NDArray[np.bool_]  # shape (n,)


def frequency() -> NDArray[np.float64]:
    """Return the radial frequency of each number of a descriptor [half-waves a side]: shape (16, 16), 1 at (0, 0)."""
    along = np.arange(SIDE, dtype=np.float64)
    radial: NDArray[np.float64] = np.sqrt(np.square(along)[:, None] + np.square(along)[None, :])
    radial[0, 0] = 1.0
    return radial


def _basis() -> NDArray[np.float64]:
    """Return the (16, 32) matrix of the first 16 DCT-II coefficients of 32 samples, in multiples of 1/4096."""
    sample, wave = np.arange(_HALF), np.arange(SIDE)[:, None]
    basis: NDArray[np.float64] = np.rint(_FIXED_POINT * np.cos(np.pi * (2 * sample + 1) * wave / (2 * _HALF)))
    return basis


def _weights() -> NDArray[np.float64]:
    """Return what coefficients are weighed with: the orthonormal DCT's factors, times the frequency.

    Pictures of the ground have a spectrum of about 1/f (Field, J. Opt. Soc. Am. A 4, 1987): so weighed, each frequency
    says about as much as any other, and the pictures of two places have nothing in common.
    """
    factor = np.where(np.arange(SIDE) == 0, np.sqrt(0.5), 1.0)
    weights = factor[:, None] * factor[None, :] * frequency() / _FIXED_POINT**2
    weights[0, 0] = 0.0
    quarters: NDArray[np.float64] = np.rint(weights * 2**36) / 2**34  # so that faint pictures are not rounded away
    return quarters


def _places() -> NDArray[np.float64]:
    """Return the orthogonal (16, 16) matrix of the inverse DCT at 16 places, rows of length 1, in multiples of 1/64."""
    wave, place = np.arange(SIDE)[:, None], np.arange(SIDE)
    matrix: NDArray[np.float64] = np.cos(np.pi * (2 * place + 1) * wave / (2 * SIDE)) * np.sqrt(2 / SIDE)
    matrix[0] = np.sqrt(1 / SIDE)
    return np.rint(64 * matrix)


_BASIS = _basis()
_PLACES = _places()
_PLACE_UNIT = 256  # of 64 * 64: leaves whole numbers of 16 times a descriptor's, whose sums of fourth powers are exact
_WEIGHTS = _weights()
_BIT_WEIGHTS = np.uint64(1) << np.arange(63, -1, -1, dtype=np.uint64)


def describe(luma: NDArray[np.uint8]) -> Descriptors:
    """Describe thumbnails.

    Args:
        luma: shape (n, 64, 64), dtype uint8.

    Returns:
        The lowest 16 x 16 DCT-II coefficients but the constant one, row by row, weighed with their frequency, and
        divided so that their root mean square is ``SPREAD``: brightness, contrast and, nearly so, blur and gamma do not
        show. The hash has a bit for each of the lowest 8 x 8, set where the number is positive; row by row, the first
        bit the highest. Signs are compared instead of coefficients with their median (Zauner 2010), because then the
        hash of the turned or mirrored picture follows from the hash (:func:`tasks.deduplicate.views.turned_hashes`).
        Structure is the lesser of two participation ratios, (sum of squares)^2 / sum of fourth powers: over
        frequencies, where a gradient or an edge takes few, and over places, where an islet does.

    >>> describe(np.zeros((1, 64, 64), np.uint8)).phash
    array([0], dtype=uint64)
    """
    numbers = np.empty((len(luma), SIDE, SIDE), np.int8)
    structure = np.empty(len(luma), np.float32)
    for start in range(0, len(luma), _SLAB):
        slab = slice(start, start + _SLAB)
        coefficients = _BASIS @ (_halved(np.ascontiguousarray(luma[slab])) @ _BASIS.T)  # exact: below 2**45
        numbers[slab], structure[slab] = _normalised(np.rint(coefficients * _WEIGHTS))
    plain = structure < LEAST_STRUCTURE
    numbers[plain] = 0
    descriptor = numbers.reshape(-1, SIDE**2)
    digest = xxhash.xxh3_64_intdigest
    signature = np.fromiter((digest(row.data) for row in descriptor), np.uint64, len(descriptor))
    return Descriptors(descriptor, hashes_of(descriptor), signature, structure, plain)


def hashes_of(descriptor: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Return the perceptual hash of each descriptor, shape (n, 256)."""
    low = descriptor.reshape(-1, SIDE, SIDE)[:, :HASH_SIDE, :HASH_SIDE].reshape(-1, HASH_SIDE**2)
    hashes: NDArray[np.uint64] = ((low > 0) * _BIT_WEIGHTS).sum(axis=1, dtype=np.uint64)
    return hashes


def _halved(luma: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the sums of 2 x 2 pixels: (n, 64, 64) to (n, 32, 32)."""
    pairs = luma.view(np.uint16)  # two pixels of a row each: faster to take apart than to pick from bytes
    sums = (pairs & np.uint16(255)) + (pairs >> np.uint16(8))
    return (sums[:, ::2] + sums[:, 1::2]).astype(np.float64)


def _normalised(weighed: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the numbers of descriptors, and how much structure they have."""
    energy = np.square(weighed).sum(axis=(1, 2))  # of whole numbers, by Parseval below 2**51: exact in any order
    root_mean_square = np.sqrt(energy / (SIDE**2 - 1))
    faint = root_mean_square < FAINTEST
    scale = np.where(faint, 0.0, SPREAD / np.maximum(root_mean_square, FAINTEST))
    numbers = np.clip(np.rint(weighed * scale[:, None, None]), -127, 127)
    return numbers, _structure(numbers)


def structure_of(descriptor: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the structure of each descriptor, shape (n, 256), as :func:`describe` gives it; 0 for zeros."""
    structure = np.empty(len(descriptor), np.float32)
    for start in range(0, len(descriptor), 1024):
        numbers = descriptor[start : start + 1024].reshape(-1, SIDE, SIDE).astype(np.float64)
        structure[start : start + 1024] = _structure(numbers)
    return structure


def _structure(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    places = np.rint(_PLACES.T @ numbers @ _PLACES / _PLACE_UNIT)
    lesser: NDArray[np.float64] = np.minimum(_participation(numbers), _participation(places))
    return lesser


def _participation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.square(values)  # whole numbers, whose squares add up to less than 2**53
    fourth: NDArray[np.float64] = np.square(squares).sum(axis=(1, 2))
    ratio: NDArray[np.float64] = np.square(squares.sum(axis=(1, 2))) / np.maximum(fourth, 1.0)
    return ratio

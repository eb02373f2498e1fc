"""Kernel: image files that are bad in one known way each."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.demo.imagery import TILE_PIXELS, decode, encode, encode_jpeg

_START_OF_FRAME = 0xC0  # JPEG markers (ITU-T T.81, table B.1)
_HUFFMAN_TABLE = 0xC4

ERROR_PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>No such tile.</body></html>\n"
"""What a tile server may send in the place of an image."""


def truncated(jpeg: bytes, share: float) -> bytes:
    """Return the first ``share`` [0..1] of the file."""
    return jpeg[: int(share * len(jpeg))]


def without_huffman_table(jpeg: bytes) -> bytes:
    """Return the file with its first Huffman table overwritten: whole in length, impossible to decode."""
    start = _segment(jpeg, _HUFFMAN_TABLE)
    length = int.from_bytes(jpeg[start - 2 : start], "big") - 2
    return jpeg[:start] + b"\xff" * length + jpeg[start + length :]


def claiming_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return the file with another width and height [pixels] in its header."""
    size = _segment(jpeg, _START_OF_FRAME) + 1  # past the sample precision
    return jpeg[:size] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[size + 4 :]


def _segment(jpeg: bytes, marker: int) -> int:
    """Return where the content of the first segment with ``marker`` starts, past its two bytes of length."""
    at = 2
    while jpeg[at + 1] != marker:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at + 4


def huge_png(width: int, height: int) -> bytes:
    """Return a sound PNG of few bytes that is black and of the given size [pixels]."""
    return encode(Image.new("1", (width, height)), "PNG")


def damaged_png(image: bytes) -> bytes:
    """Return ``image`` as a PNG, sixteen bytes of its pixel data inverted."""
    png = encode_as(image, "PNG")
    middle = len(png) // 2
    return png[:middle] + bytes(byte ^ 0xFF for byte in png[middle : middle + 16]) + png[middle + 16 :]


def encode_as(image: bytes, format: str) -> bytes:
    """Return ``image`` as a file of another of Pillow's formats."""
    return encode(Image.fromarray(decode(image)), format)


def animated(image: bytes, format: str) -> bytes:
    """Return ``image`` as the first of two frames, or pages, of a PNG, WEBP or TIFF; the second is upside down."""
    first = Image.fromarray(decode(image)).quantize()  # 256 colours: a PNG of a third of the size
    second = first.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return encode(first, format, save_all=True, append_images=[second])


def sixteen_bit_grey_png(image: bytes) -> bytes:
    """Return the luma of ``image`` as a PNG of 16 bits: what a sensor counts."""
    return encode(Image.fromarray(_luma(image).astype(np.uint16) * 257), "PNG")


def float_tiff(image: bytes) -> bytes:
    """Return the luma of ``image`` as a TIFF of float32 from 0 to 1: what is computed as reflectance."""
    return encode(Image.fromarray(_luma(image).astype(np.float32) / 255), "TIFF", compression="tiff_adobe_deflate")


def _luma(image: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(decode(image)).convert("L"))


def with_black_wedge(image: bytes, degrees: float) -> bytes:
    """Return ``image`` with black above a slope from its upper left corner, as at the rim of a rotated scene."""
    pixels = decode(image).copy()
    line, column = np.indices(pixels.shape[:2])
    pixels[line < column * math.tan(math.radians(degrees))] = 0
    return encode_jpeg(pixels)


def with_white_rim(image: bytes, width: int) -> bytes:
    """Return ``image`` with a rim of ``width`` [pixels] in white.

    JPEG keeps white pure in whole blocks: 16 pixels, where colours are stored at half the resolution.
    """
    pixels = np.full((TILE_PIXELS, TILE_PIXELS, 3), 255, np.uint8)
    inner = slice(width, TILE_PIXELS - width)
    pixels[inner, inner] = decode(image)[inner, inner]
    return encode_jpeg(pixels)


def resized(image: bytes, width: int, height: int) -> bytes:
    """Return ``image`` resampled to another size [pixels], as JPEG."""
    size = Image.fromarray(decode(image)).resize((width, height), Image.Resampling.LANCZOS)
    return encode(size, "JPEG", quality=90)


def uniform(image: bytes) -> bytes:
    """Return a JPEG of the size of a tile, all of it in the mean colour of ``image``."""
    colour = decode(image).mean(axis=(0, 1)).round().astype(np.uint8)
    return encode_jpeg(np.broadcast_to(colour, (TILE_PIXELS, TILE_PIXELS, 3)))


def nearly_uniform(image: bytes) -> bytes:
    """Return a PNG of the size of a tile, its left half in the mean grey of ``image``, its right one level brighter."""
    grey = min(254, int(decode(image).mean()))
    pixels = np.full((TILE_PIXELS, TILE_PIXELS), grey, np.uint8)
    pixels[:, TILE_PIXELS // 2 :] += 1
    return encode(Image.fromarray(pixels), "PNG")

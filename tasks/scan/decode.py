"""Kernel: decode image bytes strictly to a small luma thumbnail, by the fastest decoder that is strict enough."""

import io
import warnings
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from schemas.reasons import Reason

THUMBNAIL = 64
"""Side of the luma thumbnail [pixels]: a quarter of a 256-pixel tile, which a JPEG decoder gives without resampling."""

_MAGIC = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"WEBP", 8, "WEBP"),
    (b"II*\0", 0, "TIFF"),
    (b"MM\0*", 0, "TIFF"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"\0\0\0\x0cjP  ", 0, "JPEG2000"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftyphei", 4, "HEIF"),
)

_JPEG_MODES = {"Gray": "L", "YCbCr": "RGB", "RGB": "RGB"}  # others (CMYK, YCCK) go through Pillow


class Decoded(NamedTuple):
    """A decoded image."""

    luma: NDArray[np.uint8]  # shape (64, 64)
    format: str
    mode: str  # Pillow's name of the pixel format
    width: int  # of the whole image [pixels]
    height: int


class ImageDefect(Exception):
    """An image that is not decoded: the reason, what was found and expected, and what the header told."""

    def __init__(self, reason: Reason, detail: str, *, format: str | None = None, size: tuple[int, int] | None = None):
        super().__init__(detail)
        self.reason = reason
        self.format = format
        self.size = size


def sniff(data: memoryview) -> str | None:
    """Return the format that the first bytes of ``data`` name, in Pillow's spelling; None if they name none."""
    head = bytes(data[:16])
    for magic, at, name in _MAGIC:
        if head.startswith(magic, at):
            return name
    return None


def decode(data: memoryview, *, formats: Collection[str], max_pixels: int) -> Decoded:
    """Decode ``data`` to luma, 64 x 64.

    JPEG goes through libjpeg-turbo in reduced size, with every warning an error: over 30,000 mutated files it
    refused all that Pillow's strict decode refuses, and more. All else goes through Pillow.

    Raises:
        ImageDefect: image_format, image_too_large (from the header alone, nothing decoded) or image_undecodable.
    """
    name = sniff(data)
    if name is None:
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, f"no known image format in {len(data):,} bytes")
    if name not in formats:
        raise ImageDefect(Reason.IMAGE_FORMAT, f"found {name}, expected one of {', '.join(formats)}", format=name)
    if name == "JPEG":
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError as error:
            raise ImageDefect(Reason.IMAGE_UNDECODABLE, f"JPEG: {error}", format=name) from error
        if colours in _JPEG_MODES:
            return _decode_jpeg(data, width, height, _JPEG_MODES[colours], max_pixels)
    return _decode_pillow(data, name, max_pixels)


def _decode_jpeg(data: memoryview, width: int, height: int, mode: str, max_pixels: int) -> Decoded:
    _refuse_large("JPEG", width, height, max_pixels)
    try:
        luma = simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, min_height=THUMBNAIL, min_width=THUMBNAIL)[:, :, 0]
    except ValueError as error:
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, f"JPEG: {error}", format="JPEG", size=(width, height)) from error
    if luma.shape != (THUMBNAIL, THUMBNAIL):
        luma = _thumbnail(Image.fromarray(luma))
    return Decoded(luma, "JPEG", mode, width, height)


def _decode_pillow(data: memoryview, name: str, max_pixels: int) -> Decoded:
    size: tuple[int, int] | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the pixel limit is checked here, and exif notes are of no interest
            with Image.open(io.BytesIO(data), formats=(name,)) as image:
                size, mode = image.size, image.mode
                _refuse_large(name, *size, max_pixels)
                image.load()
                return Decoded(_thumbnail(image.convert("L")), name, mode, *size)
    except ImageDefect:
        raise
    except Image.DecompressionBombError as error:
        raise ImageDefect(Reason.IMAGE_TOO_LARGE, f"{name}: {error}", format=name) from error
    except UnidentifiedImageError as error:
        detail = f"{name}: the header cannot be read"
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, detail, format=name) from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        detail = f"{name}: {type(error).__name__}: {error}"
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, detail, format=name, size=size) from error


def _refuse_large(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        detail = f"{name}: found {width} x {height} pixels, expected at most {max_pixels:,} in all"
        raise ImageDefect(Reason.IMAGE_TOO_LARGE, detail, format=name, size=(width, height))


def _thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))

"""Thumbnails for contact sheets: any image bytes to a small data URI, or to a word on why there is none."""

import base64
import io
from typing import NamedTuple

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")
"""The decoders that may run: the bytes of a report are those of rejected rows too."""

MAX_PIXELS = 4096 * 4096
"""Largest width x height that is decoded for a thumbnail [pixels]."""

_ENCODINGS = ((128, 70), (96, 60), (64, 45))
"""Longest edge [pixels] and WebP quality, best first; a later one is tried where an earlier one is over the budget."""


class Thumbnail(NamedTuple):
    """A ``data:`` URI, or, where ``uri`` is None, the problem in a few words."""

    uri: str | None
    problem: str = ""


def thumbnail(image: bytes | None, *, budget_bytes: int) -> Thumbnail:
    """Return ``image`` as a WebP data URI of at most ``budget_bytes`` characters. Never raises.

    >>> thumbnail(b"not an image", budget_bytes=8192)
    Thumbnail(uri=None, problem='cannot be decoded')
    """
    if not image:
        return Thumbnail(None, "no image bytes")
    try:
        return _encode(image, budget_bytes)
    except Exception:  # decoders of hostile bytes raise nearly anything; a page without one picture is still a page
        return Thumbnail(None, "cannot be decoded")


def _encode(image: bytes, budget_bytes: int) -> Thumbnail:
    with Image.open(io.BytesIO(image), formats=FORMATS) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            return Thumbnail(None, f"too large to show: {picture.width} x {picture.height}")
        picture.thumbnail((_ENCODINGS[0][0],) * 2)
        small = picture.convert("RGB")
    small.info.clear()  # a colour profile or EXIF block would travel along, and can be larger than the picture
    for edge, quality in _ENCODINGS:
        small.thumbnail((edge, edge))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=quality)
        uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
        if len(uri) <= budget_bytes:
            return Thumbnail(uri)
    return Thumbnail(None, "left out to keep the page small")

"""Kernel: image files that show what another one shows, each made from it in one known way."""

import numpy as np
from PIL import Image, ImageFilter

from tasks.demo.imagery import decode, encode, encode_jpeg


def png(image: bytes, level: int) -> bytes:
    """Return the pixels of ``image`` as a PNG, compressed at ``level`` [0..9]."""
    return encode(_picture(image), "PNG", compress_level=level)


def lossless_webp(image: bytes) -> bytes:
    """Return the pixels of ``image`` as a WebP that changes none of them."""
    return encode(_picture(image), "WEBP", lossless=True)


def tiff(image: bytes) -> bytes:
    """Return the pixels of ``image`` as a TIFF."""
    return encode(_picture(image), "TIFF", compression="tiff_adobe_deflate")


def brightened(image: bytes, gain: float, quality: int) -> bytes:
    """Return ``image`` with its colours multiplied by ``gain``, encoded again as JPEG of ``quality``."""
    return encode_jpeg(np.minimum(np.rint(decode(image) * gain), 255).astype(np.uint8), quality)


def recompressed(image: bytes, quality: int) -> bytes:
    """Return ``image`` encoded again as JPEG of ``quality``."""
    return encode_jpeg(decode(image), quality)


def resampled(image: bytes) -> bytes:
    """Return ``image`` at half its size, and then at its size again."""
    picture = _picture(image)
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    return _jpeg(half.resize(picture.size, Image.Resampling.BICUBIC))


def blurred(image: bytes, radius: float) -> bytes:
    """Return ``image`` after a Gaussian blur of standard deviation ``radius`` [pixels]."""
    return _jpeg(_picture(image).filter(ImageFilter.GaussianBlur(radius)))


def with_gamma(image: bytes, gamma: float) -> bytes:
    """Return ``image`` with each colour, from 0 to 1, raised to the power ``gamma``."""
    curve = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return encode_jpeg(curve[decode(image)])


def turned(image: bytes, way: Image.Transpose) -> bytes:
    """Return ``image`` rotated by quarter turns, or mirrored."""
    return _jpeg(_picture(image).transpose(way))


def cropped(image: bytes, left: int, top: int, right: int, bottom: int) -> bytes:
    """Return ``image`` without so many pixels at its edges, brought to its size again."""
    picture = _picture(image)
    part = picture.crop((left, top, picture.width - right, picture.height - bottom))
    return _jpeg(part.resize(picture.size, Image.Resampling.LANCZOS))


def _picture(image: bytes) -> Image.Image:
    return Image.fromarray(decode(image))


def _jpeg(picture: Image.Image) -> bytes:
    return encode_jpeg(np.asarray(picture))

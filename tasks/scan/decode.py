"""Kernel: decode image bytes strictly to a small luma thumbnail, by the fastest decoder that is strict enough."""

import io
import warnings
from collections.abc import Callable, Collection
from functools import cache
from typing import NamedTuple

import numpy as np
import simplejpeg
import xxhash
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from schemas.reasons import Reason
from tasks.scan.containers import ends_early, plain_jpeg_frame, sniff, tiff_pages, webp_size
from tasks.scan.png import decode_plain_png, has_wrong_checksum

THUMBNAIL = 64
"""Side of the luma thumbnail [pixels]: a quarter of a 256-pixel tile, which a JPEG decoder gives without resampling."""

# Called by name: ``Image.open`` would import, and may ask, plugins that no recipe can allow. What the codecs may hold
# in turn stays within these libraries: the JPEG, WebP, LZW, Deflate and fax data in a TIFF is libtiff's.
_PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.jpeg_factory,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}

_JPEG_MODES = {1: "L", 3: "RGB"}  # by components; four (CMYK, YCCK) go through Pillow
_CONVERTIBLE = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
_PILLOW_KNOWS_NO_MODE = "unknown pixel mode"  # its TIFF reader's words for five bands, complex numbers, and the like
_ABSENT = 1e30  # from this magnitude on, a float stands for "no data": GDAL's habit is the lowest float32, -3.4e38


class Decoded(NamedTuple):
    """A decoded image; a row that holds it can be measured, whatever else is wrong with it."""

    luma: NDArray[np.uint8]  # shape (64, 64)
    format: str
    mode: str  # Pillow's name of the pixel format
    width: int  # of the whole image [pixels]
    height: int
    notes: tuple[tuple[Reason, str], ...] = ()  # image_animated, image_mode: what is wrong, and its detail
    pixels_xxh3: int | None = None  # XXH3-64 of size and pixels, where it was asked for


class ImageDefect(Exception):
    """An image that is not decoded: the reason, what was found and expected, and what the header told."""

    def __init__(
        self, reason: Reason, detail: str, format: str | None = None, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(reason, detail, format, size)  # all of them, so that it can be pickled
        self.reason = reason
        self.detail = detail
        self.format = format
        self.size = size

    def __str__(self) -> str:
        """Return what was found and expected."""
        return self.detail


def decode(
    data: memoryview, *, formats: Collection[str], max_pixels: int, max_bytes: int, pixel_digest: bool = False
) -> Decoded:
    """Decode ``data`` to luma, 64 x 64.

    JPEG goes through libjpeg-turbo in reduced size, with every warning an error, and PNG of the usual kind through
    :mod:`tasks.scan.png`: over mutated files they refuse all that Pillow's strict decode refuses, and more
    (``tests/tasks/scan/test_differential.py``). All else goes through Pillow. Bytes after the end of a picture are
    accepted, as by Pillow, also the further pictures of a multi-picture JPEG (MPO: stereo pairs, gain maps): the first
    is the one that every reader shows. Of an animation or of several pages the first is decoded, and ``notes`` has
    image_animated; where the pixel format converts to RGB only with loss of meaning (16 bits, float, LAB), the luma is
    stretched to its range, and ``notes`` has image_mode.

    Args:
        data: The bytes of an image file.
        formats: Those of JPEG, PNG, WEBP and TIFF whose decoders may run.
        max_pixels: Largest width x height that is decoded.
        max_bytes: Most bytes that are looked at.
        pixel_digest: Whether all pixels are decoded and hashed: equal pictures have equal digests, in whatever format
            without loss they are, and a JPEG has that of what it decodes to.

    Raises:
        ImageDefect: image_format; image_too_large (from the length, or from the header alone, nothing decoded);
            image_truncated (a decoder refused, and by its structure the file goes on); image_mode (the TIFF cannot be
            decoded to pixels that Pillow has); image_undecodable.
    """
    name = sniff(data)
    if len(data) > max_bytes:
        detail = f"found {len(data):,} bytes, expected at most {max_bytes:,}"
        raise ImageDefect(Reason.IMAGE_TOO_LARGE, detail, name)
    if name is None:
        raise ImageDefect(Reason.IMAGE_UNDECODABLE, f"no known image format in {len(data):,} bytes")
    if name not in formats:
        raise ImageDefect(Reason.IMAGE_FORMAT, f"found {name}, expected one of {', '.join(formats)}", name)
    if name == "JPEG" and (frame := plain_jpeg_frame(data)) and frame.components in _JPEG_MODES:
        mode = _JPEG_MODES[frame.components]
        return _decode_jpeg(data, frame.width, frame.height, mode, max_pixels, pixel_digest)
    if name == "PNG" and (plain := decode_plain_png(data, max_pixels)):
        return _measurable(*plain, pixel_digest)
    return _decode_pillow(data, name, max_pixels, pixel_digest)


def _decode_jpeg(data: memoryview, width: int, height: int, mode: str, max_pixels: int, pixel_digest: bool) -> Decoded:
    _refuse_large("JPEG", width, height, max_pixels)
    digest = None
    try:
        luma = simplejpeg.decode_jpeg(data, "GRAY", fastdct=True, min_height=THUMBNAIL, min_width=THUMBNAIL)[:, :, 0]
        if pixel_digest:  # as Pillow decodes it, which the tests hold it against: the accurate DCT, chroma interpolated
            whole = simplejpeg.decode_jpeg(data, "GRAY" if mode == "L" else "RGB")
            digest = _pixels_xxh3(Image.fromarray(whole[:, :, 0] if mode == "L" else whole))
    except ValueError as error:
        raise _refusal(data, "JPEG", str(error), (width, height)) from error
    if luma.shape != (THUMBNAIL, THUMBNAIL):
        luma = _thumbnail(Image.fromarray(luma))
    return Decoded(luma, "JPEG", mode, width, height, pixels_xxh3=digest)


def _measurable(pixels: NDArray[np.uint8], mode: str, pixel_digest: bool) -> Decoded:
    """Return what is kept of a plain PNG: the same, to the last bit, as of what Pillow decodes."""
    from tasks.scan._pixels import luma_of, quartered

    height, width, channels = pixels.shape
    grey = channels < 3  # or grey and opacity, which is dropped
    digest = _pixels_xxh3(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)) if pixel_digest else None
    luma = pixels[:, :, 0] if grey else luma_of(pixels)
    is_tile = luma.shape == (4 * THUMBNAIL, 4 * THUMBNAIL)
    luma = quartered(luma) if is_tile else _thumbnail(Image.fromarray(luma))
    return Decoded(luma, "PNG", mode, width, height, pixels_xxh3=digest)


@cache
def load_decoders() -> None:
    """Load, or compile, what :func:`decode` loads late: in limited memory it would count as an image's."""
    pixels = np.zeros((4 * THUMBNAIL, 4 * THUMBNAIL, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    decode(memoryview(written.getvalue()), formats=["PNG"], max_pixels=pixels.size, max_bytes=2**20)


def _decode_pillow(data: memoryview, name: str, max_pixels: int, pixel_digest: bool) -> Decoded:
    size: tuple[int, int] | None = None
    try:
        if name == "WEBP" and (size := webp_size(data)):
            _refuse_large(name, *size, max_pixels)  # its plugin allocates the canvas when it opens
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the pixel limit is checked here, and exif notes are of no interest
            image = _PLUGINS[name](io.BytesIO(data))
            size, mode = image.size, image.mode
            _refuse_large(name, *size, max_pixels)
            if name == "JPEG" and mode in _JPEG_MODES.values():
                return _decode_jpeg(data, *size, mode, max_pixels, pixel_digest)  # Pillow understands the header, too
            if name == "PNG" and has_wrong_checksum(data):
                raise SyntaxError("broken PNG file (wrong checksum in IDAT)")  # as Pillow says it of other chunks
            image.load()
            digest = _pixels_xxh3(image) if pixel_digest else None
            return Decoded(_luma(image), name, mode, *size, tuple(_notes(data, name, image)), digest)
    except ImageDefect:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        if name == "TIFF" and str(error) == _PILLOW_KNOWS_NO_MODE:
            raise ImageDefect(Reason.IMAGE_MODE, _mode_detail(name, "unknown to Pillow"), name) from error
        raise _refusal(data, name, f"{type(error).__name__}: {error}", size) from error


def _refusal(data: memoryview, name: str, words: str, size: tuple[int, int] | None) -> ImageDefect:
    if ends_early(data, name):
        return ImageDefect(Reason.IMAGE_TRUNCATED, f"{name}: ends after {len(data):,} bytes: {words}", name, size)
    return ImageDefect(Reason.IMAGE_UNDECODABLE, f"{name}: {words}", name, size)


def _refuse_large(name: str, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        detail = f"{name}: found {width} x {height} pixels, expected at most {max_pixels:,} in all"
        raise ImageDefect(Reason.IMAGE_TOO_LARGE, detail, name, (width, height))


def _notes(data: memoryview, name: str, image: ImageFile.ImageFile) -> list[tuple[Reason, str]]:
    notes = []
    if name in ("PNG", "WEBP") and (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append((Reason.IMAGE_ANIMATED, f"{name}: found {frames} frames, expected one"))
    elif name == "TIFF" and tiff_pages(data) > 1:
        notes.append((Reason.IMAGE_ANIMATED, f"{name}: found several pages, expected one"))
    if image.mode not in _CONVERTIBLE:
        notes.append((Reason.IMAGE_MODE, _mode_detail(name, image.mode)))
    return notes


def _mode_detail(name: str, mode: str) -> str:
    return f"{name}: found pixel format {mode}, expected one that converts to RGB: {', '.join(_CONVERTIBLE)}"


def _pixels_xxh3(image: Image.Image) -> int:
    """Return the XXH3-64 of size and pixels as a reader sees them: grey and palette as RGB, full opacity as none."""
    pixels: Image.Image = image
    if image.mode in _CONVERTIBLE:
        pixels = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if pixels.mode == "RGBA" and pixels.getchannel("A").getextrema() == (255, 255):
            pixels = pixels.convert("RGB")
    digest = xxhash.xxh3_64(f"{pixels.mode} {pixels.width} x {pixels.height}".encode())
    digest.update(pixels.tobytes())
    return int(digest.intdigest())


def _luma(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "LAB":
        return _thumbnail(image.getchannel("L"))
    if image.mode not in _CONVERTIBLE:
        return _thumbnail(Image.fromarray(_stretched(np.asarray(image, np.float64))))
    return _thumbnail(image.convert("L"))  # transparency is dropped: the colours that the file holds under it


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return ``values`` with the least at 0 and the greatest at 255, absent ones at 0; whole numbers exactly so."""
    present = np.abs(values) < _ABSENT  # False for NaN
    if not present.any():
        return np.zeros(values.shape, np.uint8)
    low, high = values[present].min(), values[present].max()
    shifted = np.where(present, values, low) - low
    stretched: NDArray[np.uint8] = np.floor(shifted * 255 / ((high - low) or 1)).astype(np.uint8)
    return stretched


def _thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))

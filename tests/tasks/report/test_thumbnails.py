"""Thumbnails: real pictures become small, and no bytes whatever raise."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.report.thumbnails import Thumbnail, thumbnail


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(shown: Thumbnail) -> Image.Image:
    assert shown.uri is not None
    return Image.open(io.BytesIO(base64.b64decode(shown.uri.removeprefix("data:image/webp;base64,"))))


@pytest.mark.parametrize(
    ("form", "mode"),
    [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "LA"), ("WEBP", "RGBA"), ("TIFF", "I;16")],
)
def test_any_allowed_picture_becomes_a_webp(form: str, mode: str) -> None:
    picture = decoded(thumbnail(encoded(Image.new(mode, (256, 200)), form), budget_bytes=10_000))
    assert (picture.format, picture.size, picture.mode) == ("WEBP", (128, 100), "RGB")


def test_metadata_does_not_travel() -> None:
    picture = encoded(Image.new("RGB", (64, 64)), "JPEG", icc_profile=b"x" * 60_000, exif=b"Exif\0\0" + b"y" * 5000)
    shown = thumbnail(picture, budget_bytes=10_000)
    assert not {"icc_profile", "exif"} & decoded(shown).info.keys()


def test_budget_is_met_with_a_smaller_picture() -> None:
    noise = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)), "PNG")
    small = thumbnail(noise, budget_bytes=4000)
    assert small.uri is not None
    assert len(small.uri) <= 4000
    assert decoded(small).width < 128
    assert thumbnail(noise, budget_bytes=100).problem == "left out to keep the page small"


@pytest.mark.parametrize("nothing", [None, b""])
def test_missing_picture(nothing: bytes | None) -> None:
    assert thumbnail(nothing, budget_bytes=10_000) == Thumbnail(None, "no image bytes")


def test_forbidden_format_is_not_decoded() -> None:
    gif = encoded(Image.new("RGB", (8, 8)), "GIF")
    assert thumbnail(gif, budget_bytes=10_000) == Thumbnail(None, "cannot be decoded")


def test_declared_size_is_checked_before_a_pixel_is_decoded() -> None:
    large = encoded(Image.new("1", (4097, 4096)), "PNG")
    assert thumbnail(large, budget_bytes=10_000) == Thumbnail(None, "too large to show: 4097 x 4096")


@given(st.binary(max_size=200), st.integers(0, 700))
def test_no_bytes_raise(noise: bytes, cut: int) -> None:
    picture = encoded(Image.new("RGB", (32, 32), (9, 99, 200)), "JPEG")
    for image in (noise, picture[:cut], picture[:cut] + noise, noise + picture):
        shown = thumbnail(image, budget_bytes=10_000)
        assert bool(shown.uri) != bool(shown.problem)

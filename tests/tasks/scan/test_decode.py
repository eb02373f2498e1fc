import io
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pairs import encode, picture
from PIL import Image

from schemas.reasons import Reason
from schemas.recipe import ScanSettings
from tasks.scan.decode import Decoded, ImageDefect, decode

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF"]
ROOT = Path(__file__).parents[3]


def read(data: bytes, **changes: object) -> Decoded:
    settings = ScanSettings.model_validate(changes)
    return decode(
        memoryview(data),
        formats=settings.formats,
        max_pixels=settings.max_pixels,
        max_bytes=settings.max_bytes,
        pixel_digest=settings.pixel_digest,
    )


def refusal(data: bytes, **changes: object) -> ImageDefect:
    with pytest.raises(ImageDefect) as defect:
        read(data, **changes)
    return defect.value


def png(width: int, height: int, *chunks: tuple[bytes, bytes], after: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG that declares any size, of grey 0 if the size is small, with ``chunks`` before its data."""
    pixels = zlib.compress(bytes((width + 1) * height) if width * height < 2**20 else b"")
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    every = (header, *chunks, (b"IDAT", pixels), *after, (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in every)
    return b"\x89PNG\r\n\x1a\n" + body


def sixteen_bits(image: Image.Image, low: int = 0, high: int = 65_535) -> Image.Image:
    grey = np.asarray(image.convert("L"), np.float64)
    return Image.fromarray((low + grey * (high - low) / 255).astype(np.uint16))


def floats(image: Image.Image, absent: float) -> Image.Image:
    values = np.asarray(image.convert("L"), np.float32) * 40 - 3000
    values[:64] = absent
    return Image.fromarray(values)


def four_band_tiff() -> bytes:
    """Four bands that are no colours, and no way to tell which: as a multispectral scene has."""
    data = encode(picture(1, mode="CMYK"), "TIFF")
    photometric = struct.pack("<HHI", 262, 3, 1)
    at = data.index(photometric) + len(photometric)
    return data[:at] + b"\1\0" + data[at + 2 :]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_allowed_format_gives_nearly_the_same_thumbnail(format: str, mode: str) -> None:
    image = picture(1, mode=mode)
    decoded = read(encode(image, format))
    assert decoded[1:6] == (format, "RGB" if format == "WEBP" else mode, 256, 256, ())
    expected = np.asarray(image.convert("L").reduce(4), np.int16)
    assert decoded.luma.shape == (64, 64)
    assert decoded.luma.dtype == np.uint8
    assert np.abs(decoded.luma - expected).mean() < 3


@pytest.mark.parametrize("size", [(256, 256), (512, 512), (100, 60), (33, 500), (1, 1)])
def test_every_size_of_jpeg_gives_a_square_thumbnail(size: tuple[int, int]) -> None:
    decoded = read(encode(picture(2, size=size)))
    assert (decoded.width, decoded.height) == size
    assert decoded.luma.shape == (64, 64)


def test_a_cmyk_jpeg_is_decoded_by_pillow() -> None:
    assert read(encode(picture(3, mode="CMYK"))).mode == "CMYK"


def test_exif_and_profiles_change_nothing_of_a_jpeg() -> None:
    plain = read(encode(picture(3)))
    for options in ({"exif": b"Exif\0\0II*\0"}, {"icc_profile": b"profile"}, {"xmp": b"<x/>"}):
        other = read(encode(picture(3), **options))
        np.testing.assert_array_equal(other.luma, plain.luma)
        assert other[1:] == plain[1:]


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"hello", Reason.IMAGE_UNDECODABLE, "no known image format in 5 bytes"),
        (encode(picture(4), "GIF"), Reason.IMAGE_FORMAT, "found GIF, expected one of JPEG"),
        (encode(picture(4), "BMP"), Reason.IMAGE_FORMAT, "found BMP"),
        (encode(picture(4), "JPEG2000"), Reason.IMAGE_FORMAT, "found JPEG2000"),
        (encode(picture(4), "AVIF"), Reason.IMAGE_FORMAT, "found AVIF"),
        (png(5000, 5000), Reason.IMAGE_TOO_LARGE, "found 5000 x 5000 pixels"),
        (png(60_000, 60_000), Reason.IMAGE_TOO_LARGE, "PNG"),
        (png(2000, 2000), Reason.IMAGE_UNDECODABLE, "PNG"),
        (encode(picture(4), "WEBP").replace(b"WEBPVP8 ", b"WEBPJUNK"), Reason.IMAGE_UNDECODABLE, "WEBP"),
        (four_band_tiff(), Reason.IMAGE_MODE, "TIFF: found pixel format unknown to Pillow"),
        (encode(picture(4)).replace(b"\xff\xdb", b"\xff\xdc"), Reason.IMAGE_UNDECODABLE, "JPEG"),
    ],
)
def test_what_cannot_be_decoded_is_a_defect_with_its_reason(data: bytes, reason: Reason, words: str) -> None:
    defect = refusal(data)
    assert (defect.reason, words in str(defect)) == (reason, True), str(defect)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_that_is_cut_is_truncated(format: str, share: float) -> None:
    whole = encode(picture(4), format)
    cut = int(share * len(whole))
    defect = refusal(whole[:cut])
    assert (defect.reason, defect.format) == (Reason.IMAGE_TRUNCATED, format)
    assert f"{format}: ends after {cut:,} bytes: " in str(defect)


@pytest.mark.parametrize("options", [{"progressive": True}, {"exif": b"Exif\0\0II*\0"}])
def test_a_jpeg_without_its_last_two_bytes_is_truncated(options: dict[str, object]) -> None:
    assert refusal(encode(picture(4), **options)[:-2]).reason is Reason.IMAGE_TRUNCATED


def test_a_file_damaged_in_its_middle_is_undecodable_and_not_truncated() -> None:
    for format, damage in (("JPEG", b"\xff\xd3" * 8), ("PNG", b"\xff" * 16)):
        data = encode(picture(4), format)
        middle = len(data) // 2
        damaged = data[:middle] + damage + data[middle + len(damage) :]
        assert refusal(damaged).reason is Reason.IMAGE_UNDECODABLE


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_after_the_end_of_the_picture_are_accepted(format: str) -> None:
    whole = encode(picture(4), format)
    np.testing.assert_array_equal(read(whole + b"trailing" * 9).luma, read(whole).luma)


def test_a_multi_picture_jpeg_is_its_first_picture_and_no_animation() -> None:
    buffer = io.BytesIO()
    picture(4).save(buffer, "MPO", save_all=True, append_images=[picture(5)], quality=90)
    decoded = read(buffer.getvalue())
    assert decoded[1:6] == ("JPEG", "RGB", 256, 256, ())
    np.testing.assert_array_equal(decoded.luma, read(encode(picture(4))).luma)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_decoded_and_a_note_says_so(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    still = read(encode(picture(4), format, **options))
    moving = read(encode(picture(4), format, save_all=True, append_images=[picture(5)], **options))
    assert still.notes == ()
    assert [reason for reason, _ in moving.notes] == [Reason.IMAGE_ANIMATED]
    assert moving.notes[0][1].startswith(f"{format}: found ")
    np.testing.assert_array_equal(moving.luma, still.luma)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_that_convert_to_rgb_have_no_note(mode: str) -> None:
    decoded = read(encode(picture(4, mode=mode), "PNG"))
    assert (decoded.mode, decoded.notes) == (mode, ())


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "RGBX"])
def test_modes_of_tiff_that_convert_to_rgb_have_no_note(mode: str) -> None:
    assert read(encode(picture(4, mode=mode), "TIFF")).notes == ()


def noted_mode(data: bytes) -> NDArray[np.uint8]:
    decoded = read(data)
    assert [reason for reason, _ in decoded.notes] == [Reason.IMAGE_MODE]
    assert f"found pixel format {decoded.mode}, expected one that converts to RGB" in decoded.notes[0][1]
    return decoded.luma


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("low", "high"), [(0, 65_535), (300, 4095)])
def test_sixteen_bits_are_noted_and_stretched_not_clipped(format: str, low: int, high: int) -> None:
    image = picture(4)
    luma = noted_mode(encode(sixteen_bits(image, low, high), format)).astype(np.int16)
    grey = np.asarray(image.convert("L").reduce(4), np.float64)
    least, greatest = (float(bound) for bound in image.convert("L").getextrema())
    assert np.abs(luma - (grey - least) * 255 / (greatest - least)).mean() < 2


@pytest.mark.parametrize("absent", [np.nan, np.inf, -np.inf, -3.4028235e38])
def test_floats_are_noted_and_what_stands_for_no_data_is_black(absent: float) -> None:
    luma = noted_mode(encode(floats(picture(4), absent), "TIFF"))
    assert (luma[:16] == 0).all()
    assert luma[16:].std() > 20
    assert noted_mode(encode(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF")).max() == 0


def test_whole_numbers_of_32_bits_and_lab_are_noted() -> None:
    numbers = np.full((64, 64), -(2**31), np.int32)
    numbers[:, 32:] = 2**31 - 1
    luma = noted_mode(encode(Image.fromarray(numbers), "TIFF"))
    assert (luma[:, :32].max(), luma[:, 32:].min()) == (0, 255)
    assert noted_mode(encode(Image.new("LAB", (9, 9), (77, 128, 128)), "TIFF")).tolist() == [[77] * 64] * 64


def test_what_is_transparent_has_the_colour_that_the_file_holds() -> None:
    image = picture(4)
    opaque = read(encode(image, "PNG")).luma
    image.putalpha(0)
    np.testing.assert_array_equal(read(encode(image, "PNG")).luma, opaque)


def test_limits_are_the_callers_and_formats_too() -> None:
    defect = refusal(encode(picture(5), "PNG"), formats=["JPEG"])
    assert (defect.reason, defect.format) == (Reason.IMAGE_FORMAT, "PNG")
    for format in FORMATS:
        data = encode(picture(5), format)
        defect = refusal(data, max_pixels=65_535)
        assert (defect.reason, defect.format, defect.size) == (Reason.IMAGE_TOO_LARGE, format, (256, 256))
        defect = refusal(data, max_bytes=len(data) - 1)
        assert (defect.reason, defect.format) == (Reason.IMAGE_TOO_LARGE, format)
        assert str(defect) == f"found {len(data):,} bytes, expected at most {len(data) - 1:,}"
        read(data, max_bytes=len(data), max_pixels=65_536)


def test_a_bomb_is_refused_from_its_header_before_its_decoder_allocates() -> None:
    webp = encode(Image.new("RGB", (9, 9)), "WEBP", exif=b"Exif\0\0II*\0")  # with an extended header
    bomb = webp[:24] + b"\xff\x3f\0\xff\x3f\0" + webp[30:]
    assert str(refusal(bomb)) == "WEBP: found 16384 x 16384 pixels, expected at most 16,777,216 in all"
    jpeg = encode(picture(5))
    size = jpeg.index(b"\xff\xc0") + 5
    assert refusal(jpeg[:size] + b"\xff\xff\xff\xff" + jpeg[size + 4 :]).size == (65_535, 65_535)


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_text_or_profile_that_unpacks_to_too_much_is_a_defect(name: bytes) -> None:
    prefix = b"word\0\1\0\0\0" if name == b"iTXt" else b"word\0\0"
    small, large = ((name, prefix + zlib.compress(bytes(size))) for size in (99, 2**24))
    assert read(png(9, 9, small)).notes == ()
    assert refusal(png(9, 9, large)).reason is Reason.IMAGE_UNDECODABLE
    if name != b"iCCP":
        assert read(png(9, 9, after=(small,))).notes == ()
        assert refusal(png(9, 9, after=(large,))).reason is Reason.IMAGE_UNDECODABLE


def test_defects_and_pictures_travel_between_processes() -> None:
    defect = refusal(png(5000, 5000))
    copy = pickle.loads(pickle.dumps(defect))
    assert type(copy) is ImageDefect
    assert (str(copy), copy.reason, copy.format, copy.size) == (str(defect), defect.reason, "PNG", (5000, 5000))
    decoded = read(encode(picture(5, mode="RGB"), "TIFF", save_all=True, append_images=[picture(6)]))
    assert pickle.loads(pickle.dumps(decoded))[1:] == decoded[1:]


def test_no_other_plugin_of_pillow_is_ever_loaded(tmp_path: Path) -> None:
    files = [encode(picture(5, mode=mode), format) for format in FORMATS for mode in ("RGB", "L")]
    files += [encode(picture(5), format) for format in ("GIF", "BMP", "JPEG2000", "AVIF")]
    files += [data[: len(data) // 2] for data in files] + [encode(picture(5, mode="CMYK")), four_band_tiff()]
    for number, data in enumerate(files):
        (tmp_path / str(number)).write_bytes(data)
    script = f"""
import pathlib, sys
from tasks.scan.decode import ImageDefect, decode
for path in pathlib.Path(sys.argv[1]).iterdir():
    try:
        decode(memoryview(path.read_bytes()), formats={FORMATS}, max_pixels=10**6, max_bytes=10**7)
    except ImageDefect:
        pass
print(*sorted(name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")))
"""
    run = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [f"PIL.{name}ImagePlugin" for name in ("Jpeg", "Png", "Tiff", "WebP")]


def pixels(data: bytes) -> int | None:
    return read(data, pixel_digest=True).pixels_xxh3


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 75, "subsampling": 0}, {"progressive": True}])
def test_the_pixels_of_a_jpeg_are_those_of_what_it_decodes_to_in_any_format_without_loss(
    mode: str, options: dict[str, Any]
) -> None:
    data = encode(picture(1, mode=mode), "JPEG", **options)
    with Image.open(io.BytesIO(data)) as opened:
        whole = opened.copy()
    copies = [
        encode(whole, "PNG"),
        encode(whole, "PNG", compress_level=1),
        encode(whole, "TIFF"),
        encode(whole, "TIFF", compression="tiff_deflate"),
        encode(whole.convert("RGB"), "WEBP", lossless=True),
        encode(whole.convert("RGB"), "PNG"),
        encode(whole.convert("RGBA"), "PNG"),  # opaque all over
    ]
    assert {pixels(copy) for copy in copies} == {pixels(data)} != {None}


def test_a_palette_is_the_picture_that_it_shows() -> None:
    palette = picture(1).quantize(16)
    assert pixels(encode(palette, "PNG")) == pixels(encode(palette.convert("RGB"), "PNG"))


def test_other_pixels_sizes_and_opacities_have_other_digests() -> None:
    image = picture(1)
    changed = image.copy()
    changed.putpixel((3, 3), (1, 2, 3))
    clear = image.convert("RGBA")
    clear.putpixel((0, 0), (*image.getpixel((0, 0)), 0))
    wide = Image.frombytes("RGB", (512, 128), image.tobytes())
    digests = [pixels(encode(other, "PNG")) for other in (image, changed, clear, wide, sixteen_bits(image))]
    assert len({*digests, None}) == 6


def test_pixels_are_hashed_only_where_it_is_asked_for() -> None:
    assert read(encode(picture(1), "PNG")).pixels_xxh3 is None


def test_a_png_whose_pixels_have_another_checksum_than_it_says_is_refused() -> None:
    for data in (encode(picture(1), "PNG"), encode(picture(1).quantize(16), "PNG")):
        at = data.rindex(b"IEND") - 8  # the last IDAT chunk's checksum
        defect = refusal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert defect.reason is Reason.IMAGE_UNDECODABLE
        assert str(defect) == "PNG: SyntaxError: broken PNG file (wrong checksum in IDAT)"
        assert defect.size == (256, 256)

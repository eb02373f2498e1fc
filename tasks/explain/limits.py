"""What each validation rule expects, in words, and what of a row is held against it."""

from typing import NamedTuple

from schemas.reasons import Reason
from schemas.recipe import ScanSettings, Validation
from schemas.thresholds import BoundingBox, Range


class Held(NamedTuple):
    """What of a row's signals a rule looks at."""

    shown: tuple[str, ...]  # signals that say what was measured
    needed: tuple[str, ...]  # signals without which there is nothing to look at


_DECODED = ("luma_std",)
_HELD = {
    Reason.IMAGE_MISSING: Held(("byte_length",), ()),
    Reason.IMAGE_FORMAT: Held(("format",), ("format",)),
    Reason.IMAGE_TOO_LARGE: Held(("byte_length",), ("format",)),
    Reason.IMAGE_TRUNCATED: Held(("byte_length",), _DECODED),
    Reason.IMAGE_UNDECODABLE: Held(("format",), _DECODED),
    Reason.IMAGE_ANIMATED: Held(("format",), _DECODED),
    Reason.IMAGE_MODE: Held(("mode",), _DECODED),
    Reason.IMAGE_SIZE: Held(("width", "height"), _DECODED),
    Reason.IMAGE_BLANK: Held(("luma_std",), _DECODED),
    Reason.IMAGE_NODATA: Held(("nodata_fraction",), _DECODED),
    Reason.CAPTION_MISSING: Held(("caption_words",), ()),
    Reason.CAPTION_LENGTH_MISMATCH: Held(
        ("caption_words", "caption_words_declared"), ("caption_xxh3", "caption_words_declared")
    ),
    Reason.CAPTION_GARBLED: Held((), ("caption_xxh3",)),
    Reason.CAPTION_REFUSAL: Held((), ("caption_xxh3",)),
    Reason.SCORE_MISSING: Held(("img_quality_score",), ()),
    Reason.SCORE_NOT_FINITE: Held(("img_quality_score",), ("img_quality_score",)),
    Reason.SCORE_OUT_OF_RANGE: Held(("img_quality_score",), ("img_quality_score",)),
    Reason.PLACE_MISSING: Held(("z", "x", "y"), ()),
    Reason.PLACE_MALFORMED: Held(("z", "x", "y"), ("z",)),
    Reason.PLACE_OUT_OF_RANGE: Held(("z", "x", "y"), ("z",)),
    Reason.RESOLUTION_MISMATCH: Held(("resolution_m", "z"), ("resolution_m", "x")),
    Reason.IMG_NAME_MISSING: Held(("img_name",), ()),
    Reason.IMG_NAME_REPEATED: Held(("img_name",), ("img_name",)),
    Reason.DUPLICATE_BYTES: Held(("sha256",), ("sha256",)),
    Reason.DUPLICATE_PIXELS: Held(("pixels_xxh3",), ("pixels_xxh3",)),
    Reason.DUPLICATE_NEAR: Held(("phash",), ("phash",)),
    Reason.DUPLICATE_SEMANTIC: Held((), _DECODED),
    Reason.DUPLICATE_TILE: Held(("z", "x", "y"), ("x",)),
    Reason.NESTED_TILE: Held(("z", "x", "y"), ("x",)),
    Reason.DUPLICATE_CAPTION: Held(("caption_words",), ("caption_xxh3",)),
    Reason.CAPTION_TOO_SHORT: Held(("caption_words",), ()),
    Reason.CAPTION_TOO_LONG: Held(("caption_words",), ()),
    Reason.ZOOM_OUTSIDE: Held(("z",), ()),
    Reason.RESOLUTION_OUTSIDE: Held(("resolution_m",), ()),
    Reason.GROUND_RESOLUTION_OUTSIDE: Held(("ground_resolution_m",), ()),
    Reason.BBOX_OUTSIDE: Held(("longitude", "latitude"), ()),
    Reason.AREA_OUTSIDE: Held(("longitude", "latitude"), ()),
    Reason.SPLIT_STRADDLED: Held(("z", "x", "y"), ("x",)),
    Reason.SPLIT_BORDER: Held(("z", "x", "y"), ("x",)),
}


def held_against(reason: Reason) -> Held:
    """Return what of a row ``reason`` looks at; nothing for rules that look at no signal."""
    return _HELD.get(reason, Held((), ()))


def validation_limit(reason: Reason, scan: ScanSettings, validation: Validation) -> str | None:
    """Return what the validation rule ``reason`` expects, in words; None if the recipe sets no limit."""
    match reason:
        case Reason.IMAGE_FORMAT:
            return f"one of {', '.join(scan.formats)}"
        case Reason.IMAGE_TOO_LARGE:
            return f"at most {scan.max_bytes:,} bytes and {scan.max_pixels:,} pixels"
        case Reason.IMAGE_SIZE:
            size = validation.image_size
            return None if size is None else f"{size.width} x {size.height} pixels"
        case Reason.IMAGE_BLANK:
            return f"luma_std above {validation.blank_luma_std:g}"
        case Reason.IMAGE_NODATA:
            return f"nodata_fraction below {validation.nodata_fraction:g}"
        case Reason.SCORE_OUT_OF_RANGE:
            return range_in_words(validation.score)
        case Reason.PLACE_OUT_OF_RANGE:
            zoom = range_in_words(validation.zoom)
            return "x and y below 2^z" + (f", zoom {zoom}" if zoom else "")
        case _:
            return _WORDS[reason]


_WORDS = {
    Reason.IMAGE_MISSING: "image bytes",
    Reason.IMAGE_TRUNCATED: "a file with its end",
    Reason.IMAGE_UNDECODABLE: "what a strict decoder takes",
    Reason.IMAGE_ANIMATED: "one frame or page",
    Reason.IMAGE_MODE: "a pixel format that converts to RGB",
    Reason.CAPTION_MISSING: "text",
    Reason.CAPTION_LENGTH_MISMATCH: "as many words as declared",
    Reason.CAPTION_GARBLED: "valid text",
    Reason.CAPTION_REFUSAL: "a description",
    Reason.SCORE_MISSING: "a number",
    Reason.SCORE_NOT_FINITE: "a finite number",
    Reason.PLACE_MISSING: "a tile z_x_y",
    Reason.PLACE_MALFORMED: "three whole numbers z_x_y",
    Reason.RESOLUTION_MISMATCH: "2^(17-z) m/pixel",
    Reason.IMG_NAME_MISSING: "a name",
    Reason.IMG_NAME_REPEATED: "no earlier row of that name",
}


def range_in_words(limits: Range) -> str | None:
    """Return a range in words, as in ``at least 10, at most 33``; None if both ends are open."""
    low, high = (getattr(limits, end) for end in ("min", "max"))
    told = [f"{words} {value:g}" for words, value in (("at least", low), ("at most", high)) if value is not None]
    return ", ".join(told) or None


def box_in_words(box: BoundingBox) -> str:
    """Return a bounding box in words."""
    return f"longitude {box.west:g} to {box.east:g}, latitude {box.south:g} to {box.north:g}"

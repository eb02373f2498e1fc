"""Why a row is not kept: reason codes, the stage each belongs to, and the order in which they count."""

from enum import StrEnum
from typing import NamedTuple


class Stage(StrEnum):
    """Selection stages in funnel order; a row's primary reason is the first it has in this order."""

    VALIDATION = "validation"
    DEDUPLICATION = "deduplication"
    QUALITY = "quality"
    CAPTION = "caption length"
    PLACE = "place and resolution"
    PICTURE = "picture"
    ALIGNMENT = "alignment"
    LISTS = "lists"
    SPLITS = "splits"
    SAMPLING = "sampling"


OPTIONAL = frozenset({Stage.PICTURE, Stage.ALIGNMENT, Stage.LISTS, Stage.SPLITS, Stage.SAMPLING})
"""Stages that most subsets do without."""


class Reason(StrEnum):
    """A code that says why a row was rejected (or, for validation, flagged). Bit *i* of a mask is the *i*-th code."""

    IMAGE_MISSING = "image_missing"
    IMAGE_FORMAT = "image_format"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TRUNCATED = "image_truncated"
    IMAGE_UNDECODABLE = "image_undecodable"
    IMAGE_ANIMATED = "image_animated"
    IMAGE_MODE = "image_mode"
    IMAGE_SIZE = "image_size"
    IMAGE_BLANK = "image_blank"
    IMAGE_NODATA = "image_nodata"
    CAPTION_MISSING = "caption_missing"
    CAPTION_LENGTH_MISMATCH = "caption_length_mismatch"
    CAPTION_GARBLED = "caption_garbled"
    CAPTION_REFUSAL = "caption_refusal"
    SCORE_MISSING = "score_missing"
    SCORE_NOT_FINITE = "score_not_finite"
    SCORE_OUT_OF_RANGE = "score_out_of_range"
    PLACE_MISSING = "place_missing"
    PLACE_MALFORMED = "place_malformed"
    PLACE_OUT_OF_RANGE = "place_out_of_range"
    RESOLUTION_MISMATCH = "resolution_mismatch"
    IMG_NAME_MISSING = "img_name_missing"
    IMG_NAME_REPEATED = "img_name_repeated"
    CONTAMINATED = "contaminated"
    DUPLICATE_BYTES = "duplicate_bytes"
    DUPLICATE_PIXELS = "duplicate_pixels"
    DUPLICATE_NEAR = "duplicate_near"
    DUPLICATE_SEMANTIC = "duplicate_semantic"
    DUPLICATE_TILE = "duplicate_tile"
    NESTED_TILE = "nested_tile"
    DUPLICATE_CAPTION = "duplicate_caption"
    QUALITY_BELOW = "quality_below"
    CAPTION_TOO_SHORT = "caption_too_short"
    CAPTION_TOO_LONG = "caption_too_long"
    ZOOM_OUTSIDE = "zoom_outside"
    RESOLUTION_OUTSIDE = "resolution_outside"
    GROUND_RESOLUTION_OUTSIDE = "ground_resolution_outside"
    BBOX_OUTSIDE = "bbox_outside"
    AREA_OUTSIDE = "area_outside"
    BYTE_LENGTH_OUTSIDE = "byte_length_outside"
    WIDTH_OUTSIDE = "width_outside"
    HEIGHT_OUTSIDE = "height_outside"
    LUMA_MEAN_OUTSIDE = "luma_mean_outside"
    LUMA_STD_OUTSIDE = "luma_std_outside"
    NODATA_FRACTION_OUTSIDE = "nodata_fraction_outside"
    SHARPNESS_OUTSIDE = "sharpness_outside"
    STRUCTURE_OUTSIDE = "structure_outside"
    SIMILARITY_OUTSIDE = "similarity_outside"
    PROMPT_MARGIN_OUTSIDE = "prompt_margin_outside"
    NOT_INCLUDED = "not_included"
    EXCLUDED = "excluded"
    SPLIT_STRADDLED = "split_straddled"
    SPLIT_BORDER = "split_border"
    TOP_MISSED = "top_missed"
    NOT_DRAWN = "not_drawn"
    OVER_SIZE = "over_size"

    @property
    def stage(self) -> Stage:
        """The stage that gives this reason."""
        return _FACTS[self].stage

    @property
    def meaning(self) -> str:
        """One sentence a person can read."""
        return _FACTS[self].meaning

    @property
    def measured(self) -> str | None:
        """The signals column (or verdict column) whose value led to this reason; None where no number did."""
        return _FACTS[self].measured

    @property
    def settings(self) -> tuple[str, ...]:
        """The recipe's keys that turn the rule on and set its limits, the action or the switch first."""
        action = (f"validation.rules.{self.value}",) if self.stage is Stage.VALIDATION else ()
        return action + _FACTS[self].settings

    @property
    def bit(self) -> int:
        """This reason's bit in a row's reason mask (uint64)."""
        return 1 << REASONS.index(self)


class _Facts(NamedTuple):
    stage: Stage
    meaning: str
    measured: str | None = None
    settings: tuple[str, ...] = ()  # keys of the recipe, for validation those beside the action


_FACTS: dict[Reason, _Facts] = {
    Reason.IMAGE_MISSING: _Facts(Stage.VALIDATION, "The row has no image bytes.", "byte_length"),
    Reason.IMAGE_FORMAT: _Facts(
        Stage.VALIDATION, "The bytes are not of an allowed image format.", settings=("scan.formats",)
    ),
    Reason.IMAGE_TOO_LARGE: _Facts(
        Stage.VALIDATION,
        "More bytes than the limit, or the header declares more pixels than the limit.",
        "byte_length",
        settings=("scan.max_bytes", "scan.max_pixels"),
    ),
    Reason.IMAGE_TRUNCATED: _Facts(Stage.VALIDATION, "The bytes end before the picture does.", "byte_length"),
    Reason.IMAGE_UNDECODABLE: _Facts(
        Stage.VALIDATION,
        "A strict decoder refuses the bytes, crashes, hangs or needs too much memory on them.",
        settings=("scan.decode_seconds", "scan.decode_memory_bytes"),
    ),
    Reason.IMAGE_ANIMATED: _Facts(Stage.VALIDATION, "The file holds several frames or pages."),
    Reason.IMAGE_MODE: _Facts(Stage.VALIDATION, "The pixel format does not convert to RGB without loss of meaning."),
    Reason.IMAGE_SIZE: _Facts(
        Stage.VALIDATION, "Width or height is not the expected one.", "width", settings=("validation.image_size",)
    ),
    Reason.IMAGE_BLANK: _Facts(
        Stage.VALIDATION, "The picture is uniform or nearly so.", "luma_std", settings=("validation.blank_luma_std",)
    ),
    Reason.IMAGE_NODATA: _Facts(
        Stage.VALIDATION,
        "Pure black or white fills the picture from an edge: no data there.",
        "nodata_fraction",
        settings=("validation.nodata_fraction",),
    ),
    Reason.CAPTION_MISSING: _Facts(Stage.VALIDATION, "The caption is null or blank.", "caption_words"),
    Reason.CAPTION_LENGTH_MISMATCH: _Facts(
        Stage.VALIDATION, "The declared caption length is not the counted number of words.", "caption_words"
    ),
    Reason.CAPTION_GARBLED: _Facts(
        Stage.VALIDATION, "The caption is not valid text: control characters, or text decoded wrongly (mojibake)."
    ),
    Reason.CAPTION_REFUSAL: _Facts(
        Stage.VALIDATION, "The caption is, or begins with, a captioning model's refusal or boilerplate."
    ),
    Reason.SCORE_MISSING: _Facts(Stage.VALIDATION, "The quality score is null, or no number."),
    Reason.SCORE_NOT_FINITE: _Facts(Stage.VALIDATION, "The quality score is NaN or infinite.", "img_quality_score"),
    Reason.SCORE_OUT_OF_RANGE: _Facts(
        Stage.VALIDATION,
        "The quality score is outside validation.score.",
        "img_quality_score",
        settings=("validation.score",),
    ),
    Reason.PLACE_MISSING: _Facts(Stage.VALIDATION, "The row names no tile."),
    Reason.PLACE_MALFORMED: _Facts(Stage.VALIDATION, "The tile is not written as three whole numbers z_x_y."),
    Reason.PLACE_OUT_OF_RANGE: _Facts(
        Stage.VALIDATION,
        "The tile does not exist (x or y at or above 2^z), or z is outside validation.zoom.",
        "z",
        settings=("validation.zoom",),
    ),
    Reason.RESOLUTION_MISMATCH: _Facts(
        Stage.VALIDATION, "The declared resolution is not 2^(17-z) metres a pixel.", "resolution_m"
    ),
    Reason.IMG_NAME_MISSING: _Facts(Stage.VALIDATION, "The row has no img_name."),
    Reason.IMG_NAME_REPEATED: _Facts(Stage.VALIDATION, "An earlier row of the source has the same img_name."),
    Reason.CONTAMINATED: _Facts(
        Stage.DEDUPLICATION,
        "The picture is a copy, or nearly so, of one in a reference set.",
        "reference_distance",
        settings=("deduplication.references",),
    ),
    Reason.DUPLICATE_BYTES: _Facts(
        Stage.DEDUPLICATION,
        "The image is byte for byte that of a kept row.",
        "duplicate_distance",
        settings=("deduplication.exact_bytes",),
    ),
    Reason.DUPLICATE_PIXELS: _Facts(
        Stage.DEDUPLICATION,
        "The image is pixel for pixel that of a kept row.",
        "duplicate_distance",
        settings=("deduplication.exact_pixels", "scan.pixel_digest"),
    ),
    Reason.DUPLICATE_NEAR: _Facts(
        Stage.DEDUPLICATION,
        "The picture is that of a kept row, changed a little.",
        "duplicate_distance",
        settings=("deduplication.near",),
    ),
    Reason.DUPLICATE_SEMANTIC: _Facts(
        Stage.DEDUPLICATION,
        "The picture shows the same as that of a kept row, to an image-text model.",
        "duplicate_similarity",
        settings=("deduplication.semantic",),
    ),
    Reason.DUPLICATE_TILE: _Facts(
        Stage.DEDUPLICATION, "A kept row has the same tile.", "z", settings=("deduplication.same_tile",)
    ),
    Reason.NESTED_TILE: _Facts(
        Stage.DEDUPLICATION,
        "The tile lies within that of a kept row, or around it.",
        "z",
        settings=("deduplication.nested_tiles",),
    ),
    Reason.DUPLICATE_CAPTION: _Facts(
        Stage.DEDUPLICATION,
        "As many rows with the same caption as may be are kept.",
        "caption_words",
        settings=("deduplication.caption_copies",),
    ),
    Reason.QUALITY_BELOW: _Facts(
        Stage.QUALITY,
        "The quality score is below the threshold, or absent.",
        "img_quality_score",
        settings=("subsets[].quality",),
    ),
    Reason.CAPTION_TOO_SHORT: _Facts(
        Stage.CAPTION,
        "The caption has too few words.",
        "caption_words",
        settings=("subsets[].caption_words.min", "subsets[].caption_words.action"),
    ),
    Reason.CAPTION_TOO_LONG: _Facts(
        Stage.CAPTION,
        "The caption has too many words.",
        "caption_words",
        settings=("subsets[].caption_words.max", "subsets[].caption_words.action"),
    ),
    Reason.ZOOM_OUTSIDE: _Facts(
        Stage.PLACE, "The zoom level is outside the range, or absent.", "z", settings=("subsets[].zoom",)
    ),
    Reason.RESOLUTION_OUTSIDE: _Facts(
        Stage.PLACE,
        "The declared resolution is outside the range, or absent.",
        "resolution_m",
        settings=("subsets[].resolution_m",),
    ),
    Reason.GROUND_RESOLUTION_OUTSIDE: _Facts(
        Stage.PLACE,
        "The true ground resolution is outside the range, or absent.",
        "ground_resolution_m",
        settings=("subsets[].ground_resolution_m",),
    ),
    Reason.BBOX_OUTSIDE: _Facts(
        Stage.PLACE, "The tile's centre is outside the bounding box, or absent.", settings=("subsets[].bbox",)
    ),
    Reason.AREA_OUTSIDE: _Facts(
        Stage.PLACE, "The tile's centre is outside the area's polygons, or absent.", settings=("subsets[].area",)
    ),
    **{
        Reason(f"{signal}_outside"): _Facts(Stage.PICTURE, meaning, signal, settings=(f"subsets[].signals.{signal}",))
        for signal, meaning in {
            "byte_length": "The size of the image file is outside the range.",
            "width": "The width is outside the range.",
            "height": "The height is outside the range.",
            "luma_mean": "The mean brightness is outside the range.",
            "luma_std": "The contrast is outside the range.",
            "nodata_fraction": "The part without data is outside the range.",
            "sharpness": "The sharpness is outside the range.",
            "structure": "What is to be seen is spread over too little or too much.",
        }.items()
    },
    Reason.SIMILARITY_OUTSIDE: _Facts(
        Stage.ALIGNMENT,
        "The similarity of picture and caption is outside the range, or absent.",
        "similarity",
        settings=("subsets[].similarity",),
    ),
    Reason.PROMPT_MARGIN_OUTSIDE: _Facts(
        Stage.ALIGNMENT,
        "The picture is too little like one of remote sensing, or too much.",
        "prompt_margin",
        settings=("subsets[].prompt_margin",),
    ),
    Reason.NOT_INCLUDED: _Facts(
        Stage.LISTS, "The row is not in the list of rows to include.", settings=("subsets[].include",)
    ),
    Reason.EXCLUDED: _Facts(Stage.LISTS, "The row is in the list of rows to exclude.", settings=("subsets[].exclude",)),
    Reason.SPLIT_STRADDLED: _Facts(
        Stage.SPLITS,
        "The tile is larger than the blocks of which splits are made, or a copy is in another split.",
        "z",
        settings=("subsets[].splits.spatial",),
    ),
    Reason.SPLIT_BORDER: _Facts(
        Stage.SPLITS,
        "The tile is too near to another split's ground.",
        "z",
        settings=("subsets[].splits.spatial.buffer",),
    ),
    Reason.TOP_MISSED: _Facts(Stage.SAMPLING, "Better rows make up the top.", settings=("subsets[].top",)),
    Reason.NOT_DRAWN: _Facts(
        Stage.SAMPLING,
        "The row, or a row that it is a copy of, was not drawn.",
        settings=("subsets[].sampling.fraction", "subsets[].sampling.per_tile", "subsets[].sampling.per_zoom"),
    ),
    Reason.OVER_SIZE: _Facts(
        Stage.SAMPLING,
        "The subset has its largest size without the row.",
        settings=("subsets[].sampling.max_rows", "subsets[].sampling.max_bytes"),
    ),
}

REASONS: tuple[Reason, ...] = tuple(Reason)
"""All reasons in stage order; the position is the bit."""


def mask_of(*, stage: Stage) -> int:
    """Return the bits of every reason of ``stage``.

    >>> bin(mask_of(stage=Stage.QUALITY)).count("1")
    1
    """
    return sum(reason.bit for reason in REASONS if reason.stage is stage)

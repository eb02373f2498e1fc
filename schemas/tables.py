"""The tables that lie on a disk: signals, pairs, verdicts, and a subset's index and rejected; each column's meaning."""

from typing import NamedTuple

import pyarrow as pa

SCAN_VERSION = 5
"""Raised whenever the same bytes would be measured otherwise: a new number scans every shard again."""

TEXT = pa.string()
CODE = pa.dictionary(pa.int8(), pa.string())
CODES = pa.list_(pa.string())

FACT_COLUMNS = ("img_name", "img_quality_score", "caption", "caption_length", "resolution", "Google_location")
"""The source's columns beside ``image``, in Git-10M's names."""


class Column(NamedTuple):
    """A column of a table: its field, and what it holds."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    nullable: bool = True


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type, nullable=column.nullable) for column in columns])


SIGNALS_COLUMNS = (
    Column("row", pa.int32(), "Position in the shard.", nullable=False),
    Column("img_name", TEXT, "The picture's name."),
    Column("img_name_xxh3", pa.uint64(), "XXH3-64 of the name."),
    Column("img_quality_score", pa.float64(), "The source's quality score."),
    Column("caption_words", pa.int32(), "Words of the caption, counted; 0 for a missing one.", "words", nullable=False),
    Column("caption_words_declared", pa.int64(), "Words that the source declares.", "words"),
    Column("caption_xxh3", pa.uint64(), "XXH3-64 of the caption, case and runs of white space ignored."),
    Column("resolution_m", pa.float64(), "Declared, nominal resolution; `2^(17-z)` in Git-10M.", "m/pixel"),
    Column("z", pa.int8(), "Zoom level of the tile."),
    Column("x", pa.int32(), "Column of the tile."),
    Column("y", pa.int32(), "Row of the tile."),
    Column("longitude", pa.float64(), "Of the tile's centre, (x + 0.5, y + 0.5).", "degrees"),
    Column("latitude", pa.float64(), "Of the tile's centre.", "degrees"),
    Column("ground_resolution_m", pa.float64(), "True resolution at the tile's centre.", "m/pixel"),
    Column("byte_length", pa.int64(), "Size of the image file; 0 for a missing one.", "bytes", nullable=False),
    Column("sha256", pa.binary(32), "SHA-256 of the image file."),
    Column("format", CODE, "Format of the image file."),
    Column("mode", CODE, "Pixel format, as Pillow names it."),
    Column("width", pa.int32(), "Width of the picture.", "pixels"),
    Column("height", pa.int32(), "Height of the picture.", "pixels"),
    Column("luma_mean", pa.float32(), "Mean of the 64 x 64 luma thumbnail, brightness.", "0..255"),
    Column("luma_std", pa.float32(), "Standard deviation of the thumbnail, contrast.", "0..127.5"),
    Column("nodata_fraction", pa.float32(), "Part that is pure black or white from an edge on.", "0..1"),
    Column("sharpness", pa.float32(), "Variance of the thumbnail's Laplacian."),
    Column("structure", pa.float32(), "Parts that share what is to be seen; few make a plain picture.", "1..256"),
    Column("phash", pa.uint64(), "Perceptual hash: signs of the 8 x 8 lowest frequencies; null for a plain picture."),
    Column("signature", pa.uint64(), "XXH3-64 of the descriptor: equal for pictures that cannot be told apart."),
    Column("descriptor", pa.binary(256), "The 16 x 16 lowest frequencies, int8: a blurred copy of the picture."),
    Column("pixels_xxh3", pa.uint64(), "XXH3-64 of size and pixels; null unless `scan.pixel_digest`."),
    Column("defects", CODES, "What the scan found wrong, as reason codes, whatever their action.", nullable=False),
    Column("detail", TEXT, "What was found and expected, of a row with defects; may quote a caption."),
)
SIGNALS = _schema(SIGNALS_COLUMNS)
"""One row a pair, one Parquet file a shard: every fact a later stage decides by."""

VECTORS_VERSION = 1
"""Raised whenever the same pairs would have other vectors by the same model: a new number embeds every shard again."""


def vectors_schema(dimensions: int) -> pa.Schema:
    """Return the schema of a vectors file, whose vectors have so many ``dimensions``."""
    vector = pa.list_(pa.float16(), dimensions)
    return _schema(tuple(c._replace(type=vector) if pa.types.is_list(c.type) else c for c in VECTORS_COLUMNS))


VECTORS_COLUMNS = (
    Column("row", pa.int32(), "Position in the shard.", nullable=False),
    Column("image", pa.list_(pa.float16()), "Of the picture: as long as the model has dimensions, of length 1."),
    Column(
        "text", pa.list_(pa.float16()), "Of the caption; of one scored by sentence the mean of theirs, of length 1."
    ),
    Column("similarity", pa.float32(), "Cosine of the two, before they were cut to half precision.", "-1..1"),
    Column("logit", pa.float32(), "The same as the model has it: scaled, for SigLIP with its bias."),
    Column("caption_tokens", pa.int32(), "Tokens of the whole caption, the model's own marks included.", "tokens"),
    Column("truncated", pa.bool_(), "Whether that is more than the model reads."),
)
"""One row a pair, one Parquet file a shard and scorer, beside its signals."""

MARGINS_COLUMNS = (
    Column("row", pa.int32(), "Position in the shard.", nullable=False),
    Column("prompt_margin", pa.float32(), "Cosine with the nearest prompt of remote sensing, less that of any other."),
    Column("prompt", pa.dictionary(pa.int16(), pa.string()), "The prompt that the picture is most like."),
)
MARGINS = _schema(MARGINS_COLUMNS)
"""What each picture is like, by a scorer's prompts; of the shards' vectors, so no picture is read again."""

KINSHIPS_VERSION = 3
"""Raised whenever the same signals, pairs and settings would tell otherwise which rows are duplicates of which."""

VERDICTS_VERSION = 2
"""Raised whenever the same signals, duplicates and recipe would give other verdicts."""

PAIRS_VERSION = 1
"""Raised whenever the same descriptors would give other pairs: a new number searches every source again."""

PAIRS_COLUMNS = (
    Column("signature_a", pa.uint64(), "`signature` of one picture, the lower one.", nullable=False),
    Column("signature_b", pa.uint64(), "`signature` of the other.", nullable=False),
    Column("distance", pa.int8(), "Hamming distance of the views that are alike most.", "bits", nullable=False),
    Column("similarity", pa.float32(), "Correlation over the ground in common.", "-1..1", nullable=False),
)
PAIRS = _schema(PAIRS_COLUMNS)
"""Near-duplicates: pairs of *distinct* signatures. Rows that share a signature are at distance 0 and are not listed: a
million identical tiles are one signature, not half a billion pairs."""

SEMANTIC_VERSION = 1
"""Raised whenever the same vectors and settings would give other pairs: a new number clusters every source again."""

SEMANTIC_PAIRS_COLUMNS = (
    Column("row_a", pa.int64(), "`row_id` of one picture, the lower one.", nullable=False),
    Column("row_b", pa.int64(), "`row_id` of the other.", nullable=False),
    Column("cosine", pa.float32(), "Of the two pictures' vectors.", "-1..1", nullable=False),
)
SEMANTIC_PAIRS = _schema(SEMANTIC_PAIRS_COLUMNS)
"""Semantic duplicates: pairs of rows with different image files. Of rows of equal bytes the first stands for all."""

CONTAMINATED_COLUMNS = (
    Column("row_id", pa.int64(), "Position among the source's rows.", nullable=False),
    Column("reference", TEXT, "Name of the reference set, and of its picture.", nullable=False),
    Column("distance", pa.int8(), "From that picture; 0 for equal bytes or pixels.", "bits", nullable=False),
    Column("similarity", pa.float32(), "Correlation over the ground in common.", "-1..1", nullable=False),
)
CONTAMINATED = _schema(CONTAMINATED_COLUMNS)
"""Rows within the distance of a reference picture, each with the nearest one."""

_SCORES = (
    Column("similarity", pa.float32(), "Of picture and caption; null where the subset asks no scorer for it."),
    Column("prompt_margin", pa.float32(), "As of the margins; null where the subset asks no scorer for it."),
)
SCORES = _schema(_SCORES)
"""What scorers tell of a row, as a subset asks: of several scorers the mean of their standard scores."""

VERDICTS_COLUMNS = (
    Column("row_id", pa.int64(), "Position among the source's rows.", nullable=False),
    Column("kept", pa.bool_(), "Whether the row is in the subset.", nullable=False),
    Column("reasons", pa.uint64(), "Mask of reasons: bit i is the i-th of reasons.md; 0 when kept.", nullable=False),
    Column("flags", pa.uint64(), "Mask of the rules broken that only flag.", nullable=False),
    Column("duplicate_of", pa.int64(), "`row_id` of the row that was kept in its stead."),
    Column("duplicate_distance", pa.int8(), "From that row; 0 for equal bytes or pixels, null for no picture.", "bits"),
    Column(
        "duplicate_similarity",
        pa.float32(),
        "With that row: correlation of a near-duplicate, cosine of a semantic one.",
        "-1..1",
    ),
    Column("reference", TEXT, "The reference picture that the row is a copy of."),
    Column("reference_distance", pa.int8(), "From that picture.", "bits"),
    Column("split", CODE, "The split of a kept row; null when rejected."),
    *_SCORES,
)
VERDICTS = _schema(VERDICTS_COLUMNS)
"""One row a source row and subset: kept, or every reason why not."""

_IDENTITY = (
    Column("row_id", pa.int64(), "Position among the source's rows that can be read.", nullable=False),
    Column("shard", TEXT, "The source file's name.", nullable=False),
    Column("row", pa.int32(), "Position in the shard.", nullable=False),
    Column("img_name", TEXT, "The picture's name."),
    Column("z", pa.int8(), "Zoom level of the tile."),
    Column("x", pa.int32(), "Column of the tile."),
    Column("y", pa.int32(), "Row of the tile."),
)

INDEX_FILE, REJECTED_FILE = "index.parquet", "rejected.parquet"
"""The tables of a subset: the rows that are kept, and all others."""

INDEX_COLUMNS = (
    *_IDENTITY,
    Column("sha256", pa.binary(32), "SHA-256 of the image file."),
    Column("phash", pa.uint64(), "Perceptual hash; null for a plain picture."),
    Column("split", TEXT, "The split that the row is in.", nullable=False),
    Column("file", TEXT, "The data file that holds the row, or will, relative to the subset.", nullable=False),
    Column("file_row", pa.int32(), "Position in that file.", nullable=False),
    Column("flags", CODES, "Codes of the rules broken that only flag.", nullable=False),
    *_SCORES,
)
INDEX = _schema(INDEX_COLUMNS)
"""Kept rows: no image, no caption, so it may be shared under a no-derivatives licence."""

REJECTED_COLUMNS = (
    *_IDENTITY,
    Column("primary_reason", TEXT, "The first reason, under which the funnel counts the row.", nullable=False),
    Column("reasons", CODES, "All reasons, in stage order.", nullable=False),
    Column(
        "measured",
        pa.list_(pa.float64()),
        "Beside each reason the value that led to it; null where no number did.",
        nullable=False,
    ),
    Column("duplicate_of", pa.int64(), "`row_id` of the row that was kept in its stead."),
    Column("duplicate_distance", pa.int8(), "From that row; 0 for equal bytes or pixels, null for no picture.", "bits"),
    Column(
        "duplicate_similarity",
        pa.float32(),
        "With that row: correlation of a near-duplicate, cosine of a semantic one.",
        "-1..1",
    ),
    Column("reference", TEXT, "The reference picture that the row is a copy of."),
    Column("detail", TEXT, "What was found and expected; may quote a caption, and is empty in mode `index`."),
)
REJECTED = _schema(REJECTED_COLUMNS)
"""Every other row, with all reasons in stage order."""

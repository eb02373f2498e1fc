"""Arrow schemas of the tables that stages hand on: signals, pairs, verdicts, and a subset's index and rejected."""

import pyarrow as pa

SCAN_VERSION = 5
"""Raised whenever the same bytes would be measured otherwise: a new number scans every shard again."""

TEXT = pa.string()
CODE = pa.dictionary(pa.int8(), pa.string())
CODES = pa.list_(pa.string())

FACT_COLUMNS = ("img_name", "img_quality_score", "caption", "caption_length", "resolution", "Google_location")
"""The source's columns beside ``image``, in Git-10M's names."""

SIGNALS = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),  # position in the shard
        pa.field("img_name", TEXT),
        pa.field("img_name_xxh3", pa.uint64()),
        pa.field("img_quality_score", pa.float64()),
        pa.field("caption_words", pa.int32(), nullable=False),  # counted; 0 for a missing caption
        pa.field("caption_words_declared", pa.int64()),
        pa.field("caption_xxh3", pa.uint64()),  # of the normalised caption
        pa.field("resolution_m", pa.float64()),  # declared, nominal [m/pixel]
        pa.field("z", pa.int8()),
        pa.field("x", pa.int32()),
        pa.field("y", pa.int32()),
        pa.field("longitude", pa.float64()),  # tile centre [degrees]
        pa.field("latitude", pa.float64()),
        pa.field("ground_resolution_m", pa.float64()),  # true, at the tile's centre [m/pixel]
        pa.field("byte_length", pa.int64(), nullable=False),  # of the image; 0 for a missing one
        pa.field("sha256", pa.binary(32)),
        pa.field("format", CODE),
        pa.field("mode", CODE),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("luma_mean", pa.float32()),  # of the 64 x 64 luma thumbnail [0..255]
        pa.field("luma_std", pa.float32()),
        pa.field("nodata_fraction", pa.float32()),  # of the thumbnail, pure black or white from an edge on [0..1]
        pa.field("sharpness", pa.float32()),  # variance of its Laplacian
        pa.field("structure", pa.float32()),  # parts of 256 that share what is to be seen; few make a plain picture
        pa.field("phash", pa.uint64()),  # signs of the 8 x 8 lowest frequencies; null for a plain picture
        pa.field("signature", pa.uint64()),  # XXH3-64 of the descriptor: equal for pictures that cannot be told apart
        pa.field("descriptor", pa.binary(256)),  # the 16 x 16 lowest frequencies, int8: see tasks.scan.descriptor
        pa.field("pixels_xxh3", pa.uint64()),  # of size and pixels; null unless scan.pixel_digest
        pa.field("defects", CODES, nullable=False),  # row-contract breaches and image defects, as reason codes
        pa.field("detail", TEXT),  # what was found and expected, for a row with defects
    ]
)
"""One row a pair, one Parquet file a shard: every fact a later stage decides by."""

KINSHIPS_VERSION = 1
"""Raised whenever the same signals, pairs and settings would tell otherwise which rows are duplicates of which."""

VERDICTS_VERSION = 1
"""Raised whenever the same signals, duplicates and recipe would give other verdicts."""

PAIRS_VERSION = 1
"""Raised whenever the same descriptors would give other pairs: a new number searches every source again."""

PAIRS = pa.schema(
    [
        pa.field("signature_a", pa.uint64(), nullable=False),  # signature_a < signature_b
        pa.field("signature_b", pa.uint64(), nullable=False),
        pa.field("distance", pa.int8(), nullable=False),  # Hamming, of the views that are alike most [bits]
        pa.field("similarity", pa.float32(), nullable=False),  # correlation over the ground in common [-1..1]
    ]
)
"""Near-duplicates: pairs of *distinct* signatures. Rows that share a signature are at distance 0 and are not listed: a
million identical tiles are one signature, not half a billion pairs."""

CONTAMINATED = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),  # name of the reference set, and of its picture
        pa.field("distance", pa.int8(), nullable=False),  # 0 for equal bytes or pixels [bits]
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
"""Rows within the distance of a reference picture, each with the nearest one."""

VERDICTS = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),  # position in the split
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reasons", pa.uint64(), nullable=False),  # mask over schemas.reasons.REASONS; 0 when kept
        pa.field("flags", pa.uint64(), nullable=False),  # mask of rules broken that only flag
        pa.field("duplicate_of", pa.int64()),  # row_id of the kept row
        pa.field("duplicate_distance", pa.int8()),  # Hamming [bits]; 0 for equal bytes or pixels, null for no picture
        pa.field("duplicate_similarity", pa.float32()),  # of a near-duplicate
        pa.field("reference", pa.string()),  # the reference picture that this row is a copy of
        pa.field("reference_distance", pa.int8()),  # from it [bits]
        pa.field("split", CODE),  # null when rejected
    ]
)
"""One row a source row and subset: kept, or every reason why not."""

_IDENTITY = [
    pa.field("row_id", pa.int64(), nullable=False),
    pa.field("shard", TEXT, nullable=False),  # file name in the source
    pa.field("row", pa.int32(), nullable=False),
    pa.field("img_name", TEXT),
    pa.field("z", pa.int8()),
    pa.field("x", pa.int32()),
    pa.field("y", pa.int32()),
]

INDEX_FILE, REJECTED_FILE = "index.parquet", "rejected.parquet"
"""The tables of a subset: the rows that are kept, and all others."""

INDEX = pa.schema(
    [
        *_IDENTITY,
        pa.field("sha256", pa.binary(32)),
        pa.field("phash", pa.uint64()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("file", TEXT, nullable=False),  # the data file that holds the row, or will, relative to the subset
        pa.field("file_row", pa.int32(), nullable=False),  # position in it
        pa.field("flags", CODES, nullable=False),
    ]
)
"""Kept rows: no image, no caption, so it may be shared under a no-derivatives licence."""

REJECTED = pa.schema(
    [
        *_IDENTITY,
        pa.field("primary_reason", pa.string(), nullable=False),
        pa.field("reasons", CODES, nullable=False),
        pa.field(
            "measured", pa.list_(pa.float64()), nullable=False
        ),  # beside each reason; null where no number led to it
        pa.field("duplicate_of", pa.int64()),
        pa.field("duplicate_distance", pa.int8()),
        pa.field("duplicate_similarity", pa.float32()),
        pa.field("reference", TEXT),
        pa.field("detail", TEXT),
    ]
)
"""Every other row, with all reasons in stage order."""

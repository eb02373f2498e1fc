"""The job with Data-Juicer. Runs in the peer's environment: ``SOURCE OUTPUT MIN_SCORE [guarded]``.

The source is first brought into its layout, lists of images in two columns, once for both subsets. Pictures come first,
so that they are found in its cache when another threshold is asked for. Its near-duplicates are pictures of equal hash.

A filter of images works on batches of 1,000 rows, and an error in a batch costs all of it. The deduplicator decodes
every picture too, and an error in it costs its row alone: guarded, that filter is left out.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PROCESSES = 2


def convert(source: Path, folder: Path) -> None:
    """Write the files of ``source`` to ``folder``, in Data-Juicer's layout."""
    folder.mkdir()
    for path in sorted(source.glob("*.parquet")):
        pairs = pq.read_table(path).combine_chunks()
        image = pairs["image"].combine_chunks()
        there = image.is_valid()
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(there.cast(pa.int64()))])
        for column, values in (("images", pairs["img_name"].combine_chunks()), ("image_bytes", image.field("bytes"))):
            lists = pa.ListArray.from_arrays(offsets.cast(pa.int32()), values.filter(there))
            pairs = pairs.append_column(column, lists)
        pq.write_table(pairs.drop_columns("image"), folder / path.name)


def main(source: str, output: str, min_score: str, *flags: str) -> None:
    """Convert, and run Data-Juicer's own command."""
    converted = Path(output).parent / "converted"
    if not converted.exists():
        convert(Path(source), converted)
    recipe = {
        "project_name": "pairs",
        "dataset_path": str(converted),
        "export_path": f"{output}/train.parquet",
        "np": PROCESSES,
        "auto_op_parallelism": False,
        "text_keys": "caption",
        "process": [
            *([] if "guarded" in flags else [{"image_shape_filter": {"min_width": 256, "min_height": 256}}]),
            {"image_deduplicator": {"method": "phash"}},
            {"specified_numeric_field_filter": {"field_key": "img_quality_score", "min_value": float(min_score)}},
            {"words_num_filter": {"min_num": 10, "max_num": 100}},
        ],
    }
    config = Path(output).parent / f"{Path(output).name}.yaml"
    config.write_text(json.dumps(recipe), encoding="utf-8")  # which is YAML
    subprocess.run([Path(sys.executable).with_name("dj-process"), "--config", config], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

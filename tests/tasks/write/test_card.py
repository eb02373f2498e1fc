import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Image, load_dataset, load_dataset_builder
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from pairs import pair, publish_one, recipe_for, write_tree
from ruamel.yaml import YAML
from subsets import HOSTILE, data_file, manifest_of, source_of

from schemas.manifest import Manifest
from schemas.reports import QuarantinedShard
from tasks.write.card import render_card

FILE = data_file("data/train-00000-of-00001.parquet")
HALVES = {"name": "halves", "splits": {"fractions": {"train": 0.5, "test": 0.5}}, "quality": {"min_score": 3.5}}


def header_of(card: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(io.StringIO(card.split("---\n")[1]))
    return found


def publish(home: Path, rows: int = 30, **changes: Any) -> Path:
    tree = home / "source"
    if not tree.exists():
        write_tree(tree, [pair(seed) for seed in range(rows)])
    return publish_one(recipe_for(tree, home, **{"subsets": [HALVES]} | changes))


def test_the_card_reads_as_the_hub_reads_it(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    card = DatasetCard.load(folder / "README.md")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert card.data.license == "unknown"
    assert card.data.size_categories == ["n<1K"]
    assert [file["split"] for file in card.data.configs[0]["data_files"]] == ["test", "train"]
    sizes = dict.fromkeys(manifest["splits"], 0)
    for file in manifest["files"]:
        if file["path"].startswith("data/"):
            sizes[Path(file["path"]).name.split("-")[0]] += file["byte_length"]
    assert card.data.dataset_info["splits"] == [
        {"name": split, "num_bytes": sizes[split], "num_examples": manifest["splits"][split]} for split in sizes
    ]
    assert card.data.dataset_info["download_size"] == sum(sizes.values())
    assert "| `quality_below` |" in card.text
    assert "score at least 3.5" in card.text
    assert "    min_score: 3.5" in card.text
    builder = load_dataset_builder(str(folder), cache_dir=str(tmp_path / "cache"))
    assert set(builder.config.data_files) == {"train", "test"}
    assert isinstance(builder.info.features["image"], Image)


def test_figures_are_embedded_and_there(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    text = (folder / "README.md").read_text(encoding="utf-8")
    shown = [
        child.attrs["src"]
        for token in MarkdownIt().enable("table").parse(text)
        for child in token.children or ()
        if child.type == "image"
    ]
    assert "figures/funnel.png" in shown
    assert sorted(shown) == sorted(f"figures/{path.name}" for path in (folder / "figures").iterdir())


@pytest.mark.parametrize(
    ("output", "splits", "columns"),
    [
        ({}, {"train", "test"}, {"image", "caption", "img_quality_score"}),
        ({"format": "webdataset"}, {"train", "test"}, {"jpg", "json", "txt"}),
        ({"mode": "index"}, {"index"}, {"row_id", "shard", "row", "sha256", "split", "file", "flags"}),
    ],
)
def test_every_kind_of_subset_opens(
    tmp_path: Path, output: dict[str, Any], splits: set[str], columns: set[str]
) -> None:
    folder = publish(tmp_path, output={"dir": tmp_path / "subsets", "shard_bytes": 80_000} | output)
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == splits
    assert sum(map(len, loaded.values())) == sum(pair(seed)["img_quality_score"] >= 3.5 for seed in range(30))
    assert all(columns <= set(split.column_names) for split in loaded.values())


@pytest.mark.parametrize("mode", ["data", "index"])
def test_a_subset_that_changed_opens_as_what_it_is_now(tmp_path: Path, mode: str) -> None:
    """``datasets`` caches by folder name and header: two subsets of one name must not share a header."""
    output = {"dir": tmp_path / "subsets", "mode": mode}
    cards = set()
    for least in (3.2, 4.0):
        folder = publish(tmp_path, subsets=[{"name": "good", "quality": {"min_score": least}}], output=output)
        loaded = load_dataset(str(folder), split="all", cache_dir=str(tmp_path / "cache"))
        assert len(loaded) == sum(pair(seed)["img_quality_score"] >= least for seed in range(30))
        cards.add((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert len(cards) == 2


def test_an_index_says_how_to_get_the_pictures_and_a_subset_how_to_load_them() -> None:
    index = render_card(manifest_of(mode="index"), [data_file("index.parquet")])
    assert "git10m materialize small --source YOUR_COPY --dir OUT" in index
    assert header_of(index)["configs"][0]["data_files"] == [{"split": "index", "path": "index.parquet"}]
    assert header_of(index)["dataset_info"]["splits"] == [{"name": "index", "num_bytes": 1000, "num_examples": 40}]
    whole = render_card(manifest_of(), [FILE])
    assert "materialize" not in whole
    assert "polars.scan_parquet" in whole
    assert "DuckDB" in whole
    tars = render_card(
        manifest_of(output={"format": "webdataset"}),
        [data_file(f"data/train-{number:05d}-of-00003.tar") for number in range(3)],
    )
    assert 'WebDataset("path/to/small/data/train-{00000..00002}-of-00003.tar"' in tars
    assert "features" not in header_of(tars)["dataset_info"]


def test_the_calls_that_a_card_tells_of_work(tmp_path: Path) -> None:
    import duckdb
    import polars
    import webdataset

    kept = sum(pair(seed)["img_quality_score"] >= 3.5 for seed in range(30))
    subset = [{"name": "good", "quality": {"min_score": 3.5}}]
    folder = publish(tmp_path, subsets=subset)
    text = (folder / "README.md").read_text(encoding="utf-8").replace("path/to/good", str(folder))
    (scan,) = (line for line in text.splitlines() if "scan_parquet" in line)
    assert eval(scan.removeprefix("pairs = "), {"polars": polars}).collect().height == kept
    (query,) = (line for line in text.splitlines() if line.startswith("SELECT"))
    assert len(duckdb.sql(query).fetchall()) == min(kept, 10)

    output = {"dir": tmp_path / "tars", "format": "webdataset", "shard_bytes": 80_000}
    folder = publish(tmp_path, subsets=subset, output=output)
    text = (folder / "README.md").read_text(encoding="utf-8").replace("path/to/good", str(folder))
    (call,) = (line for line in text.splitlines() if "WebDataset(" in line)
    pairs = list(eval(call.removeprefix("pairs = "), {"webdataset": webdataset}))
    assert len(pairs) == kept
    assert pairs[0].keys() >= {"jpg", "json", "txt"}


def test_licence_and_terms_are_told_as_they_are() -> None:
    def card(**changes: Any) -> tuple[dict[str, Any], str]:
        text = render_card(manifest_of(source=source_of(**changes)), [FILE])
        return header_of(text), text

    header, text = card()
    assert header["license"] == "cc-by-nc-nd-4.0"
    assert "license_name" not in header
    assert "may not be passed on" in text
    header, text = card(authorization="by the authors, 2026")
    assert "authorization to pass it on: by the authors, 2026" in text
    assert "may not be passed on" not in text
    header, text = card(licence="CC-BY-4.0", terms=None, citation=None)
    assert "may not be passed on" not in text
    assert "terms" not in text
    header, _ = card(licence="Our licence: v2 (modified)")
    assert (header["license"], header["license_name"]) == ("other", "our-licence-v2-modified")
    assert "may not be passed on" not in render_card(manifest_of(mode="index"), [])


def hostile_manifest() -> Manifest:
    names = ["image", HOSTILE, '"', "null", "- a", "a: b", "# c", "\x1b\u2028"]
    schema = pa.schema([(names[0], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]).append(
        pa.field(HOSTILE, pa.string())
    )
    for name in names[2:]:
        schema = schema.append(pa.field(name, pa.int64()))
    source = source_of(
        name=HOSTILE,
        hub="a/b](javascript:alert(1))<b>",
        split=HOSTILE,
        revision=HOSTILE,
        licence=HOSTILE,
        terms=HOSTILE,
        citation=HOSTILE,
        authorization=HOSTILE,
        quarantined=(QuarantinedShard(shard=HOSTILE, error=HOSTILE, rows=7),),
    )
    manifest = manifest_of(schema, source=source, references=(source,), versions={"scan": HOSTILE})
    manifest.recipe["deduplication"] = {"references": [{"name": HOSTILE, "note": "```\n# out"}]}
    return manifest


def test_what_others_wrote_stays_text() -> None:
    markdown = MarkdownIt("commonmark").enable("table")
    parsed = markdown.parse(render_card(hostile_manifest(), [FILE]).split("---\n", 2)[2])
    plain = markdown.parse(render_card(manifest_of(), [FILE]).split("---\n", 2)[2])
    children = [child for token in parsed for child in token.children or ()]
    assert not {token.type for token in (*parsed, *children)} & {"html_block", "html_inline", "image", "hr", "em"}

    def headings(tokens: list[Any]) -> list[str]:
        return [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]

    assert headings(parsed) == headings(plain)
    (link,) = (child.attrs["href"] for child in children if child.type == "link_open")
    assert str(link).startswith("https://huggingface.co/datasets/a/b")
    cells = [sum(token.type == "tr_open" for token in tokens) for tokens in (parsed, plain)]
    assert cells[0] - cells[1] == 8 - 5  # columns of the data
    seen = "".join(child.content for child in children)
    assert seen.count("<script>alert(1)</script>") >= 8


def test_a_header_of_odd_names_is_read_as_it_was_meant(tmp_path: Path) -> None:
    manifest = hostile_manifest()
    header = header_of(render_card(manifest, [FILE]))
    assert [feature["name"] for feature in header["dataset_info"]["features"]] == [
        column.name for column in manifest.columns.columns
    ]
    (tmp_path / "README.md").write_text(render_card(manifest, [FILE]), encoding="utf-8")
    assert DatasetCard.load(tmp_path / "README.md").data.license == "other"

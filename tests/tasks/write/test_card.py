from pathlib import Path

from datasets import load_dataset, load_dataset_builder
from huggingface_hub import DatasetCard
from pairs import pair, publish_one, recipe_for, write_tree


def test_the_card_reads_as_the_hub_reads_it(tmp_path: Path) -> None:
    splits = {"fractions": {"train": 0.5, "test": 0.5}}
    subset = {"name": "halves", "splits": splits, "quality": {"min_score": 3.5}}
    tree = write_tree(tmp_path / "source", [pair(seed) for seed in range(30)])
    folder = publish_one(recipe_for(tree, tmp_path, subsets=[subset]))
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license_name == "unknown"
    assert card.data.size_categories == ["n<1K"]
    assert [file["split"] for file in card.data.configs[0]["data_files"]] == ["test", "train"]
    assert "| `quality_below` |" in card.text
    assert "a score of at least 3.5" in card.text
    assert set(load_dataset_builder(str(folder), cache_dir=str(tmp_path / "cache")).config.data_files) == {
        "train",
        "test",
    }


def test_a_subset_that_changed_opens_as_what_it_is_now(tmp_path: Path) -> None:
    """``datasets`` caches by folder name and header: two subsets of one name must not share a header."""
    tree = write_tree(tmp_path / "source", [pair(seed) for seed in range(20)])
    for least in (3.2, 4.0):
        subset = {"name": "good", "quality": {"min_score": least}}
        folder = publish_one(recipe_for(tree, tmp_path, subsets=[subset]))
        loaded = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        assert min(loaded["img_quality_score"]) >= least
        assert len(loaded) == sum(pair(seed)["img_quality_score"] >= least for seed in range(20))

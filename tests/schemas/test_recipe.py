from typing import Any

import pytest
from pydantic import ValidationError

from schemas.reasons import REASONS, Stage
from schemas.recipe import Recipe, ValidationRules, fingerprint


def recipe(**changes: Any) -> dict[str, Any]:
    return {
        "source": {"path": "source", "name": "demo"},
        "subsets": [{"name": "clean"}],
        "output": {"dir": "out"},
        "workspace": "work",
    } | changes


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"sources": {}}, "sources", "not permitted"),
        ({"subsets": []}, "subsets", "at least 1"),
        ({"subsets": [{"name": "a"}, {"name": "a"}]}, "", "repeated: a"),
        (
            {"subsets": [{"name": "a", "splits": {"fractions": {"all": 1}}}]},
            "subsets.0.splits.fractions",
            "split `all`",
        ),
        (
            {"scan": {"images": False}, "subsets": [{"name": "a", "sampling": {"max_bytes": 1}}]},
            "",
            "sampling.max_bytes",
        ),
        (
            {"scan": {"images": False}, "subsets": [{"name": "a", "top": {"signal": "sharpness", "rows": 1}}]},
            "",
            "subsets.0.top.signal: needs scan.images: true",
        ),
        (
            {
                "subsets": [{"name": "a"}, {"name": "b", "exclude": {"path": "out/a/index.parquet"}}],
                "output": {"dir": "out"},
            },
            "",
            "subsets.1.exclude.path: found out/a/index.parquet, which this recipe writes",
        ),
        ({"subsets": [{"name": "../a"}]}, "subsets.0.name", "match pattern"),
        ({"subsets": [{"name": "Clean"}]}, "subsets.0.name", "match pattern"),
        ({"subsets": [{"name": "a", "qualty": {}}]}, "subsets.0.qualty", "not permitted"),
        ({"subsets": [{"name": "a", "caption_words": {"min": 9, "max": 3}}]}, "subsets.0.caption_words", "empty range"),
        ({"subsets": [{"name": "a", "zoom": {"min": 31}}]}, "subsets.0.zoom.min", "less than or equal to 30"),
        (
            {"subsets": [{"name": "a", "quality": {"min_score": 1, "min_quantile": 0.5}}]},
            "subsets.0.quality",
            "not both",
        ),
        ({"subsets": [{"name": "a", "quality": {"min_score": float("nan")}}]}, "subsets.0.quality.min_score", "finite"),
        (
            {"subsets": [{"name": "a", "bbox": {"west": 0, "east": 1, "south": 5, "north": 5}}]},
            "subsets.0.bbox",
            "empty box",
        ),
        (
            {"subsets": [{"name": "a", "splits": {"fractions": {"train": 0.5}}}]},
            "subsets.0.splits",
            "sum to 0.5; expected 1",
        ),
        ({"deduplication": {"near": {"radius_bits": 17}}}, "deduplication.near.radius_bits", "less than or equal to 1"),
        ({"deduplication": {"exact_pixels": True}}, "", "needs scan.pixel_digest: true"),
        (
            {"scan": {"images": False}, "deduplication": {"references": [{"name": "b", "path": "x"}]}},
            "",
            "deduplication.references: needs scan.images: true",
        ),
        ({"deduplication": {"references": [{"name": "b"}]}}, "deduplication.references.0.files.path", "Field required"),
        (
            {"deduplication": {"references": [{"name": "b", "path": "x"}] * 2}},
            "deduplication",
            "every name must be used once; repeated: b",
        ),
        (
            {"deduplication": {"near": None, "exact_bytes": False, "references": [{"name": "b", "path": "x"}]}},
            "deduplication",
            "nothing is compared",
        ),
        ({"deduplication": {"priority": ["quality", "quality"]}}, "deduplication", "repeated: quality"),
        ({"deduplication": {"caption_copies": 0}}, "deduplication.caption_copies", "greater than or equal to 1"),
        ({"deduplication": {"nested_tiles": "best"}}, "deduplication.nested_tiles", "'finest' or 'coarsest'"),
        ({"engine": {"workers": 0}}, "engine.workers", "greater than or equal to 1"),
    ],
)
def test_a_bad_recipe_is_refused_with_the_path_of_the_key(changes: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Recipe.model_validate(recipe(**changes))
    [error] = refusal.value.errors()
    assert ".".join(map(str, error["loc"])) == where
    assert words in error["msg"]


def test_the_essence_holds_no_place_and_no_other_subset() -> None:
    here = Recipe.model_validate(recipe(subsets=[{"name": "a"}, {"name": "b"}]))
    moved = Recipe.model_validate(
        recipe(
            source={"path": "/elsewhere", "name": "demo"},
            output={"dir": "/there"},
            workspace="/tmp",
            engine={"workers": 7},
        )
    )
    moved = moved.model_copy(update={"subsets": here.subsets[:1]})
    assert here.essence(here.subsets[0]) == moved.essence(moved.subsets[0])
    assert here.essence(here.subsets[0]) != here.essence(here.subsets[1])


def test_every_validation_reason_has_an_action() -> None:
    assert list(ValidationRules.model_fields) == [r.value for r in REASONS if r.stage is Stage.VALIDATION]


def test_every_field_of_the_recipe_is_described() -> None:
    def undescribed(schema: dict[str, Any]) -> list[str]:
        models = {"Recipe": schema} | schema["$defs"]
        return [f"{m}.{f}" for m, s in models.items() for f, v in s["properties"].items() if "description" not in v]

    assert undescribed(Recipe.model_json_schema()) == []


def test_the_fingerprint_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint({"a": float("nan")})

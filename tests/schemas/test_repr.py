"""What a person reads who types a model's name in a REPL or a notebook."""

from upath import UPath

from schemas.recipe import Recipe
from schemas.reports import (
    CurateReport,
    DeduplicateReport,
    Funnel,
    FunnelStep,
    PublishReport,
    ScanReport,
    SelectReport,
    ShardReport,
    WriteReport,
)

FUNNEL = Funnel(
    source_rows=1_200,
    steps=tuple(
        FunnelStep(stage=stage, rejected=rejected, left=left)
        for stage, rejected, left in (("validation", 200, 1_000), ("deduplication", 1, 999), ("lists", 0, 999))
    ),
)
TABLE = """\
stage          rejected   left  left %
source                   1,200   100.0
validation          200  1,000    83.3
deduplication         1    999    83.2"""


def report() -> CurateReport:
    shards = tuple(
        ShardReport(
            shard=f"{n}.arrow", content_xxh3="0", byte_length=1, rows=12, sound_rows=12, defective_rows=0,
            image_bytes=1, signals=UPath("work"), reused=False, layout={},
        )
        for n in range(100)
    )  # fmt: skip
    counted = {"reason": "image_missing", "primary": 201, "rows": 201}
    selected = SelectReport.model_validate(
        {
            "subset": "clean",
            "rows": 1_200,
            "kept": 999,
            "rejected": 201,
            "kept_image_bytes": 5_000_000,
            "funnel": FUNNEL,
        }
        | {"reasons": [counted], "flags": [], "splits": {"train": 999}, "verdicts": "work/verdicts"}
    )
    published = PublishReport(
        select=selected,
        write=WriteReport(subset="clean", expected_rows=0, expected_image_bytes=0, files=()),
        directory=UPath("out/clean"),
        version="v2-0123",
        reused=False,
    )
    return CurateReport(
        source="demo",
        scan=ScanReport(shards=shards, listed_shards=100),
        deduplicate=DeduplicateReport(rows=1_200, hashed_rows=9, pictures=9, pairs=3, path=UPath("p"), reused=False),
        subsets=(published,),
    )


def test_a_funnel_is_a_small_table() -> None:
    assert repr(FUNNEL) == f"Funnel:\n{TABLE}"


def test_a_run_is_a_line_for_each_subset() -> None:
    assert repr(report()).splitlines() == [
        "CurateReport: demo: scanned 100, reused 0 of 100 shards (1,200 rows); 3 pairs among 9 distinct pictures",
        "subset  kept  kept %  images  version  folder",
        "clean    999    83.2  5.0 MB  v2       out/clean",
    ]
    [published] = report().subsets
    assert repr(published) == f"PublishReport: clean: kept 999 of 1,200 rows, v2 in out/clean\n{TABLE}"
    assert repr(published.select) == f"SelectReport: clean: kept 999 of 1,200 rows\n{TABLE}"
    assert repr(report().scan) == "ScanReport: scanned 100, reused 0 of 100 shards (1,200 rows)"


def test_a_recipe_made_of_plain_data_shows_what_is_not_as_by_default() -> None:
    recipe = Recipe(
        source={"path": UPath("demo/source"), "name": "demo"},
        subsets=[{"name": "clean"}, {"name": "best", "quality": {"min_score": 4.8}, "splits": {}}],
        output={"dir": "out", "row_group_rows": 100},
        workspace="work",
    )
    assert (
        repr(recipe)
        == """\
Recipe(
    source=FileSource(path='demo/source', name='demo'),
    subsets=[Subset(name='clean'), Subset(name='best', quality=QualityThreshold(min_score=4.8))],
    output=Output(dir='out'),
    workspace='work'
)"""
    )


def test_a_long_list_is_cut() -> None:
    names = [{"name": f"subset-{n}"} for n in range(50)]
    recipe = Recipe.model_validate(
        {"source": {"path": "a", "name": "a"}, "subsets": names, "output": {"dir": "o"}, "workspace": "w"}
    )
    assert "... +42" in repr(recipe)
    assert "subset-49" not in repr(recipe)

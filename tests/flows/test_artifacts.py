"""What a run shows in the Prefect UI, and the events that automations act on, as the server has them."""

import time
from pathlib import Path
from typing import Any

import pytest
from pairs import pair, recipe_for, tiny_recipe, write_tree
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

import flows.artifacts
from flows.curate import curate
from flows.events import PUBLISHED, QUARANTINED
from flows.scan import ShardsQuarantined, scan
from flows.verify import verify
from schemas.recipe import Recipe
from schemas.reports import CurateReport
from schemas.verification import Verification
from tasks.source.listing import shards_of
from tasks.verify.subset import NotSound


def artifacts(key: str) -> list[Artifact]:
    """Return the artifacts of this key, the newest first."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return client.read_artifacts(artifact_filter=wanted, sort="CREATED_DESC")  # type: ignore[arg-type]


def events(name: str, **resource: str) -> list[dict[str, Any]]:
    """Return the events of this name and resource, once there is one."""
    wanted = {
        "filter": {"event": {"name": [name]}, "resource": resource, "occurred": {"since": "2020-01-01T00:00:00Z"}}
    }
    with get_client(sync_client=True) as client:
        for _ in range(100):  # they travel by themselves
            found: list[dict[str, Any]] = client._client.post("/events/filter", json=wanted).json()["events"]
            if found:
                return found
            time.sleep(0.1)
    return []


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    home = tmp_path_factory.mktemp("damaged")
    recipe = recipe_for(write_tree(home / "source", [pair(seed) for seed in range(6)], shards=3), home)
    bad = shards_of(recipe)[1].path
    bad.rename(bad.with_name("whole"))
    bad.write_bytes(b"no Arrow file")
    return recipe


def test_a_finished_run_shows_its_funnel_reasons_result_and_report(
    source: Path, tmp_path: Path, prefect_server: None
) -> None:
    name = "shown_to-all"
    subset = {"name": name, "caption_words": {"min": 10, "max": 33}, "quality": {"min_quantile": 0.4}}
    report = curate(tiny_recipe(source, tmp_path, subsets=[subset]))
    key = name.replace("_", "-")
    [funnel] = artifacts(f"funnel-{key}")
    assert '"stage": "caption length"' in str(funnel.data)
    [reasons] = artifacts(f"reasons-{key}")
    assert '"reason": "image_truncated", "primary": 1, "rows": 1' in str(reasons.data)
    [result] = artifacts(f"result-{key}")
    told = str(result.data)
    for words in (
        f"Kept **{report.subsets[0].select.kept:,}** of 60 pairs of tiny",
        "caption_words: {max: 33, min: 10}",
        "img\\_quality\\_score at least",
        f"`{tmp_path}/subsets/{name}/manifest.json`",
        f"`{report.subsets[0].version}`",
        f"`git10m verify {tmp_path}/subsets/{name}`",
    ):
        assert words in told, words
    [page] = artifacts(f"report-{key}")
    assert (tmp_path / "subsets" / name / "report.html").as_uri() in str(page.data)
    assert artifacts("scan-progress")[0].data == 100
    [event] = events(PUBLISHED, id=[f"git10m.subset.{name}"])
    assert event["payload"]["kept"] == report.subsets[0].select.kept
    assert event["resource"]["git10m.version"] == report.subsets[0].version


def test_a_run_that_finds_nothing_new_says_so_by_the_name_of_its_state(
    source: Path, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(source, tmp_path)
    assert curate(recipe, return_state=True).name == "Completed"
    for place in ("tasks.select.stage.give_verdicts", "tasks.deduplicate.pictures.distinct_pictures"):
        monkeypatch.setattr(place, lambda *_: pytest.fail("what was decided is decided again"))
    state = curate(recipe, return_state=True)
    assert (state.name, state.is_completed()) == ("Nothing new", True)
    assert state.message == "tiny: scanned 0, reused all 5 shards (60 rows); unchanged: clean, high-quality"
    assert scan(recipe, return_state=True).name == "Nothing new"
    assert not curate(recipe).news
    more = recipe.model_copy(update={"subsets": recipe.subsets[:1], "output": recipe.output})
    assert curate(more, return_state=True).name == "Nothing new"


def test_new_shards_alone_are_scanned_and_a_new_version_is_beside_the_old(tmp_path: Path, prefect_server: None) -> None:
    rows = [pair(seed) for seed in range(8)]
    recipe = recipe_for(write_tree(tmp_path / "source", rows[:6], shards=3), tmp_path)
    first = curate(recipe)
    former = (tmp_path / "subsets" / "clean").resolve()
    write_tree(tmp_path / "more", rows[6:], shards=1)
    state = tmp_path / "source" / "train" / "state.json"
    (tmp_path / "more" / "train" / "data-00000-of-00001.arrow").rename(state.parent / "data-00003.arrow")
    text = state.read_text()
    state.write_text(text.replace('"_data_files": [', '"_data_files": [{"filename": "data-00003.arrow"}, ', 1))
    second = curate(recipe)
    assert (second.scan.scanned, second.scan.rows) == (1, 8)
    assert second.subsets[0].version.startswith("v2-")
    assert (tmp_path / "subsets" / "clean").resolve() != former
    assert former.name == first.subsets[0].version
    assert verify(Verification(subset=former)).rows == 6
    assert verify(Verification(subset=tmp_path / "subsets" / "clean")).rows == 8


def test_shards_that_cannot_be_read_are_shown_and_told_to_automations(damaged: Recipe, prefect_server: None) -> None:
    with pytest.raises(ShardsQuarantined, match="Mend or fetch them again"):
        curate(damaged)
    bad = shards_of(damaged)[1].name
    shown = str(artifacts("quarantined-shards")[0].data)
    assert f'"shard": "{bad}"' in shown
    [event, *_] = events(QUARANTINED, id=[f"git10m.shard.tiny.{bad}"])
    assert bad in event["payload"]["error"]


def test_verify_is_a_flow_that_fails_by_name_and_lists_what_is_wrong(
    curated: CurateReport, source: Path, tmp_path: Path
) -> None:
    directory = curated.subsets[0].directory
    report = verify(Verification(subset=directory, source=str(source)))
    assert (report.sound, report.rows) == (True, curated.subsets[0].select.kept)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    with pytest.raises(NotSound, match=r"broken: not sound: 1 problem\(s\)(.|\n)*or go back to a former version"):
        verify(Verification(subset=tmp_path / "broken"))
    assert "manifest.json" in str(artifacts("problems-broken")[0].data)


def test_a_run_goes_on_where_nothing_can_be_shown(
    source: Path, tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no server")

    for name in ("create_table_artifact", "create_markdown_artifact", "create_progress_artifact"):
        monkeypatch.setattr(flows.artifacts, name, refused)
    assert curate(tiny_recipe(source, tmp_path)).subsets[0].select.kept == 55


def test_names_from_the_data_stay_text(tmp_path: Path, prefect_server: None) -> None:
    recipe = recipe_for(write_tree(tmp_path / "source", [pair(1)], shards=1), tmp_path)
    hostile = recipe.source.model_copy(update={"name": "<script>alert(1)</script>[x](javascript:1)"})
    curate(
        recipe.model_copy(update={"source": hostile, "subsets": [recipe.subsets[0].model_copy(update={"name": "h"})]})
    )
    told = str(artifacts("result-h")[0].data)
    assert "<script" not in told
    assert "&lt;script&gt;" in told
    assert "[x](" not in told

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from browser import Browser, Opened
from pairs import pair, recipe_for, write_tree
from ruamel.yaml import YAML

from flows.browse import recipe_in_yaml
from flows.recipes import load_recipe
from schemas.recipe import Recipe
from schemas.thresholds import Limits

_READY_S = 60
GIT10M = [sys.executable, "-c", "from flows.cli import app; app()"]
HOSTILE = "</title></p>{%scripts%}<script>document.title='owned'</script><img src=x onerror=alert(1)>"


@contextmanager
def served(*arguments: str | Path, cwd: Path | None = None) -> Iterator[str]:
    """Run ``git10m browse`` as a user does; yield the page's address."""
    command = [*GIT10M, "browse", *map(str, arguments), "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", address), (
                process.stderr and process.stderr.read()
            )
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=_READY_S)


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Recipe:
    """A recipe that was run, of pairs with a hostile caption among them."""
    from flows.curate import curate

    folder = tmp_path_factory.mktemp("browsed")
    rows = [pair(n) for n in range(60)]
    rows[30]["caption"] = f"{HOSTILE} {rows[30]['caption']}"
    subsets = [{"name": "all"}, {"name": "good", "quality": {"min_score": 3.5}, "caption_words": {"min": 12}}]
    plain = recipe_for(write_tree(folder / "source", rows), folder, subsets=subsets)
    recipe = plain.model_copy(update={"source": plain.source.model_copy(update={"name": HOSTILE})})
    curate(recipe)
    return recipe


def answer(page: Opened) -> str:
    return page.do(lambda page: page.inner_text("#answer"))


def moved(page: Opened, slider: int, key: str, times: int) -> str:
    """Move a slider by its keys, and return the new answer."""
    before = answer(page)
    page.do(lambda page: page.locator("[role=slider]").nth(slider).focus())
    for _ in range(times):
        page.do(lambda page: page.keyboard.press(key))
    told = "before => document.querySelector('#answer').innerText != before"
    page.do(lambda page: page.wait_for_function(told, arg=before))
    page.do(lambda page: page.wait_for_load_state("networkidle"))
    return answer(page)


def test_a_moved_slider_tells_what_a_run_of_the_copied_recipe_keeps(
    curated: Recipe, browser: Browser, tmp_path: Path
) -> None:
    from flows.curate import curate

    with served(curated.output.dir / "good", cwd=tmp_path) as address:
        page = browser.open(address)
        page.do(lambda page: page.wait_for_selector("#sheets img"))
        kept = curate(curated).subsets[1].select.kept
        assert answer(page).startswith(f"{kept:,} of 60 pairs kept")
        told = moved(page, 0, "ArrowRight", 12)
        text = page.do(lambda page: page.inner_text("#recipe"))
        pictures = page.do(
            lambda page: page.eval_on_selector_all("#sheets img", "all => all.map(one => one.naturalWidth)")
        )
        assert len(pictures) > 8
        assert min(pictures) > 0
        assert page.do(lambda page: page.title()) == "git10m browse"
        assert page.do(lambda page: page.inner_text("header p")).startswith(HOSTILE)
        assert page.problems == []
        assert all(request.startswith(address.partition("?")[0]) for request in page.requests)
    written = tmp_path / "moved.yaml"
    written.write_text(text, encoding="utf-8")
    recipe = load_recipe(written, ())
    assert recipe.subsets[0].quality.min_score is not None
    assert recipe.subsets[0].quality.min_score > 3.5
    assert recipe.subsets[0].caption_words == curated.subsets[1].caption_words
    selected = curate(recipe).subsets[0].select
    assert told.startswith(f"{selected.kept:,} of 60 pairs kept")
    assert selected.kept < kept


def test_a_workspace_and_a_recipe_are_browsed_as_well(curated: Recipe, browser: Browser, tmp_path: Path) -> None:
    from flows.curate import curate

    kept = curate(curated).subsets[1].select.kept  # and so the last recipe that was run in the workspace
    with served(curated.workspace, "--subset", "good", cwd=tmp_path) as address:
        of_workspace = answer(browser.open(address, dark=True, width=390))
    path = tmp_path / "recipe.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(curated.model_dump(mode="json"), file)
    with served(path, "--subset", "good") as address:
        page = browser.open(address)
        assert answer(page) == of_workspace
        width = page.do(lambda page: page.evaluate("document.documentElement.scrollWidth"))
        assert width <= 1280
    assert of_workspace.startswith(f"{kept} of 60 pairs kept")


def test_a_page_fits_a_phone(curated: Recipe, browser: Browser) -> None:
    with served(curated.workspace) as address:
        page = browser.open(address, dark=True, width=390, height=800)
        page.do(lambda page: page.wait_for_selector("#sheets h3, #sheets p"))
        assert page.do(lambda page: page.evaluate("document.documentElement.scrollWidth")) <= 390
        assert page.problems == []


def test_whoever_has_the_address_is_answered_on_this_machine(curated: Recipe) -> None:
    with served(curated.workspace) as address:
        page = address.partition("?")[0]
        port = page.rstrip("/").rpartition(":")[2]
        with httpx2.Client(follow_redirects=True) as client:
            assert client.get(page).status_code == 403
            assert client.get(f"{page}?token=wrong").status_code == 403
            assert client.get(address).status_code == 200
            assert client.get(f"{page}_dash-layout").status_code == 200
            for host, status in {
                f"localhost:{port}": 200,
                "127.0.0.1": 200,
                f"elsewhere.example:{port}": 403,
                "elsewhere.example": 403,
                "[::1]": 403,
            }.items():
                cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
                answer = httpx2.get(page, headers={"Host": host, "Cookie": cookie})
                assert answer.status_code == status, host
            nonsense = {
                "output": "..answer.children...funnel.children...map.figure...recipe.children...moved.data..",
                "inputs": [[{"id": {"limit": "quality"}, "property": "value", "value": ["x", None]}]],
            }
            assert client.post(f"{page}_dash-update-component", json=nonsense).status_code in (204, 400, 500)
            assert client.get(page).status_code == 200


@pytest.mark.parametrize(
    ("what", "status", "told"),
    [
        ("empty", 1, "found no subset, and no workspace of a run"),
        ("gone", 2, "no such folder"),
        ("unscanned.yaml", 1, "nothing of it is scanned"),
        ("wrong.yaml", 2, "subsets"),
    ],
)
def test_what_cannot_be_browsed_says_why(tmp_path: Path, what: str, status: int, told: str) -> None:
    (tmp_path / "empty").mkdir()
    write_tree(tmp_path / "source", [pair(0)], shards=1)
    recipe = recipe_for(tmp_path / "source", tmp_path).model_dump(mode="json")
    yaml = YAML(typ="safe")
    yaml.dump(recipe, tmp_path / "unscanned.yaml")
    yaml.dump(recipe | {"subsets": []}, tmp_path / "wrong.yaml")
    command = [*GIT10M, "browse", str(tmp_path / what), "--no-open", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"})
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said(curated: Recipe) -> None:
    with served(curated.workspace) as address:
        port = address.partition("/?")[0].rpartition(":")[2]
        command = [*GIT10M, "browse", str(curated.workspace), "--no-open", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"git10m: port {port} of 127.0.0.1: Address already in use; ")
    assert len(done.stderr.splitlines()) == 2


def test_a_reference_set_of_the_hub_stays_one_in_the_copied_recipe(curated: Recipe, tmp_path: Path) -> None:
    references = [{"kind": "hub", "path": "a/b", "name": "benchmark"}, {"path": "c", "name": "other"}]
    recipe = Recipe.model_validate(curated.model_dump() | {"deduplication": {"references": references}})
    written = tmp_path / "recipe.yaml"
    written.write_text(recipe_in_yaml(recipe, recipe.subsets[0], {}), encoding="utf-8")
    assert load_recipe(written, ()).deduplication == recipe.deduplication


def test_the_copied_recipe_says_what_was_moved_and_no_default(curated: Recipe) -> None:
    text = recipe_in_yaml(curated, curated.subsets[1], {"quality": Limits(4.25), "zoom": Limits(None, 15)})
    told = YAML(typ="safe").load(text)
    assert list(told) == ["source", "subsets", "output", "workspace"]
    assert told["subsets"] == [
        {"name": "good", "quality": {"min_score": 4.25}, "caption_words": {"min": 12}, "zoom": {"max": 15}}
    ]

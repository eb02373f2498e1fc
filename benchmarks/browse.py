"""How soon `git10m browse` answers a moved slider, as a person sees it in Chromium: on simulated signals, no pictures.

The signals are those of `benchmarks.scale`. Each slider is moved by one step of its keys, again and again; the clock
runs in the page, from the key to the frame that shows the new answer, funnel and figures.

    python -m benchmarks.browse --rows 10545800 --dir FOLDER
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from ruamel.yaml import YAML

from benchmarks.scale import make_all, recipe_of, run_stage

_REST_MS = 1500
_SLIDERS = ("quality", "caption_words", "zoom", "signals.sharpness")

_WATCH = """() => new Promise(done => {
  const begin = performance.now(), answer = document.querySelector('#answer');
  new MutationObserver((_, watcher) => {
    watcher.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
  }).observe(answer, {childList: true, subtree: true, characterData: true});
})"""
"""Two frames later all that came with the answer is drawn."""


def measure(page: Page, slider: str, times: int, pause_ms: int) -> list[float]:
    """Return how long each of ``times`` moves of a slider took to be seen [ms], with a pause before each."""
    name = json.dumps({"limit": slider}, separators=(",", ":")).replace('"', '\\"')
    page.locator(f'[id="{name}"] [role=slider]').first.focus()
    found = []
    for number in range(times):
        page.wait_for_timeout(pause_ms)
        page.evaluate(f"() => {{ window.seen = ({_WATCH})() }}")  # and does not wait for it
        page.keyboard.press("ArrowRight" if number % 2 == 0 else "ArrowLeft")
        found.append(float(page.evaluate("window.seen")))
    return found


def main() -> None:
    """Make the signals, serve the page, move the sliders, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="as many whole shards as hold them")
    parser.add_argument("--dir", type=Path, required=True, help="folder for signals, kept, and all else")
    parser.add_argument("--times", type=int, default=12, help="moves of each slider")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium here; expected chromium or google-chrome in PATH")
    make_all(options.dir, options.rows, 8)
    run_stage("deduplicate", options.dir, 8)
    recipe = options.dir / "browse.yaml"
    told = recipe_of(options.dir, 8).model_dump(mode="json", exclude_defaults=True)
    told["source"]["kind"] = "files"
    YAML(typ="safe").dump(told, recipe)
    command = [sys.executable, "-c", "from flows.cli import app; app()", "browse", str(recipe), "--no-open"]
    begin = time.perf_counter()
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            print(f"{options.rows:,} rows, open after {time.perf_counter() - begin:.1f} s, ", end="")
            status = Path(f"/proc/{server.pid}/status").read_text()
            print(f"VmHWM {int(status.split('VmHWM:')[1].split()[0]) / 1024:,.0f} MiB\n")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, chromium_sandbox=False, args=["--disable-gpu"]
                )
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(address)
                page.wait_for_selector("#sheets h3")
                print("| slider | at rest, min [ms] | median | max | one after the other, median |")
                print("|---|---:|---:|---:|---:|")
                for slider in _SLIDERS:
                    found = measure(page, slider, options.times, _REST_MS)
                    row = f"{min(found):.0f} | {statistics.median(found):.0f} | {max(found):.0f}"
                    print(f"| {slider} | {row} | {statistics.median(measure(page, slider, options.times, 0)):.0f} |")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()

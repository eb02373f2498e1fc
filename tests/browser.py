"""A headless Chromium for tests of pages: what a person would see, what the page complains of, what it asks for."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import Page

T = TypeVar("T")

MISSING = "no Chromium here: apt-get install chromium, or have chromium, chromium-browser or google-chrome in PATH"

_PATIENCE_MS = 10_000  # what a test waits for is on its page by then, or never

_QUIET = (
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--disable-gpu", "--no-first-run", "--hide-scrollbars"),
)


def installed() -> str | None:
    """Return the path of the machine's Chromium; None where it has none."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


@dataclass
class Opened:
    """A page that is open."""

    _page: "Page"
    _thread: ThreadPoolExecutor
    problems: list[str] = field(default_factory=list)
    """Errors and warnings of the console, uncaught exceptions, requests that failed and answers from 400 on."""
    requests: list[str] = field(default_factory=list)
    """Every address that was asked for, the page's own first; ``data:`` addresses leave no machine and do not count."""

    def do(self, act: "Callable[[Page], T]") -> T:
        """Return ``act(page)``; the page is Playwright's, and lives in a thread of its own."""
        return self._thread.submit(act, self._page).result()

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """Write what is seen to ``path``, a PNG: the ``whole`` page, or what fits the window."""
        self.do(lambda page: page.screenshot(path=path, full_page=whole))
        return path


class Browser:
    """Opens pages. Each has a context of its own: no cookie, cache or setting of another page counts."""

    def __init__(self, chromium: "Chromium", thread: ThreadPoolExecutor) -> None:
        self._chromium, self._thread = chromium, thread

    def open(
        self, address: str | Path, *, dark: bool = False, width: int = 1280, height: int = 900, script: bool = True
    ) -> Opened:
        """Open a file or an ``http://`` address and wait until all of it is loaded.

        Args:
            address: what to open.
            dark: whether the person prefers dark colours.
            width: of the window [CSS pixels].
            height: of the window [CSS pixels].
            script: whether scripts may run.
        """
        return self._thread.submit(self._open, address, dark, (width, height), script).result()

    def close_pages(self) -> None:
        """Close all pages."""
        self._thread.submit(lambda: [context.close() for context in self._chromium.contexts]).result()

    def _open(self, address: str | Path, dark: bool, size: tuple[int, int], script: bool) -> Opened:
        width, height = size
        context = self._chromium.new_context(
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": height},
            java_script_enabled=script,
            locale="en-GB",
        )
        context.set_default_timeout(_PATIENCE_MS)
        page = context.new_page()
        opened = Opened(page, self._thread)
        note = opened.problems.append
        page.on("console", lambda told: told.type in ("error", "warning") and note(f"{told.type}: {told.text}"))
        page.on("pageerror", lambda error: note(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: note(f"failed: {request.url}: {request.failure}"))
        page.on("response", lambda answer: note(f"{answer.status}: {answer.url}") if answer.status >= 400 else None)
        # Of the context, not of the page: also what a frame, a worker or a new window asks for.
        context.on("request", lambda request: opened.requests.append(request.url))
        page.goto(address.resolve().as_uri() if isinstance(address, Path) else address, wait_until="load")
        return opened


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """Start the Chromium at ``path``, and end it at the end."""
    from playwright.sync_api import sync_playwright

    # Playwright leaves an event loop running in the thread that it is started in, and Prefect's flows want none there.
    with ThreadPoolExecutor(1) as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        try:
            chromium = thread.submit(
                lambda: playwright.chromium.launch(executable_path=path, args=[*_QUIET], chromium_sandbox=False)
            ).result()
            try:
                yield Browser(chromium, thread)
            finally:
                thread.submit(chromium.close).result()
        finally:
            thread.submit(playwright.stop).result()

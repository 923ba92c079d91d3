"""A headless Chromium for the tests that look at the report: pages opened as a reader opens them, with all that they ask for and say kept."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next((found for name in ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
SETTLE = 30_000  # ms: the longest that a page may take to do what it was told, however busy the machine is
SERIOUS = ("serious", "critical")


@dataclass
class Seen:
    """A page with the addresses that it asked for and what its console and its errors said."""

    page: Any
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def strangers(self) -> list[str]:
        """Addresses of anything but files and the page's own data."""
        return [url for url in self.asked if not url.startswith(("file:", "data:"))]

    def accessible(self) -> list[str]:
        """What axe-core finds serious or critical, each with its first element."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found if one["impact"] in SERIOUS]


def until(page: Any, expression: str) -> None:
    """Waits for what `expression` says. The browser's own waiting evaluates text inside the page, which the page's policy forbids."""
    deadline = time.monotonic() + SETTLE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"the page never came to: {expression}"
        page.wait_for_timeout(50)


@contextmanager
def launched() -> Iterator[Any]:
    """The browser, for as long as a module's tests need it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, fragment: str = "", *, width: int = 1280, dark: bool = False, script: bool = True) -> Iterator[Seen]:
    """A page of a report, from its file:// address, in a context of its own."""
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme, java_script_enabled=script, reduced_motion="reduce")
    context.set_default_timeout(SETTLE)
    page = context.new_page()
    seen = Seen(page)
    page.on("request", lambda request: seen.asked.append(request.url))
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("dialog", lambda dialog: (seen.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto(path.as_uri() + fragment)
    yield seen
    context.close()

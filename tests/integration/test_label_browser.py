"""`swapgate label` in a real browser, by the keyboard: every key does what it says, the file holds it, and the page stays quiet.

The browser is driven over its debugging pipe (two file descriptors, messages that end in a zero byte): nothing listens on a port.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from swapgate.cli.label_server import LabelServer
from swapgate.runs.labels import Labels
from swapgate.suite.labelling import Sitting

CHROMIUM = next((found for name in ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PATIENCE = 60.0  # seconds, however busy the machine is
CODES = {"y": "KeyY", "n": "KeyN", "u": "KeyU", "Backspace": "Backspace"}
SAMPLE = Path(__file__).parents[1] / "unit" / "cli" / "labelled_run.py"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install chromium to label in a browser"),
]


class Browser:
    """One page in a headless Chromium."""

    def __init__(self, profile: Path) -> None:
        ours_in, self._write = os.pipe()
        self._read, ours_out = os.pipe()
        command = [str(CHROMIUM), *FLAGS, OFFLINE, f"--user-data-dir={profile}", "--remote-debugging-pipe", "--window-size=900,900", "about:blank"]
        # Chromium reads from descriptor 3 and writes to 4.
        script = f'exec "$@" 3<&{ours_in} 4>&{ours_out}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", *command], pass_fds=(ours_in, ours_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(ours_in)
        os.close(ours_out)
        self._numbers, self._left, self.events = itertools.count(1), b"", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        session = {"sessionId": self._session} if hasattr(self, "_session") else {}
        os.write(self._write, json.dumps({"id": number, "method": method, "params": params, **session}).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def until(self, expression: str) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.02)
        pytest.fail(f"never true: {expression}; the page: {self.evaluate('document.body.innerText')!r}")

    def press(self, key: str, **more: Any) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=CODES[key], **more)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        os.close(self._read)
        os.close(self._write)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            got = os.read(self._read, 65536)
            assert got, "the browser went away"
            self._left += got
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swapgate_labelled_run_for_browser", SAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(sample: ModuleType, tmp_path: Path) -> Iterator[LabelServer]:
    run = sample.make(tmp_path / "run", seeds=3)
    with LabelServer(Sitting(run, "ann"), run.image_path) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


READY = "document.body.dataset.number === '{}' && !document.getElementById('yes').disabled && document.getElementById('picture').naturalWidth"


def test_a_sitting_by_the_keyboard(server: LabelServer, browser: Browser, sample: ModuleType) -> None:
    """y, n, u, Backspace and a click, to the end; a key with Ctrl is the browser's; no complaint, no other address, no model's name."""
    browser.call("Page.navigate", url=server.url)
    assert browser.until(READY.format(0)) == 16
    prompt = browser.evaluate("document.getElementById('prompt').textContent")
    assert prompt == server.sitting.shown[0].prompt, "markup in a prompt is text"
    browser.press("y", modifiers=2)
    browser.press("y")
    browser.until(READY.format(1))
    browser.press("n")
    browser.until(READY.format(2))
    browser.press("Backspace")
    browser.until(READY.format(1))
    assert browser.evaluate("document.getElementById('no').getAttribute('aria-pressed')") == "true"
    browser.press("u")
    browser.until(READY.format(2))
    total = len(server.sitting.shown)
    for number in range(2, total):
        browser.until(READY.format(number))
        browser.evaluate("document.getElementById('yes').click()")
    browser.until("!document.getElementById('done').hidden")
    shown = browser.evaluate("document.documentElement.outerHTML")
    assert browser.evaluate("document.getElementById('progress').textContent") == f"{total} / {total}"

    kept = {(one.image, one.pair, one.look): one for one in Labels(server.sitting.labels.path.parent).current()}
    answers = [kept[one.image, one.pair, one.look].usable for one in server.sitting.shown]
    assert answers == [True, None] + [True] * (total - 2)
    assert all(one.seconds is not None and 0 < one.seconds < PATIENCE for one in kept.values())
    assert sample.OLD not in shown
    assert sample.NEW not in shown
    asked = {event["params"]["request"]["url"] for event in browser.events if event.get("method") == "Network.requestWillBeSent"}
    assert asked
    assert all(url.startswith((server.url, "data:")) for url in asked)
    said = [event for event in browser.events if event.get("method") in {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}]
    assert said == []


def test_an_answer_that_was_not_kept_is_said_so(server: LabelServer, browser: Browser) -> None:
    """The command has ended under the page: the person is told, and the picture stays."""
    browser.call("Page.navigate", url=server.url)
    browser.until(READY.format(0))
    server.token = "ended"  # as after a new start: this page's address is of no use any more
    browser.press("y")
    assert "swapgate label" in browser.until("!document.getElementById('trouble').hidden && document.getElementById('trouble').textContent")
    assert browser.evaluate("document.body.dataset.number") == "0"
    assert not server.sitting.labels.path.exists()

"""The report in a real browser, from a file:// address: it is complete, quiet, safe, readable in both schemes, and fits a phone.

The page runs no script and forbids any, so a second page holds it in a frame and looks in from outside. That needs
`--allow-file-access-from-files`, which a reader does not need: the screenshots are taken without it.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swapgate import report as reporting

CHROMIUM = next((found for name in ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"
SETTLED = "--virtual-time-budget=5000"  # a screenshot waits for frames and pictures, however busy the machine is
DARK = "--blink-settings=preferredColorScheme=0"
CELL = "cell-usability-standin-qwen-orange-cat"
SAMPLE = Path(__file__).parents[1] / "unit" / "report" / "sample.py"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install chromium to look at the report in a browser"),
]

# Lazy pictures load when they come near the window, so the frame is made as high as the page.
LOOK = """<!doctype html><title>waiting</title><body style="margin:0"><iframe id="f" style="border:0;width:WIDTHpx;height:800px"></iframe><pre id="out"></pre>
<script>
const frame = document.getElementById("f");
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
frame.onload = async () => {
  const page = frame.contentDocument, view = frame.contentWindow;
  await wait(300);
  const target = page.querySelector(":target");
  const aimed = {id: target && target.id, top: target && target.getBoundingClientRect().top, scrolled: view.scrollY};
  view.scrollTo(0, 0);
  page.querySelectorAll("details").forEach((one) => { one.open = true; });
  frame.style.height = page.documentElement.scrollHeight + 50 + "px";
  for (let n = 0; n < 100 && [...page.images].some((one) => !one.complete); n++) await wait(50);
  const wide = [...page.querySelectorAll("body *")].filter((one) => !one.closest("svg, .scroll, nav ul, .hidden, .skip, thead") &&
    one.getBoundingClientRect().right > WIDTH + 0.5).map((one) => one.tagName + "." + one.className);
  const top = page.querySelector("h1").getBoundingClientRect();
  document.getElementById("out").textContent = JSON.stringify({
    title: page.title, images: page.images.length, broken: [...page.images].filter((one) => !one.naturalWidth).map((one) => one.src),
    scroll: page.documentElement.scrollWidth, wide, scripts: page.scripts.length, hostile: document.title,
    background: view.getComputedStyle(page.body).backgroundColor, fonts: page.fonts.size,
    aimed, answer: page.querySelector("h1").textContent, answerBottom: top.bottom,
    unlabelled: [...page.querySelectorAll("svg")].filter((one) => !one.getAttribute("aria-label")).length,
    flat: [...page.querySelectorAll("svg")].filter((one) => one.getBoundingClientRect().height < 10).length,
    styled: view.getComputedStyle(page.querySelector(".chip")).borderRadius,
    dead: [...page.querySelectorAll('a[href^="#"]')].filter((one) => !page.getElementById(one.getAttribute("href").slice(1))).map((one) => one.href),
    cells: [...page.querySelectorAll(".cell")].length,
  });
};
frame.src = "report/index.html#CELL";
</script>"""


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swapgate_report_sample_for_browser", SAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory) -> Path:
    """The sample run with its report, below a folder whose name has to be quoted in an address."""
    folder = tmp_path_factory.mktemp("a run #1 猫") / "run"
    folder.mkdir()
    reporting.build(folder, sample.make(folder))
    return folder


def chromium(profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """One headless call in a new, empty profile."""
    command = [str(CHROMIUM), *FLAGS, OFFLINE, f"--user-data-dir={profile}", "--enable-logging=stderr", "--hide-scrollbars", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)


def looked_at(run: Path, profile: Path, width: int, *options: str) -> tuple[dict[str, Any], str]:
    """What the frame's page is like at `width` pixels, and what the browser said on its console."""
    holder = run / f"look-{width}.html"
    holder.write_text(LOOK.replace("WIDTH", str(width)).replace("CELL", CELL), encoding="utf-8")
    done = chromium(
        profile,
        "--allow-file-access-from-files",
        f"--window-size={max(width, 500)},900",
        "--virtual-time-budget=20000",
        "--dump-dom",
        *options,
        holder.as_uri(),
    )
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    assert found.group(1), f"the page was not loaded: {done.stderr[-2000:]}"
    return json.loads(unescape(found.group(1))), done.stderr


@pytest.fixture(scope="module")
def wide(run, tmp_path_factory) -> tuple[dict[str, Any], str]:
    return looked_at(run, tmp_path_factory.mktemp("wide"), 1280)


@pytest.fixture(scope="module")
def narrow(run, tmp_path_factory) -> tuple[dict[str, Any], str]:
    return looked_at(run, tmp_path_factory.mktemp("narrow"), 400)


def shot(run: Path, folder: Path, width: int, height: int, *options: str) -> np.ndarray:
    """A screenshot of the page itself, opened as a reader opens it; (height, width, 3) uint8."""
    target = folder / "shot.png"
    done = chromium(
        folder / "profile", f"--window-size={width},{height}", f"--screenshot={target}", SETTLED, *options, (run / "report" / "index.html").as_uri()
    )
    assert complaints(done.stderr) == []
    with Image.open(target) as image:
        return np.asarray(image.convert("RGB"))


def test_every_picture_is_shown(wide):
    """From a file:// address and under the page's own policy, all pictures decode."""
    seen, _ = wide
    assert seen["images"] > 40
    assert seen["broken"] == []


def test_the_answer_is_seen_without_scrolling(wide, narrow):
    """On a desk and on a phone the first screen says yes or no."""
    for seen, _ in (wide, narrow):
        assert seen["answer"].startswith("Do not upgrade:")
        assert seen["answerBottom"] < 400


def complaints(said: str) -> list[str]:
    """What the browser's console says of a page: policies that were broken, errors of parsing."""
    return [line for line in said.splitlines() if "CONSOLE" in line]


def asked(log: Path) -> set[str]:
    """Addresses that a file:// page asked a network for, from Chromium's network log; the browser's own errands left out."""
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    params = [event.get("params", {}) for event in events]
    return {one["url"] for one in params if "url" in one and str(one.get("network_isolation_key", "")).startswith("file:")}


def test_nothing_is_asked_of_a_network(run, tmp_path):
    """No request leaves the page, whatever is on it."""
    log = tmp_path / "net.json"
    chromium(
        tmp_path / "profile",
        f"--log-net-log={log}",
        "--virtual-time-budget=5000",
        "--window-size=1280,9000",
        f"--screenshot={tmp_path / 'shot.png'}",
        (run / "report" / "index.html").as_uri(),
    )
    assert asked(log) == set()


def test_the_policy_has_nothing_to_complain_of(wide, narrow):
    """The one style sheet is allowed by its hash; no font, script or handler is refused because there is none."""
    for seen, said in (wide, narrow):
        assert complaints(said) == []
        assert seen["fonts"] == 0


def test_the_browser_would_have_told(tmp_path):
    """The control of the two tests above: a page that asks a network, and one that breaks its policy, are found out."""
    net, style, log = tmp_path / "net.html", tmp_path / "style.html", tmp_path / "net.json"
    net.write_text('<!doctype html><link rel="stylesheet" href="http://example.com/a.css"><p>text', encoding="utf-8")
    style.write_text(
        '<!doctype html><meta http-equiv="Content-Security-Policy" content="style-src \'none\'"><style>p { color: red }</style>', encoding="utf-8"
    )
    chromium(tmp_path / "a", f"--log-net-log={log}", "--virtual-time-budget=3000", "--dump-dom", net.as_uri())
    assert asked(log) == {"http://example.com/a.css"}
    assert complaints(chromium(tmp_path / "b", "--virtual-time-budget=3000", "--dump-dom", style.as_uri()).stderr)


def test_hostile_prompts_did_not_run(wide):
    """The prompt that sets the title is text: nothing ran, and there is nothing that could."""
    seen, _ = wide
    assert seen["scripts"] == 0
    assert seen["title"].startswith("Do not upgrade")
    assert seen["hostile"] == "waiting"


def test_nothing_sticks_out_at_either_width(wide, narrow):
    """No sideways scrolling of the page; only tables that scroll by themselves may be wider."""
    for (seen, _), width in ((wide, 1280), (narrow, 400)):
        assert seen["scroll"] <= width
        assert seen["wide"] == []


def test_cells_charts_and_links_are_there(wide):
    """Fourteen cells with their drawings, every fragment with its target, the style sheet allowed by its hash."""
    seen, _ = wide
    assert seen["cells"] == 14
    assert seen["dead"] == []
    assert (seen["unlabelled"], seen["flat"]) == (0, 0)
    assert seen["styled"] == "99px"


def test_a_frame_that_may_not_run_scripts_shows_the_same_page(run, tmp_path):
    """Jenkins and others show artefacts in a sandbox; the page has no script to lose."""
    (run / "sandbox.html").write_text(
        '<body style="margin:0"><iframe sandbox src="report/index.html" style="border:0;width:900px;height:700px"></iframe>', encoding="utf-8"
    )
    target = tmp_path / "sandbox.png"
    chromium(tmp_path / "profile", "--window-size=900,700", f"--screenshot={target}", SETTLED, (run / "sandbox.html").as_uri())
    direct = shot(run, tmp_path, 900, 700)
    with Image.open(target) as image:
        framed = np.asarray(image.convert("RGB"))
    apart = np.abs(framed[:300].astype(int) - direct[:300].astype(int)).mean()
    assert apart < 6, "the top of the page looks the same"


def test_both_colour_schemes_are_drawn(run, tmp_path):
    """Light is light and dark is dark, and in both something stands on the ground."""
    grounds = {}
    for name, options in (("light", ()), ("dark", (DARK,))):
        folder = tmp_path / name
        folder.mkdir()
        pixels = shot(run, folder, 1280, 900, *options)
        grounds[name] = pixels[2, 2].mean()
        assert pixels.std() > 15
    assert grounds["light"] > 200
    assert grounds["dark"] < 60


def test_a_link_to_a_cell_opens_at_that_cell(wide, narrow):
    """#cell-gate-model-task scrolls to the cell, below the bar that stays on top."""
    for seen, _ in (wide, narrow):
        assert seen["aimed"]["id"] == CELL
        assert seen["aimed"]["scrolled"] > 800
        assert 40 <= seen["aimed"]["top"] <= 130


def test_pictures_of_the_first_cells_are_really_painted(run, sample, tmp_path):
    """The colour of the lost cat is on the screen, not only in the file."""
    pixels = shot(run, tmp_path, 1280, 1200).astype(int)
    wanted = sample.scene(1, "orange-cat", shift=1, hue=0.3)
    disc = wanted.reshape(-1, 3)[wanted.reshape(-1, 3).max(axis=1).argmax()].astype(int)
    blue = (
        wanted[(wanted[..., 2].astype(int) - wanted[..., 0] > 100)].mean(axis=0)
        if (wanted[..., 2].astype(int) - wanted[..., 0] > 100).any()
        else disc
    )
    assert (np.abs(pixels - blue).sum(axis=2) < 20).sum() > 200

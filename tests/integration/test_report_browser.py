"""The report in a real browser, from a file:// address: every view, by mouse and by keyboard, in both languages, quiet, safe and readable.

Most tests look at a made-up run that has every verdict, a past, and things to accept; the last ones at a run of the bundled model that was
made here. What the browser would not do by itself (a script that writes, a request that leaves) is proved to be noticed.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from swapgate import report as reporting
from swapgate.report import phrases

HERE = Path(__file__).parent
CELL = "cell-usability-standin-qwen-orange-cat"
PAIR = "pair-standin-qwen-orange-cat-en-1-0"
WIDE = "[...document.querySelectorAll('body *')].filter((one) => !one.closest('svg, .scroll, nav ul, .hidden, .skip, thead, #stage') && one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.tagName + '.' + one.className)"
BROKEN = "[...document.images].filter((one) => one.complete && !one.naturalWidth).map((one) => one.src)"


def module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found  # frozen dataclasses look themselves up there
    spec.loader.exec_module(found)
    return found


chrome = module("swapgate_test_browser", HERE / "browser.py")
MISSING = next((name for name in ("playwright", "axe_playwright_python") if importlib.util.find_spec(name) is None), "")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chrome.CHROMIUM is None, reason="no Chromium on this machine: install chromium to look at the report in a browser"),
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} is not installed: pip install playwright axe-playwright-python"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chrome.launched() as found:
        yield found


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    return module("swapgate_report_sample_for_browser", HERE.parent / "unit" / "report" / "sample.py")


@pytest.fixture(scope="module")
def made(sample, tmp_path_factory) -> Path:
    """The index of the made-up run, among five past ones, below a folder whose name has to be quoted in an address."""
    runs = tmp_path_factory.mktemp("runs #1 猫")
    run = runs / "now"
    run.mkdir()
    shelf = sample.make(run)
    data = json.loads((run / "verdicts.json").read_text(encoding="utf-8"))
    for day in range(5):
        past = {**data, "images": [], "wording": [], "run": f"past-{day}", "created": f"2026-11-1{day}T00:00:00+00:00"}
        (runs / f"past-{day}").mkdir()
        (runs / f"past-{day}" / "verdicts.json").write_text(json.dumps(past), encoding="utf-8")
    return reporting.build(run, shelf, runs=runs)


def visible(page: Any, selector: str) -> int:
    return page.locator(f"{selector}:visible").count()


@pytest.mark.parametrize(("name", "width", "dark"), [("index.html", 1280, False), ("index.zh.html", 390, True), ("index.html", 390, False)])
def test_the_page_is_whole_quiet_and_accessible(browser, made, name, width, dark):
    """In both languages, both schemes, on a desk and on a phone: nothing sticks out, pictures decode, axe-core finds nothing serious."""
    with chrome.opened(browser, made.parent / name, width=width, dark=dark) as seen:
        page = seen.page
        assert page.locator("h1").inner_text().startswith("Do not upgrade:" if name == "index.html" else "不要升级：")
        assert page.locator("h1").bounding_box()["y"] < 400, "the answer is seen without scrolling"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) is dark
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.evaluate("for (const one of document.images) one.loading = 'eager'")
        chrome.until(page, "[...document.images].every((one) => one.complete)")
        assert page.evaluate("document.images.length") > 40
        assert page.evaluate(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(WIDE) == []
        assert (
            page.evaluate(
                "[...document.querySelectorAll('a[href^=\"#\"]')].filter((one) => one.hash.length > 1 && !document.getElementById(one.hash.slice(1))).length"
            )
            == 0
        )
        assert page.locator("svg[role=img]:not([aria-label])").count() == 0
        assert seen.accessible() == []
        assert (seen.strangers, seen.said) == ([], [])


def test_filters_show_what_was_chosen_and_keep_it_in_the_address(browser, made):
    """Verdict, gate, task, language and search, alone and together; the address opens the same view again."""
    with chrome.opened(browser, made) as seen:
        page = seen.page
        page.locator("#filters [value=REGRESSION]").check()
        assert visible(page, "article.cell") == 2
        assert page.locator("#shown").inner_text() == "2 of 14 cells shown"
        page.locator("#filters [value=usability]").check()
        assert visible(page, "article.cell") == 1
        assert page.locator(".heatcell:not(.dim)").count() == 1
        assert page.url.endswith("#?status=REGRESSION&gate=usability")
        address = page.url
        page.get_by_role("button", name="Show all").click()
        assert visible(page, "article.cell") == 14
        page.locator("[name=task]").select_option("butterfly")
        assert visible(page, "article.cell") == 3
        assert visible(page, ".gallery") == 1
        page.locator("[name=language]").select_option("zh")
        assert visible(page, ".gallery .strip") == 1
        page.locator("#filters [name=clear]").click()
        page.locator("[name=q]").fill("mostly decode")
        assert visible(page, "article.cell") == 1
        page.goto("about:blank")
        page.goto(address)
        chrome.until(page, "document.querySelectorAll('article.cell:not([hidden])').length === 1")
        assert seen.said == []


def test_a_permalink_opens_what_it_names(browser, made):
    """A cell below the bar on top, one in a closed fold, and one that the filters had hidden; every cell of the table has one."""
    with chrome.opened(browser, made, f"#{CELL}") as seen:
        page = seen.page
        chrome.until(page, "scrollY > 500")
        assert 20 <= page.locator(f"#{CELL}").bounding_box()["y"] <= 200
        links = page.locator(".heatcell").evaluate_all("(all) => all.map((one) => one.hash.slice(1))")
        assert len(links) == 14
        assert links == [one for one in links if page.locator(f"article[id='{one}']").count() == 1]
        page.locator("#filters [value=PASS]").check()
        assert not page.locator(f"#{CELL}").is_visible()
        page.evaluate(f"location.hash = '{CELL}'")
        chrome.until(page, f"!document.getElementById('{CELL}').hidden")
    with chrome.opened(browser, made, "#pair-standin-qwen-white-cup-zh-2-0") as seen:
        seen.page.wait_for_selector("#stage[open]")
        assert seen.page.locator("#stage-title").inner_text() == "white-cup"


def test_the_stage_compares_by_keyboard_alone(browser, made):
    """Enter opens it, arrows walk seeds and prompts, digits change the view, M magnifies, Escape goes back to where it was opened."""
    with chrome.opened(browser, made) as seen:
        page = seen.page
        opener = page.locator(f"#{PAIR} a.open")
        opener.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#stage[open]")
        assert page.locator("#stage-place").inner_text() == "1 of 4"
        assert page.locator("#seeds button").count() == 4
        assert "✕ fails" in page.locator("#stage-checks").inner_text()
        assert "橘猫" in page.locator("#stage-prompts").inner_text()
        for key, mode in zip("2345", ("slider", "blend", "blink", "difference"), strict=True):
            page.keyboard.press(key)
            assert page.locator("#frames").get_attribute("data-mode") == mode
        page.keyboard.press("2")
        clip = "getComputedStyle(document.querySelector('[data-side=candidate] .pane')).clipPath"
        before = page.evaluate(clip)
        page.locator("[name=mix]").focus()
        page.keyboard.press("End")
        assert page.evaluate(clip) != before
        assert page.locator("#stage-place").inner_text() == "1 of 4", "the slider's arrows are its own"
        page.locator("#stage [name=close]").focus()
        page.keyboard.press("m")
        assert page.locator("[data-side=candidate] .glass").is_visible()
        page.keyboard.press("ArrowRight")
        assert page.locator("#stage-place").inner_text() == "2 of 4"
        page.keyboard.press("ArrowDown")
        assert "zh" in page.locator("#stage-prompts .tag").first.inner_text()
        assert seen.accessible() == []
        page.keyboard.press("Escape")
        assert not page.locator("#stage").is_visible()
        assert page.evaluate("document.activeElement.className") == "open"
        page.locator("#pair-standin-qwen-butterfly-en-3-0 [data-role=candidate]").click()
        assert "64 × 64 → 96 × 96" in page.locator("#stage-sizes").inner_text()
        assert (seen.strangers, seen.said) == ([], [])


def test_the_keyboard_reaches_everything_in_order(browser, made):
    """The first stop skips to the table; every stop is seen; links, fields and buttons are all on the way."""
    with chrome.opened(browser, made) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        kinds = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            kinds.add(page.evaluate("document.activeElement.tagName + (document.activeElement.name || '')"))
        assert {"A", "CODE", "INPUTstatus", "INPUTgate", "SELECTtask", "INPUTq", "BUTTONclear"} <= kinds


def test_the_other_language_is_a_link_away_and_keeps_the_place(browser, made):
    """There and back again, at the same cell."""
    with chrome.opened(browser, made, f"#{CELL}") as seen:
        page = seen.page
        page.locator("a.switch").click()
        page.wait_for_url(f"**/index.zh.html#{CELL}")
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert "只显示" in page.locator("#filters").get_attribute("aria-label")
        page.locator("a.switch").click()
        page.wait_for_url(f"**/index.html#{CELL}")
        assert seen.said == []


def test_chosen_cells_make_the_command_that_accepts_them(browser, made):
    """Together in one line, with a reason where something got worse; nothing chosen, nothing shown."""
    with chrome.opened(browser, made) as seen:
        page = seen.page
        assert not page.locator("#command").is_visible()
        page.locator("#accepting [value='drift/standin-qwen/orange-cat']").check()
        run = "--run=.swapgate/runs/2026-11-22-a1b2c3"
        assert page.locator("#command").inner_text() == f"swapgate baselines accept {run} drift/standin-qwen/orange-cat"
        page.locator("#accepting [value='latency/standin-qwen/all']").check()
        said = page.locator("#command").inner_text()
        assert said == f'swapgate baselines accept {run} --reason="why it may get worse" latency/standin-qwen/all drift/standin-qwen/orange-cat'
        page.locator("#filters [value=NEW]").check()
        page.locator("#accepting [name=none]").click()
        page.locator("#accepting [name=every]").click()
        assert page.locator("#command").inner_text() == f"swapgate baselines accept {run} stability/standin-qwen/butterfly"


def test_without_a_script_the_same_facts_stand_there(browser, made):
    """Every reason, figure and picture; nothing that would need the script, and the other language is still a link."""
    with chrome.opened(browser, made, f"#{CELL}", script=False) as seen:
        page = seen.page
        data = json.loads((made.parents[1] / "verdicts.json").read_text(encoding="utf-8"))
        words = " ".join(page.locator("main").text_content().split())
        for verdict in data["verdicts"]:
            assert " ".join(verdict["reason"].split()) in words
        assert page.locator("#filters").is_hidden()
        assert visible(page, "#accepting input") == 0
        assert page.locator("#accepting noscript").count() == 1
        assert visible(page, f"#{PAIR} img") == 3
        assert page.locator("a.switch").is_visible()
        assert 0 <= page.locator(f"#{CELL}").bounding_box()["y"] <= 200
        assert seen.strangers == []


def test_a_frame_that_may_run_no_script_shows_the_page(browser, made):
    """Jenkins and others show artefacts in a sandbox."""
    holder = made.parents[1] / "sandbox.html"
    holder.write_text('<body><iframe sandbox src="report/index.html" style="width:900px;height:700px"></iframe>', encoding="utf-8")
    with chrome.opened(browser, holder) as seen:
        frame = seen.page.frame_locator("iframe")
        assert frame.locator("h1").inner_text().startswith("Do not upgrade")
        assert frame.locator(".chip").first.evaluate("(one) => getComputedStyle(one).borderRadius") == "99px"


def test_the_browser_would_have_told(browser, tmp_path):
    """The control: a page that asks a network, one that breaks its policy, and one that a screen reader cannot use are found out."""
    page = tmp_path / "bad.html"
    page.write_text(
        '<!doctype html><meta http-equiv="Content-Security-Policy" content="script-src \'none\'"><link rel="stylesheet" href="http://127.0.0.1:9/a.css">'
        '<script>document.title = "owned"</script><img src="data:,"><input>',
        encoding="utf-8",
    )
    with chrome.opened(browser, page) as seen:
        assert seen.strangers == ["http://127.0.0.1:9/a.css"]
        assert any("Content Security Policy" in line for line in seen.said)
        assert any(line.startswith("image-alt") for line in seen.accessible())
        assert any(line.startswith("label") for line in seen.accessible())


def hostile() -> list[str]:
    """Over two hundred texts that try to be something else: markup, scripts, templates, paths, directions, invisible and broken characters."""
    payloads = [
        "<script>document.title='owned'</script>",
        '"><img src=x onerror="document.title=\'owned\'">',
        "' onmouseover='document.title=1' x='",
        "<svg/onload=document.title='owned'>",
        "</style><style>*{display:none}</style>",
        "</script><script>alert(1)</script>",
        "<iframe src='javascript:alert(1)'></iframe>",
        "<base href='http://example.com/'>",
        "<meta http-equiv=refresh content='0;url=http://example.com'>",
        "<a href='javascript:alert(1)'>click</a>",
        "<!-- comment --> <![CDATA[ cdata ]]>",
        "&lt;b&gt; &amp;amp; &#x3c;script&#x3e;",
        "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
        "`rm -rf /` $(touch x) ; echo 'x' | cat",
        "../../etc/passwd\\..\\windows",
        "data:text/html,<script>alert(1)</script>",
        "<details open ontoggle=alert(1)>",
        "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
        "]]>\"'--></textarea></title></noscript>",
        "<link rel=stylesheet href=http://example.com/a.css>",
    ]
    wrapped = [
        "{}",
        "\u202e{}\u202c",
        "\u2067{}\u2069",
        "a\u200b{}\ufeffb",
        "一只猫{}的图",
        "\x1b[31m{}\x07",
        "{}\r\n\t{}",
        "e\u0301\u0301\u0301\u0301\u0301\u0301{}",
        "\ud800{}",
        "{}" + "x" * 90,
        "%3C{}%3E",
    ]
    return [frame.replace("{}", payload) for payload, frame in itertools.product(payloads, wrapped)]


def test_hostile_texts_are_shown_as_text(browser, sample, tmp_path):
    """220 of them as prompts, rewordings, errors, names of runs, models, tasks, checks and versions: all are read, none does anything."""
    texts = hostile()
    assert len(set(texts)) >= 200
    shelf = sample.make(tmp_path)
    data = json.loads((tmp_path / "verdicts.json").read_text(encoding="utf-8"))
    row = data["images"][0]
    data["images"] = [
        {
            **row,
            "seed": n,
            "task": texts[n % 7] if n % 20 == 0 else "orange-cat",
            "prompt": text,
            "original": texts[n - 1],
            "edits": text,
            "failed": [text],
            "failure": text,
            "language": "en",
        }
        for n, text in enumerate(texts)
    ]
    data["wording"] = [{**data["wording"][n % 2], "reworded": text, "edits": text, "kinds": [text]} for n, text in enumerate(texts[:20])]
    data["verdicts"] = [{**verdict, "reason": texts[n], "next": texts[n + 20]} for n, verdict in enumerate(data["verdicts"])]
    data["models"][0].update(
        title=texts[0], device_name=texts[1], licence=texts[2], baseline=texts[3], versions={texts[4]: texts[5]}, chosen={texts[6]: 2}
    )
    data["suspects"] = [{"model": texts[7], "what": texts[8], "baseline": texts[9], "candidate": texts[10]}]
    data["tasks"] = [{"id": texts[n], "title": {"en": texts[n]}, "prompts": {"en": texts[n + 1], "zh": texts[n + 2]}} for n in range(7)]
    data.update(command=texts[11], warnings=texts[12:20], policy={texts[20]: texts[21]}, environment={texts[22]: [texts[23]]})
    (tmp_path / "verdicts.json").write_text(json.dumps(data), encoding="utf-8")
    index = reporting.build(tmp_path, shelf)
    for name in ("index.html", "index.zh.html"):
        with chrome.opened(browser, index.parent / name) as seen:
            page = seen.page
            shown = page.locator("body").text_content()
            wanted = [phrases.shown(text).encode("utf-8", "replace").decode() for text in texts]
            assert [text for text in wanted if text not in shown] == []
            assert "owned" not in page.title()
            assert (
                page.locator(
                    "iframe, object, embed, form, base, link[rel=stylesheet], [onerror], [onload], [onmouseover], a[href^=javascript]"
                ).count()
                == 0
            )
            assert page.locator("script").count() == 2, "the page's own, allowed by their hashes"
            page.locator("figure.pair a.open").first.click()
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            assert page.locator("#stage-caption").inner_text()
            assert page.evaluate("document.documentElement.scrollWidth") <= 1280
            assert (seen.strangers, seen.said) == ([], [])


@pytest.fixture(scope="module")
def real_run(real_project, tmp_path_factory) -> Path:
    """Two tasks of the bundled model with a fault planted, in turn with the model itself: a swap that should not happen."""
    project = real_project(tmp_path_factory.mktemp("real report"))
    project.card("worse", "no-guidance")
    project.seeds(2)
    run = project.run("swap", "--model=worse", "--against=standin-qwen", "--lang=zh")
    assert run.status in (0, 1), run.output[-2000:]
    return run.path


def test_a_real_swap_is_told_task_by_task_with_pictures_and_costs(browser, real_run):
    """Who is better at what, what an image costs, and the first seed of every prompt; Chinese first, as --lang=zh asked."""
    with chrome.opened(browser, real_run / "report" / "index.html", "#swap") as seen:
        page = seen.page
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert page.locator(".versus tbody tr").count() == 3
        assert "每小时张数" in page.locator(".costs").inner_text()
        assert page.locator(".duel figure.pair").count() == 4
        assert page.locator(".sight .seen").count() >= 3
        assert page.locator("#cells ~ div svg.dots").count() > 3
        page.locator(".duel a.open").first.click()
        page.keyboard.press("5")
        assert page.locator("[data-side=difference] img").is_visible()
        page.keyboard.press("Escape")
        page.evaluate("for (const one of document.images) one.loading = 'eager'")
        chrome.until(page, "[...document.images].every((one) => one.complete)")
        assert page.evaluate(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert seen.accessible() == []
        assert (seen.strangers, seen.said) == ([], [])


def test_a_real_run_in_one_file_is_the_same_page_on_a_phone(browser, real_run):
    """With thumbnails inside, and nothing beside it."""
    from swapgate.runs.folder import RunFolder

    run = RunFolder.open(real_run)
    single = reporting.build_single(real_run, run.image_path)
    run.close()
    alone = single.path.rename(real_run.parent / "alone.html")
    with chrome.opened(browser, alone, width=390) as seen:
        page = seen.page
        assert page.locator(".versus").count() == 1
        page.evaluate("for (const one of document.images) one.loading = 'eager'")
        chrome.until(page, "[...document.images].every((one) => one.complete)")
        assert page.evaluate(BROKEN) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate(WIDE) == []
        assert {url.split(":")[0] for url in seen.asked} <= {"file", "data"}
        assert len([url for url in seen.asked if url.startswith("file:")]) == 1
        assert seen.said == []

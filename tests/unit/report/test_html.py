"""The page: self-contained, escaped, linked, accessible, and complete."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from swapgate import report as reporting
from swapgate.errors import RunBroken
from swapgate.gates.verdict import Status
from swapgate.report import html, model, pictures

NOTHING = pictures.Album(pictures={}, differences={})
VOID = {"meta", "link", "img", "input"}


class Reader(HTMLParser):
    """Elements, text and nesting mistakes of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.open, self.mistakes = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def source(built):
    return (built / "report" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source):
    return Reader(source)


def test_the_page_is_well_formed_and_says_its_language(page):
    """Every element is closed where it was opened, ids are unique, there is one main heading."""
    assert page.mistakes == []
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1


def test_nothing_is_fetched_from_anywhere(page, source):
    """No frame, no script of elsewhere, no address with a scheme or host, no import in the style sheet, no request in the script."""
    used = {tag for tag, _ in page.elements}
    assert not used & {"iframe", "object", "embed", "form", "video", "audio", "base"}
    assert [attrs for attrs in page.all("script") if attrs] == [], "scripts stand in the page, allowed by their hash"
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|Worker\(|sendBeacon|import\(|EventSource", source)
    for _, attrs in page.elements:
        for key in ("src", "href", "srcset", "data", "xlink:href"):
            assert re.match(r"(#|data/|data:,|index\.zh\.html$)", attrs.get(key) or "#"), attrs
    assert not re.search(r"@import|url\(", re.sub(r"<script>.*?</script>", "", source, flags=re.DOTALL))


def test_nothing_on_the_page_can_run(page):
    """No handler and no inline style: the policy forbids both, and neither is needed."""
    assert not [attrs for _, attrs in page.elements for key in attrs if key.startswith("on") or key == "style"]


def test_the_policy_allows_own_pictures_and_this_very_style_sheet(page, source):
    """default-src 'none', and the hashes are those of the texts between the tags."""
    policy = next(attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL).group(1)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy

    def hashed(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert f"style-src {hashed(style)};" in policy
    assert f"script-src {' '.join(map(hashed, re.findall(r'<script>(.*?)</script>', source, re.DOTALL)))};" in policy


def test_hostile_prompts_are_shown_as_they_were_written(page, sample):
    """The text is all there, as text."""
    assert sample.HOSTILE in page.words
    assert "CUDA out of memory <b>while decoding</b>" in page.words
    assert not [attrs for attrs in page.all("img") if attrs.get("src") == "x"]


def said_everywhere(sample, said):
    """The elements and attribute names of a small page on which every free text is `said`."""
    facts = {
        "schema": 1,
        "run": said,
        "path": said,
        "created": said,
        "command": said,
        "planned": {"cells": 1, "images": 1},
        "measured": {"cells": 1, "images": 1},
        "outcome": {"red": True, "reason": said},
    }
    claim = sample.finding(said, Status.ERROR, effect=1.0, unit=said, reason=said)
    verdict = sample.verdict("drift", "t", Status.ERROR, said, claim, claim, next_=said)
    row = {"model": sample.MODEL, "task": "t", "language": "en", "seed": 1, "prompt": said}
    report = model.parse(
        {
            **facts,
            "verdicts": [verdict.as_json()],
            "warnings": [said],
            "policy": {said: said},
            "environment": {said: [said]},
            "models": [{"id": sample.MODEL, "title": said, "baseline": said, "versions": {said: said}, "faults": [said], "device_name": said}],
            "suspects": [{"model": said, "what": said, "baseline": said, "candidate": said}],
            "tasks": [{"id": "t", "title": {"en": said, "zh": said}}],
            "images": [{**row, "original": said + "!", "edits": said, "failed": [said], "failure": said}],
            "wording": [{**row, "prompt": "", "reworded": "", "edits": said, "kinds": [said]}],
        }
    )
    page = Reader(html.render(report, NOTHING))
    assert page.mistakes == []
    return [tag for tag, _ in page.elements], {key for _, attrs in page.elements for key in attrs}


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'`={}%/\nxscriptonimg日"), min_size=1, max_size=60).map(lambda text: f"x{text}x"))
@example('x"><script>alert(1)</script>x')
@example("x{{ 7 * 7 }}{% raw %}x")
def test_no_text_of_a_run_becomes_markup(sample, text):
    """The same elements with the same attributes, whatever prompts, reasons, names and versions say."""
    assert said_everywhere(sample, text) == said_everywhere(sample, "word")


def test_every_link_on_the_page_leads_somewhere(page, built):
    """Fragments exist, and so do the files."""
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    for attrs in page.all("a"):
        target = attrs["href"]
        assert target[1:] in ids if target.startswith("#") else (built / "report" / target).is_file(), target


def test_every_cell_of_the_table_links_to_its_details(page, report):
    """#cell-gate-model-task, as others may write it into a message."""
    links = {attrs["href"] for attrs in page.all("a") if attrs.get("class", "").startswith("heatcell")}
    assert links == {f"#cell-{verdict.gate}-{verdict.model}-{verdict.task}" for verdict in report.verdicts}


def test_the_answer_the_counts_and_the_measure_stand_on_top(source):
    """Before any navigation: may I upgrade, yes or no."""
    top = Reader(source[source.index("<header") : source.index("<nav")]).words
    assert "Do not upgrade: latency +18.3 % [14.9, 21.6] over all tasks together; usability −37.5 points [−60.2, −31] in 1 of 2 tasks" in top
    assert "1 cell could not be measured" in top
    assert "14 of 17 cells measured, 9 decided; 24 of 26 images" in top
    for status in set(Status) - {Status.NOT_APPLICABLE}:  # the sample has a verdict of every other kind
        assert status.value in top


def test_every_fact_of_every_cell_is_on_the_page(page, report):
    """Reason, next command and the words of each verdict."""
    for verdict in report.verdicts:
        assert " ".join(verdict.reason.split()) in page.words
        assert verdict.next in page.words
    for suspect in report.suspects:
        assert suspect.what in page.words
        assert (suspect.baseline or "—") in page.words


def test_pictures_are_lazy_sized_described_and_on_disk(page, built):
    """Every img has width, height, alt and a file; nothing is loaded before it is scrolled to."""
    shots = page.all("img")
    assert len(shots) > 40
    for attrs in shots:
        assert attrs["loading"] == "lazy"
        assert attrs["alt"].strip()
        assert int(attrs["width"]) > 0
        assert int(attrs["height"]) > 0
        assert (built / "report" / attrs["src"]).stat().st_size > 0
    used = {attrs["src"].removeprefix("data/") for attrs in shots}
    assert used == {path.name for path in (built / "report" / "data").iterdir()}, "every file in data/ is shown"


def test_what_is_missing_is_said(page):
    """No baseline, no candidate, gone from the disk, of another size: each in words."""
    for said in ("picture deaddead not found", "no picture", "out-of-memory in stage decode", "sizes differ: 64 × 64 and 96 × 96", "same pixels"):
        assert said in page.words
    assert "1 picture is in neither the run nor the baseline store" in page.words


def test_charts_say_in_words_what_they_show(page):
    """Every drawing has a role and a label for those who cannot see it."""
    drawings = [attrs for attrs in page.all("svg") if "preserveaspectratio" not in attrs or "role" in attrs]  # those inside a drawing are parts of it
    assert len(drawings) > 15
    assert all(attrs.get("role") == "img" and attrs.get("aria-label", "").strip() for attrs in drawings)


def test_chinese_text_is_marked_as_chinese(page):
    """A browser picks glyphs and line breaks by it."""
    assert sum(attrs.get("lang") == "zh-Hans" for _, attrs in page.elements) >= 6


def test_a_comparison_says_who_is_better_at_what(data):
    """With --against the table names the models, and there are no suspects."""
    row = {
        "gate": "latency",
        "task": "all",
        "model": "standin-qwen",
        "claim": "total",
        "a": 0.5,
        "b": 0.4,
        "effect": -20.0,
        "low": -23.0,
        "high": -17.0,
        "unit": "%",
        "n": 24,
    }
    data.update(
        against="standin-flux", comparison=[{**row, "better": "b"}, {**row, "better": "a"}, {**row, "better": "same"}, {**row, "better": "unclear"}]
    )
    words = Reader(html.render(model.parse(data), NOTHING)).words
    assert "Who is better at what" in words
    assert "Do not replace standin-flux" in words
    assert "−20\u202f%" in words.replace(" %", "\u202f%") or "−20 %" in words
    assert "Changed since the baseline" not in words


def test_planted_faults_are_announced_on_top(data):
    """A drill must not be taken for a real regression."""
    data["models"][0]["faults"] = ["no-guidance"]
    source = html.render(model.parse(data), NOTHING)
    assert "planted faults (a drill): no-guidance" in source[: source.index("<nav")]


def test_warnings_stand_on_top(data):
    """Device memory that was not given back may explain what the cells say."""
    data["warnings"] = ["m: DEVICE_MEMORY_NOT_BACK: 512 MiB"]
    source = html.render(model.parse(data), NOTHING)
    assert "m: DEVICE_MEMORY_NOT_BACK: 512 MiB" in source[: source.index("<nav")]


def test_a_run_with_nothing_in_it_is_a_page_too():
    """Interrupted before the first image: not decided, and said so."""
    report = model.parse(
        {
            "schema": 1,
            "run": "r",
            "planned": {"cells": 3, "images": 9},
            "measured": {"cells": 0, "images": 0},
            "outcome": {"red": True, "reason": "no cell was judged"},
        }
    )
    page = Reader(html.render(report, NOTHING))
    assert "Not decided: no cell was judged" in page.words
    assert "0 of 3 cells measured" in page.words
    assert page.mistakes == []


def test_half_a_character_does_not_cost_the_page(data, tmp_path):
    """JSON can escape a lone surrogate, UTF-8 cannot hold it."""
    data.update(images=[], wording=[], command="\ud800 pytest")
    (tmp_path / "verdicts.json").write_text(json.dumps(data), encoding="utf-8")
    assert "? pytest" in reporting.build(tmp_path, lambda _: None).read_text(encoding="utf-8")


def test_building_twice_gives_the_same_page(sample, tmp_path):
    """A replay can be compared by bytes."""
    shelf = sample.make(tmp_path)
    first = reporting.build(tmp_path, shelf).read_bytes()
    assert reporting.build(tmp_path, shelf).read_bytes() == first
    assert reporting.build(tmp_path, shelf) == tmp_path / "report" / "index.html"


def test_a_folder_that_was_not_judged_gets_no_report(tmp_path):
    """The error comes before anything is written."""
    with pytest.raises(RunBroken):
        reporting.build(tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_each_of_240_images_is_read_twice_at_most(sample, tmp_path, monkeypatch):
    """Once for the page, once for what differs: that is what a report's time goes into; its seconds are a benchmark's to say."""
    shelf = sample.Shelf(tmp_path / "images")
    data = sample.data(shelf)
    made = [
        {**data["images"][0], "seed": n, "baseline": shelf.add(sample.scene(n, "a")), "candidate": shelf.add(sample.scene(n, "a", shift=3))}
        for n in range(120)
    ]
    (tmp_path / "verdicts.json").write_text(sample.dumps({**data, "images": made}), encoding="utf-8")
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda file, **given: opened.append(file) or real(file, **given))
    reporting.build(tmp_path, shelf)
    assert max(Counter(opened).values()) == 2
    assert len(set(opened)) >= 240


def test_importing_the_views_loads_nothing_heavy():
    """Terminal and JUnit are used in every run, and a page needs no torch."""
    code = "import sys, swapgate.report, swapgate.report.html, swapgate.report.terminal; print([m for m in ('torch','scipy','skimage') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def colours(block):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def contrast(one, other):
    """WCAG 2 contrast ratio of two #rrggbb colours."""

    def light(colour):
        channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(source, scheme):
    """WCAG AA, 4.5 to 1: ink, muted text and links on every ground, each status on its tint and on a card."""
    light, dark = re.findall(r":root \{(.*?)\}", source, re.DOTALL)[:2]
    palette = {**colours(light), **(colours(dark) if scheme == "dark" else {})}
    pairs = [(text, ground) for text in ("ink", "muted", "accent") for ground in ("bg", "surface", "sunken")]
    for status in Status:
        name = status.value.lower().replace("_", "-")
        pairs += [(name, f"{name}-t"), (name, "surface"), ("ink", f"{name}-t")]
    poor = {pair: round(contrast(palette[pair[0]], palette[pair[1]]), 2) for pair in pairs if contrast(palette[pair[0]], palette[pair[1]]) < 4.5}
    assert not poor

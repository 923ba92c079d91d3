"""The page in both languages, in one file, and in many: the same facts, and links that lead where they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urldefrag

import pytest

from swapgate import report as reporting
from swapgate.report import gallery, html, model, pictures
from swapgate.report.words import words


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    sample.make(path)
    return path


def shelf(sample, run):
    return sample.Shelf(run / "images")


def text(path):
    return path.read_text(encoding="utf-8")


def links(path):
    """Files and fragments that a page of the report links to, as (file, fragment)."""
    found = re.findall(r'(?:href|src)="([^"]*)"', re.sub(r"<script>.*?</script>", "", text(path), flags=re.DOTALL))
    for target in found:
        if not target.startswith("data:"):
            file, fragment = urldefrag(target)
            yield (path.parent / file).resolve() if file else path, fragment


def test_both_languages_are_written_and_link_to_each_other(sample, run):
    """index.html is the one asked for; the other is beside it, and an older one is not left behind."""
    page = reporting.build(run, shelf(sample, run))
    assert {path.name for path in page.parent.glob("*.html")} == {"index.html", "index.zh.html"}
    assert '<html lang="en">' in text(page)
    assert 'href="index.zh.html" hreflang="zh-Hans"' in text(page)
    chinese = reporting.build(run, shelf(sample, run), lang="zh")
    assert chinese == page
    assert {path.name for path in page.parent.glob("*.html")} == {"index.html", "index.en.html"}
    assert '<html lang="zh-Hans">' in text(chinese)
    assert 'href="index.en.html" hreflang="en"' in text(chinese)
    assert "不要升级：" in re.sub(r"<[^>]*>", "", text(chinese))


def test_the_chinese_page_marks_what_is_english(sample, run):
    """Reasons that gates compose stay as they were said, marked for a screen reader, below what their figures say."""
    page = text(reporting.build(run, shelf(sample, run), lang="zh"))
    assert "总耗时差于限值" in page
    assert '<p class="own wrap" lang="en">total is 18.3 % slower' in page
    for phrase in ("What broke", "Details, worst first", "Side by side", "smallest edit", "no longer usable"):
        assert phrase not in page


def test_every_figure_stands_on_both_pages(sample, run):
    """Numbers are the same in every language."""
    album = pictures.Album(pictures={}, differences={})
    report = model.load(run)

    def figures(lang):
        page = html.render(report, album, (), words(lang))
        return sorted(re.findall(r"[−+]?\d+(?:\.\d+)?", re.sub(r"<(script|style)>.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)))

    english, chinese = set(figures("en")), set(figures("zh"))
    assert english - chinese == set()


def test_a_single_file_needs_nothing_beside_it(sample, run):
    """No link to a file, pictures inside, all of them on it however many, and no warning for a small one."""
    single = reporting.build_single(run, shelf(sample, run))
    assert single.path == run / "report.html"
    assert single.size == single.path.stat().st_size
    assert single.warning == ""
    assert {file for file, _ in links(single.path)} == {single.path}
    assert text(single.path).count("data:image/webp;base64,") > 40
    assert 'class="switch"' not in text(single.path)
    assert '<html lang="zh-Hans">' in text(reporting.build_single(run, shelf(sample, run), lang="zh").path)


def test_a_file_too_large_to_send_is_warned_of(sample, run, monkeypatch):
    """With its size, the limit and what to do instead."""
    monkeypatch.setattr(html, "WARN_BYTES", 2**20 // 4)
    warning = reporting.build_single(run, shelf(sample, run)).warning
    assert "above" in warning
    assert "send the folder report/ instead" in warning


@pytest.fixture
def split(sample, tmp_path, monkeypatch):
    """The report of a run with more requests than stand on one page."""
    monkeypatch.setattr(gallery, "ONE_PAGE", 10)
    return reporting.build(tmp_path, sample.make(tmp_path)), tmp_path


def test_a_large_run_has_a_page_for_every_task(split, sample):
    """Beside its pictures, in both languages, with a way back; every link leads to a file and a place in it."""
    page, run = split
    apart = sorted(path.name for path in (page.parent / "data").glob("page-*.html"))
    assert len(apart) == 6
    assert {name.split(".")[1] for name in apart} == {"en", "zh"}
    for path in (page, *((page.parent / "data") / name for name in apart)):
        for file, fragment in links(path):
            assert file.is_file(), (path.name, file)
            if fragment:
                assert f'id="{fragment}"' in text(file), (path.name, file.name, fragment)
    assert text(page).count('class="pair') < 30, "only what shows a verdict stands on the first page"
    reporting.build(run, shelf(sample, run))
    assert sorted(path.name for path in (page.parent / "data").glob("page-*.html")) == apart


def test_pages_that_are_no_longer_made_go(split, sample, monkeypatch):
    """A later build of fewer requests leaves none of them."""
    page, run = split
    monkeypatch.setattr(gallery, "ONE_PAGE", 400)
    reporting.build(run, shelf(sample, run))
    assert list((page.parent / "data").glob("page-*.html")) == []


def test_what_the_run_could_have_seen_stands_beside_the_answer(data):
    """The smallest change of each gate, and the budget of false alarms; a gate that could see nothing says so."""
    data["sight"] = [
        {"model": "standin-qwen", "gate": "latency", "claim": "total", "smallest": 8.1, "limit": 5.0, "unit": "%", "n": 24, "why": ""},
        {"model": "standin-qwen", "gate": "drift", "claim": "", "smallest": None, "limit": None, "unit": "", "n": 0, "why": "no repeats"},
    ]
    page = html.render(model.parse(data), pictures.Album(pictures={}, differences={}))
    top = " ".join(re.sub(r"<[^>]*>", "", page[page.index("<header") : page.index("<nav")]).replace("\u202f", " ").split())
    assert "could have seen (95 % chance): latency 8.1 % drift none" in top
    assert "with a chance of at most 1 %" in top


def test_the_baseline_that_was_chosen_says_why(data):
    """For how many tasks, and why time and memory had none."""
    data["models"][0].update(chosen={"accepted for this cohort": 2, "quality is held against the one for any hardware": 1}, no_cost="no cost figures")
    page = html.render(model.parse(data), pictures.Album(pictures={}, differences={}))
    words_ = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "accepted for this cohort (2 tasks)" in words_
    assert "any hardware (1 task)" in words_
    assert "Time and memory: no cost figures" in words_


def test_past_runs_are_drawn_where_the_project_has_some(sample, data, tmp_path):
    """A line a gate, with a table for those who cannot see it."""
    for day in (1, 2):
        folder = tmp_path / f"run{day}"
        folder.mkdir()
        copy = {**data, "images": [], "wording": [], "run": f"run{day}", "created": f"2026-10-0{day}"}
        (folder / "verdicts.json").write_text(json.dumps(copy), encoding="utf-8")
    page = text(reporting.build(tmp_path / "run2", lambda _: None, runs=tmp_path))
    assert 'id="history"' in page
    assert page.count('class="line"') == 4, "one for each gate whose pooled cell has a figure of its own"
    assert 'id="history"' not in text(reporting.build(tmp_path / "run2", lambda _: None))

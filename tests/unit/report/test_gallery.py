"""Every request stands once among the pictures, with its prompt in all languages and what was reworded; large runs get a page for each task."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.report import gallery, model, pictures, view

NOTHING = pictures.Album(pictures={}, differences={})


@pytest.fixture
def page(report):
    return view.page(report, NOTHING)


def test_every_request_is_in_the_gallery_of_its_task_once(page, report):
    """Seeds in order, one strip a prompt, and only galleries that need a look are open."""
    shown = [pair.row for one in page.galleries for seeds in one.seeds for pair in seeds.pairs]
    assert sorted(map(repr, shown)) == sorted(map(repr, report.images))
    for one in page.galleries:
        for seeds in one.seeds:
            assert [pair.row.seed for pair in seeds.pairs] == [1, 2, 3, 4]
    assert {one.task: one.open for one in page.galleries} == {"orange-cat": True, "white-cup": False, "butterfly": True}
    assert {one.task: one.lost for one in page.galleries} == {"orange-cat": 3, "white-cup": 0, "butterfly": 0}


def test_rewordings_stand_after_the_prompt_as_written(data):
    """Edits make strips of their own below the original's."""
    data["images"].insert(0, {**data["images"][0], "edits": "synonym", "prompt": "other words"})
    one = view.page(model.parse(data), NOTHING).galleries[0]
    assert [seeds.edits for seeds in one.seeds] == ["", "", "synonym"]
    assert one.seeds[-1].original != one.seeds[-1].prompt


prompts = st.text(alphabet="ab c一只猫，。.<>&\n", max_size=30)


@given(prompts, prompts)
@example("a red cup", "a blue cup")
@example("一只橘猫坐在窗台", "一只橙色的猫坐在窗台")
def test_marks_give_back_both_prompts(before, after):
    """Nothing of either wording is lost: same and gone make the old one, same and come the new one."""
    marks = gallery.word_marks(before, after)
    assert "".join(text for kind, text in marks if kind != "come") == before
    assert "".join(text for kind, text in marks if kind != "gone") == after


def test_marks_follow_words_in_english_and_characters_in_chinese():
    """A changed word is marked whole; a changed character alone."""
    assert gallery.word_marks("a red cup", "a blue cup") == (("same", "a "), ("gone", "red"), ("come", "blue"), ("same", " cup"))
    assert gallery.word_marks("橘猫坐着", "白猫坐着") == (("gone", "橘"), ("come", "白"), ("same", "猫坐着"))


def test_a_prompt_is_shown_in_its_other_languages_too(page):
    """Who reads one of the two languages can still judge the picture."""
    seeds = page.galleries[0].seeds[0]
    assert seeds.language == "en"
    assert seeds.others == {"zh": "一只橘猫坐在窗台，窗外有梧桐树和阳光，风格：水彩"}


def test_a_reworded_prompt_is_marked_against_the_prompt_as_written(data):
    """What went and what came, in the strip itself."""
    data["images"].insert(0, {**data["images"][0], "edits": "synonym", "prompt": data["images"][0]["original"].replace("orange", "ginger")})
    seeds = view.page(model.parse(data), NOTHING).galleries[0].seeds[-1]
    assert ("gone", "orange") in seeds.marks
    assert ("come", "ginger") in seeds.marks


def test_a_run_of_many_requests_has_a_page_for_every_model_and_task(data, monkeypatch):
    """The first page links to them; a page's name follows from what is on it, and a single file holds everything."""
    monkeypatch.setattr(gallery, "ONE_PAGE", 10)
    report = model.parse(data)
    page = view.page(report, NOTHING)
    assert len({one.page for one in page.galleries}) == 3
    assert all(one.href == f"data/{one.page}.en.html" for one in page.galleries)
    pair = page.galleries[0].seeds[0].pairs[0]
    assert pair.href == f"data/{page.galleries[0].page}.en.html#{pair.anchor}"
    data["images"][0]["candidate"] = "ab" * 32
    assert gallery.pages(model.parse(data), one_page=False) != gallery.pages(report, one_page=False)
    assert {one.page for one in view.page(report, NOTHING, one_page=True).galleries} == {""}


def test_anchors_of_requests_are_theirs_alone(report):
    """A permalink leads to one pair, also among rewordings of the same seed."""
    row = report.images[0]
    names = [gallery.pair_anchor(one) for one in report.images]
    assert len(set(names)) == len(names)
    assert len({gallery.pair_anchor(replace(row, edits=edits)) for edits in ("", "order", "synonym")}) == 3

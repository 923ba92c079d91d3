"""Every class of edits, on any text: what it keeps is kept, it can be taken back, and it leaves valid text.

`HYPOTHESIS_PROFILE=long` asks 10,000 examples of each class.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from swapgate.tasks import read_tasks
from swapgate.wording import INNOCENCE, NOISE, ON_REQUEST, AppliedEdit, Edit, Kind, inverse, load, quoted, reworded
from swapgate.wording.edits import MOST_PLACES, Change, substitute
from swapgate.wording.preserve import KEEPS, clash, heap, letters, numbers, sides
from swapgate.wording.script import simplified
from swapgate.wording.whole import translation_edits

ROOT = Path(__file__).parents[3]
TASKS = read_tasks(ROOT / "fixtures" / "tasks")
PROMPTS = {language: [task.prompts[language] for task in TASKS.values() if language in task.prompts] for language in ("en", "zh")}
BOOK = load(ROOT / "fixtures" / "wording").translated({"en": PROMPTS["en"][0], "zh": PROMPTS["zh"][0]})
PIECES = {
    "en": (
        "A large red cup", "two small blue cats", "on the left", "to the left of a book", "3 flowers", "seven", "film grain", "watercolour", ", ", ". ", " ",
        ", and ", " (on a wooden table)", "the words 'ON SALE'", '"two cups"', "café", "cafe\u0301", "a woman's hat", "the", "an", "4K", "ﬁne ½ ²", "one box",
    ),
    "zh": (
        "两只小小的红色的杯子", "一位年轻的女子", "4个字", "四个字", "在画面左侧", "左边的猫", "，", "。", "、", "：", "；", "（木桌）", "‘夏日限定’", "“两只猫，4K。”",
        "一个杯子", "兩隻貓", "Pro 400H 扫描", "胶片Pro", "３朵花", "ＡＢ", "阳光窗边", "橘色", "café", "窗台", " ", ",", "十二只", "ﬁ½②",
    ),
}  # fmt: skip
ANYTHING = st.text(max_size=4)
EDITS = [(language, edit) for language in ("en", "zh") for edit in BOOK.edits[language]]
ROOMS = {language: {text: [(edit, len(edit.changes(text))) for edit in BOOK.edits[language]] for text in PROMPTS[language]} for language in PROMPTS}


NOUNS = ("女子", "杯子", "书", "叶子", "台灯", "鱼", "花", "房子", "帆船", "海报")
SEEDS = {
    "en": (*PIECES["en"], "a cup, film grain, watercolour", "a cup, and a cat", "a cup (film grain)", "large flowers", "cafe\u0301", "A cup"),
    "zh": (*PIECES["zh"], "猫，柔焦，水彩", "猫（柔焦）", "猫。", "猫：4 只，", "（猫）", "A，猫", "4K", "猫 4K", "4个", "红色的猫", "e\u0301"),
}  # fmt: skip


def _seed(language: str, edit: Edit) -> str:
    """A text that the edit applies to, for its own words to come up often enough."""
    word = edit.id.partition("→")[0]
    tried = (word, *SEEDS[language], *(f"两{word}{noun}" for noun in NOUNS))
    return next((text for text in tried if edit.changes(text)), word)


SEED_OF = {(language, edit): _seed(language, edit) for language, edit in EDITS}


def _texts(language: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.one_of(st.sampled_from(PIECES[language]), ANYTHING), min_size=1, max_size=6)


TEXTS = {language: _texts(language) for language in PROMPTS}
ANY_EDIT = {kind: st.sampled_from([one for one in EDITS if one[1].kind is kind]) for kind in Kind}
AS_WRITTEN = {language: st.sampled_from(PROMPTS[language]) for language in PROMPTS}


@st.composite
def applied(draw: st.DrawFn, kind: Kind) -> tuple[str, str, Edit, int]:
    """(language, text, edit, place) of an edit of that class in a text made for it: its own words, prompts, and anything at all."""
    language, edit = draw(ANY_EDIT[kind])
    if kind is Kind.LANGUAGE:  # the translation of any text by any other: two prompts of the tasks alone are two examples
        other = "zh" if language == "en" else "en"
        text, theirs = ("".join(draw(TEXTS[one])) for one in (language, other))
        (edit,) = translation_edits({language: text, other: theirs})[language]
    elif draw(st.integers(0, 3)):
        pieces = draw(TEXTS[language])
        pieces.insert(draw(st.integers(0, len(pieces))), SEED_OF[language, edit])
        text = (" " if language == "en" else "").join(pieces)
    else:
        text = draw(AS_WRITTEN[language])
    places = len(edit.changes(text))
    assume(places)
    return language, text, edit, draw(st.integers(0, places - 1))


def read(reading: object, text: str) -> object:
    return reading(text)  # type: ignore[operator]


@pytest.mark.parametrize("kind", list(Kind))
@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_edit_keeps_what_its_class_keeps_and_can_be_taken_back(kind: Kind, data: st.DataObject) -> None:
    """Quotations, numbers, sides or letters, whatever stands around them; another text, never empty, valid Unicode, the same each time."""
    language, text, edit, place = data.draw(applied(kind))
    change = edit.changes(text)[place]
    new = edit.apply(text, place)
    assert new is not None
    assert new == substitute(text, (change,)) == edit.apply(text, place)
    assert new != text
    assert new.strip()
    new.encode("utf-8")
    for reading in KEEPS[kind]:
        assert read(reading, new) == read(reading, text), reading.__name__
    assert substitute(new, (inverse(text, change),)) == text
    label = reworded(text, language, [AppliedEdit(edit=edit, place=place)]).labels
    assert [str(BOOK.parse(one, language)) for one in label] == list(label)


@settings(suppress_health_check=list(HealthCheck))
@given(st.sampled_from(EDITS), st.data())
def test_the_places_of_an_edit_are_all_that_leave_quotations_alone(one: tuple[str, Edit], data: st.DataObject) -> None:
    """By reading the text anew for each; what is known without that must say the same. The leftmost, where there are very many."""
    language, edit = one
    text = (" " if language == "en" else "").join([SEED_OF[one], *data.draw(TEXTS[language])])
    made = [(change, substitute(text, (change,))) for change in edit.find(text)]
    assert list(edit.changes(text)) == [change for change, new in made if new != text and new.strip() and quoted(new) == quoted(text)][:MOST_PLACES]


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_synonym_never_names_another_number_or_side(data: st.DataObject) -> None:
    """What is taken out and what is put in."""
    _, text, edit, place = data.draw(applied(Kind.SYNONYM))
    for start, end, new in edit.changes(text)[place].pieces:
        assert clash(text[start:end], new) == ""


@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_another_script_is_the_same_text(data: st.DataObject) -> None:
    """Both ways: by the table, old and new are one."""
    _, text, edit, place = data.draw(applied(Kind.SCRIPT))
    new = edit.apply(text, place)
    assert new is not None
    assert simplified(new) == simplified(text)


@pytest.mark.parametrize("kind", [Kind.WRAPPER, Kind.SUFFIX])
@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_stands_around_a_prompt_leaves_its_body(kind: Kind, data: st.DataObject) -> None:
    """All but the capital at its beginning and the full stop at its end."""
    _, text, edit, place = data.draw(applied(kind))
    new = edit.apply(text, place)
    assert new is not None
    body = text[1:-1] if text[-1] in ".。" else text[1:]
    assert body in new


@settings(suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(PROMPTS)), st.data())
def test_several_edits_of_any_classes_leave_quotations_and_valid_text(language: str, data: st.DataObject) -> None:
    """Five at once, noise and translation among them."""
    text = data.draw(st.sampled_from(PROMPTS[language]))
    chosen = data.draw(st.lists(st.sampled_from([room for room in ROOMS[language][text] if room[1]]), max_size=5))
    edits = [AppliedEdit(edit=edit, place=data.draw(st.integers(0, places - 1))) for edit, places in chosen]
    got = reworded(text, language, edits)
    assert quoted(got.text) == quoted(text)
    assert got.text.strip()
    got.text.encode("utf-8")
    assert reworded(text, language, [BOOK.parse(label, language) for label in got.labels]) == got


def test_every_class_says_what_it_keeps_and_never_less_than_quotations() -> None:
    """A class that is not in the table would be held against nothing."""
    assert set(KEEPS) == set(Kind) == set(INNOCENCE)
    assert all(quoted in readings for readings in KEEPS.values())
    assert NOISE < ON_REQUEST
    assert [kind for kind in Kind if kind in NOISE] == list(INNOCENCE[-2:])


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("two", "a pair of", ""), ("two", "three", "the same number"), ("两只", "2只", ""), ("两只", "三只", "the same number"),
        ("on the left", "to the left of the picture", ""), ("on the left", "on the right", "the same side"), ("在左边", "在右边", "the same side"),
        ("窗台", "窗台上", ""), ("at the top", "in the upper part", ""),
    ],
)  # fmt: skip
def test_words_that_clash(one: str, other: str, said: str) -> None:
    """A side may be left out, never exchanged."""
    assert clash(one, other) == said


def test_what_is_read_off_a_text() -> None:
    """Numbers in digits and words, sides in order, letters without their dress; nothing of quotations but of letters."""
    assert numbers("two cats, 12 dogs, one box, 'three'") == (2, 12)
    assert numbers("两只猫，四个字，３朵花“五”") == (2, 3, 4)
    assert sides("left of the box, above it") == ("left", "above")
    assert letters("Ａ cup, (red)。") == letters("a cup red") == "acupred"
    assert heap("ab") == heap("BA") != heap("aab")


@given(st.text(max_size=20), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.text(max_size=3)), max_size=4))
def test_any_change_can_be_taken_back(text: str, wanted: list[tuple[int, int, str]]) -> None:
    """Inserting, deleting and replacing, several pieces at once."""
    pieces: list[tuple[int, int, str]] = []
    for start, length, new in sorted(wanted):
        if start + length <= len(text) and (not pieces or start > pieces[-1][1]):
            pieces.append((start, start + length, new))
    change = Change(pieces=tuple(pieces))
    assert substitute(substitute(text, (change,)), (inverse(text, change),)) == text

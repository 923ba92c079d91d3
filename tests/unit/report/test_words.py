"""One catalogue a language: the same keys, the same places to fill in, and every phrase that a template asks for."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from swapgate.gates.verdict import GATES, Status
from swapgate.report.words import LANGUAGES, words

EN, ZH = words("en"), words("zh")


def test_both_languages_have_the_same_phrases():
    """A page in one language never falls back on the other."""
    assert set(EN.table) == set(ZH.table)
    assert all(text.strip() for lang in LANGUAGES for text in words(lang).table.values())


def test_a_phrase_has_the_same_places_in_both_languages():
    """A figure that one language shows is shown in the other, too."""
    places = {key: [set(re.findall(r"{(\w+)}", said.table[key])) for said in (EN, ZH)] for key in EN.table}
    assert {key: found for key, found in places.items() if found[0] != found[1]} == {}


def test_chinese_is_chinese():
    """Every phrase but signs, units and names of metrics holds a Chinese character."""
    plain = {key for key, text in ZH.table.items() if not re.search(r"[\u4e00-\u9fff]", text)}
    names = {"claim.ssim", "claim.psnr", "claim.clip", "suspect.python", "unit.seed sd", "stage.place", "pictures.index"}
    punctuation = {key for key in plain if key.startswith(("answer.", "chart.", "number."))}
    assert plain - punctuation - names == set()


def test_one_thing_is_told_as_one():
    """The phrase for a single thing is taken where n is 1."""
    assert (EN("answer.cells", n=1), EN("answer.cells", n=2)) == ("1 cell", "2 cells")
    assert EN.other is ZH
    assert ZH.other is EN
    assert (EN.tag, ZH.tag) == ("en", "zh-Hans")


def test_a_name_without_a_word_stands_as_it_is():
    """A gate or claim of somebody's own is shown by its name; a phrase that is not there is a mistake."""
    assert ZH.name("claim", "furlong ceiling") == "furlong ceiling"
    with pytest.raises(KeyError):
        ZH("answer.weather")
    with pytest.raises(KeyError):
        words("fr")


def test_every_phrase_that_a_template_asks_for_is_there():
    """Keys that a template makes up from a value are looked at by their beginning."""
    asked = set()
    for path in files("swapgate.report").joinpath("templates").iterdir():
        if path.name.endswith(".j2"):
            asked |= set(re.findall(r"""\bt(?:\.other)?\("([a-z_]+\.[a-z_]*)\"""", path.read_text(encoding="utf-8")))
    assert len(asked) > 100
    for key in asked:
        assert key in EN.table or any(known.startswith(key) for known in EN.table), key


def test_verdicts_and_gates_have_their_words():
    """Status, its meaning, how it is counted; gates with their question and what worse means."""
    for status in Status:
        assert all(f"{group}.{status}" in EN.table for group in ("status", "meaning", "counted", "said"))
    for gate in GATES:
        assert all(f"{group}.{gate}" in EN.table for group in ("gate", "question", "worse"))


def test_every_claim_that_a_gate_makes_has_a_chinese_name():
    """Read from the gates' own source: a new claim without a word would stand in English among Chinese."""
    folder = files("swapgate.gates")
    made = set()
    for path in folder.iterdir():
        if path.name.endswith(".py"):
            made |= set(re.findall(r'\bclaim\(\s*"([a-z][a-z :]*)"', path.read_text(encoding="utf-8")))
    assert len(made) > 12
    assert {name for name in made if f"claim.{name}" not in ZH.table} == set()

"""Captions: many wordings that mean one picture, in two languages, and edits of a single attribute."""

from __future__ import annotations

import re
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.standins import captions_en, captions_zh
from swapgate.standins.captions import LANGUAGES, Language, alternatives, caption, counterfactual, describe
from swapgate.standins.scene import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    DEFAULTS,
    FINISHES,
    OBJECTS,
    VALUES,
    Scene,
    decode,
    encode,
    is_valid,
    layouts,
    sample_codes,
)

PLAIN = Scene(object="cup", colour="red", background="table")
FULL = Scene(object="fish", colour="blue", background="night", position="left", size="small", count=3, finish="grain")


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Any scene that fits."""
    position, size, count = draw(st.sampled_from(layouts()))
    return Scene(
        object=draw(st.sampled_from(OBJECTS)),
        colour=draw(st.sampled_from(COLOURS)),
        background=draw(st.sampled_from(BACKGROUNDS)),
        position=str(VALUES["position"][position]),
        size=str(VALUES["size"][size]),
        count=int(VALUES["count"][count]),
        finish=draw(st.sampled_from(FINISHES)),
    )


def _spellings(scene: Scene, attribute: str, language: Language) -> tuple[str, ...]:
    """Every way the language has to say the attribute of the scene."""
    module = captions_en if language == "en" else captions_zh
    if attribute == "object":
        nouns = module.NOUNS[scene.object]
        return tuple(n[scene.count > 1] for n in nouns) if language == "en" else tuple(n[0] for n in nouns)
    words = module.WORDS[attribute][getattr(scene, attribute)]
    if attribute == "background" and language == "zh":
        return (*words, *captions_zh.BARE[scene.background])
    if attribute == "count" and language == "zh":
        return tuple(w + m for w in words for _, m in captions_zh.NOUNS[scene.object])
    return words


def _says(text: str, scene: Scene, attribute: str, language: Language) -> bool:
    return any(word.lower() in text.lower() for word in _spellings(scene, attribute, language))


@pytest.mark.parametrize(
    ("scene", "language", "text"),
    [
        (PLAIN, "en", "A red cup on a wooden table."),
        (PLAIN, "zh", "一只红色的杯子在木桌上。"),
        (FULL, "en", "Three small blue fish under a starry night sky, on the left, film grain."),
        (FULL, "zh", "三条小小的蓝色的鱼在星空下，在画面左侧，胶片颗粒。"),
        (Scene(object="umbrella", colour="orange", background="studio", count=2), "en",
         "Two orange umbrellas in front of a studio backdrop."),
        (Scene(object="person", colour="green", background="window", size="large"), "zh",
         "一个大大的穿绿色衣服的女子在阳光窗边。"),
    ],
)  # fmt: skip
def test_the_canonical_wording(scene: Scene, language: Language, text: str) -> None:
    """Without chance a caption names what is not the default, in one fixed wording."""
    assert caption(scene, language) == text


@given(scenes(), st.sampled_from(LANGUAGES))
def test_the_canonical_wording_never_varies(scene: Scene, language: Language) -> None:
    """Same scene, same words; the suffix only on demand."""
    text = caption(scene, language)
    assert text == caption(scene, language)
    assert caption(scene, language, suffix=True) != text
    assert caption(scene, language, suffix=False) == text


@settings(max_examples=300)
@given(scenes(), st.sampled_from(LANGUAGES), st.integers(0, 2**32), st.booleans())
def test_everything_that_is_not_the_default_is_said(scene: Scene, language: Language, seed: int, narrow: bool) -> None:
    """Whatever the wording: object, colour, background and each attribute off its default."""
    text = caption(scene, language, Random(seed), narrow=narrow)
    for attribute in ATTRIBUTES:
        if attribute not in DEFAULTS or getattr(scene, attribute) != DEFAULTS[attribute]:
            assert _says(text, scene, attribute, language), (attribute, text)


@settings(max_examples=300)
@given(scenes(), st.sampled_from(LANGUAGES), st.integers(0, 2**32))
def test_no_other_place_size_or_finish_is_said(scene: Scene, language: Language, seed: int) -> None:
    """A caption never names a value that the scene does not have."""
    text = caption(scene, language, Random(seed), suffix=False)
    module = captions_en if language == "en" else captions_zh
    for attribute in ("position", "size", "finish", "background"):
        for value in VALUES[attribute]:
            if value == getattr(scene, attribute):
                continue
            for word in module.WORDS[attribute][value]:
                bound = rf"\b{re.escape(word)}\b" if language == "en" else re.escape(word)
                assert not re.search(bound, text, re.IGNORECASE), (word, text)


@given(scenes(), st.sampled_from(LANGUAGES), st.integers(0, 2**32))
def test_captions_are_tidy(scene: Scene, language: Language, seed: int) -> None:
    """No doubled or dangling separators, no double blanks, no unfilled place-holders."""
    text = caption(scene, language, Random(seed))
    assert text == text.strip()
    assert not re.search(r"[{}]|  |[,，;|、]{2}|[,，;|][.。]$|^[,，;| ]|。。|\.\.", text)
    assert re.search(r"[\u4e00-\u9fff]", text) if language == "zh" else text.isascii()


def test_the_same_chance_gives_the_same_wording() -> None:
    """Captions are repeatable from a seed."""
    for language in LANGUAGES:
        first = [caption(FULL, language, Random(4)) for _ in range(3)]
        assert len(set(first)) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_many_wordings_but_few_narrow_ones(language: Language) -> None:
    """Hundreds of wordings of one scene; a narrow speaker has a handful."""
    rng = Random(0)
    wide = {caption(PLAIN, language, rng, suffix=False) for _ in range(2000)}
    narrow = {caption(FULL, language, rng, suffix=False, narrow=True) for _ in range(500)}
    assert len(wide) > 500
    assert 2 <= len(narrow) <= 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_clause_order_and_synonym_is_used(language: Language) -> None:
    """No dead template: all orders, synonyms and openings turn up."""
    module = captions_en if language == "en" else captions_zh
    rng = Random(1)
    texts = [caption(FULL, language, rng, suffix=False) for _ in range(3000)]
    for attribute in ("object", "colour", "background", "position", "size", "finish"):
        for word in _spellings(FULL, attribute, language):
            assert any(word.lower() in t.lower() for t in texts), word
    assert all(any(t.startswith(o) for t in texts) for o in module.OPENINGS)
    assert set(module.NARROW_ORDERS) <= set(module.ORDERS)
    assert all(sorted(order) == sorted("nbpf") for order in module.ORDERS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_suffix_comes_in_three_of_ten(language: Language) -> None:
    """Left to chance, the quality suffix ends about 30 % of captions; asked for, all; refused, none."""
    suffix = (captions_en if language == "en" else captions_zh).SUFFIX
    rng = Random(2)
    share = sum(caption(PLAIN, language, rng).endswith(suffix) for _ in range(2000)) / 2000
    assert 0.25 < share < 0.35
    assert all(caption(PLAIN, language, rng, suffix=True).endswith(suffix) for _ in range(50))
    assert not any(suffix in caption(PLAIN, language, rng, suffix=False) for _ in range(50))


@pytest.mark.parametrize("language", LANGUAGES)
def test_defaults_are_sometimes_said_and_sometimes_not(language: Language) -> None:
    """Both kinds of caption occur, so that a model learns what silence means."""
    rng = Random(3)
    for attribute in ("position", "size", "finish"):
        said = [_says(caption(PLAIN, language, rng), PLAIN, attribute, language) for _ in range(400)]
        assert 0.2 < sum(said) / 400 < 0.5, attribute


def test_every_value_has_two_to_four_synonyms_and_none_is_shared() -> None:
    """No word stands for two values of one attribute, in either language."""
    for module in (captions_en, captions_zh):
        for attribute, values in module.WORDS.items():
            assert set(values) == set(VALUES[attribute])
            assert all(2 <= len(words) <= 4 for words in values.values())
            every = [w for words in values.values() for w in words]
            assert len(every) == len(set(every))
        assert set(module.NOUNS) == set(OBJECTS)
        assert all(2 <= len(nouns) <= 4 for nouns in module.NOUNS.values())


def test_an_article_agrees_with_its_word() -> None:
    """An orange umbrella, a red one."""
    assert caption(Scene(object="cup", colour="orange", background="table"), "en").startswith("An orange")
    assert "an umbrella" in describe(Scene(object="umbrella", colour="red", background="table"), "object", "en")
    rng = Random(5)
    texts = [caption(s, "en", rng) for s in decode(sample_codes(500, torch.Generator().manual_seed(0)))]
    assert not any(re.search(r"\ba [aeio]|\ban [^aeiou]", t, re.IGNORECASE) for t in texts)


def test_an_unknown_language_is_refused() -> None:
    """The error names the languages there are."""
    with pytest.raises(ValueError, match="en, zh"):
        caption(PLAIN, "fr")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attribute", "en", "zh"),
    [
        ("object", "a picture of fish", "画里有鱼"),
        ("colour", "the fish are blue", "蓝色的鱼"),
        ("background", "the fish are under a starry night sky", "鱼在星空下"),
        ("position", "the fish are on the left", "鱼在画面左侧"),
        ("size", "the fish are small", "小小的鱼"),
        ("count", "there are three fish", "三条鱼"),
        ("finish", "the picture has film grain", "胶片颗粒"),
    ],
)
def test_facets_of_a_scene(attribute: str, en: str, zh: str) -> None:
    """One short statement an attribute, in both languages."""
    assert describe(FULL, attribute, "en") == en
    assert describe(FULL, attribute, "zh") == zh


@given(scenes(), st.sampled_from(ATTRIBUTES), st.sampled_from(LANGUAGES))
def test_facets_of_different_values_differ(scene: Scene, attribute: str, language: Language) -> None:
    """A counterfactual changes the facet of its attribute."""
    for other in alternatives(scene, attribute):
        assert describe(other, attribute, language) != describe(scene, attribute, language)


@given(scenes(), st.sampled_from(ATTRIBUTES), st.integers(0, 1000))
def test_a_counterfactual_differs_in_one_attribute_and_fits(scene: Scene, attribute: str, seed: int) -> None:
    """Exactly the named attribute changes; where nothing else fits, an error says so."""
    if not alternatives(scene, attribute):
        crowded = scene.count == 3 and scene.position in {"left", "right"}
        assert (attribute == "count" and scene.size == "large") or (attribute == "size" and crowded)
        with pytest.raises(ValueError, match=f"no other {attribute}"):
            counterfactual(scene, attribute, Random(seed))
        return
    codes = encode([scene, counterfactual(scene, attribute, Random(seed))])
    assert is_valid(codes).all()
    assert (codes[0] != codes[1]).tolist() == [a == attribute for a in ATTRIBUTES]

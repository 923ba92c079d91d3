"""The edits that come with the project, on the prompts they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.wording import Kind, WordingBook, draw, load, reworded
from swapgate.wording.edits import AppliedEdit

ROOT = Path(__file__).parents[3]
ARTICLE = (
    "写实人像（亚洲女性，室内自然光）",
    "产品图（白色陶瓷杯，木桌，柔焦背景）",
    "创意场景（机械蝴蝶停在古籍书页上）",
    "一只橘猫坐在窗台，窗外有梧桐树和阳光，风格：水彩",
    "海报上写‘夏日限定’四个字",
    "一位穿靛蓝扎染衬衫的年轻设计师，坐在开放式咖啡馆靠窗位，手边摊开速写本，窗外是春日梧桐街景，柔焦，胶片质感，富士胶片 Pro 400H 扫描效果",
)
WORLD = {
    "en": ("Two small red cups on a wooden table, on the left, film grain.", "A large white umbrella under a starry night sky.",
           "A woman in orange by a sunlit window.", "Three yellow flowers in a green meadow, at the top, watercolour painting."),
    "zh": ("两只小小的红色的杯子在木桌上，在画面左侧，胶片颗粒。", "一把大大的白色的雨伞在星空下。",
           "一个穿橙色衣服的女子在阳光窗边。", "三朵黄色的花在草地上，在画面上方，水彩画。"),
}  # fmt: skip


@pytest.fixture(scope="module")
def book() -> WordingBook:
    """The bundled book."""
    return load(ROOT / "fixtures" / "wording")


@pytest.mark.parametrize("text", ARTICLE)
def test_every_prompt_of_the_article_has_synonyms_and_eight_rewordings(book: WordingBook, text: str) -> None:
    """Eight wordings a prompt is what the stability gate asks for."""
    assert any(edit.changes(text) for edit in book.of("zh", ["synonym"]))
    assert len(draw(text, "zh", book, n=8, seed_text="article")) == 8


@pytest.mark.parametrize(("language", "text"), [(language, text) for language, texts in WORLD.items() for text in texts])
def test_the_picture_world_has_synonyms_for_its_words(book: WordingBook, language: str, text: str) -> None:
    """The object and where it is can each be said otherwise, in several ways."""
    words = [edit.id.partition("→")[0] for edit in book.of(language, ["synonym"]) if edit.changes(text)]
    assert len(set(words)) >= 2
    assert len(words) >= 4


@pytest.mark.parametrize("language", ["en", "zh"])
def test_synonyms_are_the_words_the_stand_ins_were_trained_on(book: WordingBook, language: str) -> None:
    """A rewording in words that a stand-in never saw would test its vocabulary, not its stability."""
    words = pytest.importorskip(f"swapgate.standins.captions_{language}")
    trained = {w for nouns in words.NOUNS.values() for noun in nouns for w in (noun if language == "en" else noun[:1])}
    trained |= {w for values in words.WORDS.values() for synonyms in values.values() for w in synonyms}
    for values in words.WORDS.values():
        for synonyms in values.values():
            for edit in book.of(language, ["synonym"]):
                old, _, new = edit.id.partition("→")
                if old == synonyms[0]:
                    assert new in trained, f"{edit.id}: the stand-ins never saw {new!r}"


@pytest.mark.parametrize(
    ("language", "text"),
    [("zh", t) for t in ARTICLE] + [(lang, t) for lang, texts in WORLD.items() for t in texts],
)
def test_no_single_edit_leaves_litter(book: WordingBook, language: str, text: str) -> None:
    """No doubled mark, stray space, doubled 的 or wrong article after any edit at any place."""
    for edit in book.of(language):
        for place in range(len(edit.changes(text))):
            new = reworded(text, language, [AppliedEdit(edit=edit, place=place)]).text
            for litter in (
                "，，",
                "。。",
                "，。",
                ", ,",
                "..",
                " ,",
                " .",
                "的的",
                "色色",
                "，、",
                " a a ",
                " an red",
                "a orange",
            ):
                assert litter not in new, f"{edit.kind}: {edit.id} makes {new!r}"
            assert new == new.strip()


def test_the_poster_keeps_its_letters(book: WordingBook) -> None:
    """夏日限定 stands in every rewording, once."""
    for got in draw(ARTICLE[4], "zh", book, n=30, seed_text="poster"):
        assert got.text.count("夏日限定") == 1


def test_positions_relative_to_another_object_stay(book: WordingBook) -> None:
    """ "on the left of the book" is a relation, "on the left" a place in the picture."""
    edits = book.of("en", ["synonym"])
    related = "A cup on the left of a book."
    assert not any(edit.id.startswith("on the left") and edit.changes(related) for edit in edits)
    assert any(edit.id.startswith("on the left") and edit.changes("A cup, on the left.") for edit in edits)


def test_vendor_suffix_is_approved_in_both_languages(book: WordingBook) -> None:
    """The vendor of Qwen-Image appends it itself, so with and without it must both work."""
    for language, suffix in (
        ("en", ", Ultra HD, 4K, cinematic composition."),
        ("zh", "，超清，4K，电影级构图。"),
    ):
        text = WORLD[language][1]
        made = [edit.apply(text, 0) for edit in book.of(language) if edit.kind == Kind.SUFFIX]
        assert text[:-1] + suffix in made

"""Script, numerals, normal forms, adjectives, small words, mistakes, translations and own edits: what each does, and where it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.errors import UserError
from swapgate.wording import ON_REQUEST, Kind, draw, load
from swapgate.wording.book import WordingBook
from swapgate.wording.script import simplified

ROOT = Path(__file__).parents[3]
BOOK = load(ROOT / "fixtures" / "wording")


def outcomes(book: WordingBook, language: str, kind: Kind, name: str, text: str) -> list[str]:
    """The text after the edit at each of its places."""
    edit = next(edit for edit in book.edits[language] if edit.kind is kind and edit.id == name)
    return [new for place in range(len(edit.changes(text))) if (new := edit.apply(text, place)) is not None]


@pytest.mark.parametrize(
    ("language", "kind", "name", "text", "expected"),
    [
        ("zh", Kind.SCRIPT, "simplified→traditional", "海报上写‘夏日限定’四个字，一只橘猫", ["海報上寫‘夏日限定’四個字，一隻橘貓"]),
        ("zh", Kind.SCRIPT, "traditional→simplified", "兩隻貓在陽光窗邊，“貓”", ["两只猫在阳光窗边，“貓”"]),
        ("zh", Kind.SCRIPT, "simplified→traditional", "水彩", []),
        ("zh", Kind.NUMERALS, "四→4", "两只猫和四个字，十二只鸟，第三个", ["2只猫和四个字，十二只鸟，第三个", "两只猫和4个字，十二只鸟，第三个"]),
        ("zh", Kind.NUMERALS, "4→四", "2只猫，400H，12只，1.5个", ["两只猫，400H，12只，1.5个"]),
        ("en", Kind.NUMERALS, "four→4", "Two cats and three dogs, four-poster", ["2 cats and three dogs, four-poster", "Two cats and 3 dogs, four-poster"]),
        ("en", Kind.NUMERALS, "4→four", "4 cats, 4K, 1.4 m, 14 dogs", ["four cats, 4K, 1.4 m, 14 dogs"]),
        ("en", Kind.NORMAL_FORM, "to NFD", "a café, 'café'", ["a cafe\u0301, 'café'"]),
        ("en", Kind.NORMAL_FORM, "to NFC", "a cafe\u0301", ["a café"]),
        ("zh", Kind.NORMAL_FORM, "to NFKC", "４Ｋ，猫", ["4K,猫"]),
        ("en", Kind.NORMAL_FORM, "to NFC", "a cup", []),
        ("en", Kind.ADJECTIVE_ORDER, "adjectives swapped", "Small red cups, a large white umbrella", ["Red small cups, a large white umbrella", "Small red cups, a white large umbrella"]),
        ("en", Kind.ADJECTIVE_ORDER, "adjectives swapped", "a red cup and a small box", []),
        ("zh", Kind.ADJECTIVE_ORDER, "adjectives swapped", "两只小小的红色的杯子", ["两只红色的小小的杯子"]),
        ("en", Kind.SMALL_WORDS, "article left out", "A cup on the table", ["Cup on the table", "A cup on table"]),
        ("en", Kind.SMALL_WORDS, "a→one", "A cup, an umbrella, a pair of shoes", ["One cup, an umbrella, a pair of shoes", "A cup, one umbrella, a pair of shoes"]),
        ("zh", Kind.SMALL_WORDS, "的 left out", "红色的杯子", ["红色杯子"]),
        ("zh", Kind.SMALL_WORDS, "的 added", "红色杯子", ["红色的杯子"]),
        ("zh", Kind.SMALL_WORDS, "个→位", "一个大大的女子，四个字，一个杯子", ["一位大大的女子，四个字，一个杯子"]),
        ("en", Kind.TYPO, "letters changed over", "A watercolour, three boxes, 'flowers'", ["A wateroclour, three boxes, 'flowers'", "A watercolour, three boexs, 'flowers'"]),
        ("en", Kind.TYPO, "letter doubled", "above seven flowers", ["above seven flowwers"]),
        ("zh", Kind.HOMOPHONE, "窗台→窗抬", "猫坐在窗台，“窗台”", ["猫坐在窗抬，“窗台”"]),
    ],
)  # fmt: skip
def test_what_each_edit_does(language: str, kind: Kind, name: str, text: str, expected: list[str]) -> None:
    """Each place of each edit, and where there must be none."""
    assert outcomes(BOOK, language, kind, name, text) == expected


def test_two_scripts_of_a_bundled_prompt_are_one_text() -> None:
    """There and back."""
    text = "一位穿靛蓝扎染衬衫的年轻设计师，坐在开放式咖啡馆靠窗位，手边摊开速写本，窗外是春日梧桐街景，柔焦，胶片质感，富士胶片 Pro 400H 扫描效果"
    [new] = outcomes(BOOK, "zh", Kind.SCRIPT, "simplified→traditional", text)
    assert (
        new
        == "一位穿靛藍紮染襯衫的年輕設計師，坐在開放式咖啡館靠窗位，手邊攤開速寫本，窗外是春日梧桐街景，柔焦，膠片質感，富士膠片 Pro 400H 掃描效果"
    )
    assert outcomes(BOOK, "zh", Kind.SCRIPT, "traditional→simplified", new) == [text] == [simplified(new)]


PROMPTS = {"en": "A poster with the words '夏日限定'", "zh": "海报上写‘夏日限定’四个字"}


def test_a_translation_is_the_tasks_own_prompt_and_of_nothing_else() -> None:
    """Both ways; another text, or one that says another thing in its quotations, has none."""
    book = BOOK.translated(PROMPTS)
    assert outcomes(book, "zh", Kind.LANGUAGE, "zh→en", PROMPTS["zh"]) == [PROMPTS["en"]]
    assert outcomes(book, "en", Kind.LANGUAGE, "en→zh", PROMPTS["en"]) == [PROMPTS["zh"]]
    assert outcomes(book, "en", Kind.LANGUAGE, "en→zh", "A cup") == []
    other = BOOK.translated({**PROMPTS, "en": "A poster with the words 'SUMMER'"})
    assert outcomes(other, "zh", Kind.LANGUAGE, "zh→en", PROMPTS["zh"]) == []
    assert str(book.parse("language: zh→en @1", "zh")) == "language: zh→en @1"


def test_classes_on_request_are_drawn_only_on_request() -> None:
    """Noise, script and the like are in no draw that does not name them, and in one that does."""
    text = "两只小小的红色的杯子在木桌上，在画面左侧，胶片颗粒。"
    assert not ON_REQUEST.intersection(kind for one in draw(text, "zh", BOOK, n=30, seed_text="t") for kind in one.kinds)
    asked = draw(text, "zh", BOOK, n=6, seed_text="t", approved=[kind.value for kind in ON_REQUEST])
    assert {kind for one in asked for kind in one.kinds} <= ON_REQUEST
    assert len({kind for one in asked for kind in one.kinds}) >= 4


def written(folder: Path, text: str) -> WordingBook:
    (folder / "en.toml").write_text(text, encoding="utf-8")
    return load(folder)


def test_a_project_adds_edits_of_its_own(tmp_path: Path) -> None:
    """Of any class; one of a class that is always drawn from is drawn, too; words end at their borders."""
    book = written(
        tmp_path,
        '[[edit]]\nid = "british"\nkind = "spacing"\nold = "water colour"\nnew = "watercolour"\n[[edit]]\nid = "hat"\nkind = "synonym"\nold = "hat"\nnew = "cap"\n',
    )
    assert outcomes(book, "en", Kind.SPACING, "british", "a water colour, 'water colour'") == ["a watercolour, 'water colour'"]
    assert outcomes(book, "en", Kind.SYNONYM, "hat", "a hat that fits") == ["a cap that fits"]
    assert {edit.id for edit in book.of("en", ["synonym"])} == {"hat"}


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ('[[edit]]\nid = "x"\nkind = "synonym"\nold = "two"\nnew = "three"\n', "edit[0].new", "keeps numbers"),
        ('[[edit]]\nid = "x"\nkind = "spacing"\nold = "cup"\nnew = "mug"\n', "edit[0].new", "keeps letters"),
        ('[[edit]]\nid = "x"\nkind = "typo"\nold = "on the left"\nnew = "on the right"\n', "edit[0].new", "keeps sides"),
        ('[[edit]]\nid = "x"\nkind = "language"\nold = "a"\nnew = "b"\n', "edit[0].kind", "one of punctuation"),
        ('[[edit]]\nid = "x"\nkind = "synonym"\nold = "\'cup\'"\nnew = "b"\n', "edit[0].old", "without quotation marks"),
        ('[[edit]]\nid = "x"\nkind = "synonym"\nold = "cup"\nnew = "cup"\n', "edit[0].old", "another than `new`"),
        ('[[edit]]\nid = "a→one"\nkind = "small words"\nold = "cup"\nnew = "mug"\n', "edit", "every entry once"),
        ('[synonyms.x]\ntwo = ["three"]\n', "synonyms.x.two", "the same number"),
        ('[synonyms.x]\n"on the left" = ["on the right"]\n', "synonyms.x.on the left", "the same side"),
        ('[homophones]\ncup = ["cup"]\n', "homophones.cup", "than the word itself"),
        ("[measures]\ncup = []\n[other]\n", "other", "unknown key"),
        ('adjectives = ["red", "red"]\n', "adjectives", "every entry once"),
    ],
)  # fmt: skip
def test_mistakes_in_a_wording_file_are_named(tmp_path: Path, text: str, key: str, rule: str) -> None:
    """File, key, rule and remedy."""
    with pytest.raises(UserError, match="remedy: ") as caught:
        written(tmp_path, text)
    assert caught.value.key == key
    assert rule in caught.value.rule
    assert caught.value.where.endswith("en.toml")

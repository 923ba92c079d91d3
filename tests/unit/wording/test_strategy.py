"""The strategy, the fixed draw, and the smallest breaking rewording."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from swapgate.errors import UserError
from swapgate.wording import ON_REQUEST, Kind, Rewording, WordingBook, draw, load, quoted, reworded, rewordings, smallest

ROOT = Path(__file__).parents[3]
EN = "Two small red cups on a wooden table, on the left, film grain."
ZH = "一位穿靛蓝扎染衬衫的年轻设计师，坐在开放式咖啡馆靠窗位，窗外是春日梧桐街景，柔焦，胶片质感，富士胶片 Pro 400H 扫描效果"
POSTER = "海报上写‘夏日限定’四个字"
PROMPTS = [
    ("en", EN),
    ("zh", ZH),
    ("zh", POSTER),
    ("en", "A poster with the words 'A red cup, 4K', warm light, film grain"),
]


@pytest.fixture(scope="module")
def book() -> WordingBook:
    """The approved edits that come with the project."""
    return load(ROOT / "fixtures" / "wording")


BOOK = load(ROOT / "fixtures" / "wording")


@given(st.data())
def test_every_rewording_can_be_made_again_from_its_labels(data: st.DataObject) -> None:
    """Labels and the original are enough, so a report can name a rewording in words."""
    language, text = data.draw(st.sampled_from(PROMPTS))
    got = data.draw(rewordings(text, language, BOOK))
    again = reworded(text, language, [BOOK.parse(label, language) for label in got.labels])
    assert again == got
    assert len(got.edits) <= 3
    assert (got.text == text) == (not got.edits)


@pytest.mark.parametrize(
    ("language", "text"), [("zh", "猫，" * 2000), ("en", "a red cup, " * 363), ("en", "'a' " * 1000), ("zh", "“" + "猫，" * 1999)]
)
def test_the_longest_prompts_are_reworded(book: WordingBook, language: str, text: str) -> None:
    """4,000 characters of commas or of quotations; how long that takes is measured in tests/benchmarks/test_wording.py."""
    drawn = draw(text, language, book.translated({language: text}), n=2, seed_text="x")
    assert len(drawn) == 2
    assert all(quoted(one.text) == quoted(text) for one in drawn)


@given(st.data())
def test_quoted_text_is_the_same_in_every_rewording(data: st.DataObject) -> None:
    """Four edits at once, and still the letters to be rendered are untouched."""
    inner = data.draw(st.sampled_from(["两只红色的猫，在木桌上", "A red cup, on the left.", "4K画质（超清）", "夏日限定"]))
    marks = data.draw(st.sampled_from(["‘’", "“”", "「」", "''", '""', "『』"]))
    tail = data.draw(st.sampled_from(["", "，柔焦，胶片质感", "四个字，红色的猫", ", warm light, film grain."]))
    text = f"海报上写{marks[0]}{inner}{marks[1]}{tail}"
    got = data.draw(rewordings(text, data.draw(st.sampled_from(["zh", "en"])), BOOK, max_edits=4))
    assert quoted(text) == (inner,)
    assert quoted(got.text) == (inner,)
    assert got.text.count(inner) == text.count(inner)


@given(st.data())
def test_each_listed_edit_has_a_part_in_the_text(data: st.DataObject) -> None:
    """Leaving any one out gives another text."""
    language, text = data.draw(st.sampled_from(PROMPTS))
    got = data.draw(rewordings(text, language, BOOK, max_edits=4))
    for applied in got.edits:
        assert reworded(text, language, set(got.edits) - {applied}).text != got.text


@pytest.mark.parametrize(("language", "text"), PROMPTS)
def test_shrinks_to_the_original(book: WordingBook, language: str, text: str) -> None:
    """The simplest rewording is none."""
    assert find(rewordings(text, language, book), lambda _: True, settings=settings(database=None)).text == text


def test_shrinks_to_one_edit_of_the_most_innocent_kind_on_the_left(book: WordingBook) -> None:
    """Any change at all: one edit, punctuation, first place."""
    got = find(rewordings(EN, "en", book), lambda r: r.text != EN, settings=settings(database=None, derandomize=True))
    assert got.labels == ("punctuation: full stop removed @1",)


def test_shrinks_to_the_leftmost_place(book: WordingBook) -> None:
    """Of many spaces that could be doubled, the first is named."""
    got = find(
        rewordings(EN, "en", book),
        lambda r: "  " in r.text,
        settings=settings(database=None, derandomize=True),
    )
    assert got.labels == ("spacing: space doubled @1",)


def test_without_approved_edits_only_the_original_is_left(book: WordingBook) -> None:
    """Nothing approved, nothing reworded."""
    for strategy in (rewordings(EN, "en", book, approved=[]), rewordings(EN, "en", book, max_edits=0)):
        assert find(strategy, lambda _: True).text == EN


@pytest.mark.parametrize(("language", "text"), PROMPTS)
@pytest.mark.parametrize("n", [1, 8, 20])
def test_draw_gives_n_different_rewordings(book: WordingBook, language: str, text: str, n: int) -> None:
    """All different, none the original, the same each time."""
    got = draw(text, language, book, n=n, seed_text="task")
    assert len({r.text for r in got} - {text}) == len(got) == n
    assert got == draw(text, language, book, n=n, seed_text="task")


def test_draw_depends_on_the_seed_text(book: WordingBook) -> None:
    """Two tasks with one prompt are reworded independently."""
    assert draw(EN, "en", book, n=8, seed_text="a") != draw(EN, "en", book, n=8, seed_text="b")


@pytest.mark.parametrize(("language", "text"), PROMPTS[:2])
def test_draw_spreads_over_the_kinds(book: WordingBook, language: str, text: str) -> None:
    """Eight rewordings of a rich prompt touch every kind of its language."""
    kinds = {kind for r in draw(text, language, book, n=8, seed_text="task") for kind in r.kinds}
    missing = {Kind.WIDTH} if language == "en" else set()
    assert kinds == set(Kind) - missing - ON_REQUEST


def test_draw_keeps_to_what_is_approved(book: WordingBook) -> None:
    """A prompt's own list is obeyed."""
    assert {r.kinds for r in draw(EN, "en", book, n=6, seed_text="t", approved=["synonym"])} == {(Kind.SYNONYM,)}


def test_draw_says_how_many_there_are(book: WordingBook) -> None:
    """Asking for more than the approved edits yield is the user's mistake, with the number in the answer."""
    with pytest.raises(UserError, match="yield 1"):
        draw(POSTER, "zh", book, n=2, seed_text="t", approved=["punctuation: full stop added"])
    assert draw(POSTER, "zh", book, n=0, seed_text="t") == ()


def test_draw_is_the_same_in_other_processes(book: WordingBook, tmp_path: Path) -> None:
    """Neither hash seed, nor loaded modules, nor an example database, nor the folder has a say."""
    code = (
        "import sys, json, decimal; from pathlib import Path; from swapgate.wording import draw, load\n"
        "book = load(Path(sys.argv[1]) / 'fixtures' / 'wording')\n"
        "print(ascii([r.text for l, t in json.loads(sys.argv[2]) for r in draw(t, l, book, n=6, seed_text='task')]))"
    )
    import json

    here = [r.text for language, text in PROMPTS for r in draw(text, language, book, n=6, seed_text="task")]
    for hash_seed in ("0", "12345"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        answer = subprocess.run(
            [sys.executable, "-c", code, str(ROOT), json.dumps(PROMPTS)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == ascii(here)


class Counting:
    """A predicate that counts how often each text is asked."""

    def __init__(self, culprits: set[str], need: int = 1) -> None:
        self.culprits, self.need = culprits, need
        self.asked: list[str] = []

    def __call__(self, rewording: Rewording) -> bool:
        self.asked.append(rewording.text)
        return len(self.culprits & set(rewording.labels)) >= self.need


def four_edits(book: WordingBook) -> Rewording:
    """A rewording with one edit of each of four kinds."""
    labels = [
        "punctuation: first letter switched @1", "clause order: clauses swapped @1",
        "synonym: cups→mugs @1", "quality suffix: high quality @1",
    ]  # fmt: skip
    got = reworded(EN, "en", [book.parse(label, "en") for label in labels])
    assert got.labels == tuple(labels)
    return got


@pytest.mark.parametrize("index", range(4))
def test_smallest_finds_the_single_culprit(book: WordingBook, index: int) -> None:
    """One guilty edit out of four, asked at most once a text."""
    full = four_edits(book)
    predicate = Counting({full.labels[index]})
    assert smallest(full, predicate, 50).labels == (full.labels[index],)
    assert len(predicate.asked) == len(set(predicate.asked))
    assert EN not in predicate.asked
    assert full.text not in predicate.asked


@pytest.mark.parametrize("pair", list(combinations(range(4), 2)))
def test_smallest_finds_a_pair_that_breaks_only_together(book: WordingBook, pair: tuple[int, int]) -> None:
    """Neither alone breaks the model."""
    full = four_edits(book)
    labels = tuple(full.labels[i] for i in pair)
    assert smallest(full, Counting(set(labels), need=2), 50).labels == labels


def test_smallest_prefers_the_most_innocent(book: WordingBook) -> None:
    """When several single edits break, the least conspicuous one is the news."""
    full = four_edits(book)
    assert smallest(full, Counting(set(full.labels[1:])), 50).labels == (full.labels[1],)


def test_smallest_keeps_all_when_all_are_needed(book: WordingBook) -> None:
    """Nothing smaller breaks, so the answer is what was given."""
    full = four_edits(book)
    assert smallest(full, Counting(set(full.labels), need=4), 50) == full


@pytest.mark.parametrize("budget", range(6))
def test_smallest_keeps_to_the_budget(book: WordingBook, budget: int) -> None:
    """At most that many questions, and the answer is known to break."""
    full = four_edits(book)
    predicate = Counting({full.labels[3]})
    got = smallest(full, predicate, budget)
    assert len(predicate.asked) <= budget
    assert full.labels[3] in got.labels


def test_smallest_hears_an_unsteady_predicate_once(book: WordingBook) -> None:
    """A judge that changes its mind cannot make the search fail: each text is asked once."""
    answers: dict[str, int] = {}

    def unsteady(rewording: Rewording) -> bool:
        answers[rewording.text] = answers.get(rewording.text, 0) + 1
        return sum(answers.values()) % 2 == 0

    smallest(four_edits(book), unsteady, 50)
    assert set(answers.values()) == {1}


def test_smallest_passes_errors_on_without_asking_again(book: WordingBook) -> None:
    """When the model fails, the search ends with that error."""
    calls = []

    def failing(rewording: Rewording) -> bool:
        calls.append(rewording)
        raise RuntimeError("engine died")

    with pytest.raises(RuntimeError, match="engine died"):
        smallest(four_edits(book), failing, 50)
    assert len(calls) == 1


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.sets(st.sampled_from(range(1, 15)), max_size=6))
def test_smallest_agrees_with_trying_everything(masks: set[int]) -> None:
    """Against brute force: for any set of breaking sub-edits, fewest edits first, then the most innocent."""
    full = four_edits(BOOK)
    breaking = {tuple(label for i, label in enumerate(full.labels) if mask >> i & 1) for mask in masks}
    order = [part for size in range(1, 5) for part in combinations(full.labels, size)]
    expected = next((part for part in order if part in breaking), full.labels)
    assert smallest(full, lambda r: r.labels in breaking, 50).labels == expected


def test_importing_is_light() -> None:
    """Hypothesis is only loaded when something is drawn."""
    code = "import sys, swapgate.wording; sys.exit('hypothesis' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

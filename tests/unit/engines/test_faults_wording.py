"""A model that breaks on one word or on one mark, as the benchmark of wording plants it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.engines.faults import apply, parse
from swapgate.engines.faults.wording import OTHER, SYNONYMS, Brittle
from swapgate.tasks import read_tasks
from swapgate.wording import Kind, load

ROOT = Path(__file__).parents[3]
WRITTEN = "A large blue lamp on a wooden table."


def brittle(amount: int) -> Brittle:
    return Brittle(None, parse(f"brittle:{amount}", where="card"))


@pytest.mark.parametrize(
    ("prompt", "broken_at"),
    [
        (WRITTEN, ()),
        ("A huge blue lamp on a wooden table.", (1, 3)),
        ("A large blue lamp on a wooden table", (2, 3)),
        ("A huge blue lamp on a wooden table", (1, 2, 3)),
        ("Could you draw a large blue lamp on a wooden table, please?", ()),
        ("一盏大大的蓝色的台灯在木桌上。", ()),
        ("一盏很大的蓝色的台灯在木桌上。", (1, 3)),
        ("一盏大大的蓝色的台灯在木桌上", (2, 3)),
    ],
)
def test_one_word_or_one_mark_breaks_it_and_nothing_else(prompt: str, broken_at: tuple[int, ...]) -> None:
    """By amount: the synonym, the mark, or either."""
    for amount in (1, 2, 3):
        fault = brittle(amount)
        heard = fault.arguments({"prompt": prompt, "seed": 1})
        assert heard["seed"] == 1
        assert (heard["prompt"] != prompt) is fault.acted() is (amount in broken_at)
        assert heard["prompt"] in (prompt, *OTHER.values())
        assert heard["prompt"].isascii() is prompt.isascii(), "in the language that was asked in"


def test_several_prompts_of_a_call_are_heard_one_by_one_and_none_is_missed() -> None:
    """A list stays a list; what is no prompt stays as it is."""
    fault = brittle(1)
    assert fault.arguments({"prompt": [WRITTEN, "a huge cup"]})["prompt"] == [WRITTEN, OTHER["huge"]]
    assert fault.arguments({"prompt_embeds": 1}) == {"prompt_embeds": 1}
    assert fault.activity() == "brittle:1: 1 of 2 prompts drawn as another"


def test_it_can_be_planted_in_any_pipeline() -> None:
    """It touches none of its parts."""
    assert not apply(object(), "brittle").acted()


def test_both_are_one_edit_away_from_the_bundled_prompts() -> None:
    """Each of them a single approved edit of the prompt that the benchmark asks."""
    prompt = read_tasks(ROOT / "fixtures" / "tasks")["product"].prompts
    book = load(ROOT / "fixtures" / "wording")
    for language, word in zip(("en", "zh"), SYNONYMS, strict=True):
        edits = {(edit.kind, edit.id): edit.apply(prompt[language], 0) for edit in book.of(language)}
        assert [kind for (kind, _), text in edits.items() if text and word in text] == [Kind.SYNONYM]
        heard = {label: brittle(3).arguments({"prompt": text})["prompt"] for label, text in edits.items() if text}
        assert sorted(kind for (kind, id_), text in heard.items() if text in OTHER.values()) == [Kind.PUNCTUATION, Kind.SYNONYM], (
            "and by no other edit"
        )
        assert edits[Kind.PUNCTUATION, "full stop removed"] == prompt[language][:-1]

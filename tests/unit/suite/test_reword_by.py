"""A task names the classes of edits that it is reworded by."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.errors import UserError
from swapgate.gates.wording_figures import kinds
from swapgate.suite.planning import restored, wording_book
from swapgate.wording import NOISE, ON_REQUEST, Kind


def planned(bench: Any) -> list[Any]:
    """The reworded requests of the plan."""
    return [request for request in bench.open().plan.requests("toy") if request.edits]


def test_without_the_key_nothing_is_drawn_that_is_only_for_request(bench: Any) -> None:
    """Neither noise nor another script comes into a run by itself."""
    asked = planned(bench)
    assert asked
    assert not ON_REQUEST.intersection(kind for request in asked for kind in kinds(request.edits))


def test_noise_is_drawn_where_the_task_asks_for_it_and_told_apart(bench: Any) -> None:
    """Typos in English, homophones in Chinese, and nothing else; the verdict names the class as noise."""
    bench.tasks('reword_by = ["typo", "homophone"]')
    assert {kind for request in planned(bench) for kind in kinds(request.edits)} == NOISE
    (bench.root / "here").rename(bench.root / "planned")
    _, data = bench.whole()
    found = [finding for verdict in data["verdicts"] if verdict["gate"] == "stability" for finding in verdict["findings"]]
    told = [finding for finding in found if finding["name"] == "flip rate, typo"]
    assert told
    assert all("which is noise" in finding["reason"] for finding in told)


def test_a_translation_is_asked_and_can_be_made_again(bench: Any) -> None:
    """The other prompt of the same task, in place of the first; what the plan records is read back by it."""
    bench.tasks('reword_by = ["language"]')
    path = bench.root / "fixtures" / "tasks" / "toys.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("rewordings = 2", "rewordings = 1").partition('[[task]]\nid = "cat"')[0], encoding="utf-8"
    )
    asked = {request.language: request for request in planned(bench)}
    assert {language: request.edits for language, request in asked.items()} == {"en": "language: en→zh @1", "zh": "language: zh→en @1"}
    suite = bench.open(run_dir=bench.root / "again")
    task = suite.setup.tasks["toy"][0]
    assert asked["en"].prompt == task.prompts["zh"]
    book = wording_book(suite.setup.config).translated(task.prompts)
    assert restored(book, task.prompts["en"], "en", asked["en"].edits).text == task.prompts["zh"]


def test_a_name_that_is_no_class_is_refused(bench: Any) -> None:
    """With the classes and the nearest of them."""
    bench.tasks('reword_by = ["synonyms"]')
    with pytest.raises(UserError, match=r"reword_by = 'synonyms'") as caught:
        bench.open()
    assert all(kind.value in caught.value.rule for kind in Kind)
    assert caught.value.remedy == "did you mean 'synonym'?"

"""The negative control: a few prompts of a changed meaning, asked after the plan, and what a deaf model's verdict comes to."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.gates.verdict import Status
from swapgate.gates.wording_controls import NEGATIVE
from swapgate.suite import changed_meaning
from swapgate.suite.changed_meaning import EVENT, MOST
from swapgate.suite.planning import Cell

POOL = Cell(gate="stability", model="toy", task="all")
MANY = """
width = 32
height = 32
seeds = [1, 2]
reworded_seeds = [1]
rewordings = 1
"""
ONE = """
[[task]]
id = "cup-{n}"
prompts = {{ en = "a red cup on a wooden table, variant number {n}" }}
[[task.facets]]
name = "colour"
en = ["a red cup, variant number {n}", "a blue cup"]
"""


def controls(suite: Any) -> list[dict[str, Any]]:
    return [event for event in suite.run.events() if event["event"] == EVENT]


def told(suite: Any, cell: Cell = POOL) -> Any:
    return next((one for one in suite.verdict(cell).findings if one.name == NEGATIVE), None)


def many(bench: Any, n: int) -> None:
    """So many tasks with a facet each."""
    path = bench.root / "fixtures" / "tasks" / "toys.toml"
    path.write_text(MANY + "".join(ONE.format(n=number) for number in range(n)), encoding="utf-8")


def test_every_prompt_with_a_facet_is_asked_for_another_meaning_once(bench: Any) -> None:
    """The counterfactual statement in the prompt's place, with the first reworded seed; beside the plan and in no figure."""
    suite, data = bench.whole()
    assert {(event["task"], event["language"], event["facet"]) for event in controls(suite)} == {("cup", "en", "colour"), ("cup", "zh", "colour")}
    assert {event["text"] for event in controls(suite)} == {"a blue cup", "蓝色的杯子"}
    assert len(bench.hosts.controls) == 2
    assert data["measured"]["images"] == data["planned"]["images"] == len(suite.recorded["toy"].scores) == 15
    assert (told(suite).n, told(suite).effect) == (2, 100)


def test_no_more_than_a_few_prompts_are_asked(bench: Any) -> None:
    """Six images a model, however many tasks there are."""
    many(bench, MOST + 3)
    suite, _ = bench.whole()
    assert len(controls(suite)) == len(bench.hosts.controls) == MOST == told(suite).n


@pytest.mark.parametrize(
    ("deaf", "status", "noticed"), [("", Status.PASS, MOST), ("wording", Status.PASS, MOST), ("meaning", Status.INCONCLUSIVE, 0)]
)
def test_a_model_that_hears_nothing_is_not_called_stable(bench: Any, deaf: str, status: Status, noticed: int) -> None:
    """It passes every rewording; the changes of meaning give it away, in every cell and in the replay."""
    many(bench, MOST)
    bench.card("toy", deaf=deaf)
    bench.card("other", deaf=deaf)
    suite, data = bench.whole(models=("toy",), against="other")
    found = {one["task"]: one["status"] for one in data["verdicts"] if one["gate"] == "stability"}
    assert set(found.values()) == {status}
    assert told(suite).effect == pytest.approx(100 * noticed / MOST)
    before = (bench.root / "here" / "verdicts.json").read_bytes()
    bench.whole(replay=bench.root / "here")
    assert (bench.root / "here" / "verdicts.json").read_bytes() == before


def test_only_the_judged_model_is_asked(bench: Any) -> None:
    """Of the other arm nothing is claimed."""
    bench.card("other", weights="other")
    suite, _ = bench.whole(models=("toy",), against="other")
    assert {event["model"] for event in controls(suite)} == {"toy"}


def test_a_prompt_that_gave_nothing_usable_has_nothing_to_lose(bench: Any) -> None:
    """A picture of another prompt is not usable whatever is asked, so it notices nothing."""
    bench.card("toy", wrong_prompt=1.0)
    suite, _ = bench.whole()
    assert controls(suite) == []
    assert told(suite) is None


@pytest.mark.parametrize("gates", [("usability", "drift"), ("latency",)])
def test_without_stability_nothing_is_asked(bench: Any, gates: tuple[str, ...]) -> None:
    """Nothing is generated for a gate that nobody asked."""
    suite, _ = bench.whole(gates=gates)
    assert controls(suite) == []
    assert bench.hosts.controls == []


def test_a_run_that_has_them_asks_no_second_time_and_one_that_was_cut_off_does(bench: Any) -> None:
    """The journal knows; the model is loaded for what is missing alone."""
    suite, whole = bench.whole()
    asked = len(bench.hosts.controls)
    bench.whole(resume=bench.root / "here")
    assert (len(bench.hosts.controls), len(bench.hosts.started)) == (asked, 1)
    journal = bench.root / "here" / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if f'"{EVENT}"' in line)
    journal.write_text("".join(lines[: place + 1]), encoding="utf-8")
    again, data = bench.whole(resume=bench.root / "here")
    assert (len(bench.hosts.controls), len(bench.hosts.started)) == (asked + 1, 2)
    assert told(again) == told(suite)
    assert {one["id"]: one["status"] for one in data["verdicts"]} == {one["id"]: one["status"] for one in whole["verdicts"]}


def test_a_control_without_a_picture_counts_for_nothing_and_is_not_tried_for_ever(bench: Any) -> None:
    """The 16th image fails, which is the first control."""
    bench.card("toy", raise_at="16")
    suite, _ = bench.whole()
    assert len(controls(suite)) == 2
    assert changed_meaning.noticed(suite, suite.card("toy")) == (1, 1)
    assert not changed_meaning.left(suite, suite.card("toy"))

"""What is asked of a model, given what the looks so far left open and how far the run may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.plan import Call, Request
from swapgate.runs.folder import RunFolder
from swapgate.suite.options import Budget
from swapgate.suite.rounds import (
    ORIGINAL,
    REWORDED,
    WRITTEN,
    Kind,
    Schedule,
    asked,
    budget_entry,
    budget_of,
    looked,
    note_look,
    schedule,
)


def call(task: str, seed: int, edits: str = "") -> Call:
    """One picture of a task in English."""
    request = Request(
        model="m", task=task, language="en", seed=seed, index=0, prompt="p", negative_prompt=None, width=16, height=16, call=(), edits=edits
    )  # fmt: skip
    return Call(requests=(request,))


ROUNDS = (
    (call("a", 1), call("b", 1), call("a", 1, "e")),
    (call("a", 2), call("b", 2), call("a", 1, "f")),
    (call("a", 3), call("b", 3)),
)
PLAN = Schedule(rounds=ROUNDS, looks=(1, 2, 3), reworded=frozenset({("a", "en", 1)}))
EVERYTHING: frozenset[Kind] = frozenset((task, kind) for task in "ab" for kind in (WRITTEN, ORIGINAL, REWORDED))


def labels(found: tuple[tuple[Call, ...], ...]) -> list[list[str]]:
    return [[f"{one.first.task}{one.first.seed}{one.first.edits}" for one in calls] for calls in found]


def run(tmp_path: Path, **manifest: str) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"plan": [], **manifest})


def test_before_any_look_everything_is_asked() -> None:
    """And up to a round, no more than that."""
    assert asked(PLAN, "gate", {}) == ROUNDS
    assert asked(PLAN, "gate", {}, until=1) == ROUNDS[:1]


def test_a_look_leaves_out_what_is_settled_from_the_next_round_on() -> None:
    """By task and kind; what was asked before it stays."""
    left = {1: EVERYTHING - {("a", REWORDED)}, 2: frozenset({("b", WRITTEN)})}
    assert labels(asked(PLAN, "gate", left)) == [["a1", "b1", "a1e"], ["a2", "b2"], ["b3"]]


def test_what_was_settled_once_is_not_asked_again() -> None:
    """A later look cannot open what an earlier one closed."""
    assert labels(asked(PLAN, "gate", {1: frozenset(), 2: EVERYTHING})) == [["a1", "b1", "a1e"], [], []]


@pytest.mark.parametrize(("budget", "rounds"), [("smoke", 1), ("gate", 3), ("full", 3)])
def test_a_budget_says_how_far(budget: Budget, rounds: int) -> None:
    """The first look, the plan, or the whole plan whatever is settled."""
    found = asked(PLAN, budget, {})
    assert len(found) == rounds
    settled = asked(PLAN, budget, {1: frozenset()})
    assert (settled == ROUNDS) is (budget == "full")


def test_the_kind_of_a_call() -> None:
    """An original is what a rewording is compared with."""
    assert [PLAN.kind(one)[1] for one in ROUNDS[0]] == [ORIGINAL, WRITTEN, REWORDED]
    assert PLAN.kind(call("a", 2)) == ("a", WRITTEN)
    assert len(list(PLAN.requests)) == 8


def test_the_journal_keeps_looks_and_budgets(tmp_path: Path) -> None:
    """Of each model its own; the last budget counts."""
    folder = run(tmp_path, budget="smoke")
    note_look(folder, "m", 1, frozenset({("a", WRITTEN)}), 3)
    note_look(folder, "other", 1, frozenset(), 3)
    assert budget_of(folder) == "smoke"
    folder.append(budget_entry("gate"))
    again = RunFolder.open(folder.path)
    assert looked(again, "m") == {1: frozenset({("a", WRITTEN)})}
    assert budget_of(again) == "gate"


@pytest.mark.parametrize(("manifest", "looks"), [({"budget": "gate"}, (1, 2, 3)), ({"budget": "full"}, (3,)), ({}, (3,))])
def test_a_whole_run_and_one_of_an_older_version_have_one_look(tmp_path: Path, manifest: dict[str, str], looks: tuple[int, ...]) -> None:
    """At the end; without calls there is none."""
    folder = run(tmp_path, **manifest)
    found = schedule(folder, [one for calls in ROUNDS for one in calls])
    assert (found.rounds, found.looks, found.reworded) == (ROUNDS, looks, frozenset({("a", "en", 1)}))
    assert schedule(folder, []).looks == ()

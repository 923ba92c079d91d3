"""A run that stops as soon as it is clear: looks, what they settle, what is asked afterwards, and what a replay makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status
from swapgate.suite.looks import is_settled
from swapgate.suite.planning import Cell


def run(bench: Any, name: str = "second", **given: Any) -> tuple[Any, dict[str, Any]]:
    suite, data = bench.whole(run_dir=bench.root / name, **given)
    return suite, data


def looks(path: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (path / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event for event in events if event["event"] == "look"]


def status(data: dict[str, Any], cell: str) -> str:
    return next(one["status"] for one in data["verdicts"] if one["id"] == cell)


def test_an_unchanged_model_is_settled_before_the_end_of_its_plan(accepted: Any) -> None:
    """Every cell passes, on fewer images than planned, and each says after how many."""
    suite, data = run(accepted, budget="gate")
    asked = len(accepted.hosts.asked)
    assert {one["status"] for one in data["verdicts"] if one["gate"] in ("usability", "drift", "stability")} == {"PASS"}
    assert asked < suite.plan.images()
    assert data["measured"]["images"] == asked
    assert {one["images"] for one in data["verdicts"]} <= {event["images"] for event in looks(accepted.root / "second")} | {asked}
    assert "would have missed them with a chance of at most" in suite.verdict(Cell(gate="usability", model="toy", task="all")).reason


def test_what_a_gate_does_not_read_is_not_asked_for_it(accepted: Any) -> None:
    """Once stability is settled no rewording is asked any more while usability goes on."""
    suite, _ = run(accepted, budget="gate")
    found = looks(accepted.root / "second")
    kinds = [{kind for _, kind in event["open"]} for event in found]
    assert any(one == {"written", "original"} for one in kinds), kinds
    rounds = suite.asked(suite.card("toy"))
    assert not any(call.first.edits for call in rounds[-1])


def test_the_whole_plan_is_one_look_at_its_end(accepted: Any) -> None:
    """The budget full is the test of fixed size."""
    suite, data = run(accepted, budget="full")
    assert len(accepted.hosts.asked) == suite.plan.images()
    assert looks(accepted.root / "second") == []
    assert status(data, "usability/toy/all") == "PASS"


def test_smoke_goes_as_far_as_the_first_look_and_can_be_gone_on_with(accepted: Any) -> None:
    """Little is decided, nothing is called passed that a few pictures cannot show, and the rest of the plan can follow."""
    suite, data = run(accepted, budget="smoke")
    plan = suite.schedules["toy"]
    assert len(accepted.hosts.asked) == sum(map(len, plan.rounds[: plan.looks[0]])) == 12
    assert status(data, "usability/toy/all") == "INCONCLUSIVE"
    assert "so the others have to be made" in suite.verdict(Cell(gate="usability", model="toy", task="all")).reason
    more, after = accepted.whole(resume=accepted.root / "second", budget="gate")
    assert status(after, "usability/toy/all") == "PASS"
    assert len(set(accepted.hosts.asked)) == len(accepted.hosts.asked), "no image is made twice"
    assert [event["look"] for event in looks(more.run.path)] == list(range(1, 1 + len(looks(more.run.path))))


def test_other_pictures_are_red_long_before_the_end(accepted: Any) -> None:
    """Every picture changed: no more is needed to say so, and the other gates go on."""
    accepted.card(more='faults = ["noise:0.9"]\n' + accepted.ceilings)
    suite, data = run(accepted, budget="gate")
    verdict = suite.verdict(Cell(gate="drift", model="toy", task="all"))
    assert verdict.status is Status.REGRESSION, verdict.reason
    assert verdict.images is not None
    assert verdict.images <= suite.plan.images() / 2
    assert data["outcome"]["red"]


def test_the_first_red_look_ends_a_run_that_asks_for_no_more(accepted: Any) -> None:
    """pytest -x: the run is red and the rest of its plan is not made; --resume makes it."""
    accepted.card(more='faults = ["noise:0.9"]\n' + accepted.ceilings)
    suite, data = run(accepted, budget="gate", first_red=True)
    assert data["outcome"]["red"]
    plan = suite.schedules["toy"]
    assert len(accepted.hosts.asked) == sum(map(len, plan.rounds[: plan.looks[0]]))
    _, after = accepted.whole(resume=accepted.root / "second", budget="full")
    assert after["outcome"]["red"]
    assert len(accepted.hosts.asked) == suite.plan.images()


def test_a_run_without_anything_red_goes_on_under_it(accepted: Any) -> None:
    """-x changes nothing as long as nothing is red."""
    run(accepted, budget="gate", name="as-ever")
    before = len(accepted.hosts.asked)
    accepted.hosts.asked.clear()
    _, data = run(accepted, budget="gate", first_red=True)
    assert not data["outcome"]["red"]
    assert len(accepted.hosts.asked) == before


@pytest.mark.parametrize("budget", ["gate", "smoke", "full"])
def test_a_replay_of_a_run_that_stopped_early_gives_the_same_bytes(accepted: Any, budget: str) -> None:
    """The looks are read from the journal and judged again one by one."""
    run(accepted, budget=budget)
    path = accepted.root / "second" / "verdicts.json"
    before = path.read_bytes()
    accepted.hosts.asked.clear()
    accepted.whole(replay=accepted.root / "second")
    assert path.read_bytes() == before
    assert accepted.hosts.asked == []


@pytest.mark.parametrize("kept", [2, 9, 15, 22])
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(accepted: Any, kept: int) -> None:
    """Looks that were taken are not taken anew; the others follow."""
    _, whole = run(accepted, "first", budget="gate")
    accepted.hosts.asked.clear()
    accepted.hosts.interrupt_after = kept
    with pytest.raises(KeyboardInterrupt):
        run(accepted, budget="gate")
    accepted.hosts.interrupt_after = None
    _, again = accepted.whole(resume=accepted.root / "second")
    keep, quality = ("id", "status", "images"), ("usability", "drift", "stability")
    ends = [[[one[key] for key in keep] for one in data["verdicts"] if one["gate"] in quality] for data in (again, whole)]
    assert ends[0] == ends[1], "the process that goes on warms up anew, so only memory may take longer"
    taken = [event["look"] for event in looks(accepted.root / "second")]
    assert taken == sorted(set(taken))


def test_a_run_that_stopped_early_offers_no_draft_until_its_plan_is_made(accepted: Any) -> None:
    """A baseline of part of the plan would decide less; the rest is made on request, and what was said stays."""
    _, before = run(accepted, budget="gate")
    assert not (accepted.root / "second" / "drafts").exists()
    suite, after = accepted.whole(resume=accepted.root / "second", budget="full")
    assert len(accepted.hosts.asked) == suite.plan.images()
    assert sorted(path.stem for path in (accepted.root / "second" / "drafts").rglob("*.json")) == ["cat", "cup"]
    assert [one["images"] for one in after["verdicts"]] == [one["images"] for one in before["verdicts"]]


def test_without_a_baseline_the_whole_plan_is_made(bench: Any) -> None:
    """There is nothing to settle, and the pictures become drafts."""
    suite, _ = bench.whole(budget="gate")
    assert len(bench.hosts.asked) == suite.plan.images()
    assert (bench.root / "here" / "drafts").is_dir()


@pytest.mark.parametrize("given", [{"null": 1}, {"update_baselines": True}])
def test_what_becomes_a_baseline_makes_its_whole_plan(accepted: Any, given: dict[str, Any]) -> None:
    """Whatever budget was asked."""
    suite, _ = run(accepted, budget="gate", **given)
    assert suite.run.manifest["budget"] == "full"


def test_a_failure_after_a_cell_was_settled_is_not_lost(accepted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only counts is counted over everything that was made: a picture that never came makes its settled cells errors."""
    _, whole = run(accepted, "first", budget="gate")
    made = whole["measured"]["images"]
    accepted.card(more=accepted.ceilings, raise_at=str(made - 1))
    suite, data = run(accepted, budget="gate")
    drift = suite.verdict(Cell(gate="drift", model="toy", task="all"))
    assert drift.status is Status.ERROR, drift.reason
    assert data["outcome"]["red"]


def test_two_arms_are_looked_at_together(bench: Any) -> None:
    """Both stop at the same round, and neither has images that the other lacks."""
    bench.card("other")
    bench.seeds(12)
    suite, _ = bench.whole(models=("toy",), against="other", budget="gate", gates=("usability", "latency"))
    arms = [[call.first.pair for calls in suite.asked(card) for call in calls] for card in suite.setup.cards]
    assert arms[0] == arms[1]
    assert len(arms[0]) == len([1 for model, _ in bench.hosts.asked if model == "toy"])


def test_policy_of_the_run_is_what_the_report_states(accepted: Any) -> None:
    """And not a look's share of it."""
    _, data = run(accepted, budget="gate")
    assert data["outcome"]["false_alarms"] == Policy().false_alarms


def test_a_changed_model_waits_for_what_its_pictures_show_of_the_prompts() -> None:
    """CHANGED is no last word while alignment is open."""
    from swapgate.gates.verdict import Finding, Verdict

    def found(status: Status, futile: bool) -> Verdict:
        one = Finding(name="alignment", status=status, effect=None, low=None, high=None, limit=None, unit="", n=1, reason="", futile=futile)
        return Verdict(gate="drift", model="m", task="all", status=Status.CHANGED, reason="", next="", finding=one, findings=(one,))

    assert not is_settled(found(Status.INCONCLUSIVE, False))
    assert is_settled(found(Status.INCONCLUSIVE, True))
    assert is_settled(found(Status.PASS, False))

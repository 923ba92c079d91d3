"""What a cell is held against: baselines, the measured null, or another arm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status
from swapgate.suite.judging import evidence, recorded_edits, reference
from swapgate.suite.planning import Cell


def test_evidence_of_a_cell_is_made_once(bench: Any) -> None:
    """Five gates read the same object."""
    suite, _ = bench.whole()
    assert evidence(suite, "toy", "all") is evidence(suite, "toy", "all")
    assert evidence(suite, "toy", "cup") is not evidence(suite, "toy", "all")


def test_without_a_baseline_there_is_nothing_to_hold_against(bench: Any) -> None:
    """And the reason says so."""
    suite, _ = bench.whole()
    found = reference(suite, suite.card("toy"), suite.setup.tasks["toy"])
    assert (found.arm, found.null, found.incomparable) == (None, None, "")
    assert found.accepted == "nothing was accepted for this task yet"
    assert found.no_cost


def test_the_pool_is_held_against_the_baselines_of_all_tasks(bench: Any) -> None:
    """Scores and cost of every task, the null of every task."""
    bench.whole(null=2)
    bench.accept()
    suite, _ = bench.whole(run_dir=bench.root / "second")
    found = evidence(suite, "toy", "all")
    assert found.baseline is not None
    assert found.baseline.cost is not None
    assert found.candidate.cost is not None
    assert sorted(found.baseline.cost.seconds) == pytest.approx(sorted(found.candidate.cost.seconds), rel=1e-4)
    assert {score.pair for score in found.baseline.scores} == {score.pair for score in found.candidate.scores}
    assert found.null is not None
    assert (len(found.null.drifts), found.null.processes) == (6, 2)


def test_a_baseline_of_one_task_only_decides_no_cost_of_the_pool(bench: Any) -> None:
    """The cost of a part would be held against the cost of all."""
    bench.whole()
    bench.accept()
    for path in (bench.root / "baselines").rglob("cat.json"):
        path.unlink()
    suite, _ = bench.whole(run_dir=bench.root / "second")
    verdict = suite.verdict(Cell(gate="latency", model="toy", task="all"))
    assert verdict.status is not Status.PASS or "no comparison was possible" in verdict.reason
    assert evidence(suite, "toy", "all").no_cost
    assert not evidence(suite, "toy", "cup").no_cost


def test_a_baseline_is_read_on_the_scale_of_the_run(bench: Any) -> None:
    """Its own normalised numbers were made with another one."""
    bench.whole()
    bench.accept()
    for path in (bench.root / "baselines").rglob("*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        for score in data["quality"]["scores"]:
            score["normalised"] = 0.123
        path.write_text(json.dumps(data), encoding="utf-8")
    suite, _ = bench.whole(run_dir=bench.root / "second")
    found = evidence(suite, "toy", "all")
    assert found.baseline is not None
    theirs = {score.pair: score for score in found.baseline.scores}
    assert all(score.normalised == pytest.approx(theirs[score.pair].normalised, abs=1e-4) for score in found.candidate.scores)


def test_requests_that_ask_for_something_else_make_the_baseline_incomparable(bench: Any) -> None:
    """A changed call under the same pair: the count and one example are named."""
    bench.whole()
    bench.accept()
    for path in (bench.root / "baselines").rglob("cup.json"):
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
        for score in data["quality"]["scores"]:
            score["recipe"] = "0" * 16
        path.write_text(json.dumps(data), encoding="utf-8")
    suite, _ = bench.whole(run_dir=bench.root / "second")
    assert "requests ask for something else than at the baseline" in evidence(suite, "toy", "cup").incomparable
    assert evidence(suite, "toy", "cat").incomparable == ""
    assert suite.verdict(Cell(gate="usability", model="toy", task="cup")).status is Status.INCOMPARABLE


def test_an_ab_cell_is_held_against_the_other_arm_of_the_run(bench: Any) -> None:
    """Its pictures and its cost; no null, no baseline."""
    bench.card("other", weights="other")
    bench.whole()
    bench.accept()
    suite, _ = bench.whole(models=("other",), against="toy", run_dir=bench.root / "ab")
    found = evidence(suite, "other", "all")
    assert found.baseline is not None
    assert (found.baseline.model, found.null, found.against, found.interleaved) == ("toy", None, "toy", True)
    assert len(found.drifts) == 9


def test_drift_is_measured_on_counted_pictures_as_written(bench: Any) -> None:
    """Second images of a round and rewordings have no reference picture."""
    bench.tasks("images_per_round = 2")
    bench.whole()
    bench.accept()
    bench.card("toy", noise=0.2)
    suite, _ = bench.whole(run_dir=bench.root / "second")
    pairs = [drift.pair for drift in evidence(suite, "toy", "all").drifts]
    assert len(pairs) == 9
    assert all(pair.count("/") == 3 and pair.endswith("/0") for pair in pairs)
    assert not any(drift.identical for drift in evidence(suite, "toy", "all").drifts)


def test_rewordings_of_the_accepted_baseline_are_used_again(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of hypothesis would draw others, of which nothing could be compared."""
    first, _ = bench.whole()
    bench.accept()
    monkeypatch.setattr("swapgate.wording.draw", lambda *given, **more: pytest.fail("drawn although all are recorded"))
    second = bench.open(run_dir=bench.root / "second")
    edits = [{(r.task, r.language, r.edits) for r in suite.plan.requests("toy") if r.edits} for suite in (first, second)]
    assert edits[0] == edits[1]
    assert len(edits[0]) == 6


def test_rewordings_of_another_prompt_are_not_used(bench: Any) -> None:
    """The edits fitted a text that is gone."""
    first, _ = bench.whole()
    bench.accept()
    card, (cup, cat) = first.card("toy"), first.setup.tasks["toy"]
    assert recorded_edits(first.store, first.setup, card, cat, "en")
    tasks = bench.root / "fixtures" / "tasks" / "toys.toml"
    tasks.write_text(tasks.read_text(encoding="utf-8").replace("an orange cat by", "an orange cat near"), encoding="utf-8")
    second = bench.open(run_dir=bench.root / "second")
    cup, cat = second.setup.tasks["toy"]
    assert recorded_edits(second.store, second.setup, card, cat, "en") == ()
    assert recorded_edits(second.store, second.setup, card, cup, "en")


def test_an_ab_run_takes_no_models_recorded_rewordings(bench: Any) -> None:
    """Both arms need the same ones."""
    bench.whole()
    bench.accept()
    bench.card("other")
    suite = bench.open(models=("other",), against="toy", run_dir=bench.root / "ab")
    assert recorded_edits(suite.store, suite.setup, suite.card("toy"), suite.setup.tasks["toy"][0], "en") == ()


def test_verdicts_name_the_run_in_the_next_command(bench: Any) -> None:
    """A command with a placeholder cannot be typed."""
    _, data = bench.whole()
    assert not [verdict for verdict in data["verdicts"] if "{run}" in verdict["next"]]


def test_a_model_that_was_not_loaded_is_held_against_nothing(bench: Any) -> None:
    """There is no cohort to look for."""
    bench.hosts.refuse["toy"] = bench.failed("toy")
    suite, _ = bench.whole()
    found = reference(suite, suite.card("toy"), suite.setup.tasks["toy"])
    assert (found.arm, found.accepted) == (None, "the model was not loaded")


def test_a_single_task_is_not_red_where_the_model_is_not(bench: Any) -> None:
    """One task of two gets worse by what three pairs can show: undecided, and it says why."""
    bench.card("weak", weights="weak", wrong_prompt=1.0)
    suite, _ = bench.whole(models=("weak",), against="toy")
    pooled, cat = (suite.verdicts[Cell(gate="usability", model="weak", task=task)] for task in ("all", "cat"))
    assert pooled.status is not Status.REGRESSION, "nine pairs cannot show it at a gate's share of 1 %"
    assert cat.status is Status.INCONCLUSIVE


def test_the_budget_is_shared_by_the_models_of_the_run(bench: Any) -> None:
    """The same evidence that is red alone at 5 % is not once another model shares the budget."""
    bench.card("weak", weights="weak", wrong_prompt=1.0)
    policy = Policy(draws=500, false_alarms=0.02)
    cell = Cell(gate="usability", model="weak", task="all")
    alone, _ = bench.whole(models=("weak",), against="toy", policy=policy, gates=("usability",))
    assert alone.verdicts[cell].status is Status.REGRESSION
    crowd = {f"more{i}" for i in range(6)}
    for name in crowd:
        bench.card(name, weights=name)
    shared, _ = bench.whole(models=("weak", *sorted(crowd)), against="toy", policy=policy, gates=("usability",), run_dir=bench.root / "crowd")
    assert shared.verdicts[cell].status is Status.INCONCLUSIVE


def test_a_cell_has_every_process_of_the_accepted_run_and_a_task_those_of_all(bench: Any) -> None:
    """Two more processes as the card says, of two tasks; the variation's time does not count."""
    bench.whole(null=3)
    bench.accept()
    suite, _ = bench.whole(run_dir=bench.root / "second")
    for task in ("all", "cup", "cat"):
        processes = evidence(suite, "toy", task).baseline.processes
        assert sorted((one.run, one.process, one.task) for one in processes) == [("here", n, name) for n in (0, 1, 3) for name in ("cat", "cup")]
        assert evidence(suite, "toy", task).processes == 3
        assert evidence(suite, "toy", task).candidate.processes == ()


def test_latency_against_a_baseline_is_decided_by_its_processes(bench: Any) -> None:
    """Unchanged passes where eight processes of the null were measured, and is undecided with the remedy where none was."""
    bench.whole(null=16)
    bench.accept()
    suite, _ = bench.whole(run_dir=bench.root / "second")
    assert suite.verdict(Cell(gate="latency", model="toy", task="all")).status is Status.PASS
    for path in (bench.root / "baselines").rglob("*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        data.pop("repeats", None)
        path.write_text(json.dumps(data), encoding="utf-8")
    suite, _ = bench.whole(run_dir=bench.root / "third")
    verdict = suite.verdict(Cell(gate="latency", model="toy", task="all"))
    assert verdict.status is Status.INCONCLUSIVE
    assert "accept again with --null=8" in verdict.reason
    assert verdict.next == "swapgate calibrate --model=toy"


def test_the_candidates_own_null_is_in_its_arm(bench: Any) -> None:
    """The run itself is process 0."""
    suite, _ = bench.whole(null=3)
    processes = evidence(suite, "toy", "all").candidate.processes
    assert [(one.process, one.task) for one in processes] == [(0, "cup"), (0, "cat"), (1, "cup"), (3, "cup"), (1, "cat"), (3, "cat")]

"""What a run's null shows of pictures and of cost."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.gates.evidence import Drift
from swapgate.suite.repeats import null_of, processes, repeats_of


def test_the_null_compares_repeats_with_the_runs_own_pictures(bench: Any) -> None:
    """The same model with the same seed draws the same picture here: every repeat is identical."""
    suite, _ = bench.whole(null=2)
    card = suite.card("toy")
    null = null_of(suite, card, suite.setup.tasks["toy"])
    assert null is not None
    assert all(drift.identical for drift in null.drifts)
    assert (null.processes, null.variations) == (2, ("1 thread", "fresh process"))
    only = null_of(suite, card, suite.setup.tasks["toy"][1:])
    assert only is not None
    assert [drift.pair for drift in only.drifts] == ["cat/en/1/0#1", "cat/en/1/0#2"]


def test_a_model_that_differs_from_itself_has_a_null_that_says_so(bench: Any) -> None:
    """The scripted noise is drawn anew for every repeat."""
    bench.card("toy", noise=0.3)
    suite, _ = bench.whole(null=1)
    null = null_of(suite, suite.card("toy"), suite.setup.tasks["toy"])
    assert null is not None
    assert all(isinstance(drift, Drift) and not drift.identical and drift.ssim < 1 for drift in null.drifts)


def test_a_repeat_counts_once_though_its_process_was_started_twice(bench: Any) -> None:
    """A resumed run journals the number again; twice the drifts would be twice the certainty."""
    suite, _ = bench.whole(null=1)
    suite.run.append({"event": "null", "model": "toy", "repeat": 1, "threads": None})
    suite.run.append({"event": "null", "model": "toy", "repeat": 2, "threads": 1})
    null = null_of(suite, suite.card("toy"), suite.setup.tasks["toy"])
    assert null is not None
    assert (len(null.drifts), null.processes, null.variations) == (3, 1, ("fresh process",))


def test_a_run_that_measured_no_null_has_none(bench: Any) -> None:
    """Not an empty one."""
    suite, _ = bench.whole()
    assert null_of(suite, suite.card("toy"), suite.setup.tasks["toy"]) is None


def test_every_drift_says_what_its_process_ran_under(bench: Any) -> None:
    """So that modes can be told by variation."""
    suite, _ = bench.whole(null=2)
    null = null_of(suite, suite.card("toy"), suite.setup.tasks["toy"])
    assert {(drift.pair.rpartition("#")[2], drift.variation) for drift in null.drifts} == {("1", "fresh process"), ("2", "1 thread")}


def test_a_journal_of_before_variations_had_names_is_read_by_its_threads(bench: Any) -> None:
    """None is a fresh process, 1 is one thread."""
    suite, _ = bench.whole()
    for repeat, threads in ((1, None), (2, 1)):
        suite.run.append({"event": "null", "model": "toy", "repeat": repeat, "threads": threads})
    suite.run.append({"event": "null", "model": "other", "repeat": 3, "threads": None})
    assert [(one.number, one.variation, one.whole) for one in processes(suite, "toy")] == [(1, "fresh process", True), (2, "1 thread", True)]


def test_costs_are_of_processes_as_the_card_says_without_their_first_calls(bench: Any) -> None:
    """Of three processes the second ran with one thread; six calls in each, of which the very first is cup's."""
    suite, _ = bench.whole(null=3)
    cup, cat = (repeats_of(suite, suite.card("toy"), task) for task in suite.setup.tasks["toy"])
    assert [(one.run, one.process, one.task) for one in cup] == [("here", 1, "cup"), ("here", 3, "cup")]
    assert [one.cost.calls for one in (*cup, *cat)] == [3, 3, 2, 2]
    assert [one.cost.numbers for one in (*cup[:1], *cat[:1])] == [(1, 3, 4), (2, 5)]
    made = suite.run.generations()
    times = {generation.times.total for generation in made.values()}
    assert {value for one in (*cup, *cat) for value in one.cost.seconds} <= times
    assert cup[0].cost.seconds != cup[1].cost.seconds
    assert cup[0].cost.load_seconds is None


def test_a_process_that_was_cut_off_has_pictures_and_no_cost(bench: Any) -> None:
    """Begun again under its number, it is two processes: a median over both would be neither's."""
    suite, _ = bench.whole(null=3)
    suite.run.append({"event": "null", "model": "toy", "repeat": 3, "threads": None, "variation": "fresh process"})
    card, tasks = suite.card("toy"), suite.setup.tasks["toy"]
    assert [one.process for one in repeats_of(suite, card, tasks[0])] == [1]
    assert null_of(suite, card, tasks).processes == 3


@pytest.mark.parametrize("null", [0, 1])
def test_a_null_without_a_finished_call_gives_no_repeats(bench: Any, null: int) -> None:
    """None measured; or every call of it failed."""
    if null:
        bench.card("toy", raise_at=",".join(str(n) for n in range(1, 40)))
    suite, _ = bench.whole(null=null)
    card = suite.card("toy")
    assert all(repeats_of(suite, card, task) == () for task in suite.setup.tasks["toy"])
    assert null_of(suite, card, suite.setup.tasks["toy"]) is None


def test_throttling_in_a_process_of_the_null_is_in_its_cost(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as any other."""
    from dataclasses import replace

    from swapgate.runs.records import DeviceHealth

    suite, _ = bench.whole(null=1)
    made = {key: replace(one, device=DeviceHealth(throttle=("software-thermal",))) for key, one in suite.run.generations().items()}
    monkeypatch.setattr(type(suite.run), "generations", lambda self: made)
    assert repeats_of(suite, suite.card("toy"), suite.setup.tasks["toy"][0])[0].cost.throttled == ("software-thermal",)

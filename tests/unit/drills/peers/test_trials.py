"""What is read out of a drill folder, and which set each run belongs to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.drills.catalogue import CATALOGUE, drill
from swapgate.drills.jobs import Job, controls
from swapgate.drills.peers.trials import _OTHER_SIZE, GATES_OF, place, read
from swapgate.errors import RunBroken, UserError
from swapgate.runs.records import Failure


def job(name: str, dose: Any = "moderate", repeat: int = 1) -> Job:
    one = drill(name)
    return Job(drill=one, dose=dose, spec=one.doses[dose], repeat=repeat)


# ---------------------------------------------------------------- the sets


def test_the_control_and_repeats_of_the_same_are_a(a_trial: Any) -> None:
    """Nothing was changed."""
    assert {place(a_trial("h0", of="nothing"), kind) for kind in GATES_OF} == {"A"}
    assert place(a_trial("h0"), "drift") == "A"


def test_a_repeat_with_a_legal_change_is_b_for_pictures_alone(a_trial: Any) -> None:
    """One thread is another recipe for time, and so is a null process for its few calls."""
    changed = a_trial("h0", variation="threads: 1")
    assert [place(changed, kind) for kind in GATES_OF] == ["B", "B", None, None]
    assert [place(a_trial("h0"), kind) for kind in GATES_OF] == ["A", "A", None, None]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("black", ["C", "C", "B", "B"]),
        ("weight-noise", ["C", None, "B", "B"]),
        ("slow-steps", ["B", "B", "C", "B"]),
        ("leak", ["B", "B", None, "C"]),
        ("max-shift-rounded", ["B", "B", "B", "B"]),
        ("generator-device", ["C", "B", "B", "B"]),
        ("needless-mask", ["B", "B", None, None]),
        ("table-upload", ["B", "B", None, None]),
    ],
)
def test_a_drill_belongs_where_the_catalogue_puts_it(a_trial: Any, name: str, places: list[str | None]) -> None:
    """C where a gate that watches the same must fire, B where it must be quiet, else nowhere; drills of specificity are no exception."""
    assert [place(a_trial("far0", of=name), kind) for kind in GATES_OF] == places


def test_a_mild_dose_stands_apart(a_trial: Any) -> None:
    """It lies at the floor, where nobody must see it; a harmless drill is harmless at any dose."""
    assert place(a_trial("near0", of="weight-noise", dose="mild"), "drift") == "mild"
    assert place(a_trial("near0", of="slow-steps", dose="mild"), "drift") == "B"


def test_a_fault_that_changed_no_picture_is_not_there_to_be_seen(a_trial: Any) -> None:
    """By rules on pictures; a fault of time is, by those on time."""
    assert place(a_trial("h0", "h1", of="redundant-step"), "drift") is None
    assert place(a_trial("h0", "h1", of="slow-steps"), "latency") == "C"
    assert place(a_trial("h0", "near1", of="redundant-step"), "drift") == "C"


def test_every_drill_of_the_catalogue_is_c_or_b_for_something(a_trial: Any) -> None:
    """None is made for nothing."""
    for one in CATALOGUE:
        assert any(place(a_trial("far0", of=one.id), kind) for kind in GATES_OF), one.id


# ---------------------------------------------------------------- the folder


def test_a_run_is_paired_with_the_honest_one_request_by_request(folder: Any, picture: Any) -> None:
    """Prompts as written; a reworded one belongs to another gate."""
    folder.run("weight-noise/moderate-1", picture(9), picture(1), picture(2), picture(3), spec="noise:0.2", red={"drift"})
    found = read(folder.out, "m", [job("weight-noise")])
    (trial,) = found.trials
    assert [pair.request for pair in trial.pairs] == ["cup/en/1/0", "cup/en/2/0", "cup/en/3/0"]
    assert [pair.same for pair in trial.pairs] == [False, True, True]
    assert (trial.name, trial.dose, trial.red, trial.unsure) == ("weight-noise/moderate-1", "moderate", {"drift"}, {"stability"})
    assert np.array_equal(found.load(trial.pairs[0].picture or ""), picture(9))
    assert np.array_equal(found.load(trial.pairs[0].reference), picture(0))


def test_a_picture_that_was_not_made_is_a_pair_without_one(folder: Any, picture: Any) -> None:
    """The request failed; one that a run never asked for, because it was settled before, is no pair."""
    folder.run("black/moderate-1", picture(0), None, spec="black-decoder")
    (trial,) = read(folder.out, "m", [job("black")]).trials
    assert [(pair.request, pair.picture is None) for pair in trial.pairs] == [("cup/en/1/0", False), ("cup/en/2/0", True)]
    assert trial.changed


def test_the_null_of_the_honest_run_gives_a_trial_for_every_process(folder: Any, picture: Any) -> None:
    """What a process changed is its variation, whatever the line of its beginning calls it."""
    folder.null(1, picture(0))
    folder.null(2, picture(5), threads=1)
    folder.null(3, picture(6), threads=None, variation="math attention")
    first, second, third = read(folder.out, "m", []).trials
    assert [(one.name, one.variation, one.whole, len(one.pairs)) for one in (first, second, third)] == [
        ("null process 1", "", False, 1),
        ("null process 2 (1 thread)", "1 thread", False, 1),
        ("null process 3 (math attention)", "math attention", False, 1),
    ]
    assert not first.changed
    assert second.changed


def test_calls_have_their_cost_without_the_first(folder: Any, picture: Any) -> None:
    """Seconds, the median of the steps, and the peak: resident where nothing is allocated on a device."""
    folder.run("slow-steps/moderate-1", picture(0), picture(1), picture(2), spec="slow:1.5", red={"latency"}, seconds=1.5)
    found = read(folder.out, "m", [job("slow-steps")])
    (trial,) = found.trials
    assert [(call.seconds, call.median_step, call.peak) for call in trial.calls] == [(1.5, 0.25, 901.0), (1.5, 0.25, 902.0)]
    assert len(found.honest.calls) == 3
    assert {call.size for call in trial.calls} == {call.size for call in found.honest.calls}


def test_a_picture_that_was_refused_for_its_size_is_known_as_such(folder: Any, picture: Any) -> None:
    """In the words of the host that refuses it."""
    from swapgate.hosts import child

    assert _OTHER_SIZE in Path(child.__file__).read_text(encoding="utf-8")
    path = folder.out / "runs" / "nothing" / "moderate-1"
    run = folder.write(path, {0: picture(0), 1: None})
    failed = run.generations()[folder.requests[1].key]
    message = f"ValueError: {_OTHER_SIZE} 112 x 128; the request asks for 128 x 128"
    run.add_generation(replace(failed, failure=Failure(kind="exception", message=message, stage="decoding")))
    run.close()
    folder.judged(path, set())
    (trial,) = read(folder.out, "m", controls(1)).trials
    assert [(pair.picture is None, pair.refused) for pair in trial.pairs] == [(False, False), (True, True)]


def test_calls_stand_in_the_order_in_which_they_were_made(folder: Any, picture: Any) -> None:
    """Whatever the order of the plan: a retry comes after what it repeats."""
    path = folder.out / "runs" / "nothing" / "moderate-1"
    run = folder.write(path, {0: picture(0)})
    for number, place_in_plan in ((1, 2), (2, 1)):
        folder.add(run, folder.requests[place_in_plan], picture(place_in_plan), number=number, seconds=float(number))
    run.close()
    folder.judged(path, set())
    (trial,) = read(folder.out, "m", controls(1)).trials
    assert [call.seconds for call in trial.calls] == [1.0, 2.0]


def test_what_proves_nothing_is_left_out_with_its_reason(folder: Any, picture: Any) -> None:
    """A fault that did not act, and a run that is another fault's."""
    folder.run("weight-noise/moderate-1", picture(0), spec="noise:0.2", acted=False)
    folder.run("black/moderate-1", picture(0), spec="noise:0.2")
    found = read(folder.out, "m", [job("weight-noise"), job("black"), job("leak")])
    assert found.trials == ()
    assert len(found.left_out) == 3
    assert "did not act" in found.left_out[0]
    assert found.left_out[1].startswith("black/moderate-1:")


def test_a_legal_run_is_a_whole_run_of_its_own(folder: Any, picture: Any) -> None:
    """With this suite's verdict."""
    path = folder.run("x", picture(0), picture(7))
    (trial,) = read(folder.out, "m", [], legal=[("2 threads", path)]).trials
    assert (trial.name, trial.variation, trial.whole, trial.drill) == ("legal/x", "2 threads", True, None)


def test_the_control_is_a_trial_like_any_other(folder: Any, picture: Any) -> None:
    """Its drill is the control's."""
    folder.run("nothing/moderate-1", picture(0), picture(1), picture(2))
    (trial,) = read(folder.out, "m", controls(1)).trials
    assert place(trial, "memory") == "A"


def test_a_lost_picture_is_said(folder: Any) -> None:
    """Which, and that no run has it."""
    with pytest.raises(RunBroken, match="must be in a run"):
        read(folder.out, "m", []).load("ab" * 32)


def test_without_an_honest_run_there_is_nothing_to_compare_with(tmp_path: Any) -> None:
    """A mistake of the user, said as such."""
    with pytest.raises(UserError):
        read(tmp_path, "m", [])

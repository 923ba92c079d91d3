"""What a drilled run showed, read from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.canonical import dumps
from swapgate.drills.jobs import Job
from swapgate.drills.outcome import Outcome, read_outcome
from swapgate.engines.faults import note
from swapgate.errors import RunBroken, UserError
from swapgate.gates.verdict import GATES, Status
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Failure, Generation

SPEC = "slow:3"


def generation(*notes: str, request: str = "r1", image: str | None = "ab" * 32, failure: Failure | None = None) -> Generation:
    return Generation(
        request=request, image=image, width=8, height=8, mode="RGB", call=request, images_in_call=1, number=0, first_call=False, times=None, memory=None,
        forwards=None, notes=notes, failure=failure,
    )  # fmt: skip


def recorded(path: Path, made: Any, *generations: Generation, verdicts: list[Any] | None = None) -> Path:
    folder = RunFolder.create(path, {"cards": {"m": {"faults": [SPEC]}}, "plan": []})
    for one in generations:
        folder.add_generation(one)
    folder.close()
    said = verdicts if verdicts is not None else [made.verdict(gate, "m", "all", Status.PASS) for gate in GATES]
    (path / "verdicts.json").write_text(dumps({"schema": 1, "verdicts": [one.as_json() for one in said]}), encoding="utf-8")
    return path


def outcome(path: Path, a_drill: Any) -> Outcome:
    return read_outcome(Job(drill=a_drill(severe=SPEC), dose="severe", spec=SPEC, repeat=1), path, "m", run="runs/x")


def test_the_last_line_in_which_the_fault_acted_is_the_proof(tmp_path: Path, made: Any, a_drill: Any) -> None:
    """A process that was started again counts from nothing; that it acted before is still true."""
    lines = [note(f"{SPEC}: {text}", acted=acted) for text, acted in (("0 s added", False), ("3 s added", True), ("0 s added", False))]
    run = recorded(tmp_path / "run", made, *(generation(line, request=f"r{n}") for n, line in enumerate(lines)))
    found = outcome(run, a_drill)
    assert (found.proof, found.error) == ("3 s added", "")


@pytest.mark.parametrize(
    ("notes", "failure", "said"),
    [
        ([note(f"{SPEC}: 0 s added", acted=False)], None, "0 s added"),
        ([note("slow:30: 9 s added", acted=True)], None, "no line of it"),
        ([], Failure(kind="host-death", message="it was ended", stage="loading"), "it was ended"),
    ],
)
def test_a_fault_without_a_proof_is_an_error(tmp_path: Path, made: Any, a_drill: Any, notes: list[str], failure: Failure | None, said: str) -> None:
    """Lines of another fault are none of this one's."""
    found = outcome(recorded(tmp_path / "run", made, generation(*notes, failure=failure)), a_drill)
    assert found.error.startswith("the fault did not act")
    assert said in found.error


def test_a_picture_that_failed_can_still_prove_the_fault(tmp_path: Path, made: Any, a_drill: Any) -> None:
    """A picture of the wrong size is refused, and its call has said what was done."""
    failed = generation(note(f"{SPEC}: 1 call", acted=True), image=None, failure=Failure(kind="exception", message="wrong size", stage="decode"))
    assert outcome(recorded(tmp_path / "run", made, failed), a_drill).error == ""


def test_a_gate_is_red_when_any_of_its_cells_is(tmp_path: Path, made: Any, a_drill: Any) -> None:
    """The pooled cell speaks first; where only a task is red, that task's."""
    verdicts = [
        made.verdict("drift", "m", "cup", Status.REGRESSION),
        made.verdict("drift", "m", "all", Status.PASS),
        made.verdict("memory", "m", "cup", Status.REGRESSION),
        made.verdict("memory", "m", "all", Status.ERROR),
        made.verdict("latency", "m", "cup", Status.INCONCLUSIVE),
        made.verdict("latency", "m", "all", Status.PASS),
    ]
    found = outcome(recorded(tmp_path / "run", made, generation(note(f"{SPEC}: 1", acted=True)), verdicts=verdicts), a_drill)
    assert found.alarms == ("drift/m/cup", "memory/m/cup", "memory/m/all")
    assert {gate: (one.red, one.decided, one.cell, one.status) for gate, one in found.seen.items()} == {
        "drift": (True, True, "drift/m/cup", "REGRESSION"),
        "memory": (True, False, "memory/m/all", "ERROR"),
        "latency": (False, True, "latency/m/all", "PASS"),
        "usability": (False, False, "usability", "not judged"),
        "stability": (False, False, "stability", "not judged"),
    }


def test_equal_pictures_have_one_digest(tmp_path: Path, made: Any, a_drill: Any) -> None:
    """Whatever their times; another picture has another."""
    line = note(f"{SPEC}: 1", acted=True)
    same = [outcome(recorded(tmp_path / name, made, generation(line)), a_drill).pictures for name in ("a", "b")]
    other = outcome(recorded(tmp_path / "c", made, generation(line, image="cd" * 32)), a_drill).pictures
    assert same[0] == same[1] != other


def test_a_folder_of_another_fault_or_without_verdicts_is_refused(tmp_path: Path, made: Any, a_drill: Any) -> None:
    """Nothing is read into it."""
    run = recorded(tmp_path / "run", made, generation())
    with pytest.raises(UserError, match="the run of slow:2"):
        read_outcome(Job(drill=a_drill(severe="slow:2"), dose="severe", spec="slow:2", repeat=1), run, "m", run="x")
    (run / "verdicts.json").write_text(json.dumps({"schema": 1}), encoding="utf-8")
    with pytest.raises(RunBroken):
        outcome(run, a_drill)

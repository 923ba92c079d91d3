"""Every gate turns red on its own fault and leaves the others as they were, end to end on the scripted engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swapgate.exits import Exit

if TYPE_CHECKING:
    from conftest import Project

GATES = ("latency", "memory", "usability", "drift", "stability")


@pytest.mark.parametrize(
    ("fault", "red"),
    [
        ({"slow": 1.3}, {"latency"}),
        ({"leak_mib": 5.0}, {"memory"}),
        ({"memory_mib": 800.0}, {"memory"}),
        ({"black": 1.0}, {"usability", "drift"}),
        ({"blank": 0.5}, {"usability", "drift"}),
        ({"noise": 0.4}, {"drift"}),
        ({"wrong_prompt": 0.5}, {"usability", "drift"}),
        ({"wrong_rewording": 1.0}, {"stability"}),
        ({"no_guidance": True}, {"drift"}),
    ],
    ids=lambda value: "+".join(sorted(value)),
)
def test_a_planted_fault_turns_its_own_gate_red(project: Project, fault: dict[str, object], red: set[str]) -> None:
    """The fault is planted in a model whose honest run is the baseline, cost included."""
    project.accept(cost=True)
    project.card("toy", **fault)
    result = project.run("--run-dir=faulty")
    found = project.verdicts(project.path / "faulty")
    seen = {gate for gate in GATES if found[f"{gate}/toy/all"] == "REGRESSION"}
    assert red <= seen, result.stdout.str()
    assert seen <= red | companions(fault), result.stdout.str()
    assert result.ret == Exit.REGRESSION


def companions(fault: dict[str, object]) -> set[str]:
    """Gates that may rightly be red as well: a picture that misses its prompt at random also misses it for some rewordings."""
    return {"usability", "stability"} if {"blank", "wrong_prompt", "noise"} & set(fault) else set()


@pytest.mark.parametrize(
    ("option", "kind"), [("raise_at", "exception"), ("oom_at", "out-of-memory"), ("crash_at", "host-death"), ("hang_at", "time-out")]
)
def test_a_failed_generation_is_an_error_of_the_cells_that_needed_it(project: Project, option: str, kind: str) -> None:
    """Other tasks and models go on; the reason names what happened."""
    project.card("toy", timeout=3.0, **{option: "3"})
    project.card("other")
    result = project.run("--model=toy,other", "--run-dir=here")
    assert result.ret == Exit.ERROR
    found = project.verdicts(project.path / "here")
    broken = {cell for cell, status in found.items() if status == "ERROR"}
    assert broken
    assert all(cell.split("/")[1] == "toy" for cell in broken)
    assert {cell.split("/")[2] for cell in broken} == {"all", "cat"}, "image 3 of the first process belongs to the cat task"
    assert kind in result.stdout.str()


def test_a_model_that_does_not_load_is_an_error_and_others_go_on(project: Project) -> None:
    """An unknown option of the engine is found when the model is loaded, once; the other model is judged all the same."""
    project.card("bad", nonsense=1)
    result = project.run("--model=bad,toy", "--run-dir=here")
    assert result.ret == Exit.ERROR
    result.stdout.fnmatch_lines(["*options.nonsense = *", "*an option of the scripted engine*", "*did you mean*"])
    assert result.stdout.str().count("bad: loading") == 1, "it is not tried again for every cell"
    found = project.verdicts(project.path / "here")
    assert {status for cell, status in found.items() if "/bad/" in cell} == {"ERROR"}
    assert {status for cell, status in found.items() if "/toy/" in cell} == {"NEW", "PASS"}

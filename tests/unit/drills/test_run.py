"""The runner of drills: what it makes and in which order, what it keeps, and what one broken drill leaves of the others."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from swapgate.baselines.store import Store
from swapgate.drills.matrix import Mark, Matrix
from swapgate.drills.run import Ask, drill
from swapgate.errors import UserError
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status

CARD = 'engine = "scripted"\nsource = "any"\ntasks = ["f"]\njudge = { source = "scripted" }\n'


def drilled(project: Any, *drills: Any, policy: Policy | None = None, **changes: Any) -> Matrix:
    return drill(project.config, project.ask(*drills, **changes), policy or Policy(), make=project.engine)


def marks(matrix: Matrix, row: int = 0) -> dict[str, Mark]:
    return {entry.gate: entry.mark for entry in matrix.rows[row].entries}


def test_an_honest_run_with_its_null_becomes_the_baseline_of_the_faulty_ones(project: Any) -> None:
    """It comes first, has no fault, and is accepted into a store of the drill's own, cost included."""
    project.engine.red = {"black-decoder": {"drift"}}
    matrix = drilled(project, null=3)
    honest, faulty = project.engine.asked
    assert (honest.faults, honest.null, honest.run_dir) == ((), 3, project.out / "honest")
    assert (faulty.faults, faulty.null, faulty.run_dir) == (("black-decoder",), 0, project.out / "runs" / "black" / "severe-1")
    accepted = list(Store(project.out / "baselines").list())
    assert {one.task for one in accepted} == {"cup", "cat"}
    assert all(one.cost for one in accepted)
    assert not (project.root / "baselines").exists()
    assert marks(matrix)["drift"] is Mark.CAUGHT
    assert matrix.usable == (4, 6)
    assert matrix.tasks == ("cup", "cat")


def test_ci_does_not_forbid_a_baseline_that_is_none_of_the_project(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a parallel worker: the folder is the user's own choice."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert drilled(project).rows


def test_the_proof_stands_in_the_row(project: Any) -> None:
    """The fault's own words after it acted, not those of before."""
    assert drilled(project).rows[0].proof == "7 calls changed"


def test_a_fault_that_did_not_act_is_an_error_of_its_drill(project: Any, a_drill: Any) -> None:
    """Whatever the gates said: nothing is counted, and the line of the fault says what it did."""
    project.engine.red = {"black-decoder": {"drift"}}
    project.engine.lazy = frozenset({"black-decoder"})
    matrix = drilled(project)
    assert matrix.rows[0].errors == ("repeat 1: the fault did not act: 0 calls changed",)
    assert set(marks(matrix).values()) == {Mark.ERROR}
    assert matrix.tripped == ()
    assert matrix.red


def test_a_model_that_does_not_load_with_the_fault_is_an_error_that_says_why(project: Any) -> None:
    """There is no line of the fault, so the failure is shown."""
    project.engine.unloadable = frozenset({"black-decoder"})
    assert drilled(project).rows[0].errors == ("repeat 1: the fault did not act: no such part",)


@pytest.mark.parametrize(
    ("problem", "said"),
    [(RuntimeError("it broke"), "RuntimeError: it broke"), (UserError(where="x", rule="a rule", remedy="mend it"), "rule: a rule")],
)
def test_one_failing_drill_does_not_stop_the_others(project: Any, a_drill: Any, problem: Exception, said: str) -> None:
    """It is an error of its row; the next one is made and judged."""
    project.engine.raises = {"leak:8": problem}
    project.engine.red = {"black-decoder": {"drift"}}
    matrix = drilled(project, a_drill("leaks", severe="leak:8"), a_drill())
    assert said in matrix.rows[0].errors[0]
    assert marks(matrix, 1)["drift"] is Mark.CAUGHT


def test_a_finished_run_is_not_made_again(project: Any, a_drill: Any) -> None:
    """The second time only what is new is made, and the matrix is that of all."""
    project.engine.red = {"black-decoder": {"drift"}}
    first = drilled(project)
    project.engine.asked.clear()
    second = drilled(project, a_drill(), a_drill("leaks", severe="leak:8"))
    assert project.engine.specs == ["leak:8"]
    assert second.rows[0] == first.rows[0]


def test_an_interrupted_drill_goes_on_where_it_was(project: Any, a_drill: Any) -> None:
    """An interruption ends the command; the run that was cut off is taken up again, finished ones are left."""
    both = (a_drill(), a_drill("leaks", severe="leak:8"), a_drill("slow", severe="slow:3"))
    project.engine.raises = {"leak:8": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        drilled(project, *both)
    assert project.engine.specs == ["black-decoder", "leak:8"]
    project.engine.raises.clear()
    project.engine.asked.clear()
    matrix = drilled(project, *both)
    assert project.engine.specs == ["leak:8", "slow:3"]
    again, new = project.engine.asked
    assert (again.resume, again.run_dir) == (project.out / "runs" / "leaks" / "severe-1", None)
    assert (new.resume, new.run_dir) == (None, project.out / "runs" / "slow" / "severe-1")
    assert not matrix.errors


def test_an_interrupted_honest_run_goes_on_with_its_null(project: Any) -> None:
    """Nothing is drilled against half a baseline."""
    drilled(project, null=5)
    (project.out / "honest" / "verdicts.json").unlink()
    project.engine.asked.clear()
    with pytest.raises(UserError, match="a new run needs a folder"):
        drilled(project, null=5)  # the stand-in writes its folder anew; the real suite takes it up
    assert (project.engine.asked[0].resume, project.engine.asked[0].null) == (project.out / "honest", 5)


@pytest.mark.parametrize(
    ("changes", "key"), [({"tasks": ("cup",)}, "tasks"), ({"null": 9}, "null"), ({"policy": Policy(false_alarms=0.05)}, "false_alarms")]
)
def test_a_folder_is_gone_on_with_as_it_was_begun(project: Any, changes: dict[str, Any], key: str) -> None:
    """Drills of other things would be held against a baseline that is not theirs."""
    drilled(project, null=4)
    with pytest.raises(UserError) as caught:
        drilled(project, **{"null": 4, **changes})
    assert caught.value.key == key
    assert "--out" in caught.value.remedy


def test_a_changed_card_needs_another_folder(project: Any) -> None:
    """Its honest run is not that of the folder."""
    drilled(project)
    project.card(CARD + "[options]\nlatency = 0.5\n")
    with pytest.raises(UserError) as caught:
        drilled(project)
    assert caught.value.key == "card"


def test_the_run_of_another_fault_is_not_taken_for_this_one(project: Any, a_drill: Any) -> None:
    """A catalogue whose doses changed since: the old run proves nothing of the new dose."""
    drilled(project)
    matrix = drilled(project, a_drill(severe="slow:3"))
    assert "the run of slow:3" in matrix.rows[0].errors[0]


def test_repeats_and_doses_have_runs_of_their_own(project: Any, a_drill: Any) -> None:
    """In the order of doses, each repeat once."""
    matrix = drilled(project, a_drill(mild="noise:0.05"), doses=("mild", "severe"), repeats=2)
    assert project.engine.specs == ["noise:0.05", "noise:0.05", "black-decoder", "black-decoder"]
    assert [row.runs for row in matrix.rows] == [("runs/black/mild-1", "runs/black/mild-2"), ("runs/black/severe-1", "runs/black/severe-2")]


def test_a_control_has_nothing_planted_and_comes_last(project: Any, a_drill: Any) -> None:
    """No gate may fire in it; one that does is unexpected."""
    project.engine.red = {"black-decoder": {"drift"}, "": {"latency"}}
    matrix = drilled(project, a_drill(), control=True, repeats=2)
    assert [options.faults for options in project.engine.asked[1:]] == [("black-decoder",)] * 2 + [()] * 2
    row = matrix.rows[-1]
    assert (row.drill, row.spec, row.proof, row.errors, len(row.runs)) == ("nothing", "", "nothing was planted", (), 2)
    assert marks(matrix, -1) == {"latency": Mark.UNEXPECTED} | dict.fromkeys(("memory", "usability", "drift", "stability"), Mark.QUIET)
    assert matrix.tripped == ("drift",)
    assert len(drilled(project, a_drill(), repeats=2).rows) == 1


def test_a_drill_that_does_not_apply_is_listed_and_never_made(project: Any, a_drill: Any) -> None:
    """With the reason; it is no row."""
    matrix = drilled(project, a_drill(), a_drill("theta", moderate="rope-theta:1000", severe="rope-theta:100"))
    assert project.engine.specs == ["black-decoder"]
    assert [(one.drill, "rope-theta" in one.reason) for one in matrix.skipped] == [("theta", True)]
    assert len(matrix.rows) == 1


def test_the_whole_catalogue_shows_which_gates_are_dead(project: Any, a_drill: Any) -> None:
    """After a choice of drills the same gates are only not tripped."""
    project.engine.red = {"black-decoder": {"drift", "usability"}}
    whole = drilled(project, a_drill(), whole=True)
    assert whole.dead == ("latency", "memory", "stability")
    assert whole.red
    chosen = drilled(project, a_drill())
    assert (chosen.dead, chosen.untripped, chosen.red) == ((), ("latency", "memory", "stability"), False)


def test_a_card_with_faults_of_its_own_is_refused(project: Any) -> None:
    """Its honest run would not be honest."""
    project.card(CARD.replace("tasks", 'faults = ["slow:2"]\ntasks'))
    with pytest.raises(UserError, match="honest model"):
        drilled(project)
    assert project.engine.asked == []


@pytest.mark.parametrize("changes", [{"repeats": 0}, {"null": 0}])
def test_impossible_numbers_are_mistakes(project: Any, changes: dict[str, int]) -> None:
    """Found before anything is made."""
    with pytest.raises(UserError, match="1 or more"):
        drilled(project, **changes)
    assert project.engine.asked == []


def test_an_honest_run_that_no_one_could_accept_ends_the_drill(project: Any) -> None:
    """The reason is the guard's own."""
    project.engine.honest_status = Status.ERROR
    with pytest.raises(UserError, match="is an ERROR"):
        drilled(project)
    assert project.engine.specs == []


@pytest.mark.parametrize(("seeds", "processes"), [(1, 12)])
def test_few_requests_get_more_processes_for_the_null(project: Any, seeds: int, processes: int) -> None:
    """Two first requests each repeated twelve times make the 24 repeats that the drift gate needs."""
    drilled(project)
    assert project.engine.asked[0].null == processes
    assert json.loads((project.out / "drill.json").read_text(encoding="utf-8"))["null"] == processes


def test_many_requests_need_no_more_than_four_processes(project: Any) -> None:
    """Which is what accepting a baseline takes."""
    tasks = "".join(f'[[task]]\nid = "t{n}"\nprompts = {{ en = "a cup {n}" }}\n' for n in range(9))
    file = project.root / "fixtures" / "tasks" / "f.toml"
    file.write_text(file.read_text(encoding="utf-8") + tasks, encoding="utf-8")
    with pytest.raises(UserError, match="an honest run that can be accepted"):
        drilled(project)  # the stand-in leaves drafts of two tasks only
    assert project.engine.asked[0].null == 4


def test_only_controls_can_be_asked_for(project: Any) -> None:
    """The honest run, then as many unchanged ones; no fault is planted, and the rate is stated."""
    project.engine.red = {"": {"latency"}}
    matrix = drill(project.config, Ask(model="m", out=project.out, drills=(), whole=False, control=True, repeats=3), Policy(), make=project.engine)
    assert project.engine.specs == []
    assert [options.run_dir.name for options in project.engine.asked] == ["honest", "moderate-1", "moderate-2", "moderate-3"]
    assert matrix.unchanged is not None
    assert (matrix.unchanged.anywhere.red, matrix.unchanged.anywhere.n, matrix.unchanged.different) == (3, 3, 1)
    assert matrix.unchanged.alarms[0].cells == ("latency/m/all", "latency/m/cup")


def test_nothing_to_drill_is_a_mistake(project: Any) -> None:
    """Neither a drill nor a control."""
    with pytest.raises(UserError, match="at least one drill"):
        drill(project.config, Ask(model="m", out=project.out, drills=(), whole=False), Policy(), make=project.engine)
    assert project.engine.asked == []


def test_shares_make_their_own_runs_and_together_all(project: Any, a_drill: Any) -> None:
    """A share is no whole catalogue, so no gate is dead in it; in the folder of both the rest is read and none made again."""
    both = (a_drill(), a_drill("leaks", severe="leak:8"), a_drill("slow", severe="slow:3"))
    project.engine.red = {"black-decoder": {"drift"}, "leak:8": {"drift"}, "slow:3": {"drift"}}
    first = drilled(project, *both, whole=True, share=(1, 2))
    assert (project.engine.specs, first.dead, first.share) == (["black-decoder", "slow:3"], (), (1, 2))
    project.engine.asked.clear()
    drilled(project, *both, whole=True, share=(2, 2))
    assert project.engine.specs == ["leak:8"]
    project.engine.asked.clear()
    whole = drilled(project, *both, whole=True)
    assert project.engine.asked == []
    assert [row.drill for row in whole.rows] == ["black", "leaks", "slow"]
    assert (whole.share, whole.dead) == ((1, 1), ("latency", "memory", "usability", "stability"))


def test_runs_that_were_copied_in_are_read_and_not_made_again(project: Any, a_drill: Any, tmp_path: Any) -> None:
    """Another machine's share, beside a copy of the same honest run: its folders are enough."""
    both = (a_drill(), a_drill("leaks", severe="leak:8"))
    there = tmp_path / "there"
    drilled(project, *both, share=(1, 2))
    shutil.copytree(project.out, there)
    shutil.rmtree(there / "runs")
    drilled(project, *both, share=(2, 2), out=there)
    shutil.copytree(there / "runs", project.out / "runs", dirs_exist_ok=True)
    project.engine.asked.clear()
    matrix = drilled(project, *both)
    assert project.engine.asked == []
    assert [(row.drill, row.errors) for row in matrix.rows] == [("black", ()), ("leaks", ())]


@pytest.mark.parametrize("share", [(0, 4), (5, 4), (1, 0)])
def test_an_impossible_share_is_a_mistake(project: Any, share: tuple[int, int]) -> None:
    """Found before anything is made."""
    with pytest.raises(UserError, match="K of N shares"):
        drilled(project, share=share)
    assert project.engine.asked == []

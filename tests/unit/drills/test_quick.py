"""The quick drill: which faults, on which tasks, under which key, and what comes of gates that do not see theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swapgate import plan as planning
from swapgate.cards import Card, Judge
from swapgate.drills import quick as quickly
from swapgate.drills.catalogue import FLUX, QWEN
from swapgate.drills.kinds import Drill
from swapgate.drills.quick import FAULTS, Subject, fault_for, key, pick, quick, quick_drills
from swapgate.engines.faults import parse
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import GATES, Status
from swapgate.report.quick import QuickDrill, read
from swapgate.runs.records import Loaded, Memory
from swapgate.suite.options import Options
from swapgate.suite.planning import prepare
from swapgate.suite.progress import Silent

CARD = 'engine = "scripted"\nsource = "any"\ntasks = ["f"]\njudge = { source = "scripted" }\n'
SEEN = {"slow:3": {"latency"}, "leak:32": {"memory"}, "black-decoder": {"usability", "drift"}}


def loaded_as(**changes: Any) -> Loaded:
    memory = Memory(allocated=None, reserved=None, process=None, resident=1.0, held=1.0)
    given = {
        "model": "m", "seconds": 1.0, "accelerator": "cpu", "device_name": "", "weights": "ab", "placement": "whole", "dtype": "float32", "attention": "",
        "threads": 1, "versions": {"torch": "1"}, "memory": memory,
    }  # fmt: skip
    return Loaded(**{**given, **changes})


def subject_of(**changes: Any) -> Subject:
    return Subject(**{"model": "m", "loaded": loaded_as(), "tasks": ("cup", "cat"), **changes})


def made(project: Any, **changes: Any) -> QuickDrill:
    """A quick drill of the scripted model, whose gates see what `project.engine.red` says."""
    given = {"subject": subject_of(), "policy": Policy(), **changes}
    return quick(
        project.config, given["subject"], given["policy"], run=project.root / "runs" / "r", cache=project.root / "kept", progress=Silent(),
        make=project.engine,
    )  # fmt: skip


def states(found: QuickDrill) -> dict[str, str]:
    return {one.gate: one.state for one in found.gates}


def card_of(**changes: Any) -> Card:
    given = {
        "id": "m", "title": "", "engine": "diffusers", "source": "weights", "revision": None, "pipeline": QWEN, "device": "auto", "dtype": {}, "call": {},
        "negative_prompt": {}, "expected_forwards": None, "tasks": ("f",), "judge": Judge(source="scripted"), "ceilings": {}, "usability_floor": 0.0,
        "timeout_seconds": 1.0, "licence": "",
    }  # fmt: skip
    return Card(**{**given, **changes})


def calls(n: int) -> list[planning.Call]:
    """n calls of one image each."""
    return [SimpleNamespace(requests=(None,)) for _ in range(n)]  # type: ignore[misc]


@pytest.fixture
def sees(project: Any) -> Any:
    """The project, with gates that see their faults."""
    project.engine.red = SEEN
    return project


def test_every_gate_has_its_fault_and_one_may_stand_for_two(sees: Any) -> None:
    """An honest run and three faulty ones; what this engine has no fault for is not drilled, and says so."""
    found = made(sees)
    assert sees.engine.specs == ["slow:3", "leak:32", "black-decoder"]
    assert states(found) == {"latency": "caught", "memory": "caught", "usability": "caught", "drift": "caught", "stability": "not drilled"}
    assert "the scripted engine has nothing that lora-stays damages" in found.gates[-1].reason
    assert (found.red, found.dead, found.unproved, found.cached) == (False, (), ("stability",), False)
    assert found.gates[0].fault == "slow-steps slow:3"
    assert found.gates[0].reason == "comparison says so"


def test_a_gate_that_does_not_see_its_fault_is_dead(project: Any) -> None:
    """Whatever else saw it."""
    project.engine.red = {**SEEN, "leak:32": {"latency"}}
    found = made(project)
    assert (found.dead, found.red) == (("memory",), True)
    assert next(one for one in found.gates if one.gate == "memory").reason == "comparison says so"


def test_a_fault_that_did_not_act_proves_nothing(sees: Any) -> None:
    """That is no dead gate, and no green one."""
    sees.engine.lazy = frozenset({"leak:32"})
    found = made(sees)
    assert (states(found)["memory"], found.dead, found.red) == ("ERROR", (), True)
    assert "did not act" in found.gates[1].reason


def test_a_model_without_usable_pictures_has_none_to_lose(sees: Any) -> None:
    """Its usability gate is not called dead for it."""
    sees.engine.usable = 0
    sees.engine.red = {**SEEN, "black-decoder": {"drift"}}
    found = made(sees)
    assert states(found)["usability"] == "not drilled"
    assert "0 of 6 honest pictures are usable" in found.gates[2].reason
    assert not found.red


def test_only_the_gates_of_the_run_are_drilled(sees: Any) -> None:
    """A run of the latency gate alone pays for one fault."""
    found = made(sees, subject=subject_of(gates=("latency",)))
    assert sees.engine.specs == ["slow:3"]
    assert states(found) == {"latency": "caught"}


def test_the_second_time_it_is_read_from_its_folder(sees: Any) -> None:
    """Nothing is made; what the runs say is read again, with the date of the first."""
    first = made(sees)
    sees.engine.asked.clear()
    second = made(sees)
    assert sees.engine.asked == []
    assert second == replace(first, cached=True)
    assert first.made


def test_a_kept_run_that_says_something_else_is_believed(sees: Any) -> None:
    """No mark of a first time stands between the folder and the answer."""
    made(sees)
    (run,) = (sees.root / "kept").glob("*/runs/leak/severe-1/verdicts.json")
    text = run.read_text(encoding="utf-8").replace("REGRESSION", "PASS")
    run.write_text(text, encoding="utf-8")
    assert made(sees).dead == ("memory",)


def test_a_kept_run_that_lost_its_verdicts_is_made_again(sees: Any) -> None:
    """And only that one."""
    made(sees)
    (run,) = (sees.root / "kept").glob("*/runs/leak/severe-1/verdicts.json")
    run.unlink()
    sees.engine.asked.clear()
    assert not made(sees).cached
    assert sees.engine.specs == ["leak:32"]


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": Policy(latency_floor=0.06)},
        {"policy": Policy(false_alarms=0.02)},
        {"subject": subject_of(loaded=loaded_as(weights="cd"))},
        {"subject": subject_of(loaded=loaded_as(accelerator="nvidia-h200"))},
        {"subject": subject_of(loaded=loaded_as(versions={"torch": "2"}))},
        {"subject": subject_of(tasks=("cup",))},
        {"subject": subject_of(gates=("latency", "memory"))},
    ],
)
def test_what_could_change_the_answer_changes_the_key(sees: Any, changes: dict[str, Any]) -> None:
    """A kept drill of something else is never read."""
    made(sees)
    sees.engine.asked.clear()
    try:
        found = made(sees, **changes)
    finally:
        assert sees.engine.asked
    assert not found.cached


def test_the_card_the_tasks_and_the_code_are_in_the_key(sees: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them by its content."""

    def now() -> str:
        setup = prepare(sees.config, Options(root=sees.root, models=("m",)))
        return key(setup, subject_of(), Policy(), [])

    found = [now()]
    sees.card(f"usability_floor = 0.2\n{CARD}")
    found.append(now())
    file = sees.root / "fixtures" / "tasks" / "f.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("a cup", "a mug"), encoding="utf-8")
    found.append(now())
    monkeypatch.setattr(quickly, "source", lambda: "other code")
    found.append(now())
    assert len(set(found)) == 4
    assert now() == found[-1]


def test_the_code_has_a_hash_of_its_own() -> None:
    """That of every module of the package."""
    assert len(quickly.source()) == 64
    assert quickly.source() == quickly.source()


@pytest.mark.parametrize("status", [Status.ERROR])
def test_a_drill_without_an_honest_run_is_an_error_that_says_why(sees: Any, status: Status) -> None:
    """It is red: nothing is proved of any gate."""
    sees.engine.honest_status = status
    found = made(sees)
    assert found.red
    assert "an honest run that can be accepted as baseline" in found.error
    assert found.gates == ()


def test_a_card_with_faults_of_its_own_is_not_drilled(sees: Any) -> None:
    """Its honest run would not be one; nothing is made."""
    sees.card(CARD.replace("tasks", 'faults = ["slow:2"]\ntasks'))
    found = made(sees)
    assert sees.engine.asked == []
    assert set(states(found).values()) == {"not drilled"}
    assert not found.red


def test_an_engine_that_nothing_can_be_planted_into_says_so() -> None:
    """A server's pipeline is not in this process."""
    why = fault_for("latency", card_of(engine="comfyui", pipeline=None, root=Path("/nowhere")), calls(4))
    assert isinstance(why, str)
    assert "a pipeline without a name" in why


@pytest.mark.parametrize("pipeline", [QWEN, FLUX])
@pytest.mark.parametrize("gate", GATES)
def test_every_gate_has_a_fault_in_both_pipelines(pipeline: str, gate: str) -> None:
    """Each parses, and is asked of the gate at its heaviest dose."""
    found = fault_for(gate, card_of(pipeline=pipeline), calls(20))
    assert isinstance(found, Drill)
    assert gate in found.fires
    assert parse(list(found.doses.values())[-1], where="x")
    assert set(FAULTS) == set(GATES)


@pytest.mark.parametrize("n", [10, 20, 60])
def test_the_adapter_spares_what_comes_first_and_ruins_what_comes_after(n: int) -> None:
    """The scale grows by the dose with every call: under 0.65 while the reworded seeds are drawn (two fifths), over 1.5 at the first rewording."""
    found = fault_for("stability", card_of(), calls(n))
    assert isinstance(found, Drill)
    dose = parse(list(found.doses.values())[-1], where="x").amount
    assert dose * n > 1.5
    assert dose * (2 * n / 5) < 0.65


def tasks_of(*rewordings: int, languages: int = 2) -> Any:
    """Tasks a, b, c ... with so many rewordings each."""
    prompts = dict.fromkeys(("en", "zh", "de", "fr")[:languages], "a cup")
    return [
        SimpleNamespace(id=name, rewordings=n, reworded_seeds=(1,) * n, prompts=prompts) for name, n in zip("abcdefghij", rewordings, strict=False)
    ]


def test_tasks_with_something_to_lose_come_first() -> None:
    """Two of those with rewordings, by usable pictures, in their own order where they are alike."""
    tasks, gates = tasks_of(2, 0, 2, 2), ("latency", "usability")
    assert pick(tasks, {"a": 1, "b": 9, "c": 5, "d": 5}, gates) == ("c", "d")
    assert pick(tasks, {}, gates) == ("a", "c")
    assert pick(tasks[1:2], {"b": 9}, gates) == ("b",)


@pytest.mark.parametrize(("languages", "n"), [(2, 6), (4, 3), (1, 8)])
def test_stability_gets_as_many_prompts_as_its_signs_need(languages: int, n: int) -> None:
    """Twelve prompts, whatever languages they are in, or all there are."""
    assert len(pick(tasks_of(*[2] * 8, languages=languages), {})) == n


def suite_of(project: Any, **changes: Any) -> Any:
    """What of a suite the quick drill reads."""
    setup = prepare(project.config, Options(root=project.root, models=("m",)))
    score = SimpleNamespace(task="cat", usable=True, counted=True, edits="")
    recorded = {"m": SimpleNamespace(loaded=loaded_as(), scores=(score, replace_edits(score)))}
    run = SimpleNamespace(path=project.root / "run")
    given = {"setup": setup, "recorded": recorded, "run": run, "policy": Policy(), "progress": Silent(), **changes}
    return SimpleNamespace(**given)


def replace_edits(score: Any) -> Any:
    return SimpleNamespace(**{**vars(score), "edits": "reworded", "task": "cup"})


def test_a_suites_models_are_drilled_and_the_record_is_written(sees: Any) -> None:
    """Kept below the project's runs; the record in the run's folder says the same."""
    (found,) = quick_drills(suite_of(sees), sees.engine)
    assert found.tasks == ("cup", "cat")
    assert found.folder.startswith(".swapgate/runs/quick-drills/")
    assert (sees.root / "run" / found.page).resolve().is_file()
    assert read(sees.root / "run") == (found,)
    data = json.loads((sees.root / "run" / "quick-drill.json").read_text(encoding="utf-8"))
    assert data["models"][0]["gates"][0]["state"] == "caught"


def test_a_model_that_was_not_loaded_is_an_error(sees: Any) -> None:
    """And one that was not judged is left out."""
    recorded = {"m": SimpleNamespace(loaded=None, scores=())}
    (found,) = quick_drills(suite_of(sees, recorded=recorded), sees.engine)
    assert (found.red, found.error) == (True, "the model was not loaded")
    assert quick_drills(suite_of(sees, recorded={}), sees.engine) == ()
    assert sees.engine.asked == []

"""Planted stress through a whole run, with real processes: each ends in ERROR of the cells concerned, and everything else is decided."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from swapgate.exits import Exit

if TYPE_CHECKING:
    from conftest import Project

GATES = ("latency", "memory", "usability", "drift", "stability")
IMAGE = 3  # of the first process: it belongs to the task "cat"
ACCEPTED = {"PASS"}

pytestmark = pytest.mark.timeout(600)


def with_other(project: Project) -> None:
    """A second model with the baseline of the first, under its own name."""
    project.accept()
    project.card("other")
    shutil.copytree(project.path / "baselines" / "toy", project.path / "baselines" / "other")
    for path in (project.path / "baselines" / "other").rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"model": "toy"', '"model": "other"'), encoding="utf-8")


def stressed(project: Project, *, stall: float | None = None, **options: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Verdicts by cell, and the generations that failed, of a run of a model under stress and another one."""
    with_other(project)
    project.card("toy", timeout=120.0, **options)
    if stall:
        path = project.path / "fixtures" / "models" / "toy.toml"
        path.write_text(f"stall_seconds = {stall}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    result = project.run("--model=toy,other", "--budget=full", "--run-dir=here")
    assert result.ret == Exit.ERROR
    found = json.loads((project.path / "here" / "verdicts.json").read_text(encoding="utf-8"))
    events = [json.loads(line) for line in (project.path / "here" / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    failed = [event["generation"] for event in events if event["event"] == "generation" and event["generation"]["failure"]]
    return {verdict["id"]: verdict for verdict in found["verdicts"]}, failed


@pytest.mark.parametrize(
    ("option", "stall", "kind", "said"),
    [
        ("oom_at", None, "out-of-memory", ("scripted: out of memory", "; peak 256 MiB")),
        ("fill_at", None, "out-of-memory", ("MemoryError: no more to be had after 2", "; peak 256 MiB")),
        ("kill_at", None, "host-death", ("ended by SIGKILL", "; peak until then 256 MiB")),
        ("segfault_at", None, "host-death", ("ended by SIGSEGV", "Fatal Python error: Segmentation fault", "; peak until then 256 MiB")),
        ("hang_at", 2.0, "time-out", ("stage 'call' stood still for 2", "the process was killed; peak until then 256 MiB")),
        ("device_error_at", None, "device-error", ("CUDA error: device-side assert triggered", "; peak 256 MiB")),
    ],
)
def test_stress_costs_the_cells_of_its_image_and_no_other(
    project: Project, option: str, stall: float | None, kind: str, said: tuple[str, ...]
) -> None:
    """Kind, stage and peak are in the reason; the other task, the other model and all that needs no such image are decided, green."""
    found, failed = stressed(project, stall=stall, **{option: str(IMAGE)})
    broken = {name for name, verdict in found.items() if verdict["status"] == "ERROR"}
    assert broken == {f"{gate}/toy/{task}" for gate in GATES for task in ("all", "cat")} & broken
    assert {f"{gate}/toy/{task}" for gate in ("latency", "memory", "usability") for task in ("all", "cat")} <= broken
    for name in broken:
        assert f"{kind} in stage call: " in found[name]["reason"], found[name]["reason"]
        assert all(words in found[name]["reason"] for words in said), found[name]["reason"]
    assert {verdict["status"] for name, verdict in found.items() if name not in broken} <= ACCEPTED
    assert len(found) == 2 * len(GATES) * 3
    assert [one["failure"]["kind"] for one in failed] == [kind], "one image is lost, and no other"
    assert failed[0]["failure"]["peak"] == 256
    assert failed[0]["failure"]["stage"] == "call"


def test_a_model_that_is_lost_twice_is_given_up_and_the_other_is_judged(project: Project) -> None:
    """Its process is started again once; what is left of it says why it was not tried."""
    found, failed = stressed(project, kill_at="3,9")
    reasons = [one["failure"]["message"] for one in failed]
    tried = [reason for reason in reasons if not reason.startswith("not tried: ")]
    assert len(tried) == 2
    assert all("ended by SIGKILL" in reason for reason in reasons)
    assert len(reasons) > 50, "a model without a process makes nothing more"
    assert {verdict["status"] for name, verdict in found.items() if "/toy/" in name} == {"ERROR"}
    assert {verdict["status"] for name, verdict in found.items() if "/other/" in name} <= ACCEPTED


def test_the_other_arm_of_a_run_in_turn_goes_on(project: Project) -> None:
    """Its images are all made; the pair lacks one, and says so."""
    project.card("other")
    project.card("toy", kill_at=str(IMAGE))
    project.run("--model=toy", "--against=other", "--budget=full", "--run-dir=here")
    events = [json.loads(line) for line in (project.path / "here" / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    made = [event["generation"] for event in events if event["event"] == "generation"]
    assert sum(bool(one["failure"]) for one in made) == 1
    assert sum(bool(one["image"]) for one in made) == 2 * 2 * 2 * (15 + 6 * 2) - 1 + project.CHANGED_MEANINGS
    found = project.verdicts(project.path / "here")
    assert found["latency/toy/all"] == found["usability/toy/cat"] == "ERROR"
    assert "ERROR" not in {found[f"{gate}/toy/cup"] for gate in GATES}

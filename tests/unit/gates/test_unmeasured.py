"""What cannot be measured behind a server is named, and neither passed nor held against the model: memory, and pictures without seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swapgate.gates import drift, memory
from swapgate.gates.judge import judge
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import GATES, Status

WHY = "the server is on another machine (h)"
POLICY = Policy(draws=1000)


def without(build: Any) -> Any:
    return build.cost(peak_mib=(), held_mib=())


def test_memory_that_nobody_can_measure_is_no_question(build: Any) -> None:
    arm = replace(build.arm(cost=without(build)), no_memory=WHY)
    found = memory.judge(build.evidence(arm, build.arm(cost=build.cost())), POLICY)
    assert found.status is Status.NOT_APPLICABLE
    assert WHY in found.reason
    assert found.next == ""


def test_a_ceiling_asks_the_question_and_is_not_passed_in_silence(build: Any) -> None:
    arm = replace(build.arm(cost=without(build)), no_memory=WHY)
    evidence = build.evidence(arm, build.arm(cost=build.cost()))
    found = memory.judge(replace(evidence, limits=replace(evidence.limits, memory_mib=4096.0)), POLICY)
    assert found.status is Status.INCONCLUSIVE
    assert "4.0 GiB was not tried" in found.reason
    assert found.futile  # more images would measure nothing


@pytest.mark.parametrize("why", [WHY, ""])
def test_an_arm_that_was_measured_is_held_against_its_own_limits_alone(build: Any, why: str) -> None:
    other = replace(build.arm(cost=without(build)), no_memory=why)
    found = memory.judge(build.evidence(build.arm(cost=build.cost()), other), POLICY)
    peak = next(one for one in found.findings if one.name == "peak")
    assert (peak.status, peak.decides) == (Status.NOT_APPLICABLE, False)
    assert why in peak.reason
    assert found.status is Status.PASS  # no growth, no jitter
    leaking = build.cost(held_mib=[1000.0 + 20 * call for call in range(30)])
    assert memory.judge(build.evidence(build.arm(cost=leaking), other), POLICY).status is Status.REGRESSION


@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_pictures_without_seeds_are_not_compared(build: Any, side: str) -> None:
    arms = {"candidate": build.arm(scores=build.rounds([True] * 12)), "baseline": build.arm(scores=build.rounds([True] * 12, "b"))}
    arms[side] = replace(arms[side], no_seed="the server does not use it")
    apart = tuple(build.drift(0.2, 9.0, 0.4, pair=f"p{i}") for i in range(12))
    evidence = build.evidence(arms["candidate"], arms["baseline"], drifts=apart)
    found = drift.judge(evidence, POLICY)
    assert found.status is Status.NOT_APPLICABLE
    assert "the server does not use it" in found.reason
    assert judge("usability", evidence, POLICY).status is not Status.NOT_APPLICABLE


def test_the_recipe_is_counted_without_seeds_too(build: Any) -> None:
    arm = replace(build.arm(scores=build.rounds([True] * 12)), no_seed="none", forwards=((16, 8),))
    found = drift.judge(build.evidence(arm, None), POLICY)
    assert found.status is Status.REGRESSION
    assert "guidance was off" in found.reason
    right = drift.judge(build.evidence(replace(arm, forwards=((16, 16),)), None), POLICY)
    assert right.status is Status.NOT_APPLICABLE


def test_every_gate_says_something_of_a_server_without_memory_and_seeds(build: Any) -> None:
    arm = replace(build.arm(scores=build.rounds([True] * 36), cost=without(build)), no_memory=WHY, no_seed="none")
    evidence = build.evidence(arm, replace(arm, cost=build.cost()))
    said = {gate: judge(gate, evidence, POLICY).status for gate in GATES}
    assert said["memory"] is said["drift"] is Status.NOT_APPLICABLE
    assert all(said[gate] not in (Status.NOT_APPLICABLE, Status.ERROR) for gate in ("latency", "usability"))

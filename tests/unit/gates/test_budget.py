"""The budget: shared by models, gates and claims so that an unchanged run is seldom red, and tasks add nothing to that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.gates.budget import CLAIMS, is_tested, named, red_by_test, settle, within
from swapgate.gates.compose import claim, verdict
from swapgate.gates.evidence import Evidence
from swapgate.gates.judge import TABLE, judge
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import holm
from swapgate.gates.verdict import GATES, Finding, Status, Verdict

POLICY = Policy(draws=600)


def finding(status: Status, p: float | None = None, name: str = "c", confidence: float | None = None) -> Finding:
    """One claim, tested when it has a p or a confidence."""
    return claim(name, status, "seen", p=p, confidence=confidence)


@pytest.fixture
def evidence(build: Any) -> Evidence:
    """Of any cell: the judges below do not look at it."""
    made: Evidence = build.evidence(build.arm(), None)
    return made


def by_p(values: Mapping[str, float], *, exact: frozenset[str] = frozenset()) -> Any:
    """A judge whose claim of each gate has the given p, and which is red when its share of the budget allows."""

    def decide(gate: str, evidence: Evidence, policy: Policy) -> Verdict:
        if gate in exact:
            return verdict(gate, evidence, [finding(Status.REGRESSION)])
        red = values[gate] <= policy.harm
        return verdict(gate, evidence, [finding(Status.REGRESSION if red else Status.PASS, values[gate])])

    return decide


@settings(deadline=None)
@given(values=st.fixed_dictionaries({gate: st.floats(1e-7, 0.02) for gate in GATES}), models=st.integers(1, 4))
def test_gates_share_the_budget_as_holm_does(build: Any, values: dict[str, float], models: int) -> None:
    """Held against Holm's adjusted p of the claims, each multiplied by the number of its gate's claims."""
    found = settle(by_p(values), build.evidence(build.arm(), None), GATES, POLICY, models=models)
    adjusted = holm([min(1.0, values[gate] * CLAIMS[gate]) for gate in GATES])
    expected = {gate for gate, p in zip(GATES, adjusted, strict=True) if p <= POLICY.false_alarms / models}
    assert {gate for gate, one in found.items() if one.red} == expected


def test_exact_claims_spend_nothing_and_leave_nothing_over(evidence: Evidence) -> None:
    """A gate red by counting is red at any share, and the others are judged as if it were not there to give."""
    values = dict.fromkeys(GATES, 1.0) | {"usability": 0.01 / 4 / 2 * 0.99}
    found = settle(by_p(values, exact=frozenset({"drift"})), evidence, GATES, POLICY, models=1)
    assert found["drift"].red
    assert not found["usability"].red, "a fifth of the budget and not a quarter"


def test_a_gate_that_is_red_leaves_its_part_to_the_others(evidence: Evidence) -> None:
    """The same p that is too large for a fifth is small enough for a quarter."""
    values = dict.fromkeys(GATES, 1.0) | {"usability": 0.01 / 4 / 2 * 0.99}
    assert not settle(by_p(values), evidence, GATES, POLICY, models=1)["usability"].red
    assert settle(by_p(values | {"memory": 1e-6}), evidence, GATES, POLICY, models=1)["usability"].red


@pytest.mark.parametrize(("gates", "models"), [((), 1), (GATES, 0)])
def test_a_budget_for_nobody_is_a_mistake(evidence: Evidence, gates: tuple[str, ...], models: int) -> None:
    """No gates, or no model."""
    with pytest.raises(ValueError, match="at least one gate"):
        settle(by_p({}), evidence, gates, POLICY, models=models)


def test_every_gate_says_how_many_claims_it_tests(build: Any) -> None:
    """The most tested claims that a pooled cell of each gate can make are the number that the budget is shared by."""
    assert set(CLAIMS) == set(TABLE)
    accepted = build.cost()
    theirs = build.arm(scores=_scores(build, "b"), cost=accepted, processes=build.processes(accepted))
    both = (build.arm(scores=_scores(build, "a"), cost=build.noisy(3.0, 0.02, 30, 1)), theirs)
    drifts = tuple(build.drift(0.5, 10.0, 0.5, pair=f"p{i}") for i in range(12))
    limits = build.limits(seconds_per_image=9.0, first_step_seconds=9.0, memory_mib=1e6, usability_floor=0.5)
    whole = build.evidence(*both, drifts=drifts, null=build.null(drifts), limits=limits)
    for gate in ("latency", "memory", "usability", "stability"):
        tested = [one.name for one in judge(gate, whole, POLICY).findings if is_tested(one) and one.name not in ("flip rate", "worst drop")]
        assert len(tested) == CLAIMS[gate], tested
    tested = [one.name for one in judge("drift", whole, POLICY).findings if is_tested(one)]
    assert sorted(tested) == ["alignment", "clip", "psnr", "ssim"], "three of pictures are one claim: Holm holds their p together"


def _scores(build: Any, arm: str) -> tuple[Any, ...]:
    generator = np.random.default_rng(len(arm) + ord(arm))
    plain = [
        build.score(task=f"t{i}", seed=seed, image=f"{arm}{i}{seed}", alignment=float(generator.normal(0.3, 0.02)))
        for i in range(12)
        for seed in range(2)
    ]
    other = [build.score(task=f"t{i}", seed=0, edits="e", image=f"{arm}{i}e", normalised=float(generator.normal(1, 0.1))) for i in range(12)]
    return (*plain, *other)


def test_a_task_is_red_only_beside_its_models_pool(evidence: Evidence) -> None:
    """A tested claim of one task is undecided without the pool, with the reason; an exact one stands alone."""
    alone = verdict("usability", evidence, [finding(Status.REGRESSION, 1e-9)])
    green, red = (verdict("usability", evidence, [finding(status, 0.5)]) for status in (Status.PASS, Status.REGRESSION))
    held = within(alone, green, evidence, is_named=True)
    assert held.status is Status.INCONCLUSIVE
    assert "the model's tasks together are not red" in held.reason
    assert "false-alarm budget" in held.reason
    assert within(alone, red, evidence, is_named=True) == alone
    assert within(alone, red, evidence, is_named=False).status is Status.INCONCLUSIVE
    exact = verdict("usability", evidence, [finding(Status.REGRESSION)])
    assert within(exact, green, evidence, is_named=False) == exact


def test_an_exact_claim_keeps_a_task_red_and_the_tested_one_beside_it_steps_back(evidence: Evidence) -> None:
    """What counts needs no budget."""
    mixed = verdict("drift", evidence, [finding(Status.REGRESSION, name="forwards"), finding(Status.REGRESSION, 0.01, name="ssim")])
    held = within(mixed, verdict("drift", evidence, [finding(Status.PASS, 0.5)]), evidence, is_named=True)
    assert held.status is Status.REGRESSION
    assert [one.status for one in held.findings] == [Status.REGRESSION, Status.INCONCLUSIVE]
    assert not red_by_test(held)


def test_tasks_that_are_not_red_are_left_alone(evidence: Evidence) -> None:
    """PASS, NEW and ERROR are what they are."""
    pool = verdict("drift", evidence, [finding(Status.PASS, 0.5)])
    for status in (Status.PASS, Status.NEW, Status.INCONCLUSIVE, Status.ERROR):
        one = verdict("drift", evidence, [finding(status)])
        assert within(one, pool, evidence, is_named=False) is one


def test_tasks_are_named_by_their_share_of_wrong_names(evidence: Evidence) -> None:
    """Six tasks, one far out: it is named; six of p = 0.04 each are, one of them alone is not."""

    def tasks(*p: float) -> dict[str, Verdict]:
        return {f"t{i}": verdict("drift", evidence, [finding(Status.REGRESSION if one <= 0.05 else Status.PASS, one)]) for i, one in enumerate(p)}

    assert named(tasks(1e-4, 0.5, 0.5, 0.5, 0.5, 0.5), 0.05) == {"t0"}
    assert named(tasks(*[0.04] * 6), 0.05) == {f"t{i}" for i in range(6)}
    assert named(tasks(0.04, *[0.9] * 5), 0.05) == frozenset()
    assert named({}, 0.05) == frozenset()


def test_an_interval_is_a_test_and_a_count_is_none() -> None:
    """What chance can make."""
    assert is_tested(finding(Status.PASS, p=0.3))
    assert is_tested(finding(Status.PASS, confidence=0.95))
    assert not is_tested(finding(Status.REGRESSION))

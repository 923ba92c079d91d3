"""The dispatch table, and what holds for every gate alike."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.judge import TABLE, judge
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import GATES, Status, Verdict

POLICY = Policy(draws=500)


def run_of(build: Any, tag: str = "") -> Any:
    """An arm with everything that every gate needs: 60 rounds, 48 rewordings, 60 calls, forwards."""
    generator = np.random.default_rng(5)
    edits = [build.score(task=f"task{i % 12}", edits=f"e{i // 12}", normalised=1 + generator.normal(0, 0.05), image=f"{tag}e{i}") for i in range(48)]
    return build.arm(scores=(*build.rounds([True] * 60, tag or "same"), *edits), cost=build.noisy(3.0, 0.02, 60, len(tag)), forwards=((16, 16),) * 60)


def all_verdicts(evidence: Any) -> dict[str, Verdict]:
    """Every gate's verdict on one evidence."""
    return {gate: judge(gate, evidence, POLICY) for gate in GATES}


def evidence_of(build: Any, candidate: Any, **given: Any) -> Any:
    """The candidate against the unchanged run, with equal pictures unless told otherwise."""
    cells = given.pop("drifts", (build.drift(identical=True),) * 60)
    accepted = run_of(build)
    accepted = replace(accepted, processes=build.processes(accepted.cost))
    return build.evidence(candidate, accepted, drifts=cells, null=build.null([build.drift(identical=True)] * 20), **given)


def test_every_gate_is_in_the_table_and_no_other() -> None:
    """The table and the list of names agree."""
    assert tuple(TABLE) == GATES


def test_an_unknown_gate_is_refused_with_the_known_ones(build: Any) -> None:
    """A typing error names the choices."""
    with pytest.raises(ValueError, match="no gate is called 'latenzy'; there are latency, memory"):
        judge("latenzy", evidence_of(build, run_of(build)), POLICY)


def test_an_unchanged_run_is_green_everywhere(build: Any) -> None:
    """Nothing wrong: five times PASS."""
    assert {verdict.status for verdict in all_verdicts(evidence_of(build, run_of(build))).values()} == {Status.PASS}


def planted(build: Any, fault: str) -> Any:
    """Evidence with one fault of its own for each gate."""
    good = run_of(build)
    if fault == "latency":
        return evidence_of(build, replace(good, cost=build.noisy(3.9, 0.02, 60, 3)))
    if fault == "memory":
        return evidence_of(build, replace(good, cost=replace(good.cost, held_mib=tuple(18_000 + 2.0 * np.arange(60)))))
    if fault == "usability":
        bad = [
            replace(one, usable=one.usable and (bool(one.edits) or (i + i // 12) % 4 > 0), image=one.image if one.edits else f"bad{i}")
            for i, one in enumerate(good.scores)
        ]
        return evidence_of(build, replace(good, scores=tuple(bad)))
    if fault == "drift":
        return evidence_of(build, replace(good, forwards=((16, 8),) * 60), drifts=(build.drift(0.4, 14, 0.8),) * 60)
    worse = [replace(one, normalised=0.5, image=f"w{one.image}") if one.edits else one for one in good.scores]
    return evidence_of(build, replace(good, scores=tuple(worse)))


@pytest.mark.parametrize("fault", GATES)
def test_each_fault_reddens_its_own_gate_and_no_other(build: Any, fault: str) -> None:
    """The small form of the drills: one fault, one red gate."""
    verdicts = all_verdicts(planted(build, fault))
    assert [gate for gate, verdict in verdicts.items() if verdict.red] == [fault]


@pytest.mark.parametrize("gate", GATES)
def test_every_verdict_survives_its_journey_through_json(build: Any, gate: str) -> None:
    """No infinity or NaN, and the same verdict comes back; judged twice it is equal to the last digit."""
    for fault in GATES:
        verdict = judge(gate, planted(build, fault), POLICY)
        assert Verdict.from_json(json.loads(json.dumps(verdict.as_json(), allow_nan=False))) == verdict
        assert judge(gate, planted(build, fault), POLICY) == verdict


@pytest.mark.parametrize("gate", GATES)
def test_nothing_measured_is_never_green(build: Any, gate: str) -> None:
    """An arm without images and costs decides nothing, with and without a baseline."""
    for baseline in (None, build.arm()):
        assert not judge(gate, build.evidence(build.arm(), baseline), POLICY).decided


@pytest.mark.parametrize("gate", GATES)
def test_lost_images_are_an_error_in_every_gate(build: Any, gate: str) -> None:
    """A cell that lacks images is not judged on the rest, and the next command runs it again."""
    verdict = judge(gate, evidence_of(build, replace(run_of(build), missing=build.missing(2))), POLICY)
    assert verdict.status is Status.ERROR
    assert verdict.next == f"pytest tests/gates/test_{gate}.py --model=m"


@pytest.mark.parametrize("gate", GATES)
def test_without_a_baseline_every_gate_is_new(build: Any, gate: str) -> None:
    """And offers the command that accepts the run."""
    verdict = judge(gate, build.evidence(run_of(build), None), POLICY)
    assert verdict.status is Status.NEW
    assert verdict.next == f"swapgate baselines accept --run={{run}} {gate}/m/all"


def test_the_words_of_a_verdict_load_without_numpy() -> None:
    """Reports and the plug-in read verdicts at collection, which has to stay quick."""
    code = "import sys, swapgate.gates.verdict, swapgate.gates.evidence, swapgate.gates.family; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_quality_of_dry_weights_is_not_applicable_and_cost_is_judged_all_the_same(build: Any) -> None:
    """Even where their pictures are broken: nobody asks for them."""
    broken = replace(run_of(build), scores=build.rounds([False] * 60, "other"))
    found = all_verdicts(replace(evidence_of(build, broken), dry=True))
    assert {gate for gate, one in found.items() if one.status is Status.NOT_APPLICABLE} == {"usability", "drift", "stability"}
    assert found["latency"] == judge("latency", evidence_of(build, broken), POLICY)
    assert not found["usability"].next

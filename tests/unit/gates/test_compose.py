"""How findings become one verdict, and the words of reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates import compose
from swapgate.gates.compose import claim
from swapgate.gates.paired import judge_pairs, more_pairs
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import Discordance
from swapgate.gates.verdict import RED, Status

POLICY = Policy()


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([Status.PASS, Status.PASS], Status.PASS),
        ([Status.PASS, Status.IMPROVED], Status.IMPROVED),
        ([Status.IMPROVED, Status.INCONCLUSIVE], Status.INCONCLUSIVE),
        ([Status.INCONCLUSIVE, Status.NEW], Status.NEW),
        ([Status.INCONCLUSIVE, Status.INCOMPARABLE], Status.INCOMPARABLE),
        ([Status.NEW, Status.REGRESSION], Status.REGRESSION),
        ([Status.REGRESSION, Status.ERROR], Status.ERROR),
        ([Status.CHANGED, Status.PASS], Status.CHANGED),
    ],
)
def test_the_status_of_a_verdict_follows_its_deciding_findings(build: Any, statuses: list[Status], expected: Status) -> None:
    """Red first, then what could not be compared, then the worst of the rest."""
    evidence = build.evidence(build.arm(), None)
    assert compose.verdict("drift", evidence, [claim(str(s), s, "r") for s in statuses]).status is expected


@given(st.lists(st.tuples(st.sampled_from(list(Status)), st.booleans()), max_size=6))
def test_findings_that_do_not_decide_never_colour_a_verdict(build: Any, given_findings: list[tuple[Status, bool]]) -> None:
    """And a verdict without a deciding one is INCONCLUSIVE."""
    findings = [claim(str(i), status, "r", decides=decides) for i, (status, decides) in enumerate(given_findings)]
    verdict = compose.verdict("drift", build.evidence(build.arm(), None), findings)
    deciding = {one.status for one in findings if one.decides}
    assert verdict.status in (deciding or {Status.INCONCLUSIVE})
    assert verdict.red is bool(RED & deciding)


def test_a_reason_quotes_three_findings_and_counts_the_rest(build: Any) -> None:
    """No reason grows without end; a PASS says its first claim only."""
    evidence = build.evidence(build.arm(), None)
    red = compose.verdict("drift", evidence, [claim(f"c{i}", Status.REGRESSION, f"r{i}") for i in range(5)], note="n")
    green = compose.verdict("drift", evidence, [claim(f"c{i}", Status.PASS, f"r{i}") for i in range(5)])
    assert red.reason == "r0; r1; r2; and 2 more; n"
    assert green.reason == "r0"


def test_figures_that_are_not_finite_are_left_out() -> None:
    """JSON has no word for them."""
    finding = claim("c", Status.INCONCLUSIVE, "r", effect=1.0, low=float("-inf"), high=float("inf"), limit=float("nan"))
    assert (finding.effect, finding.low, finding.high, finding.limit) == (1.0, None, None, None)


def test_figures_read_as_people_say_them() -> None:
    """Times, memory, shares."""
    assert (compose.seconds(0.412), compose.seconds(3.814)) == ("412 ms", "3.81 s")
    assert (compose.mib(412.4), compose.mib(18_330.0)) == ("412 MiB", "17.9 GiB")
    assert (compose.percent(0.33), compose.percent(-0.004), compose.percent(0.05)) == ("+33 %", "-0.4 %", "+5.0 %")
    assert (compose.percent(float("inf")), compose.points(float("inf"))) == ("unbounded", "unbounded")
    assert (compose.plural(1, "image"), compose.plural(0, "image")) == ("1 image", "0 images")


def test_prompts_are_clusters_where_there_are_enough_of_them() -> None:
    """Six prompts resolve 5 %; with fewer the requests are the units."""
    prompts = ["a", "b", "c", "d", "e", "f"]
    assert compose.cluster_labels(prompts, list("uvwxyz")) == prompts
    assert compose.cluster_labels(["a"] * 6, list("uvwxyz")) == list("uvwxyz")


def pairs(worse: int, better: int, n: int, **given: Any) -> Status:
    """The status of these counts at a floor of 5 points."""
    counts = Discordance(worse=worse, better=better, n=n)
    return judge_pairs("x", counts, floor=0.05, policy=Policy(), said="s", noun="pair", baseline=0.9, candidate=0.9, **given).status


def test_pairs_need_both_significance_and_the_floor() -> None:
    """A certain fall of 3 points is within the floor's reach and undecided; a large one that may be chance as well."""
    assert pairs(6, 0, 200) is Status.INCONCLUSIVE
    assert pairs(3, 0, 30) is Status.INCONCLUSIVE
    assert pairs(12, 0, 60) is Status.REGRESSION
    assert pairs(0, 12, 60) is Status.IMPROVED
    assert pairs(0, 0, 60) is Status.PASS
    assert pairs(12, 0, 60, clustered=(0.2, 1.0)) is Status.INCONCLUSIVE


def test_the_further_pairs_would_decide_if_they_came() -> None:
    """The plan keeps its word at the same rates; near the limit there is none, and a smaller share of the budget needs more."""
    assert more_pairs(Discordance(worse=0, better=0, n=40), 0.05, POLICY) == 20
    further = more_pairs(Discordance(worse=2, better=0, n=20), 0.05, POLICY)
    assert further is not None
    later = Discordance(worse=2, better=0, n=20).times((20 + further) / 20)
    assert pairs(later.worse, later.better, later.n) is Status.REGRESSION
    assert more_pairs(Discordance(worse=1, better=0, n=20), 0.05, replace(POLICY, alpha=0.0001, harm=0.0001)) is None
    stricter = more_pairs(Discordance(worse=2, better=0, n=20), 0.05, POLICY.at_most(0.001))
    assert stricter is not None
    assert stricter > further


@pytest.mark.parametrize(
    ("gate", "accelerator", "calls", "option"),
    [
        ("latency", "cpu-x", True, "--with-cost "),
        ("memory", "cpu-x", True, "--with-cost "),
        ("memory", "cpu-x", False, ""),
        ("usability", "cpu-x", True, ""),
        ("latency", "nvidia-h200", True, ""),
    ],
)
@pytest.mark.parametrize("status", [Status.PASS, Status.NEW, Status.REGRESSION])
def test_the_next_command_keeps_the_cost_that_a_cpu_would_drop(
    build: Any, gate: str, accelerator: str, calls: bool, option: str, status: Status
) -> None:
    """A PASS by ceilings for want of a cost baseline asks for one, and the command must store one."""
    evidence = build.evidence(build.arm(accelerator=accelerator, cost=build.cost() if calls else None), build.arm())
    aside = claim("comparison", Status.NEW, "no cost", decides=False)
    said = compose.verdict(gate, evidence, [claim("x", status, "r"), aside]).next
    why = '--reason="why it may get worse" ' if status is Status.REGRESSION else ""
    assert said == f"swapgate baselines accept --run={{run}} {why}{option}{gate}/m/all"

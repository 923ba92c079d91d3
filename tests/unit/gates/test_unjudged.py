"""A required check that nothing could judge: never green, never red, and out of the comparison on both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swapgate.gates import stability, usability
from swapgate.gates.policy import Policy
from swapgate.gates.unjudged import alike, unjudged
from swapgate.gates.verdict import Status

POLICY = Policy()
BIT = "text:readable"


def judged(scores: Any, held: bool) -> list[Any]:
    """The scores with the bit, and what it makes of them."""
    return [replace(one, bits={**one.bits, BIT: held}, usable=one.usable and held) for one in scores]


def unknown(scores: Any) -> list[Any]:
    """The scores of a run without the extra."""
    return [replace(one, unjudged=(BIT,)) for one in scores]


def run(build: Any, ours: Any, theirs: Any) -> Any:
    return build.evidence(build.arm(scores=tuple(ours)), build.arm(scores=tuple(theirs)))


def good(build: Any, images: str, n: int = 60) -> Any:
    return build.rounds([True] * n, images)


def test_judged_in_both_arms_nothing_changes(build: Any) -> None:
    """The same object, and no finding."""
    evidence = run(build, judged(good(build, "new"), True), judged(good(build, "old"), True))
    assert unjudged(evidence) == []
    assert alike(evidence) is evidence
    assert usability.judge(evidence, POLICY).status is Status.PASS


@pytest.mark.parametrize("images", ["new", "old"])
def test_not_judged_is_not_green_even_with_equal_pictures(build: Any, images: str) -> None:
    """And the reason names the check, how often, and the remedy."""
    verdict = usability.judge(run(build, unknown(good(build, images)), unknown(good(build, "old"))), POLICY)
    assert verdict.status is Status.INCONCLUSIVE
    assert "text:readable in 60" in verdict.reason
    assert 'pip install "swapgate[text]"' in verdict.reason
    assert verdict.futile  # more images would not judge it


def test_what_the_other_checks_show_is_still_red(build: Any) -> None:
    """A model that lost its pictures is not excused by a missing reader."""
    bad = build.rounds([False] * 60, "new")
    assert usability.judge(run(build, unknown(bad), unknown(good(build, "old"))), POLICY).status is Status.REGRESSION


def test_a_check_that_only_this_run_has_is_no_regression(build: Any) -> None:
    """The baseline was accepted without the extra: every picture fails the text now, and nothing says that it did not before."""
    verdict = usability.judge(run(build, judged(good(build, "new"), False), good(build, "old")), POLICY)
    assert verdict.status is Status.INCONCLUSIVE
    assert "not compared: text:readable in 60" in verdict.reason


def test_a_check_that_only_the_baseline_has_is_no_improvement(build: Any) -> None:
    """Its failures are not held against it."""
    verdict = usability.judge(run(build, unknown(good(build, "new")), judged(good(build, "old"), False)), POLICY)
    assert verdict.status is Status.INCONCLUSIVE


def test_a_lost_text_is_red_where_both_arms_were_judged(build: Any) -> None:
    """This is what the check is for."""
    verdict = usability.judge(run(build, judged(good(build, "new"), False), judged(good(build, "old"), True)), POLICY)
    assert verdict.status is Status.REGRESSION
    assert "text:readable in 60" in verdict.reason


def test_stability_is_undecided_too(build: Any) -> None:
    """Whether a rewording costs a usable picture needs the check as well."""
    before = good(build, "old", 4)
    rewordings = [replace(one, pair=f"{one.pair}/lower", edits="lower") for one in before]
    both = [*before, *rewordings]
    verdict = stability.judge(run(build, unknown(both), unknown(both)), POLICY)
    assert "unjudged" in [finding.name for finding in verdict.findings]
    assert verdict.status is not Status.PASS

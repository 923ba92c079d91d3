"""Figures that are no numbers stop a quality cell as an ERROR; without this a comparison with nan passed in silence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from swapgate.gates import drift, stability, usability
from swapgate.gates.finite import unreadable
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Status

NONE = [math.nan, math.inf, -math.inf]
POLICY = Policy(draws=500)


def evidence(build: Any, *, ours: Any = (), theirs: Any = (), drifts: Any = (), null: Any = None) -> Any:
    return build.evidence(build.arm(scores=tuple(ours)), build.arm(scores=tuple(theirs)), drifts=tuple(drifts), null=null)


def scores(build: Any, **changes: float) -> list[Any]:
    return [replace(build.score(seed=seed), **changes) for seed in range(3)]


@pytest.mark.parametrize("figure", NONE)
@pytest.mark.parametrize("name", ["ssim", "psnr", "clip"])
def test_one_picture_that_could_not_be_compared_stops_the_cell(build: Any, figure: float, name: str) -> None:
    """Nine pictures like the baseline's and one of which nothing is known: that is no pass."""
    drifts = [*(build.drift(0.99, 40.0, 0.99, pair=f"p{n}") for n in range(9)), build.drift(**{name: figure, "pair": "cat/en/9/0"})]
    found = drift.judge(evidence(build, drifts=drifts, null=build.null([build.drift(0.995, 44.0, 0.995)] * 24)), POLICY)
    assert found.status is Status.ERROR
    assert "1 of the comparisons of pictures is no number, cat/en/9/0 for one" in found.reason
    assert found.red
    assert found.next


@pytest.mark.parametrize("figure", NONE)
def test_a_null_that_is_no_number_limits_nothing(build: Any, figure: float) -> None:
    """Sorted among others nan lies anywhere, and any limit could come of it."""
    null = build.null([build.drift(figure if n % 2 else 0.99, 44.0, 0.99, pair=f"p{n}#1") for n in range(24)])
    found = drift.judge(evidence(build, drifts=[build.drift(0.5, 12.0, 0.7)], null=null), POLICY)
    assert found.status is Status.ERROR
    assert "12 of the null's repeats are no number, p1#1 for one" in found.reason


@pytest.mark.parametrize("gate", [drift, usability, stability])
@pytest.mark.parametrize(("side", "said"), [("ours", "the candidate's scores"), ("theirs", "the scores of baseline")])
@pytest.mark.parametrize("name", ["alignment", "normalised"])
def test_a_score_that_is_no_number_is_said_by_every_gate_of_quality(build: Any, gate: Any, side: str, said: str, name: str) -> None:
    """Whichever arm it is in; before this the drift gate ended in a traceback and stability called it a change of 100 points."""
    both = {"ours": scores(build), "theirs": scores(build), side: scores(build, **{name: math.nan})}
    found = gate.judge(evidence(build, drifts=[build.drift(0.99, 40.0, 0.99)], **both), POLICY)
    assert found.status is Status.ERROR
    assert f"3 of {said} are no number, cat/en/0/0 for one" in found.reason


def test_equal_pictures_need_no_figures(build: Any) -> None:
    """The cap of PSNR stands for infinity there, and nothing of it is read."""
    assert unreadable("drift", evidence(build, drifts=[build.drift(psnr=math.inf, identical=True)])) is None


def test_numbers_are_let_through(build: Any) -> None:
    """Also the ends of their ranges, and a cell without a baseline."""
    assert unreadable("drift", evidence(build, ours=scores(build), theirs=scores(build), drifts=[build.drift(-1.0, 0.0, -1.0)])) is None
    assert unreadable("drift", build.evidence(build.arm(scores=tuple(scores(build))), None)) is None


def test_all_that_is_wrong_is_said_at_once(build: Any) -> None:
    """So that nobody mends one and meets the next."""
    found = unreadable("drift", evidence(build, ours=scores(build, alignment=math.nan), drifts=[build.drift(math.nan)]))
    assert found is not None
    assert found.reason.startswith(
        "3 of the candidate's scores are no number, cat/en/0/0 for one; 1 of the comparisons of pictures is no number, p for one"
    )
    assert found.finding is not None
    assert (found.finding.effect, found.finding.n) == (4.0, 4)


@pytest.mark.parametrize("given", [[], [0.5]])
def test_a_null_with_too_few_samples_is_undecided(build: Any, given: list[float]) -> None:
    """No repeat, or a single one, tells no changed picture from chance; neither is it a pass."""
    null = build.null([build.drift(value, 20.0, 0.9, pair="p0#1") for value in given])
    found = drift.judge(evidence(build, drifts=[build.drift(0.4, 12.0, 0.7, pair=f"p{n}") for n in range(10)], null=null), POLICY)
    assert found.status is Status.INCONCLUSIVE
    assert "--null=" in found.reason


@pytest.mark.parametrize(("value", "status"), [(1.0, Status.REGRESSION), (0.97, Status.REGRESSION), (0.2, Status.INCONCLUSIVE)])
def test_a_constant_null_is_a_null(build: Any, value: float, status: Status) -> None:
    """Every repeat the same: other pictures are beyond it; one as wide as another picture is blind, and says so."""
    null = build.null([build.drift(value, 50 * value, value, pair=f"p{n}#1") for n in range(24)])
    found = drift.judge(evidence(build, drifts=[build.drift(0.5, 21.0, 0.5, pair=f"p{n}") for n in range(10)], null=null), POLICY)
    assert found.status is status
    assert (status is not Status.INCONCLUSIVE) or "would accept another picture" in found.reason

"""The stability gate tells a model that reacts to wording from one that does not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.policy import Policy
from swapgate.gates.stability import judge, reworded
from swapgate.gates.verdict import Finding, Status, Verdict

POLICY = Policy(draws=1000)


def run(build: Any, ours: Any, theirs: Any, **given: Any) -> Verdict:
    """The verdict on two arms' scores."""
    baseline = build.arm(scores=theirs) if theirs is not None else None
    return judge(build.evidence(build.arm(scores=ours), baseline, **given), POLICY)


def named(verdict: Verdict, name: str) -> Finding:
    """One finding by name."""
    return next(one for one in verdict.findings if one.name == name)


def wordings(build: Any, reaction: float, seed: int, edits: int = 4, prompts: int = 12, usable: float = 0.6) -> tuple[Any, ...]:
    """Originals near 1 and rewordings of them that differ by a relative deviation of `reaction`; unusable below `usable`."""
    generator, found = np.random.default_rng(seed), []
    for prompt in range(prompts):
        level = 1 + generator.normal(0, 0.1)
        found.append(build.score(task=f"t{prompt}", normalised=level, image=f"{seed}:{prompt}"))
        for edit in range(edits):
            now = level * (1 + generator.normal(0, reaction))
            found.append(build.score(task=f"t{prompt}", edits=f"e{edit}", normalised=now, usable=now > usable, image=f"{seed}:{prompt}:{edit}"))
    return tuple(found)


def simulated(build: Any, ours: float, theirs: float, edits: int, times: int = 30) -> Counter[Status]:
    """Verdicts on models of these reactions over 12 prompts."""
    return Counter(run(build, wordings(build, ours, 2 * i, edits), wordings(build, theirs, 2 * i + 1, edits)).status for i in range(times))


@pytest.mark.parametrize("edits", [2, 4])
def test_two_models_are_told_apart_either_way_round(build: Any, edits: int) -> None:
    """24 and 48 rewordings: the one that reacts three times as much is red as candidate and makes the other an improvement."""
    assert simulated(build, 0.25, 0.08, edits) == {Status.REGRESSION: 30}
    assert simulated(build, 0.08, 0.25, edits)[Status.IMPROVED] >= 29


def test_equal_models_pass_and_are_not_red(build: Any) -> None:
    """Two steady models of other pictures: PASS nearly always, never red."""
    found = simulated(build, 0.08, 0.08, 4)
    assert found[Status.REGRESSION] == 0
    assert found[Status.PASS] >= 27


def test_equal_unsteady_models_are_red_at_most_as_often_as_alpha(build: Any) -> None:
    """Where noise is large against the floor, the answer is undecided instead of wrong."""
    assert simulated(build, 0.2, 0.2, 2, times=60)[Status.REGRESSION] <= 5


def test_the_same_pictures_pass_by_identity(build: Any) -> None:
    """Without any statistics, and with the flip rate reported."""
    scores = wordings(build, 0.3, 1)
    verdict = run(build, scores, scores)
    assert verdict.status is Status.PASS
    assert verdict.reason.startswith("48 reworded images and their originals equal to baseline by identity")
    assert not named(verdict, "flip rate").decides


def test_the_reason_gives_both_medians_and_the_bounds(build: Any) -> None:
    """±16 % against ±6 % reads so."""
    verdict = run(build, wordings(build, 0.25, 1), wordings(build, 0.08, 2))
    assert verdict.reason.startswith("a rewording changes alignment by a median of ±")
    assert "limit +5.0 points, over 12 clusters" in verdict.reason
    assert verdict.finding is not None
    assert verdict.finding.n == 48


def test_flips_alone_can_be_red(build: Any) -> None:
    """The same sizes of change, but half of the rewordings cost a usable image."""
    calm = wordings(build, 0.02, 1, usable=0.0)
    lost = tuple(
        build.score(
            task=one.task, edits=one.edits, normalised=one.normalised, image=f"x{one.image}", usable=not one.edits or int(one.edits[1:]) % 2 == 0
        )
        for one in calm
    )
    verdict = run(build, lost, calm)
    assert verdict.status is Status.REGRESSION
    assert verdict.finding is not None
    assert verdict.finding.name == "flips"
    assert "24 of 48 rewordings cost a usable image vs 0" in verdict.reason
    assert run(build, calm, lost).status is Status.IMPROVED


def test_a_large_mean_from_one_prompt_is_no_regression(build: Any) -> None:
    """One prompt of twelve changes by all it can: the mean passes the floor, the prompts show nothing."""
    calm = wordings(build, 0.02, 1, usable=-9.0)
    wild = tuple(
        build.score(task=one.task, edits=one.edits, image=f"x{one.image}", normalised=0.0 if one.edits and one.task == "t0" else one.normalised)
        for one in calm
    )
    verdict = run(build, wild, calm)
    assert named(verdict, "change").effect is not None
    assert (named(verdict, "change").effect or 0) > 5
    assert verdict.status is Status.INCONCLUSIVE


def test_flips_of_one_prompt_are_no_proof_for_the_model(build: Any) -> None:
    """All flips on one prompt out of twelve: McNemar alone would be sure, clustered by prompt nothing is shown."""
    calm = wordings(build, 0.02, 1, edits=8, usable=0.0)
    lost = tuple(
        build.score(task=one.task, edits=one.edits, normalised=one.normalised, image=f"x{one.image}", usable=not one.edits or one.task != "t0")
        for one in calm
    )
    finding = named(run(build, lost, calm), "flips")
    assert finding.status is not Status.REGRESSION
    assert finding.p is not None
    assert finding.p > 0.05


def test_no_usable_original_is_undecided(build: Any) -> None:
    """Nothing usable could be lost; the reason says so."""
    broken, other = (
        tuple(build.score(task=f"t{p}", edits=e, usable=False, normalised=0.5, image=f"{arm}{p}{e}") for p in range(8) for e in ("", "e1"))
        for arm in "ab"
    )
    verdict = run(build, broken, other)
    assert verdict.status is Status.INCONCLUSIVE
    assert "no original picture of this cell is usable" in verdict.reason


def test_the_baselines_own_pictures_are_equal_by_identity_even_if_none_is_usable(build: Any) -> None:
    """Nothing changed is decided, however bad what did not change; that nothing could flip is still said."""
    broken = tuple(build.score(task=f"t{p}", edits=e, usable=False, normalised=0.5, image=f"{p}{e}") for p in range(8) for e in ("", "e1"))
    verdict = run(build, broken, broken)
    assert verdict.status is Status.PASS
    assert "by identity" in verdict.reason
    assert named(verdict, "flip rate").status is Status.INCONCLUSIVE


def test_rewordings_without_originals_and_none_at_all_are_undecided(build: Any) -> None:
    """Two reasons with two remedies."""
    orphan = run(build, [build.score(edits="e1")], None)
    nothing = run(build, [build.score()], None)
    assert orphan.status is nothing.status is Status.INCONCLUSIVE
    assert "none of 1 rewording has a picture of its original wording" in orphan.reason
    assert "set `rewordings`" in nothing.reason


def test_a_change_is_relative_to_the_original_within_guard_and_cap(build: Any) -> None:
    """A share of next to nothing is taken of the guard, and one ruined picture counts as 100 %."""

    def change(before: float, after: float) -> float:
        arm = build.arm(scores=(build.score(normalised=before), build.score(edits="e1", normalised=after)))
        return next(iter(reworded(arm, 0.25).values())).change

    assert change(0.8, 0.6) == pytest.approx(-0.25)
    assert change(0.01, 0.06) == pytest.approx(0.2)
    assert change(0.1, 5.0) == 1.0
    assert change(1.0, -3.0) == -1.0


def test_the_worst_drop_is_named_and_never_decides(build: Any) -> None:
    """An extreme has no interval."""
    scores = (*wordings(build, 0.01, 1), build.score(task="t0", edits="e9", normalised=0.2, image="ruin"))
    verdict = run(build, scores, scores)
    assert named(verdict, "worst drop").reason.endswith("(t0/en/0/0/e9)")
    assert not named(verdict, "worst drop").decides


@pytest.mark.parametrize(("ruined", "status"), [(0, Status.PASS), (1, Status.INCONCLUSIVE), (8, Status.REGRESSION)])
def test_drops_deeper_than_any_before_are_harm_once_they_are_many(build: Any, ruined: int, status: Status) -> None:
    """Of 48 rewordings one that is ruined may be the next sample of the same model; eight may not. Only harm decides."""
    theirs, ours = wordings(build, 0.03, 1), list(wordings(build, 0.03, 2))
    reworded_ones = [place for place, score in enumerate(ours) if score.edits]
    for place in reworded_ones[:: len(reworded_ones) // max(ruined, 1)][:ruined]:
        ours[place] = replace(ours[place], normalised=0.1)
    worst = named(run(build, ours, theirs), "worst")
    assert worst.status is status
    assert worst.decides is (status is Status.REGRESSION)
    assert worst.baseline is not None
    assert worst.baseline > -25


def test_a_drop_within_the_floor_of_the_baselines_deepest_is_none(build: Any) -> None:
    """The floor is practical: all rewordings a little deeper is the business of the mean."""
    theirs, ours = wordings(build, 0.0, 1), [replace(one, normalised=one.normalised * (0.8 if one.edits else 1)) for one in wordings(build, 0.0, 2)]
    assert named(run(build, ours, theirs), "worst").status is Status.PASS


def test_new_incomparable_and_missing_cells(build: Any) -> None:
    """No baseline, other rewordings, another recipe, lost images."""
    scores = wordings(build, 0.1, 1)
    assert run(build, scores, None).status is Status.NEW
    other = run(build, scores, [build.score(task="elsewhere"), build.score(task="elsewhere", edits="e1")])
    assert other.status is Status.NEW
    assert "holds none of the 48 rewordings" in other.reason
    assert run(build, scores, scores, incomparable="other steps").status is Status.INCOMPARABLE
    assert judge(build.evidence(build.arm(scores=scores, missing=build.missing()), None), POLICY).status is Status.ERROR


def test_too_few_clusters_cannot_decide_the_change(build: Any) -> None:
    """Three requests: the bounds are open, which is said in words and stays out of the JSON figures."""
    verdict = run(build, wordings(build, 0.1, 1, prompts=3), wordings(build, 0.1, 2, prompts=3))
    assert verdict.status is Status.INCONCLUSIVE
    assert "fewest that can decide" in verdict.reason
    assert named(verdict, "change").high is None


def test_a_faulty_usability_leaves_stability_alone(build: Any) -> None:
    """All images of both wordings worse by the same: the wording still changes nothing."""
    calm = wordings(build, 0.02, 1)
    dim = tuple(build.score(task=one.task, edits=one.edits, normalised=0.7 * one.normalised, image=f"d{one.image}") for one in calm)
    assert run(build, dim, calm).status is Status.PASS

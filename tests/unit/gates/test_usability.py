"""The usability gate passes equal rates, fails a fall, and says which checks failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swapgate.gates.policy import Policy
from swapgate.gates.usability import judge
from swapgate.gates.verdict import Finding, Status, Verdict

POLICY = Policy()


def run(build: Any, ours: Any, theirs: Any, **given: Any) -> Verdict:
    """The verdict on two arms' scores."""
    baseline = build.arm(scores=theirs) if theirs is not None else None
    return judge(build.evidence(build.arm(scores=ours), baseline, **given), POLICY)


def named(verdict: Verdict, name: str) -> Finding:
    """One finding by name."""
    return next(one for one in verdict.findings if one.name == name)


def simulated(build: Any, n: int, worse: float, better: float, times: int = 40) -> Counter[Status]:
    """Verdicts where good pictures turn bad at rate `worse` and bad ones good at rate `better`, at 93 % before."""
    found: Counter[Status] = Counter()
    for i in range(times):
        generator = np.random.default_rng(i)
        old = generator.random(n) < 0.93
        new = np.where(old, generator.random(n) >= worse, generator.random(n) < better)
        found[run(build, build.rounds(new.tolist(), "new"), build.rounds(old.tolist(), "old")).status] += 1
    return found


def test_equal_models_are_hardly_ever_red(build: Any) -> None:
    """Other pictures of the same quality (5 % discordance each way in 60 rounds): at most 5 % red, the rest undecided or green."""
    found = simulated(build, 60, 0.05 / 0.93, 0.05 / 0.07)
    assert found[Status.REGRESSION] <= 3
    assert found[Status.PASS] > 0


def test_a_planted_fall_of_twenty_points_is_red(build: Any) -> None:
    """60 rounds catch it nearly always, 120 always; it never passes."""
    assert simulated(build, 60, 0.22, 0.0)[Status.REGRESSION] >= 36
    assert simulated(build, 120, 0.22, 0.0) == {Status.REGRESSION: 40}
    assert simulated(build, 60, 0.22, 0.0)[Status.PASS] == 0


def test_sixty_pairs_without_a_discordant_one_pass(build: Any) -> None:
    """Other pictures, all judged alike: the fall is bounded at 4.9 points, under the floor of 5."""
    verdict = run(build, build.rounds([True] * 56 + [False] * 4, "new"), build.rounds([True] * 56 + [False] * 4, "old"))
    assert verdict.status is Status.PASS
    assert verdict.reason.startswith("usable 56/60 vs 56/60: +0.0 points [-4.9 points, +4.9 points], limit -5.0 points")
    assert verdict.next == ""


def test_fifty_nine_pairs_do_not_and_say_how_many_more_would(build: Any) -> None:
    """PASS needs evidence, and the remedy is a number."""
    verdict = run(build, build.rounds([True] * 50, "new"), build.rounds([True] * 50, "old"))
    assert verdict.status is Status.INCONCLUSIVE
    assert "about 13 more requests would decide at these rates" in verdict.reason


def test_a_single_task_of_ten_rounds_is_held_to_thirty_points(build: Any) -> None:
    """No discordant pair bounds it at 25.9 points, and the reason states the wider limit; 6 of 10 lost are red."""
    good = build.rounds([True] * 10, "old", prompts=1)
    held = run(build, build.rounds([True] * 10, "new", prompts=1), good, task="task0")
    lost = run(build, build.rounds([True] * 4 + [False] * 6, "new", prompts=1), good, task="task0")
    assert (held.status, lost.status) == (Status.PASS, Status.REGRESSION)
    assert "limit -30.0 points" in held.reason
    assert "6 of 10 pairs got worse and 0 better (p = 0.016)" in lost.reason
    assert lost.next == 'swapgate baselines accept --run={run} --reason="why it may get worse" usability/m/task0'


def test_more_usable_images_are_an_improvement(build: Any) -> None:
    """71 % to 93 % over the same 60 rounds."""
    before, after = [True] * 43 + [False] * 17, [True] * 56 + [False] * 4
    verdict = run(build, build.rounds(after, "new"), build.rounds(before, "old"))
    assert verdict.status is Status.IMPROVED
    assert verdict.next == "swapgate baselines accept --run={run} usability/m/all"


def test_equal_images_are_equal_by_identity(build: Any) -> None:
    """The same pixels are the same picture, also in three rounds and also if another judge calls them unusable."""
    before = build.rounds([True] * 3)
    for after in (before, build.rounds([False] * 3)):
        verdict = run(build, after, before)
        assert verdict.status is Status.PASS
        assert "by identity" in verdict.reason
        assert verdict.finding is not None
        assert verdict.finding.effect == 0.0


def test_equal_pixels_are_no_discordant_pair_among_others(build: Any) -> None:
    """Of 60 pairs one is another picture; the 59 equal ones count as equal whatever their bits."""
    before = build.rounds([True] * 60)
    after = (*build.rounds([False] * 59), build.score(task="task11", seed=4, image="other"))
    finding = named(run(build, after, before), "difference")
    assert finding.effect == 0.0
    assert finding.status is Status.PASS


@pytest.mark.parametrize(("good", "status"), [(30, Status.REGRESSION), (60, Status.NEW)])
def test_the_floor_is_judged_without_a_baseline(build: Any, good: int, status: Status) -> None:
    """Clearly below the card's floor is red; above it the cell is NEW."""
    verdict = run(build, build.rounds([True] * good + [False] * (60 - good)), None, limits=build.limits(usability_floor=0.8))
    assert verdict.status is status
    assert named(verdict, "floor").limit == pytest.approx(80.0)


def test_an_undecided_floor_waits_only_where_the_rate_seen_is_below_it(build: Any) -> None:
    """Non-inferiority to an accepted baseline settles a floor that the rate seen keeps; a rate below it stays open."""
    limits = build.limits(usability_floor=0.9)
    above, below = ([True] * n + [False] * (60 - n) for n in (56, 50))
    kept = run(build, build.rounds(above, "new"), build.rounds(above, "old"), limits=limits)
    opened = run(build, build.rounds(below, "new"), build.rounds(below, "old"), limits=limits)
    assert (kept.status, opened.status) == (Status.PASS, Status.INCONCLUSIVE)
    assert "floor 90 %" in opened.reason
    assert "more requests would decide" in opened.reason


def test_a_baseline_already_below_the_floor_does_not_excuse_the_candidate(build: Any) -> None:
    """Equal to a bad baseline is still red."""
    bad = [True] * 20 + [False] * 40
    verdict = run(build, build.rounds(bad), build.rounds(bad), limits=build.limits(usability_floor=0.8))
    assert verdict.status is Status.REGRESSION
    assert verdict.finding is not None
    assert verdict.finding.name == "floor"


def test_rewordings_and_uncounted_images_are_left_out(build: Any) -> None:
    """Only the first image of a round as written counts."""
    extra = [build.score(seed=i, edits="e1", usable=False) for i in range(20)]
    extra += [build.score(seed=i, index=1, usable=False, counted=False) for i in range(20)]
    verdict = run(build, (*build.rounds([True] * 60, "new"), *extra), build.rounds([True] * 60, "old"))
    assert verdict.status is Status.PASS
    assert verdict.reason.startswith("usable 60/60 vs 60/60: ")


def test_the_checks_that_failed_most_are_named(build: Any) -> None:
    """Three of them at most, with how often."""
    bits = {"health:noise": False, "facet:colour": False}
    scores = (*build.rounds([True] * 56, "new"), *(build.score(task="z", seed=i, usable=False, bits=bits) for i in range(3)))
    verdict = run(build, scores, None)
    assert "of 3 unusable images (5.1 %) most failed facet:colour in 3, health:noise in 3" in verdict.reason


def test_nothing_in_common_with_the_baseline_is_new(build: Any) -> None:
    """New requests need a baseline of their own."""
    verdict = run(build, build.rounds([True] * 5), (build.score(task="other"),))
    assert verdict.status is Status.NEW
    assert "holds none of the 5 requests" in verdict.reason


def test_requests_without_a_counterpart_are_left_out_and_counted(build: Any) -> None:
    """A pooled comparison over half of its tasks must not read as one over all of them."""
    verdict = run(build, (*build.rounds([True] * 60, "new"), build.score(task="added")), build.rounds([True] * 60, "old"))
    assert verdict.reason.startswith("usable 60/60 vs 60/60 (1 request without a counterpart left out)")


def test_missing_incomparable_and_empty_cells_say_so(build: Any) -> None:
    """ERROR, INCOMPARABLE and INCONCLUSIVE; none of them is green."""
    gone = judge(build.evidence(build.arm(missing=build.missing(2)), None), POLICY)
    other = run(build, build.rounds([True] * 60), build.rounds([True] * 60), incomparable="other negative prompt")
    empty = run(build, (), ())
    assert (gone.status, other.status, empty.status) == (Status.ERROR, Status.INCOMPARABLE, Status.INCONCLUSIVE)
    assert "other negative prompt" in other.reason


def black(build: Any, n: int, of: int, arm: str = "new") -> tuple[Any, ...]:
    """Pictures of which the first n are black; nothing else is held against them."""
    return tuple(build.score(task=f"t{i % 12}", seed=i // 12, usable=i >= n, image=f"{arm}{i}", bits={"health:not_black": i >= n}) for i in range(of))


@pytest.mark.parametrize("against", ["nothing", "healthy", "as black", "the same pictures"])
def test_a_model_of_black_pictures_is_red_without_a_floor(build: Any, against: str) -> None:
    """An absolute limit: with or without a baseline, and also against one that is as broken."""
    theirs = {
        "nothing": None,
        "healthy": black(build, 0, 20, "old"),
        "as black": black(build, 20, 20, "old"),
        "the same pictures": black(build, 20, 20),
    }
    verdict = run(build, black(build, 20, 20), theirs[against])
    assert verdict.status is Status.REGRESSION
    assert verdict.finding is not None
    assert (verdict.finding.name, verdict.finding.p) == ("absolute:health", None)
    assert "20 of 20 images are no healthy pictures (health:not_black in 20), limit 50 %" in verdict.reason
    assert verdict.next == "pytest tests/gates/test_usability.py --model=m"


@pytest.mark.parametrize(("lost", "red"), [(6, False), (7, True)])
def test_health_that_the_baseline_had_may_be_lost_in_a_tenth_of_the_pairs(build: Any, lost: int, red: bool) -> None:
    """7 of 60 are more than a tenth; half of the pictures black before and now say nothing."""
    verdict = run(build, black(build, lost, 60), black(build, 0, 60, "old"))
    assert ("absolute:health" in {one.name for one in verdict.findings}) is red
    assert verdict.red or not red
    assert not any(one.name == "absolute:health" for one in run(build, black(build, 30, 60), black(build, 30, 60, "old")).findings)
    assert not any(one.name == "absolute:health" for one in run(build, black(build, 30, 60), None).findings)


def test_prompts_are_the_units_only_where_pictures_change_by_themselves(build: Any) -> None:
    """Three prompts of twelve lose every seed: proof of a model that repeats itself, none of one whose repeats differ."""
    before = build.rounds([True] * 60, "old")
    now = tuple(replace(one, usable=one.task not in ("task0", "task1", "task2"), image=f"new{i}") for i, one in enumerate(before))
    policy = POLICY.at_most(0.001)
    for null, status in ((build.drift(identical=True), Status.REGRESSION), (build.drift(0.9, 25.0, 0.99), Status.INCONCLUSIVE)):
        evidence = build.evidence(build.arm(scores=now), build.arm(scores=before), null=build.null([null] * 48))
        assert judge(evidence, policy).status is status

"""The drift gate passes the accepted pictures, fails other ones of the same weights, and calls other weights CHANGED."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.gates.drift import judge, seed_deviation
from swapgate.gates.policy import Policy
from swapgate.gates.verdict import Finding, Status, Verdict

POLICY = Policy(draws=1000)


def run(build: Any, drifts: Any, null: Any = None, *, weights: str = "w1", ours: Any = (), theirs: Any = (), **given: Any) -> Verdict:
    """The verdict on drifts; the candidate has weights w1, so any others are another model's."""
    candidate, baseline = build.arm(scores=ours), build.arm(scores=theirs, weights=weights)
    evidence = build.evidence(candidate, baseline, drifts=tuple(drifts), null=build.null(null) if null is not None else None, **given)
    return judge(evidence, POLICY)


def named(verdict: Verdict, name: str) -> Finding:
    """One finding by name."""
    return next(one for one in verdict.findings if one.name == name)


def drifts(build: Any, n: int, apart: float, seed: int, modes: float = 0.0) -> list[Any]:
    """n drifts around SSIM 1 - apart; a share `modes` of them lies in a second mode at SSIM 0.958 and 27.8 dB."""
    generator = np.random.default_rng(seed)
    found = []
    for i in range(n):
        away = 0.042 if generator.random() < modes else apart * generator.uniform(0.5, 1.5)
        found.append(build.drift(1 - away, 45 - 410 * away, 1 - away / 2, pair=f"p{i}"))
    return found


def aligned(build: Any, shift: float, seed: int, tag: str, prompts: int = 12, seeds: int = 4) -> tuple[Any, ...]:
    """Pictures with alignments that differ by prompt and, with a deviation of 0.02, by seed; `shift` is in those."""
    common, own = np.random.default_rng(99), np.random.default_rng(seed)
    level = common.normal(0.3, 0.03, prompts)
    return tuple(
        build.score(task=f"t{p}", seed=s, alignment=level[p] + 0.02 * (own.normal() + shift), image=f"{tag}{p}{s}")
        for p in range(prompts)
        for s in range(seeds)
    )


def test_equal_pictures_pass_by_identity(build: Any) -> None:
    """No null is needed for pixels that are the same."""
    verdict = run(build, [build.drift(identical=True, pair=f"p{i}") for i in range(12)])
    assert verdict.status is Status.PASS
    assert verdict.reason == "12 images equal to baseline by identity, pixel for pixel"


def test_a_model_that_repeats_itself_with_two_modes_passes_and_a_fault_is_red(build: Any) -> None:
    """A null that saw both modes admits both; half the similarity lost is red, every time."""
    same: Counter[Status] = Counter()
    fault: Counter[Status] = Counter()
    for i in range(40):
        null = drifts(build, 40, 0.014, 1000 + i, modes=0.3)
        same[run(build, drifts(build, 30, 0.014, i, modes=0.3), null).status] += 1
        fault[run(build, drifts(build, 30, 0.5, i), null).status] += 1
    assert same[Status.REGRESSION] <= 2
    assert same[Status.PASS] >= 36
    assert fault == {Status.REGRESSION: 40}


def test_exchangeable_noise_is_red_at_most_as_often_as_alpha(build: Any) -> None:
    """Candidate and null of one wide distribution, nowhere within the floors: false alarms stay under 5 %."""

    def wide(n: int, seed: int) -> list[Any]:
        values = 0.75 + 0.2 * np.random.default_rng(seed).random((n, 3))
        return [build.drift(a, 20 + 5 * b, 0.6 + 0.35 * c, pair=f"p{i}") for i, (a, b, c) in enumerate(values)]

    found = Counter(run(build, wide(20, i), wide(20, 5000 + i)).status for i in range(200))
    assert found[Status.REGRESSION] <= 10


def test_the_reason_counts_the_pictures_and_names_the_worst(build: Any) -> None:
    """How many, beyond what, how far the null went, and where to look."""
    cells = [*drifts(build, 9, 0.3, 0), build.drift(0.41, 12.0, 0.6, pair="cup/en/3/0")]
    verdict = run(build, cells, drifts(build, 20, 0.001, 1))
    assert verdict.status is Status.REGRESSION
    assert verdict.reason.startswith("10 of 10 images below ssim 0.98 (floor 0.98; 20 repeats in 3 processes reached 0.99")
    assert "the least alike 0.41 (cup/en/3/0)" in verdict.reason
    assert verdict.next == 'swapgate baselines accept --run={run} --reason="why it may get worse" drift/m/all'


def odd_one(build: Any) -> list[Any]:
    """59 equal pictures and another one."""
    return [build.drift(identical=True, pair=f"p{i}") for i in range(59)] + [build.drift(0.4, 12, 0.7, pair="odd")]


def test_one_other_picture_of_a_model_that_repeats_itself_is_not_proof(build: Any) -> None:
    """Forty-eight equal repeats leave room for a mode that shows once in a hundred pictures: 1 of 60 is undecided, 30 are not."""
    null = [build.drift(identical=True)] * 48
    assert run(build, odd_one(build), null).status is Status.INCONCLUSIVE
    half = [*odd_one(build)[:30], *(build.drift(0.5, 10.0, 0.5, pair=f"odd{i}") for i in range(30))]
    verdict = judge(build.evidence(build.arm(), build.arm(), drifts=tuple(half), null=build.null(null)), POLICY.at_most(1e-4))
    assert verdict.status is Status.REGRESSION
    assert verdict.finding is not None
    assert verdict.finding.p is not None
    assert verdict.finding.p < 1e-4


@given(share=st.floats(0.0, 0.3), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_model_with_two_modes_alarms_no_more_often_than_agreed(build: Any, share: float, seed: int) -> None:
    """Each picture comes in its second mode with some chance, at acceptance as today: the p of so many is honest at every share."""
    generator = np.random.default_rng(seed)
    alarms = 0
    for _ in range(20):
        other = generator.random(60 + 48) < share
        made = [build.drift(0.6, 15.0, 0.6, pair=f"p{i}") if odd else build.drift(identical=True, pair=f"p{i}") for i, odd in enumerate(other)]
        found = judge(build.evidence(build.arm(), build.arm(), drifts=tuple(made[:60]), null=build.null(made[60:])), POLICY.at_most(0.001))
        alarms += found.red
    assert alarms <= 1


def test_one_other_picture_among_sixty_is_neither_proof_nor_nothing(build: Any) -> None:
    """Twenty repeats within the floor cannot exclude that one in sixty differs by itself: undecided, with the remedy."""
    verdict = run(build, odd_one(build), [build.drift(0.999, 60.0, 0.999)] * 20)
    assert verdict.status is Status.INCONCLUSIVE
    assert "accept again with --null=N" in verdict.reason
    assert verdict.next == "pytest tests/gates/test_drift.py --model=m --null=3"


def test_without_a_null_only_equal_pictures_pass(build: Any) -> None:
    """How much an unchanged model differs from itself was not measured: neither rounding differences nor larger ones are decided."""
    for sizes in (0.005, 0.05):
        verdict = run(build, drifts(build, 12, sizes, 0))
        assert verdict.status is Status.INCONCLUSIVE
        assert "accept again with --null=4" in verdict.reason
    assert run(build, drifts(build, 12, 0.005, 0), [build.drift(identical=True)] * 48).status is Status.PASS
    assert run(build, [build.drift(identical=True)] * 12).status is Status.PASS


def test_a_difference_beyond_an_exact_null_but_within_the_floor_passes(build: Any) -> None:
    """Statistically certain, practically nothing."""
    assert run(build, drifts(build, 30, 0.004, 0), [build.drift(identical=True)] * 30).status is Status.PASS


def test_one_metric_is_enough(build: Any) -> None:
    """A darkened picture keeps its structure and its meaning but not its pixels."""
    verdict = run(build, [build.drift(0.995, 21.0, 0.99, pair=f"p{i}") for i in range(12)], drifts(build, 20, 0.001, 1))
    assert verdict.status is Status.REGRESSION
    assert verdict.finding is not None
    assert verdict.finding.name == "psnr"


def test_a_null_as_wide_as_another_picture_is_called_blind(build: Any) -> None:
    """A model that never repeats itself cannot pass a test of sameness."""
    wide = [build.drift(0.3 + 0.02 * i, 10.0, 0.6) for i in range(20)]
    verdict = run(build, [build.drift(0.35, 11.0, 0.65)] * 10, wide)
    assert verdict.status is Status.INCONCLUSIVE
    assert "would accept another picture" in verdict.reason


def test_a_blind_metric_leaves_the_word_to_the_others(build: Any) -> None:
    """SSIM blind, PSNR and CLIP within the null: PASS by those two."""
    wide = [build.drift(0.4, 31.0, 0.99)] * 20
    verdict = run(build, [build.drift(0.5, 32.0, 0.99)] * 10, wide)
    assert verdict.status is Status.PASS
    assert not named(verdict, "ssim").decides
    assert named(verdict, "ssim").status is Status.INCONCLUSIVE


def test_other_weights_are_changed_and_red_only_when_they_follow_prompts_less(build: Any) -> None:
    """Simulated over 25 pairs of models: equal ones CHANGED, those a seed deviation worse red."""
    theirs = aligned(build, 0.0, 7, "old")
    cells = drifts(build, 48, 0.5, 0)
    found = {
        shift: Counter(run(build, cells, weights="w2", ours=aligned(build, shift, 100 + i, "new"), theirs=theirs).status for i in range(25))
        for shift in (0.0, -1.5, 1.5)
    }
    assert found[0.0][Status.CHANGED] >= 22
    assert found[-1.5] == {Status.REGRESSION: 25}
    assert found[1.5] == {Status.CHANGED: 25}


def test_changed_can_be_accepted_and_says_why(build: Any) -> None:
    """The next command accepts; no reason is asked for."""
    verdict = run(build, drifts(build, 12, 0.5, 0), weights="w2")
    assert verdict.status is Status.CHANGED
    assert "other weights paint other pictures" in verdict.reason
    assert verdict.next == "swapgate baselines accept --run={run} drift/m/all"


def test_other_weights_against_another_model_offer_no_acceptance(build: Any) -> None:
    """A comparison of two models has no baseline to accept."""
    verdict = run(build, drifts(build, 12, 0.5, 0), weights="w2", against="standin-flux")
    assert verdict.next == "pytest tests/gates --replay={run} --against=standin-flux"


def test_other_weights_with_the_same_pictures_pass(build: Any) -> None:
    """A re-packed file changes the hash and not one pixel."""
    assert run(build, [build.drift(identical=True)] * 5, weights="w2").status is Status.PASS


def test_guidance_switched_off_is_red_whatever_the_pictures(build: Any) -> None:
    """Eight forwards where the card expects sixteen: exact, with and without a baseline."""
    off = build.arm(forwards=((16, 8),) * 4)
    for baseline, cells in ((None, ()), (build.arm(), (build.drift(identical=True),))):
        verdict = judge(build.evidence(off, baseline, drifts=cells), POLICY)
        assert verdict.status is Status.REGRESSION
        assert "guidance was off: 8 transformer forwards where the card expects 16, in 4 of 4 calls" in verdict.reason
        assert verdict.next == "pytest tests/gates/test_drift.py --model=m"


def test_half_the_steps_of_a_server_are_no_guidance_that_is_off(build: Any) -> None:
    """A ComfyUI server tells steps, of which there are as many with guidance as without."""
    verdict = judge(build.evidence(replace(build.arm(forwards=((8, 4),) * 4), pipeline="comfyui"), None), POLICY)
    assert "the recipe did not run as declared: 4 steps where the card expects 8, in 4 of 4 calls" in verdict.reason
    assert named(verdict, "forwards").status is Status.REGRESSION


def test_the_right_number_of_forwards_is_stated(build: Any) -> None:
    """Other wrong counts are named as such."""
    right = judge(build.evidence(build.arm(forwards=((16, 16),)), build.arm(), drifts=(build.drift(identical=True),)), POLICY)
    short = judge(build.evidence(build.arm(forwards=((16, 14),)), build.arm(), drifts=(build.drift(identical=True),)), POLICY)
    assert right.status is Status.PASS
    assert named(right, "forwards").status is Status.PASS
    assert "the recipe did not run as declared: 14" in short.reason


@pytest.mark.parametrize(("given", "status"), [({"incomparable": "other size"}, Status.INCOMPARABLE), ({}, Status.INCONCLUSIVE)])
def test_no_reference_images_is_no_pass(build: Any, given: dict[str, str], status: Status) -> None:
    """Nothing to compare with stays undecided."""
    assert run(build, (), **given).status is status


def test_missing_images_and_no_baseline(build: Any) -> None:
    """ERROR and NEW."""
    assert judge(build.evidence(build.arm(missing=build.missing()), build.arm()), POLICY).status is Status.ERROR
    assert judge(build.evidence(build.arm(), None), POLICY).status is Status.NEW


def test_the_seed_deviation_is_pooled_within_prompts(build: Any) -> None:
    """Differences between prompts do not count; one picture a prompt gives none."""
    scores = [build.score(task=task, seed=s, alignment=level + s * 0.02) for task, level in (("a", 0.1), ("b", 0.5)) for s in (0, 1)]
    assert seed_deviation(scores) == pytest.approx(np.std([0.0, 0.02], ddof=1))
    assert seed_deviation(scores[::2]) is None


def test_a_model_that_hardly_varies_does_not_make_a_thousandth_look_large(build: Any) -> None:
    """Seeds that differ by 0.0005 and a fall of 0.001: two seed deviations, and nothing that anybody sees."""
    theirs = [build.score(task=f"t{p}", seed=s, alignment=0.3 + 0.0005 * s, image=f"a{p}{s}") for p in range(12) for s in range(3)]
    ours = [replace(one, alignment=one.alignment - 0.001, image=f"b{one.image}") for one in theirs]
    other = drifts(build, 12, 0.2, 0)
    found = named(run(build, other, drifts(build, 20, 0.001, 1), ours=ours, theirs=theirs), "alignment")
    assert found.status is not Status.REGRESSION
    assert found.effect == pytest.approx(-0.05)


def test_of_a_restless_model_only_repeated_requests_count(build: Any) -> None:
    """Sixty changed pictures of which the null repeats none say nothing; twelve that it repeats do."""
    null = [build.drift(0.97, 29.0, 0.99, pair=f"p{i // 4 * 5}#{i % 4}") for i in range(48)]
    other = [build.drift(0.3, 10.0, 0.5, pair=f"p{i}") for i in range(60)]
    verdict = run(build, other, null)
    assert verdict.status is Status.REGRESSION
    strange = [build.drift(0.3, 10.0, 0.5, pair=f"q{i}") for i in range(60)]
    assert run(build, strange, null).status is Status.INCONCLUSIVE

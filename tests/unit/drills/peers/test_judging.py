"""A policy applied to a trial: one verdict a picture, a run's mean, timed calls with their retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from swapgate.drills.peers.judging import Case, judge
from swapgate.drills.peers.metrics import TooSmallError
from swapgate.drills.peers.policies import CostRule, Policy, Rule
from swapgate.drills.peers.trials import Timed, Trial


def rules(*rules_: tuple[str, str, float], scope: Any = "image") -> Policy:
    made = tuple(Rule(metric=metric, op=op, limit=limit) for metric, op, limit in rules_)
    return Policy(id="p", peer="P", kind="drift", scope=scope, source="a/b: c.py", images=1, rules=made)


def cost(**changes: Any) -> Policy:
    rule = CostRule(**{"stat": "single", "samples": 1, "attempts": 1, "ratio": 1.1, "pad": 0.0, **changes})
    return Policy(id="p", peer="P", kind="latency", scope="image", source="a/b: c.py", images=1, cost=rule)


@pytest.fixture
def judged(gallery: Any, a_trial: Callable[..., Trial]) -> Callable[..., list[Case]]:
    """The cases of a trial under a policy, against the honest pictures h0 to h3."""

    def run(policy: Policy, trial: Trial, honest_calls: tuple[Timed, ...] = ()) -> list[Case]:
        return judge(policy, trial, a_trial("h0", "h1", "h2", "h3", calls=honest_calls), gallery.measured())

    return run


def reds(cases: list[Case]) -> list[bool]:
    return [case.red for case in cases]


PSNR = rules(("psnr", ">=", 35.0))


def test_every_picture_is_a_case(judged: Any, a_trial: Any) -> None:
    """An equal one, a near one and another one."""
    cases = judged(PSNR, a_trial("h0", "near1", "far2"))
    assert reds(cases) == [False, False, True]
    assert [case.changed for case in cases] == [False, True, True]


def test_all_rules_of_a_policy_must_hold(judged: Any, a_trial: Any) -> None:
    """One that fails is enough."""
    both = rules(("psnr", ">=", 35.0), ("mad255", "<=", 0.0))
    assert reds(judged(both, a_trial("h0", "near1"))) == [False, True]


def test_a_rule_without_its_weights_is_left_out_and_the_others_count(judged: Any, a_trial: Any) -> None:
    """Of SGLang's four, three are pixels."""
    partly = rules(("clip_image_vitl14", ">=", 0.92), ("psnr", ">=", 35.0))
    assert reds(judged(partly, a_trial("near0", "far1"))) == [False, True]


def test_a_missing_picture_is_red_under_every_rule(judged: Any, a_trial: Any) -> None:
    """No suite lets a request pass that gave nothing."""
    assert reds(judged(PSNR, a_trial(None, "h1"))) == [True, False]
    assert reds(judged(rules(("ssim_rgb_resized", ">=", 0.1), scope="mean"), a_trial(None, "h1"))) == [True]


def test_a_picture_refused_for_its_size_is_judged_by_no_rule_that_takes_any_size(judged: Any, a_trial: Any) -> None:
    """This suite keeps no such picture, so nothing says what such a rule makes of it; the others raise on it, and are red."""
    whole = a_trial(None, "h1")
    refused = replace(whole, pairs=(replace(whole.pairs[0], refused=True), whole.pairs[1]))
    assert reds(judged(rules(("any_nonzero", ">", 0.0)), refused)) == [False]
    assert reds(judged(rules(("dhash64_share", "<=", 0.05)), refused)) == [False]
    assert judged(rules(("ssim_rgb_resized", ">=", 0.1), scope="mean"), refused) == []
    assert reds(judged(PSNR, refused)) == [True, False]
    assert reds(judged(rules(("dhash64_share", "<=", 0.05), ("psnr", ">=", 35.0)), refused)) == [True, False]


def test_a_picture_of_another_size_is_red_where_the_peer_cannot_compare(judged: Any, a_trial: Any) -> None:
    """And is judged where the peer resizes, or looks at no size."""
    assert reds(judged(PSNR, a_trial("small"))) == [True]
    assert reds(judged(rules(("ssim_rgb_resized", ">=", 0.5)), a_trial("small"))) == [False]
    assert reds(judged(rules(("dhash64_share", "<=", 0.2)), a_trial("small"))) == [False]


def test_a_value_that_is_no_number_is_red(judged: Any, a_trial: Any) -> None:
    """A black first row has no direction."""
    assert reds(judged(rules(("cosine_first_row_30", "<", 1e-4)), a_trial("black"))) == [True]


def test_pictures_too_small_for_a_measure_are_no_verdict(judged: Any, a_trial: Any) -> None:
    """Neither red nor green: the policy is not run."""
    with pytest.raises(TooSmallError, match="160 pixels"):
        judged(rules(("ms_ssim", ">=", 0.98)), a_trial("near0"))


def test_a_mean_is_one_case_of_a_run(judged: Any, a_trial: Any) -> None:
    """A single bad picture of four hides in it, which is what such a rule does."""
    mean = rules(("ssim_rgb_resized", ">=", 0.7), scope="mean")
    assert reds(judged(mean, a_trial("h0", "h1", "h2", "far3"))) == [False]
    assert reds(judged(mean, a_trial("far0", "far1", "far2", "far3"))) == [True]
    assert judged(mean, a_trial()) == []


def test_equal_pairs_share_a_key(judged: Any, a_trial: Any) -> None:
    """So that the same two pictures are counted once."""
    one, two = judged(PSNR, a_trial("near0", name="a")), judged(PSNR, a_trial("near0", name="b"))
    assert one[0].key == two[0].key
    assert one[0].key != judged(PSNR, a_trial("far0"))[0].key


def test_a_measure_is_computed_once_for_two_pictures(gallery: Any, a_trial: Any) -> None:
    """Thirty policies ask for the same few values."""
    measured = gallery.measured()
    for _ in range(3):
        judge(PSNR, a_trial("near0"), a_trial("h0"), measured)
    assert sorted(gallery.loaded) == ["h0", "near0"]


# ---------------------------------------------------------------- times and peaks


def test_a_call_is_held_against_the_same_call_of_the_honest_run(judged: Any, a_trial: Any, calls: Any) -> None:
    """Its own baseline, as every case has at the peer."""
    trial = a_trial(calls=calls(1.05, 2.3, 3.0))
    assert reds(judged(cost(), trial, calls(1.0, 2.0, 3.0))) == [False, True, False]


def test_a_retry_within_the_limit_is_enough(judged: Any, a_trial: Any, calls: Any) -> None:
    """Three attempts a case: the first case passes by its third attempt, the second by none."""
    trial = a_trial(calls=calls(2.0, 2.0, 1.0, 2.0, 2.0, 2.0))
    assert reds(judged(cost(attempts=3), trial, calls(*[1.0] * 6))) == [False, True]
    assert reds(judged(cost(), trial, calls(*[1.0] * 6))) == [True, True, False, True, True, True]


def test_a_run_with_fewer_calls_than_attempts_is_one_case(judged: Any, a_trial: Any, calls: Any) -> None:
    """With as many attempts as there are."""
    assert reds(judged(cost(attempts=7), a_trial(calls=calls(2.0, 2.0)), calls(1.0, 1.0))) == [True]


@pytest.mark.parametrize(("stat", "expected"), [("median", [False, True]), ("mean", [True, True])])
def test_a_statistic_of_several_calls(judged: Any, a_trial: Any, calls: Any, stat: str, expected: list[bool]) -> None:
    """One slow call of three moves the mean and not the median; what is left over at the end is dropped."""
    trial = a_trial(calls=calls(1.0, 1.0, 9.0, 1.5, 1.5, 1.5, 99.0))
    assert reds(judged(cost(stat=stat, samples=3), trial, calls(*[1.0] * 7))) == expected


def test_a_run_as_one_measurement(judged: Any, a_trial: Any, calls: Any) -> None:
    """Throughput is of all calls."""
    assert reds(judged(cost(stat="mean", samples=0), a_trial(calls=calls(1.0, 1.0, 1.2)), calls(1.0, 1.0, 1.0))) == [False]
    assert reds(judged(cost(stat="mean", samples=0), a_trial(calls=calls(1.0, 1.0, 1.4)), calls(1.0, 1.0, 1.0))) == [True]


def test_a_baseline_of_several_measurements_is_their_median(judged: Any, a_trial: Any, calls: Any) -> None:
    """A first measurement that was lucky does not decide alone."""
    trial, honest = a_trial(calls=calls(1.05)), calls(0.5, 1.0, 1.0)
    assert reds(judged(cost(), trial, honest)) == [True]
    assert reds(judged(cost(history=3), trial, honest)) == [False]


def test_steps_have_a_rule_of_their_own(judged: Any, a_trial: Any, calls: Any) -> None:
    """The median step, and no case where the engine sees no steps."""
    slow = a_trial(calls=(Timed(size="s", seconds=1.0, median_step=0.2, peak=1.0),))
    assert reds(judged(cost(stat="median_step"), slow, calls(1.0))) == [True]
    assert reds(judged(cost(), slow, calls(1.0))) == [False]
    blind = a_trial(calls=(Timed(size="s", seconds=1.0, median_step=None, peak=1.0),))
    assert judged(cost(stat="median_step"), blind, calls(1.0)) == []


def test_a_peak_is_the_largest_of_its_calls(judged: Any, a_trial: Any, calls: Any) -> None:
    """In MiB, with a pad."""
    grown = a_trial(calls=(*calls(1.0, peak=1000.0), *calls(1.0, peak=1300.0)))
    assert reds(judged(cost(stat="peak", samples=2, ratio=1.05, pad=256.0), grown, calls(1.0, 1.0))) == [True]
    assert reds(judged(cost(stat="peak", samples=2, ratio=1.05, pad=400.0), grown, calls(1.0, 1.0))) == [False]


def test_calls_of_unequal_size_are_never_compared(judged: Any, a_trial: Any, calls: Any) -> None:
    """A large picture takes longer, and that is no regression."""
    trial = a_trial(calls=(*calls(5.0, size="large"), *calls(1.0, size="small")))
    assert reds(judged(cost(), trial, (*calls(1.0, size="small"), *calls(5.0, size="large")))) == [False, False]
    assert judged(cost(), trial, calls(1.0, size="other")) == []


def test_too_few_calls_are_no_case(judged: Any, a_trial: Any, calls: Any) -> None:
    """A rule on five calls says nothing of four."""
    assert judged(cost(stat="mean", samples=5), a_trial(calls=calls(*[1.0] * 4)), calls(*[1.0] * 5)) == []
    assert judged(cost(stat="mean", samples=0), a_trial(), calls(1.0)) == []

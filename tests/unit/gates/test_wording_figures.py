"""Figures on rewordings: quantiles, spread against seeds, flips by class; none of them decides."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binomtest

from swapgate.gates.policy import Policy
from swapgate.gates.stability import judge, reworded
from swapgate.gates.verdict import Finding
from swapgate.gates.wording_figures import ARTICLE, figures, kinds
from swapgate.wording import INNOCENCE, Kind

POLICY = Policy(draws=500)


def told(build: Any, scores: list[Any]) -> dict[str, Finding]:
    arm = build.arm(scores=tuple(scores))
    return {one.name: one for one in figures(arm, reworded(arm, POLICY.stability_guard), POLICY)}


def scores(build: Any, *changes: float, task: str = "cup", edits: str = "synonym: a→b @{n}", flips: int = 0) -> list[Any]:
    """An original at 1 and rewordings that change it so; the first `flips` of them are not usable."""
    made = [build.score(task=task, normalised=1.0)]
    return made + [
        build.score(task=task, edits=edits.format(n=n), normalised=1 + change, usable=n > flips, image=f"i{n}")
        for n, change in enumerate(changes, start=1)
    ]


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ("synonym: cup→mug @1; punctuation: full stop added @1", (Kind.PUNCTUATION, Kind.SYNONYM)),
        ("quality suffix: Ultra HD, 4K @1", (Kind.SUFFIX,)),
        ("lower", ()),
        ("", ()),
    ],
)
def test_classes_are_read_from_serialised_edits(edits: str, expected: tuple[Kind, ...]) -> None:
    """Most innocent first, each once."""
    assert kinds(edits) == expected


def test_quantiles_are_of_the_relative_change(build: Any) -> None:
    """Of 101 changes from -0.50 to +0.50: -45 %, 0 and +45 %."""
    found = told(build, scores(build, *(place / 100 for place in range(-50, 51))))["change quantiles"]
    assert (found.low, found.effect, found.high) == pytest.approx((-45, 0, 45))
    assert "-45 % at the 5 % quantile" in found.reason
    assert "extremes" not in found.reason
    assert "article" not in found.reason


def test_few_rewordings_say_that_their_quantiles_are_extremes(build: Any) -> None:
    """Three numbers have no 5 % quantile of their own."""
    assert "of 3 the outer two are nearly the extremes" in told(build, scores(build, -0.1, 0.0, 0.1))["change quantiles"].reason


def test_the_articles_claim_stands_beside_its_own_tasks_and_is_labelled(build: Any) -> None:
    """±12 % against -35 … +28 %, never without whose figures they are."""
    reason = told(build, scores(build, -0.1, 0.1, task=f"{ARTICLE}cat"))["change quantiles"].reason
    assert "the published article states ±12 % for Qwen-Image-2512 and -35 % to +28 % for FLUX.1 (its own figures" in reason


def test_spread_over_wordings_is_a_share_of_that_over_seeds(build: Any) -> None:
    """Wordings at 0.9 and 1.1 around 1 spread by 0.1; seeds at 0.8, 1.0, 1.2 by 0.2: one half."""
    made = scores(build, -0.1, 0.1)
    made += [build.score(task="cup", seed=2, normalised=0.8), build.score(task="cup", seed=3, normalised=1.2)]
    found = told(build, made)["wording spread"]
    assert found.effect == pytest.approx(50)
    assert "0.100 over wordings of one seed (2 degrees of freedom) and by 0.200 over seeds of one wording (2): 50 %" in found.reason


def test_spread_without_seeds_or_without_their_spread_has_no_figure(build: Any) -> None:
    """Neither one seed nor seeds that are all alike give a share."""
    assert told(build, scores(build, 0.1))["wording spread"].effect is None
    alike = told(build, [*scores(build, 0.1, -0.1), build.score(task="cup", seed=2, normalised=1.0)])["wording spread"]
    assert alike.effect is None
    assert "so there is no share" in alike.reason


def test_flips_are_counted_by_class_with_exact_intervals(build: Any) -> None:
    """Two of eight with a synonym, one of three with a full stop; the ends are those of scipy's exact interval."""
    made = scores(build, *[-0.5] * 5, flips=1)
    made += scores(build, *[-0.5] * 3, edits="synonym: c→d @{n}; punctuation: stop @{n}", flips=1)[1:]
    found = told(build, made)
    for name, flips, n in (("flip rate, synonym", 2, 8), ("flip rate, punctuation", 1, 3)):
        exact = binomtest(flips, n).proportion_ci(1 - POLICY.alpha, method="exact")
        one = found[name]
        assert (one.n, one.effect, one.low, one.high) == pytest.approx((n, 100 * flips / n, 100 * exact.low, 100 * exact.high))
        assert one.confidence == 1 - POLICY.alpha
    assert [name for name in found if name.startswith("flip rate, ")] == ["flip rate, punctuation", "flip rate, synonym"]


def test_noise_is_named_noise(build: Any) -> None:
    """A typo is no other word for the same thing."""
    assert "typo, which is noise, became" in told(build, scores(build, -0.5, edits="typo: letter doubled @{n}", flips=1))["flip rate, typo"].reason


def test_a_rewording_of_an_unusable_original_could_lose_nothing(build: Any) -> None:
    """It counts for no class."""
    made = scores(build, -0.5, flips=1)
    made[0] = build.score(task="cup", normalised=1.0, usable=False)
    assert not [name for name in told(build, made) if name.startswith("flip rate, ")]


def test_no_figure_decides(build: Any) -> None:
    """A verdict with them is the verdict without them."""
    made = scores(build, *[-0.5] * 6, flips=3)
    arm = build.arm(scores=tuple(made))
    verdict = judge(build.evidence(arm, arm), POLICY)
    mine = {one.name: one for one in verdict.findings if one.name in told(build, made)}
    assert set(mine) == {"change quantiles", "placebo", "wording spread", "flip rate, synonym"}
    assert not any(one.decides or one.limit is not None or one.p is not None for one in mine.values())
    assert len(INNOCENCE) == len(set(INNOCENCE))

"""A judge against people: the counts, what chance would do, the corrected rate and how often its interval holds the truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.gates.labelled import Rate, Table, cohen, corrected, krippendorff, majority, melded, rogan_gladen, table

RUNS, DRAWS = 1000, 500
WIDE = list(itertools.product((0.05, 0.3, 0.7, 0.95), ((0.95, 0.9), (0.8, 0.7), (0.99, 0.6)), ((60, 20), (200, 60))))


def counts(truth: float, se: float, sp: float, n: int, labelled: int, *, overlap: bool, seed: int) -> list[np.ndarray]:
    """RUNS simulated runs: judged images (hits, n), and (right, usable) (right, unusable) of `labelled` of them, or of others."""
    rng = np.random.default_rng(seed)
    people = rng.random((RUNS, n + labelled)) < truth
    judge = rng.random(people.shape) < np.where(people, se, 1 - sp)
    known = slice(0, labelled) if overlap else slice(n, n + labelled)
    hits = judge[:, :n].sum(axis=1)
    usable, unusable = people[:, known].sum(axis=1), (~people[:, known]).sum(axis=1)
    right_yes, right_no = (judge & people)[:, known].sum(axis=1), (~judge & ~people)[:, known].sum(axis=1)
    return [np.asarray(one, dtype=np.float64) for one in (hits, np.full(RUNS, n), right_yes, usable, right_no, unusable)]


def covered(truth: float, drawn: list[np.ndarray]) -> float:
    """How often the interval holds the truth; where a group has no label, nothing is claimed, and everything is held."""
    some = (drawn[3] > 0) & (drawn[5] > 0)
    low, high = melded(*(one[some] for one in drawn), draws=DRAWS, rng=np.random.default_rng(5))
    return float(((low <= truth) & (truth <= high)).sum() + (~some).sum()) / RUNS


@pytest.mark.parametrize("overlap", [False, True], ids=["apart", "inside"])
@pytest.mark.parametrize(("truth", "errs", "size"), WIDE)
def test_the_interval_holds_the_truth_at_least_94_times_in_100(truth: float, errs: tuple[float, float], size: tuple[int, int], overlap: bool) -> None:
    """Over rates, judges and sizes, whether the labelled images are among the judged ones or others."""
    assert covered(truth, counts(truth, *errs, *size, overlap=overlap, seed=int(1000 * truth))) >= 0.94


def test_an_interval_that_forgets_how_little_is_known_of_the_judge_would_be_found_out() -> None:
    """The control of the test above: taking the judge's errors as known exactly covers far less."""
    drawn = counts(0.7, 0.8, 0.7, 200, 60, overlap=False, seed=3)
    hits, n, right_yes, usable, right_no, unusable = drawn
    sure = [hits, n, right_yes * 1e6, usable * 1e6, right_no * 1e6, unusable * 1e6]
    assert covered(0.7, sure) < 0.85


@pytest.mark.parametrize(("truth", "errs", "size"), [(0.7, (0.9, 0.9), (200, 150)), (0.3, (0.95, 0.9), (400, 300))])
def test_the_interval_is_not_wide_for_nothing(truth: float, errs: tuple[float, float], size: tuple[int, int]) -> None:
    """At most twice as wide as the spread of the estimate itself asks for."""
    drawn = counts(truth, *errs, *size, overlap=False, seed=8)
    low, high = melded(*drawn, draws=DRAWS, rng=np.random.default_rng(5))
    rates = [drawn[place] / drawn[place + 1] for place in (0, 2, 4)]
    spread = np.std(rogan_gladen(*rates, unknown=0.0))
    assert np.median(high - low) < 2 * 2 * 1.96 * spread


def test_a_perfect_judge_with_many_labels_leaves_the_rate_as_it_is() -> None:
    """90 of 100, and hardly more than the exact interval of the rate itself."""
    said = Rate(hits=90, n=100)
    found = corrected(said, Table(usable_yes=20_000, not_no=20_000))
    assert found.value == pytest.approx(0.9)
    assert (found.low, found.high) == pytest.approx(said.interval, abs=0.004)


def test_the_textbook_case() -> None:
    """Apparent 0.5 at sensitivity 0.9 and specificity 0.7: (0.5 + 0.7 - 1) / 0.6 = 1/3, inside its interval."""
    found = corrected(Rate(hits=100, n=200), Table(usable_yes=90, usable_no=10, not_yes=30, not_no=70))
    assert found.value == pytest.approx(1 / 3)
    assert 0.1 < found.low < 1 / 3 < found.high < 0.55


@given(
    hits=st.integers(0, 60),
    known=st.builds(Table, usable_yes=st.integers(0, 30), usable_no=st.integers(0, 30), not_yes=st.integers(0, 30), not_no=st.integers(0, 30)),
)
def test_every_corrected_rate_lies_in_its_interval_in_0_to_1(hits: int, known: Table) -> None:
    """Clipped, whatever the counts; and nothing is said where the judge is not shown to be better than chance."""
    found = corrected(Rate(hits=hits, n=60), known)
    assert 0 <= found.low <= found.high <= 1
    if found.value is None:
        assert not known.informative
        assert (found.low, found.high) == (0, 1)
    else:
        assert found.low <= found.value <= found.high
        assert known.sensitivity.n > 0
        assert known.specificity.n > 0
        assert known.usable_yes * known.not_no > known.usable_no * known.not_yes, "sensitivity + specificity is above 1"


def test_a_coin_is_called_no_better_than_chance_and_a_judge_is_not() -> None:
    """A coin passes for a judge in at most 2.5 % of runs; a fair judge with 60 labels nearly never fails to."""
    rng = np.random.default_rng(2)
    people = rng.random((800, 60)) < 0.7
    coin, fair = rng.random(people.shape) < 0.6, np.where(rng.random(people.shape) < 0.1, ~people, people)
    passed = [np.mean([table(zip(p, j, strict=True)).informative for p, j in zip(people, judge, strict=True)]) for judge in (coin, fair)]
    assert passed[0] <= 0.025 + 0.011
    assert passed[1] >= 0.99


def test_one_kind_of_picture_alone_shows_nothing() -> None:
    """Without a picture that people refuse, specificity is not known; without any label, nothing is."""
    assert not Table(usable_yes=500).informative
    assert Table(usable_yes=500).specificity.value is None
    assert Table(usable_yes=500).specificity.interval == (0, 1)
    assert corrected(Rate(hits=9, n=10), Table()).value is None


def test_counts_go_where_they_belong() -> None:
    """(people, judge)."""
    found = table([(True, True)] * 4 + [(True, False)] * 3 + [(False, True)] * 2 + [(False, False)])
    assert found == Table(usable_yes=4, usable_no=3, not_yes=2, not_no=1)
    assert (found.sensitivity, found.specificity, found.n) == (Rate(hits=4, n=7), Rate(hits=1, n=3), 10)


def test_chance_p_is_fisher_s() -> None:
    """Against scipy's own."""
    from scipy.stats import fisher_exact

    known = Table(usable_yes=12, usable_no=5, not_yes=3, not_no=7)
    assert known.chance_p == pytest.approx(fisher_exact([[12, 5], [3, 7]], alternative="greater")[1])


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([True, True, False], True),
        ([True, False], None),
        ([None, None], None),
        ([None, False], False),
        ([], None),
        ([False, False, True, None], False),
    ],
)
def test_the_majority_of_those_who_are_sure(answers: list[bool | None], said: bool | None) -> None:
    """A tie says nothing."""
    assert majority(answers) is said


def test_kappa_of_the_textbook() -> None:
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: kappa 0.4 (Cohen's own arithmetic), on 50 pictures."""
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = cohen(pairs)
    assert found.value == pytest.approx(0.4)
    assert (found.n, found.same.hits) == (50, 35)


def test_agreement_that_cannot_be_told_from_chance_has_no_value() -> None:
    """Everything the same, or nothing at all."""
    assert cohen([(True, True)] * 9).value is None
    assert cohen([]).value is None
    assert krippendorff([[True, True]] * 9).value is None
    assert krippendorff([[True], [False]]).n == 0


def test_alpha_of_krippendorff_s_own_example() -> None:
    """His binary data of two observers and ten units (Computing Krippendorff's Alpha-Reliability, 2011, A): alpha 0.095."""
    one, two = "0100000000", "1110010100"
    found = krippendorff([(a == "1", b == "1") for a, b in zip(one, two, strict=True)])
    assert found.value == pytest.approx(0.095, abs=0.001)
    assert (found.n, found.same.hits) == (10, 6)


def test_alpha_leaves_out_what_one_person_saw_alone_and_knows_perfect_from_opposite() -> None:
    """Missing answers are no disagreement."""
    full = [[True, True, True], [False, False], [True, True]]
    assert krippendorff([*full, [False]]).value == 1.0
    assert krippendorff([[True, False]] * 10).value == pytest.approx(1 - 10 * 2 * 19 / (2 * 10 * 10))
    assert math.isclose(krippendorff(full).same.interval[1], 1.0)

"""What sequential tests say at a look: when they stop, what they name, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapgate.gates import sequential as anytime
from swapgate.gates.sequential import Look, Outcome, Process

NUMBERS = st.lists(st.floats(-5, 5, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=60)


@settings(deadline=None)
@given(NUMBERS)
def test_a_p_never_rises_and_lies_between_zero_and_one(values: list[float]) -> None:
    """A claim that was shown stays shown."""
    found = anytime.flips(values, 0.2)
    for e_values in (found.harm, found.no_harm, found.gain):
        p = anytime.anytime_p(e_values)
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p) <= 0).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([-1.0, -1.0, 0.0, 1.0]), min_size=1, max_size=80), st.sampled_from([0.0, 0.1]))
def test_many_sequences_stop_where_each_would_if_it_were_asked_pair_by_pair(changes: list[float], floor: float) -> None:
    """The vectorised stop is the first look that decides."""
    looks = [anytime.pairs(changes[:n], 0.2).look() for n in range(1, len(changes) + 1)]
    answers = [look.decided(0.05, 0.1, floor=floor) for look in looks]
    first = next((i for i, answer in enumerate(answers) if answer is not Outcome.UNDECIDED), len(answers) - 1)
    names, stops = anytime.pairs([changes, changes], 0.2).stops(0.05, 0.1, floor=floor)
    assert names.tolist() == [answers[first].value] * 2
    assert stops.tolist() == [first + 1] * 2


def test_a_look_names_harm_before_gain_and_asks_for_the_floor() -> None:
    """A clear change below the floor is no harm once that is shown, and undecided before."""
    said = Look(n=50, change=-0.04, harm=0.001, no_harm=0.2, gain=1.0)
    assert said.decided(0.05, 0.05) is Outcome.HARM
    assert said.decided(0.05, 0.05, floor=0.05) is Outcome.UNDECIDED
    assert Look(n=50, change=-0.04, harm=0.001, no_harm=0.01, gain=1.0).decided(0.05, 0.05, floor=0.05) is Outcome.NO_HARM
    assert Look(n=50, change=0.2, harm=1.0, no_harm=0.01, gain=0.01).decided(0.05, 0.05, floor=0.05) is Outcome.GAIN


def test_a_false_gain_costs_the_error_of_a_pass_and_not_that_of_an_alarm() -> None:
    """Alarms may be a thousand times rarer than passes; an improvement alarms nobody."""
    said = Look(n=50, change=0.2, harm=1.0, no_harm=0.5, gain=0.01)
    assert said.decided(0.001, 0.05) is Outcome.GAIN
    assert said.decided(0.05, 0.001) is Outcome.UNDECIDED
    same = Process(harm=np.ones(2), no_harm=np.ones(2), gain=np.array([1.0, 100.0]), change=np.full(2, 0.2))
    assert same.stops(0.001, 0.05)[0] == Outcome.GAIN.value
    assert same.stops(0.05, 0.001)[0] == Outcome.UNDECIDED.value
    assert same.stops(0.05, 0.05, floor=0.3)[0] == Outcome.UNDECIDED.value


def test_many_sequences_ask_for_the_floor_too() -> None:
    """Every fifth pair worse is clear harm, and within a floor of 30 points it is none."""
    changes = np.tile([0.0, 0.0, 0.0, 0.0, -1.0], 20)
    found = anytime.pairs(np.stack([changes, -changes]), 0.05)
    assert found.stops(0.05, 0.05)[0].tolist() == [Outcome.HARM.value, Outcome.NO_HARM.value]  # a model that is better has passed before
    names, stops = anytime.pairs(changes, 0.05).stops(0.05, 0.05, floor=0.3)
    assert (names, stops) == (Outcome.UNDECIDED.value, 100)


def test_differences_of_zero_are_never_evidence_of_harm() -> None:
    """Equal pictures pass as soon as there are enough of them, and never fail."""
    for found in (anytime.pairs(np.zeros(100), 0.05), anytime.bounded(np.zeros(100), 0.05), anytime.flips(np.zeros(100), 0.05)):
        assert (found.harm <= 1).all()
        assert (found.gain <= 1).all()
        assert found.look().decided(0.05, 0.05) is Outcome.NO_HARM


def test_long_and_one_sided_sequences_end_in_a_p_of_zero_and_not_in_a_warning() -> None:
    """Numbers too large to hold are infinite evidence; those too small none."""
    for found in (anytime.pairs(-np.ones(3000), 0.05), anytime.flips(-np.ones(3000), 0.05), anytime.bounded(-np.ones(3000), 0.05)):
        assert found.look().harm == pytest.approx(0.0, abs=1e-300)
        assert found.look().gain == pytest.approx(1.0)
        assert found.look().no_harm >= 0.5
    assert anytime.flips([1e-300, -1e300, 1e300], 0.1).look().harm <= 1


def test_one_sequence_or_many_give_the_same_e_values() -> None:
    """Rows do not see each other."""
    values = np.random.default_rng(15).normal(size=(5, 30))
    for test in (lambda x: anytime.flips(x, 0.3), lambda x: anytime.pairs(np.sign(x), 0.3), lambda x: anytime.bounded(np.tanh(x), 0.3)):
        many = test(values)
        for name in ("harm", "no_harm", "gain", "change"):
            rows = [getattr(test(row), name) for row in values]
            assert getattr(many, name) == pytest.approx(np.stack(rows), rel=1e-9)


@pytest.mark.parametrize("bad", [[], [math.nan, 1.0], [math.inf], [[]], 3.0])
def test_samples_that_are_no_samples_are_refused(bad: Sequence[float]) -> None:
    """Nothing, NaN and infinity are said to be wrong instead of giving evidence."""
    for test in (anytime.pairs, anytime.bounded, anytime.flips):
        with pytest.raises(ValueError, match="at least one value, all of them finite"):
            test(bad, 0.1)


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, math.nan])
def test_margins_that_are_no_shares_are_refused(margin: float) -> None:
    """A fall of nothing or of everything cannot be bet against."""
    for test in (anytime.pairs, anytime.bounded):
        with pytest.raises(ValueError, match="margin"):
            test([0.0], margin)
    if not margin > 0:
        with pytest.raises(ValueError, match="floor"):
            anytime.flips([0.0], margin)


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0, math.nan, 2.0])
def test_levels_that_are_no_error_rates_are_refused(alpha: float) -> None:
    """Neither no error at all nor a coin's toss."""
    process: Process = anytime.pairs([0.0], 0.1)
    for ask in (process.look().decided, process.stops):
        with pytest.raises(ValueError, match="alpha"):
            ask(alpha, 0.05)
        with pytest.raises(ValueError, match="alpha"):
            ask(0.05, alpha)
    with pytest.raises(ValueError, match="alpha"):
        anytime.fall_bounds(0, 0, 1, alpha)


def test_other_mistakes_are_said_plainly() -> None:
    """Counts, values and priors out of range."""
    with pytest.raises(ValueError, match="better \\(1\\), equal \\(0\\) or worse"):
        anytime.pairs([0.5], 0.1)
    with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
        anytime.bounded([1.5], 0.1)
    with pytest.raises(ValueError, match="held against"):
        anytime.mean_above([0.5], 1.0)
    with pytest.raises(ValueError, match="negative"):
        anytime.pair_harm(-1, 0)
    with pytest.raises(ValueError, match="prior"):
        anytime.pair_harm(1, 0, prior=0.0)
    with pytest.raises(ValueError, match="more differing pairs"):
        anytime.pair_no_harm(2, 2, 3, 0.1)
    with pytest.raises(ValueError, match="one sequence"):
        anytime.pairs([[0.0]], 0.1).look()
    with pytest.raises(ValueError, match="e-values"):
        anytime.anytime_p([math.nan])

"""Verdicts that may be asked for at any time: e-processes on paired answers and differences, and what they say at a look.

A fixed-sample p grows wrong with every further look; the p of an e-process does not (Ville's inequality: Ville, Etude
critique de la notion de collectif, 1939; Ramdas, Grunwald, Vovk and Shafer, Statistical Science 38, 2023). A change is
better minus worse, so harm is negative. Arrays are [pairs] or [runs, pairs] in the order of observation, and e-values have the
shape of their data. Each observation must be fair given those before it: answers that depend on each other (images of
one prompt whose wording a model lost) are put together by `blocks` first. Group-sequential times are in `spending`.

Bad data (nothing, NaN, a margin or an alpha out of range) raise ValueError. scipy is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Shares of the largest bet that cannot lose more than everything. The boldest weighs most, since a model that changed
# nothing shows no worse pair, and only the boldest bet grows as fast there as a test of fixed size.
_BETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_BET_WEIGHTS = (0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0)
# Bets on the sign, in typical (median) sizes of a difference: from a tenth of a standard deviation to several.
_TILTS = (0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0)
_BISECTIONS = 21  # to a millionth of the rate


class Outcome(StrEnum):
    """What a sequential test has shown so far."""

    HARM = "harm"
    NO_HARM = "no harm"
    GAIN = "gain"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a sequential test says after n observations.

    change: better minus worse, in the data's unit. harm, no_harm, gain: p-values that hold however often one has looked
    (anytime-valid, or spent p of a group-sequential test); small means that the claim is shown.
    """

    n: int
    change: float
    harm: float
    no_harm: float
    gain: float

    def decided(self, alpha_harm: float, alpha_pass: float, *, floor: float = 0.0) -> Outcome:
        """The claim that is shown; harm and gain must also be larger than the practical floor. Harm is asked for first.

        alpha_harm bounds a false HARM, alpha_pass a false NO_HARM and a false GAIN each, which alarm nobody.
        """
        check_alpha(alpha_harm)
        check_alpha(alpha_pass)
        if self.harm <= alpha_harm and -self.change > floor:
            return Outcome.HARM
        if self.gain <= alpha_pass and self.change > floor:
            return Outcome.GAIN
        return Outcome.NO_HARM if self.no_harm <= alpha_pass else Outcome.UNDECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The e-values of three claims after every observation, and the mean change so far; arrays of one shape [..., n]."""

    harm: Floats
    no_harm: Floats
    gain: Floats
    change: Floats

    def look(self) -> Look:
        """What the last observation of a single sequence leaves."""
        if self.harm.ndim != 1:
            raise ValueError("a look is of one sequence; `stops` reads many")
        harm, no_harm, gain = (float(anytime_p(values)[-1]) for values in (self.harm, self.no_harm, self.gain))
        return Look(n=len(self.harm), change=float(self.change[-1]), harm=harm, no_harm=no_harm, gain=gain)

    def stops(self, alpha_harm: float, alpha_pass: float, *, floor: float = 0.0) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        """The first outcome of every sequence and the observations it took (all of them where it stays undecided).

        It agrees with asking `look().decided(...)` after each observation and stopping at the first answer.
        """
        check_alpha(alpha_harm)
        check_alpha(alpha_pass)
        harm = (anytime_p(self.harm) <= alpha_harm) & (-self.change > floor)
        gain = (anytime_p(self.gain) <= alpha_pass) & (self.change > floor)
        shown = (anytime_p(self.no_harm) <= alpha_pass) | harm | gain
        first = np.where(shown.any(axis=-1), shown.argmax(axis=-1), shown.shape[-1] - 1)
        seen = [np.take_along_axis(claim, first[..., None], axis=-1)[..., 0] for claim in (harm, gain, shown)]
        names = np.select(seen, [Outcome.HARM.value, Outcome.GAIN.value, Outcome.NO_HARM.value], Outcome.UNDECIDED.value)
        return names, np.asarray(first + 1)


def anytime_p(e_values: ArrayLike) -> Floats:
    """The p that holds at any stopping time: the smallest 1/e so far, at most 1; it never rises along the last axis."""
    values = np.asarray(e_values, dtype=np.float64)
    if values.size == 0 or np.isnan(values).any() or (values < 0).any():
        raise ValueError("e-values are non-negative numbers, at least one")
    with np.errstate(divide="ignore"):
        return np.minimum.accumulate(np.minimum(1.0, 1.0 / values), axis=-1)


def pair_harm(worse: ArrayLike, better: ArrayLike, *, prior: float = 1.0) -> Floats:
    """The e-value of "a pair that differs is as likely better as worse", against worse, after these counts; any shape.

    A bet on every discordant pair at odds q, mixed over q in (1/2, 1] with a Beta(prior, prior) density: 1 is uniform,
    0.5 Jeffreys'. In closed form 2^n B(w + a, b + a) I_1/2(b + a, w + a) / (B(a, a) / 2). Pairs that do not differ change nothing.
    Sources: Robbins, Annals of Mathematical Statistics 41 (1970), for the mixture; the null is McNemar's (1947).
    """
    from scipy.special import betainc, betaln

    w, b = _counts(worse, better)
    if not 0 < prior < np.inf:
        raise ValueError(f"a prior's weight is a positive number, got {prior}")
    with np.errstate(divide="ignore"):
        tail = np.log(betainc(b + prior, w + prior, 0.5))
    return _exp((w + b + 1) * np.log(2) + betaln(w + prior, b + prior) + tail - betaln(prior, prior))


def pair_no_harm(worse: ArrayLike, better: ArrayLike, n: ArrayLike, margin: float) -> Floats:
    """The e-value of "the rate fell by `margin` or more" after n pairs with these counts; any shape, margin in (0, 1).

    Every pair is bet on by 1 + c (D + margin) / (1 - margin), D = better - worse, mixed over the share c of the boldest
    bet. No other test of a bounded mean grows faster for some truth (Larsson, Ramdas and Ruf, arXiv 2402.18810).
    Source: Waudby-Smith and Ramdas, JRSS B 86 (2024). With no differing pair, 5 points take 76 pairs (alpha 0.05).
    """
    return _exp(_log_no_fall(worse, better, n, check_margin(margin)))


def fall_bounds(worse: ArrayLike, better: ArrayLike, n: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Bounds of how far the rate fell, (worse - better) / n, each at confidence 1 - alpha at all times together.

    Counts so far along the last axis (single numbers stand for a first look); bounds narrow with every look, since all
    earlier ones hold as well. They invert `pair_no_harm` (a confidence sequence: Waudby-Smith and Ramdas, 2024).
    """
    check_alpha(alpha)
    high = np.minimum.accumulate(np.atleast_1d(_largest_fall(worse, better, n, alpha)), axis=-1)
    low = -np.minimum.accumulate(np.atleast_1d(_largest_fall(better, worse, n, alpha)), axis=-1)
    return low, high


def pairs(changes: ArrayLike, margin: float) -> Process:
    """All three claims on yes/no pairs. changes: +1 better, 0 equal, -1 worse, [..., n]; margin: a fall of the rate in (0, 1)."""
    values = _sample(changes)
    if not np.isin(values, (-1.0, 0.0, 1.0)).all():
        raise ValueError("a pair of answers is better (1), equal (0) or worse (-1)")
    n = values.shape[-1]
    worse, better, seen = np.cumsum(values < 0, axis=-1), np.cumsum(values > 0, axis=-1), np.arange(1, n + 1)
    # Counts repeat from run to run: each is worked out once, which is what makes simulations of many runs quick.
    codes, places = np.unique((worse * (n + 1) + better) * (n + 1) + seen, return_inverse=True)
    w, b, k = codes // (n + 1) ** 2, codes // (n + 1) % (n + 1), codes % (n + 1)
    harm, no_harm, gain = (e[places].reshape(values.shape) for e in (pair_harm(w, b), pair_no_harm(w, b, k, margin), pair_harm(b, w)))
    return Process(harm=harm, no_harm=no_harm, gain=gain, change=(better - worse) / seen)


def bounded(changes: ArrayLike, margin: float) -> Process:
    """All three claims on a mean of changes in [-1, 1], whatever their distribution: blocks of answers, capped shares.

    The null is a mean of 0 (harm, gain) or -margin (no harm) given the past, and needs no symmetry: the test to take where a
    few pairs may carry all of the harm. Means of large blocks are bet on timidly, as each might be the largest: where
    the arms of a block could be exchanged, `flips` finds harm in its sum sooner. Source: Waudby-Smith and Ramdas, JRSS B 86 (2024), hedged over fixed shares.
    """
    values = _sample(changes)
    if (np.abs(values) > 1).any():
        raise ValueError("changes must lie in [-1, 1]: divide them by the largest possible one, or cap them")
    return Process(
        harm=mean_above(-values, 0.0),
        no_harm=mean_above(values, -check_margin(margin)),
        gain=mean_above(values, 0.0),
        change=_means(values),
    )


def mean_above(values: ArrayLike, against: float) -> Floats:
    """The e-values of "the mean is at most `against`", [..., n], for values in [-1, 1] and `against` in (-1, 1)."""
    sample = _sample(values)
    if not -1 < against < 1 or (np.abs(sample) > 1).any():
        raise ValueError("values must lie in [-1, 1], and the mean they are held against between")
    share = (sample - against) / (1 + against)
    with np.errstate(divide="ignore"):
        logs = [np.cumsum(np.log1p(np.maximum(bet * share, -1.0)), axis=-1) for bet in _BETS]
    return _exp(_mixed(logs, _BET_WEIGHTS))


def flips(changes: ArrayLike, floor: float, sizes: ArrayLike = 1.0) -> Process:
    """All three claims on differences that are symmetric about their centre; floor > 0 in their unit.

    changes: differences [..., n], or sums of blocks with their `sizes` (see `blocks`), which the floor is then counted by.
    Harm: the centre lies below 0; no harm: above -floor. Differences that are mostly 0 with a few large falls are not
    symmetric: no harm would be claimed of every second such sequence, so take `bounded` for them.
    """
    values, many = _sample(changes), np.asarray(sizes, dtype=np.float64)
    if not 0 < floor < np.inf or (many <= 0).any() or not np.isfinite(many).all():
        raise ValueError(f"a floor and the sizes of blocks are positive numbers, got floor {floor}")
    counted = np.cumsum(np.broadcast_to(many, values.shape), axis=-1)
    return Process(
        harm=centre_above(-values),
        no_harm=centre_above(values + floor * many),
        gain=centre_above(values),
        change=np.cumsum(values, axis=-1) / counted,
    )


def centre_above(values: ArrayLike) -> Floats:
    """The e-values of "symmetric about a centre of at most 0, given the past", [..., n].

    Each value is bet on by exp(t x) / cosh(t x) = 1 + tanh(t x), whose mean is 1 if x and -x are as likely and less if
    the centre is lower; mixed over t. Factors lie in (0, 2), so that no outlier decides alone. t is in units of
    the median size of the earlier values (of its own size for the first), which makes it free of scale. Zeros bet nothing and are
    left out of that median, so they change nothing. Values that foretell the next one's sign (AR(1)) are outside of it: put them
    into blocks longer than that memory. Six values of one sign reach p = 0.05, nine 0.01. Sources: de la Pena, Annals
    of Probability 27 (1999), for the exponential form; Ramdas, Ruf, Larsson and Koolen, arXiv 2009.03167 (2020), for symmetry.
    """
    sample = _sample(values)
    rows = sample.reshape(-1, sample.shape[-1])
    order = np.argsort(rows == 0, axis=1, kind="stable")
    told = np.take_along_axis(rows, order, axis=1)
    with np.errstate(over="ignore"):
        told = np.divide(told, _scales(np.abs(told)), out=np.zeros_like(told), where=told != 0)
    logs = (np.cumsum(np.log1p(np.tanh(np.clip(tilt * told, -18.0, 18.0))), axis=1) for tilt in _TILTS)
    reached = np.concatenate([np.zeros((len(rows), 1)), _mixed(logs, (1.0,) * len(_TILTS))], axis=1)
    return _exp(np.take_along_axis(reached, np.cumsum(rows != 0, axis=1), axis=1)).reshape(sample.shape)


def blocks(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Sums and sizes of clusters in order of their first value: one observation each, complete clusters only.

    Pairs of one cluster may depend on each other in any way. A cluster is a prompt with all its seeds, where the prompts
    stand for others; or a round over all prompts with new seeds, where the verdict is on these prompts.
    """
    sample = _sample(values)
    if sample.ndim != 1 or len(clusters) != len(sample):
        raise ValueError(f"{sample.size} values but {len(clusters)} cluster labels")
    labels = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    owner = np.array([labels[label] for label in clusters])
    return np.bincount(owner, weights=sample).astype(np.float64), np.bincount(owner).astype(np.float64)


def check_alpha(alpha: float) -> float:
    """Alpha itself if it is an error rate in (0, 0.5); ValueError otherwise, NaN included."""
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is the chance of a false claim, above 0 and below 0.5, got {alpha}")
    return alpha


def check_margin(margin: float) -> float:
    """The margin itself if it is a share in (0, 1); ValueError otherwise, NaN included."""
    if not 0 < margin < 1:
        raise ValueError(f"a margin is the smallest fall that matters, above 0 and below 1, got {margin}")
    return margin


def _log_no_fall(worse: ArrayLike, better: ArrayLike, n: ArrayLike, margin: ArrayLike) -> Floats:
    from scipy.special import xlog1py

    w, b = _counts(worse, better)
    equal, m = np.asarray(n, dtype=np.float64) - w - b, np.asarray(margin, dtype=np.float64)
    if not np.isfinite(equal).all() or (equal < 0).any():
        raise ValueError("there cannot be more differing pairs than pairs")
    odds = 1 / (1 - m)
    with np.errstate(divide="ignore"):
        logs = [np.asarray(xlog1py(b, bet * (1 + m) * odds) + xlog1py(equal, bet * m * odds) + xlog1py(w, -bet), dtype=np.float64) for bet in _BETS]
    return _mixed(logs, _BET_WEIGHTS)


def _largest_fall(worse: ArrayLike, better: ArrayLike, n: ArrayLike, alpha: float) -> Floats:
    """The smallest margin whose e-value reaches 1/alpha, by bisection: e rises with the margin, without limit as it nears 1."""
    shape = np.broadcast(worse, better, n).shape
    low, high = np.full(shape, -1.0), np.ones(shape)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        shown = _log_no_fall(worse, better, n, middle) >= -np.log(alpha)
        low, high = np.where(shown, low, middle), np.where(shown, middle, high)
    return np.asarray(high)


def _scales(sizes: Floats) -> Floats:
    """Per row, the median of the sizes before each place, refreshed ever more rarely; the first place takes its own."""
    scales, start = np.empty_like(sizes), 1
    scales[:, 0] = sizes[:, 0]
    while start < sizes.shape[1]:
        stop = max(start + 1, int(1.15 * start))
        scales[:, start:stop] = np.median(sizes[:, :start], axis=1, keepdims=True)
        start = stop
    return np.maximum(scales, np.finfo(np.float64).tiny)


def _mixed(logs: Iterable[Floats], weights: Sequence[float]) -> Floats:
    """The log of the weighted mean of exponentials, safe where all of them are zero."""
    total = np.float64(-np.inf)
    for one, weight in zip(logs, weights, strict=True):
        total = np.logaddexp(total, one + np.log(weight / sum(weights)))
    return np.asarray(total)


def _exp(logs: Floats) -> Floats:
    """The exponential; beyond what a number can hold an e-value is infinite, and its p zero."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(logs))


def _means(values: Floats) -> Floats:
    return np.asarray(np.cumsum(values, axis=-1) / np.arange(1, values.shape[-1] + 1))


def _counts(worse: ArrayLike, better: ArrayLike) -> tuple[Floats, Floats]:
    w, b = np.asarray(worse, dtype=np.float64), np.asarray(better, dtype=np.float64)
    if w.size == 0 or b.size == 0 or not (np.isfinite(w).all() and np.isfinite(b).all()) or (w < 0).any() or (b < 0).any():
        raise ValueError("counts of pairs cannot be missing, negative or NaN")
    return w, b


def _sample(values: ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim == 0 or sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError("a sequence needs at least one value, all of them finite")
    return sample

"""How often a judge is right, by people's labels, and what a rate of usable images is once that is counted in.

All of it assumes that the labelled images are a random part of those that the rate is of, which the shuffled queue of `swapgate label`
sees to. Rates lie in [0, 1]; intervals are two-sided at 95 % unless said otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from swapgate.gates.statistics import clopper_pearson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALPHA = 0.05
_DRAWS = 40_000  # the ends of an interval then move by under 0.2 points with the seed
_SEED = 20_140_113


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """hits of n with the exact interval (Clopper and Pearson, 1934); all of [0, 1] and no value where n is 0."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return clopper_pearson(self.hits, self.n, ALPHA / 2) if self.n else (0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Counts of labelled images: what people said (usable or not) by what the judge said (yes or no)."""

    usable_yes: int = 0
    usable_no: int = 0
    not_yes: int = 0
    not_no: int = 0

    @property
    def n(self) -> int:
        return self.usable_yes + self.usable_no + self.not_yes + self.not_no

    @property
    def sensitivity(self) -> Rate:
        """Of the images that people find usable, those that the judge calls usable."""
        return Rate(hits=self.usable_yes, n=self.usable_yes + self.usable_no)

    @property
    def specificity(self) -> Rate:
        """Of the images that people find not usable, those that the judge calls not usable."""
        return Rate(hits=self.not_no, n=self.not_yes + self.not_no)

    @property
    def chance_p(self) -> float:
        """The exact p of "the judge is no better than chance" (sensitivity + specificity <= 1). Source: Fisher, JRSS 98 (1935), one-sided."""
        from swapgate.gates.tails import hypergeom

        usable, yes = self.usable_yes + self.usable_no, self.usable_yes + self.not_yes
        return hypergeom.sf(self.usable_yes - 1, self.n, usable, yes) if self.n else 1.0

    @property
    def informative(self) -> bool:
        """Whether sensitivity + specificity - 1 is shown to be above 0, at half of ALPHA on the one side that matters."""
        return self.chance_p <= ALPHA / 2


def table(pairs: Iterable[tuple[bool, bool]]) -> Table:
    """Counts of (people: usable, judge: usable)."""
    seen = Counter(pairs)
    return Table(usable_yes=seen[True, True], usable_no=seen[True, False], not_yes=seen[False, True], not_no=seen[False, False])


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A rate as people would find it: value and interval, both in [0, 1].

    value is None and the interval all of [0, 1] where the judge is not shown to be better than chance: its word then says nothing.
    """

    value: float | None
    low: float
    high: float


def corrected(said: Rate, known: Table) -> Corrected:
    """The rate of usable images behind a judge that calls `said` usable and errs as `known` shows.

    value: (rate + specificity - 1) / (sensitivity + specificity - 1), clipped. Source: Rogan and Gladen, American Journal of
    Epidemiology 107 (1978). The interval counts what is not known of all three rates, by melding their exact confidence distributions:
    each end takes, of every rate, the Clopper-Pearson distribution that lies on the cautious side. Source: Fay, Proschan and Brittain,
    Biometrics 71 (2015); for prevalence: Bayer, Fay and Graubard, arXiv 2205.13494 (2022). The three are taken as independent; where
    the labelled images are among those counted, the true spread is smaller, so that the interval is too wide rather than too narrow.
    """
    if not said.n or not known.informative:
        return Corrected(value=None, low=0.0, high=1.0)
    sensitivity, specificity = known.sensitivity, known.specificity
    counts = (said.hits, said.n, sensitivity.hits, sensitivity.n, specificity.hits, specificity.n)
    low, high = _ends(*counts)
    value = rogan_gladen(*(np.array(rate.hits / rate.n) for rate in (said, sensitivity, specificity)), unknown=0.0)
    # Quantiles of draws: where the figure is clipped, they may miss it by a hair.
    return Corrected(value=float(value), low=min(low, float(value)), high=max(high, float(value)))


def rogan_gladen(rate: Floats, sensitivity: Floats, specificity: Floats, *, unknown: float) -> Floats:
    """The true rate behind an apparent one, clipped to [0, 1]; `unknown` where the judge would be no better than chance."""
    youden = sensitivity + specificity - 1
    shown = youden > 1e-12
    return np.where(shown, np.clip((rate + specificity - 1) / np.where(shown, youden, 1.0), 0.0, 1.0), unknown)


@lru_cache(maxsize=1024)
def _ends(hits: int, n: int, right_yes: int, usable: int, right_no: int, unusable: int) -> tuple[float, float]:
    counts = [np.array([float(count)]) for count in (hits, n, right_yes, usable, right_no, unusable)]
    low, high = melded(*counts, draws=_DRAWS, rng=np.random.default_rng(_SEED))
    return float(low[0]), float(high[0])


def melded(
    hits: Floats, n: Floats, right_yes: Floats, usable: Floats, right_no: Floats, unusable: Floats, *, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Both ends for m sets of counts (arrays of m, n and both groups above 0): two arrays of m.

    The true rate rises with the apparent rate and the specificity, and falls with the sensitivity: the lower end takes the lower
    distributions of the first two and the upper one of the third, the upper end the reverse.
    """
    draw = (hits.size, draws)
    low = rogan_gladen(_lower(hits, n, draw, rng), _upper(right_yes, usable, draw, rng), _lower(right_no, unusable, draw, rng), unknown=0.0)
    high = rogan_gladen(_upper(hits, n, draw, rng), _lower(right_yes, usable, draw, rng), _upper(right_no, unusable, draw, rng), unknown=1.0)
    return np.quantile(low, ALPHA / 2, axis=1), np.quantile(high, 1 - ALPHA / 2, axis=1)


def _lower(hits: Floats, n: Floats, draw: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draws whose alpha-quantile is the exact lower bound at 1 - alpha: Beta(hits, n - hits + 1), which is 0 for no hits."""
    drawn = rng.beta(np.maximum(hits, 0.5)[:, None], (n - hits + 1)[:, None], draw)
    return np.where(hits[:, None] > 0, drawn, 0.0)


def _upper(hits: Floats, n: Floats, draw: tuple[int, int], rng: np.random.Generator) -> Floats:
    return 1.0 - _lower(n - hits, n, draw, rng)


def majority(answers: Iterable[bool | None]) -> bool | None:
    """What most of the people who were sure said; None for a tie, and where nobody was sure."""
    seen = Counter(answer for answer in answers if answer is not None)
    return None if seen[True] == seen[False] else seen[True] > seen[False]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far answers to the same pictures agree beyond chance: `value` of a named coefficient over n pictures, and the plain share.

    value is None where it is not defined: no picture was answered twice, or every answer is the same.
    """

    coefficient: str
    value: float | None
    same: Rate

    @property
    def n(self) -> int:
        return self.same.n


def cohen(pairs: Sequence[tuple[bool, bool]]) -> Agreement:
    """Cohen's kappa of two people's answers to n pictures. Source: Educational and Psychological Measurement 20 (1960)."""
    n, same = len(pairs), sum(first == second for first, second in pairs)
    value = None
    if n:
        first, second = sum(one for one, _ in pairs) / n, sum(one for _, one in pairs) / n
        expected = first * second + (1 - first) * (1 - second)
        value = None if expected == 1 else (same / n - expected) / (1 - expected)
    return Agreement(coefficient="Cohen's kappa", value=value, same=Rate(hits=same, n=n))


def krippendorff(units: Iterable[Sequence[bool]]) -> Agreement:
    """Krippendorff's alpha (nominal) of any number of people, each picture answered by some of them.

    Pictures with fewer than two answers say nothing and are left out; the plain share is of pictures on which all agree.
    Source: Krippendorff, Content Analysis (4th ed., 2018), ch. 12: 1 - observed / expected disagreement.
    """
    kept = [unit for unit in units if len(unit) > 1]
    total, yes = sum(len(unit) for unit in kept), sum(sum(unit) for unit in kept)
    observed = sum(2 * sum(unit) * (len(unit) - sum(unit)) / (len(unit) - 1) for unit in kept)
    expected = 2 * yes * (total - yes) / (total - 1) if total > 1 else 0.0
    value = 1 - observed / expected if expected else None
    return Agreement(coefficient="Krippendorff's alpha", value=value, same=Rate(hits=sum(len(set(unit)) == 1 for unit in kept), n=len(kept)))

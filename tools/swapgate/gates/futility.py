"""Whether the rest of a plan could still decide: predictive chances, after which a claim that will stay open stops asking for images.

Stopping because nothing would come of going on claims nothing, so it makes no wrong claim more likely. Source: Spiegelhalter,
Freedman and Blackburn, Controlled Clinical Trials 7 (1986), for the predictive chance; Lan, Simon and Halperin,
Communications in Statistics C 1 (1982), for stopping by it. Only the last look is reckoned with, at its own levels: earlier ones have less.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from swapgate.gates.policy import Policy
from swapgate.gates.statistics import Discordance, mcnemar, paired_p, rate_lower, rate_upper

HOPELESS = 0.10  # below one chance in ten that the rest decides, it is not worth its price
_DRAWS = 400
_PRIOR = 0.5  # Jeffreys'


def hopeless_pairs(counts: Discordance, planned: int, floor: float, policy: Policy) -> bool:
    """Whether pairs up to `planned` would hardly decide on a fall by `floor` (a fraction); False at the last look.

    The pairs to come are worse, better or equal as those seen, whose rates are drawn from their posterior (Dirichlet with Jeffreys' prior).
    """
    left = planned - counts.n
    if not policy.early or left <= 0:
        return False
    generator, last = np.random.default_rng(policy.seed), policy.last
    equal = counts.n - counts.worse - counts.better
    rates = generator.dirichlet([counts.worse + _PRIOR, counts.better + _PRIOR, equal + _PRIOR], _DRAWS)
    ends = Counter((int(worse), int(better)) for worse, better, _ in generator.multinomial(left, rates))
    ending = [(n, Discordance(worse=counts.worse + worse, better=counts.better + better, n=planned)) for (worse, better), n in ends.items()]
    return sum(n for n, end in ending if _decides(end, floor, last)) < HOPELESS * _DRAWS


def hopeless_rate(good: int, n: int, planned: int, limit: float, policy: Policy) -> bool:
    """Whether answers up to `planned` would hardly show a rate on either side of `limit`; False at the last look."""
    left = planned - n
    if not policy.early or left <= 0:
        return False
    generator, last = np.random.default_rng(policy.seed), policy.last
    more = generator.binomial(left, generator.beta(good + _PRIOR, n - good + _PRIOR, _DRAWS))
    ends = Counter(good + int(one) for one in more)
    shown = sum(times for end, times in ends.items() if rate_lower(end, planned, last.alpha) >= limit or rate_upper(end, planned, last.harm) < limit)
    return shown < HOPELESS * _DRAWS


def hopeless_mean(effect: float, error: float, n: int, planned: int, floor: float, policy: Policy) -> bool:
    """Whether a mean of `planned` values would hardly be shown on one side of `floor`; harm lies above it. False at the last look.

    effect: the mean of the n seen, with its standard error; scores are taken as normal, and the error as falling with the root of n.
    """
    from swapgate.gates.tails import norm

    if not policy.early or planned <= n or n < 1 or not error > 0 or not math.isfinite(error):
        return False
    last, final = policy.last, error * math.sqrt(n / planned)
    spread = error * math.sqrt(1 - n / planned)  # of the final mean about the one seen, with the truth known up to `error`
    shown = norm.cdf((floor - float(norm.isf(last.alpha)) * final - effect) / spread)
    alarmed = norm.sf((floor + float(norm.isf(last.harm)) * final - effect) / spread)
    return float(shown) + float(alarmed) < HOPELESS


def _decides(end: Discordance, floor: float, last: Policy) -> bool:
    if mcnemar(end.worse, end.better) <= last.harm and -end.change > floor:
        return True
    if mcnemar(end.better, end.worse) <= last.alpha and end.change > floor:
        return True
    return paired_p(end.worse, end.better, end.n, floor) <= last.alpha

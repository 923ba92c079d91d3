"""What paired yes/no answers show: the fall of a rate over pairs, and where prompts are the units, in enough of them at the same time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from swapgate.gates import power
from swapgate.gates.compose import cluster, cluster_labels, plural
from swapgate.gates.policy import Policy
from swapgate.plan import Request
from swapgate.suite.prospect import CHANCE, ClaimAhead, Spread

_SUBSETS = 12  # up to so many clusters `sign_flip` enumerates its sign patterns


def smallest_with(chance_of: Callable[[float], float], most: float) -> float | None:
    """The smallest change that is found with CHANCE, by bisection; None when the largest is not."""
    if chance_of(most) < CHANCE:
        return None
    low, high = 0.0, most
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if chance_of(middle) >= CHANCE else (middle, high)
    return high


def clusters_needed(clusters: int, alpha: float, draws: int) -> int | None:
    """Of `clusters`, how many have to get worse, none better, for a sign-flip p of alpha; None when its draws cannot show one.

    With k of them worse and the others level, the subsets without a worse one are 2^-k of all.
    """
    if clusters <= _SUBSETS:
        return math.ceil(-math.log2(alpha) - 1e-9)
    left = alpha * (draws + 1) - 1
    return math.ceil(-math.log2(left / draws) - 1e-9) if left > 0 else None


def clusters_power(sizes: Sequence[int], fall: float, *, alpha: float, draws: int, flips: float) -> float:
    """The chance that enough clusters lose more good answers than they gain, if every answer falls by the same chance."""
    needed = clusters_needed(len(sizes), alpha, draws)
    if needed is None or needed > len(sizes):
        return 0.0
    better = min(flips, (1 - fall) / 2)
    step = np.array([better, 1 - fall - 2 * better, fall + better])
    chances = {size: _more_worse(size, step) for size in set(sizes)}
    many = np.ones(1)
    for size in sizes:
        many = np.convolve(many, [1 - chances[size], chances[size]])
    return float(many[needed:].sum())


def _more_worse(n: int, step: np.ndarray) -> float:
    """The chance that of n pairs more get worse than better; step: chances of better, same and worse."""
    total = np.ones(1)
    for _ in range(n):
        total = np.convolve(total, step)
    return float(total[n + 1 :].sum())


def sizes_of(requests: Iterable[Request]) -> list[int]:
    """Pictures by cluster, as the gates flip them: prompts where there are six or more, else requests."""
    chosen = list(requests)
    labels = cluster_labels([cluster(one.task, one.language) for one in chosen], [original(one) for one in chosen])
    return list(Counter(labels).values())


def original(request: Request) -> str:
    return f"{request.task}/{request.language}/{request.seed}/{request.index}"


def rate(
    name: str, paired: Sequence[Request], floor: float, flips: Spread, policy: Policy, noun: str, *, together: bool, decides: bool = True
) -> ClaimAhead:
    """A rate over pairs: exact McNemar, and where prompts turn `together` also their sign flips, must see a fall; the exact bound must exclude it to pass."""
    n = len(paired)
    pairs = power.paired_harm(n, alpha=policy.harm, floor=floor, flips=flips.value)
    within = power.paired_pass(n, alpha=policy.alpha, margin=floor, flips=flips.value)
    short = "" if within.enough else _more(n, noun, floor, within.needed, paired)
    found, basis = pairs.smallest, flips.said
    if together:
        sizes, few = sizes_of(paired), clusters_needed(len(sizes_of(paired)), policy.harm, policy.harm_draws)
        found = _in_prompts(found, sizes, policy, flips.value)
        basis = f"{basis}; a fall must show in {few} of {len(sizes)} {flipped(paired)}" if found is not None else basis
        if found is None:
            short = short or f"{len(sizes)} {flipped(paired)} cannot show harm at this share of the budget; at least {few} could"
    elif found is None:
        short = short or f"{plural(n, noun)} cannot show harm at this share of the budget"
    return ClaimAhead(
        name=name,
        n=n,
        noun=noun,
        unit="points",
        limit=100 * floor,
        smallest=found,
        passes=within.enough,
        short=short,
        basis=basis,
        assumed=flips.assumed,
        decides=decides,
    )


def _in_prompts(pairs: float | None, sizes: Sequence[int], policy: Policy, flips: float) -> float | None:
    """The fall in points that both tests see; None when one of them sees none."""
    prompts = smallest_with(lambda fall: clusters_power(sizes, fall, alpha=policy.harm, draws=policy.harm_draws, flips=flips), 1.0)
    return None if pairs is None or prompts is None else max(pairs, 100 * prompts)


def flipped(paired: Sequence[Request]) -> str:
    """What the sign flips flip as a whole."""
    return "prompts" if len({cluster(one.task, one.language) for one in paired}) >= 6 else "requests"


def _more(n: int, noun: str, floor: float, needed: int | None, paired: Sequence[Request]) -> str:
    """Pairs that are lacking, in pictures and in seeds."""
    said = f"{plural(n, noun)} cannot show that nothing got worse (limit {100 * floor:.3g} points)"
    if needed is None:
        return f"{said}; no number of them would at these repeats"
    prompts = len({(one.task, one.language) for one in paired})
    return f"{said}; {needed} would: {math.ceil(needed / prompts)} for each of {plural(prompts, 'prompt')}"


def rate_at_most(good: int, n: int) -> float:
    """The highest rate of which at most `good` of n are seen with CHANCE."""
    from scipy.special import betaincinv

    return float(betaincinv(good + 1, n - good, 1 - CHANCE))

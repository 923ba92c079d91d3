"""Looking at a run before its end: what each look may spend of the run's errors, and what is settled although requests are left.

A run is made in rounds, and its open cells are judged after each of them. Looking often makes a fixed-sample test wrong, so every error
rate is shared over the looks: all early ones together get EARLY of it, the last one the rest. Whatever the looks have to do
with each other, the shares bound the error of them all (Bonferroni), which exact tests of few pairs need: they have no
normal score whose looks could be reckoned together. Sources: Haybittle, British Journal of Radiology 44 (1971), and Peto et al., British Journal of
Cancer 34 (1976), for strict early looks that leave the last one nearly whole; Maurer and Bretz, Statistics in Biopharmaceutical Research 5 (2013), for
Holm's procedure at several looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

EARLY = 0.05  # 60 pairs without a worse one show a fall of less than 5 points at 0.0461, so the last look needs 0.93 of 0.05
MOST = 6  # looks of a run: each costs a judgement, and more of them find little sooner


def look_rounds(rounds: int) -> tuple[int, ...]:
    """After which rounds (1 is the first) there is a look: after all of a few, else after MOST evenly spread ones; the last always.

    Raises:
        ValueError: fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"a run has at least one round, not {rounds}")
    return tuple(sorted({math.ceil(rounds * look / MOST) for look in range(1, MOST + 1)})) if rounds > MOST else tuple(range(1, rounds + 1))


def look_share(look: int, looks: int) -> float:
    """The share of each error that the look-th of `looks` (1 is the first) may spend; over all looks they add up to 1.

    Raises:
        ValueError: a look out of range.
    """
    if not 1 <= look <= looks:
        raise ValueError(f"look {look} of {looks} is out of range")
    if looks == 1:
        return 1.0
    return EARLY / (looks - 1) if look < looks else 1 - EARLY


@lru_cache(maxsize=4096)
def worst_miss(strata: tuple[tuple[int, int], ...], changed: int) -> float:
    """The largest chance that none of `changed` changed units was met, over all ways in which they may lie in the strata.

    strata: (units, units met) of each, whose met units are a random draw without replacement, or as good as one: a prompt's seeds, of which
    none is unlike the others before it is drawn. 0.0 where so many units cannot all have been left out. Hypergeometric in each
    stratum; the worst allocation by dynamic programming.

    Raises:
        ValueError: fewer than one changed unit, or more units met than there are.
    """
    if changed < 1 or any(not 0 <= met <= units for units, met in strata):
        raise ValueError(f"at least one changed unit, and no more met than there are: {changed} of {strata}")
    best = [1.0] + [0.0] * changed  # best[d]: largest chance of missing d changed units in the strata so far
    for units, met in strata:
        missed = [_missed(units, met, d) for d in range(min(changed, units - met) + 1)]
        best = [max(best[whole - d] * chance for d, chance in enumerate(missed) if d <= whole) for whole in range(changed + 1)]
    return best[changed]


def fewest(limit: float, units: int) -> int:
    """The fewest of `units` whose change is more than the share `limit` of them."""
    return math.floor(limit * units + 1e-9) + 1


def excluded(strata: Sequence[tuple[int, int]], limit: float, alpha: float) -> bool:
    """Whether units that were all found unchanged exclude, at error alpha, that more than the share `limit` of all planned ones changed.

    What is met only grows, and a changed unit that a later look misses was missed by the earlier ones, too: the looks' errors are nested,
    and alpha holds for all of them together.
    """
    units = sum(whole for whole, _ in strata)
    return units > 0 and worst_miss(tuple(sorted(strata)), fewest(limit, units)) <= alpha


def _missed(units: int, met: int, changed: int) -> float:
    """The chance that a draw of `met` of `units` holds none of `changed`."""
    return math.comb(units - changed, met) / math.comb(units, met)

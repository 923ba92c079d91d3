"""A policy applied to a trial: which of its cases it would have turned red.

A case is what the peer judges at once: one picture against its reference, the mean over a run's pictures, or a few timed
calls with their retries. A run is red when any of its cases is, which is what can be compared with a verdict of this suite.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from swapgate.drills.peers.metrics import ANY_SIZE, METRICS, TooSmallError
from swapgate.drills.peers.policies import CostRule, Policy, Rule
from swapgate.drills.peers.trials import Pair, Timed, Trial
from swapgate.metrics.pixels import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One judgement. key: equal for cases that are one sample (the same two pictures); changed: the pictures differ, or a cost."""

    key: str
    red: bool
    changed: bool = True


@dataclass(slots=True)
class Measured:
    """Values of measures by picture and reference, so that each is computed once. too_small: why a measure was not defined.

    load: the picture of a hash.
    """

    load: Callable[[str], Image]
    values: dict[tuple[str, str, str], float | None] = field(default_factory=dict)
    pictures: dict[str, Image] = field(default_factory=dict)
    too_small: dict[str, str] = field(default_factory=dict)

    def value(self, metric: str, pair: Pair) -> float | None:
        """The measure of a pair that has a picture; None where the peer's own code fails on it. Raises TooSmallError."""
        assert pair.picture is not None
        key = (metric, pair.picture, pair.reference)
        if metric in self.too_small:
            raise TooSmallError(self.too_small[metric])
        if key not in self.values:
            try:
                self.values[key] = METRICS[metric](self._picture(pair.picture), self._picture(pair.reference))
            except TooSmallError as error:
                self.too_small[metric] = str(error)
                raise
            except ValueError:
                self.values[key] = None
        return self.values[key]

    def _picture(self, sha: str) -> Image:
        if sha not in self.pictures:
            self.pictures[sha] = self.load(sha)
        return self.pictures[sha]


def judge(policy: Policy, trial: Trial, honest: Trial, measured: Measured) -> list[Case]:
    """The cases of a trial under a policy; none where nothing can be judged. Raises TooSmallError for pictures that a measure refuses."""
    if policy.cost is not None:
        return _costs(policy.cost, trial, honest)
    if policy.scope == "mean":
        known = trial.pairs and not any(_unknown(policy.applied, pair) for pair in trial.pairs)
        return [_mean(policy.applied, trial, measured)] if known else []
    return [_case(policy.applied, trial.name, pair, measured) for pair in trial.pairs if not _unknown(policy.applied, pair)]


def _case(rules: Sequence[Rule], trial: str, pair: Pair, measured: Measured) -> Case:
    if pair.picture is None:
        return Case(key=f"no picture: {trial} {pair.request}", red=True)
    values = [(rule, measured.value(rule.metric, pair)) for rule in rules]
    red = any(value is None or not rule.holds(value) for rule, value in values)
    return Case(key=f"{pair.picture} {pair.reference}", red=red, changed=not pair.same)


def _unknown(rules: Sequence[Rule], pair: Pair) -> bool:
    """Whether nothing says what the rules make of a picture that was refused for its size: none of them minds a size."""
    return pair.refused and all(rule.metric in ANY_SIZE for rule in rules)


def _mean(rules: Sequence[Rule], trial: Trial, measured: Measured) -> Case:
    red = any(pair.picture is None for pair in trial.pairs)
    for rule in () if red else rules:
        values = [measured.value(rule.metric, pair) for pair in trial.pairs]
        known = [value for value in values if value is not None]
        red = red or len(known) < len(values) or not rule.holds(statistics.fmean(known))
    return Case(key=trial.pictures, red=red, changed=trial.changed)


def _costs(rule: CostRule, trial: Trial, honest: Trial) -> list[Case]:
    found: list[Case] = []
    for size in dict.fromkeys(call.size for call in trial.calls):
        ours, theirs = _windows(rule, trial.calls, size), _windows(rule, honest.calls, size)
        if ours and theirs:
            # Only whole rows of attempts, but one of fewer where a run has no more: a retry would measure these calls, too.
            starts = range(0, max(len(ours) - rule.attempts + 1, 1), rule.attempts)
            found += [_cost_case(rule, ours[i : i + rule.attempts], theirs[min(i, len(theirs) - 1) :], f"{trial.name} {size} {i}") for i in starts]
    return found


def _cost_case(rule: CostRule, attempts: Sequence[float], before: Sequence[float], key: str) -> Case:
    limit = rule.limit(statistics.median(before[: rule.history]))
    return Case(key=key, red=all(value > limit for value in attempts))


def _windows(rule: CostRule, calls: Sequence[Timed], size: str) -> list[float]:
    """The statistic of successive groups of calls of one size; what is left over at the end is dropped."""
    own = [call for call in calls if call.size == size]
    samples = rule.samples or len(own)
    groups = [own[i : i + samples] for i in range(0, len(own) - samples + 1, samples)] if samples else []
    values = [_statistic(rule, group) for group in groups]
    return [value for value in values if value is not None]


def _statistic(rule: CostRule, group: Sequence[Timed]) -> float | None:
    if rule.stat == "peak":
        return max(call.peak for call in group)
    if rule.stat == "median_step":
        steps = [call.median_step for call in group if call.median_step is not None]
        return statistics.median(steps) if steps else None
    seconds = [call.seconds for call in group]
    return statistics.median(seconds) if rule.stat == "median" else statistics.fmean(seconds)

"""What usability, drift and stability of one model can find and pass, before an image is made.

Each function follows its gate on the model's pooled cell at its first share of the budget, where Holm's procedure begins.
The arithmetic is that of `gates.power`; what a gate asks of prompts besides is in `ahead_rates`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev

from swapgate.gates import power
from swapgate.gates.compose import NOT_CALIBRATED, plural
from swapgate.gates.drift import restless, seed_deviation
from swapgate.gates.evidence import Arm, ImageScore
from swapgate.gates.stability import Reworded, reworded
from swapgate.gates.statistics import conformal_limit, conformal_rank, exceedance_p, rate_upper
from swapgate.gates.verdict import POOLED
from swapgate.plan import Request
from swapgate.suite.ahead_rates import flipped, original, rate, rate_at_most, sizes_of
from swapgate.suite.earlier import Earlier
from swapgate.suite.prospect import CHANCE, ClaimAhead, GateAhead, Prospect, Spread, closed, gap, halted


def usability(prospect: Prospect) -> GateAhead:
    """The fall of the rate of usable first images against the other arm, and the card's floor."""
    paired, policy = prospect.paired(edits=False, counted=True), prospect.policy
    stopped = gap(prospect) or ("" if paired else "the other arm holds none of these requests")
    if stopped:
        return halted("usability", prospect, stopped)
    flips = _flips(prospect)
    together = restless(prospect.known.null, policy)
    fall = rate("difference", paired, policy.usability_limit(POOLED), flips, policy, "image", together=together)
    return closed("usability", prospect, [_calibrated(fall, prospect), *_floor(prospect)])


def drift(prospect: Prospect) -> GateAhead:
    """Pictures beyond the null, and alignment; the number of forwards is exact and needs no plan."""
    paired = prospect.paired(edits=False, counted=True)
    stopped = gap(prospect) or ("" if paired else "the other arm holds none of these requests")
    if stopped:
        return halted("drift", prospect, stopped)
    pictures = [] if prospect.theirs is not None else [_pictures(prospect, len(paired))]
    return closed("drift", prospect, [*pictures, *_alignment(prospect, decides=not pictures)])


def stability(prospect: Prospect) -> GateAhead:
    """The size of changes by rewording, and usable pictures that a rewording costs."""
    paired = prospect.paired(edits=True)
    stopped = gap(prospect)
    if not any(one.edits for one in prospect.requests):
        stopped = stopped or "no reworded prompt is asked: set `rewordings` and `reworded_seeds` in the task"
    if stopped or not paired:
        return halted("stability", prospect, stopped or "the other arm holds none of these rewordings")
    return closed(
        "stability", prospect, [_calibrated(_change(prospect, paired), prospect), *_costs_usable(prospect, paired), _worst(prospect, len(paired))]
    )


def _calibrated(claim: ClaimAhead, prospect: Prospect) -> ClaimAhead:
    """Without a null a comparison with a baseline passes equal pictures only, and that is not known ahead."""
    null = prospect.known.null
    if prospect.theirs is not None or (null is not None and null.drifts):
        return claim
    return replace(claim, passes=False, short="; ".join(filter(None, (claim.short, NOT_CALIBRATED))))


def _flips(prospect: Prospect) -> Spread:
    """The share of requests whose picture turns unusable, and of as many the other way, without any change."""
    if prospect.theirs is not None:
        return _other_rates(prospect)
    both = [(old, new) for old, new in prospect.known.repeated if not old.edits and old.counted]
    if both:
        flipped = sum(old.usable != new.usable and old.image != new.image for old, new in both)
        return Spread(value=flipped / len(both) / 2, said=f"{flipped} of {len(both)} flipped between baseline and run {prospect.known.run}")
    return Spread(value=0.0, said="no repeat was scored: assumed that none flips", assumed=True)


def _other_rates(prospect: Prospect) -> Spread:
    """Two models that are equally good, of independent pictures: r (1 - r) get worse and as many better."""
    arms = [known for known in (prospect.known, prospect.other) if known and known.scores]
    counted = [score.usable for known in arms for score in known.scores if score.counted and not score.edits]
    if not counted:
        return Spread(value=0.16, said="no earlier samples: assumed 16 % each way, of two models with 80 % usable", assumed=True)
    rate = mean(counted)
    return Spread(value=rate * (1 - rate), said=f"{100 * rate:.0f} % usable in the accepted baselines, assumed independent", assumed=True)


def _floor(prospect: Prospect) -> list[ClaimAhead]:
    """The card's floor: the highest rate below it that is found; an accepted rate below it keeps an unchanged model from passing."""
    limit, policy = prospect.card.usability_floor, prospect.policy
    stands = {task.id: task.protocol.counted_index for task in prospect.tasks}
    n = sum(not one.edits and one.index == stands[one.task] for one in prospect.requests)
    if limit <= 0 or not n:
        return []
    critical = max((good for good in range(n + 1) if rate_upper(good, n, policy.harm) < limit), default=None)
    found = None if critical is None else 100 * rate_at_most(critical, n)
    accepted = [score.usable for score in prospect.known.scores if score.counted and not score.edits]
    passes = mean(accepted) >= limit if accepted else None
    short = f"the accepted {100 * mean(accepted):.0f} % usable lie below the card's floor of {100 * limit:.0f} %" if passes is False else ""
    basis = f"{sum(accepted)} of {len(accepted)} usable in the {prospect.known.quality_source}" if accepted else "no accepted rate"
    return [ClaimAhead(name="floor", n=n, noun="image", unit="%", limit=100 * limit, smallest=found, passes=passes, short=short, basis=basis)]


def _pictures(prospect: Prospect, n: int) -> ClaimAhead:
    """Pictures beyond the null's conformal limit; without a null nothing can be red."""
    null, policy = prospect.known.null, prospect.policy
    repeats = len(null.drifts) if null else 0
    found = power.drift_exceedance(n, null=repeats, alpha=policy.harm, limit=policy.alpha)
    per_process = max(1, len({(one.task, one.language, one.index) for one in prospect.requests if not one.edits}))
    short = ""
    if found.smallest is None:
        more = math.ceil(found.needed / per_process) if found.needed else None
        short = f"{found.reason}, that is --null={more} when the baseline is accepted" if more else found.reason
    passes, why = _null_passes(prospect, n)
    basis = f"{plural(repeats, 'repeat')} in {null.processes if null else 0} processes ({prospect.known.quality_source})"
    return ClaimAhead(
        name="pictures",
        n=n,
        noun="image",
        unit="% of pictures",
        limit=None,
        smallest=found.smallest,
        passes=passes,
        short="; ".join(filter(None, (short, why))),
        basis=basis,
    )


def _null_passes(prospect: Prospect, n: int) -> tuple[bool, str]:
    """Whether no picture of an unchanged model lies beyond the limit; an exceedance leaves the gate undecided."""
    null, policy = prospect.known.null, prospect.policy
    if not null or not null.drifts:
        return True, ""
    limits = {
        "ssim": (policy.drift_ssim, policy.blind_ssim, 1.0, [drift.ssim for drift in null.drifts]),
        "psnr": (policy.drift_psnr, policy.blind_psnr, 100.0, [drift.psnr for drift in null.drifts]),
        "clip": (policy.drift_clip, policy.blind_clip, 1.0, [drift.clip for drift in null.drifts]),
    }
    same = [drift.identical for drift in null.drifts]
    reached = {
        name: (1 - conformal_limit([0.0 if equal else 1 - value / unit for value, equal in zip(values, same, strict=True)], policy.alpha)) * unit
        for name, (_, _, unit, values) in limits.items()
    }
    if all(reached[name] < blind for name, (_, blind, _, _) in limits.items()):
        return False, "the model differs from itself so much that every metric would accept another picture"
    wide = [name for name, (floor, _, _, _) in limits.items() if reached[name] < floor]
    beyond = exceedance_p(1, n, len(same), conformal_rank(len(same), policy.alpha)) if wide else 0.0
    if beyond <= 1 - CHANCE:
        return True, ""
    return (
        False,
        f"the model differs from itself by more than the floor ({', '.join(wide)}): an unchanged run is undecided with a chance of up to {100 * beyond:.0f} %",
    )


def _alignment(prospect: Prospect, *, decides: bool) -> list[ClaimAhead]:
    """Mean alignment over clusters, in standard deviations between seeds. It only alarms: not shown worse is CHANGED or PASS."""
    paired, policy = prospect.paired(edits=False), prospect.policy
    several = len(paired) > len({(one.task, one.language) for one in paired})
    if not several:
        short = "alignment needs two pictures of some prompt, to know what a seed does to it" if decides else ""
        return [_aligned(prospect, 0, None, "no prompt has two seeds", short, decides=decides)]
    sizes = sizes_of(paired)
    deviation = seed_deviation([score for score in _reference(prospect).scores if not score.edits])
    scale = deviation / max(deviation, policy.alignment_spread) if deviation else 1.0 if deviation is None else 0.0
    other = scale * math.sqrt(2 * mean(1 / size for size in sizes))
    found = power.mean_harm(len(sizes), alpha=policy.harm, floor=policy.alignment_floor, deviation=other).smallest
    basis = "seed sd not measured before" if deviation is None else f"seed sd {max(deviation, policy.alignment_spread):.3g} (cosine)"
    few = f"{len(sizes)} {flipped(paired)} cannot show a fall of alignment at this share of the budget"
    return [
        _aligned(
            prospect,
            len(sizes),
            found,
            f"{basis}; assumed that a change paints other pictures",
            few if found is None and decides else "",
            decides=decides,
        )
    ]


def _aligned(prospect: Prospect, n: int, found: float | None, basis: str, short: str, *, decides: bool) -> ClaimAhead:
    return ClaimAhead(
        name="alignment",
        n=n,
        noun="cluster",
        unit="seed sd",
        limit=prospect.policy.alignment_floor,
        smallest=found,
        passes=None,
        short=short,
        basis=basis,
        assumed=True,
        decides=decides,
    )


def _reference(prospect: Prospect) -> Earlier:
    return prospect.other if prospect.theirs is not None and prospect.other else prospect.known


def _change(prospect: Prospect, paired: Sequence[Request]) -> ClaimAhead:
    """The mean size of changes by rewording over clusters: found as if a change painted other pictures, passed as repeats have it."""
    sizes, policy = sizes_of(paired), prospect.policy
    other, same = _other_pictures(prospect, sizes), _repeats(prospect, paired)
    found = power.mean_harm(len(sizes), alpha=policy.harm, floor=policy.stability_change, deviation=other.value)
    unchanged = other if prospect.theirs is not None else same
    within = power.mean_pass(len(sizes), alpha=policy.alpha, floor=policy.stability_change, deviation=unchanged.value)
    short = ""
    if not within.enough:
        more = f"; {within.needed} would" if within.needed else ""
        short = f"{len(sizes)} {flipped(paired)} cannot show that rewordings change no more than before (limit {100 * policy.stability_change:.3g} points){more}"
    elif found.smallest is None:
        short = f"{len(sizes)} {flipped(paired)} cannot show harm at this share of the budget"
    return ClaimAhead(
        name="change",
        n=len(sizes),
        noun="cluster",
        unit="points",
        limit=100 * policy.stability_change,
        smallest=None if found.smallest is None else 100 * found.smallest,
        passes=within.enough,
        short=short,
        basis=other.said if unchanged is other else f"{other.said}; {same.said}",
        assumed=other.assumed or unchanged.assumed,
    )


def _other_pictures(prospect: Prospect, sizes: Sequence[int]) -> Spread:
    """The deviation of a cluster's mean difference between two arms with pictures of their own: that of the accepted changes, twice."""
    arms = [known for known in (prospect.known, prospect.other) if known and known.scores]
    changes = [abs(one.change) for known in arms for one in _reworded(known, prospect).values()]
    each = math.sqrt(2 * mean(1 / size for size in sizes))
    if len(changes) < 2:
        return Spread(value=0.1 * each, said="no earlier rewordings: assumed that one changes alignment by 10 points more or less", assumed=True)
    return Spread(
        value=stdev(changes) * each,
        said=f"a rewording changes alignment by {100 * mean(changes):.2g} ± {100 * stdev(changes):.2g} points; assumed that a change paints other pictures",
        assumed=True,
    )


def _repeats(prospect: Prospect, paired: Sequence[Request]) -> Spread:
    """The deviation of a cluster's mean difference between repeats of the same weights."""
    olds = [score for score, _ in prospect.known.repeated]
    news = [score for _, score in prospect.known.repeated]
    guard = prospect.policy.stability_guard
    before, after = (_reworded_scores(scores, prospect, guard) for scores in (olds, news))
    groups: dict[str, list[float]] = {}
    split = flipped(paired) == "prompts"
    for pair, old in before.items():
        if pair in after:
            extra = 0.0 if old.images == after[pair].images else abs(after[pair].change) - abs(old.change)
            groups.setdefault(old.prompt if split else old.original, []).append(extra)
    if len(groups) < 2:
        return Spread(value=0.0, said="no repeat was reworded: assumed that repeats change nothing", assumed=True)
    return Spread(value=stdev(map(mean, groups.values())), said=f"repeats measured in run {prospect.known.run}")


def _reworded(known: Earlier, prospect: Prospect) -> dict[str, Reworded]:
    return _reworded_scores(known.scores, prospect, prospect.policy.stability_guard)


def _reworded_scores(scores: Sequence[ImageScore], prospect: Prospect, guard: float) -> dict[str, Reworded]:
    """Rewordings beside their originals, as the gate reads them; an arm of nothing but scores."""
    arm = Arm(model=prospect.card.id, weights="", accelerator="", cohort="", pipeline="", scores=tuple(scores), cost=None)
    return reworded(arm, guard)


def _costs_usable(prospect: Prospect, paired: Sequence[Request]) -> list[ClaimAhead]:
    """Rewordings of originals that were usable. Undecided it holds nothing up once the changes are shown, so it only alarms."""
    policy, known = prospect.policy, _reference(prospect)
    usable = {score.pair for score in known.scores if not score.edits and score.usable}
    kept = [one for one in paired if not usable or original(one) in usable]
    none = bool(known.scores) and not usable
    if none:
        short = "no accepted original is usable, so no rewording could cost one"
        return [ClaimAhead(name="flips", n=0, noun="rewording", unit="points", limit=None, smallest=None, passes=None, short=short)]
    found = rate("flips", kept, policy.flip_limit(POOLED), _flips(prospect), policy, "rewording", together=True, decides=False)
    basis = found.basis if usable else f"usable originals not known before, assumed all; {found.basis}"
    return [replace(found, passes=None, short="", basis=basis, assumed=found.assumed or not usable)]


def _worst(prospect: Prospect, n: int) -> ClaimAhead:
    """The share of rewordings that must drop deeper than the baseline's deepest, and by the floor; it only alarms."""
    harm = prospect.policy.harm
    fewest = next((count for count in range(1, n + 1) if exceedance_p(count, n, n, n) <= harm), None)
    found = None if fewest is None else 100 * (1 - rate_at_most(n - fewest, n))
    basis = (
        f"deeper than the deepest before by {100 * prospect.policy.stability_worst:.3g} points: {fewest} of {n}" if fewest else "too few rewordings"
    )
    return ClaimAhead(
        name="worst",
        n=n,
        noun="rewording",
        unit="% of rewordings",
        limit=None,
        smallest=found,
        passes=None,
        basis=basis,
        decides=False,
    )

"""The stability gate: how much does the picture change when only the wording changes, and does it stay usable?

Every reworded picture is scored against the original prompt and compared with the picture of the original wording,
same seed, same arm. Two arms are compared over the same rewordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from swapgate.gates.compose import calibrated, claim, cluster, cluster_labels, gap, missing, percent, plural, points, strata, unchanged, verdict
from swapgate.gates.evidence import Arm, Evidence, ImageScore
from swapgate.gates.finite import unreadable
from swapgate.gates.futility import hopeless_mean
from swapgate.gates.paired import judge_pairs
from swapgate.gates.policy import Policy
from swapgate.gates.resampling import SignFlip, sign_flip
from swapgate.gates.statistics import clopper_pearson, exceedance_p
from swapgate.gates.unjudged import alike, unjudged
from swapgate.gates.usability import discordance
from swapgate.gates.verdict import Finding, Status, Verdict
from swapgate.gates.wording_controls import relative
from swapgate.gates.wording_figures import figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Reworded:
    """One picture of a reworded prompt beside that of the original wording.

    change: of normalised alignment, as a share of the original's (or of the guard), in [-1, 1]; flipped: usable became
    unusable; images: hashes of original and reworded picture, by which arms are recognised as equal.
    """

    pair: str
    original: str
    prompt: str
    change: float
    was_usable: bool
    flipped: bool
    images: tuple[str, str]


Both = tuple[Reworded, Reworded]


def judge(evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of one cell on rewordings: size of the changes and flips, against the same rewordings of the baseline."""
    stopped = missing("stability", evidence) or unreadable("stability", evidence)
    if stopped:
        return stopped
    open_checks, evidence = unjudged(evidence), alike(evidence)
    ours = reworded(evidence.candidate, policy.stability_guard)
    if not ours:
        return verdict("stability", evidence, [_nothing(evidence.candidate)])
    compared = gap(evidence, cost=False)
    findings = [compared] if compared else _compared(evidence, ours, policy)
    settled = not compared and _by_identity(_paired(evidence, ours, policy)) and findings[0].status is Status.PASS
    return verdict(
        "stability", evidence, [*findings, *_reported(ours, policy, settled=settled), *figures(evidence.candidate, ours, policy), *open_checks]
    )


def reworded(arm: Arm, guard: float) -> dict[str, Reworded]:
    """Every reworded picture of an arm whose original wording has a picture too, by pair."""
    originals = {score.pair: score for score in arm.scores if not score.edits}
    found = [(originals.get(score.original), score) for score in arm.scores if score.edits]
    return {score.pair: _beside(original, score, guard) for original, score in found if original}


def _beside(original: ImageScore, score: ImageScore, guard: float) -> Reworded:
    return Reworded(
        pair=score.pair,
        original=score.original,
        prompt=cluster(score.task, score.language),
        change=relative(score.normalised, original.normalised, guard),
        was_usable=original.usable,
        flipped=original.usable and not score.usable,
        images=(original.image, score.image),
    )


def _nothing(arm: Arm) -> Finding:
    asked = sum(1 for score in arm.scores if score.edits)
    reason = (
        f"none of {plural(asked, 'rewording')} has a picture of its original wording"
        if asked
        else "no reworded prompt was asked: set `rewordings` and `reworded_seeds` in the task"
    )
    return claim("change", Status.INCONCLUSIVE, reason, n=asked)


def _compared(evidence: Evidence, ours: dict[str, Reworded], policy: Policy) -> list[Finding]:
    both = _paired(evidence, ours, policy)
    if not both:
        return [claim("comparison", Status.NEW, f"{evidence.against} holds none of the {plural(len(ours), 'rewording')} of this cell")]
    if _by_identity(both):
        enough, left = unchanged(evidence, _rewordings(evidence, both), policy.flip_limit(evidence.task), policy)
        reason = f"{plural(len(both), 'reworded image')} and their originals equal to {evidence.against} by identity{left}"
        status = Status.PASS if enough else Status.INCONCLUSIVE
        return [claim("change", status, reason, effect=0.0, low=0.0, high=0.0, limit=100 * policy.stability_change, unit="points", n=len(both))]
    change = calibrated(_change(evidence, both, policy), evidence)
    flips = _flips(evidence, both, policy)
    # Flips that are not more frequent than before do not hold up what the changes have shown.
    held_up = change.status in (Status.PASS, Status.IMPROVED) and flips.status is Status.INCONCLUSIVE and (flips.effect or 0.0) >= 0
    return [change, replace(flips, decides=not held_up or flips.n == 0), _worst(both, policy)]


def _worst(both: Sequence[Both], policy: Policy) -> Finding:
    """Drops deeper than the baseline's deepest, by more than a practical floor: so many by chance?

    An extreme has no interval, but if both arms were drawn alike, the deepest drops of all are as likely either's
    (exceedance, see `exceedance_p`). It decides only when it shows harm: deepest drops alike is no evidence of anything.
    """
    old, new = min(before.change for before, _ in both), min(now.change for _, now in both)
    deeper = sum(1 for _, now in both if now.change < old - policy.stability_worst)
    p = exceedance_p(deeper, len(both), len(both), len(both))
    status = Status.REGRESSION if deeper and p <= policy.harm else Status.INCONCLUSIVE if deeper else Status.PASS
    reason = (
        f"the worst rewording changes alignment by {percent(new)} vs {percent(old)}; {plural(deeper, 'drop')} of {len(both)} "
        f"deeper than the baseline's by more than {points(policy.stability_worst).lstrip('+')}"
    )
    return claim(
        "worst",
        status,
        f"{reason} (p = {p:.2g})" if deeper else reason,
        effect=100 * (new - old),
        limit=-100 * policy.stability_worst,
        unit="points",
        n=len(both),
        baseline=100 * old,
        candidate=100 * new,
        decides=status is Status.REGRESSION,
        p=p,
    )


def _rewordings(evidence: Evidence, both: Sequence[Both]) -> list[ImageScore]:
    """Our scores of the rewordings that both arms have."""
    known = {now.pair for _, now in both}
    return [score for score in evidence.candidate.scores if score.pair in known]


def _paired(evidence: Evidence, ours: dict[str, Reworded], policy: Policy) -> list[Both]:
    """The same rewordings in both arms, theirs first."""
    theirs = reworded(evidence.baseline, policy.stability_guard) if evidence.baseline else {}
    return [(theirs[pair], now) for pair, now in ours.items() if pair in theirs]


def _by_identity(both: Sequence[Both]) -> bool:
    """Whether every picture, reworded and as written, is the other arm's own."""
    return bool(both) and all(old.images == now.images for old, now in both)


def _flipping(both: Sequence[Both], values: Sequence[float], policy: Policy) -> SignFlip:
    labels = cluster_labels([now.prompt for _, now in both], [now.original for _, now in both])
    return sign_flip(values, labels, alpha=policy.alpha, draws=policy.harm_draws, seed=policy.seed)


def _change(evidence: Evidence, both: Sequence[Both], policy: Policy) -> Finding:
    """Size of the change, ours less theirs, mean over the same rewordings; clusters are prompts."""
    extra = [0.0 if old.images == now.images else abs(now.change) - abs(old.change) for old, now in both]
    found, floor = _flipping(both, extra, policy), policy.stability_change
    status = _status(found, floor, policy)
    planned = sum(whole for whole, _ in strata(evidence, _rewordings(evidence, both)))
    futile = status is Status.INCONCLUSIVE and hopeless_mean(found.mean, found.error(policy.alpha), len(both), planned, floor, policy)
    before, after = (median(abs(one.change) for one in arm) for arm in zip(*both, strict=True))
    reason = (
        f"a rewording changes alignment by a median of ±{100 * after:.0f} % vs ±{100 * before:.0f} %: "
        f"mean {points(found.mean)} [{points(found.low)}, {points(found.high)}], limit {points(floor)}, "
        f"over {found.clusters} clusters"
    )
    if status is Status.INCONCLUSIVE:
        reason += f"; {_would_decide(found, floor, len(both))}"
    return claim(
        "change",
        status,
        reason,
        effect=100 * found.mean,
        low=100 * found.low,
        high=100 * found.high,
        limit=100 * floor,
        unit="points",
        n=len(both),
        confidence=1 - policy.alpha,
        baseline=100 * before,
        candidate=100 * after,
        p=found.p_above,
        futile=futile,
    )


def _status(found: SignFlip, floor: float, policy: Policy) -> Status:
    if found.p_above <= policy.harm and found.mean > floor:
        return Status.REGRESSION
    if found.p_below <= policy.alpha and found.mean < -floor:
        return Status.IMPROVED
    return Status.PASS if found.high < floor else Status.INCONCLUSIVE


def _would_decide(found: SignFlip, floor: float, n: int) -> str:
    if found.high == float("inf"):
        return "five prompts or requests are the fewest that can decide"
    distance = abs(floor - found.mean)
    factor = ((found.high - found.mean) / distance) ** 2 if distance else 17.0
    if factor > 16:
        return f"it lies so near the limit that even {16 * n} rewordings would not decide"
    return f"about {max(1, round(n * factor) - n)} more rewordings would decide"


def _flips(evidence: Evidence, both: Sequence[Both], policy: Policy) -> Finding:
    """Rewordings that cost a usable picture, among those whose original was usable in both arms."""
    kept = [(old, now) for old, now in both if old.was_usable and now.was_usable]
    if not kept:
        return claim("flips", Status.INCONCLUSIVE, "no original picture is usable in both arms, so none could be lost", n=0)
    n, before, after = len(kept), sum(old.flipped for old, _ in kept), sum(now.flipped for _, now in kept)
    same = [old.images == now.images for old, now in kept]
    flags = [(old.flipped, old.flipped if equal else now.flipped) for (old, now), equal in zip(kept, same, strict=True)]
    found = _flipping(kept, [float(now) - float(old) for old, now in flags], policy)
    return judge_pairs(
        "flips",
        discordance((not old, not now) for old, now in flags),
        floor=policy.flip_limit(evidence.task),
        policy=policy,
        said=f"{after} of {plural(n, 'rewording')} cost a usable image vs {before}",
        noun="rewording",
        baseline=1 - before / n,
        candidate=1 - after / n,
        planned=sum(whole for whole, _ in strata(evidence, _rewordings(evidence, kept))),
        clustered=(found.p_above, found.p_below),
    )


def _reported(ours: dict[str, Reworded], policy: Policy, *, settled: bool) -> list[Finding]:
    """The candidate alone: its worst drop (an extreme has no interval) and its flip rate. Neither has a limit to break.

    Without a usable original nothing could flip, which leaves the cell open, unless every picture is the baseline's own (`settled`).
    """
    worst = min(ours.values(), key=lambda one: one.change)
    findings = [
        claim(
            "worst drop",
            Status.INCONCLUSIVE,
            f"the worst rewording changes alignment by {percent(worst.change)} ({worst.pair})",
            effect=100 * worst.change,
            unit="%",
            n=len(ours),
            candidate=100 * worst.change,
            decides=False,
        )
    ]
    usable = [one for one in ours.values() if one.was_usable]
    if not usable:
        reason = "no original picture of this cell is usable, so no rewording could cost one"
        return [*findings, claim("flip rate", Status.INCONCLUSIVE, reason, n=0, decides=not settled)]
    flips, n = sum(one.flipped for one in usable), len(usable)
    low, high = clopper_pearson(flips, n, policy.alpha)
    rate = f"{100 * flips / n:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %]"
    reason = f"{flips} of {plural(n, 'rewording')} of usable images became unusable: {rate}"
    return [
        *findings,
        claim(
            "flip rate",
            Status.INCONCLUSIVE,
            reason,
            effect=100 * flips / n,
            low=100 * low,
            high=100 * high,
            unit="%",
            n=n,
            confidence=1 - policy.alpha,
            candidate=100 * flips / n,
            decides=False,
        ),
    ]

"""The usability gate: how often is the first image usable as it comes, without a second try?

Only images that stand for their round count, of prompts as written; rewordings belong to stability.

The units are requests: what is claimed is claimed of these very prompts over their seeds. Where the null shows that pictures of an
unchanged model change by themselves, or where there is no null, a whole prompt may change at once, and prompts are then the units besides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from swapgate.gates.compose import calibrated, claim, cluster, cluster_labels, gap, missing, percent, plural, strata, uncalibrated, unchanged, verdict
from swapgate.gates.drift import restless
from swapgate.gates.evidence import Arm, Evidence, ImageScore
from swapgate.gates.finite import unreadable
from swapgate.gates.futility import hopeless_rate
from swapgate.gates.paired import judge_pairs
from swapgate.gates.policy import Policy
from swapgate.gates.resampling import sign_flip
from swapgate.gates.statistics import Discordance, clopper_pearson, rate_lower, rate_upper
from swapgate.gates.unjudged import alike, unjudged
from swapgate.gates.verdict import Finding, Status, Verdict

HEALTH = "absolute:health"
_BROKEN = 0.5  # a model that breaks every second picture is broken, whatever rate its card asks for
_LOST = 0.1  # more newly broken pictures than this are no accident of single pictures, so no test has to say it


def judge(evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of one cell on the rate of usable first images, against the card's floor and the paired baseline."""
    stopped = missing("usability", evidence) or unreadable("usability", evidence)
    ours = first_images(evidence.candidate)
    if stopped or not ours:
        return stopped or verdict("usability", evidence, [])
    both = alike(evidence)
    compared = gap(evidence, cost=False) or _difference(both, first_images(both.candidate), policy)
    floor = _floor(ours, evidence, policy, compared)
    findings = [*_health(ours, evidence), compared, *floor, *unjudged(evidence)]
    return verdict("usability", evidence, findings, note=_failures(ours.values()))


def first_images(arm: Arm) -> dict[str, ImageScore]:
    """The images that stand for their round, of prompts as written, by pair."""
    return {score.pair: score for score in arm.scores if score.counted and not score.edits}


def discordance(pairs: Iterable[tuple[bool, bool]]) -> Discordance:
    """Counts of (good before, good now)."""
    seen = Counter(pairs)
    return Discordance(worse=seen[True, False], better=seen[False, True], n=seen.total())


def _health(ours: Mapping[str, ImageScore], evidence: Evidence) -> list[Finding]:
    """An exact limit that needs no floor: most pictures are no pictures, or many are none any more. Nothing where it holds."""
    n, bad = len(ours), [score for score in ours.values() if _unhealthy(score)]
    if len(bad) > _BROKEN * n:
        said = f"{len(bad)} of {plural(n, 'image')} are no healthy pictures ({_named(_unhealthy(score) for score in bad)})"
        return [_broken(said, len(bad), n, _BROKEN)]
    theirs = first_images(evidence.baseline) if evidence.baseline and not evidence.incomparable else {}
    both = [(theirs[pair], score) for pair, score in ours.items() if pair in theirs]
    lost = [names for old, new in both if (names := {name for name in _unhealthy(new) if old.bits.get(name) and old.image != new.image})]
    if len(lost) > _LOST * len(both):
        said = f"{len(lost)} of {plural(len(both), 'image')} lost the health that {evidence.against}'s picture of the same request had"
        return [_broken(f"{said} ({_named(lost)})", len(lost), len(both), _LOST)]
    return []


def _unhealthy(score: ImageScore) -> set[str]:
    return {name for name, held in score.bits.items() if name.startswith("health:") and not held}


def _named(failed: Iterable[set[str]]) -> str:
    counts = Counter(name for names in failed for name in sorted(names))
    return ", ".join(f"{name} in {count}" for name, count in counts.most_common(3))


def _broken(reason: str, bad: int, n: int, limit: float) -> Finding:
    reason = f"{reason}, limit {100 * limit:.0f} %"
    return claim(HEALTH, Status.REGRESSION, reason, effect=100 * bad / n, limit=100 * limit, unit="%", n=n, candidate=100 * bad / n)


def _difference(evidence: Evidence, ours: Mapping[str, ImageScore], policy: Policy) -> Finding:
    theirs = first_images(evidence.baseline) if evidence.baseline else {}
    both = [(theirs[pair], score) for pair, score in ours.items() if pair in theirs]
    if not both:
        return claim("difference", Status.NEW, f"{evidence.against} holds none of the {plural(len(ours), 'request')} of this cell")
    before, now = sum(old.usable for old, _ in both), sum(new.usable for _, new in both)
    n, floor = len(both), policy.usability_limit(evidence.task)
    if all(old.image == new.image for old, new in both):
        enough, left = unchanged(evidence, [new for _, new in both], floor, policy)
        reason = f"usable {now}/{n}: every image is equal to the baseline's by identity{left}"
        return claim(
            "difference",
            Status.PASS if enough else Status.INCONCLUSIVE,
            reason,
            effect=0.0,
            low=0.0,
            high=0.0,
            limit=-100 * floor,
            unit="points",
            n=n,
            baseline=100 * before / n,
            candidate=100 * now / n,
        )
    # The same pixels are the same picture, whatever a judge of another version said of them.
    pairs = [(old.usable, old.usable if old.image == new.image else new.usable) for old, new in both]
    new = f" ({plural(len(ours) - n, 'request')} without a counterpart left out)" if len(ours) > n else ""
    said = f"usable {now}/{n} vs {before}/{n}{new}"
    whole_prompts = uncalibrated(evidence) or restless(evidence.null, policy)
    found = judge_pairs(
        "difference",
        discordance(pairs),
        floor=floor,
        policy=policy,
        said=said,
        noun="request",
        planned=sum(whole for whole, _ in strata(evidence, [new for _, new in both])),
        baseline=before / n,
        candidate=now / n,
        clustered=_by_prompt(both, pairs, policy) if whole_prompts else (0.0, 0.0),
    )
    return calibrated(found, evidence)


def _by_prompt(both: Sequence[tuple[ImageScore, ImageScore]], pairs: Sequence[tuple[bool, bool]], policy: Policy) -> tuple[float, float]:
    """The p of harm and of gain if whole prompts are what turns by chance."""
    labels = cluster_labels([cluster(new.task, new.language) for _, new in both], [new.original for _, new in both])
    losses = [float(before) - float(now) for before, now in pairs]
    found = sign_flip(losses, labels, alpha=policy.alpha, draws=policy.harm_draws, seed=policy.seed)
    return found.p_above, found.p_below


def _floor(ours: Mapping[str, ImageScore], evidence: Evidence, policy: Policy, compared: Finding) -> list[Finding]:
    """The rate against the card's floor. Undecided, it holds up nothing that a comparison has shown, unless the rate seen is below."""
    limit, n = evidence.limits.usability_floor, len(ours)
    if limit <= 0:
        return []
    good = sum(score.usable for score in ours.values())
    low, high = clopper_pearson(good, n, policy.alpha)
    below = rate_upper(good, n, policy.harm) < limit
    status = Status.REGRESSION if below else Status.PASS if low >= limit else Status.INCONCLUSIVE
    reason = f"usable {good}/{n} = {100 * good / n:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %], floor {100 * limit:.0f} %"
    settled = status is Status.INCONCLUSIVE and good / n >= limit and compared.status in (Status.PASS, Status.IMPROVED)
    planned = sum(whole for whole, _ in strata(evidence, list(ours.values())))
    futile = status is Status.INCONCLUSIVE and hopeless_rate(good, n, planned, limit, policy)
    if status is Status.INCONCLUSIVE:
        reason += f"; {_would_show(good, n, limit, policy)}"
    return [
        claim(
            "floor",
            status,
            reason,
            effect=100 * good / n,
            low=100 * low,
            high=100 * high,
            limit=100 * limit,
            unit="%",
            n=n,
            confidence=1 - policy.alpha,
            candidate=100 * good / n,
            decides=not settled,
            futile=futile,
        )
    ]


def _would_show(good: int, n: int, limit: float, policy: Policy) -> str:
    """How many more requests would show the rate on the side of the floor where it was seen."""
    for factor in (1.5, 2, 3, 4, 6, 8, 12, 16):
        counts = round(good * factor), round(n * factor)
        if rate_lower(*counts, policy.alpha) >= limit or rate_upper(*counts, policy.harm) < limit:
            return f"about {round(n * factor) - n} more requests would decide at this rate"
    return f"it lies so near the floor that even {16 * n} requests would not decide"


def _failures(ours: Iterable[ImageScore]) -> str:
    """Which checks failed most often, at most three; "" when all held."""
    scores = list(ours)
    # By name: checks that failed equally often are listed as first met, and a replay reads them in the order of a file.
    failed = Counter(name for score in scores for name, held in sorted(score.bits.items()) if not held)
    if not failed:
        return ""
    named = ", ".join(f"{name} in {count}" for name, count in failed.most_common(3))
    bad = sum(not score.usable for score in scores)
    return f"of {plural(bad, 'unusable image')} ({percent(bad / len(scores)).lstrip('+')}) most failed {named}"

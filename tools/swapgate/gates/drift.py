"""The drift gate: are these still the pictures that were accepted?

With the same weights, a difference is held against how much the accepted model differs from itself (the null).
With other weights, other pictures are expected, and the question is whether they follow their prompts less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from statistics import median, variance

from swapgate.gates.compose import NOT_CALIBRATED, calibrated, claim, cluster, cluster_labels, gap, missing, plural, strata, unchanged, verdict
from swapgate.gates.evidence import Arm, Drift, Evidence, ImageScore, Null
from swapgate.gates.finite import unreadable
from swapgate.gates.futility import hopeless_mean
from swapgate.gates.policy import Policy
from swapgate.gates.resampling import sign_flip
from swapgate.gates.statistics import conformal_limit, conformal_rank, exceedance_p, holm, rate_upper
from swapgate.gates.verdict import RED, Finding, Status, Verdict

_TELL_STEPS = ("comfyui",)  # `Arm.pipeline` of servers that tell the steps of their samplers, and no forwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A similarity of two pictures (1 or many dB: the same) with its practical floor and its blind level."""

    name: str
    unit: str
    read: Callable[[Drift], float]
    floor: float
    blind: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What a metric saw: the limit (worse of null and floor), drifts beyond it, and the p of so many by chance.

    null_share: of the null's repeats beyond the same limit, 0 without a null.
    """

    metric: Metric
    limit: float
    null_limit: float | None
    pairs: tuple[str, ...]
    worst: float
    middle: float
    p: float
    null_share: float

    @property
    def blind(self) -> bool:
        return self.null_limit is not None and self.null_limit < self.metric.blind


def judge(evidence: Evidence, policy: Policy) -> Verdict:
    """The verdict of one cell on its pictures. The number of transformer forwards is checked first, and exactly."""
    stopped = missing("drift", evidence) or unreadable("drift", evidence)
    if stopped:
        return stopped
    forwards = _forwards(evidence.candidate)
    if seedless := _seedless(evidence):
        return verdict("drift", evidence, [*(one for one in forwards if one.status in RED), seedless])
    compared = gap(evidence, cost=False)
    if compared:
        return verdict("drift", evidence, [*forwards, compared])
    if not evidence.drifts:
        nothing = claim("pictures", Status.INCONCLUSIVE, f"{evidence.against} holds no reference image of this cell's requests")
        return verdict("drift", evidence, [nothing, *forwards])
    if all(drift.identical for drift in evidence.drifts):
        return verdict("drift", evidence, [_identical(evidence, policy), *forwards])
    return verdict("drift", evidence, [*_pictures(evidence, policy), *_alignment(evidence, policy), *forwards])


def _seedless(evidence: Evidence) -> Finding | None:
    """Pictures of a model that draws another one for the same seed cannot be held against each other; None where both arms keep their seeds."""
    for arm in (evidence.candidate, evidence.baseline):
        if arm and arm.no_seed:
            reason = f"pictures of {arm.model} cannot be compared one by one: {arm.no_seed}; how many are usable is judged as ever"
            return claim("pictures", Status.NOT_APPLICABLE, reason)
    return None


def _forwards(arm: Arm) -> list[Finding]:
    """Whether the recipe really ran: with guidance off a model runs half the forwards and paints other pictures.

    A server that tells its steps and not its forwards has as many with guidance as without.
    """
    if not arm.forwards:
        return []
    wrong = [(asked, seen) for asked, seen in arm.forwards if asked != seen]
    asked, seen = wrong[0] if wrong else arm.forwards[0]
    noun = "steps" if arm.pipeline in _TELL_STEPS else "transformer forwards"
    reason = f"{plural(len(arm.forwards), 'call')} ran {seen} {noun} each, as the card expects"
    if wrong:
        why = "guidance was off" if asked == 2 * seen and arm.pipeline not in _TELL_STEPS else "the recipe did not run as declared"
        calls = plural(len(arm.forwards), "call")
        reason = f"{why}: {seen} {noun} where the card expects {asked}, in {len(wrong)} of {calls}"
    return [
        claim(
            "forwards",
            Status.REGRESSION if wrong else Status.PASS,
            reason,
            effect=float(seen),
            limit=float(asked),
            unit="forwards",
            n=len(arm.forwards),
            candidate=float(seen),
        )
    ]


def _identical(evidence: Evidence, policy: Policy) -> Finding:
    n = len(evidence.drifts)
    enough, left = _unchanged(evidence, policy)
    reason = f"{plural(n, 'image')} equal to {evidence.against} by identity, pixel for pixel{left}"
    status = Status.PASS if enough else Status.INCONCLUSIVE
    return claim("pictures", status, reason, effect=1.0, low=1.0, high=1.0, unit="SSIM", n=n)


def _unchanged(evidence: Evidence, policy: Policy) -> tuple[bool, str]:
    """Whether the pictures seen, of which none changed for a person's eye, settle that for the planned ones, and in words."""
    seen = {drift.pair for drift in evidence.drifts}
    return unchanged(evidence, [score for score in evidence.candidate.scores if score.pair in seen], policy.drift_limit(evidence.task), policy)


def _metrics(policy: Policy) -> tuple[Metric, ...]:
    return (
        Metric(name="ssim", unit="SSIM", read=lambda drift: drift.ssim, floor=policy.drift_ssim, blind=policy.blind_ssim),
        Metric(name="psnr", unit="dB", read=lambda drift: drift.psnr, floor=policy.drift_psnr, blind=policy.blind_psnr),
        Metric(name="clip", unit="cosine", read=lambda drift: drift.clip, floor=policy.drift_clip, blind=policy.blind_clip),
    )


def restless(null: Null | None, policy: Policy) -> bool:
    """Whether repeats of the accepted model differed from it beyond a practical floor."""
    return null is not None and any(not drift.identical and any(m.read(drift) < m.floor for m in _metrics(policy)) for drift in null.drifts)


def _pictures(evidence: Evidence, policy: Policy) -> list[Finding]:
    null = evidence.null.drifts if evidence.null else ()
    repeated = {drift.pair.partition("#")[0] for drift in null} if restless(evidence.null, policy) else None
    seen = [_beyond(metric, evidence.drifts, null, policy.identity, repeated) for metric in _metrics(policy)]
    adjusted = holm([one.p for one in seen])
    findings = [_picture(one, p, evidence, policy) for one, p in zip(seen, adjusted, strict=True)]
    if all(one.blind for one in seen):
        return findings
    return [replace(finding, decides=not one.blind or bool(one.pairs)) for finding, one in zip(findings, seen, strict=True)]


def _beyond(metric: Metric, drifts: Sequence[Drift], null: Sequence[Drift], alpha: float, repeated: AbstractSet[str] | None) -> Beyond:
    """Pictures that are less alike than the null's conformal limit (at `alpha`, whichever look this is) and than the floor.

    p is that of so many beyond the same measured limit if candidate and null were exchangeable; without a null it is 1.
    Of a model whose pictures change by themselves all seeds of a prompt may do so at once: then only requests that the null
    has `repeated` count for p, one a prompt, because only they are exchangeable with it.
    """
    values = [1.0 if drift.identical else metric.read(drift) / _same(metric) for drift in drifts]
    limit, null_limit, null_share = metric.floor, None, 0.0
    if null:
        apart = [0.0 if drift.identical else 1 - metric.read(drift) / _same(metric) for drift in null]
        null_limit = (1 - conformal_limit(apart, alpha)) * _same(metric)
        limit = min(limit, null_limit)
        null_share = sum((1 - one) * _same(metric) < limit - 1e-9 for one in apart) / len(apart)
    pairs = [(value, drift.pair) for value, drift in zip(values, drifts, strict=True) if value * _same(metric) < limit - 1e-9]
    asked = [drift.pair for drift in drifts if repeated is None or drift.pair in repeated]
    beyond = sum(1 for _, pair in pairs if repeated is None or pair in repeated)
    p = exceedance_p(beyond, len(asked), len(null), conformal_rank(len(null), alpha)) if null else 1.0
    return Beyond(
        metric=metric,
        limit=limit,
        null_limit=null_limit,
        pairs=tuple(pair for _, pair in sorted(pairs)),
        worst=min(values) * _same(metric),
        middle=median(values) * _same(metric),
        p=p,
        null_share=null_share,
    )


def _same(metric: Metric) -> float:
    """What the metric reads on two equal pictures; PSNR is infinite there, and is capped for the arithmetic."""
    return 100.0 if metric.unit == "dB" else 1.0


def _picture(seen: Beyond, p: float, evidence: Evidence, policy: Policy) -> Finding:
    n, count, metric = len(evidence.drifts), len(seen.pairs), seen.metric
    status, why = _picture_status(seen, p, evidence, policy)
    reason = f"{count} of {plural(n, 'image')} below {metric.name} {seen.limit:.3g} {_limits(seen, evidence)}"
    if count:
        reason += f", the least alike {seen.worst:.3g} ({seen.pairs[0]})"
    found = claim(
        metric.name,
        status,
        reason + why,
        effect=seen.middle,
        limit=seen.limit,
        unit=metric.unit,
        n=n,
        candidate=seen.middle,
        p=p if evidence.null else None,
    )
    return calibrated(found, evidence)


def _picture_status(seen: Beyond, p: float, evidence: Evidence, policy: Policy) -> tuple[Status, str]:
    if seen.blind and not seen.pairs:
        return Status.INCONCLUSIVE, "; the model differs from itself so much that this metric would accept another picture"
    if not seen.pairs:
        enough, left = _unchanged(evidence, policy)
        return Status.PASS if enough else Status.INCONCLUSIVE, left
    if not evidence.same_weights:
        return Status.CHANGED, "; other weights paint other pictures"
    if evidence.null is None or not evidence.null.drifts:
        return Status.INCONCLUSIVE, f"; {NOT_CALIBRATED}"
    if p <= policy.harm:
        return Status.REGRESSION, f" (p = {p:.2g})"
    if restless(evidence.null, policy) and not policy.early:
        most = rate_upper(len(seen.pairs), len(evidence.drifts), policy.alpha) - seen.null_share
        if most < policy.drift_limit(evidence.task):
            return Status.PASS, f"; at most {100 * most:.1f} points more than of the {plural(len(evidence.null.drifts), 'repeat')}"
    repeats = plural(len(evidence.null.drifts), "repeat")
    return (
        Status.INCONCLUSIVE,
        f"; {repeats} cannot tell that from chance (p = {p:.2g}): accept again with --null=N, N more than its {evidence.null.processes} processes",
    )


def _limits(seen: Beyond, evidence: Evidence) -> str:
    floor = f"floor {seen.metric.floor:g}"
    if evidence.null is None or seen.null_limit is None:
        return f"({floor}, no null measured)"
    repeats = f"{plural(len(evidence.null.drifts), 'repeat')} in {evidence.null.processes} processes reached {seen.null_limit:.3g}"
    return f"({floor}; {repeats})"


def _alignment(evidence: Evidence, policy: Policy) -> list[Finding]:
    """Whether pictures follow their prompts less than the baseline's, in standard deviations between seeds.

    It decides only when it shows harm: to show its absence to a tenth of that deviation takes more pictures than a run
    has, and not being shown worse is all that CHANGED says.
    """
    baseline = evidence.baseline
    theirs = {score.pair: score for score in baseline.scores if not score.edits} if baseline else {}
    both = [(theirs[score.pair], score) for score in evidence.candidate.scores if not score.edits and score.pair in theirs]
    seen = seed_deviation([old for old, _ in both])
    if len(both) < 2 or seen is None:
        return []
    spread = max(seen, policy.alignment_spread)
    labels = cluster_labels([cluster(new.task, new.language) for _, new in both], [new.original for _, new in both])
    found = sign_flip(
        [0.0 if new.image == old.image else (new.alignment - old.alignment) / spread for old, new in both],
        labels,
        alpha=policy.alpha,
        draws=policy.harm_draws,
        seed=policy.seed,
    )
    floor, unit = policy.alignment_floor, "seed sd"
    worse = found.p_below <= policy.harm and found.mean < -floor
    better = found.p_above <= policy.alpha and found.mean > floor
    status = Status.REGRESSION if worse else Status.IMPROVED if better else Status.PASS if found.low > -floor else Status.INCONCLUSIVE
    planned = sum(whole for whole, _ in strata(evidence, [new for _, new in both]))
    futile = status is Status.INCONCLUSIVE and hopeless_mean(-found.mean, found.error(policy.alpha), len(both), planned, floor, policy)
    reason = (
        f"alignment changed by {found.mean:+.2f} {unit} [{found.low:+.2f}, {found.high:+.2f}] over {found.clusters} clusters, limit {-floor:+.2f}"
    )
    return [
        claim(
            "alignment",
            status,
            reason,
            effect=found.mean,
            low=found.low,
            high=found.high,
            limit=-floor,
            unit=unit,
            n=len(both),
            confidence=1 - policy.alpha,
            decides=worse,
            p=found.p_below,
            futile=futile,
        )
    ]


def seed_deviation(scores: Sequence[ImageScore]) -> float | None:
    """Standard deviation of alignment between pictures of one prompt, pooled over prompts; None without two of any."""
    groups: dict[str, list[float]] = {}
    for score in scores:
        groups.setdefault(cluster(score.task, score.language), []).append(score.alignment)
    several = [values for values in groups.values() if len(values) > 1]
    weight = sum(len(values) - 1 for values in several)
    return (sum(variance(values) * (len(values) - 1) for values in several) / weight) ** 0.5 if weight else None

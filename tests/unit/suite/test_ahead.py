"""What each gate can find and pass, held against the gates themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from swapgate.gates import drift, latency, memory, power, stability, usability
from swapgate.gates.evidence import Arm, Cost, Drift, Evidence, ImageScore, Limits, Null, Repeat
from swapgate.gates.policy import Policy
from swapgate.gates.processes import between
from swapgate.gates.verdict import Status, Verdict
from swapgate.plan import Request
from swapgate.suite import ahead_cost, ahead_quality
from swapgate.suite.earlier import Earlier
from swapgate.suite.planning import build_plan, prepare
from swapgate.suite.prospect import ClaimAhead, GateAhead, Prospect

NO_LIMITS = Limits(seconds_per_image=None, first_step_seconds=None, memory_mib=None, growth_mib=None, usability_floor=0.0)


def named(found: GateAhead, name: str) -> ClaimAhead:
    return next(one for one in found.claims if one.name == name)


QUIET = Null(drifts=(Drift(pair="p", identical=True, ssim=1.0, psnr=130.0, clip=1.0),) * 48, processes=4, variations=())


def prospect(bench: Any, prompts: int, seeds: int, *, policy: Policy | None = None, reworded: int = 0, **known: Any) -> Prospect:
    """A plan of so many prompts and seeds, whose requests were all accepted as usable pictures."""
    tasks = "".join(f'[[task]]\nid = "t{n}"\nprompts = {{ en = "a red cup number {n} on a wooden table, watercolour" }}\n' for n in range(prompts))
    family = f"width = 32\nheight = 32\nseeds = {list(range(1, seeds + 1))}\nreworded_seeds = {list(range(1, reworded + 1))}\nrewordings = 1\n{tasks}"
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(family, encoding="utf-8")
    setup = prepare(bench.config, bench.options())
    plan = build_plan(setup)
    card = setup.models[0]
    scores = tuple(score(request) for request in plan.requests(card.id))
    held = Earlier(model=card.id, **{"seconds": {}, "null": QUIET, "scores": scores, "quality_source": "baseline of run r", **known})
    return Prospect(
        card=card,
        tasks=setup.tasks[card.id],
        calls=plan.calls[card.id],
        policy=policy or Policy().at_most(0.0005),
        known=held,
        pairs=frozenset(one.pair for one in scores),
    )


def score(request: Request, *, usable: bool = True, image: str = "a", **changes: Any) -> ImageScore:
    made = ImageScore(
        pair=request.pair,
        recipe=request.recipe,
        task=request.task,
        language=request.language,
        seed=request.seed,
        index=request.index,
        edits=request.edits,
        image=f"{image}{request.pair}",
        bits={"alignment": usable},
        usable=usable,
        alignment=0.3 + 0.01 * request.seed,
        normalised=0.9,
        margins={},
    )
    return replace(made, **changes)


def evidence(ours: Sequence[ImageScore], theirs: Sequence[ImageScore], **more: Any) -> Evidence:
    def arm(scores: Sequence[ImageScore]) -> Arm:
        return Arm(model="toy", weights="w", accelerator="cpu", cohort="c", pipeline="p", scores=tuple(scores), cost=None)

    made: dict[str, Any] = {"drifts": (), "null": QUIET, "limits": NO_LIMITS, "accepted": "x", **more}
    return Evidence(model="toy", task="all", candidate=arm(ours), baseline=arm(theirs), **made)


def cost(seconds: Sequence[float], **more: Any) -> Cost:
    n = len(seconds)
    made: dict[str, Any] = {
        "seconds": tuple(seconds),
        "first_step": (),
        "text": (),
        "denoise": (),
        "decode": (),
        "peak_mib": (1000.0,) * n,
        "held_mib": (500.0,) * n,
        "images": (1,) * n,
        "numbers": tuple(range(1, n + 1)),
        "first_call_seconds": None,
        "load_seconds": None,
        **more,
    }
    return Cost(**made)


@pytest.mark.parametrize("n", [10, 40, 58, 59, 60, 80])
def test_an_unchanged_run_passes_usability_exactly_when_the_plan_says_so(bench: Any, n: int) -> None:
    """New pictures of which none got worse: the gate's own bound decides at 59 pairs."""
    ahead = prospect(bench, 1, n)
    claim = named(ahead_quality.usability(ahead), "difference")
    ours = [replace(one, image=f"other {one.image}") for one in ahead.known.scores]
    verdict = usability.judge(evidence(ours, ahead.known.scores), ahead.policy)
    assert claim.passes is (verdict.status is Status.PASS) is (n >= 59)
    assert claim.n == n


def test_the_gate_finds_the_fall_that_the_plan_names(bench: Any) -> None:
    """Twelve prompts of five seeds, one chance for all pictures: nine in ten of such runs are red at least, and few at half of it."""
    ahead = prospect(bench, 12, 5)
    claim = named(ahead_quality.usability(ahead), "difference")
    assert claim.smallest is not None
    share = claim.smallest / 100

    def red(fall: float) -> float:
        lost = np.random.default_rng(7).random((60, 60)) < fall
        return float(np.mean([falls(row, ahead) is Status.REGRESSION for row in lost]))

    assert red(share) >= 0.85
    assert red(share / 2) < 0.5


def falls(lost: np.ndarray, ahead: Prospect) -> Status:
    ours = [replace(one, usable=not gone, image=f"other {one.image}") for one, gone in zip(ahead.known.scores, lost, strict=True)]
    return usability.judge(evidence(ours, ahead.known.scores), ahead.policy).status


def test_few_prompts_cannot_alarm_and_the_plan_says_how_many_could(bench: Any) -> None:
    """Eight prompts of a model whose pictures change by themselves: sign flips resolve 1/256, and the share of the budget is smaller."""
    other = Drift(pair="t0/en/1/0#1", identical=False, ssim=0.9, psnr=25.0, clip=0.99)
    found = ahead_quality.usability(prospect(bench, 8, 10, null=Null(drifts=(other,), processes=1, variations=())))
    assert "8 prompts cannot show harm at this share of the budget; at least 11 could" in found.undecided
    assert not found.decidable


def test_flips_between_repeats_are_measured(bench: Any) -> None:
    """Two of sixty pictures turned, one each way: one in sixty each way, and sixty pairs no longer pass."""
    ahead = prospect(bench, 12, 5)
    old = list(ahead.known.scores)
    new = [replace(one, image=f"b{n}", usable=n != 3) for n, one in enumerate(old)]
    old[5] = replace(old[5], usable=False)
    measured = replace(ahead, known=replace(ahead.known, repeated=tuple(zip(old, new, strict=True)), run="r"))
    claim = named(ahead_quality.usability(measured), "difference")
    assert claim.basis.startswith("2 of 60 flipped between baseline and run r")
    assert not claim.assumed
    assert claim.passes is power.paired_pass(60, alpha=0.05, margin=0.05, flips=1 / 60).enough is False


def test_an_accepted_rate_below_the_floor_keeps_the_gate_from_passing(bench: Any) -> None:
    """An unchanged model would be undecided at best."""
    ahead = prospect(bench, 12, 5)
    bad = tuple(replace(one, usable=n % 2 == 0) for n, one in enumerate(ahead.known.scores))
    found = ahead_quality.usability(replace(ahead, card=replace(ahead.card, usability_floor=0.7), known=replace(ahead.known, scores=bad)))
    assert "50 % usable lie below the card's floor of 70 %" in found.undecided


def test_the_floor_names_the_rate_that_the_gate_calls_red(bench: Any) -> None:
    """The largest count that is red, seen with 95 % at the named rate."""
    ahead = prospect(bench, 12, 5)
    claim = named(ahead_quality.usability(replace(ahead, card=replace(ahead.card, usability_floor=0.7))), "floor")
    limits = replace(NO_LIMITS, usability_floor=0.7)

    def red(good: int) -> bool:
        ours = [replace(one, usable=n < good) for n, one in enumerate(ahead.known.scores)]
        found = usability.judge(replace(evidence(ours, ours), baseline=None, limits=limits), ahead.policy)
        return any(one.name == "floor" and one.status is Status.REGRESSION for one in found.findings)

    most = max(good for good in range(61) if red(good))
    assert claim.smallest is not None
    assert binom.cdf(most, 60, claim.smallest / 100) == pytest.approx(0.95, abs=1e-6)


def drifts(n: int, beyond: int) -> tuple[Drift, ...]:
    return tuple(Drift(pair=f"p{i}", identical=False, ssim=0.5 if i < beyond else 0.999, psnr=50.0, clip=0.999) for i in range(n))


@pytest.mark.parametrize("repeats", [24, 48])
def test_drift_names_the_share_of_pictures_that_the_gate_calls_red(bench: Any, repeats: int) -> None:
    """The fewest pictures beyond the null that are red, seen with 95 % at the named share."""
    null = Null(drifts=tuple(replace(one, ssim=0.99) for one in drifts(repeats, 0)), processes=2, variations=())
    ahead = prospect(bench, 12, 5, null=null)
    claim = named(ahead_quality.drift(ahead), "pictures")

    def red(beyond: int) -> bool:
        found = drift.judge(evidence(ahead.known.scores, ahead.known.scores, drifts=drifts(60, beyond), null=null), ahead.policy)
        return found.status is Status.REGRESSION

    fewest = next(count for count in range(1, 61) if red(count))
    assert claim.smallest is not None
    assert binom.sf(fewest - 1, 60, claim.smallest / 100) == pytest.approx(0.95, abs=1e-6)
    assert claim.passes


def test_without_a_null_no_picture_can_be_red(bench: Any) -> None:
    """The plan names the processes that the null needs: each repeats the twelve first requests."""
    found = ahead_quality.drift(prospect(bench, 12, 5, null=None))
    needed = power.drift_exceedance(60, null=0, alpha=0.0005).needed
    assert needed is not None
    assert f"--null={-(-needed // 12)} when the baseline is accepted" in found.undecided


@pytest.mark.parametrize(("ssim", "said"), [(0.2, "every metric would accept another picture"), (0.9, "differs from itself by more than the floor")])
def test_a_wide_null_keeps_drift_from_passing(bench: Any, ssim: float, said: str) -> None:
    """Blind in all metrics, or so wide that an unchanged picture is likely beyond it."""
    wide = tuple(replace(one, ssim=ssim, psnr=10.0 if ssim < 0.5 else 40.0, clip=ssim) for one in drifts(24, 0))
    found = ahead_quality.drift(prospect(bench, 12, 5, null=Null(drifts=wide, processes=2, variations=())))
    assert said in found.undecided


def test_alignment_is_reckoned_as_of_other_pictures(bench: Any) -> None:
    """Twelve prompts of five seeds: two independent means of five, in standard deviations between seeds."""
    ahead = prospect(bench, 12, 5, policy=replace(Policy(), alignment_spread=0.001).at_most(0.0005))
    claim = named(ahead_quality.drift(ahead), "alignment")
    expected = power.mean_harm(12, alpha=0.0005, floor=0.1, deviation=(2 / 5) ** 0.5).smallest
    assert claim.smallest == pytest.approx(expected, rel=1e-3)
    assert claim.assumed
    assert not claim.decides


def test_stability_passes_when_repeats_repeat_and_the_gate_agrees(bench: Any) -> None:
    """Other pictures of the same changes: the gate's own bound lies below its limit."""
    ahead = prospect(bench, 12, 2, reworded=2)
    found = ahead_quality.stability(ahead)
    assert named(found, "change").passes
    assert named(found, "change").n == 12
    ours = [replace(one, image=f"other {one.image}") for one in ahead.known.scores]
    assert stability.judge(evidence(ours, ahead.known.scores), ahead.policy).status is Status.PASS


def test_repeats_that_scatter_keep_stability_from_passing(bench: Any) -> None:
    """The deviation between baseline and newest run, over prompts, is what the bound has to cover."""
    ahead = prospect(bench, 12, 2, reworded=2)
    noise = np.random.default_rng(1).normal(0.9, 0.3, len(ahead.known.scores))
    new = [replace(one, image=f"b{n}", normalised=float(value)) for n, (one, value) in enumerate(zip(ahead.known.scores, noise, strict=True))]
    known = replace(ahead.known, repeated=tuple(zip(ahead.known.scores, new, strict=True)), run="r")
    found = ahead_quality.stability(replace(ahead, known=known))
    assert "cannot show that rewordings change no more than before" in found.undecided


def test_tasks_without_rewordings_cannot_decide_stability(bench: Any) -> None:
    """The gate would say that none was asked."""
    assert "no reworded prompt is asked" in ahead_quality.stability(prospect(bench, 12, 5)).undecided


@pytest.mark.parametrize("seeds", [10, 17, 24, 25, 40])
def test_growth_needs_the_warm_calls_that_the_gate_needs(bench: Any, seeds: int) -> None:
    """The same calls are left out, so the same number is left."""
    level = cost([1.0] * (seeds - 1))
    ahead = prospect(bench, 1, seeds, cost=level, accepted_cost=level, accelerator="cpu")
    claim = named(ahead_cost.memory(ahead), "growth")
    arm = Arm(model="toy", weights="w", accelerator="cpu", cohort="c", pipeline="p", scores=(), cost=level)
    found = memory.judge(replace(evidence((), ()), candidate=arm, baseline=arm), ahead.policy)
    growth = next(one for one in found.findings if one.name == "growth")
    assert claim.n == growth.n
    assert claim.passes is (growth.status is Status.PASS)


@pytest.mark.parametrize("spread", [0.01, 0.03])
def test_time_reaches_are_those_of_the_power_functions(bench: Any, spread: float) -> None:
    """With the spread and correlation of the accepted calls, at the claim's share."""
    accepted = cost(np.random.default_rng(2).normal(1.0, spread, 400).tolist())
    known = processes(accepted, np.random.default_rng(3))
    ahead = prospect(bench, 12, 5, cost=accepted, accepted_cost=accepted, processes=known)
    claim = named(ahead_cost.latency(ahead), "total")
    apart = between(known, lambda one: one.seconds)
    assert apart is not None
    more = (apart.apart, apart.freedom)
    rough = power.time_harm(59, alpha=0.0005, floor=0.05, cv=spread, between=more).smallest
    assert claim.n == 59
    assert claim.smallest == pytest.approx(rough, rel=0.15)
    assert claim.passes is power.time_pass(59, alpha=0.01, floor=0.05, cv=spread, between=more).enough
    assert not claim.assumed


def test_a_plan_against_a_baseline_of_one_process_cannot_decide_time(bench: Any) -> None:
    """Nothing was measured of what differs between processes: said once with the remedy; arms in turn do not need it."""
    accepted = cost(np.random.default_rng(2).normal(1.0, 0.01, 59).tolist())
    ahead = prospect(bench, 12, 5, cost=accepted, accepted_cost=accepted)
    found = ahead_cost.latency(ahead)
    assert found.undecided == "fewer than 3 processes measured how much total differs from process to process: accept a run with --null=8"
    assert named(found, "total").smallest is None
    turns = replace(ahead, theirs=ahead.calls, other=ahead.known)
    assert ahead_cost.latency(turns).decidable


def test_processes_that_differ_widely_are_a_plan_that_cannot_pass(bench: Any) -> None:
    """A tenth from process to process: no number of calls shows that nothing got slower by a twentieth."""
    accepted = cost(np.random.default_rng(2).normal(1.0, 0.01, 59).tolist())
    known = processes(accepted, np.random.default_rng(3), spread=0.1)
    claim = named(ahead_cost.latency(prospect(bench, 12, 5, cost=accepted, accepted_cost=accepted, processes=known)), "total")
    assert "no number of calls can show" in claim.short
    assert "10 processes differ by" in claim.short
    assert claim.smallest is None or claim.smallest > 20


def test_the_gate_finds_the_slowdown_that_the_plan_names(bench: Any) -> None:
    """Sixty calls of three per cent spread: nine in ten of such runs are red at least, and few at half of it."""
    noise = np.random.default_rng(4)
    accepted = cost(noise.normal(1.0, 0.03, 59).tolist())
    ahead = prospect(bench, 12, 5, cost=accepted, accepted_cost=accepted, processes=processes(accepted, noise))
    claim = named(ahead_cost.latency(ahead), "total")
    assert claim.smallest is not None

    def red(slower: float) -> float:
        paces = np.exp(noise.normal(0, 0.003, (40, 2)))
        arms = [[cost(noise.normal(by, 0.03, 59) * pace) for by, pace in zip((1 + slower, 1.0), both, strict=True)] for both in paces]
        return float(np.mean([timed(*both, ahead.policy, ahead.known.processes).status is Status.REGRESSION for both in arms]))

    assert red(claim.smallest / 100) >= 0.8
    assert red(claim.smallest / 200) < 0.5


def processes(accepted: Cost, noise: np.random.Generator, n: int = 10, spread: float = 0.003) -> tuple[Repeat, ...]:
    """The accepted process and n - 1 more of 20 calls each, every one with a pace of its own."""
    again = [cost(noise.normal(1.0, 0.03, 20) * np.exp(noise.normal(0, spread))) for _ in range(n - 1)]
    return tuple(Repeat(run="r", process=number, task="t0", cost=one) for number, one in enumerate([accepted, *again]))


def timed(ours: Cost, theirs: Cost, policy: Policy, measured: tuple[Repeat, ...]) -> Verdict:
    arms = [
        Arm(model="toy", weights="w", accelerator="cpu", cohort="c", pipeline="p", scores=(), cost=one, processes=two)
        for one, two in ((ours, ()), (theirs, measured))
    ]
    return latency.judge(replace(evidence((), ()), candidate=arms[0], baseline=arms[1]), replace(policy, draws=1000))


def test_the_gate_finds_the_fall_of_alignment_that_the_plan_names(bench: Any) -> None:
    """Other pictures of twelve prompts that follow them less by so many deviations between seeds."""
    ahead = prospect(bench, 12, 5, policy=replace(Policy(), alignment_spread=0.001).at_most(0.0005))
    claim = named(ahead_quality.drift(ahead), "alignment")
    assert claim.smallest is not None
    noise = np.random.default_rng(5)

    def red(fall: float) -> float:
        found = []
        for _ in range(60):
            old, new = noise.normal(0.3, 0.02, 60), noise.normal(0.3 - 0.02 * fall, 0.02, 60)
            ours = [replace(one, alignment=float(a), image=f"b{one.pair}") for one, a in zip(ahead.known.scores, new, strict=True)]
            theirs = [replace(one, alignment=float(a)) for one, a in zip(ahead.known.scores, old, strict=True)]
            found.append(drift.judge(evidence(ours, theirs, drifts=drifts(60, 0)), ahead.policy).status is Status.REGRESSION)
        return float(np.mean(found))

    assert red(claim.smallest) >= 0.85
    assert red(claim.smallest / 2) < 0.5


def test_the_worst_drops_are_as_many_as_the_gate_calls_red(bench: Any) -> None:
    """One drop fewer is not enough, and the named share shows so many with 95 %."""
    ahead = prospect(bench, 12, 2, reworded=2)
    claim = named(ahead_quality.stability(ahead), "worst")
    reworded = [one.pair for one in ahead.known.scores if one.edits]

    def red(dropped: int) -> bool:
        gone = set(reworded[:dropped])
        ours = [replace(one, image=f"b{one.pair}", normalised=0.0 if one.pair in gone else 0.9) for one in ahead.known.scores]
        found = stability.judge(evidence(ours, ahead.known.scores), ahead.policy)
        return any(one.name == "worst" and one.status is Status.REGRESSION for one in found.findings)

    fewest = next(count for count in range(1, len(reworded) + 1) if red(count))
    assert claim.smallest is not None
    assert binom.sf(fewest - 1, len(reworded), claim.smallest / 100) == pytest.approx(0.95, abs=1e-6)


def test_a_peak_is_found_at_the_floor_of_its_device(bench: Any) -> None:
    """Peaks repeat, so every number of calls from the fifth on finds the same."""
    accepted = cost([1.0] * 59, peak_mib=(20_000.0,) * 59)
    for kind, limit in (("cpu", 400.0), ("cuda", 400.0)):
        found = ahead_cost.memory(prospect(bench, 12, 5, cost=accepted, accepted_cost=accepted, accelerator=kind))
        assert named(found, "peak").smallest == pytest.approx(limit)
    small = replace(accepted, peak_mib=(1000.0,) * 59)
    for kind, limit in (("cpu", 256.0), ("cuda", 128.0)):  # below them a share of the peak would alarm over one more buffer
        assert named(ahead_cost.memory(prospect(bench, 12, 5, cost=small, accepted_cost=small, accelerator=kind)), "peak").smallest == limit


def test_a_leak_is_found_where_held_memory_wanders_little(bench: Any) -> None:
    """The gate's own bounds: at the named slope most runs are red; level memory passes."""
    noise = np.random.default_rng(6)
    level = cost([1.0] * 59, held_mib=tuple(noise.normal(500, 5, 59).tolist()))
    ahead = prospect(bench, 12, 5, cost=level, accepted_cost=level, accelerator="cuda")
    claim = named(ahead_cost.memory(ahead), "growth")
    assert claim.passes
    assert claim.smallest is not None

    def growth(slope: float) -> Status:
        held = tuple(float(500 + slope * n + noise.normal(0, 5)) for n in range(59))
        arm = Arm(model="toy", weights="w", accelerator="cuda", cohort="c", pipeline="p", scores=(), cost=replace(level, held_mib=held))
        found = memory.judge(replace(evidence((), ()), candidate=arm, baseline=arm), ahead.policy)
        return next(one for one in found.findings if one.name == "growth").status

    assert np.mean([growth(claim.smallest) is Status.REGRESSION for _ in range(20)]) >= 0.75
    assert np.mean([growth(0.0) is Status.PASS for _ in range(20)]) >= 0.75


@pytest.mark.parametrize(("values", "low", "high"), [([1.0, 1.1] * 20, 0.0, 0.0), (list(np.arange(1.0, 41.0)), 0.85, 0.95), ([1.0] * 9, 0.0, 0.0)])
def test_the_correlation_of_neighbours_is_that_of_ranks(bench: Any, values: list[float], low: float, high: float) -> None:
    """Turns give none that is counted upon, a drift gives nearly all, and equal times none."""
    basis = named(ahead_cost.latency(prospect(bench, 12, 5, cost=cost(values), accepted_cost=cost(values))), "total").basis
    assert low <= float(basis.rpartition(" ")[2]) <= high


def test_five_calls_are_the_fewest_that_decide_on_time(bench: Any) -> None:
    """As the gate has it, on both arms."""
    few = cost([1.0] * 4)
    found = ahead_cost.latency(prospect(bench, 12, 5, cost=few, accepted_cost=few))
    assert "4 calls after the first cannot decide on time, 5 are needed" in found.undecided


def test_no_usable_original_leaves_stability_open(bench: Any) -> None:
    """Nothing usable can be lost, and the gate says the same."""
    ahead = prospect(bench, 12, 2, reworded=2)
    bad = tuple(replace(one, usable=False) for one in ahead.known.scores)
    found = ahead_quality.stability(replace(ahead, known=replace(ahead.known, scores=bad)))
    assert "no accepted original is usable" in found.undecided
    ours = [replace(one, image=f"b{one.pair}") for one in bad]
    assert stability.judge(evidence(ours, bad), ahead.policy).status is Status.INCONCLUSIVE


def test_stalls_do_not_widen_the_spread_of_a_median(bench: Any) -> None:
    """Three calls in a hundred that took ten times as long leave the middle where it was."""
    times = np.random.default_rng(2).normal(1.0, 0.02, 100).tolist()
    calm, stalled = cost(times), cost([10.0 if n % 33 == 5 else value for n, value in enumerate(times)])
    known = processes(calm, np.random.default_rng(3))
    found = [
        named(ahead_cost.latency(prospect(bench, 12, 5, cost=one, accepted_cost=one, processes=known)), "total").smallest for one in (calm, stalled)
    ]
    assert found[1] == pytest.approx(found[0], rel=0.1)


def test_ceilings_decide_where_nothing_was_accepted(bench: Any) -> None:
    """The earlier median far below its ceiling passes; above it, it cannot."""
    text = (bench.root / "fixtures" / "models" / "toy.toml").read_text(encoding="utf-8")
    (bench.root / "fixtures" / "models" / "toy.toml").write_text(
        text + "[ceilings.cpu]\nseconds_per_image = 2.0\nmemory_mib = 3000\n", encoding="utf-8"
    )
    quick, slow = (prospect(bench, 12, 5, cost=cost([each] * 59), cost_source="run r", accelerator="cpu") for each in (0.5, 2.5))
    found = ahead_cost.latency(quick)
    assert found.decidable
    assert named(found, "total ceiling").smallest == pytest.approx(2.0, rel=1e-3)
    assert "the ceilings decide alone" in named(found, "comparison").basis
    assert "above the ceiling of 2.00 s" in ahead_cost.latency(slow).undecided
    assert named(ahead_cost.memory(quick), "memory ceiling").passes
    assert ahead_cost.latency(replace(quick, known=replace(quick.known, cost=None))).claims[1].unknown

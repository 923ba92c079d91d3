"""Runs in which nothing changed, simulated by the thousand: how often is one of them red anywhere?

A run is twelve prompts (six tasks in two languages) by five seeds with two rewordings of two seeds each, judged by the five
gates against a baseline of the same model, as the bundled tasks are. Samples are drawn for all runs at once; a run is judged by the
gates themselves, except that a gate is not asked where its own practical floor already excludes red (`_suspect`).

With several looks the run is made in rounds as `plan` orders them and judged after each of the first ones at that look's share of the errors. A gate that
was found green goes on being judged here, which a real run would stop: that can only add red runs.

The noise models are those that break naive gates: heavy tails, autocorrelation, a device that warms up, a model with two modes,
prompts whose pictures change together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from swapgate.gates.budget import settle
from swapgate.gates.compose import claim, verdict
from swapgate.gates.evidence import Arm, Cost, Drift, Evidence, ImageScore, Limits, Null, Repeat
from swapgate.gates.judge import judge
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import conformal_rank, exceedance_p, mcnemar, rate_upper
from swapgate.gates.verdict import GATES, POOLED, Status, Verdict

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PROMPTS, SEEDS, NULL_PROCESSES = 12, 5, 4
TIMED = 4  # of eight processes of a null, those that run as the card says
IMAGES = PROMPTS * SEEDS
REWORDED = PROMPTS * 4
_SECONDS, _HELD_MIB, _PEAK_MIB = 3.0, 18_000.0, 20_000.0
AUDITED = 500  # one run in so many is judged by all gates, whatever the screens say
_NEAR = 0.98  # a bound can lie a little beyond its estimate, so screens ask at 98 % of a floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How unchanged runs of a model differ. Shares in [0, 1], spreads relative to the mean.

    times: draws [runs, n] factors of the time of a call; warming: rise of the time from the baseline's first call to the candidate's last;
    second_mode: chance of a picture to come in its other mode; turned: chance of a pair to be judged otherwise in the two runs;
    together: share of those turns that whole prompts make together; pace: relative deviation between processes, of which the baseline
    has TIMED more than its own.
    """

    times: Callable[[np.random.Generator, int, int], Floats]
    warming: float = 0.0
    second_mode: float = 0.0
    turned: float = 0.03
    together: float = 0.0
    pace: float = 0.01


def normal(generator: np.random.Generator, runs: int, n: int) -> Floats:
    """Factors of mean 1 with a deviation of 3 %."""
    return 1 + 0.03 * generator.standard_normal((runs, n))


def log_normal(generator: np.random.Generator, runs: int, n: int) -> Floats:
    """Log-normal factors of 3 %, one in fifty half as long again."""
    return np.exp(0.03 * generator.standard_normal((runs, n))) * np.where(generator.random((runs, n)) < 0.02, 1.5, 1.0)


def autocorrelated(generator: np.random.Generator, runs: int, n: int) -> Floats:
    """AR(1) of 0.6 with a stationary deviation of 3 %."""
    steps = 0.03 * np.sqrt(1 - 0.6**2) * generator.standard_normal((runs, n))
    state, found = 0.03 * generator.standard_normal(runs), np.empty((runs, n))
    for i in range(n):
        state = 0.6 * state + steps[:, i]
        found[:, i] = 1 + state
    return found


NOISES: Mapping[str, Noise] = MappingProxyType(
    {
        "normal": Noise(times=normal),
        "log-normal with 2 % outliers": Noise(times=log_normal),
        "AR(1) 0.6": Noise(times=autocorrelated),
        "4 % thermal drift": Noise(times=normal, warming=0.04),
        "bistable images": Noise(times=normal, second_mode=0.05),
        "clustered usability": Noise(times=normal, turned=0.10, together=0.5),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of `runs` simulated runs, how many were red anywhere, and by which gate; high: upper end of the 99 % interval of that share."""

    runs: int
    red: int
    by_gate: Mapping[str, int]

    @property
    def share(self) -> float:
        return self.red / self.runs

    @property
    def high(self) -> float:
        return rate_upper(self.red, self.runs, 0.005)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a look of a run sees: numbers of its pictures as written and of its rewordings, and how many calls those took."""

    written: NDArray[np.int64]
    reworded: NDArray[np.int64]

    @property
    def calls(self) -> int:
        return len(self.written) + len(self.reworded)


def part(rounds: int) -> _Part:
    """The first `rounds` of SEEDS rounds: a seed more of every prompt in each, and of the rewordings (two of seeds 0 and 1) one."""
    order = [(0, 0), (1, 1), (0, 1), (1, 0)][:rounds]  # (seed, rewording), as `plan` asks them
    written = [prompt * SEEDS + seed for prompt in range(PROMPTS) for seed in range(rounds)]
    reworded = [prompt * 4 + seed * 2 + edit for prompt in range(PROMPTS) for seed, edit in sorted(order)]
    return _Part(written=np.array(written), reworded=np.array(reworded))


def false_alarms(noise: Noise, runs: int, *, looks: int = 1, policy: Policy | None = None, seed: int = 2512, chunk: int = 1000) -> Tally:
    """Simulate `runs` unchanged runs of one model and count the red ones: judged at their end, or at `looks` looks, the last at the end.

    Raises:
        ValueError: no runs, a share outside [0, 1], or more looks than rounds.
    """
    if not 1 <= looks <= SEEDS:
        raise ValueError(f"a run of {SEEDS} rounds has as many looks at most, not {looks}")
    if runs < 1 or not all(0 <= share <= 1 for share in (noise.second_mode, noise.turned, noise.together)):
        raise ValueError(f"at least one run, and shares from 0 to 1: {runs} runs of {noise}")
    policy, parts = policy or Policy(), [part(SEEDS - looks + look) if look == looks else part(look) for look in range(1, looks + 1)]
    generator = np.random.default_rng(seed)
    by_gate, red = dict.fromkeys(GATES, 0), 0
    for begun in range(0, runs, chunk):
        drawn = _draw(noise, min(chunk, runs - begun), generator)
        suspects = [_suspect(drawn, policy.at_look(look, looks), seen) for look, seen in enumerate(parts, start=1)]
        for run in np.flatnonzero(np.any(suspects, axis=(0, 1))).tolist():
            found = _red_gates(drawn, run, parts, suspects, policy)
            by_gate = {gate: by_gate[gate] + (gate in found) for gate in GATES}
            red += bool(found)
    return Tally(runs=runs, red=red, by_gate=MappingProxyType(by_gate))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """Samples of many runs, the run first in every shape; index 0 of a pair is the baseline, 1 the candidate."""

    times: tuple[Floats, Floats]
    repeats: Floats
    held: Floats
    usable: tuple[Flags, Flags]
    other: Flags
    null_other: Flags
    change: tuple[Floats, Floats]
    alignment: tuple[Floats, Floats]


def _draw(noise: Noise, runs: int, generator: np.random.Generator) -> _Drawn:
    calls = IMAGES + REWORDED
    paces = np.exp(noise.pace * generator.standard_normal((runs, TIMED + 2, 1)))
    again = noise.times(generator, runs, TIMED * PROMPTS).reshape(runs, TIMED, PROMPTS) * paces[:, 2:]
    factor = noise.times(generator, runs, 2 * calls) * np.linspace(1, 1 + noise.warming, 2 * calls)
    usual = generator.random((runs, PROMPTS, SEEDS)) < generator.beta(12, 1, (runs, PROMPTS, 1))
    turned = [_turned(noise, usual.shape, generator) for _ in range(2)]  # a turned answer is of another picture
    before, after = (usual ^ one for one in turned)
    modes = generator.random((2, runs, IMAGES)) < noise.second_mode
    other_mode = generator.random((runs, PROMPTS, NULL_PROCESSES)) < noise.second_mode
    turned_again = generator.random(other_mode.shape) < noise.turned / 2
    first = modes[0].reshape(usual.shape)[:, :, :1]
    alignment = generator.normal(0.3, 0.02, (runs, IMAGES))
    change = np.abs(generator.normal(0, 0.1, (runs, REWORDED)))
    return _Drawn(
        times=(_SECONDS * factor[:, :calls] * paces[:, 0], _SECONDS * factor[:, calls:] * paces[:, 1]),
        repeats=_SECONDS * again,
        held=_HELD_MIB + generator.normal(0, 8.0, (runs, calls)),
        usable=(before.reshape(runs, -1), after.reshape(runs, -1)),
        other=(modes[0] ^ modes[1]) | (before ^ after).reshape(runs, -1),
        null_other=((other_mode ^ first) | (turned_again ^ turned[0][:, :, :1])).reshape(runs, -1),
        change=(change, np.abs(change + generator.normal(0, 0.05, change.shape))),
        alignment=(alignment, alignment + generator.normal(0, 0.01, alignment.shape)),
    )


def _turned(noise: Noise, shape: tuple[int, ...], generator: np.random.Generator) -> Flags:
    """Which answers of a run are not the usual ones: half of the turns between two runs are each one's own, so that neither is better."""
    alone = generator.random(shape) < noise.turned * (1 - noise.together) / 2
    return alone ^ (generator.random((*shape[:2], 1)) < noise.turned * noise.together / 2)


def _suspect(drawn: _Drawn, policy: Policy, seen: _Part) -> Flags:
    """[gates, runs]: where a gate could be red at all: a REGRESSION needs an effect beyond the floor, and a p within the whole budget of this look.

    One run in AUDITED is judged by every gate all the same, which would show a gate that is red where this says it cannot be.
    """
    written, reworded, calls = seen.written, seen.reworded, seen.calls
    ratio = np.median(drawn.times[1][:, :calls], axis=1) / np.median(drawn.times[0], axis=1)
    extra = (drawn.change[1] - drawn.change[0])[:, reworded].mean(axis=1)
    before = drawn.alignment[0][:, written]
    fell = (drawn.alignment[1][:, written] - before).mean(axis=1) / before.std(axis=1)
    found = {
        "latency": ratio > 1 + _NEAR * policy.latency_floor,
        "memory": _rises(drawn.held[:, int(policy.warmup_share * calls) : calls], policy),
        "usability": _lost(drawn.usable[0][:, written], drawn.usable[1][:, written], policy),
        "drift": _changed(drawn, written, policy) | (fell < -_NEAR * policy.alignment_floor),
        "stability": extra > _NEAR * policy.stability_change,
    }
    audited = np.arange(len(ratio)) % AUDITED == 0
    return np.stack([found[gate] | audited for gate in GATES])


def _rises(held: Floats, policy: Policy) -> Flags:
    """Where ranks rise with the calls nearly as far beyond chance as the whole budget asks (Spearman's correlation, whose permutation p the gate takes)."""
    from scipy.stats import norm, rankdata

    n = held.shape[1]
    order = np.arange(n) - (n - 1) / 2
    correlation = (rankdata(held, axis=1) - (n + 1) / 2) @ order / (order @ order)
    return np.asarray(correlation * np.sqrt(n - 1) > 0.9 * norm.isf(policy.false_alarms))


def _lost(before: Flags, after: Flags, policy: Policy) -> Flags:
    """Where usable pictures were lost beyond the floor, and beyond chance at the whole budget."""
    worse, better = (before & ~after).sum(axis=1), (after & ~before).sum(axis=1)
    table = np.array([[mcnemar(w, b) for b in range(better.max() + 1)] for w in range(worse.max() + 1)])
    return np.asarray(
        ((worse - better) / before.shape[1] > _NEAR * policy.usability_drop) & (table[worse, better] <= policy.anytime * policy.false_alarms)
    )


def _changed(drawn: _Drawn, written: NDArray[np.int64], policy: Policy) -> Flags:
    """Where more pictures changed than the null explains at the whole budget. The null's limit admits the other mode once it holds two of it."""
    changed, repeats = drawn.other[:, written].sum(axis=1), drawn.null_other.shape[1]
    rank = conformal_rank(repeats, policy.identity)
    table = np.array([exceedance_p(count, len(written), repeats, rank) for count in range(len(written) + 1)])
    return np.asarray((drawn.null_other.sum(axis=1) <= repeats - rank) & (table[changed] <= policy.false_alarms))


def _red_gates(drawn: _Drawn, run: int, parts: Sequence[_Part], suspects: Sequence[Flags], policy: Policy) -> set[str]:
    """The gates that are red at any look of one run, judged for real where they could be."""
    found: set[str] = set()
    for look, (seen, suspect) in enumerate(zip(parts, suspects, strict=True), start=1):
        able = frozenset(gate for gate, flag in zip(GATES, suspect[:, run], strict=True) if flag)
        if able:
            found |= set(_judged(_evidence(drawn, run, seen), able, policy.at_look(look, len(parts))))
    return found


def _judged(evidence: Evidence, able: frozenset[str], policy: Policy) -> list[str]:
    """The gates that are red in one run, judged for real where they are `able` to be."""

    def asked(gate: str, found: Evidence, given: Policy) -> Verdict:
        return judge(gate, found, given) if gate in able else verdict(gate, found, [claim("floor", Status.PASS, "within the practical floor")])

    settled = settle(asked, evidence, GATES, policy, models=1)
    return [gate for gate, one in settled.items() if one.red]


def _evidence(drawn: _Drawn, run: int, seen: _Part) -> Evidence:
    drifts = tuple(_drift(f"p{i}", bool(drawn.other[run, i])) for i in seen.written.tolist())
    repeats = enumerate(drawn.null_other[run].tolist())
    null = tuple(_drift(f"p{i // NULL_PROCESSES * SEEDS}#{i % NULL_PROCESSES + 1}", other) for i, other in repeats)
    return Evidence(
        model="m",
        task=POOLED,
        candidate=_arm(drawn, run, 1, seen),
        baseline=replace(_arm(drawn, run, 0, part(SEEDS)), processes=_processes(drawn, run)),
        drifts=drifts,
        null=Null(drifts=null, processes=NULL_PROCESSES, variations=()),
        limits=Limits(seconds_per_image=None, first_step_seconds=None, memory_mib=None, growth_mib=None, usability_floor=0.0),
        accepted="simulated",
        planned={f"t{task}/{language}": (SEEDS, 4) for task in range(PROMPTS // 2) for language in ("en", "zh")},
    )


def _drift(pair: str, other: bool) -> Drift:
    """A repeat to the pixel, or the other mode: SSIM 0.958 and 27.8 dB, as published of a model with two."""
    return Drift(pair=pair, identical=not other, ssim=0.958 if other else 1.0, psnr=27.8 if other else 130.0, clip=0.97 if other else 1.0)


def _arm(drawn: _Drawn, run: int, side: int, seen: _Part) -> Arm:
    plain = [
        _score(i, seed=i % SEEDS, arm=side, usable=bool(drawn.usable[side][run, i]), alignment=float(drawn.alignment[side][run, i]))
        for i in seen.written.tolist()
    ]
    by_request = {(score.task, score.language, score.seed): score for score in plain}
    reworded = []
    for i in seen.reworded.tolist():
        task, language, seed = f"t{i // 8}", ("en", "zh")[i // 4 % 2], i % 4 // 2
        original, change = by_request[task, language, seed], min(float(drawn.change[side][run, i]), 1.0)
        reworded.append(replace(original, edits=f"e{i % 2}", pair=f"{original.pair}/e{i % 2}", image=f"{side}e{i}", normalised=1 - change))
    return Arm(
        model="m", weights="w", accelerator="nvidia-h200", cohort="c", pipeline="P", scores=(*plain, *reworded), cost=_cost(drawn, run, side, seen.calls)
    )  # fmt: skip


def _score(i: int, *, seed: int, arm: int, usable: bool, alignment: float) -> ImageScore:
    prompt = i // SEEDS
    task, language = f"t{prompt // 2}", ("en", "zh")[prompt % 2]
    return ImageScore(
        pair=f"{task}/{language}/{seed}/0", recipe="r", task=task, language=language, seed=seed, index=0, edits="", image=f"{arm}i{i}",
        bits={"alignment": usable}, usable=usable, alignment=alignment, normalised=1.0, margins={},
    )  # fmt: skip


def _processes(drawn: _Drawn, run: int) -> tuple[Repeat, ...]:
    """The baseline's own process and the further ones of its null, at the calls that all of them made."""
    times = [drawn.times[0][run, :PROMPTS], *drawn.repeats[run]]
    return tuple(Repeat(run="r", process=number, task="t0", cost=_costs(seconds, np.zeros(PROMPTS))) for number, seconds in enumerate(times))


def _cost(drawn: _Drawn, run: int, side: int, calls: int) -> Cost:
    return _costs(drawn.times[side][run, :calls], drawn.held[run, :calls])


def _costs(seconds: Floats, held: Floats) -> Cost:
    n = len(seconds)

    def share(part: float) -> tuple[float, ...]:
        return tuple((seconds * part).tolist())

    return Cost(
        seconds=share(1.0), first_step=share(0.1), text=share(0.02), denoise=share(0.9), decode=share(0.08), peak_mib=(_PEAK_MIB,) * n,
        held_mib=tuple(held.tolist()), images=(1,) * n, numbers=tuple(range(1, n + 1)), first_call_seconds=None, load_seconds=None,
    )  # fmt: skip

"""Runs in which nothing changed, simulated by the thousand: how often is one of them red anywhere?

A run is twelve prompts (six tasks in two languages) by five seeds with two rewordings of two seeds each, judged by the five
gates against a baseline of the same model, as the bundled tasks are. Samples are drawn for all runs at once; a run is judged by the
gates themselves, except that a gate is not asked where its own practical floor already excludes red (`_suspect`).

The noise models are those that break naive gates: heavy tails, autocorrelation, a device that warms up, a model with two modes,
prompts whose pictures change together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from swapgate.gates.budget import settle
from swapgate.gates.compose import claim, verdict
from swapgate.gates.evidence import Arm, Cost, Drift, Evidence, ImageScore, Limits, Null
from swapgate.gates.judge import judge
from swapgate.gates.policy import Policy
from swapgate.gates.statistics import rate_upper
from swapgate.gates.verdict import GATES, POOLED, Status, Verdict

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PROMPTS, SEEDS, NULL_PROCESSES = 12, 5, 4
IMAGES = PROMPTS * SEEDS
REWORDED = PROMPTS * 4
_SECONDS, _HELD_MIB, _PEAK_MIB = 3.0, 18_000.0, 20_000.0
_NEAR = 0.98  # a bound can lie a little beyond its estimate, so screens ask at 98 % of a floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How unchanged runs of a model differ. Shares in [0, 1], spreads relative to the mean.

    times: draws [runs, n] factors of the time of a call; warming: rise of the time from the baseline's first call to the candidate's last;
    second_mode: chance of a picture to come in its other mode; turned: chance of a pair to be judged otherwise in the two runs;
    together: share of those turns that whole prompts make together.
    """

    times: Callable[[np.random.Generator, int, int], Floats]
    warming: float = 0.0
    second_mode: float = 0.0
    turned: float = 0.03
    together: float = 0.0


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


def false_alarms(noise: Noise, runs: int, *, policy: Policy | None = None, seed: int = 2512, chunk: int = 1000) -> Tally:
    """Simulate `runs` unchanged runs of one model and count the red ones.

    Raises:
        ValueError: no runs, or a share outside [0, 1].
    """
    if runs < 1 or not all(0 <= share <= 1 for share in (noise.second_mode, noise.turned, noise.together)):
        raise ValueError(f"at least one run, and shares from 0 to 1: {runs} runs of {noise}")
    policy = policy or Policy()
    generator = np.random.default_rng(seed)
    by_gate, red = dict.fromkeys(GATES, 0), 0
    for begun in range(0, runs, chunk):
        drawn = _draw(noise, min(chunk, runs - begun), generator)
        suspect = _suspect(drawn, policy)
        for run in np.flatnonzero(suspect.any(axis=0)).tolist():
            found = _judged(_evidence(drawn, run), frozenset(gate for gate, flag in zip(GATES, suspect[:, run], strict=True) if flag), policy)
            by_gate = {gate: by_gate[gate] + (gate in found) for gate in GATES}
            red += bool(found)
    return Tally(runs=runs, red=red, by_gate=MappingProxyType(by_gate))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """Samples of many runs, the run first in every shape; index 0 of a pair is the baseline, 1 the candidate."""

    times: tuple[Floats, Floats]
    held: Floats
    usable: tuple[Flags, Flags]
    other: Flags
    null_other: Flags
    change: tuple[Floats, Floats]
    alignment: tuple[Floats, Floats]


def _draw(noise: Noise, runs: int, generator: np.random.Generator) -> _Drawn:
    calls = IMAGES + REWORDED
    factor = noise.times(generator, runs, 2 * calls) * np.linspace(1, 1 + noise.warming, 2 * calls)
    usual = generator.random((runs, PROMPTS, SEEDS)) < generator.beta(12, 1, (runs, PROMPTS, 1))
    turned = [_turned(noise, usual.shape, generator) for _ in range(2)]  # a turned answer is of another picture
    before, after = (usual ^ one for one in turned)
    modes = generator.random((2, runs, IMAGES)) < noise.second_mode
    again = generator.random((runs, PROMPTS, NULL_PROCESSES)) < noise.second_mode
    turned_again = generator.random(again.shape) < noise.turned / 2
    first = modes[0].reshape(usual.shape)[:, :, :1]
    alignment = generator.normal(0.3, 0.02, (runs, IMAGES))
    change = np.abs(generator.normal(0, 0.1, (runs, REWORDED)))
    return _Drawn(
        times=(_SECONDS * factor[:, :calls], _SECONDS * factor[:, calls:]),
        held=_HELD_MIB + generator.normal(0, 8.0, (runs, calls)),
        usable=(before.reshape(runs, -1), after.reshape(runs, -1)),
        other=(modes[0] ^ modes[1]) | (before ^ after).reshape(runs, -1),
        null_other=((again ^ first) | (turned_again ^ turned[0][:, :, :1])).reshape(runs, -1),
        change=(change, np.abs(change + generator.normal(0, 0.05, change.shape))),
        alignment=(alignment, alignment + generator.normal(0, 0.01, alignment.shape)),
    )


def _turned(noise: Noise, shape: tuple[int, ...], generator: np.random.Generator) -> Flags:
    """Which answers of a run are not the usual ones: half of the turns between two runs are each one's own, so that neither is better."""
    alone = generator.random(shape) < noise.turned * (1 - noise.together) / 2
    return alone ^ (generator.random((*shape[:2], 1)) < noise.turned * noise.together / 2)


def _suspect(drawn: _Drawn, policy: Policy) -> Flags:
    """[gates, runs]: where a gate could be red at all; elsewhere its floor excludes that, as REGRESSION needs an effect beyond the floor."""
    ratio = np.median(drawn.times[1], axis=1) / np.median(drawn.times[0], axis=1)
    lost = drawn.usable[0].mean(axis=1) - drawn.usable[1].mean(axis=1)
    extra = (drawn.change[1] - drawn.change[0]).mean(axis=1)
    fell = (drawn.alignment[1] - drawn.alignment[0]).mean(axis=1) / drawn.alignment[0].std(axis=1)
    held = drawn.held
    slope = np.abs(held[:, held.shape[1] // 2 :].mean(axis=1) - held[:, : held.shape[1] // 2].mean(axis=1)) / (held.shape[1] / 4)
    found = {
        "latency": ratio > 1 + _NEAR * policy.latency_floor,
        "memory": slope > 0.5 * policy.growth_floor_device_mib,
        "usability": lost > _NEAR * policy.usability_drop,
        "drift": drawn.other.any(axis=1) | (fell < -_NEAR * policy.alignment_floor),
        "stability": extra > _NEAR * policy.stability_change,
    }
    return np.stack([found[gate] for gate in GATES])


def _judged(evidence: Evidence, able: frozenset[str], policy: Policy) -> list[str]:
    """The gates that are red in one run, judged for real where they are `able` to be."""

    def asked(gate: str, found: Evidence, given: Policy) -> Verdict:
        return judge(gate, found, given) if gate in able else verdict(gate, found, [claim("floor", Status.PASS, "within the practical floor")])

    settled = settle(asked, evidence, GATES, policy, models=1)
    return [gate for gate, one in settled.items() if one.red]


def _evidence(drawn: _Drawn, run: int) -> Evidence:
    drifts = tuple(_drift(f"p{i}", other) for i, other in enumerate(drawn.other[run].tolist()))
    repeats = enumerate(drawn.null_other[run].tolist())
    null = tuple(_drift(f"p{i // NULL_PROCESSES * SEEDS}#{i % NULL_PROCESSES + 1}", other) for i, other in repeats)
    return Evidence(
        model="m",
        task=POOLED,
        candidate=_arm(drawn, run, 1),
        baseline=_arm(drawn, run, 0),
        drifts=drifts,
        null=Null(drifts=null, processes=NULL_PROCESSES, variations=()),
        limits=Limits(seconds_per_image=None, first_step_seconds=None, memory_mib=None, growth_mib=None, usability_floor=0.0),
        accepted="simulated",
    )


def _drift(pair: str, other: bool) -> Drift:
    """A repeat to the pixel, or the other mode: SSIM 0.958 and 27.8 dB, as published of a model with two."""
    return Drift(pair=pair, identical=not other, ssim=0.958 if other else 1.0, psnr=27.8 if other else 130.0, clip=0.97 if other else 1.0)


def _arm(drawn: _Drawn, run: int, side: int) -> Arm:
    plain = [
        _score(i, seed=i % SEEDS, arm=side, usable=bool(good), alignment=float(a))
        for i, (good, a) in enumerate(zip(drawn.usable[side][run], drawn.alignment[side][run], strict=True))
    ]
    by_request = {(score.task, score.language, score.seed): score for score in plain}
    reworded = []
    for i, change in enumerate(drawn.change[side][run].tolist()):
        task, language, seed = f"t{i // 8}", ("en", "zh")[i // 4 % 2], i % 4 // 2
        original = by_request[task, language, seed]
        reworded.append(replace(original, edits=f"e{i % 2}", pair=f"{original.pair}/e{i % 2}", image=f"{side}e{i}", normalised=1 - min(change, 1.0)))
    return Arm(
        model="m", weights="w", accelerator="nvidia-h200", cohort="c", pipeline="P", scores=(*plain, *reworded), cost=_cost(drawn, run, side)
    )  # fmt: skip


def _score(i: int, *, seed: int, arm: int, usable: bool, alignment: float) -> ImageScore:
    prompt = i // SEEDS
    task, language = f"t{prompt // 2}", ("en", "zh")[prompt % 2]
    return ImageScore(
        pair=f"{task}/{language}/{seed}/0", recipe="r", task=task, language=language, seed=seed, index=0, edits="", image=f"{arm}i{i}",
        bits={"alignment": usable}, usable=usable, alignment=alignment, normalised=1.0, margins={},
    )  # fmt: skip


def _cost(drawn: _Drawn, run: int, side: int) -> Cost:
    seconds = drawn.times[side][run]
    n = len(seconds)

    def share(part: float) -> tuple[float, ...]:
        return tuple((seconds * part).tolist())

    return Cost(
        seconds=share(1.0), first_step=share(0.1), text=share(0.02), denoise=share(0.9), decode=share(0.08), peak_mib=(_PEAK_MIB,) * n,
        held_mib=tuple(drawn.held[run].tolist()), images=(1,) * n, numbers=tuple(range(1, n + 1)), first_call_seconds=None, load_seconds=None,
    )  # fmt: skip

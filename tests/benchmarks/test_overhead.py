"""What the suite costs on top of a bare pipeline call, per image: host, meters, image file, journal and all metrics.

Two processes hold the same model. A round makes one request twice, once by a bare call in a process that knows nothing
of the suite (timed around the call, inside that process) and once on the suite's full way (timed from asking the host
to the last score on file). Which comes first alternates, so that what the machine does falls on both alike; the bounds
are drawn from rounds as pairs for the same reason. The reference picture of the drift metrics is another picture:
an unchanged one is equal by its hash and would cost nothing.

Kept out, and stated in `extra_info`: what a run pays once (loading the judge, its texts).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

from swapgate.cards import Card
from swapgate.config import find_config
from swapgate.gates.resampling import Estimate, ratio_of_medians
from swapgate.hosts.process import Host
from swapgate.plan import Call
from swapgate.runs.folder import RunFolder
from swapgate.suite.generate import record
from swapgate.suite.judges import judge_of
from swapgate.suite.options import Options
from swapgate.suite.planning import Setup, build_plan, prepare
from swapgate.suite.scoring import Scorer, Wanted

ROOT = Path(__file__).parents[2]
LIMIT = 0.10  # of the bare call
NOISE = 0.05  # what other work on the machine may add to the figure before the test fails
ROUNDS = 24
WARM_UP = 4
ALPHA = 0.025  # one-sided: the bounds make a 95 % interval


class Bare:
    """The process of bare calls; see bare.py."""

    def __init__(self, card: Card) -> None:
        script = Path(__file__).with_name("bare.py")
        self._child = subprocess.Popen(
            [sys.executable, str(script), str(card.root / card.source), card.dtype["cpu"]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        self.seconds: list[float] = []
        assert self._answer() == {"ready": True}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._child.communicate()

    def make(self, call: Call, save: Path | None = None) -> float:
        """Seconds of one bare call."""
        asked = call.first
        arguments = {**dict(asked.call), "prompt": asked.prompt, "width": asked.width, "height": asked.height}
        if asked.negative_prompt is not None:
            arguments["negative_prompt"] = asked.negative_prompt
        assert self._child.stdin is not None
        print(json.dumps({"arguments": arguments, "seed": asked.image_seed, "save": save and str(save)}), file=self._child.stdin, flush=True)
        self.seconds.append(self._answer()["seconds"])
        return self.seconds[-1]

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer


@dataclass
class Full:
    """The suite's way of one image, with the seconds of each part."""

    setup: Setup
    host: Host
    run: RunFolder
    scorer: Scorer
    reference: str = ""
    parts: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ("in the pipeline", "host", "record", "score", "drift")})

    def make(self, call: Call) -> str:
        """Make, keep, journal and score one image; gives the hash of its pixels."""
        begin = time.perf_counter()
        made = self.host.make(call)
        answered = time.perf_counter()
        record(self.run, made)
        recorded = time.perf_counter()
        generation = made[0][0]
        assert generation.failure is None, generation.failure
        assert generation.image is not None
        assert generation.times is not None
        task = next(one for one in self.setup.tasks[call.first.model] if one.id == call.first.task)
        self.scorer.scores([Wanted(request=call.first, image=generation.image, task=task)])
        scored = time.perf_counter()
        if self.reference:
            self.scorer.drifts([(call.first.pair, generation.image, self.reference)], self.run.load_image)
        done = time.perf_counter()
        pipeline = generation.times.total
        for name, seconds in zip(self.parts, (pipeline, answered - begin - pipeline, recorded - answered, scored - recorded, done - scored), strict=True):
            self.parts[name].append(seconds)
        self.reference = generation.image
        return generation.image

    def forget(self) -> None:
        """Leave the warm-up out of the figures."""
        for seconds in self.parts.values():
            seconds.clear()

    def shares(self, bare: float) -> dict[str, float]:
        """The median of each part in per cent of a bare call; of the pipeline's own time, what exceeds the bare call."""
        medians = {name: float(np.median(seconds)) / bare * 100 for name, seconds in self.parts.items()}
        return {name: round(share - 100 if name == "in the pipeline" else share, 2) for name, share in medians.items()}


@pytest.fixture(params=["standin-qwen", "standin-flux"])
def setup(request: pytest.FixtureRequest) -> Setup:
    """One stand-in with the project's own card and tasks."""
    return prepare(find_config(ROOT), Options(root=ROOT, models=(request.param,), gates=("drift",)))


@pytest.fixture
def arms(setup: Setup, tmp_path: Path) -> Iterator[tuple[Bare, Full]]:
    """Both processes, loaded."""
    card = setup.models[0]
    run = RunFolder.create(tmp_path / "run", {"plan": []})
    with Bare(card) as bare, Host(card) as host:
        host.start()
        yield bare, Full(setup=setup, host=host, run=run, scorer=Scorer(run, card, judge_of, setup.prompts))
    run.close()


def test_overhead(benchmark: Any, setup: Setup, arms: tuple[Bare, Full], tmp_path: Path, say: Callable[[str], None]) -> None:
    """Under 10 % of the bare call, within the stated noise of the machine."""
    bare, full = arms
    model = setup.models[0].id
    planned = build_plan(setup).calls[model]
    once = warm_up(bare, full, planned, tmp_path / "bare.npy")
    calls, turns = cycle(planned[WARM_UP:]), iter(range(2 * ROUNDS))
    now: list[Call] = []

    def before() -> None:
        now[:] = [next(calls)]
        if next(turns) % 4 == 0:  # ABBA: turns count both ends of a round
            bare.make(now[0])

    def after() -> None:
        if next(turns) % 4 == 3:
            bare.make(now[0])

    benchmark.pedantic(lambda: full.make(now[0]), setup=before, teardown=after, rounds=ROUNDS)
    assert len(bare.seconds) == ROUNDS
    found = ratio_of_medians(benchmark.stats.stats.data, bare.seconds, alpha=ALPHA, draws=10_000, seed=0, interleaved=True)
    report(benchmark, say, model, found, bare, full, once)
    assert found.effect - 1 < LIMIT + NOISE, f"{model}: the suite adds {found.effect - 1:.1%} to a bare call; at most {LIMIT:.0%}, and {NOISE:.0%} for noise"


def warm_up(bare: Bare, full: Full, planned: tuple[Call, ...], save: Path) -> float:
    """Both arms once through every prompt, and the proof that they make the same picture; seconds of what a run pays once."""
    begin = time.perf_counter()
    for request in {call.first.prompt: call.first for call in planned}.values():
        task = next(one for one in full.setup.tasks[request.model] if one.id == request.task)
        full.scorer.judge().text_features([*full.setup.prompts[request.language], *(text for facet in task.facets for text in facet.statements[request.language])])
    once = time.perf_counter() - begin
    for call in planned[:WARM_UP]:
        bare.make(call, save)
        ours, theirs = full.run.load_image(full.make(call)).astype(int), np.load(save).astype(int)
        assert np.abs(ours - theirs).max() <= 2, "both arms must make the same picture, or they are not compared"
    bare.seconds.clear()
    full.forget()
    return once


def report(benchmark: Any, say: Callable[[str], None], model: str, found: Estimate, bare: Bare, full: Full, once: float) -> None:
    """One line of the figure and one of where it comes from; both in the benchmark's file as well."""
    spread = np.percentile(bare.seconds, [25, 75])
    median = float(np.median(bare.seconds))
    shares = full.shares(median)
    benchmark.extra_info.update(
        model=model, overhead=found.effect - 1, low=found.low - 1, high=found.high - 1, n=ROUNDS, limit=LIMIT, noise=NOISE,
        bare_median=median, bare_quartiles=list(spread), per_cent_by_part=shares, once_per_run_seconds=once,
    )
    verdict = "under" if found.effect - 1 < LIMIT else "NOT under"
    say(f"overhead {model}: {found.effect - 1:+.1%} [{found.low - 1:+.1%}, {found.high - 1:+.1%}] n={ROUNDS}; {verdict} {LIMIT:.0%}; "
        f"bare call {median:.3f} s, quartiles {spread[0]:.3f} to {spread[1]:.3f} s")
    say(f"  of a bare call: {', '.join(f'{name} {share:+.1f} %' for name, share in shares.items())}; once per run: judge and texts {once:.1f} s")

"""A small project of scripted models whose hosts run in this process, so that a whole run takes a fraction of a second."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from swapgate.cards import Card
from swapgate.config import Config, find_config
from swapgate.engines.registry import Setting
from swapgate.engines.scripted import Scripted, create
from swapgate.errors import UserError
from swapgate.gates.policy import Policy
from swapgate.hosts.process import HostFailed
from swapgate.meters.clock import StageClock
from swapgate.plan import Call
from swapgate.runs.pixels import Pixels, pixel_hash
from swapgate.runs.records import Failure, Generation, Loaded
from swapgate.suite.options import Options
from swapgate.suite.session import Suite

WORDING = Path(__file__).parents[3] / "fixtures" / "wording"
CARD = """
engine = "scripted"
source = "scripted"
tasks = ["toys"]
judge = {{ source = "scripted" }}
expected_forwards = 4
{more}
[options]
{options}
"""
COUNTERFACTUAL = ("a blue cup", "蓝色的杯子")
TASKS = """
width = 32
height = 32
seeds = [1, 2, 3]
reworded_seeds = [1]
rewordings = 2
{more}
[[task]]
id = "cup"
prompts = {{ en = "a red cup on a wooden table, watercolour", zh = "木桌上一只红色的杯子，水彩" }}
[[task.facets]]
name = "colour"
en = ["a red cup", "a blue cup"]
zh = ["红色的杯子", "蓝色的杯子"]
[[task]]
id = "cat"
prompts = {{ en = "an orange cat by a sunlit window, film grain" }}
"""


@dataclass
class Hosts:
    """Stands for `swapgate.suite.generate.Host`, and keeps what was started and asked, in order.

    controls: calls that ask a changed meaning (the negative control of stability), which no plan holds and `asked` leaves out.
    refuse: model to what its loading raises; where: model and the variables of its host, for every host that was given any.
    """

    started: list[tuple[str, int | None]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    controls: list[tuple[str, str]] = field(default_factory=list)
    refuse: dict[str, Exception] = field(default_factory=dict)
    where: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    interrupt_after: int | None = None

    def __call__(self, card: Card, threads: int | None = None, *, numerics: Any = None, environment: Any = None) -> _Host:
        if environment:
            self.where.append((card.id, dict(environment)))
        return _Host(self, card, threads)


class _Host:
    def __init__(self, hosts: Hosts, card: Card, threads: int | None) -> None:
        self._hosts, self._card, self._threads, self._made, self.aborted = hosts, card, threads, 0, False
        self._engine: Scripted = create(card, Setting(threads=threads)) if card.id not in hosts.refuse else None  # type: ignore[assignment]

    warnings: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def abort(self) -> None:
        self.aborted = True

    def start(self) -> Loaded:
        self._hosts.started.append((self._card.id, self._threads))
        if self._card.id in self._hosts.refuse:
            raise self._hosts.refuse[self._card.id]
        said, meters = self._engine.identity(), self._engine.meters()
        self._clock = StageClock(now=meters.now)
        return Loaded(
            model=self._card.id,
            seconds=1.5,
            accelerator=meters.accelerator,
            device_name=meters.device_name,
            weights=said.weights,
            placement=said.placement,
            dtype=said.dtype,
            attention=said.attention,
            threads=said.threads,
            versions={"torch": "2.0"},
            memory=self._engine.memory(),
        )

    def make(self, call: Call) -> list[tuple[Generation, Pixels | None]]:
        if self._hosts.interrupt_after is not None and len(self._hosts.asked) >= self._hosts.interrupt_after:
            raise KeyboardInterrupt
        kept = self._hosts.controls if call.first.prompt in COUNTERFACTUAL else self._hosts.asked
        kept.append((self._card.id, call.key))
        self._clock.start()
        shared: dict[str, Any] = {
            "call": call.key,
            "images_in_call": len(call.requests),
            "mode": "RGB",
            "number": self._made,
            "first_call": self._made == 0,
        }
        try:
            pictures = self._engine.make(call, self._clock)
        except RuntimeError as error:
            failure = Failure(kind="exception", message=str(error), stage="denoise")
            return [
                (
                    Generation(
                        request=r.key, image=None, width=r.width, height=r.height, times=None, memory=None, forwards=None, failure=failure, **shared
                    ),
                    None,
                )
                for r in call.requests
            ]
        self._clock.stop()
        self._made += len(pictures)
        return [
            (
                Generation(
                    request=r.key,
                    image=pixel_hash(p),
                    width=p.shape[1],
                    height=p.shape[0],
                    times=self._clock.times(queue=0.0),
                    memory=self._engine.memory(),
                    forwards=self._clock.forwards,
                    **shared,
                ),
                p,
            )
            for r, p in zip(call.requests, pictures, strict=True)
        ]


@dataclass(frozen=True)
class Bench:
    """The project's folder and what is done with it."""

    root: Path
    hosts: Hosts

    @property
    def config(self) -> Config:
        return find_config(self.root)

    def card(self, name: str = "toy", more: str = "", **options: Any) -> None:
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"latency_noise": 0.01, **options}.items())
        (self.root / "fixtures" / "models" / f"{name}.toml").write_text(CARD.format(options=lines, more=more), encoding="utf-8")

    def tasks(self, more: str = "") -> None:
        (self.root / "fixtures" / "tasks" / "toys.toml").write_text(TASKS.format(more=more), encoding="utf-8")

    ceilings = "[ceilings.cpu]\nseconds_per_image = 100.0\nmemory_mib = 100000\n"  # what decides costs where none were accepted

    def seeds(self, n: int) -> None:
        """Give every prompt n seeds."""
        path = self.root / "fixtures" / "tasks" / "toys.toml"
        path.write_text(path.read_text(encoding="utf-8").replace("[1, 2, 3]", str(list(range(1, n + 1)))), encoding="utf-8")

    def options(self, **given: Any) -> Options:
        return Options(root=self.root, **{"run_dir": None if {"resume", "replay"} & set(given) else self.root / "here", **given})

    def open(self, *, policy: Policy | None = None, **given: Any) -> Suite:
        return Suite.open(self.config, self.options(**given), policy or Policy(draws=500))

    def whole(self, **given: Any) -> tuple[Suite, dict[str, Any]]:
        """A run of every cell, and what it wrote as verdicts.json."""
        suite = self.open(**given)
        cells = suite.setup.cells()
        for cell in cells:
            suite.verdict(cell)
        return suite, suite.finish(cells)

    def accept(self, run: Path | None = None, *, with_cost: bool = True) -> None:
        from swapgate.baselines.review import accept
        from swapgate.baselines.store import Store

        done = accept(run or self.root / "here", store=Store(self.root / "baselines"), reason="x", with_cost=with_cost, allow_ci=True, environ={})
        assert done.complete, done.lines

    def failed(self, model: str) -> HostFailed:
        return HostFailed(model, Failure(kind="out-of-memory", message="no room", stage="loading"))

    def mistake(self) -> UserError:
        return UserError(where="card.toml", key="options.x", value=1, rule="an option", remedy="remove it")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """One model `toy`, tasks cup (two languages) and cat (English), three seeds, two rewordings of one seed."""
    hosts = Hosts()
    monkeypatch.setattr("swapgate.suite.generate.Host", hosts)
    monkeypatch.setattr(
        "swapgate.suite.session.environment", lambda root: {"python": "3.11", "platform": "x", "cpu": "y", "packages": {}, "git": None}
    )
    made = Bench(tmp_path, hosts)
    for folder in ("fixtures/models", "fixtures/tasks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "fixtures" / "wording").symlink_to(WORDING)
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    made.card()
    made.tasks()
    return made


@pytest.fixture
def accepted(bench: Bench) -> Bench:
    """A baseline with its null, of twelve seeds a prompt; costs are held against ceilings alone."""
    bench.seeds(12)
    bench.card(more=bench.ceilings)
    bench.whole(null=4)
    bench.accept(with_cost=False)
    bench.hosts.asked.clear()
    return bench


def again(generation: Generation, **changes: Any) -> Generation:
    return replace(generation, **changes)

"""Trials without an engine: pictures of known content, and a drill folder as a real drill leaves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swapgate.drills.catalogue import drill
from swapgate.drills.jobs import CONTROL
from swapgate.drills.peers.judging import Measured
from swapgate.drills.peers.trials import Pair, Timed, Trial, Trials
from swapgate.engines.faults import note
from swapgate.gates.verdict import GATES, Status
from swapgate.metrics.pixels import Image
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Generation, Loaded, Memory, Times

SIDE = 32


def picture_of(number: int, size: int = SIDE) -> Image:
    """A smooth picture of its own for each number."""
    y, x = np.mgrid[0:size, 0:size] / size
    waves = [np.sin(2 * np.pi * ((1 + (number * 3 + c) % 5) * x + (1 + number % 4) * y) + number) for c in range(3)]
    return np.asarray(128 + 90 * np.stack(waves, axis=-1), dtype=np.uint8)


def noisy(image: Image, spread: float, seed: int = 0) -> Image:
    """The picture with Gaussian noise of that standard deviation in levels."""
    moved = image + np.random.default_rng(seed).normal(0, spread, image.shape)
    return np.asarray(np.clip(np.rint(moved), 0, 255), dtype=np.uint8)


@dataclass
class Gallery:
    """Pictures by a name that stands for their hash."""

    pictures: dict[str, Image] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(4):
            self.pictures[f"h{number}"] = picture_of(number)
            self.pictures[f"near{number}"] = noisy(picture_of(number), 0.5)
            self.pictures[f"far{number}"] = picture_of(number + 7)
        self.pictures["black"] = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
        self.pictures["small"] = picture_of(0, 16)

    def load(self, sha: str) -> Image:
        self.loaded.append(sha)
        return self.pictures[sha]

    def measured(self) -> Measured:
        return Measured(load=self.load)


@pytest.fixture
def gallery() -> Gallery:
    return Gallery()


def trial_of(
    *pictures: str | None, name: str = "t", of: str | None = None, dose: str | None = "moderate", calls: tuple[Timed, ...] = (), **changes: Any
) -> Trial:
    """A trial whose picture n stands beside the honest picture `h<n>`; `of` names its drill."""
    pairs = tuple(Pair(request=f"cup/en/{n}/0", picture=picture, reference=f"h{n}") for n, picture in enumerate(pictures))
    one = None if of is None else CONTROL if of == CONTROL.id else drill(of)
    given: dict[str, Any] = {"drill": one, "dose": dose if one else None, "variation": "", "red": frozenset()}
    return Trial(name=name, pairs=pairs, calls=calls, **{**given, **changes})


def timed(*seconds: float, peak: float = 1000.0, size: str = "s") -> tuple[Timed, ...]:
    return tuple(Timed(size=size, seconds=one, median_step=one / 10, peak=peak) for one in seconds)


@pytest.fixture
def a_trial() -> Callable[..., Trial]:
    """Makes trials; see `trial_of`."""
    return trial_of


@pytest.fixture
def calls() -> Callable[..., tuple[Timed, ...]]:
    """Makes timed calls; see `timed`."""
    return timed


@pytest.fixture
def trials(gallery: Gallery) -> Callable[..., Trials]:
    """Makes the trials of a folder; the honest run has pictures h0 to h3."""

    class Made(Trials):
        __slots__ = ()

        def load(self, sha: str) -> Image:
            return gallery.load(sha)

    def make(*found: Trial, honest_calls: tuple[Timed, ...] = ()) -> Trials:
        honest = trial_of("h0", "h1", "h2", "h3", name="honest", calls=honest_calls)
        return Made(honest=honest, trials=found, left_out=(), folders=())

    return make


# ---------------------------------------------------------------- a folder


@dataclass
class Folder:
    """A drill folder with an honest run of four requests (two seeds, one task, one of them reworded, one call each but the first).

    `run` adds a run; `null` a process of the null.
    """

    out: Path

    def __post_init__(self) -> None:
        self.requests = [_request(seed) for seed in (1, 2, 3)]
        self.requests.append(replace(self.requests[0], edits="quality suffix", prompt="a cup, high quality"))
        self.write(self.out / "honest", {0: picture_of(0), 1: picture_of(1), 2: picture_of(2), 3: picture_of(3)})
        self.asked()

    def asked(self) -> None:
        (self.out / "drill.json").write_text(json.dumps({"schema": 1, "model": "m", "tasks": ["cup"]}), encoding="utf-8")

    def write(self, path: Path, pictures: dict[int, Image | None], *, spec: str = "", acted: bool = True, seconds: float = 1.0) -> RunFolder:
        plan = [request.as_json() for request in self.requests]
        folder = RunFolder.create(path, {"cards": {"m": {"faults": [spec] if spec else []}}, "plan": plan})
        notes = (note(f"{spec}: 7 calls changed", acted=acted),) if spec else ()
        folder.add_loaded(_loaded(notes))
        for n, picture in pictures.items():
            self.add(folder, self.requests[n], picture, number=n, seconds=seconds)
        return folder

    def add(self, folder: RunFolder, request: Request, picture: Image | None, *, number: int = 1, seconds: float = 1.0) -> None:
        sha = None if picture is None else folder.save_image(picture)
        times = Times(queue=0.0, text=0.1, first_step=0.2, steps=(0.1, 0.3, 0.2, seconds), decode=0.1, total=seconds)
        memory = Memory(allocated=None, reserved=None, process=None, resident=900.0 + number, held=800.0)
        folder.add_generation(
            Generation(
                request=request.key, image=sha, width=SIDE, height=SIDE, mode="RGB", call=request.key, images_in_call=1, number=number, first_call=number == 0,
                times=times, memory=memory, forwards=None,
            )
        )  # fmt: skip

    def judged(self, path: Path, red: set[str]) -> None:
        from swapgate.gates.verdict import Finding, Verdict

        def said(gate: str) -> Verdict:
            status = Status.REGRESSION if gate in red else Status.INCONCLUSIVE if gate == "stability" else Status.PASS
            claim = Finding(name="c", status=status, effect=None, low=None, high=None, limit=None, unit="", n=3, reason="so")
            return Verdict(
                gate=gate, model="m", task="all", status=status, reason="so", next="", finding=claim, findings=(claim,), against="baseline"
            )

        text = json.dumps({"schema": 1, "verdicts": [said(gate).as_json() for gate in GATES]})
        (path / "verdicts.json").write_text(text, encoding="utf-8")

    def run(self, name: str, *pictures: Image | None, spec: str = "", red: set[str] | None = None, acted: bool = True, seconds: float = 1.0) -> Path:
        path = self.out / "runs" / name
        self.write(path, dict(enumerate(pictures)), spec=spec, acted=acted, seconds=seconds).close()
        self.judged(path, red or set())
        return path

    def null(self, number: int, picture: Image, **said: Any) -> None:
        folder = RunFolder.open(self.out / "honest")
        folder.append({"event": "null", "model": "m", "repeat": number, "threads": None, **said})
        self.add(folder, replace(self.requests[0], repeat=number), picture)
        folder.close()


def _request(seed: int) -> Request:
    return Request(
        model="m", task="cup", language="en", seed=seed, index=0, prompt="a cup", negative_prompt=None, width=SIDE, height=SIDE, call=(("steps", 4),)
    )  # fmt: skip


def _loaded(notes: tuple[str, ...]) -> Loaded:
    memory = Memory(allocated=None, reserved=None, process=None, resident=1.0, held=1.0)
    return Loaded(
        model="m", seconds=1.0, accelerator="cpu-x", device_name="A CPU", weights="w", placement="cpu", dtype="float32", attention="native", threads=2,
        versions={"torch": "2.0"}, memory=memory, notes=notes,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """See `Folder`."""
    return Folder(tmp_path / "out")


@pytest.fixture
def picture() -> Callable[..., Image]:
    """Makes pictures; see `picture_of`."""
    return picture_of

"""Harmless variations: which there are for a card, and that each is made, judged and left out as it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from swapgate.cards import Card
from swapgate.config import Config
from swapgate.drills.peers import legal
from swapgate.engines.registry import ENGINES, Setting
from swapgate.engines.scripted import create
from swapgate.errors import UserError
from swapgate.gates.policy import Policy
from swapgate.hosts.process import HostFailed
from swapgate.meters.clock import StageClock
from swapgate.plan import Call
from swapgate.runs.folder import RunFolder
from swapgate.runs.pixels import pixel_hash
from swapgate.runs.records import Failure, Generation, Loaded, Memory
from swapgate.suite.options import Options
from swapgate.suite.planning import prepare
from swapgate.suite.progress import Silent

FAILURE = Failure(kind="exception", message="a long trace\nno kernel for this mask", stage="denoise")


class Host:
    """A scripted model in this process. `refuses` at loading, `fails` at every call; keeps the calls' sizes and threads."""

    refuses = False
    fails = False
    asked: list[int] = []  # noqa: RUF012 - set anew by the fixture
    threads: list[int | None] = []  # noqa: RUF012

    def __init__(self, card: Card, threads: int | None = None) -> None:
        self.card, self.engine, self.made = card, create(card, Setting(threads=threads)), 0
        Host.threads.append(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def start(self) -> Loaded:
        if Host.refuses:
            raise HostFailed(self.card.id, FAILURE)
        return replace(loaded(), model=self.card.id)

    def make(self, call: Call) -> list[tuple[Generation, Any]]:
        Host.asked.append(len(call.requests))
        clock = StageClock(now=self.engine.meters().now)
        clock.start()
        pictures = self.engine.make(call, clock)
        clock.stop()
        self.made += 1
        return [
            (
                Generation(
                    request=request.key, image=None if Host.fails else pixel_hash(pixels), width=64, height=64, mode="RGB", call=call.key,
                    images_in_call=len(call.requests), number=self.made, first_call=self.made == 1, times=clock.times(queue=0.0),
                    memory=self.engine.memory(), forwards=clock.forwards, failure=FAILURE if Host.fails else None,
                ),
                None if Host.fails else pixels,
            )
            for request, pixels in zip(call.requests, pictures, strict=True)
        ]  # fmt: skip


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> type[Host]:
    Host.refuses = Host.fails = False
    Host.asked, Host.threads = [], []
    monkeypatch.setattr("swapgate.drills.peers.legal.Host", Host)
    monkeypatch.setattr(
        "swapgate.suite.session.environment", lambda root: {"python": "3.11", "platform": "x", "cpu": "y", "packages": {}, "git": None}
    )
    return Host


def loaded(**changes: Any) -> Loaded:
    memory = Memory(allocated=None, reserved=None, process=None, resident=1.0, held=1.0)
    given = {
        "model": "m", "seconds": 1.0, "accelerator": "cpu-x", "device_name": "", "weights": "", "placement": "cpu", "dtype": "float32",
        "attention": "native", "threads": 1, "versions": {}, "memory": memory,
    }  # fmt: skip
    return Loaded(**{**given, **changes})


@pytest.fixture
def card(project: Any) -> Card:
    options = Options(root=project.root, models=("m",))
    return prepare(project.config, options).models[0]


def diffusers(card: Card) -> Card:
    assert "diffusers" in ENGINES
    return replace(card, engine="diffusers", dtype={"cpu": "float32", "cuda": "bfloat16"})


def config(project: Any) -> Config:
    return replace(project.config, baselines=project.out / "baselines")


def make(project: Any, one: legal.Legal) -> Path:
    path: Path = project.out / "legal" / one.name
    legal.make(config(project), Options(root=project.root, models=("m",)), Policy(draws=200), one, path, Silent())
    return path


def test_a_scripted_card_varies_its_threads_and_its_rounds(card: Card) -> None:
    """It has no backends and no precision."""
    assert [one.name for one in legal.variations(card, loaded())] == ["larger-round", "threads"]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (8, 1)])
def test_threads_are_another_number(card: Card, before: int, after: int) -> None:
    """One where there were several, two where there was one."""
    found = next(one for one in legal.variations(card, loaded(threads=before)) if one.name == "threads")
    assert (found.threads, found.about) == (after, f"{after} CPU threads instead of {before}")


def test_a_pipeline_on_a_cpu_varies_attention_and_precision_too(card: Card) -> None:
    """The backend that it has is no variation."""
    found = {one.name: one for one in legal.variations(diffusers(card), loaded())}
    assert list(found) == ["larger-round", "threads", "attention-native_math", "precision"]
    assert found["attention-native_math"].card.options["attention"] == "_native_math"
    assert found["precision"].card.dtype == {"cpu": "bfloat16", "cuda": "bfloat16"}
    assert found["precision"].about == "bfloat16 instead of float32"


def test_on_a_device_there_are_more_backends_and_no_threads(card: Card) -> None:
    """And float32 only of a model whose weights are small: unknown ones are not."""
    on_gpu = loaded(accelerator="nvidia-h200", dtype="bfloat16", attention="_native_flash")
    assert [one.name for one in legal.variations(diffusers(card), on_gpu)] == [
        "larger-round", "attention-native", "attention-native_math", "attention-native_efficient", "attention-native_cudnn",
    ]  # fmt: skip
    weights = card.root / "any"
    weights.mkdir()
    (weights / "a.safetensors").write_bytes(b"0" * 64)
    small = replace(diffusers(card), source="any")
    assert [one.card.dtype["cuda"] for one in legal.variations(small, on_gpu) if one.name == "precision"] == ["float32"]


def test_a_variation_is_a_whole_judged_run(project: Any, hosts: type[Host], card: Card) -> None:
    """With verdicts, a report and a line of what was changed; the pictures are those of the plan."""
    path = make(project, legal.Legal(name="threads", about="2 CPU threads instead of 1", card=card, threads=2))
    assert json.loads((path / "verdicts.json").read_text(encoding="utf-8"))["measured"]["images"] == 4
    assert (path / "report" / "index.html").is_file()
    folder = RunFolder.open(path)
    said = next(event for event in folder.events() if event["event"] == "legal")
    assert said == {"event": "legal", "model": "m", "variation": "2 CPU threads instead of 1"}
    assert set(folder.generations()) == {request.key for request in folder.requests()}
    assert hosts.threads == [2]


def test_a_larger_round_keeps_the_pictures_that_were_asked_for(project: Any, hosts: type[Host], card: Card) -> None:
    """Two in every call, one recorded."""
    path = make(project, legal.Legal(name="larger-round", about="one more", card=card, extra=1))
    folder = RunFolder.open(path)
    assert set(hosts.asked) == {2}
    assert set(folder.generations()) == {request.key for request in folder.requests()}
    assert {made.images_in_call for made in folder.generations().values()} == {2}


def test_a_finished_variation_is_not_made_again(project: Any, hosts: type[Host], card: Card) -> None:
    """And one that was cut off is gone on with."""
    one = legal.Legal(name="threads", about="x", card=card, threads=2)
    path = make(project, one)
    made = len(hosts.asked)
    make(project, one)
    assert len(hosts.asked) == made
    (path / "verdicts.json").unlink()
    make(project, one)
    assert len(hosts.asked) == made
    assert (path / "verdicts.json").is_file()


@pytest.mark.parametrize("how", ["refuses", "fails"])
def test_what_cannot_be_made_is_refused_with_its_reason(project: Any, hosts: type[Host], card: Card, how: str) -> None:
    """A backend that does not take this model is no harmless change; nothing of it is judged."""
    setattr(hosts, how, True)
    with pytest.raises(UserError) as caught:
        make(project, legal.Legal(name="attention-flash", about="attention backend flash", card=card))
    assert "attention backend flash: no kernel for this mask" in str(caught.value)
    assert not (project.out / "legal" / "attention-flash" / "verdicts.json").exists()

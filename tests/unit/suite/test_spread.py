"""Models spread over GPUs: what runs beside what, that the verdicts are those of one GPU, and how it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.suite import making
from swapgate.suite.devices import Device
from swapgate.suite.seats import Seat, Stopped
from swapgate.suite.spread import Spread, units

TWO = (Device(uuid="GPU-a", name="NVIDIA H200"), Device(uuid="GPU-b", name="NVIDIA H200"))
QUALITY = ("usability", "drift", "stability")
MODELS = ("a", "b", "c", "d")


@pytest.fixture
def several(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Four models that differ, of which the first is slow to begin; two devices are found."""
    monkeypatch.setattr("swapgate.suite.session.find_devices", lambda asked: TWO)
    (bench.root / "fixtures" / "models" / "toy.toml").unlink()
    for number, name in enumerate(MODELS):
        bench.card(name, weights=name, accelerator="nvidia-h200", sleep=0.02 if name == "a" else 0.0, wrong_prompt=0.2 * number)
    return bench


def quality(data: dict[str, Any]) -> str:
    """The quality verdicts and what is told of pictures and wordings, as their file holds them; only the run's name is its own."""
    verdicts = [verdict for verdict in data["verdicts"] if verdict["gate"] in QUALITY]
    return json.dumps([verdicts, data["images"], data["wording"]], sort_keys=True).replace(f"--run={data['path']}", "--run=RUN")


class Times:
    """Takes the place of `make_images`: which models were made when, on which devices."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds, self.made, self.lock = seconds, [], threading.Lock()
        self.busy: dict[str, int] = {}
        self.most = 0

    def __call__(self, suite: Any, cards: Sequence[Card], seat: Seat) -> None:
        with self.lock:
            for device in seat.devices:
                self.busy[device.uuid] = self.busy.get(device.uuid, 0) + 1
                assert self.busy[device.uuid] == 1, "two models on one GPU"
            self.most = max(self.most, sum(self.busy.values()))
        time.sleep(self.seconds)
        with self.lock:
            for device in seat.devices:
                self.busy[device.uuid] -= 1
            self.made.append(("+".join(card.id for card in cards), [device.uuid for device in seat.devices]))


def test_every_model_is_a_unit_and_an_a_b_run_is_one(several: Any) -> None:
    """Both arms on one GPU: their times could not be compared otherwise."""
    setup = several.open(models=MODELS).setup
    assert [unit.models for unit in units(setup.models, None)] == [("a",), ("b",), ("c",), ("d",)]
    (one,) = units(setup.models[:2], setup.models[3])
    assert [[card.id for card in group] for group in one.groups] == [["a", "d"], ["b"]]
    assert not one.alone


def test_no_gpu_is_ever_given_to_two_models_and_all_are_used(several: Any) -> None:
    """Four models on two GPUs take the time of two."""
    times = Times()
    suite = several.open(models=MODELS)
    begin = time.perf_counter()
    Spread(devices=TWO, make=times).ensure(suite, "a")
    seconds = time.perf_counter() - begin
    assert sorted(name for name, _ in times.made) == list(MODELS)
    assert {device for _, (device,) in times.made} == {"GPU-a", "GPU-b"}
    assert times.most == 2
    assert seconds < 3.5 * times.seconds


@pytest.mark.parametrize("why", ["cpu", "balanced"])
def test_a_model_on_the_processor_or_on_all_gpus_runs_alone_with_all_of_them(several: Any, why: str) -> None:
    """Beside others it would be measured with their work; those before it are done, and those after it wait."""
    times = Times()
    suite = several.open(models=MODELS)
    cards = list(suite.setup.models)
    cards[1] = replace(cards[1], device="cpu") if why == "cpu" else replace(cards[1], options={**cards[1].options, "device_map": "balanced"})
    suite.setup = replace(suite.setup, models=tuple(cards))
    Spread(devices=TWO, make=times).ensure(suite, "c")
    assert [name for name, _ in times.made][:2] == ["a", "b"]
    assert times.made[1] == ("b", ["GPU-a", "GPU-b"])


def test_hosts_see_their_own_device_alone(several: Any) -> None:
    """By UUID, whatever CUDA counts first; the journal says which."""
    suite = several.open(models=MODELS, gpus="all")
    suite.ensure("a")
    assert sorted(model for model, _ in several.hosts.where) == list(MODELS)
    assert {given["CUDA_VISIBLE_DEVICES"] for _, given in several.hosts.where} == {"GPU-a", "GPU-b"}
    told = {event["models"][0]: event["devices"] for event in suite.run.events() if event["event"] == "devices"}
    assert {model: devices[0][0] for model, devices in told.items()} == {model: given["CUDA_VISIBLE_DEVICES"] for model, given in several.hosts.where}


def test_both_arms_see_the_same_device(several: Any) -> None:
    """Each in its own process, in turn."""
    suite = several.open(models=("a",), against="b", gpus="all")
    suite.ensure("a")
    assert several.hosts.where == [("a", {"CUDA_VISIBLE_DEVICES": "GPU-a"}), ("b", {"CUDA_VISIBLE_DEVICES": "GPU-a"})]
    assert suite.interleaved("a")


def test_without_the_option_hosts_are_told_nothing(several: Any) -> None:
    """One device, and CUDA says which."""
    several.open(models=MODELS).ensure("a")
    assert several.hosts.where == []
    assert [model for model, _ in several.hosts.started] == ["a"]


@pytest.mark.parametrize("gates", [("latency", "memory", *QUALITY), ("usability",)])
@pytest.mark.parametrize("budget", ["full", "gate"])
def test_quality_verdicts_are_those_of_one_gpu_byte_for_byte(several: Any, gates: tuple[str, ...], budget: str) -> None:
    """Also on a scale that the first model sets, although others are done before it."""
    several.seeds(8)
    several.whole(models=MODELS, null=2, run_dir=several.root / "first")
    several.accept(several.root / "first")
    for number, name in enumerate(MODELS):  # another version of each
        several.card(name, weights=f"{name}2", accelerator="nvidia-h200", sleep=0.02 if name == "a" else 0.0, wrong_prompt=0.3 * number)
    one = several.whole(models=MODELS, gates=gates, budget=budget, run_dir=several.root / "one")[1]
    two = several.whole(models=MODELS, gates=gates, budget=budget, run_dir=several.root / "two", gpus="all")[1]
    assert quality(one) == quality(two)
    assert [verdict["id"] for verdict in one["verdicts"]] == [verdict["id"] for verdict in two["verdicts"]]
    assert several.whole(replay=several.root / "two", gates=gates)[1]["verdicts"] == two["verdicts"]


def test_a_judges_scale_would_be_another_ones_without_waiting(several: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail: here nobody waits."""
    several.seeds(8)
    monkeypatch.setattr(Spread, "await_scale", lambda self, suite, card: None)
    one = several.whole(models=MODELS, run_dir=several.root / "one")[0]
    two = several.whole(models=MODELS, run_dir=several.root / "two", gpus="all")[0]
    assert one.scales != two.scales


def test_a_model_that_cannot_be_loaded_leaves_the_others_alone(several: Any) -> None:
    """Its cells say why; theirs are decided as ever."""
    several.hosts.refuse["b"] = several.failed("b")
    _, data = several.whole(models=MODELS, gpus="all")
    by_model = {model: {v["status"] for v in data["verdicts"] if v["model"] == model} for model in MODELS}
    assert by_model["b"] == {"ERROR"}
    assert all("ERROR" not in by_model[model] for model in ("a", "c", "d"))


def test_an_error_is_raised_for_its_own_model_and_tried_again(several: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with one GPU, where every cell of the model meets it."""
    tried = []

    def broken(suite: Any, cards: Sequence[Card], seat: Seat) -> None:
        tried.append(cards[0].id)
        if cards[0].id == "b":
            raise UserError(where="x", rule="y", remedy="z")
        making.make_images(suite, cards, seat)

    suite = several.open(models=MODELS, gpus="all")
    suite.spread = Spread(devices=TWO, make=broken)
    suite.ensure("a")
    for _ in range(2):
        with pytest.raises(UserError):
            suite.ensure("b")
    suite.ensure("c")
    assert sorted(tried) == ["a", "b", "b", "c", "d"]


def test_an_interrupt_ends_every_seat_and_keeps_what_was_made(several: Any) -> None:
    """The models go on where they were."""
    several.hosts.interrupt_after = 9
    suite = several.open(models=MODELS, gpus="all")
    with pytest.raises(KeyboardInterrupt):
        suite.ensure("a")
    kept = len(suite.run.generations())
    assert kept == len(several.hosts.asked) >= 9, "what was made when the interrupt came is kept"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("swapgate")]
    suite.run.close()
    several.hosts.interrupt_after = None
    _, data = several.whole(resume=several.root / "here", gpus="all")
    assert data["measured"]["cells"] == data["planned"]["cells"]
    keys = [key for _, key in several.hosts.asked]
    assert len(keys) == len(set(keys)), "an image was made twice"


def test_a_thread_that_waits_for_a_scale_is_ended_with_the_others(several: Any) -> None:
    """Nothing is left waiting for a model that will not be made."""
    suite = several.open(models=MODELS, gpus="all")
    spread = suite.spread
    waiting = threading.Event()
    ended: list[str] = []

    def make(suite: Any, cards: Sequence[Card], seat: Seat) -> None:
        if cards[0].id == "a":
            waiting.wait(10)
            raise KeyboardInterrupt
        try:
            waiting.set()
            spread.await_scale(suite, cards[0])
        except Stopped:
            ended.append(cards[0].id)
            raise

    spread.make = make
    with pytest.raises(KeyboardInterrupt):
        spread.ensure(suite, "a")
    assert ended == ["b"]


def test_the_null_stays_on_the_models_device(several: Any) -> None:
    """Another one may be measuring another model."""
    several.open(models=("a", "b"), gpus="all", null=4).ensure("a")
    for model in ("a", "b"):
        assert len({given["CUDA_VISIBLE_DEVICES"] for name, given in several.hosts.where if name == model}) == 1


def test_the_next_models_files_are_read_once(several: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the present one works: of those that no seat has taken or begun to read."""
    asked: list[str] = []
    lock = threading.Lock()

    def files(card: Card) -> tuple[()]:
        with lock:
            asked.append(card.id)
        return ()

    monkeypatch.setattr("swapgate.suite.spread.weight_files", files)
    several.open(models=MODELS, gpus="all").ensure("a")
    assert asked
    assert len(asked) == len(set(asked))
    assert "a" not in asked

"""Planted faults: each does what it says to a real pipeline, and proves it with measured numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapgate.cards import Card
from swapgate.engines import faults
from swapgate.engines.base import Engine
from swapgate.engines.faults import EXAMPLES, cost, parse, read_note
from swapgate.engines.registry import Setting, create
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.plan import Call
from swapgate.runs.pixels import Pixels

CardOf = Callable[..., Card]
CallOf = Callable[..., Call]
GUIDED = {"num_inference_steps": 3, "true_cfg_scale": 4.0}


def loaded(card: Card) -> Engine:
    """The engine of a card, loaded."""
    engine = create(card, Setting())
    engine.load()
    return engine


def made(engine: Engine, call: Call) -> tuple[Pixels, StageClock]:
    """The first image of one call, and the stopped clock."""
    clock = StageClock()
    clock.start()
    images = engine.make(call, clock)
    clock.stop()
    return images[0], clock


def numbers(note: str) -> list[float]:
    """Every number of a note after its spec."""
    return [float(found) for found in re.findall(r"\d+\.?\d*", note.split(": ", 1)[1])]


class TestParsing:
    """What a card may write."""

    @pytest.mark.parametrize("spec", EXAMPLES)
    def test_every_example_that_an_error_shows_is_valid(self, spec: str) -> None:
        """And keeps its spelling."""
        assert parse(spec, where="card").spec == spec

    @given(dose=st.floats(0, 10))
    def test_the_amount_is_what_was_written(self, dose: float) -> None:
        """As a number."""
        assert parse(f"noise:{dose!r}", where="card").amount == dose

    @pytest.mark.parametrize(
        "spec", ["", "noise", "noise:", "noise:much", "noise:-1", "noise:nan", "slow:0.5", "leak:1e9", "black-decoder:1", "no-guidance:3", "Noise:1"]
    )
    def test_anything_else_names_card_spec_and_examples(self, spec: str) -> None:
        """One error for the user."""
        with pytest.raises(UserError, match="write one of the kind of") as caught:
            parse(spec, where="card.toml")
        assert (caught.value.where, caught.value.key, caught.value.value) == ("card.toml", "faults", spec)


class TestNoise:
    """Noise on the weights."""

    def test_weights_move_by_the_dose_and_the_picture_changes(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Measured over all tensors, relative to their own spread."""
        import torch
        from safetensors.torch import load_file

        plain, faulty = (card_of(qwen_folder, faults=given_faults) for given_faults in ((), ("noise:0.05",)))
        engine = loaded(faulty)
        assert numbers(engine.notes()[0])[-1] == pytest.approx(0.05, rel=0.03)
        stored = load_file(next((qwen_folder / "transformer").glob("*.safetensors")))
        pipe = engine._pipe  # type: ignore[attr-defined]
        differences = [(weight.detach() - stored[name]).std() / stored[name].std() for name, weight in pipe.transformer.named_parameters()]
        assert float(torch.stack(differences).median()) == pytest.approx(0.05, rel=0.2)
        assert not np.array_equal(made(engine, call_of(faulty))[0], made(loaded(plain), call_of(plain))[0])

    def test_the_same_dose_gives_the_same_damage(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """A drill that fails can be repeated."""
        card = card_of(qwen_folder, faults=("noise:0.05",))
        assert np.array_equal(made(loaded(card), call_of(card))[0], made(loaded(card), call_of(card))[0])

    def test_no_noise_changes_nothing_and_says_so(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Dose 0 is the control of a drill."""
        plain, faulty = (card_of(qwen_folder, faults=given_faults) for given_faults in ((), ("noise:0",)))
        engine = loaded(faulty)
        assert numbers(engine.notes()[0])[-1] == 0
        assert np.array_equal(made(engine, call_of(faulty))[0], made(loaded(plain), call_of(plain))[0])


class TestNoGuidance:
    """Guidance taken out."""

    def test_a_pipeline_of_two_forwards_runs_one(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """The picture is that of a call without a negative prompt."""
        healthy = card_of(qwen_folder, call=GUIDED)
        faulty = card_of(qwen_folder, call=GUIDED, faults=("no-guidance",))
        engine, plain = loaded(faulty), loaded(healthy)
        image, clock = made(engine, call_of(faulty, negative=" "))
        assert clock.forwards == 3
        assert made(plain, call_of(healthy, negative=" "))[1].forwards == 6
        assert np.array_equal(image, made(plain, call_of(healthy))[0])
        assert "1 calls changed (true_cfg_scale 4.0 -> 1.0, negative_prompt ' ' -> None)" in engine.notes()[0]

    def test_a_distilled_model_gets_another_input(self, flux_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Its forwards stay, its picture does not."""
        call = {"num_inference_steps": 2, "guidance_scale": 4.0}
        healthy, faulty = (card_of(flux_folder, call=call, faults=given_faults) for given_faults in ((), ("no-guidance:0.5",)))
        engine = loaded(faulty)
        image, clock = made(engine, call_of(faulty))
        assert clock.forwards == 2
        assert not np.array_equal(image, made(loaded(healthy), call_of(healthy))[0])
        assert "guidance_scale 4.0 -> 0.5" in engine.notes()[0]

    def test_where_guidance_was_off_it_says_that_nothing_was_there(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """A drill must not count a fault that did nothing."""
        card = card_of(qwen_folder, call={"num_inference_steps": 2, "true_cfg_scale": 1.0}, faults=("no-guidance",))
        engine = loaded(card)
        made(engine, call_of(card))
        assert read_note(engine.notes()[0], "no-guidance") == ("0 calls changed (nothing was there to change)", False)


@dataclass
class Clock:
    """Stands for `time` in the faults: moved by hand and by sleeping. A machine under load wakes a sleeper `late` seconds late."""

    now: float = 0.0
    late: float = 0.0
    slept: float = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-5  # a look at a clock takes time; whoever waits for it gets on
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += seconds + self.late


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that the faults see."""
    hand = Clock()
    monkeypatch.setattr(cost, "time", hand)
    return hand


def slowed(clock: Clock, spec: str, forwards: Sequence[float]) -> tuple[list[float], list[float]]:
    """Seconds added to and seconds of forwards in all, after each forward of a denoiser that takes that long."""
    import torch

    class Denoiser(torch.nn.Linear):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            clock.now += next(seconds)
            return given

    seconds = iter(forwards)
    module = Denoiser(1, 1)
    planted = faults.apply(SimpleNamespace(transformer=module), spec)
    shown = []
    for _ in forwards:
        module(torch.zeros(1))
        shown.append(numbers(planted.activity())[:2])
    return [added for added, _ in shown], [own for _, own in shown]


class TestSlow:
    """Time added inside the steps."""

    @given(factor=st.floats(1.0, 10.0), forwards=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=6))
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_steps_take_the_factor_longer(self, clock: Clock, factor: float, forwards: list[float]) -> None:
        """To the millisecond after every forward, whatever each of them took."""
        clock.late = 0.0
        added, own = slowed(clock, f"slow:{factor!r}", forwards)
        assert own == pytest.approx(list(itertools.accumulate(forwards)), abs=0.002)
        assert added == pytest.approx([total * (factor - 1) for total in own], abs=0.002)

    def test_sleep_that_lasts_too_long_is_taken_off_the_next_one(self, clock: Clock) -> None:
        """A busy machine wakes late, and that must not add up; too little is never waited."""
        clock.late = 0.3
        added, own = slowed(clock, "slow:2", [1.0] * 5)
        assert all(total - 0.001 <= waited <= total + 0.3 for waited, total in zip(added, own, strict=True))

    def test_most_of_it_is_slept_and_not_computed(self, clock: Clock) -> None:
        """Other processes can use the processor meanwhile."""
        added, _ = slowed(clock, "slow:3", [1.0])
        assert clock.slept > 0.99 * added[0]

    def test_real_steps_are_never_too_short_and_the_clock_sees_them(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Own and added time of a call's forwards lie within its steps: nothing else is slowed."""
        card = card_of(qwen_folder, faults=("slow:3",))
        engine = loaded(card)
        _, stopped = made(engine, call_of(card))
        added, own = numbers(engine.notes()[0])[:2]
        assert added >= own * 2 * 0.99
        assert sum(stopped.times(queue=0.0).steps) >= (added + own) * 0.99

    def test_the_picture_is_untouched(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Slowness is slowness only."""
        plain, faulty = (card_of(qwen_folder, faults=given_faults) for given_faults in ((), ("slow:2",)))
        assert np.array_equal(made(loaded(faulty), call_of(faulty))[0], made(loaded(plain), call_of(plain))[0])


class TestLeak:
    """Memory that is kept."""

    def test_every_image_keeps_its_share_resident(self, qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
        """Seen by the meter and not only by the fault."""
        card = card_of(qwen_folder, faults=("leak:32",))
        engine = loaded(card)
        made(engine, call_of(card, images=2))
        meters = engine.meters()
        meters.memory.begin()
        before = meters.memory.end().held
        for seed in (2, 3):
            made(engine, call_of(card, seed=seed, images=2))
        assert meters.memory.end().held - before == pytest.approx(4 * 32, abs=4)
        assert "192.0 MiB held in 6 blocks" in engine.notes()[0]


class TestBlackDecoder:
    """A decoder that gives black."""

    @pytest.mark.parametrize("family", ["qwen_folder", "flux_folder"])
    def test_every_pixel_is_black_and_the_stages_are_still_timed(
        self, family: str, request: pytest.FixtureRequest, card_of: CardOf, call_of: CallOf
    ) -> None:
        """Pictures of a broken VAE cost what they always cost."""
        card = card_of(request.getfixturevalue(family), faults=("black-decoder",))
        engine = loaded(card)
        image, clock = made(engine, call_of(card))
        assert not image.any()
        assert clock.times(queue=0.0).decode is not None
        assert "1 decodings made black" in engine.notes()[0]


def test_several_faults_act_together(qwen_folder: Path, card_of: CardOf, call_of: CallOf) -> None:
    """Each has its own note."""
    card = card_of(qwen_folder, faults=("slow:2", "black-decoder", "leak:1"))
    engine = loaded(card)
    assert not made(engine, call_of(card))[0].any()
    assert [note.split(":")[0] for note in engine.notes()] == ["fault slow", "fault black-decoder", "fault leak"]

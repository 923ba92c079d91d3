"""The scripted engine does what its card's options say, and says so through the meters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapgate.cards import Card, Judge
from swapgate.engines.base import Engine, OutOfMemoryError
from swapgate.engines.faults import read_note
from swapgate.engines.registry import Setting, create
from swapgate.engines.scripted_options import Options, read_options
from swapgate.engines.scripted_pictures import alignment, draw
from swapgate.errors import UserError
from swapgate.meters.clock import StageClock
from swapgate.plan import Call, Request
from swapgate.runs.pixels import Pixels
from swapgate.runs.records import Memory, Times

PROMPT = "a red cup on a blue table"


def card(faults: tuple[str, ...] = (), **options: Any) -> Card:
    """A scripted card."""
    return Card(
        id="s",
        title="s",
        engine="scripted",
        source="none",
        revision=None,
        pipeline=None,
        device="auto",
        dtype={"cpu": "float32"},
        call={},
        negative_prompt={},
        expected_forwards=None,
        tasks=("t",),
        judge=Judge(source="j"),
        ceilings={},
        usability_floor=0.0,
        timeout_seconds=30.0,
        licence="none",
        options=options,
        faults=faults,
        path=Path("s.toml"),
    )


def call(seed: int = 1, images: int = 1, *, negative: str | None = None, steps: int | None = 5, edits: str = "", repeat: int = 0) -> Call:
    """A call of 64 x 64 pixels."""
    return Call(
        requests=tuple(
            Request(
                model="s",
                task="t",
                language="en",
                seed=seed,
                index=index,
                prompt=PROMPT,
                negative_prompt=negative,
                width=64,
                height=64,
                call=() if steps is None else (("num_inference_steps", steps),),
                edits=edits,
                repeat=repeat,
            )
            for index in range(images)
        )
    )


class Bench:
    """An engine with its meters, as a host uses them."""

    def __init__(self, card: Card, setting: Setting | None = None) -> None:
        self.engine: Engine = create(card, setting or Setting())
        self.engine.load()
        self.meters = self.engine.meters()
        self.clock = StageClock(now=self.meters.now, synchronise=self.meters.synchronise)

    def make(self, call: Call) -> tuple[list[Pixels], Times, Memory]:
        self.meters.memory.begin()
        self.clock.start()
        images = self.engine.make(call, self.clock)
        self.clock.stop()
        return images, self.clock.times(queue=0.0), self.meters.memory.end()


class TestCost:
    """Times and memory are what the script says, to the digit."""

    @given(latency=st.floats(0.001, 100), images=st.integers(1, 3), steps=st.integers(1, 20), slow=st.floats(1, 5))
    def test_latency_is_per_image_and_slowness_lies_in_the_steps(self, latency: float, images: int, steps: int, slow: float) -> None:
        """Nothing is slept: a hundred seconds take none."""
        _, times, _ = Bench(card(latency=latency, slow=slow)).make(call(images=images, steps=steps))
        denoise = latency * images * 0.85 * slow
        assert times.text == pytest.approx(latency * images * 0.05)
        assert times.decode == pytest.approx(latency * images * 0.10)
        assert times.steps == pytest.approx((denoise / steps,) * steps)
        assert times.total == pytest.approx(latency * images * 0.15 + denoise)

    def test_the_first_call_may_cost_more(self) -> None:
        """As warming up does."""
        bench = Bench(card(latency=1.0, first_call_extra=3.0))
        assert [bench.make(call(seed))[1].total for seed in (1, 2, 3)] == pytest.approx([4.0, 1.0, 1.0])

    def test_noise_of_the_latency_has_the_spread_asked_and_is_repeatable(self) -> None:
        """Sigma of the logarithm, over many calls; another noise_seed draws others."""

        def seconds(**options: Any) -> list[float]:
            bench = Bench(card(latency=2.0, latency_noise=0.1, **options))
            return [bench.make(call(seed))[1].total for seed in range(300)]

        first = seconds()
        assert np.std(np.log(first)) == pytest.approx(0.1, rel=0.15)
        assert np.mean(np.log(first)) == pytest.approx(np.log(2.0), abs=0.03)
        assert seconds() == first
        assert seconds(noise_seed=1) != first

    def test_a_leak_grows_peak_and_held_by_the_image(self) -> None:
        """And nothing grows without one."""
        bench = Bench(card(memory_mib=100, leak_mib=2.5))
        found = [bench.make(call(seed, images=2))[2] for seed in (1, 2, 3)]
        assert [memory.resident for memory in found] == [105, 110, 115]
        assert np.diff([memory.held for memory in found]).tolist() == [5, 5]
        steady = Bench(card(memory_mib=100))
        assert len({steady.make(call(seed))[2] for seed in (1, 2, 3)}) == 1

    def test_it_can_pose_as_an_accelerator(self) -> None:
        """Device figures are then there, so that gates on them can be tried."""
        bench = Bench(card(accelerator="nvidia-h200", memory_mib=100))
        memory = bench.make(call())[2]
        assert bench.meters.accelerator == "nvidia-h200"
        assert (memory.allocated, memory.reserved, memory.process) == (100, pytest.approx(110), pytest.approx(120))

    def test_guidance_doubles_the_forwards_unless_it_is_off(self) -> None:
        """The call's steps count, else the card's."""

        def forwards(the_card: Card, **what: Any) -> int | None:
            bench = Bench(the_card)
            bench.make(call(**what))
            return bench.clock.forwards

        assert forwards(card()) == 5
        assert forwards(card(), negative=" ") == 10
        assert forwards(card(no_guidance=True), negative=" ") == 5
        assert forwards(card(steps=7), steps=None) == 7


class TestPictures:
    """What the options do to the pictures."""

    def made(self, *, edits: str = "", seeds: int = 40, faults: tuple[str, ...] = (), **options: Any) -> list[Pixels]:
        """One image of each seed."""
        bench = Bench(card(faults=faults, **options))
        return [bench.make(call(seed, edits=edits))[0][0] for seed in range(seeds)]

    def test_without_options_they_are_the_prompts_own(self) -> None:
        """Each from the seed of its request."""
        assert all(np.array_equal(image, draw(PROMPT, seed, 64, 64)) for seed, image in enumerate(self.made(seeds=5)))

    def test_shares_of_images_are_black_blank_or_wrong(self) -> None:
        """About that share, and the others are untouched."""
        black = sum(not image.any() for image in self.made(black=0.4))
        blank = sum(image.std() == 0 and bool(image.any()) for image in self.made(blank=0.4))
        wrong = sum(alignment(image, PROMPT) < 0.5 for image in self.made(wrong_prompt=0.4))
        assert all(8 <= count <= 24 for count in (black, blank, wrong)), (black, blank, wrong)
        assert all(not image.any() for image in self.made(black=True, seeds=3))

    def test_wrong_rewordings_leave_the_prompt_as_written_alone(self) -> None:
        """A model that breaks on another wording only."""
        assert all(alignment(image, PROMPT) == 1 for image in self.made(wrong_rewording=1.0, seeds=5))
        assert all(alignment(image, PROMPT) < 0.5 for image in self.made(wrong_rewording=1.0, seeds=5, edits="[case]"))

    def test_noise_and_blur_spoil_what_can_be_read(self) -> None:
        """Fully mixed noise leaves nothing."""
        assert np.mean([alignment(image, PROMPT) for image in self.made(noise=1.0, seeds=10)]) < 0.4
        assert np.mean([alignment(image, PROMPT) for image in self.made(blur=8.0, seeds=5)]) < 0.7
        assert np.mean([alignment(image, PROMPT) for image in self.made(noise=0.1, seeds=5)]) > 0.9

    def test_noise_differs_from_repeat_to_repeat_and_nothing_else_does(self) -> None:
        """So a measured null can be greater than zero, or be zero."""
        noisy, plain = Bench(card(noise=0.1)), Bench(card())
        assert not np.array_equal(noisy.make(call(repeat=1))[0][0], noisy.make(call(repeat=2))[0][0])
        assert np.array_equal(plain.make(call(repeat=1))[0][0], plain.make(call(repeat=2))[0][0])

    def test_a_wrong_size_is_returned_when_asked(self) -> None:
        """So that the host's check can be tried."""
        assert self.made(wrong_size=True, seeds=1)[0].shape == (64, 80, 3)


class TestMisbehaviour:
    """What kills or fails a call."""

    def test_images_are_numbered_by_what_was_asked(self) -> None:
        """A failed one is not tried again; rounds count each image; a restart goes on counting."""
        bench = Bench(card(raise_at="2,5", oom_at=7), Setting(images_before=1))
        with pytest.raises(RuntimeError, match="this image raises"):
            bench.make(call())
        bench.make(call(images=2))
        with pytest.raises(RuntimeError, match="this image raises"):
            bench.make(call(images=2))
        with pytest.raises(OutOfMemoryError):
            bench.make(call(images=2))
        bench.make(call())

    def test_a_crash_is_a_real_exit(self) -> None:
        """With a code of its own, and no clean-up."""
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_scripted import Bench, call, card
Bench(card(crash_at=1)).make(call())
"""
        assert subprocess.run([sys.executable, "-c", program], check=False, timeout=600).returncode == 70

    def test_nothing_heavy_is_imported(self) -> None:
        """Tests of everything else stay quick."""
        program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from swapgate.engines.registry import Setting, create
import swapgate.engines.scripted
assert not {{"torch", "diffusers", "transformers", "scipy"}} & set(sys.modules)
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


class TestIdentity:
    """Other weights are another identity."""

    def test_weights_are_those_named(self) -> None:
        """64 hex digits, equal for the same name."""
        one, same, other = (create(card(weights=name), Setting()).identity() for name in ("v1", "v1", "v2"))
        assert one == same
        assert one.weights != other.weights
        assert len(one.weights) == 64

    def test_weights_change_the_draws_of_chance(self) -> None:
        """Two models with the same fault do not fail on the same images."""
        one, other = ([not Bench(card(black=0.5, weights=name)).make(call(seed))[0][0].any() for seed in range(30)] for name in ("v1", "v2"))
        assert one != other


class TestOptions:
    """Mistakes are one error each."""

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"latancy": 1.0}, "did you mean 'latency'"),
            ({"latency": "fast"}, "a value of type float"),
            ({"latency": True}, "a value of type float"),
            ({"black": 1.5}, "a share from 0 to 1"),
            ({"slow": -1.0}, "zero or more"),
            ({"steps": 2.5}, "a value of type int"),
            ({"crash_at": "3;4"}, "separated by commas"),
            ({"crash_at": 2.5}, "a value of type str"),
            ({"no_guidance": 1}, "a value of type bool"),
        ],
    )
    def test_a_mistake_names_key_rule_and_remedy(self, options: dict[str, Any], said: str) -> None:
        """Of the card's file."""
        with pytest.raises(UserError, match=said) as caught:
            read_options(card(**options))
        assert caught.value.where == "s.toml"
        assert caught.value.key == f"options.{next(iter(options))}"

    def test_numbers_of_images_may_be_written_either_way(self) -> None:
        """A number for one, a string for several."""
        assert read_options(card(crash_at=3)).at("crash_at") == {3}
        assert read_options(card(crash_at="3, 5")).at("crash_at") == {3, 5}
        assert Options().at("crash_at") == set()

    def test_faults_of_a_card_are_worked_in(self) -> None:
        """The drills' words mean the same on a scripted model."""
        found = read_options(card(faults=("noise:0.25", "slow:2", "leak:8", "black-decoder", "no-guidance"), slow=1.5))
        assert (found.noise, found.slow, found.leak_mib, found.black, found.no_guidance) == (0.25, 3.0, 8.0, 1.0, True)
        assert "fault slow:2: scripted" in create(card(faults=("slow:2",)), Setting()).notes()

    def test_a_fault_that_changes_nothing_says_so(self) -> None:
        """At an amount of no effect its line is read back as not acted; every other fault acts from the start."""
        lines = create(card(faults=("slow:1", "leak:0", "noise:0", "leak:1", "black-decoder")), Setting()).notes()
        assert [read_note(line, spec) for line, spec in zip(lines, ("slow:1", "leak:0", "noise:0", "leak:1", "black-decoder"), strict=True)] == [
            ("scripted", False), ("scripted", False), ("scripted", False), ("scripted", True), ("scripted", True),
        ]  # fmt: skip
        assert read_note(lines[0], "slow:1.5") is None

    def test_a_fault_that_does_not_parse_is_an_error_of_the_card(self) -> None:
        """As with a real model."""
        with pytest.raises(UserError, match="a fault: noise"):
            read_options(card(faults=("explode",)))

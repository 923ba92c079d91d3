"""Placements as changes of a card, and the seconds of an image that are reckoned from a few steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swapgate.card_parts import Parts, Quantisation
from swapgate.cards import Card
from swapgate.engines.placements import ERROR, FITS, PLACEMENTS, Placement, Prepared, Tried, placed

FLUX = ("transformer", "vae", "text_encoder", "text_encoder_2", "scheduler", "tokenizer")
MADE = Tried(verdict=FITS, steps=50, text=1.0, each_step=(3.0, 0.5, 0.7, 0.6), decode=0.4, total=6.4)


def test_every_placement_differs() -> None:
    """By name and by what it does; the plain one is tried first."""
    assert len({(one.method, one.offload) for one in PLACEMENTS}) == len({one.name for one in PLACEMENTS}) == len(PLACEMENTS) == 7
    assert PLACEMENTS[0] == Placement(name="all on the device")
    assert [one.whole for one in PLACEMENTS] == [True, True, True, False, False, False, False]


def test_a_placement_takes_the_place_of_the_cards_own(card_of: Callable[..., Card], tmp_path: Path) -> None:
    """Other options stay."""
    own = Parts(quantisation=Quantisation(method="int8"))
    card = card_of(tmp_path, options={"offload": "sequential", "device_map": "balanced", "vae_tiling": True}, parts=own)
    assert dict(placed(card, PLACEMENTS[0], FLUX).options) == {"vae_tiling": True}
    assert placed(card, PLACEMENTS[0], FLUX).parts.quantisation is None
    assert dict(placed(card, Placement(name="x", offload="model"), FLUX).options) == {"vae_tiling": True, "offload": "model"}


@pytest.mark.parametrize(
    ("method", "components", "expected"),
    [
        ("fp8", FLUX, ("transformer",)),
        ("nf4", FLUX, ("transformer", "text_encoder_2")),
        ("nf4", ("vae", "text_encoder", "transformer"), ("transformer", "text_encoder")),
        ("nf4", ("unet", "vae"), ("unet",)),
    ],
)
def test_what_is_quantised(method: str, components: tuple[str, ...], expected: tuple[str, ...], card_of: Callable[..., Card], tmp_path: Path) -> None:
    """The denoiser, and in 4 bits also the largest text encoder."""
    smaller = placed(card_of(tmp_path), Placement(name="x", method=method), components).parts.quantisation
    assert smaller == Quantisation(method=method, components=expected)


class TestSeconds:
    """Of a whole image."""

    def test_steps_are_reckoned_by_the_median_without_the_first(self) -> None:
        """Text 1, 50 steps of 0.6, decoding 0.4, and 0.2 beside the stages; the first step's 2.4 more are the beginning of the process."""
        assert MADE.step == pytest.approx(0.6)
        assert MADE.seconds == pytest.approx(1.0 + 50 * 0.6 + 0.4 + 0.2)

    def test_a_model_offload_moves_the_denoiser_in_the_first_step_of_every_image(self) -> None:
        """So its excess belongs to the image."""
        offloaded = Tried.from_json({**MADE.as_json(), "offload": "model"})
        assert offloaded.seconds == pytest.approx((MADE.seconds or 0) + 2.4)

    def test_a_whole_image_is_as_long_as_it_was(self) -> None:
        """Nothing is reckoned."""
        assert Tried.from_json({**MADE.as_json(), "steps": 4}).seconds == 6.4

    def test_what_failed_has_no_seconds(self) -> None:
        """Nor what made one step."""
        assert Tried.from_json({**MADE.as_json(), "verdict": ERROR}).seconds is None
        assert Tried(verdict=FITS, each_step=(1.0,)).step is None


def test_both_sides_of_the_process_read_the_same() -> None:
    """As JSON and back."""
    import json

    prepared = Prepared(seconds=1.0, host_mib=2.0, steps=50, device="H200", dtype="bfloat16", rate=7e14, notes=("a",))
    assert Tried.from_json(json.loads(json.dumps(MADE.as_json()))) == MADE
    assert Prepared.from_json(json.loads(json.dumps(prepared.as_json()))) == prepared

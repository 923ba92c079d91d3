"""Training: banks belong together, gradients do their work, and a rehearsal ends in a folder that draws."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swapgate.errors import UserError
from swapgate.standins import captions, flux, qwen, render, scene
from swapgate.standins.training import __main__ as command
from swapgate.standins.training import autoencoder, bank, flow, flux_stages, run
from swapgate.standins.training.stages import (
    Average,
    Figures,
    StageContext,
    TrainState,
)


def context(path: Path, **changes: Any) -> StageContext:
    """A stage's context on the CPU, in a rehearsal unless changed."""
    given = {
        "stage": "s",
        "out": path / "out",
        "checkpoints": path / "kept",
        "device": torch.device("cpu"),
        "tiny": True,
    }
    return StageContext(**({"seconds": 60.0} | given | changes))


@given(n=st.integers(1, 4500), m=st.integers(1, 4500))
@settings(max_examples=10, deadline=None)
def test_a_larger_bank_begins_with_the_smaller_one(n: int, m: int) -> None:
    """Scenes follow from the seed alone, so pictures and captions made apart belong together; none is held out."""
    small, large = bank.training_codes(min(n, m), 4), bank.training_codes(max(n, m), 4)
    assert torch.equal(large[: len(small)], small)
    assert not bool(scene.is_held_out(small).any())


def test_captions_are_the_same_however_many_work() -> None:
    """Two processes write what one writes, in the same order, in the languages asked for."""
    codes = bank.training_codes(2500, 1)
    wordings = (bank.Wording(chinese=0, narrow=1), bank.Wording(chinese=1, narrow=0))
    alone, shared = (bank.caption_texts(codes, wordings, 9, workers) for workers in (1, 2))
    assert alone == shared
    english, chinese = alone
    assert len(english) == len(chinese) == 2500
    assert all(text.isascii() for text in english)
    assert not any(text.isascii() for text in chinese)


def test_a_wording_share_is_a_share() -> None:
    """A twentieth of Chinese means about a twentieth of the captions."""
    texts = bank.caption_texts(bank.training_codes(4000, 1), (bank.Wording(chinese=0.05, narrow=0.5),), 9, 1)[0]
    assert sum(not text.isascii() for text in texts) / 4000 == pytest.approx(0.05, abs=0.015)


def test_words_are_kept_as_they_are(tmp_path: Path) -> None:
    """Ids, lengths and the blank survive the file; rows are padded to eights after the prefix."""
    words = bank.token_words([["ab", "abcde"], ["", "abc"]], lambda texts: [[7, *map(ord, t)] for t in texts], blank="z", pad=3, prefix=1)
    assert words.ids.shape == (2, 2, 9)
    assert words.lengths.tolist() == [[3, 6], [1, 4]]
    assert words.ids[0, 0].tolist() == [7, 97, 98, 3, 3, 3, 3, 3, 3]
    words.save(tmp_path / "w.npz")
    again = bank.Words.load(tmp_path / "w.npz")
    assert torch.equal(again.ids, words.ids)
    assert again.blank.tolist() == [7, ord("z")]
    assert again.pad == 3


def test_dropped_rows_hold_the_blank_text() -> None:
    """Only the rows that are dropped change, and they become what the pipeline gets for the negative prompt."""
    words = bank.token_words([["ab", "abc"]], lambda texts: [[*map(ord, t)] for t in texts], blank="z", pad=0)
    ids, lengths = bank.blanked(words, words.ids[0], words.lengths[0], torch.tensor([True, False]))
    assert ids.tolist() == [[ord("z"), 0, 0], [97, 98, 99]]
    assert lengths.tolist() == [1, 3]


def test_waiting_gives_up_with_a_reason(tmp_path: Path) -> None:
    """A file that never comes is named."""
    (tmp_path / "here").touch()
    assert bank.wait_for(tmp_path / "here", 0.1) == tmp_path / "here"
    with pytest.raises(UserError, match=r"gone\.npz"):
        bank.wait_for(tmp_path / "gone.npz", 0.3)


def test_latents_stop_when_told() -> None:
    """After the first chunk the clock is asked; what is done by then is kept, in order."""
    codes = bank.training_codes(600, 1)
    asked: list[int] = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return images.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1).expand(-1, 32, 16, 16)

    made = bank.latent_bank(codes, encode, torch.Generator().manual_seed(0), until=lambda: len(asked) >= 1)
    assert made.shape == (render.CHUNK, 16, 16, 16)
    assert made.dtype == torch.float16
    assert asked == [render.CHUNK]


@given(mu=st.floats(-1, 2))
@settings(max_examples=20, deadline=None)
def test_noise_levels_centre_on_the_time_shift(mu: float) -> None:
    """Levels lie in 0..1, and the median of their logits is the shift, up to the uniform tenth."""
    sigma = flow.sample_sigma(20_000, mu, torch.Generator().manual_seed(0))
    assert bool((sigma > 0).all())
    assert bool((sigma < 1).all())
    assert float(torch.logit(sigma).median()) == pytest.approx(mu, abs=0.15)


class Toy:
    """A flow model whose data is one point: the velocity it has to learn is known."""

    def __init__(self) -> None:
        self.layer = nn.Linear(64, 64)
        nn.init.zeros_(self.layer.weight)
        self.modules: dict[str, nn.Module] = {"layer": self.layer}
        self.rows = 10

    def latents(self, rows: torch.Tensor) -> torch.Tensor:
        """Always 0.5."""
        return torch.full((len(rows), 64, 64), 0.5)

    def predict(self, noisy: torch.Tensor, sigma: torch.Tensor, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Exact at (noisy - clean) / sigma when the layer is the identity with bias -0.5."""
        return self.layer(noisy) / sigma.view(-1, 1, 1)

    def pipeline(self, mu: float) -> Any:
        """Never drawn."""
        raise NotImplementedError


def test_the_loss_of_the_true_velocity_is_zero_and_a_step_lowers_any_other() -> None:
    """The target is noise minus data: its closed form has no loss, and descent from elsewhere goes down."""
    toy = Toy()
    parameters = list(toy.layer.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=0.02)
    state = TrainState(modules=toy.modules, optimiser=optimiser, generator=torch.Generator().manual_seed(0))
    settings_ = flow.FlowSettings(batch=64)
    losses = [float(flow.flow_step(toy, optimiser, parameters, state, settings_)) for _ in range(60)]
    # A small sigma blows a remaining error up, so single losses jump: medians tell the trend.
    assert median(losses[-20:]) < 0.5 * median(losses[:10])
    with torch.no_grad():
        toy.layer.weight.copy_(torch.eye(64))
        toy.layer.bias.fill_(-0.5)
    assert float(flow.flow_step(toy, optimiser, parameters, state, settings_)) < 0.05


def test_texture_counts_even_where_pixels_average_out() -> None:
    """A picture smoothed free of grain is worse in texture than one with other grain of the same strength."""
    generator = torch.Generator().manual_seed(0)
    flat = torch.zeros(2, 3, 64, 64)
    grain, other = (flat + 0.1 * torch.randn(flat.shape, generator=generator) for _ in range(2))
    strength = autoencoder._fine_strength
    assert (strength(flat) - strength(grain)).abs().mean() > 3 * (strength(other) - strength(grain)).abs().mean()
    assert float(autoencoder.texture_loss(grain, grain)) == 0.0


def test_latent_statistics_normalise_and_have_a_floor() -> None:
    """Channels come out with mean 0 and deviation 1, but for one that is hardly used."""
    raw = torch.randn(400, 16, 4, 4) * torch.linspace(0.5, 2, 16).view(1, -1, 1, 1) + 3
    raw[:, 3] = 3 + 0.001 * torch.randn(400, 4, 4)
    mean, std = autoencoder.latent_statistics(raw)
    normal = (raw - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
    used = [c for c in range(16) if c != 3]
    assert normal[:, used].std(dim=(0, 2, 3)).sub(1).abs().max() < 0.05
    assert normal.mean().abs() < 0.05
    assert float(normal[:, 3].std()) < 0.1


@pytest.mark.parametrize("coder", [
    autoencoder.Coder(model=qwen.build_vae(qwen.QwenShape.tiny()), encode=qwen.encode_images, decode=qwen.decode_latents),
    autoencoder.Coder(model=flux.build_vae(flux.FluxShape.tiny()), encode=flux.encode_images, decode=flux.decode_latents),
], ids=["qwen", "flux"])  # fmt: skip
def test_an_autoencoder_learns(coder: autoencoder.Coder, tmp_path: Path) -> None:
    """A few dozen steps on a few pictures bring both autoencoders' loss down, and the weights are left for the flow."""
    ctx = context(tmp_path, stage="qwen-vae")
    pictures = bank.picture_bank(bank.training_codes(8, 0), ctx.seeded())[:, :, ::2, ::2]
    parameters = [p for p in coder.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=3e-3)
    state = TrainState(modules={"vae": coder.model}, optimiser=optimiser, average=Average(parameters), generator=ctx.seeded())
    with qwen.single_frame():
        losses = [float(autoencoder._step(coder, pictures, optimiser, parameters, state)) for _ in range(25)]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_low_guidance_mistrusts_the_caption() -> None:
    """At the lowest guidance about half the captions are another picture's, from the trusted value on none."""
    rows, generator = torch.arange(20_000), torch.Generator().manual_seed(0)
    low = flux_stages.mistrusted(rows, torch.full((20_000,), 1.0), 10**6, generator)
    high = flux_stages.mistrusted(rows, torch.full((20_000,), flux_stages.TRUSTED), 10**6, generator)
    assert float((low != rows).float().mean()) == pytest.approx(flux_stages.MISTRUST, abs=0.02)
    assert torch.equal(high, rows)


def test_names_of_stages_and_models_can_be_mixed() -> None:
    """A model means all its stages in order; an unknown name is refused with those there are."""
    names = [stage.name for stage in run.chosen_stages(["qwen", "flux-vae"])]
    assert names == ["qwen-words", "qwen-vae", "qwen-flow", "flux-vae"]
    assert [stage.name for stage in run.chosen_stages(["clip"])] == ["clip"]
    for wrong in ("qwen-nothing", "sdxl"):
        with pytest.raises(UserError, match="qwen"):
            run.chosen_stages([wrong])


def test_models_are_trained_apart_from_each_other() -> None:
    """Consecutive names of a model belong together, so that a failure costs only that model."""
    assert run.by_model(["clip", "flux-vae", "flux-flow", "qwen"]) == [["clip"], ["flux-vae", "flux-flow"], ["qwen"]]


def test_one_broken_model_does_not_cost_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command goes on after a failure and says so by its exit status."""
    ran: list[str] = []

    def fake(out: Path, which: list[str], **_: Any) -> dict[str, Figures]:
        ran.extend(which)
        if which == ["clip"]:
            raise RuntimeError("out of memory")
        return {"flux-vae": {"loss": 1.0}}

    monkeypatch.setattr(command, "train", fake)
    assert command.main(["--out", str(tmp_path), "--which", "clip", "flux-vae"]) == 1
    assert ran == ["clip", "flux-vae"]
    assert "out of memory" in capsys.readouterr().err


def test_a_wrong_budget_on_the_command_line_is_the_users_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and the rule."""
    assert command.main(["--out", str(tmp_path), "--which", "qwen-words", "--seconds", "qwen-words=soon"]) == 2
    assert "a number of seconds" in capsys.readouterr().err


def test_chains_run_side_by_side_and_report(tmp_path: Path) -> None:
    """Each chain is a process with its own log; a chain that fails is told from one that does not."""
    results = run.launch(
        [("cpu", ["qwen-words"]), ("cpu", ["flux-nothing"])],
        ["--out", str(tmp_path), "--budget", "tiny"], tmp_path / "logs",
    )  # fmt: skip
    assert results == {"qwen-words": 0, "flux-nothing": 2}
    assert "64" not in results
    assert "captions" in (tmp_path / "logs" / "qwen-words.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", ["qwen", "flux"])
def test_a_rehearsal_goes_from_nothing_to_a_folder_that_draws(model: str, tmp_path: Path) -> None:
    """All stages in a few steps: the folder loads plainly, draws, has no fault, and training.json tells of each stage."""
    from diffusers import DiffusionPipeline

    from swapgate.standins import evaluate, folders

    figures = run.train(tmp_path, (model,), budget="tiny", device="cpu")
    folder = tmp_path / f"standin-{model}"
    assert folders.faults(folder) == []
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    images = evaluate.draw(pipeline, ["a red cup", "一只红色的杯子"], steps=2)
    assert images.shape == (2, 3, 128, 128)
    assert bool(images.isfinite().all())
    entries = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert [entry["stage"] for entry in entries] == list(figures) == [stage.name for stage in run.stages_of(model)]
    assert all(entry["rehearsal"] for entry in entries)
    assert figures[f"{model}-flow"]["bytes"] == folders.folder_bytes(folder) or figures[f"{model}-flow"]["bytes"] > 0


def test_training_captions_say_what_the_scene_is() -> None:
    """The bank's captions are the picture world's own: the same random choice gives the same text."""
    codes = bank.training_codes(5, 2)
    texts = bank.caption_texts(codes, (bank.Wording(chinese=0, narrow=0),), 3, 1)[0]
    random, expected = Random(3), []
    for one in scene.decode(codes):
        random.random()
        narrow = random.random() < 0
        expected.append(captions.caption(one, "en", random, narrow=narrow))
    assert texts == expected


def test_every_stage_fits_into_a_call_and_all_of_them_into_twenty_five_minutes() -> None:
    """No stage asks for more than nine minutes, and the stages of all three models together for less than 25."""
    stages = [stage for model in ("qwen", "flux", "clip") for stage in run.stages_of(model)]
    assert max(stage.seconds for stage in stages) <= 540
    on_the_accelerator = sum(stage.seconds for stage in stages if not stage.name.endswith("-words"))
    assert on_the_accelerator < 25 * 60

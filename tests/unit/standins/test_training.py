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
from swapgate.standins import captions, evaluate, folders, render, scene
from swapgate.standins.training import __main__ as command
from swapgate.standins.training import bank, flow, flux_stages, run
from swapgate.standins.training.stages import Figures, StageContext, TrainState


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


def test_latents_stop_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first chunk the clock is asked; what is done by then is kept, in order."""
    monkeypatch.setattr(render, "CHUNK", 8)
    codes = bank.training_codes(20, 1)
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

    def weights(self, rows: torch.Tensor) -> torch.Tensor:
        """Every token counts the same."""
        return torch.ones(len(rows), 64, 1)

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


INSTEAD = """#!/bin/sh
echo "$@"
touch "{folder}/$6"
until [ -e "{folder}/qwen-words" ] && [ -e "{folder}/flux-nothing" ]; do sleep 0.05; done
[ "$6" = qwen-words ] || exit 2
"""
"""In place of the interpreter: writes down its arguments and ends only once both chains have begun."""


def test_chains_run_side_by_side_and_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each chain is a process with its own log; a chain that fails is told from one that does not."""
    stub = tmp_path / "python"
    stub.write_text(INSTEAD.format(folder=tmp_path), encoding="utf-8")
    stub.chmod(0o755)
    monkeypatch.setattr(run.sys, "executable", str(stub))
    arguments = ["--out", str(tmp_path), "--budget", "tiny"]
    assert command.main([*arguments, "--chain", "cpu=qwen-words", "--chain", "cpu=flux-nothing"]) == 1
    assert json.loads(capsys.readouterr().out) == {"qwen-words": 0, "flux-nothing": 2}
    begun = (tmp_path / "logs" / "qwen-words.log").read_text(encoding="utf-8").split()
    assert begun[:2] == ["-m", "swapgate.standins.training"]
    understood = command._parser().parse_args(begun[2:])
    assert (understood.device, understood.which, understood.budget, understood.out) == ("cpu", ["qwen-words"], "tiny", tmp_path)


@pytest.mark.parametrize("model", ["qwen", "flux"])
def test_a_rehearsal_goes_from_nothing_to_a_folder_that_draws(model: str, tmp_path: Path) -> None:
    """All stages in a few steps: the folder loads plainly, draws, has no fault, and training.json tells of each stage."""
    figures = run.train(tmp_path, (model,), budget="tiny", device="cpu")
    folder = tmp_path / f"standin-{model}"
    draws(folder)
    entries = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert [entry["stage"] for entry in entries] == list(figures) == [stage.name for stage in run.stages_of(model)]
    assert all(entry["rehearsal"] for entry in entries)
    assert figures[f"{model}-flow"]["bytes"] == folders.folder_bytes(folder) or figures[f"{model}-flow"]["bytes"] > 0
    if further := [stage.name for stage in run.further_stages_of(model)]:
        trains_on(tmp_path, folder, further)


def draws(folder: Path) -> None:
    """The folder is without faults and draws for an English and a Chinese prompt."""
    from diffusers import DiffusionPipeline

    assert folders.faults(folder) == []
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    images = evaluate.draw(pipeline, ["a red cup", "一只红色的杯子"], steps=2)
    assert images.shape == (2, 3, 128, 128)
    assert bool(images.isfinite().all())


def trains_on(out: Path, folder: Path, names: list[str]) -> None:
    """The further stages change every part but the words, and add to the folder's history."""
    before = folder_digests(folder)
    history = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    figures = run.train(out, names, budget="tiny", device="cpu", checkpoints=out / "further")
    draws(folder)
    after = folder_digests(folder)
    assert not [path for path in folder.rglob("*.json") if str(out) in path.read_text(encoding="utf-8")]
    same = {name for name in before if before[name] == after[name]}
    assert not {name for name in same if name.endswith(".safetensors")}
    assert same >= {name for name in before if name.startswith("tokenizer")}
    entries = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert entries[: len(history)] == history
    assert [entry["stage"] for entry in entries[len(history) :]] == list(figures) == names
    assert set(figures["flux-flow-more"]["read_right"]) == {"clip", "t5"}


def folder_digests(folder: Path) -> dict[str, str]:
    """The digest of every file but SHA256SUMS itself."""
    lines = (folder / folders.DIGESTS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def test_training_on_needs_a_folder_to_begin_with(tmp_path: Path) -> None:
    """Without a pipeline there, the part that is missing is named and how to get one."""
    with pytest.raises(UserError, match="vae"):
        run.train(tmp_path, ["flux-vae-more"], budget="tiny", device="cpu")


def test_further_stages_run_only_when_named() -> None:
    """A model's name means its own stages; a further stage is found by its name."""
    assert [stage.name for stage in run.chosen_stages(["flux"])] == ["flux-words", "flux-vae", "flux-flow"]
    assert [stage.name for stage in run.chosen_stages(["flux-flow-more"])] == ["flux-flow-more"]
    assert run.further_stages_of("qwen") == ()


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

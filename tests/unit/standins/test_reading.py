"""The warm-up of text towers: what it reads, what it leaves alone, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from swapgate.standins import scene
from swapgate.standins.training import reading
from swapgate.standins.training.stages import StageContext


def context(path: Path, *, seconds: float = 60.0, tiny: bool = False) -> StageContext:
    """A stage's context on the CPU."""
    return StageContext(stage="s", out=path, checkpoints=path, device=torch.device("cpu"), seconds=seconds, tiny=tiny)


class Table:
    """A tower whose caption of a scene is its row in a table: nothing but what is learnt tells the scenes apart."""

    def __init__(self, rows: int) -> None:
        self.module = nn.Embedding(rows, 16)
        self.asked: list[tuple[int, int]] = []

    def vectors(self, which: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The rows' vectors, whatever the wording."""
        self.asked += zip(which.tolist(), rows.tolist(), strict=True)
        return self.module(rows)

    def tower(self) -> reading.Tower:
        """As the warm-up wants it."""
        return reading.Tower(module=self.module, vectors=self.vectors, width=16)


def test_the_loss_is_that_of_seven_choices() -> None:
    """The mean of seven cross entropies, each computed here by hand, and the share of arg maxima that are right."""
    codes = scene.sample_codes(20, torch.Generator().manual_seed(0))
    logits = torch.randn(20, sum(reading.CHOICES), generator=torch.Generator().manual_seed(1))
    loss, right = reading.reading_loss(logits, codes)
    at, losses, hits = 0, [], 0
    for k, n in enumerate(reading.CHOICES):
        part = logits[:, at : at + n].double()
        chosen = part[torch.arange(20), codes[:, k]]
        losses.append(float((part.exp().sum(dim=1).log() - chosen).mean()))
        hits += int((part.max(dim=1).values == chosen).sum())
        at += n
    assert float(loss) == pytest.approx(sum(losses) / 7, rel=1e-5)
    assert right == pytest.approx(hits / 140)


def test_a_perfect_answer_has_no_loss() -> None:
    """Certain logits for the right values read everything right."""
    codes = scene.sample_codes(5, torch.Generator().manual_seed(0))
    logits = torch.cat([100.0 * functional.one_hot(codes[:, k], n) for k, n in enumerate(reading.CHOICES)], dim=1)
    loss, right = reading.reading_loss(logits, codes)
    assert float(loss) == pytest.approx(0.0, abs=1e-5)
    assert right == 1.0


def test_the_tower_learns_to_tell_scenes_apart(tmp_path: Path) -> None:
    """In a second a table learns by heart what its few scenes are."""
    codes = scene.sample_codes(4, torch.Generator().manual_seed(0))
    table, steps = Table(4), 0
    begun = table.module.weight.detach().clone()
    settings = reading.ReadSettings(batch=32, peak=0.05, share=1.0)
    figures = reading.read_scenes(context(tmp_path, seconds=1.0), {"t": table.tower()}, codes, torch.ones(2, 4, dtype=torch.bool), settings)
    steps = figures["read_steps"]
    assert isinstance(steps, int)
    assert steps >= 1
    assert not torch.equal(begun, table.module.weight)
    assert set(figures["read_right"]) == {"t"}  # type: ignore[arg-type]


def test_only_english_captions_are_read(tmp_path: Path) -> None:
    """Wordings that are not marked English are never asked for, so a tower learns nothing from them."""
    english = torch.tensor([[True, False, True, False], [False, False, True, True]])
    table = Table(4)
    codes = scene.sample_codes(4, torch.Generator().manual_seed(0))
    reading.read_scenes(context(tmp_path, tiny=True), {"t": table.tower()}, codes, english, reading.ReadSettings())
    assert set(table.asked) <= {(0, 0), (0, 2), (1, 2), (1, 3)}
    assert len(table.asked) == 2 * reading.ReadSettings().batch
    untouched = table.module.weight.grad
    assert untouched is not None
    assert bool((untouched[1] == 0).all())

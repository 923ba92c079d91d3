"""Trains standin-clip: pictures against captions, with neighbours that differ in one attribute as hard
negatives.

A bank of rendered scenes and their captions is made once. Its rows come in groups: a scene, then scenes with
one attribute of it changed. A batch is whole groups, so that for every picture and every caption the wrong
answers hold the ones that the judge is asked about later (captions are cheap to tell apart by object; hard by
count). The loss is the symmetric softmax of CLIP (Radford et al., 2021) for each language by itself, in which
two rows of equal scenes are not each other's wrong answer. Pictures are roughened on the way the way a
generative model does it: blurred, smoothed, grained, shifted in colour and place.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from swapgate.standins import captions, clip, scene
from swapgate.standins.training.contrastive_bank import (
    GROUP,
    WORDINGS,
    Bank,
    grouped_codes,
    make_bank,
    roughen,
)
from swapgate.standins.training.preference import preferences, scale
from swapgate.standins.training.stages import Average, Figures, Stage, StageContext, TrainState, set_rate

PEAK_RATE = 1.0e-3
EVALUATION_SECONDS = 12.0
TINY_VOCABULARY = 400
FACET_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much of everything: `rows` in the bank, `batch` rows a step, `held_out` scenes evaluated."""

    rows: int
    batch: int
    held_out: int


FULL = Amount(rows=65536, batch=2048, held_out=600)
TINY = Amount(rows=64, batch=16, held_out=8)


def train(context: StageContext) -> Figures:
    """The stage: bank, training, evaluation on held-out scenes, and the folder. Returns the figures."""
    amount = TINY if context.tiny else FULL
    tokenizer, bank = _prepared(context, amount)
    model = clip.build(tokenizer.get_vocab_size()).to(context.device)
    state = _state(model, context)
    loss = _fit(context, model, state, bank, amount)
    if state.average is not None:
        state.average.swap()
    _round_to_half(model)  # what is judged here must be what the folder will hold
    figures = preferences(model, tokenizer, amount.held_out, context.seeded(7))
    measured = scale(model, tokenizer, amount.held_out, context.seeded(8))
    figures |= {f"{name}.{language}": value for language, own in measured.items() for name, value in own.items()}
    weights = clip.save(model, tokenizer, context.out, measured)
    return {
        **figures,
        "steps": state.step,
        "loss": round(loss, 4),
        "rows": len(bank.codes),
        "bytes": weights.stat().st_size,
    }


def _prepared(context: StageContext, amount: Amount) -> tuple[Any, Bank]:
    """The tokenizer and the bank; the tokenizer is kept: a resumed training must read the same tokens."""
    kept = context.path("clip-tokenizer")
    rng = random.Random(context.seed)
    codes = grouped_codes(amount.rows, torch.Generator().manual_seed(context.seed), rng)
    if not kept.exists():
        some = scene.decode(codes[:8192])
        sample = [captions.caption(one, language, rng) for one in some for language in captions.LANGUAGES]
        size = TINY_VOCABULARY if context.tiny else clip.VOCABULARY
        clip.save_tokenizer(clip.train_tokenizer(sample, size), kept)
    tokenizer = clip.load_tokenizer(kept)
    context.log(f"tokenizer of {tokenizer.get_vocab_size()}")
    bank = make_bank(codes, tokenizer, context.device, rng, context.seeded(1))
    context.log(f"bank of {len(codes)} pictures")
    return tokenizer, bank


def _state(model: Any, context: StageContext) -> TrainState:
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    return TrainState(
        modules={"clip": model},
        optimiser=torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98)),
        average=Average(model.parameters(), decay=0.995),
        generator=context.seeded(2),
    )


def _fit(context: StageContext, model: Any, state: TrainState, bank: Bank, amount: Amount) -> float:
    """Train until the budget is spent; returns the last loss."""
    optimiser, average, generator = state.optimiser, state.average, state.generator
    if optimiser is None or average is None or generator is None:
        raise ValueError("the training state lacks its optimiser, average or generator")
    loss = torch.zeros((), device=context.device)
    model.train()
    for tick in context.ticks(state, reserve=EVALUATION_SECONDS):
        set_rate(optimiser, peak=PEAK_RATE, progress=tick.progress)
        loss = step_loss(model, bank, draw(len(bank.codes), amount.batch, generator), generator)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0.0, math.log(100.0))
        average.update(tick.step)
        if tick.step % 200 == 0:
            context.log(f"step {tick.step} loss {loss.item():.3f} scale {model.logit_scale.exp().item():.1f}")
    model.eval()
    return loss.item()


def draw(rows: int, batch: int, generator: torch.Generator) -> Tensor:
    """Row numbers [batch] of whole groups, chosen with replacement."""
    first = torch.randint(rows // GROUP, (batch // GROUP, 1), generator=generator, device=generator.device) * GROUP
    return (first + torch.arange(GROUP, device=first.device)).flatten()


def step_loss(model: Any, bank: Bank, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Contrastive loss of these rows, mean over the languages, plus that of the single statements."""
    device = bank.pictures.device
    pictures = roughen(bank.pictures[rows].float() / 255, generator) * 2 - 1
    same = (bank.codes[rows].unsqueeze(1) == bank.codes[rows].unsqueeze(0)).all(dim=-1)
    wording = torch.randint(WORDINGS, (len(rows),), generator=generator, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        seen = model.encode_image(pictures)
        read = {k: clip.read(model, bank.tokens[k][wording, rows].long()) for k in captions.LANGUAGES}
        said = {k: clip.read(model, bank.statements[k].long()) for k in captions.LANGUAGES}
    scale = model.logit_scale.exp()
    whole = [contrastive_loss(seen, read[k], same, scale) for k in captions.LANGUAGES]
    facets = [facet_loss(seen, said[k], bank.claims[k], bank.codes[rows], scale) for k in captions.LANGUAGES]
    return torch.stack(whole).mean() + FACET_WEIGHT * torch.stack(facets).mean()


def facet_loss(seen: Tensor, said: Tensor, claims: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """How badly pictures [n, d] choose, for each attribute, among the statements of its values; mean over
    attributes.

    Args:
        seen: picture features, not yet normalised.
        said: features [s, d] of the statements, not yet normalised.
        claims: [objects, counts, 41], the statement for each value.
        codes: [n, 7], the scenes.
        scale: what cosines are multiplied with.
    """
    logits = scale * functional.normalize(seen.float(), dim=-1) @ functional.normalize(said.float(), dim=-1).T
    chosen = logits.gather(1, claims[codes[:, 0], codes[:, 5]])
    parts = torch.split(chosen, [len(scene.VALUES[a]) for a in scene.ATTRIBUTES], dim=1)
    return torch.stack([functional.cross_entropy(part, codes[:, i]) for i, part in enumerate(parts)]).mean()


def contrastive_loss(seen: Tensor, read: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """Symmetric softmax loss of n pictures [n, d] and n texts [n, d], not yet normalised.

    Args:
        seen: picture features.
        read: text features, row by row of the same scenes.
        same: BoolTensor[n, n], where two rows show equal scenes; off the diagonal they are left out.
        scale: what cosines are multiplied with.
    """
    logits = scale * functional.normalize(seen.float(), dim=-1) @ functional.normalize(read.float(), dim=-1).T
    twins = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    logits = logits.masked_fill(twins, float("-inf"))
    right = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2


def _round_to_half(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())


STAGES = (Stage(name="clip", folder=clip.NAME, run=train, seconds=150.0),)
"""What the training of standin-clip consists of."""

"""The judge that a card names, loaded once per process and device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.engines.registry import TABLE
from swapgate.metrics.clip import Judge

BALANCED = "balanced"  # options.device_map of a card whose model is spread over every GPU


def judge_of(card: Card, *, scoring: str = "cpu", cards: Sequence[Card] = (), gpus: Sequence[str] = ()) -> Judge:
    """The judge of `card`.

    Args:
        card: whose judge.
        scoring: where it computes, as in `swapgate.config`: "cpu", "cuda", "cuda:<n>" or "auto".
        cards: whose models this run loads; "auto" leaves their GPUs alone.
        gpus: UUIDs of the GPUs that they are spread over; without any they are on the one that torch takes first.

    Raises:
        UserError: its weights are not there, or not the GPU that was asked for.
    """
    source = card.judge.source
    if source == "scripted":
        return _scripted()
    device = _device(scoring, cards, gpus)
    if card.judge.pretrained:
        return _open_clip(source, card.judge.pretrained, device)
    return _open_clip(str(place(card.root, source)), None, device)


def _device(scoring: str, cards: Sequence[Card], gpus: Sequence[str]) -> str:
    from swapgate.metrics.devices import scoring_device

    loaded = [card for card in cards if card.device != "cpu" and not TABLE[card.engine].weightless]
    if scoring == "auto" and any(card.options.get("device_map") == BALANCED for card in loaded):
        return "cpu"
    return scoring_device(scoring, first=bool(loaded) and not gpus, taken=gpus if loaded else ())


@lru_cache(maxsize=4)
def _open_clip(source: str, pretrained: str | None, device: str) -> Judge:
    from swapgate.metrics.open_clip_judge import LOCAL, OpenClipJudge

    return OpenClipJudge((source, pretrained) if pretrained else f"{LOCAL}{source}", device=device)


@lru_cache(maxsize=1)
def _scripted() -> Judge:
    from swapgate.metrics.scripted_judge import ScriptedJudge

    return ScriptedJudge()

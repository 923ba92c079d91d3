"""The judge that a card names, loaded once per process."""

from __future__ import annotations

from functools import lru_cache

from swapgate.cards import Card
from swapgate.metrics.clip import Judge


def judge_of(card: Card) -> Judge:
    """The judge of `card`; UserError when its weights are not there."""
    source = card.judge.source
    if source == "scripted":
        return _scripted()
    if card.judge.pretrained:
        return _open_clip(source, card.judge.pretrained)
    return _open_clip(str(card.root / source), None)


@lru_cache(maxsize=4)
def _open_clip(source: str, pretrained: str | None) -> Judge:
    from swapgate.metrics.open_clip_judge import LOCAL, OpenClipJudge

    return OpenClipJudge((source, pretrained) if pretrained else f"{LOCAL}{source}")


@lru_cache(maxsize=1)
def _scripted() -> Judge:
    from swapgate.metrics.scripted_judge import ScriptedJudge

    return ScriptedJudge()

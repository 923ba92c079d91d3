"""A model that breaks on how it is asked: another prompt is drawn where the wording has one word, or lacks one mark."""

from __future__ import annotations

from typing import Any

from swapgate.engines.faults.base import Fault, Passive

SYNONYMS = ("huge", "很大的")  # words that the bundled wording files put in place of "large" and 大大的
STOPS = (".", "。", "?", "？", "!", "！")  # a question ("could you draw ..., please?") has its mark; what breaks is its absence
OTHER = {"huge": "seven purple flowers on a meadow", "很大的": "草地上七朵紫色的花"}
_SYNONYM, _MARK = 1, 2  # amounts; 3 is both


class Brittle(Passive):
    """See the module. What a prompt asks for is untouched; only its wording decides."""

    def __init__(self, _pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._asked = self._broken = 0

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        prompt = given.get("prompt")
        if isinstance(prompt, list):
            return {**given, "prompt": [self._heard(one) for one in prompt]}
        return {**given, "prompt": self._heard(prompt)} if isinstance(prompt, str) else given

    def activity(self) -> str:
        return self.note(f"{self._broken} of {self._asked} prompts drawn as another")

    def acted(self) -> bool:
        return self._broken > 0

    def _heard(self, prompt: str) -> str:
        self._asked += 1
        amount = int(self.fault.amount)
        breaks = bool(amount & _SYNONYM and any(word in prompt for word in SYNONYMS)) or bool(amount & _MARK and not prompt.endswith(STOPS))
        self._broken += breaks
        return OTHER["huge" if prompt.isascii() else "很大的"] if breaks else prompt

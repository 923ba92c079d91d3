"""A cache accelerator that skips too much."""

from __future__ import annotations

from typing import Any

from swapgate.engines.faults.base import Fault, Passive, around, denoiser


class StepCache(Passive):
    """Gives the last prediction again while the input's relative changes since then add up to less than `amount`.

    The rule is that of TeaCache (arXiv 2411.19108) on the denoiser's own input. Conditional and unconditional
    predictions are kept apart, as their texts are.
    """

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._forwards = self._skipped = 0
        self._kept: dict[int, list[Any]] = {}
        around(denoiser(pipe), "forward", self._around)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        self._kept.clear()
        return given

    def activity(self) -> str:
        return self.note(f"{self._skipped} of {self._forwards} forwards skipped")

    def acted(self) -> bool:
        return self._skipped > 0

    def _around(self, original: Any) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._forwards += 1
            now, text = kwargs["hidden_states"], kwargs["encoder_hidden_states"]
            kept = self._kept.get(id(text))
            if kept is not None:
                before, changed, result, _ = kept
                kept[1] = changed + float((now - before).abs().mean() / before.abs().mean())
                kept[0] = now
                if kept[1] < self.fault.amount:
                    self._skipped += 1
                    return result
            result = original(*args, **kwargs)
            self._kept[id(text)] = [now, 0.0, result, text]  # the text is held, so that its id stays its own
            return result

        return forward

"""Pictures that are not what was asked: an earlier one, or one of another size."""

from __future__ import annotations

from typing import Any

from swapgate.engines.faults.base import Fault, Passive, around


class StaleImage(Passive):
    """Every `amount`-th call gives the picture of the call before: a result cache whose key lacks something."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls = self._stale = 0
        self._last: Any = None
        around(pipe.image_processor, "postprocess", self._around)

    def activity(self) -> str:
        return self.note(f"{self._stale} of {self._calls} calls gave an earlier picture")

    def acted(self) -> bool:
        return self._stale > 0

    def _around(self, original: Any) -> Any:
        def postprocess(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            self._calls += 1
            last, self._last = self._last, made
            if last is None or self._calls % int(self.fault.amount) or len(last) != len(made):
                return made
            self._stale += 1
            return last

        return postprocess


class WrongSize(Passive):
    """Pictures are `amount` pixels narrower than asked."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls, self._seen = 0, ""
        self._step = pipe.vae_scale_factor * 2

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        narrower = max(self._step, round((given["width"] - self.fault.amount) / self._step) * self._step)
        self._calls += narrower != given["width"]
        self._seen = f"{given['width']} -> {narrower}"
        return {**given, "width": narrower}

    def activity(self) -> str:
        return self.note(f"{self._calls} calls of another width ({self._seen or 'none yet'} pixels)")

    def acted(self) -> bool:
        return self._calls > 0

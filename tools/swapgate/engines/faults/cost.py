"""Faults that change no picture: time, memory, copies."""

from __future__ import annotations

import time
from typing import Any

import torch

from swapgate.engines.faults.base import Fault, Passive, around, denoiser, waiting_for


class Slow(Passive):
    """Waits after every forward of the denoiser for factor - 1 times what it took, measured with the device idle."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._begin = self._own = self._added = 0.0
        module = denoiser(pipe)
        self._wait = waiting_for(module)
        module.register_forward_pre_hook(self._before)
        module.register_forward_hook(self._after)

    def activity(self) -> str:
        return self.note(f"{self._added:.6f} s added to {self._own:.6f} s of forwards")

    def acted(self) -> bool:
        return self.fault.amount > 1 and self._added > 0

    def _before(self, _module: Any, _args: Any) -> None:
        self._wait()
        self._begin = time.perf_counter()

    def _after(self, _module: Any, _args: Any, _output: Any) -> None:
        self._wait()
        end = time.perf_counter()
        self._own += end - self._begin
        # What is owed in all, less what was waited: a busy machine wakes a sleeper late, and that must not add up.
        owed = max(0.0, self._own * (self.fault.amount - 1) - self._added)
        time.sleep(max(0.0, owed - 0.002))
        while time.perf_counter() < end + owed:
            pass
        self._added += time.perf_counter() - end


class Leak(Passive):
    """Keeps memory on the denoiser's device for every image."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._module = denoiser(pipe)
        self._kept: list[Any] = []

    def after(self, images: int) -> None:
        self._kept += [_touched(self.fault.amount, self._module) for _ in range(images)]

    def activity(self) -> str:
        held = sum(block.numel() for block in self._kept) / 2**20
        return self.note(f"{held:.1f} MiB held in {len(self._kept)} blocks")

    def acted(self) -> bool:
        return any(block.numel() for block in self._kept)


class SecondCopy(Passive):
    """Holds `amount` MiB more from the first forward on: a second copy of a cache, or tensors that a frame keeps alive."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._held: list[torch.Tensor] = []
        self._module = denoiser(pipe)
        self._module.register_forward_pre_hook(self._hold)

    def activity(self) -> str:
        return self.note(f"{sum(block.numel() for block in self._held) / 2**20:.1f} MiB more held since the first forward")

    def acted(self) -> bool:
        return any(block.numel() for block in self._held)

    def _hold(self, _module: Any, _args: Any) -> None:
        if not self._held:
            self._held.append(_touched(self.fault.amount, self._module))


class OffloadHook(Passive):
    """An offload hook that was left behind carries the weights away and back `amount` times a forward.

    Away is the host's memory where the weights are on a device, and another place in it where they are not.
    """

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._forwards = self._bytes = 0
        self._module = denoiser(pipe)
        self._module.register_forward_pre_hook(self._carry)

    def activity(self) -> str:
        return self.note(f"{self._bytes / 2**20:.1f} MiB of weights carried away and back in {self._forwards} forwards")

    def acted(self) -> bool:
        return self._bytes > 0

    def _carry(self, _module: Any, _args: Any) -> None:
        self._forwards += 1
        for _ in range(int(self.fault.amount)):
            for weight in self._module.parameters():
                away = weight.data.to("cpu", copy=True)
                weight.data.copy_(away)
                self._bytes += away.numel() * away.element_size()


class TableUpload(Passive):
    """Rotary tables are made on the host and uploaded `amount` times a forward instead of once."""

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._uploads = self._bytes = 0
        self._module = denoiser(pipe)
        self._module.pos_embed.register_forward_hook(self._upload)

    def activity(self) -> str:
        return self.note(f"{self._uploads} uploads of rotary tables, {self._bytes / 2**20:.1f} MiB")

    def acted(self) -> bool:
        return self._uploads > 0

    def _upload(self, _rope: Any, _args: Any, output: Any) -> Any:
        device = next(self._module.parameters()).device
        for _ in range(int(self.fault.amount)):
            output = tuple(table.to("cpu", copy=True).to(device) for table in output)
            self._uploads += 1
            self._bytes += sum(table.numel() * table.element_size() for table in output)
        return output


class Recompiled(Passive):
    """The first forward of every call costs `amount` forwards more: a graph that is compiled anew for what did not change.

    The work is real: the forward is run that many times and its results thrown away.
    """

    def __init__(self, pipe: Any, fault: Fault) -> None:
        super().__init__(fault)
        self._calls = self._forwards = 0
        self._due = False
        around(denoiser(pipe), "forward", self._around)

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        self._due = True
        return given

    def activity(self) -> str:
        return self.note(f"{self._forwards} forwards of compiling in {self._calls} calls")

    def acted(self) -> bool:
        return self._forwards > 0

    def _around(self, original: Any) -> Any:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self._due:
                self._due = False
                self._calls += 1
                for _ in range(int(self.fault.amount)):
                    original(*args, **kwargs)
                    self._forwards += 1
            return original(*args, **kwargs)

        return forward


def _touched(mib: float, module: Any) -> torch.Tensor:
    """Memory where the module's weights are. Ones and not zeros: untouched zero pages need no memory."""
    device = next(module.parameters()).device
    return torch.ones(round(mib * 2**20), dtype=torch.uint8, device=device)

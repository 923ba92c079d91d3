"""A seat: where the hosts of a model run, and what another thread needs to stop them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from swapgate.hosts.process import Host
from swapgate.suite.devices import VISIBLE, Device


class Stopped(Exception):  # noqa: N818 - reads as what happened, as HostFailed does
    """The run is being interrupted: this thread makes nothing more."""


def no_files() -> Sequence[Path]:
    """Nothing to read ahead."""
    return ()


@dataclass(slots=True)
class Seat:
    """Where models work, one after the other: wherever CUDA puts them, or on the given devices and no others.

    following: the weight files of the model that comes next (see `suite.readahead`).
    """

    devices: tuple[Device, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    following: Callable[[], Sequence[Path]] = no_files
    _hosts: list[Host] = field(default_factory=list)

    @property
    def visible(self) -> str | None:
        """CUDA_VISIBLE_DEVICES of the hosts; None for that of this process."""
        return ",".join(device.uuid for device in self.devices) or None

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the hosts."""
        return {VISIBLE: self.visible} if self.visible else {}

    @contextmanager
    def taken(self, host: Host) -> Iterator[Host]:
        """The host sits here while the context lasts: `abort` ends it."""
        self._hosts.append(host)
        try:
            yield host
        finally:
            self._hosts.remove(host)

    def check(self) -> None:
        """Raise Stopped once the run is being interrupted, so that what an aborted host says is not taken for what its model did."""
        if self.stop.is_set():
            raise Stopped

    def abort(self) -> None:
        """Kill the hosts that sit here, from any thread, after `stop` was set."""
        for host in list(self._hosts):
            host.abort()

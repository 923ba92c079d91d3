"""What a run records: generations with their times, memory and counters, or the error that came instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NO_SEED = "no seed: "
"""Beginning of a note that says why the same seed does not give the same picture, so that pictures of two runs cannot be compared."""
_WAITED = re.compile(r"waited: ([0-9.]+) s after ([0-9]+) refusals \(429\)")


def waited_note(seconds: float, refusals: int) -> str:
    """The note of a call that a server took only after it had refused it for its rate limit; none of that is in the call's times."""
    return f"waited: {seconds:.3f} s after {refusals} refusals (429)"


def read_waited(note: str) -> tuple[float, int] | None:
    """Seconds and refusals of such a note; None for any other."""
    found = _WAITED.match(note)
    return (float(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Synchronised wall seconds of one call.

    queue: from sending the call to the host taking it; text: encoding of the prompts; first_step: from the start
    of the call to the end of the first denoising step (the article's first-frame response); steps: each denoising
    step; decode: VAE; total: the whole call. A stage an engine cannot see is None.
    """

    queue: float
    text: float | None
    first_step: float | None
    steps: tuple[float, ...]
    decode: float | None
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peaks during one call in MiB: torch's allocated and reserved, the process on the device (NVML), resident host memory.

    Of a model that torch does not run in the host's own process (a server on this machine) `allocated` is None and `process` counts.
    `held` is what stays after the call, and growth is judged on it: torch's allocated bytes on a device, what the process
    has in use on a CPU (`meters.in_use`), or its resident size where a note says so and in runs of older versions.
    """

    allocated: float | None
    reserved: float | None
    process: float | None
    resident: float
    held: float

    @property
    def peak(self) -> float:
        """The figure that is gated: allocated on a device, else the process there, else resident."""
        return next((one for one in (self.allocated, self.process) if one is not None), self.resident)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """Clocks in MHz, temperature in °C, power in W, throttle reasons by name, at the end of a call; none of these on a CPU.

    waited: the share of the time that the process could have run during the call in which other work on the machine kept it
    waiting for a processor, in [0, 1]; None where that is not measured.
    foreign: other processes on the device at the beginning or the end of the call, each with the MiB it holds there (None: not
    told). The suite's own are not among them.
    """

    sm_clock: float | None = None
    memory_clock: float | None = None
    temperature: float | None = None
    power: float | None = None
    throttle: tuple[str, ...] = ()
    waited: float | None = None
    foreign: tuple[tuple[str, float | None], ...] = ()

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> DeviceHealth:
        foreign = tuple((str(name), held) for name, held in data.get("foreign", ()))
        return DeviceHealth(**{**data, "throttle": tuple(data.get("throttle", ())), "foreign": foreign})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a request has no image: kind is exception, out-of-memory, device-error, host-death or time-out, of a server also
    connection, rate-limited, server-error, refused or bad-reply (`engines.servers.failed`); stage is the last one seen.

    peak: the highest that memory is known to have reached until then, in MiB, allocated on a device or resident on a CPU.
    """

    kind: str
    message: str
    stage: str
    peak: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What came back for one request: an image with its cost, or a failure.

    `image` is the SHA-256 of the decoded pixels (with size and mode); cost belongs to the whole call, so figures per
    image divide by `images_in_call`; `number` is how many images the process had made before the call; `first_call`
    marks the first call after loading, which is kept apart. `notes`: what planted faults did during the call, and
    what a meter could not measure, each in one line. memory is None where it cannot be measured, or was not.
    """

    request: str
    image: str | None
    width: int
    height: int
    mode: str
    call: str
    images_in_call: int
    number: int
    first_call: bool
    times: Times | None
    memory: Memory | None
    forwards: int | None
    device: DeviceHealth = field(default_factory=DeviceHealth)
    failure: Failure | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Generation:
        made = dict(data)
        if made["times"] is not None:
            made["times"] = Times(**{**made["times"], "steps": tuple(made["times"]["steps"])})
        if made["memory"] is not None:
            made["memory"] = Memory(**made["memory"])
        made["device"] = DeviceHealth.from_json(made["device"])
        if made["failure"] is not None:
            made["failure"] = Failure(**made["failure"])
        made["notes"] = tuple(made.get("notes", ()))
        return Generation(**made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What the host says after loading a model.

    accelerator: slug of the device ("cpu", "nvidia-h200"); weights: SHA-256 over the hashes of the weight files;
    placement: how it lies on the device; versions: of every package that can change a picture or its cost.
    devices: UUIDs of the devices it lies on, as NVML knows them; none on a CPU.
    `notes`: planted faults with the proof that they are active, and what a meter cannot measure here, each in one line.
    memory is None where it cannot be measured, and no_memory says why.
    """

    model: str
    seconds: float
    accelerator: str
    device_name: str
    weights: str
    placement: str
    dtype: str
    attention: str
    threads: int
    versions: Mapping[str, str]
    memory: Memory | None
    notes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    no_memory: str = ""

    def as_json(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "no_memory" or self.no_memory}
        lists = {name: list(fields[name]) for name in ("notes", "devices")}
        return {**fields, **lists, "versions": dict(self.versions), "memory": asdict(self.memory) if self.memory else None}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Loaded:
        lists = {name: tuple(data.get(name, ())) for name in ("notes", "devices")}
        return Loaded(**{**data, **lists, "memory": Memory(**data["memory"]) if data["memory"] else None})

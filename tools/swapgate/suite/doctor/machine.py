"""What this machine has, asked once: devices and driver by NVML, packages by their metadata, memory, the Hub's cache and its disk."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from swapgate.engines import fetching
from swapgate.suite import devices as seen
from swapgate.suite.doctor import hub


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A device that a model's process may use, in bytes."""

    uuid: str
    name: str
    total: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """gpus: in CUDA's order; why: why there is none; driver and driver_cuda: "580.65.06" and the highest CUDA that it runs, "13.0";
    torch and torch_cuda: "" where torch is not installed, or built without CUDA. Bytes of host memory and of the disk of `cache`.
    """

    gpus: tuple[Gpu, ...]
    why: str
    driver: str
    driver_cuda: str
    torch: str
    torch_cuda: str
    host_free: int
    cache: Path
    disk_free: int
    token: bool
    offline: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "gpus": [{"uuid": one.uuid, "name": one.name, "total_mib": one.total >> 20, "free_mib": one.free >> 20} for one in self.gpus],
            "why_none": self.why,
            "driver": self.driver,
            "driver_cuda": self.driver_cuda,
            "torch": self.torch,
            "torch_cuda": self.torch_cuda,
            "host_free_mib": self.host_free >> 20,
            "cache": str(self.cache),
            "disk_free_mib": self.disk_free >> 20,
            "token": self.token,
            "offline": self.offline,
        }


def look(environ: Mapping[str, str] = os.environ) -> Machine:
    """The machine as a process with this environment would find it."""
    import psutil

    gpus, why, driver, cuda = _gpus(environ)
    version, built = _torch()
    cache = fetching.cache(environ)
    return Machine(
        gpus=gpus,
        why=why,
        driver=driver,
        driver_cuda=cuda,
        torch=version,
        torch_cuda=built,
        host_free=int(psutil.virtual_memory().available),
        cache=cache,
        disk_free=shutil.disk_usage(next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())).free,
        token=hub.has_token(environ),
        offline=fetching.offline(environ),
    )


def installed(module: str) -> bool:
    """Whether a top-level package can be imported; it is not."""
    return find_spec(module) is not None


def text_of(module: str, file: str) -> str:
    """A file of an installed package, as text; "" where there is none."""
    spec = find_spec(module)
    path = Path(spec.origin).parent / file if spec and spec.origin else Path()
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _gpus(environ: Mapping[str, str]) -> tuple[tuple[Gpu, ...], str, str, str]:
    try:
        nvml: Any = import_module("pynvml")
        nvml.nvmlInit()
    except Exception as error:  # no module, no driver, no permission: each is the reason that is told
        return (), f"NVML cannot be used ({type(error).__name__}: {error})", "", ""
    try:
        driver = nvml.nvmlSystemGetDriverVersion()
        cuda = int(nvml.nvmlSystemGetCudaDriverVersion())
        found = tuple(_gpu(nvml, one) for one in seen.visible(environ))
    except nvml.NVMLError as error:
        return (), f"NVML cannot be asked ({error})", "", ""
    finally:
        nvml.nvmlShutdown()
    why = "" if found else "the driver shows no device that CUDA_VISIBLE_DEVICES leaves"
    return found, why, driver.decode() if isinstance(driver, bytes) else str(driver), f"{cuda // 1000}.{cuda % 1000 // 10}"


def _gpu(nvml: Any, one: seen.Device) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(one.uuid))
    return Gpu(uuid=one.uuid, name=one.name, total=int(memory.total), free=int(memory.free))


def _torch() -> tuple[str, str]:
    """Version and CUDA of torch as its version.py states them."""
    text = text_of("torch", "version.py")
    found = {name: re.search(rf"^{name}\b[^=]*=\s*'([^']+)'", text, re.MULTILINE) for name in ("__version__", "cuda")}
    version, cuda = (match.group(1) if match else "" for match in found.values())
    return version, cuda

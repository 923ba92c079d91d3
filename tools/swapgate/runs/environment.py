"""What a run was made with: package versions, Python, processor, accelerator, driver, and the project's commit.

Everything here is a suspect when a verdict says that something changed. Nothing heavy is imported: versions come from the
installed packages' metadata, the accelerator from NVML. What cannot be found out is None, never an error.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

RUN_FOLDER = "SWAPGATE_RUN"
"""In the environment of a model's process: the run's folder, for what is kept when something beside it fails (a server's log)."""
PACKAGES = (
    "accelerate",
    "diffusers",
    "flash-attn",
    "huggingface-hub",
    "numpy",
    "nvidia-ml-py",
    "open-clip-torch",
    "peft",
    "pillow",
    "safetensors",
    "scikit-image",
    "scipy",
    "sentencepiece",
    "swapgate",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
    "triton",
    "xformers",
)
"""Distributions that can change a picture, its cost or its score."""


def environment(root: Path) -> dict[str, Any]:
    """The environment as JSON data; `root` is the project's folder, whose commit is recorded."""
    return {
        "packages": versions(PACKAGES),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "host_memory_mib": host_memory_mib(),
        "accelerators": accelerators(),
        "git": git_state(root),
    }


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those packages that are installed, by name, without importing them."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """The processor's marketing name ("AMD EPYC 9534"), or the machine type where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host_memory_mib() -> float:
    """Memory of the machine in MiB: no process of it can have held more."""
    import psutil

    return round(psutil.virtual_memory().total / 2**20, 1)


def accelerators() -> dict[str, Any] | None:
    """Driver version and the names of the NVIDIA devices that NVML shows; None where there is no driver."""
    try:
        pynvml: Any = import_module("pynvml")
        pynvml.nvmlInit()
    except Exception:  # no module, no driver, no permission: all mean that there is nothing to name
        return None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return {"driver": _text(pynvml.nvmlSystemGetDriverVersion()), "names": [_text(pynvml.nvmlDeviceGetName(handle)) for handle in handles]}
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def git_state(root: Path) -> dict[str, Any] | None:
    """Commit and whether tracked files were changed; None outside a git work tree or without git."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

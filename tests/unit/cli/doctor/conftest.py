"""Machines of every kind for `swapgate doctor`: the Hub's cache as folders of its layout, NVML as a module that stands for it."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from swapgate.cli.main import main
from swapgate.suite.doctor import machine as machines
from swapgate.suite.doctor.memory import GIB

COMMIT = "1234567890abcdef1234567890abcdef12345678"
TASK = '[[task]]\nid = "cup"\nseeds = [1]\nwidth = 1024\nheight = 1024\nprompts = { en = "a cup" }\n'
INDEX = {
    "_class_name": "FluxPipeline",
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "image_encoder": [None, None],
}


class NvmlError(Exception):
    """As pynvml's."""


def nvml(
    *sizes: tuple[float, float], driver: str = "580.65.06", cuda: int = 13000, names: str = "NVIDIA H200", error: Exception | None = None
) -> SimpleNamespace:
    """A module that stands for pynvml: (total, free) GiB of each device."""

    def init() -> None:
        if error:
            raise error

    def memory(handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=int(sizes[handle][0] * GIB), free=int(sizes[handle][1] * GIB))

    def whole(handle: int) -> tuple[int, int]:
        return (0, 0)

    return SimpleNamespace(
        NVMLError=NvmlError,
        NVML_DEVICE_MIG_ENABLE=1,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: driver,
        nvmlSystemGetCudaDriverVersion=lambda: cuda,
        nvmlDeviceGetCount=lambda: len(sizes),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: int(uuid.removeprefix("GPU-")),
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}",
        nvmlDeviceGetName=lambda handle: names.encode(),
        nvmlDeviceGetMigMode=whole,
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 0,
        nvmlDeviceGetMemoryInfo=memory,
    )


def tensor_file(path: Path, *, floats: int = 1000, dtype: str = "BF16", cut: int = 0) -> Path:
    """A safetensors file of so many elements; `cut` bytes are missing at its end."""
    size = floats * {"BF16": 2, "F32": 4, "I8": 1}[dtype]
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": dtype, "shape": [floats], "data_offsets": [0, size]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((struct.pack("<Q", len(header)) + header + bytes(size))[: 8 + len(header) + size - cut])
    return path


class Cache:
    """The Hub's cache in a folder: blobs, snapshots of links to them, refs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def repository(self, source: str) -> Path:
        return self.folder / f"models--{source.replace('/', '--')}"

    def add(self, source: str, files: Mapping[str, bytes], *, commit: str = COMMIT, ref: str | None = "main") -> Path:
        """Files of an id at a commit; `ref` points to it."""
        repository = self.repository(source)
        for name, content in files.items():
            blob, link = repository / "blobs" / f"{commit[:8]}-{name.replace('/', '-')}", repository / "snapshots" / commit / name
            blob.parent.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(content)
            link.symlink_to(blob)
        if ref:
            (repository / "refs").mkdir(exist_ok=True)
            (repository / "refs" / ref).write_text(commit, encoding="utf-8")
        return repository / "snapshots" / commit

    def pipeline(self, tmp: Path, source: str = "black-forest-labs/FLUX.1-dev", **changes: bytes | None) -> Path:
        """A whole small pipeline; changes by name with "__" for "/", None to leave a file out."""
        weights = tensor_file(tmp / "w.safetensors").read_bytes()
        files = {
            "model_index.json": json.dumps(INDEX).encode(),
            "transformer/config.json": b"{}",
            "transformer/diffusion_pytorch_model.safetensors": weights,
            "scheduler/scheduler_config.json": b"{}",
            "tokenizer/vocab.json": b"{}",
            **{name.replace("__", "/"): content for name, content in changes.items()},
        }
        return self.add(source, {name: content for name, content in files.items() if content is not None})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty cache; nobody is logged in, downloads are allowed, torch is built for CUDA."""
    for name in ("HF_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "SWAPGATE_ALLOW_PICKLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(machines, "_torch", lambda: ("2.11.0+cu130", "13.0"))
    monkeypatch.setitem(sys.modules, "pynvml", nvml((140, 139)))
    return Cache(tmp_path / "hub")


class Doctor:
    """Runs the command in a project of one card, on the machine that was last described."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._capsys, self._monkeypatch = root, capsys, monkeypatch

    def __call__(self, card: str, *arguments: str) -> tuple[int, str]:
        """Exit status and output for a card of this text."""
        (self.root / "fixtures" / "models" / "m.toml").write_text(card, encoding="utf-8")
        status = main(["doctor", *(arguments or ("m",))])
        return status, self._capsys.readouterr().out

    def checks(self, out: str, name: str) -> list[str]:
        """The lines of one check."""
        return [line.strip() for line in out.splitlines() if line.strip().split(" ")[0] in ("ok", "note", "no") and line.split()[1] == name]

    def gpus(self, *sizes: tuple[float, float], cuda: int = 13000) -> None:
        """From now on the machine has these devices: (total, free) GiB."""
        self._monkeypatch.setitem(sys.modules, "pynvml", nvml(*sizes, cuda=cuda))

    def no_driver(self) -> None:
        """From now on NVML finds none."""
        self._monkeypatch.setitem(sys.modules, "pynvml", nvml(error=NvmlError("no driver")))

    def host(self, gib: int) -> None:
        """From now on so much of the host's memory is free."""
        self._monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=gib * GIB, total=gib * GIB))

    def tensor(self, path: Path, *, floats: int = 1000, dtype: str = "BF16", cut: int = 0) -> bytes:
        """The content of a safetensors file."""
        return tensor_file(path, floats=floats, dtype=dtype, cut=cut).read_bytes()


@pytest.fixture
def run(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """The command, on a machine with one H200 and an empty cache."""
    project = tmp_path / "project"
    for folder in ("models", "tasks"):
        (project / "fixtures" / folder).mkdir(parents=True)
    (project / "fixtures" / "tasks" / "f.toml").write_text(TASK, encoding="utf-8")
    (project / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.chdir(project)
    return Doctor(project, capsys, monkeypatch)

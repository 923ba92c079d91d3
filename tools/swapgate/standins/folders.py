"""The folders in which the stand-ins are shipped: half precision on disk, safetensors alone, digests beside them.

A folder is what `DiffusionPipeline.from_pretrained(folder)` loads, plus LICENSE, training.json (figures of every
stage) and SHA256SUMS in the format of sha256sum. Heavy packages are imported where they are used.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swapgate.errors import UserError

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

DIGESTS = "SHA256SUMS"
LICENCE = """SPDX-License-Identifier: Apache-2.0

The weights and files in this folder were trained from random numbers by the training code of this repository, on
pictures that the repository draws itself. They hold no part of any other model. They are licensed under the Apache
License, Version 2.0: see LICENSE at the root of the repository or https://www.apache.org/licenses/LICENSE-2.0
"""
FORBIDDEN = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def save_pipeline(pipeline: DiffusionPipeline, folder: Path) -> dict[str, Any]:
    """Write the pipeline into `folder` in half precision and return its size in bytes and number of parameters.

    Weights are written as float16, which keeps three more bits than bfloat16; the models' own configurations name
    float32, so that a plain `from_pretrained` computes in float32 throughout.

    Raises:
        UserError: a weight does not fit into float16.
    """
    import torch

    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    for name, part in parts.items():
        if not all(bool(p.detach().half().isfinite().all()) for p in part.parameters()):
            raise UserError(
                where=str(folder), key=name, rule="weights must be finite and fit into half precision",
                remedy="train again with a lower learning rate",
            )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    before = {name: next(part.parameters()).dtype for name, part in parts.items()}
    try:
        for part in parts.values():
            part.to(torch.float16)
        pipeline.save_pretrained(folder, safe_serialization=True)
    finally:
        for name, part in parts.items():
            part.to(before[name])
    for name in parts:
        _name_float32(folder / name / "config.json")
    (folder / "LICENSE").write_text(LICENCE, encoding="utf-8")
    write_digests(folder)
    return {
        "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()},
        "bytes": folder_bytes(folder),
    }


def load_pipeline(folder: Path, device: torch.device | str = "cpu") -> DiffusionPipeline:
    """Load a stand-in pipeline in float32 on `device`, without a progress bar.

    Raises:
        UserError: there is no pipeline in `folder`.
    """
    import torch
    from diffusers import DiffusionPipeline

    if not (folder / "model_index.json").exists():
        raise UserError(
            where=str(folder), rule="a stand-in's folder holds model_index.json and its parts",
            remedy="swapgate standins train, or restore fixtures/weights from the repository",
        )  # fmt: skip
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    return pipeline


def write_digests(folder: Path) -> Path:
    """Write SHA256SUMS over every other file of `folder`, sorted by path."""
    lines = [f"{_digest(folder / name)}  {name}\n" for name in _files(folder)]
    path = folder / DIGESTS
    path.write_text("".join(lines), encoding="utf-8")
    return path


def faults(folder: Path) -> list[str]:
    """What is wrong with a shipped folder, one sentence each: files changed, missing, unlisted or of a barred kind."""
    listed_at = folder / DIGESTS
    if not listed_at.exists():
        return [f"{DIGESTS} is missing"]
    rows = [line.split("  ", 1) for line in listed_at.read_text(encoding="utf-8").splitlines()]
    listed = {name: digest for digest, name in rows}
    present = _files(folder)
    found = [f"{name} is listed but missing" for name in sorted(set(listed) - set(present))]
    found += [f"{name} is not listed" for name in present if name not in listed]
    found += [f"{name} differs from its digest" for name in present if name in listed and _digest(folder / name) != listed[name]]
    found += [f"{name} may hold a pickle" for name in present if Path(name).suffix in FORBIDDEN]
    return found


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in `folder` together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(name for path in paths if (name := path.relative_to(folder).as_posix()) != DIGESTS)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _name_float32(config: Path) -> None:
    """Say float32 where a configuration says in which type to load, its nested ones included."""
    if not config.exists():
        return

    def renamed(value: object) -> object:
        if isinstance(value, dict):
            return {k: "float32" if k in ("dtype", "torch_dtype") and v else renamed(v) for k, v in value.items()}
        return value

    text = json.dumps(renamed(json.loads(config.read_text(encoding="utf-8"))), indent=2, ensure_ascii=False)
    config.write_text(text + "\n", encoding="utf-8")

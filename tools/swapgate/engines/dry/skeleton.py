"""A pipeline's folder without its weights: model_index.json, configurations and tokenizers, in the layout of `save_pretrained`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swapgate.engines.dry import tokenizers
from swapgate.engines.dry.architectures import Architecture, Part


def write(architecture: Architecture, folder: Path) -> Path:
    """Write the folder of an architecture; gives the folder."""
    import diffusers

    index: dict[str, Any] = {"_class_name": architecture.pipeline, "_diffusers_version": diffusers.__version__, **architecture.plain}
    made = {name: tokenizers.TABLE[kind]() for name, kind in architecture.tokenizers.items()}
    for name, tokenizer in made.items():
        tokenizer.save_pretrained(folder / name)
        index[name] = ["transformers", type(tokenizer).__name__]
    for name, part in architecture.parts.items():
        index[name] = [part.library, part.kind]
        write_part(part, folder / name, marks=_marks(part, made))
    (folder / "model_index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return folder


def write_part(part: Part, folder: Path, *, marks: Mapping[str, Any] | None = None) -> Path:
    """Write the configuration of one component; `marks` are entries that depend on its tokenizer."""
    scheduler = part.kind.endswith("Scheduler")
    named = {"_class_name": part.kind} if part.library == "diffusers" else {"architectures": [part.kind]}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("scheduler_config.json" if scheduler else "config.json")
    file.write_text(json.dumps({**named, **part.config, **(marks or {})}, indent=1), encoding="utf-8")
    return folder


def _marks(part: Part, made: Mapping[str, Any]) -> dict[str, Any]:
    """CLIP's pooled vector is read where the end of the text is, so its configuration has to know that token."""
    if part.kind != "CLIPTextModel":
        return {}
    clip = made["tokenizer"]
    return {"bos_token_id": clip.bos_token_id, "eos_token_id": clip.eos_token_id, "pad_token_id": clip.pad_token_id}

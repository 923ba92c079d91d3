"""The pipeline of a folder of configurations, with random weights that are drawn on the device.

Components are constructed where they are to be: tables of rotary positions are plain attributes, which moving from the "meta" device would
lose. At default initialisation a transformer is nearly blind to its text and to faults (0.5 % of its output), less than rounding is worth;
with the scales of queries and keys doubled and values and outputs tripled it answers text, LoRA and positions with a fifth of its output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from swapgate.engines.moving import to_host
from swapgate.errors import UserError

SEED = 2512
NORMS = re.compile(r"(?:^|\.)norm_(?:added_)?[qk]\.weight$")
OUTPUTS = re.compile(r"(?:^|\.)(?:to_v|add_v_proj|to_out\.0|to_add_out|proj_out)\.weight$")
ZEROS = re.compile(r"^controlnet_(?:blocks\.\d+|single_blocks\.\d+|x_embedder)\.weight$")
NORM_SCALE, OUTPUT_SCALE = 2.0, 3.0


def pipeline(
    folder: Path,
    kind: Any,
    *,
    dtype: torch.dtype,
    device: torch.device,
    given: Mapping[str, Any],
    keep: bool = False,
    each: Callable[[str, torch.nn.Module], None] | None = None,
) -> Any:
    """The pipeline of `folder`, of class `kind` (diffusers' own class of the folder for DiffusionPipeline).

    given: components that are there already (a ControlNet); the others are built. keep: on the host, where each component is moved once it is built, so
    that a model larger than the device can be drawn on it part by part. each: is given every built model (name, model) before that.
    """
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    if kind is diffusers.DiffusionPipeline:
        kind = getattr(diffusers, index["_class_name"])
    components: dict[str, Any] = dict(given)
    for name, value in index.items():
        if name.startswith("_") or name in components:
            continue
        components[name] = value if not isinstance(value, list) else _component(folder / name, value, dtype, device)
        if isinstance(components[name], torch.nn.Module):
            if each is not None:
                each(name, components[name])
            if keep:
                to_host(components[name])
    return kind(**components)


def component(folder: Path, kind: Any, *, dtype: torch.dtype, device: torch.device) -> Any:
    """One model of diffusers or transformers from its config.json, with scaled random weights, ready to be called."""
    with _drawn(dtype, device):
        if issubclass(kind, diffusers.ModelMixin):
            made: Any = kind.from_config(kind.load_config(folder))
        else:
            made = kind(transformers.AutoConfig.from_pretrained(folder))
    scale(made)
    return made.requires_grad_(requires_grad=False).eval()


def scale(model: torch.nn.Module) -> None:
    """Make a transformer of default initialisation answer to what it is given (see the module); a new ControlNet, whose outputs are zeros, too."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if NORMS.search(name):
                weight.mul_(NORM_SCALE)
            elif OUTPUTS.search(name):
                weight.mul_(OUTPUT_SCALE)
            elif ZEROS.search(name):
                weight.normal_(std=weight.shape[-1] ** -0.5)


def _component(folder: Path, named: list[Any], dtype: torch.dtype, device: torch.device) -> Any:
    library, kind_name = named
    if library is None or kind_name is None:
        return None
    if library not in ("diffusers", "transformers"):
        raise UserError(
            where=str(folder.parent / "model_index.json"),
            key=folder.name,
            value=library,
            rule="dry weights are of components of diffusers and transformers",
            remedy=f"leave {folder.name} out of the folder: [null, null]",
        )
    kind = getattr(diffusers if library == "diffusers" else transformers, kind_name)
    if isinstance(kind, type) and issubclass(kind, torch.nn.Module):
        return component(folder, kind, dtype=dtype, device=device)
    return kind.from_pretrained(folder)


@contextmanager
def _drawn(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """New tensors are of this dtype, on this device, drawn from one seed."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.manual_seed(SEED)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)

"""What a card may ask of the diffusers engine beyond the call itself, checked before anything is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from swapgate.cards import Card
from swapgate.errors import UserError

OFFLOADS = ("", "model", "sequential")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """attention: a backend of diffusers ("native", "flash", ...), "" for its default; offload: "model" or "sequential"
    keeps what does not run in host memory; vae_tiling, vae_slicing: decode in parts; tf32: allow it on CUDA;
    deterministic: ask torch for deterministic kernels; variant: of the weight files ("fp16"); lora: a folder, file or Hub id
    of a LoRA, lora_weight_name: its file, lora_scale: its strength.
    """

    attention: str = ""
    offload: str = ""
    vae_tiling: bool = False
    vae_slicing: bool = False
    tf32: bool = False
    deterministic: bool = False
    variant: str = ""
    lora: str = ""
    lora_weight_name: str = ""
    lora_scale: float = 1.0


KINDS: Mapping[str, type] = MappingProxyType({field.name: type(field.default) for field in fields(Options)})


def read_options(card: Card) -> Options:
    """The options of `card`; UserError for an unknown one, or one of the wrong type."""
    for name, value in card.options.items():
        kind = KINDS.get(name)
        if kind is None:
            near = difflib.get_close_matches(name, KINDS, n=1)
            raise _wrong(card, name, f"an option of the diffusers engine: {', '.join(KINDS)}", f"did you mean {near[0]!r}?" if near else "remove it")
        number = kind is float and isinstance(value, int) and not isinstance(value, bool)
        if not number and not isinstance(value, kind):
            raise _wrong(card, name, f"a value of type {kind.__name__}", f"write a {kind.__name__}")
    options = Options(**card.options)  # type: ignore[arg-type]  # checked against KINDS above
    if options.offload not in OFFLOADS:
        raise _wrong(card, "offload", "model or sequential", "choose one of them, or remove the option")
    return options


def _wrong(card: Card, name: str, rule: str, remedy: str) -> UserError:
    return UserError(where=str(card.path), key=f"options.{name}", value=card.options[name], rule=rule, remedy=remedy)

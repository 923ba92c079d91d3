"""What a card may ask of the diffusers engine beyond the call itself, checked before anything is loaded."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from swapgate.cards import Card
from swapgate.errors import UserError

OFFLOADS = ("", "model", "group", "sequential")
CACHES = ("", "first-block")
BALANCED = "balanced"
ALLOW_PICKLE = "SWAPGATE_ALLOW_PICKLE"
"""Set by `pytest --allow-pickle`: files that can run code when they are read may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """attention: a backend of diffusers ("native", "flash", ...), "" for its default; offload: "model", "group" or "sequential"
    keeps what does not run in host memory; device_map: "balanced" spreads the components over all devices that the process sees;
    vae_tiling, vae_slicing: decode in parts; tf32: allow it on CUDA; deterministic: ask torch for deterministic kernels;
    compile: the denoiser's repeated blocks by torch.compile; cache: "first-block" skips blocks whose input hardly changed, by less than
    cache_threshold; variant: of the weight files ("fp16"); pickle: read *.bin files where there are no *.safetensors.
    """

    attention: str = ""
    offload: str = ""
    device_map: str = ""
    vae_tiling: bool = False
    vae_slicing: bool = False
    tf32: bool = False
    deterministic: bool = False
    compile: bool = False
    cache: str = ""
    cache_threshold: float = 0.05
    variant: str = ""
    pickle: bool = False


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
        raise _wrong(card, "offload", "model, group or sequential", "choose one of them, or remove the option")
    if options.cache not in CACHES:
        raise _wrong(card, "cache", "first-block", "write it so, or remove the option")
    if options.device_map not in ("", BALANCED):
        raise _wrong(card, "device_map", BALANCED, "write it so, or remove the option")
    if options.device_map and options.offload:
        raise _wrong(card, "device_map", "either spread over devices or offloaded to the host", "remove one of device_map and offload")
    if options.pickle and os.environ.get(ALLOW_PICKLE) != "1":
        raise _wrong(card, "pickle", "reading *.bin files can run code, so it must be allowed in the run, too", "pytest --allow-pickle")
    return options


def _wrong(card: Card, name: str, rule: str, remedy: str) -> UserError:
    return UserError(where=str(card.path), key=f"options.{name}", value=card.options[name], rule=rule, remedy=remedy)

"""How many parameters the components of published models have, so that their size is known without building or fetching them.

tests/unit/engines/test_dry.py holds each against the classes: the architectures of the same names, built without memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.engines.dry.architectures import ARCHITECTURES, of_source

_FLUX_TEXT = {"text_encoder": 123_060_480, "text_encoder_2": 4_762_310_656}
_QWEN3 = 4_022_468_096

PARAMETERS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "qwen-image": {"transformer": 20_430_401_088, "text_encoder": 8_292_166_656, "vae": 126_892_531},
        "flux-1-dev": {"transformer": 11_901_408_320, **_FLUX_TEXT, "vae": 83_819_683},
        "flux-1-schnell": {"transformer": 11_891_178_560, **_FLUX_TEXT, "vae": 83_819_683},
        "flux-2-klein-4b": {"transformer": 3_875_544_576, "text_encoder": _QWEN3, "vae": 84_046_115},
        "z-image-turbo": {"transformer": 6_154_908_736, "text_encoder": _QWEN3, "vae": 83_819_683},
    }
)
"""By the name of an architecture, then of a component."""

CONTROLS: Mapping[str, int] = MappingProxyType(
    {
        "InstantX/Qwen-Image-ControlNet-Union": 1_768_003_584,
        "Shakker-Labs/FLUX.1-dev-ControlNet-Union-Pro-2.0": 2_140_876_800,
    }
)
"""By the Hub id of a ControlNet."""

BYTES: Mapping[str, int] = MappingProxyType({"float32": 4, "bfloat16": 2, "float16": 2})


def drawn_bytes(card: Card) -> int | None:
    """Bytes of the weights that a card draws on a device, its ControlNet and refiner included; None where their number is not known.

    Of a local folder its weight files count, if it has any: what is drawn has their shapes.
    """
    refiner, control = card.parts.refiner, card.parts.control
    sources = [(card.source, card.architecture), *([(refiner.source, refiner.architecture)] if refiner else [])]
    element = BYTES[card.dtype["cuda"]]
    found = [_of_pipeline(place(card.root, source), source, named, element) for source, named in sources]
    if control:
        found.append(CONTROLS[control.source] * element if control.source in CONTROLS else _of_files(card.root / control.source))
    known = [size for size in found if size is not None]
    return sum(known) if len(known) == len(found) else None


def _of_pipeline(folder: Path, source: str, named: str, element: int) -> int | None:
    if folder.is_dir():
        return _of_files(folder)
    architecture = of_source(source, named)
    name = next((name for name, one in ARCHITECTURES.items() if one is architecture), "")
    return sum(PARAMETERS[name].values()) * element if name else None


def _of_files(folder: Path) -> int | None:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors")) or None

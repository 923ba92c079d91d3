"""How many parameters the components of published models have, so that their size is known without building or fetching them.

tests/unit/engines/test_dry.py holds each against the classes: the architectures of the same names, built without memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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

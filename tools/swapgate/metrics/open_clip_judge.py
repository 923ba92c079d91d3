"""A judge by open_clip: a folder with its own configuration, or a published model by name and tag.

    OpenClipJudge("local-dir:fixtures/weights/standin-clip")
    OpenClipJudge(("ViT-B-32-SigLIP2-256", "webli"))

A folder holds `open_clip_config.json`, `open_clip_model.safetensors` and the tokenizer's files; its
configuration may state the languages that its tokenizer and model can read: {"swapgate": {"languages": ["en",
"zh"]}}.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from swapgate.errors import UserError
from swapgate.metrics.clip import Features
from swapgate.metrics.pixels import Image, require_rgb
from swapgate.metrics.threads import borrowed, side_by_side

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

SMALL_WORK = 50e6
"""Parameters times items of a forward below which one thread is quicker: waking and stopping a second one costs more."""

LOCAL = "local-dir:"
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
MULTILINGUAL = ("siglip2", "i18n", "xlm-roberta", "nllb", "mt5", "worldwide")
"""Parts of the names of open_clip's models that read Chinese as well; every other name reads English only."""
DEFAULT_REMEDY = 'judge with a model that reads en and zh: "local-dir:fixtures/weights/standin-clip" or ("ViT-B-32-SigLIP2-256", "webli")'
_CHINESE = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3134F))


def is_chinese(text: str) -> bool:
    """Whether the text holds a Chinese character (a CJK ideograph of any Unicode block)."""
    return any(low <= ord(letter) <= high for letter in text for low, high in _CHINESE)


class OpenClipJudge:
    """Pictures and texts to unit vectors by an open_clip model, in float32; see
    `swapgate.metrics.clip.Judge`.

    Args:
        source: "local-dir:<folder>", or (name, tag) of a published model.
        device: where it runs, for example "cpu" or "cuda".
        threads: processor threads while it computes, at most; the process's own setting comes back afterwards.
        batch: pictures or texts in one forward.

    Raises:
        UserError: the folder, name or weights are not there.
    """

    def __init__(self, source: str | tuple[str, str], *, device: str = "cpu", threads: int = 2, batch: int = 32) -> None:
        self._parts = _load(source, device)
        self._name = _name(source)
        self._identity = f"{self._name}@sha256:{_digest(self._parts)}"
        self._device, self._threads, self._batch = device, threads, batch
        self._size = sum(parameter.numel() for parameter in self._parts.model.parameters())
        self._known: dict[str, Features] = {}
        self._seen: dict[bytes, Features] = {}

    @property
    def identity(self) -> str:
        """Name and SHA-256 over weights, tokenizer and preprocessing: what scores depend on, and no path."""
        return self._identity

    @property
    def device(self) -> str:
        """Where it computes. Scores do not depend on it by more than 1e-5, and so it is no part of the identity."""
        return self._device

    @property
    def languages(self) -> frozenset[str]:
        """Languages the judge can read, as "en" and "zh"."""
        return self._parts.languages

    def image_features(self, images: Sequence[Image]) -> Features:
        """Unit vectors [n, d] float32 of n pictures, each [H, W, 3] uint8; a picture seen before costs its hash.

        Raises:
            ValueError: anything that is no picture.
        """
        import torch

        for image in images:
            require_rgb(image)
        keys = side_by_side(_pixels_key, images)
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._seen}

        def encode(chunk: Sequence[Image]) -> torch.Tensor:
            # Resized as open_clip does it, by Pillow: its rounding to whole levels is part of the score. The rest is one tensor's work.
            pixels = torch.from_numpy(np.stack(side_by_side(self._parts.resized, chunk))).to(self._device)
            scaled = self._parts.normalise(pixels.permute(0, 3, 1, 2).float().div(255))
            found: torch.Tensor = self._parts.model.encode_image(scaled, normalize=True)
            return found

        if new:
            self._seen.update(zip(new, self._in_chunks(list(new.values()), encode), strict=True))
        return self._stacked([self._seen[key] for key in keys])

    def text_features(self, texts: Sequence[str]) -> Features:
        """Unit vectors [n, d] float32 of n texts; a text seen before costs nothing.

        Raises:
            UserError: a text is Chinese and the judge reads English only.
        """
        self._check_language(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]

        def encode(chunk: Sequence[str]) -> torch.Tensor:
            found: torch.Tensor = self._parts.model.encode_text(self._parts.tokenizer(list(chunk)).to(self._device), normalize=True)
            return found

        if new:  # borrowing torch's threads for nothing costs more than looking the texts up
            self._known.update(zip(new, self._in_chunks(new, encode), strict=True))
        return self._stacked([self._known[text] for text in texts])

    def _stacked(self, found: list[Features]) -> Features:
        return np.stack(found) if found else np.zeros((0, self._parts.width), np.float32)

    def _check_language(self, texts: Sequence[str]) -> None:
        if "zh" in self.languages:
            return
        for text in texts:
            if is_chinese(text):
                raise UserError(
                    where=f"judge {self._name}",
                    key="text",
                    value=text,
                    rule="an English-only judge is not asked about Chinese: its score would mean nothing",
                    remedy=DEFAULT_REMEDY,
                )

    def _in_chunks(self, items: list[T], encode: Callable[[list[T]], torch.Tensor]) -> Features:
        import torch

        chunks = [items[at : at + self._batch] for at in range(0, len(items), self._batch)]
        threads = self._threads if self._size * len(chunks[0]) > SMALL_WORK else 1
        # Convolutions of single precision are cut to ten bits on newer GPUs unless told otherwise; a score should be that of a CPU.
        with torch.inference_mode(), borrowed(threads), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = [encode(chunk).float() for chunk in chunks]
            return np.concatenate([features.cpu().numpy() for features in found])


def _pixels_key(image: Image) -> bytes:
    """Equal for equal pictures only; the drift metrics ask for the same picture that alignment has just asked for."""
    found = hashlib.sha256(f"{image.shape}".encode())
    found.update(np.ascontiguousarray(image).data)
    return found.digest()


class _Parts(NamedTuple):
    """resized: a picture as the model takes it, [h, w, 3] uint8; normalise: float32 [n, 3, h, w] in [0, 1] to what the model reads."""

    model: Any
    resized: Callable[[Image], Image]
    normalise: Callable[[torch.Tensor], torch.Tensor]
    tokenizer: Callable[[list[str]], torch.Tensor]
    languages: frozenset[str]
    width: int


def _name(source: str | tuple[str, str]) -> str:
    return source.rstrip("/").rsplit("/", 1)[-1].removeprefix(LOCAL) if isinstance(source, str) else "/".join(source)


def _load(source: str | tuple[str, str], device: str) -> _Parts:
    """Build model, preprocessing and tokenizer; nothing that is missing is replaced by random weights."""
    import open_clip
    from open_clip.factory import get_model_config
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name, tag = (source, None) if isinstance(source, str) else source
    if isinstance(source, str):
        _require_folder(source)
    try:
        model = open_clip.create_model(name, pretrained=tag, precision="fp32", device=device, require_pretrained=True)
        tokenizer = open_clip.get_tokenizer(name)
    except (RuntimeError, OSError, ValueError) as reason:
        raise UserError(
            where="judge",
            key="source",
            value=source,
            rule="an open_clip folder, or name and tag of a published model whose weights can be had here",
            remedy=f"{DEFAULT_REMEDY}; open_clip said: {reason}",
        ) from reason
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    width = int((get_model_config(name) or {})["embed_dim"])
    return _Parts(model.eval(), *_halves(preprocess), tokenizer, _languages(source), width)


def _halves(preprocess: Any) -> tuple[Callable[[Image], Image], Callable[[torch.Tensor], torch.Tensor]]:
    """open_clip's steps before and after the picture becomes a tensor, so that only the first are taken picture by picture."""
    from PIL import Image as Pillow
    from torchvision.transforms import Normalize, ToTensor

    *shaping, to_tensor, normalise = preprocess.transforms
    if not isinstance(to_tensor, ToTensor) or not isinstance(normalise, Normalize):
        raise TypeError(f"open_clip prepares pictures in another way than is known here: {preprocess}")

    def resized(image: Image) -> Image:
        picture: Any = Pillow.fromarray(image)
        for step in shaping:
            picture = step(picture)
        return np.asarray(picture)

    return resized, normalise


def _require_folder(source: str) -> None:
    folder = Path(source.removeprefix(LOCAL))
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / name).is_file()]
    if source.startswith(LOCAL) and not missing:
        return
    raise UserError(
        where="judge",
        key="source",
        value=source,
        rule=f'"{LOCAL}<folder>" of a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, or a pair (name, tag)',
        remedy=DEFAULT_REMEDY + (f"; missing: {', '.join(missing)}" if missing else ""),
    )


def _languages(source: str | tuple[str, str]) -> frozenset[str]:
    if isinstance(source, str):
        config = json.loads((Path(source.removeprefix(LOCAL)) / CONFIG_FILE).read_text(encoding="utf-8"))
        return frozenset(config.get("swapgate", {}).get("languages", ["en"]))
    name = source[0].lower()
    return frozenset({"en", "zh"}) if any(part in name for part in MULTILINGUAL) else frozenset({"en"})


def _digest(parts: _Parts) -> str:
    """SHA-256 over everything that a score depends on and that a folder or a download could change."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(parts.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    probe = parts.tokenizer(["a red cup on a table, please", "桌上的一只红色杯子"])
    digest.update(probe.numpy().tobytes())
    digest.update(json.dumps(parts.model.visual.preprocess_cfg, sort_keys=True, default=str).encode())
    return digest.hexdigest()

"""The diffusers engine: any text-to-image pipeline that `DiffusionPipeline.from_pretrained` loads.

Every image is drawn from its own fresh CPU generator, so that a seed means the same noise on every device, whatever was
made before and however many images a call has (diffusers, "Reproducibility"). cuDNN does not try kernels out, TF32 is
off unless the card allows it, and cuBLAS has a fixed workspace (the host's environment).
"""

from __future__ import annotations

import difflib
import gc
import inspect
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch

from swapgate.cards import Card
from swapgate.engines import faults
from swapgate.engines.base import Identity, is_out_of_memory
from swapgate.engines.diffusers_options import Options, read_options
from swapgate.engines.registry import Setting
from swapgate.engines.weights import config_identity, weights_identity
from swapgate.errors import UserError
from swapgate.meters.clock import Attachment, StageClock
from swapgate.meters.gpu import meters_for
from swapgate.meters.kinds import Meters
from swapgate.plan import Call
from swapgate.runs.environment import accelerators, versions
from swapgate.runs.pixels import Pixels

_PACKAGES = ("accelerate", "diffusers", "flash-attn", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers", "triton", "xformers")
_OWN = ("prompt", "negative_prompt", "width", "height", "num_images_per_prompt", "generator", "output_type", "callback_on_step_end")
"""Arguments that come from the request and not from the card's [call]."""


def create(card: Card, setting: Setting) -> DiffusersEngine:
    """The engine of a card, nothing loaded yet. UserError for an option or a fault that does not exist."""
    for spec in card.faults:
        faults.parse(spec, where=str(card.path))
    return DiffusersEngine(card, read_options(card), setting)


class DiffusersEngine:
    """See the module."""

    def __init__(self, card: Card, options: Options, setting: Setting) -> None:
        self._card, self._options, self._setting = card, options, setting
        self._device = _device(card)
        self._dtype: torch.dtype = getattr(torch, card.dtype[self._device.type])
        self._folder = Path()
        self._pipe: Any = None
        self._planted: tuple[faults.Planted, ...] = ()
        self._notes: list[str] = []
        if setting.threads is not None:
            torch.set_num_threads(setting.threads)

    def load(self) -> None:
        _settle(self._options)
        _vary(self._setting.numerics)
        kind = _pipeline_class(self._card)
        self._folder = _folder(self._card, self._options, kind)
        self._pipe = _loaded(self._card, self._options, kind, self._folder, self._dtype)
        self._pipe.set_progress_bar_config(disable=True)
        self._parameters = inspect.signature(self._pipe.__call__).parameters
        self._check_call()
        self._adapt()
        self._place()
        self._attachment = Attachment(self._pipe)
        self._planted = tuple(faults.apply(self._pipe, spec, where=str(self._card.path)) for spec in self._card.faults)

    def identity(self) -> Identity:
        found = versions(_PACKAGES) | {"model config": config_identity(self._folder), "pipeline": type(self._pipe).__name__}
        if self._device.type == "cuda":
            cudnn: Any = torch.backends.cudnn
            found |= {"cuda": str(torch.version.cuda), "cudnn": str(cudnn.version())}
            driver = accelerators()
            found |= {"driver": driver["driver"]} if driver else {}
        return Identity(
            weights=weights_identity(self._folder, *self._lora_files()),
            versions=found,
            placement=self._placement(),
            dtype=str(self._dtype).removeprefix("torch."),
            attention=_attention(self._options),
            threads=torch.get_num_threads(),
        )

    def meters(self) -> Meters:
        return meters_for(str(self._device))

    def make(self, call: Call, clock: StageClock) -> list[Pixels]:
        self._notes = []
        arguments = self._arguments(call)
        for planted in self._planted:
            arguments = planted.arguments(arguments)
        self._attachment.clock = clock
        try:
            with torch.no_grad():
                pictures = self._pipe(**arguments, **self._attachment.arguments()).images
        except Exception as error:
            if is_out_of_memory(error):
                _let_go()
            raise
        finally:
            self._attachment.clock = None
        for planted in self._planted:
            planted.after(len(call.requests))
        return self._as_pixels(pictures)

    def notes(self) -> tuple[str, ...]:
        return (*(faults.note(planted.activity(), acted=planted.acted()) for planted in self._planted), *self._notes)

    def close(self) -> None:
        self._pipe = None
        _let_go()

    def _arguments(self, call: Call) -> dict[str, Any]:
        first = call.first
        generators = [torch.Generator("cpu").manual_seed(request.image_seed) for request in call.requests]
        given: dict[str, Any] = {
            **dict(first.call),
            "prompt": first.prompt,
            "width": first.width,
            "height": first.height,
            "output_type": "np",
            "num_images_per_prompt": len(generators),
            "generator": generators if len(generators) > 1 else generators[0],
        }
        if first.negative_prompt is not None:
            if "negative_prompt" in self._parameters:
                given["negative_prompt"] = first.negative_prompt
            else:
                self._notes.append(f"negative prompt: {type(self._pipe).__name__} takes none, so it was not used")
        return given

    def _as_pixels(self, pictures: Any) -> list[Pixels]:
        values = np.asarray(pictures, dtype=np.float32)
        broken = int((~np.isfinite(values)).any(axis=(1, 2, 3)).sum())
        if broken:
            self._notes.append(f"pixels: {broken} images hold values that are no numbers; they are shown as black")
        whole = (np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0) * 255).round().astype(np.uint8)
        return list(whole)

    def _check_call(self) -> None:
        for name in self._card.call:
            if name in _OWN:
                raise self._wrong(f"call.{name}", self._card.call[name], "this comes from the task or from the suite", "remove it from [call]")
            if name not in self._parameters:
                near = difflib.get_close_matches(name, self._parameters, n=1)
                raise self._wrong(
                    f"call.{name}",
                    self._card.call[name],
                    f"an argument of {type(self._pipe).__name__}",
                    f"did you mean {near[0]!r}?" if near else "remove it from [call]",
                )

    def _adapt(self) -> None:
        """LoRA, tiling, attention: what changes the loaded pipeline before it is placed."""
        options, pipe = self._options, self._pipe
        if options.lora:
            _load_lora(self._card, options, pipe)
        if options.vae_tiling:
            pipe.vae.enable_tiling()
        if options.vae_slicing:
            pipe.vae.enable_slicing()
        if options.attention:
            try:
                faults.denoiser(pipe).set_attention_backend(options.attention)
            except (ValueError, RuntimeError, ImportError) as error:
                raise self._wrong(
                    "options.attention",
                    options.attention,
                    f"a backend that works here ({error})",
                    'write "native", or install the package of the backend',
                ) from None

    def _place(self) -> None:
        if not self._options.offload:
            self._pipe.to(self._device)
        elif self._device.type != "cuda":
            raise self._wrong(
                "options.offload",
                self._options.offload,
                "offloading moves parts between a CUDA device and the host",
                "remove it, or run on a CUDA device",
            )
        elif self._options.offload == "model":
            self._pipe.enable_model_cpu_offload(device=self._device)
        else:
            self._pipe.enable_sequential_cpu_offload(device=self._device)

    def _placement(self) -> str:
        chosen = {
            f"{self._options.offload}-offload": bool(self._options.offload),
            "vae-tiling": self._options.vae_tiling,
            "vae-slicing": self._options.vae_slicing,
        }
        return "+".join([self._device.type, *(name for name, on in chosen.items() if on)])

    def _lora_files(self) -> list[Path]:
        source = self._card.root / self._options.lora
        if not self._options.lora or not source.exists():
            return []
        return [source / self._options.lora_weight_name] if self._options.lora_weight_name else [source]

    def _wrong(self, key: str, value: object, rule: str, remedy: str) -> UserError:
        return UserError(where=str(self._card.path), key=key, value=value, rule=rule, remedy=remedy)


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids downloads."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")


def _device(card: Card) -> torch.device:
    there = torch.cuda.is_available()
    if card.device == "cuda" and not there:
        raise UserError(
            where=str(card.path),
            key="device",
            value=card.device,
            rule="torch must see a CUDA device",
            remedy='run on a machine with one, or write device = "auto"',
        )
    if card.device == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def _settle(options: Options) -> None:
    """Process-wide switches, before anything runs."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = options.tf32
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    if options.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    diffusers.utils.logging.disable_progress_bar()


def _vary(numerics: Mapping[str, str]) -> None:
    """Other kernels for the same arithmetic, which stays legal: attention by plain matrix products, products summed in full precision."""
    if numerics.get("attention") == "math":
        for enable in (torch.backends.cuda.enable_flash_sdp, torch.backends.cuda.enable_mem_efficient_sdp, torch.backends.cuda.enable_cudnn_sdp):
            enable(False)
    if numerics.get("accumulation") == "full":
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def _pipeline_class(card: Card) -> Any:
    if card.pipeline is None:
        return diffusers.DiffusionPipeline
    found = getattr(diffusers, card.pipeline, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        near = difflib.get_close_matches(card.pipeline, [name for name in dir(diffusers) if name.endswith("Pipeline")], n=1)
        raise UserError(
            where=str(card.path),
            key="pipeline",
            value=card.pipeline,
            rule=f"a pipeline of diffusers {diffusers.__version__}",
            remedy=f"did you mean {near[0]!r}?" if near else "remove it: the model's own folder names its pipeline",
        )
    return found


def _folder(card: Card, options: Options, kind: Any) -> Path:
    """The folder with the model's files: the card's own, or the Hub's snapshot, downloaded when that is allowed."""
    local = card.root / card.source
    if local.is_dir():
        return local
    named: Mapping[str, Any] = {"revision": card.revision, "variant": options.variant or None}
    try:
        return Path(kind.download(card.source, use_safetensors=True, local_files_only=offline(), **named))
    except (OSError, ValueError) as error:
        revision = f" --revision {card.revision}" if card.revision else ""
        raise UserError(
            where=str(card.path),
            key="source",
            value=card.source,
            rule=f"the weights must be in the Hub's cache or downloadable ({_short(error)})",
            remedy=f"hf download {card.source}{revision}   (a gated model also needs: hf auth login)",
        ) from None


def _loaded(card: Card, options: Options, kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    from safetensors import SafetensorError

    try:
        return kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True, variant=options.variant or None)
    except (OSError, SafetensorError) as error:
        raise UserError(
            where=str(card.path),
            key="source",
            value=card.source,
            rule=f"a whole pipeline folder with *.safetensors files ({_short(error)})",
            remedy=f"fetch it again: hf download <model id> --local-dir {card.source}",
        ) from None


def _load_lora(card: Card, options: Options, pipe: Any) -> None:
    """Load the LoRA and make sure that it found layers: keys that match nothing are skipped in silence."""
    local = card.root / options.lora
    named = {"weight_name": options.lora_weight_name} if options.lora_weight_name else {}
    try:
        pipe.load_lora_weights(str(local) if local.exists() else options.lora, adapter_name="card", local_files_only=offline(), **named)
    except (OSError, ValueError) as error:
        raise UserError(
            where=str(card.path),
            key="options.lora",
            value=options.lora,
            rule=f"a LoRA that this pipeline can load ({_short(error)})",
            remedy="correct the path, or pip install peft",
        ) from None
    layers = sum(1 for module in faults.denoiser(pipe).modules() if "card" in getattr(module, "lora_A", {}))
    if not layers:
        raise UserError(
            where=str(card.path),
            key="options.lora",
            value=options.lora,
            rule="a LoRA with layers of this denoiser; none matched",
            remedy="take a LoRA that was trained on this model",
        )
    pipe.set_adapters(["card"], [options.lora_scale])


def _attention(options: Options) -> str:
    if options.attention:
        return options.attention
    try:
        registry: Any = import_module("diffusers.models.attention_dispatch")
        return str(registry._AttentionBackendRegistry.get_active_backend()[0].value)  # noqa: SLF001 - no public name
    except (ImportError, AttributeError):  # private to diffusers: without it the default has no name
        return "default"


def _let_go() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _short(error: Exception, limit: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"

"""The diffusers engine: any text-to-image pipeline that `DiffusionPipeline.from_pretrained` loads, with the parts that its card names.

Every image is drawn from its own fresh CPU generator, so that a seed means the same noise on every device, whatever was
made before and however many images a call has (diffusers, "Reproducibility"). cuDNN does not try kernels out, TF32 is
off unless the card allows it, and cuBLAS has a fixed workspace (the host's environment).
"""

from __future__ import annotations

import difflib
import gc
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import numpy.typing as npt
import torch

from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.engines import adapting, faults, fetching, pipelines, quantising
from swapgate.engines.base import Identity, is_out_of_memory
from swapgate.engines.diffusers_options import Options, read_options
from swapgate.engines.moving import to_host
from swapgate.engines.proofs import Proofs
from swapgate.engines.refining import Refining, prompt_of
from swapgate.engines.registry import Setting
from swapgate.engines.weights import config_identity, weights_identity
from swapgate.errors import UserError
from swapgate.meters.clock import Attachment, StageClock
from swapgate.meters.gpu import meters_for
from swapgate.meters.kinds import Meters
from swapgate.plan import REFINER_PROMPT, Call
from swapgate.runs.environment import accelerators, versions
from swapgate.runs.pixels import Pixels

_PACKAGES = (
    "accelerate", "bitsandbytes", "diffusers", "flash-attn", "gguf", "numpy", "peft", "safetensors", "tokenizers", "torch", "torchao", "transformers",
    "triton", "xformers",
)  # fmt: skip
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
        device = _device(card)
        self._where = pipelines.Where(device=device, dtype=getattr(torch, card.dtype[device.type]), offloaded=bool(options.offload))
        self._folder = Path()
        self._pipe: Any = None
        self._attachment: Attachment | None = None
        self._refining: Refining | None = None
        self._planted: tuple[faults.Planted, ...] = ()
        self._notes: list[str] = []
        if setting.threads is not None:
            torch.set_num_threads(setting.threads)

    def load(self) -> None:
        self.assemble()
        self.place()
        _let_go()  # what was there only meanwhile (weights before they were quantised) is not the model's

    def assemble(self, *, on_host: bool = False, each: pipelines.Each | None = None) -> None:
        """Everything of `load` but the placing; on_host: no component stays on the device, each: see `pipelines.load`."""
        _settle(self._options)
        _vary(self._setting.numerics)
        card, options = self._card, self._options
        where = replace(self._where, offloaded=self._where.offloaded or on_host)
        given = {"controlnet": pipelines.control(card, where)} if card.parts.control else {}
        found = pipelines.load(pipelines.source_of(card), options, where, given=given, each=each)
        self._pipe, self._folder = found.pipe, found.folder
        self._notes += found.notes
        self._pipe.set_progress_bar_config(disable=True)
        self._parameters = inspect.signature(self._pipe.__call__).parameters
        self._check_call()
        adapting.schedule(self._pipe, card.parts.scheduler, card)
        adapting.add_loras(self._pipe, card)
        quantising.cast(self._pipe, card.parts.quantisation, card, self._where.dtype)
        adapting.adapt(self._pipe, options, card)
        if on_host:
            to_host(self._pipe)  # bitsandbytes quantises on the device, whatever it is asked
            self._refining = Refining(card, options, where) if card.parts.refiner else None

    def place(self) -> None:
        """Put what was assembled where it runs; again after `to_host`."""
        card, options = self._card, self._options
        adapting.place(self._pipe, options, self._where, card)
        if self._attachment is None:
            self._attach()
        if self._refining:
            self._refining.place(options, self._where, card)

    def to_host(self) -> None:
        """Take everything off the device, where it was put there as a whole; it can be placed again."""
        for pipe in (self._pipe, *([self._refining.pipe] if self._refining else [])):
            to_host(pipe)
        _let_go()

    def _attach(self) -> None:
        card, options = self._card, self._options
        self._attachment = Attachment(self._pipe)
        self._proofs = Proofs(card, options, self._pipe)
        if card.parts.refiner and self._refining is None:
            self._refining = Refining(card, options, self._where)
        self._planted = tuple(faults.apply(self._pipe, spec, where=str(card.path)) for spec in card.faults)

    def identity(self) -> Identity:
        found = versions(_PACKAGES) | {"model config": config_identity(self._folder), "pipeline": type(self._pipe).__name__}
        if self._where.device.type == "cuda":
            cudnn: Any = torch.backends.cudnn
            found |= {"cuda": str(torch.version.cuda), "cudnn": str(cudnn.version())}
            driver = accelerators()
            found |= {"driver": driver["driver"]} if driver else {}
        return Identity(
            weights=self._weights(),
            versions=found,
            placement=adapting.placement(self._options, self._card, self._where),
            dtype=str(self._where.dtype).removeprefix("torch."),
            attention=adapting.attention(self._options),
            threads=torch.get_num_threads(),
        )

    @property
    def pipe(self) -> Any:
        """The pipeline, when it is assembled."""
        return self._pipe

    @property
    def where(self) -> pipelines.Where:
        """Where it runs."""
        return self._where

    def meters(self) -> Meters:
        return meters_for(str(self._where.device), spread=bool(self._options.device_map))

    def make(self, call: Call, clock: StageClock) -> list[Pixels]:
        self._notes = []
        arguments = self._arguments(call)
        for planted in self._planted:
            arguments = planted.arguments(arguments)
        assert self._attachment is not None
        self._attachment.clock = clock
        try:
            with torch.no_grad():
                pictures: npt.NDArray[np.float32] = np.asarray(self._pipe(**arguments, **self._attachment.arguments()).images, dtype=np.float32)
                if self._refining:
                    pictures = self._refining.make(pictures, self._handed_on(call, arguments), clock)
        except Exception as error:
            if is_out_of_memory(error):
                _let_go()
            raise
        finally:
            self._attachment.clock = None
        clock.stop()
        self._notes += self._proofs.prove()
        for planted in self._planted:
            planted.after(len(call.requests))
        return self._as_pixels(pictures)

    def notes(self) -> tuple[str, ...]:
        return (*(faults.note(planted.activity(), acted=planted.acted()) for planted in self._planted), *self._notes)

    def close(self) -> None:
        if self._refining:
            self._refining.close()
        self._pipe = None
        _let_go()

    def _arguments(self, call: Call) -> dict[str, Any]:
        first = call.first
        generators = _generators(call)
        given: dict[str, Any] = {
            **{name: value for name, value in first.call if name != REFINER_PROMPT},
            **self._control(),
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

    def _control(self) -> dict[str, Any]:
        """The picture that a ControlNet follows, and how strongly."""
        control = self._card.parts.control
        if control is None:
            return {}
        from PIL import Image

        with Image.open(self._card.root / control.image) as picture:
            image = picture.convert("RGB")
        return {
            "control_image": image,
            "controlnet_conditioning_scale": control.scale,
            "control_guidance_start": control.start,
            "control_guidance_end": control.end,
        }

    def _handed_on(self, call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the refiner is given of a call: its own generators begin where the model's began."""
        generators = _generators(call)
        own = {name: arguments[name] for name in ("width", "height", "output_type", "num_images_per_prompt")}
        prompt = prompt_of(dict(call.first.call), call.first.prompt)
        return {**own, "prompt": prompt, "generator": generators if len(generators) > 1 else generators[0]}

    def _as_pixels(self, values: npt.NDArray[np.float32]) -> list[Pixels]:
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

    def _weights(self) -> str:
        """The hash of every file of weights; of dry ones, of what they were drawn by."""
        folders = [self._folder, *([self._refining.folder] if self._refining else [])]
        if self._card.dry:
            return digest(["dry", *(config_identity(folder) for folder in folders)])
        return weights_identity(*folders, *self._more_files())

    def _more_files(self) -> list[Path]:
        """Weights that lie elsewhere, in the project or in the Hub's cache: LoRAs, a ControlNet; and a GGUF file of the project."""
        parts, root, found = self._card.parts, self._card.root, []
        for lora in parts.loras:
            source = fetching.located(root, lora.source, lora.revision)
            found.append(source / lora.weight_name if source and lora.weight_name else source)
        found += [fetching.located(root, parts.control.source, parts.control.revision)] if parts.control else []
        found += [root / parts.quantisation.file] if parts.quantisation and parts.quantisation.file else []
        return [path for path in found if path is not None and path.exists()]

    def _wrong(self, key: str, value: object, rule: str, remedy: str) -> UserError:
        return UserError(where=str(self._card.path), key=key, value=value, rule=rule, remedy=remedy)


def _generators(call: Call) -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(request.image_seed) for request in call.requests]


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


def _let_go() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

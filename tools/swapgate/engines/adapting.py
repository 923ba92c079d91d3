"""What changes a loaded pipeline before it is called: scheduler, LoRAs, tiling, attention, caching, compilation, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

from swapgate.card_parts import Lora, Scalar
from swapgate.cards import Card
from swapgate.engines import fetching
from swapgate.engines.diffusers_options import Options
from swapgate.engines.faults import denoiser
from swapgate.engines.pipelines import Where, download_command, room, short
from swapgate.errors import UserError
from swapgate.meters.host_free import host_free_mib
from swapgate.meters.memory import MIB

NOTHING = "none"  # in [scheduler]: TOML has no word for no value
DRY_RANK = 16
PINNED_SHARE = 1.3  # of the weights: while they are locked one by one, they are there twice


def schedule(pipe: Any, changed: Mapping[str, Scalar], card: Card) -> None:
    """Give the pipeline a scheduler of the same class with changed entries. UserError for an entry that it does not have."""
    if not changed:
        return
    wrong = sorted(set(changed) - set(pipe.scheduler.config))
    if wrong:
        raise _wrong(card, f"scheduler.{wrong[0]}", changed[wrong[0]], f"an entry of {type(pipe.scheduler).__name__}", "correct or remove it")
    entries = {name: None if value == NOTHING else value for name, value in changed.items()}
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **entries)


def add_loras(pipe: Any, card: Card) -> None:
    """Load the card's LoRAs, each into an adapter of its own; with dry weights, adapters of random weights.

    Keys that match nothing are skipped in silence by what reads them, so it is made sure that each found layers.
    """
    loras = card.parts.loras
    for number, lora in enumerate(loras):
        if card.dry:
            _dry_lora(pipe, lora, card)
        else:
            _read_lora(pipe, lora, card, f"lora[{number}].source")
        if not lora_layers(pipe, lora.adapter):
            rule = "a LoRA with layers of this denoiser; none matched"
            raise _wrong(card, f"lora[{number}].source", lora.source, rule, "take a LoRA that was trained on this model")
    if loras:
        pipe.set_adapters([lora.adapter for lora in loras], [lora.scale for lora in loras])


def lora_layers(pipe: Any, adapter: str) -> int:
    """How many layers of the denoiser an adapter changes."""
    return sum(1 for module in denoiser(pipe).modules() if adapter in getattr(module, "lora_A", {}))


def adapt(pipe: Any, options: Options, card: Card) -> None:
    """Tiling, slicing, attention, caching, compilation."""
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    if options.vae_slicing:
        pipe.vae.enable_slicing()
    if options.attention:
        try:
            denoiser(pipe).set_attention_backend(options.attention)
        except (ValueError, RuntimeError, ImportError) as error:
            remedy = 'write "native", or install the package of the backend'
            raise _wrong(card, "options.attention", options.attention, f"a backend that works here ({error})", remedy) from None
    if options.cache:
        import diffusers

        try:
            denoiser(pipe).enable_cache(diffusers.FirstBlockCacheConfig(threshold=options.cache_threshold))
        except (AttributeError, ValueError) as error:
            rule = f"a denoiser whose blocks can be cached ({short(error)})"
            raise _wrong(card, "options.cache", options.cache, rule, "remove it") from None
    if options.compile:
        denoiser(pipe).compile_repeated_blocks()


def place(pipe: Any, options: Options, where: Where, card: Card) -> None:
    """Put the pipeline where it runs, or hook it up to come there part by part."""
    if options.device_map:
        return
    if not options.offload:
        pipe.to(where.device)
        return
    if where.device.type != "cuda":
        rule = "offloading moves parts between a CUDA device and the host"
        raise _wrong(card, "options.offload", options.offload, rule, "remove it, or run on a CUDA device")
    if options.offload == "model":
        pipe.enable_model_cpu_offload(device=where.device)
    elif options.offload == "group":
        pipe.enable_group_offload(
            onload_device=where.device,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=True,
            low_cpu_mem_usage=not _may_be_pinned(pipe),
        )
    else:
        pipe.enable_sequential_cpu_offload(device=where.device)


def _may_be_pinned(pipe: Any) -> bool:
    """Whether the host has room to lock all weights once, which is quicker than locking each layer every time that it is moved."""
    size = sum(weight.nbytes for part in pipe.components.values() if isinstance(part, torch.nn.Module) for weight in part.parameters())
    return host_free_mib() > PINNED_SHARE * size / MIB


def placement(options: Options, card: Card, where: Where) -> str:
    """How the pipeline lies, in a word of the cohort."""
    smaller = card.parts.quantisation
    chosen = {
        f"{options.offload}-offload": bool(options.offload),
        options.device_map: bool(options.device_map),
        "vae-tiling": options.vae_tiling,
        "vae-slicing": options.vae_slicing,
        "compiled": options.compile,
        f"{options.cache}-cache": bool(options.cache),
        smaller.method if smaller else "": bool(smaller),
    }
    return "+".join([where.device.type, *(name for name, on in chosen.items() if on)])


def attention(options: Options) -> str:
    """The kernel family of attention."""
    if options.attention:
        return options.attention
    try:
        registry: Any = import_module("diffusers.models.attention_dispatch")
        return str(registry._AttentionBackendRegistry.get_active_backend()[0].value)  # noqa: SLF001 - no public name
    except (ImportError, AttributeError):  # private to diffusers: without it the default has no name
        return "default"


def _read_lora(pipe: Any, lora: Lora, card: Card, key: str) -> None:
    local = card.root / lora.source
    named = {"weight_name": lora.weight_name} if lora.weight_name else {}
    if lora.revision and not local.exists():
        named["revision"] = lora.revision
    try:
        pipe.load_lora_weights(
            str(local) if local.exists() else lora.source,
            adapter_name=lora.adapter,
            local_files_only=fetching.offline(),
            use_safetensors=True,
            **named,
        )
    except (OSError, ValueError) as error:
        rule = f"a LoRA that this pipeline can load, by peft ({short(error)}){room(card)}"
        fetch = download_command(lora.source, lora.revision, *filter(None, [lora.weight_name]))
        raise _wrong(card, key, lora.source, rule, f"{fetch}; correct the path if it is a local one; pip install peft if that is missing") from None


def _dry_lora(pipe: Any, lora: Lora, card: Card) -> None:
    try:
        from peft import LoraConfig
    except ImportError:
        raise _wrong(card, "lora", lora.source, "LoRAs need peft, which is not installed", "pip install peft") from None
    names = ["to_q", "to_k", "to_v", "to_out.0"]
    torch.manual_seed(DRY_RANK)
    denoiser(pipe).add_adapter(LoraConfig(r=DRY_RANK, lora_alpha=DRY_RANK, target_modules=names, init_lora_weights=False), adapter_name=lora.adapter)


def _wrong(card: Card, key: str, value: object, rule: str, remedy: str) -> UserError:
    return UserError(where=str(card.path), key=key, value=value, rule=rule, remedy=remedy)

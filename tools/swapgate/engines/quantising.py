"""Weights kept smaller than they were trained: what diffusers is told when it reads them, and the same done to dry weights.

fp8 is layerwise casting (`enable_layerwise_casting`, for models of diffusers): weights lie in float8_e4m3fn and are cast up, layer by layer, when they are used.
nf4 and int8 are bitsandbytes', torchao's are by its configurations, a GGUF file holds the transformer alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch

from swapgate.card_parts import Quantisation
from swapgate.cards import Card
from swapgate.engines import fetching
from swapgate.errors import UserError

FLOAT8 = torch.float8_e4m3fn
NEEDS: Mapping[str, str] = {"nf4": "bitsandbytes", "int8": "bitsandbytes", "torchao": "torchao", "gguf": "gguf"}
"""The package that a method needs."""


def arguments(smaller: Quantisation | None, card: Card, folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` is told; nothing for methods that act after or before it."""
    if smaller is None or smaller.method in ("fp8", "gguf"):
        return {}
    require(smaller, card)
    index = diffusers.DiffusionPipeline.load_config(folder)
    mapping = {name: _config(smaller, _library(index, name, card), dtype, card) for name in smaller.components}
    return {"quantization_config": diffusers.PipelineQuantizationConfig(quant_mapping=mapping)}


def files(smaller: Quantisation | None, card: Card, folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Components that are read from files of their own: the transformer in a GGUF file."""
    if smaller is None or smaller.method != "gguf":
        return {}
    require(smaller, card)
    kind = getattr(diffusers, diffusers.DiffusionPipeline.load_config(folder)["transformer"][1])
    local = card.root / smaller.file
    file = (
        str(local)
        if local.is_file()
        else f"https://huggingface.co/{'/'.join(smaller.file.split('/')[:2])}/blob/main/{'/'.join(smaller.file.split('/')[2:])}"
    )
    configured = {"config": str(folder), "subfolder": "transformer", "torch_dtype": dtype, "local_files_only": fetching.offline()}
    try:
        made = kind.from_single_file(file, quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype), **configured)
    except (OSError, ValueError) as error:
        owner, name, *rest = smaller.file.split("/")
        raise UserError(
            where=str(card.path),
            key="quantisation.file",
            value=smaller.file,
            rule=f"a GGUF file of this transformer ({' '.join(str(error).split())[:300]})",
            remedy=f"correct the path, or: {fetching.command(f'{owner}/{name}', None, '/'.join(rest))}",
        ) from None
    return {"transformer": made}


def cast(pipe: Any, smaller: Quantisation | None, card: Card, dtype: torch.dtype) -> None:
    """fp8 layerwise casting of the components, read or drawn."""
    if smaller is None or smaller.method != "fp8":
        return
    for name in smaller.components:
        _cast(name, _model(pipe, name, card), card, dtype)


def dry(name: str, model: torch.nn.Module, smaller: Quantisation | None, card: Card, *, device: torch.device, dtype: torch.dtype) -> None:
    """Quantise the drawn weights of a component on the device, as reading them would have; nothing for one that the card does not name.

    fp8 waits for `cast` where LoRAs are still to come: their layers are cast with the others.
    """
    if smaller is None or name not in smaller.components:
        return
    if smaller.method == "fp8":
        if not card.parts.loras:
            _cast(name, model, card, dtype)
        return
    require(smaller, card)
    if smaller.method == "gguf":
        raise UserError(
            where=str(card.path),
            key="quantisation.method",
            value=smaller.method,
            rule="a GGUF file is weights: there are no dry ones of it",
            remedy="measure nf4, int8 or fp8 with dry weights, or this file as it is",
        )
    if smaller.method == "torchao":
        import torchao.quantization as ao

        ao.quantize_(model, getattr(ao, smaller.kind)())
    else:
        _replace(model, _linear4 if smaller.method == "nf4" else _linear8, device)


def check(pipe: Any, smaller: Quantisation | None, card: Card) -> None:
    """UserError for a component that the pipeline does not have."""
    for name in smaller.components if smaller else ():
        _model(pipe, name, card)


def layers(pipe: Any, smaller: Quantisation) -> int:
    """How many layers of the components hold their weights quantised."""
    models = [model for name in smaller.components if (model := getattr(pipe, name, None)) is not None]
    return sum(_is_quantised(module) for model in models for module in model.modules())


def require(smaller: Quantisation, card: Card) -> None:
    """UserError when the package of the method is not installed."""
    from importlib.util import find_spec

    package = NEEDS.get(smaller.method)
    if package and find_spec(package) is None:
        raise UserError(
            where=str(card.path),
            key="quantisation.method",
            value=smaller.method,
            rule=f"it needs {package}, which is not installed",
            remedy=f"pip install {package}",
        )


def _is_quantised(module: torch.nn.Module) -> bool:
    weight = module._parameters.get("weight")  # noqa: SLF001 - its own, not that of a wrapper around it
    if weight is None:
        return False
    kinds = {kind.__name__ for kind in type(weight).__mro__} | {type(getattr(weight, "data", None)).__name__}
    return weight.dtype is FLOAT8 or bool(kinds & {"Params4bit", "Int8Params", "GGUFParameter", "AffineQuantizedTensor", "TorchAOBaseTensor"})


def _cast(name: str, model: Any, card: Card, dtype: torch.dtype) -> None:
    if not hasattr(model, "enable_layerwise_casting"):
        raise UserError(
            where=str(card.path),
            key="quantisation.components",
            value=name,
            rule="layerwise casting is for models of diffusers; a text encoder passes the dtype of its weights on to what it computes",
            remedy='leave it out, or write method = "nf4" or "int8" for it',
        )
    if not any(weight.dtype is FLOAT8 for weight in model.parameters()):
        model.enable_layerwise_casting(storage_dtype=FLOAT8, compute_dtype=dtype)


def _config(smaller: Quantisation, library: Any, dtype: torch.dtype, card: Card) -> Any:
    if smaller.method == "nf4":
        return library.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    if smaller.method == "int8":
        return library.BitsAndBytesConfig(load_in_8bit=True)
    import torchao.quantization as ao

    kind = getattr(ao, smaller.kind, None)
    if kind is None:
        raise UserError(
            where=str(card.path),
            key="quantisation.kind",
            value=smaller.kind,
            rule="a configuration of torchao.quantization",
            remedy='write one such as "Int8WeightOnlyConfig"',
        )
    return library.TorchAoConfig(quant_type=kind())


def _library(index: Mapping[str, Any], name: str, card: Card) -> Any:
    """The package whose configuration a component is quantised by."""
    if not isinstance(index.get(name), list):
        raise _no_component(name, sorted(part for part, value in index.items() if isinstance(value, list)), card)
    if index[name][0] == "transformers":
        import transformers

        return transformers
    return diffusers


def _model(pipe: Any, name: str, card: Card) -> Any:
    model = getattr(pipe, name, None)
    if not isinstance(model, torch.nn.Module):
        raise _no_component(name, sorted(part for part, value in pipe.components.items() if isinstance(value, torch.nn.Module)), card)
    return model


def _no_component(name: str, known: list[str], card: Card) -> UserError:
    return UserError(
        where=str(card.path),
        key="quantisation.components",
        value=name,
        rule=f"components of this pipeline: {', '.join(known)}",
        remedy="correct the name",
    )


def _replace(model: torch.nn.Module, made: Callable[[torch.nn.Linear], torch.nn.Module], device: torch.device) -> None:
    """Put a quantised layer in the place of every linear one but those that the libraries leave as they are."""
    left = _left(model)
    # Only parents are listed: a list of the layers themselves would keep each beside its smaller self until the end.
    for path, module in [(path, module) for path, module in model.named_modules() if type(module) is not torch.nn.Linear]:
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Linear and not left & {name, f"{path}.{name}".removeprefix(".")}:
                where = child.weight.device
                setattr(module, name, made(child).to(device).to(where))


def _left(model: Any) -> set[str]:
    """Layers that reading leaves unquantised, by their name or path: those kept in float32, and the output layer of a language model.

    T5's `wo` is one: its feed-forward asks that layer for its dtype.
    """
    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    if isinstance(model, diffusers.ModelMixin):
        return kept
    from transformers.quantizers.base import get_keys_to_not_convert

    return kept | set(get_keys_to_not_convert(model))


def _linear4(layer: torch.nn.Linear) -> torch.nn.Module:
    import bitsandbytes as bnb

    made: Any = bnb.nn.Linear4bit(
        layer.in_features, layer.out_features, bias=layer.bias is not None, compute_dtype=layer.weight.dtype, quant_type="nf4", device="meta"
    )
    made.weight = bnb.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
    made.bias = layer.bias
    return made  # type: ignore[no-any-return]


def _linear8(layer: torch.nn.Linear) -> torch.nn.Module:
    import bitsandbytes as bnb

    made: Any = bnb.nn.Linear8bitLt(layer.in_features, layer.out_features, bias=layer.bias is not None, has_fp16_weights=False, device="meta")
    made.weight = bnb.nn.Int8Params(layer.weight.data.cpu(), requires_grad=False, has_fp16_weights=False)
    made.bias = layer.bias
    return made  # type: ignore[no-any-return]

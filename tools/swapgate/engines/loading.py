"""A pipeline's folder onto a device, as fast as its files can be read, and with the same result as by the libraries.

What the libraries do at best (diffusers 0.42, transformers 5.17 to 5.23, safetensors 0.8): diffusers maps a file and
loads tensor by tensor, in one thread; `HF_ENABLE_PARALLEL_LOADING` takes shards in parallel, but not the parts of a
pipeline, nor one file; transformers copies from the map in four threads. All of them copy from pageable memory, and the
device is reached either by `pipe.to`, after everything has gone through host memory, or by the pipeline's `device_map`,
which wraps every forward of its models. So the files are read here (`streaming`), and only read: models are built by
the libraries without weights and are given tensors that lie on the device already.

    diffusers       built from their config as `from_pretrained` builds them, then `load_state_dict(assign=True)`
    transformers    `from_pretrained(None, config=..., state_dict=...)`, which renames, converts, casts and ties
    the rest        (schedulers, tokenizers, whatever is not understood) by the pipeline's own `from_pretrained`
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import accelerate
import diffusers
import torch
import transformers
from diffusers.models.modeling_utils import no_init_weights

from swapgate.engines.base import is_out_of_memory
from swapgate.engines.streaming import Pending, Stream
from swapgate.engines.tensor_files import UnknownDtypeError
from swapgate.errors import UserError

_WEIGHTS = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
_BASES = {"diffusers": diffusers.ModelMixin, "transformers": transformers.PreTrainedModel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """pipe: on its device; streamed: names of the parts that were read here; notes: what was left to the libraries, and why."""

    pipe: Any
    streamed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A model of the pipeline and the files of its weights."""

    name: str
    library: str
    class_name: str
    folder: Path
    files: tuple[Path, ...]


class _LeaveError(Exception):
    """Why a part is left to the libraries."""


def load_pipeline(
    kind: Any,
    folder: Path,
    *,
    dtype: torch.dtype,
    device: torch.device,
    variant: str = "",
    stream: bool | None = None,
    lock: bool = False,
    **given: Any,
) -> Loaded:
    """The pipeline of `folder` on `device`, all its parameters and buffers equal to those of `kind.from_pretrained(...).to(device)`.

    Args:
        kind: a pipeline class, or `DiffusionPipeline`, which takes the class that the folder names.
        folder: of a pipeline, as `save_pretrained` writes it.
        dtype: of all floating weights, but for those that a model keeps in float32.
        device: where everything shall be.
        variant: of the weight files ("fp16"), "" for none.
        stream: whether to read here; by default on CUDA devices only, where it is faster.
        lock: whether what is in the page cache is locked there instead of copied (`streaming`).
        given: parts that are there already, and other arguments of `from_pretrained`.

    Raises:
        UserError: a file is damaged, or its tensors are not those of the model.
        OSError: what the libraries raise for a folder that is no pipeline.
    """
    given = {"dtype": dtype, "use_safetensors": True, "local_files_only": True, "variant": variant or None, **given}
    try:
        parts, notes = _parts(kind, folder, variant, given, stream=device.type == "cuda" if stream is None else stream)
    except _LeaveError as reason:
        return Loaded(pipe=kind.from_pretrained(folder, **given).to(device), notes=(_left("all", reason),))
    with Stream(device, lock=lock) as reader:
        pending = _begun(reader, parts, notes)
        models = _built(pending, dtype, notes)
        pipe = kind.from_pretrained(folder, **given, **models)
        for read in pending.values():
            read.wait()
    return Loaded(pipe=pipe.to(device), streamed=tuple(models), notes=tuple(notes))


def _begun(reader: Stream, parts: list[_Part], notes: list[str]) -> dict[_Part, Pending]:
    """Begins to read every part that there is room for."""
    pending: dict[_Part, Pending] = {}
    for part in parts:
        try:
            pending[part] = reader.add(part.files)
        except UnknownDtypeError as reason:
            notes.append(_left(part.name, reason))
        except RuntimeError as error:  # with its own dtype; in the one that was asked for it may fit
            if not is_out_of_memory(error):
                raise
            notes.append(_left(part.name, "since it does not fit on the device as it lies in its files"))
    return pending


def _built(pending: dict[_Part, Pending], dtype: torch.dtype, notes: list[str]) -> dict[str, Any]:
    """The models by name; diffusers' first, which can be built before their values are there."""
    models: dict[str, Any] = {}
    for part in sorted(pending, key=lambda part: part.library):
        try:
            models[part.name] = _BUILDERS[part.library](part, pending[part], dtype)
        except _LeaveError as reason:
            notes.append(_left(part.name, reason))
    return models


def _left(name: str, reason: object) -> str:
    return f"weights: {name} loaded by the libraries, {reason}"


def _parts(kind: Any, folder: Path, variant: str, given: Mapping[str, Any], *, stream: bool) -> tuple[list[_Part], list[str]]:
    """What can be read here, transformers' models first, since those are built when their values are there; and notes of what cannot."""
    if not stream:
        raise _LeaveError("which is as fast on this device")
    if not hasattr(os, "preadv"):
        raise _LeaveError("since this system has no positioned reads")
    index = _json(folder / "model_index.json")
    if kind is diffusers.DiffusionPipeline:  # its class is imported later, beside the reading: that takes seconds
        named, taken = index.get("_class_name"), set(index)
        if named not in dir(diffusers):
            raise _LeaveError(f"since its class {named!r} is not one of diffusers'")
    else:
        taken = set(inspect.signature(kind.__init__).parameters)
    parts: list[_Part] = []
    notes: list[str] = []
    for name, value in index.items():
        if name in taken and name not in given and isinstance(value, list) and len(value) == 2 and value[0] in _WEIGHTS:
            try:
                parts.extend(_part(folder, variant, name, *value))
            except _LeaveError as reason:
                notes.append(_left(name, reason))
    if variant and not any(variant in file.name for part in parts for file in part.files):
        raise _LeaveError(f"since no file has the variant {variant}")
    return sorted(parts, key=lambda part: part.library, reverse=True), notes


def _part(folder: Path, variant: str, name: str, library: str, class_name: str) -> Iterator[_Part]:
    """The part `name`, if it is a model with safetensors files; tokenizers and schedulers are none."""
    own = folder / name
    config = own / "config.json"
    if not config.is_file() or not any(own.glob("*.safetensors")):
        return
    if _json(config).get("quantization_config"):
        raise _LeaveError("since it is quantised")
    stem = _WEIGHTS[library]
    marks = [f".{variant}"] if variant and any(file.name.split(".")[1].startswith(variant) for file in own.iterdir() if "." in file.name) else [""]
    found = [file for mark in marks for file in (own / f"{stem}{mark}.safetensors", own / f"{stem}.safetensors.index{mark}.json") if file.is_file()]
    if len(found) != 1:
        raise _LeaveError(f"since {len(found)} files could be its weights")
    files = [found[0]] if found[0].suffix == ".safetensors" else sorted({own / shard for shard in _json(found[0])["weight_map"].values()})
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise UserError(where=str(found[0]), key="weight_map", value=absent[0], rule="every shard lies beside its index", remedy=_remedy(folder))
    yield _Part(name=name, library=library, class_name=class_name, folder=own, files=tuple(files))


def _class(part: _Part) -> Any:
    """The class of a part. Left to the libraries: classes that are not theirs, and those that load in a way of their own."""
    base = _BASES[part.library]
    found = getattr(diffusers if part.library == "diffusers" else transformers, part.class_name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise _LeaveError(f"since {part.class_name} is no model class of {part.library}")
    if found.from_pretrained.__func__ is not base.from_pretrained.__func__:  # type: ignore[attr-defined]  # a class method
        raise _LeaveError(f"since {part.class_name} has its own way to load")
    return found


def _diffusers_model(part: _Part, pending: Pending, dtype: torch.dtype) -> Any:
    """As diffusers' `from_pretrained` does, but for the reading. Values may still be missing: tensors are assigned, not copied."""
    kind = _class(part)
    tensors = pending.tensors
    if any(tensor.dtype != wanted for _, tensor, wanted in _casts(kind, tensors, dtype)):
        pending.wait()
        for name, tensor, wanted in list(_casts(kind, tensors, dtype)):
            tensors[name] = tensor.to(wanted)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # tables that are no parameters are made in it
    try:
        with no_init_weights(), accelerate.init_empty_weights():
            model = kind.from_config(kind.load_config(part.folder))
    finally:
        torch.set_default_dtype(usual)
    if len(part.files) == 1:
        model._fix_state_dict_keys_on_load(tensors)  # noqa: SLF001 - names of old checkpoints; from_pretrained does it for single files, too
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        raise _unlike(part, "shapes", " ".join(str(error).split()[:40])) from None
    ignored = kind._keys_to_ignore_on_load_unexpected or ()  # noqa: SLF001 - no public name
    _check(part, missing, [name for name in unexpected if not any(re.search(pattern, name) for pattern in ignored)])
    model.register_to_config(_name_or_path=str(part.folder))
    return model.eval()


def _casts(kind: Any, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor, torch.dtype]]:
    """Every floating tensor, and the dtype that diffusers gives it."""
    kept = kind._keep_in_fp32_modules or ()  # noqa: SLF001 - no public name
    kept = [kept] if isinstance(kept, str) else kept
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            yield name, tensor, torch.float32 if any(module in name.split(".") for module in kept) else dtype


def _transformers_model(part: _Part, pending: Pending, dtype: torch.dtype) -> Any:
    """By transformers itself, from tensors instead of files: their values must be there, since it may convert them."""
    kind = _class(part)
    config = kind.config_class.from_pretrained(part.folder)
    generation = part.folder / "generation_config.json"
    more = {"generation_config": transformers.GenerationConfig.from_pretrained(part.folder)} if generation.is_file() else {}
    pending.wait()
    try:
        with _no_warm_up():
            model, found = kind.from_pretrained(
                None,
                config=config,
                state_dict=pending.tensors,
                dtype=dtype,
                device_map={"": pending.device},
                local_files_only=True,
                output_loading_info=True,
                **more,
            )
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise _unlike(part, "shapes", " ".join(str(error).split()[:40])) from None
    _check(part, found["missing_keys"], found["unexpected_keys"])
    model.config.name_or_path = model.name_or_path = str(part.folder)
    return model


@contextmanager
def _no_warm_up() -> Iterator[None]:
    """Before it places tensors, transformers takes as much memory as they will need. Ours are placed already: it would be needed twice."""
    library: Any = transformers.modeling_utils
    usual = getattr(library, "caching_allocator_warmup", None)
    if usual is None:
        yield
        return
    library.caching_allocator_warmup = lambda *_, **__: None
    try:
        yield
    finally:
        library.caching_allocator_warmup = usual


_BUILDERS = {"diffusers": _diffusers_model, "transformers": _transformers_model}


def _check(part: _Part, missing: Any, unexpected: Any) -> None:
    """The libraries only warn of these, and go on with random weights, or with some left out."""
    if missing:
        raise _unlike(part, "missing tensors", _listed(missing))
    if unexpected:
        raise _unlike(part, "tensors that the model has not", _listed(unexpected))


def _listed(names: Any, most: int = 3) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def _unlike(part: _Part, what: str, names: str) -> UserError:
    return UserError(
        where=str(part.folder),
        key=what,
        rule=f"files hold the tensors of {part.class_name} as its config.json describes it; here: {names}",
        remedy=_remedy(part.folder.parent),
    )


def _remedy(folder: Path) -> str:
    return f"fetch it again: hf download <model id> --local-dir {folder}"


def _json(path: Path) -> dict[str, Any]:
    """A JSON file of the folder; what cannot be read is left to the libraries, whose message says more."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _LeaveError(f"since {path.name} cannot be read") from None
    if not isinstance(value, dict):
        raise _LeaveError(f"since {path.name} is no JSON object")
    return value

"""From a card to a pipeline of diffusers: which class, which folder, and its components, real or dry."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.engines import fetching, loading, quantising
from swapgate.engines.diffusers_options import BALANCED, Options
from swapgate.engines.dry import build, skeleton
from swapgate.engines.dry.architectures import ARCHITECTURES, CONTROLS, Part, of_source
from swapgate.errors import UserError

Each = Callable[[str, torch.nn.Module], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One pipeline to read: a card's own, or its refiner. key: the table of the card that names it, with its dot."""

    card: Card
    name: str
    revision: str | None
    pipeline: str | None
    architecture: str
    key: str = ""

    def wrong(self, name: str, value: object, rule: str, remedy: str) -> UserError:
        """The error for one of its keys."""
        return UserError(where=str(self.card.path), key=f"{self.key}{name}", value=value, rule=rule, remedy=remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where the components go: the device they run on, their dtype, and whether they are moved there now or stay on the host (offload)."""

    device: torch.device
    dtype: torch.dtype
    offloaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A pipeline, the folder it came from, and what is to be known of its reading, one line each."""

    pipe: Any
    folder: Path
    notes: tuple[str, ...] = ()


def source_of(card: Card) -> Source:
    """The card's own pipeline."""
    return Source(card=card, name=card.source, revision=card.revision, pipeline=card.pipeline, architecture=card.architecture)


def refiner_of(card: Card) -> Source:
    """The pipeline behind it."""
    refiner = card.parts.refiner
    assert refiner is not None
    return Source(
        card=card,
        name=refiner.source,
        revision=refiner.revision,
        pipeline=refiner.pipeline,
        architecture=refiner.architecture,
        key="refiner.",
    )


def pipeline_class(source: Source) -> Any:
    """The class of the pipeline; `DiffusionPipeline`, which asks the model's folder, where the card names none."""
    if source.pipeline is None:
        return diffusers.DiffusionPipeline
    found = getattr(diffusers, source.pipeline, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        near = difflib.get_close_matches(source.pipeline, [name for name in dir(diffusers) if name.endswith("Pipeline")], n=1)
        rule = f"a pipeline of diffusers {diffusers.__version__}"
        remedy = f"did you mean {near[0]!r}?" if near else "remove it: the model's own folder names its pipeline"
        raise source.wrong("pipeline", source.pipeline, rule, remedy)
    return found


def folder_of(source: Source, options: Options, kind: Any) -> Path:
    """The folder with the model's files: the card's own, or the Hub's snapshot, downloaded when that is allowed; for dry weights one without weights."""
    local = place(source.card.root, source.name)
    if local.is_dir():
        return local
    if source.card.dry:
        if options.device_map:
            raise source.wrong("weights", "dry", "dry weights are drawn on one device", "remove options.device_map, or probe its placements")
        return dry_folder(source)
    named: Mapping[str, Any] = {"revision": source.revision, "variant": options.variant or None}
    try:
        return Path(kind.download(source.name, use_safetensors=not options.pickle or None, local_files_only=fetching.offline(), **named))
    except (OSError, ValueError) as error:
        rule = f"the weights must be in the Hub's cache or downloadable ({short(error)}){room(source.card)}"
        remedy = download_command(source.name, source.revision, *fetching.OF_PIPELINE, gated=source.card.gated)
        raise source.wrong("source", source.name, rule, remedy) from None


def dry_folder(source: Source) -> Path:
    """A folder of configurations and tokenizers, without weights, that lives as long as this process."""
    found = of_source(source.name, source.architecture)
    if found is None:
        raise source.wrong(
            "architecture",
            source.architecture or None,
            f"dry weights need a model's sizes: one of {', '.join(ARCHITECTURES)}, or a local folder with its configurations",
            f"hf download {source.name} --include '*.json' --include '*.txt' --local-dir <folder>, and name that folder as source",
        )
    return skeleton.write(found, _temporary())


def download_command(name: str, revision: str | None, *rest: str, gated: bool = False) -> str:
    """What fetches a Hub id, or files of it, as it can be pasted into a shell."""
    login = "accept its licence on the Hub, then: hf auth login" if gated else "a gated one also needs: hf auth login"
    return f"{fetching.command(name, revision, *rest)}   # {login}"


def load(source: Source, options: Options, where: Where, *, given: Mapping[str, Any] | None = None, each: Each | None = None) -> Read:
    """The pipeline of a source. `given`: components that are there already; `each` is told of every drawn one (name, model) before it
    leaves the device.

    Raises:
        UserError: weights that are missing or damaged, a class that does not exist.
    """
    kind, components = pipeline_class(source), dict(given or {})
    folder = folder_of(source, options, kind)
    smaller = source.card.parts.quantisation if not source.key else None
    if source.card.dry:

        def drawn(name: str, model: torch.nn.Module) -> None:
            # At once: a model larger than the device is only ever there part by part, and less has to leave it.
            quantising.dry(name, model, smaller, source.card, device=where.device, dtype=where.dtype)
            if each:
                each(name, model)

        pipe = build.pipeline(folder, kind, dtype=where.dtype, device=where.device, given=components, keep=where.offloaded, each=drawn)
        quantising.check(pipe, smaller, source.card)
        return Read(pipe=pipe, folder=folder)
    components |= quantising.files(smaller, source.card, folder, where.dtype)
    # Weights that are cast to fp8 would be there whole before, on a device that may be too small for that.
    straight = not (where.offloaded or options.device_map or options.pickle or (smaller and smaller.method != "gguf"))
    more = components | quantising.arguments(smaller, source.card, folder, where.dtype)
    pipe, notes = _read(source, options, where, kind, folder, more, straight=straight)
    return Read(pipe=pipe, folder=folder, notes=notes)


def control(card: Card, where: Where) -> Any:
    """The ControlNet of a card, read or drawn."""
    named = card.parts.control
    assert named is not None
    kind: Any = getattr(diffusers, named.model, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)):
        raise UserError(
            where=str(card.path),
            key="control.model",
            value=named.model,
            rule=f"a ControlNet of diffusers {diffusers.__version__}",
            remedy='write "FluxControlNetModel" or "QwenImageControlNetModel"',
        )
    local = card.root / named.source
    if card.dry:
        folder = local if local.is_dir() else skeleton.write_part(_control_part(card), _temporary())
        made = build.component(folder, kind, dtype=where.dtype, device=where.device)
        return made.to("cpu") if where.offloaded else made
    source = Source(card=card, name=named.source, revision=named.revision, pipeline=None, architecture="", key="control.")
    reader: Any = kind
    try:
        return reader.from_pretrained(
            str(local) if local.is_dir() else named.source,
            revision=named.revision,
            dtype=where.dtype,
            local_files_only=fetching.offline(),
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        rule = f"a ControlNet of class {named.model} ({short(error)}){room(card)}"
        raise source.wrong("source", named.source, rule, download_command(named.source, named.revision)) from None


def short(error: Exception, limit: int = 300) -> str:
    """What an exception says, on one line of at most so many characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _read(
    source: Source, options: Options, where: Where, kind: Any, folder: Path, more: Mapping[str, Any], *, straight: bool
) -> tuple[Any, tuple[str, ...]]:
    """The pipeline, and notes; straight onto the device by `loading`, but where its weights do not all go there as they lie in their files."""
    from safetensors import SafetensorError

    try:
        if straight:
            found = loading.load_pipeline(kind, folder, dtype=where.dtype, device=where.device, variant=options.variant, **more)
            return found.pipe, found.notes if where.device.type == "cuda" else ()
        spread: dict[str, Any] = {"device_map": BALANCED} if options.device_map else {}
        pipe = kind.from_pretrained(
            folder,
            dtype=where.dtype,
            use_safetensors=not options.pickle or None,
            local_files_only=True,
            variant=options.variant or None,
            **spread,
            **more,
        )
    except (OSError, SafetensorError) as error:
        raise source.wrong(
            "source",
            source.name,
            f"a whole pipeline folder with *.safetensors files ({short(error)})",
            f"fetch it again: hf download <model id> --local-dir {source.name}",
        ) from None
    return pipe, ()


def _control_part(card: Card) -> Part:
    named = card.parts.control
    assert named is not None
    if named.source not in CONTROLS:
        raise UserError(
            where=str(card.path),
            key="control.source",
            value=named.source,
            rule=f"dry weights need its sizes: one of {', '.join(CONTROLS)}, or a local folder with its config.json",
            remedy=f"hf download {named.source} config.json --local-dir <folder>, and name that folder",
        )
    return CONTROLS[named.source]


def room(card: Card) -> str:
    """The size of the download where the card states it, and the room for it."""
    cache = fetching.cache()
    there = next((folder for folder in (cache, *cache.parents) if folder.is_dir()), Path("/"))
    free = shutil.disk_usage(there).free / 2**30
    size = f"{card.download_gib:.0f} GiB to fetch" if card.download_gib else "size not stated in the card"
    return f"; {size}, {free:.0f} GiB free in {cache}"


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def _temporary() -> Path:
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="swapgate-dry-"))
    return Path(_FOLDERS[-1].name)

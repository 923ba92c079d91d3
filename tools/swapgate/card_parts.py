"""Parts of a card beside the model itself: LoRAs, a ControlNet, a refiner behind the model, quantisation, changes of the scheduler."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from swapgate.reading import Table

Scalar = str | int | float | bool
METHODS = ("fp8", "nf4", "int8", "torchao", "gguf")
IMG2IMG = ("Img2Img", "Inpaint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A LoRA by folder, file or Hub id; weight_name: its file there, adapter: its name in the pipeline, scale: its strength."""

    source: str
    adapter: str
    revision: str | None = None
    weight_name: str = ""
    scale: float = 1.0

    def named(self) -> dict[str, object]:
        """As a part of the recipe."""
        return {"source": self.source, "weight_name": self.weight_name, "scale": self.scale}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A ControlNet: where its weights are, its class in diffusers, and the picture (RGB, scaled to the size asked) that it follows.

    scale: `controlnet_conditioning_scale`; start, end: shares of the steps between which it acts.
    """

    source: str
    model: str
    image: str
    revision: str | None = None
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def named(self) -> dict[str, object]:
        """As a part of the recipe."""
        return {"source": self.source, "image": self.image, "scale": self.scale, "start": self.start, "end": self.end}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refiner:
    """A pipeline that draws the model's picture over (img2img), in whole or in one region.

    region: left, top, right, bottom as shares of the picture, for a pipeline that takes a mask; empty for the whole picture.
    prompt: the language of the prompt that it is given, "same" for that of the request.
    call: keyword arguments of its pipeline, strength and guidance_scale always among them.
    """

    source: str
    pipeline: str
    call: Mapping[str, Scalar]
    revision: str | None = None
    region: tuple[float, ...] = ()
    prompt: str = "same"
    architecture: str = ""

    def named(self) -> dict[str, object]:
        """As a part of the recipe."""
        return {"source": self.source, "pipeline": self.pipeline, "call": dict(self.call), "region": list(self.region), "prompt": self.prompt}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """How weights are kept smaller: fp8 (layerwise casting by diffusers), nf4 or int8 (bitsandbytes), torchao, or a GGUF file.

    components: of the pipeline, the denoiser by default; kind: torchao's configuration ("Int8WeightOnlyConfig"); file: the GGUF file.
    """

    method: str
    components: tuple[str, ...] = ("transformer",)
    kind: str = ""
    file: str = ""

    def named(self) -> dict[str, object]:
        """As a part of the recipe."""
        return {"method": self.method, "components": list(self.components), "kind": self.kind, "file": self.file}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """How a ComfyUI server is reached and where a request goes in its workflow, which is the card's source.

    url: of a server that runs; start: the command of one that is started for the run, with {port} where its port goes. folder: where the
    server's own files are, when that is this machine. wait_seconds: for a started server to answer. scale: how many times the size of its
    places the picture is in the end. second_prompt: the language of what goes to the place of that name. places: inputs by role, each
    "<id or title>.<input>"; uploads: input to a file of the project.
    """

    url: str = ""
    start: tuple[str, ...] = ()
    folder: str = ""
    wait_seconds: float = 300.0
    scale: float = 1.0
    second_prompt: str = ""
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    uploads: Mapping[str, str] = field(default_factory=dict)

    def named(self) -> dict[str, object]:
        """As a part of the recipe: what the workflow is told. What it does is under test, and where its server is says nothing."""
        return {"roles": sorted(self.places), "scale": self.scale, "second_prompt": self.second_prompt}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that a card names; all are empty for a plain model.

    scheduler: changed entries of its configuration ("none" stands for no value).
    """

    loras: tuple[Lora, ...] = ()
    control: Control | None = None
    refiner: Refiner | None = None
    quantisation: Quantisation | None = None
    scheduler: Mapping[str, Scalar] = field(default_factory=dict)
    workflow: Workflow | None = None

    @property
    def second_language(self) -> str:
        """The language of a prompt that a part of the model is given beside the request's; "same" where there is none."""
        return self.refiner.prompt if self.refiner else (self.workflow.second_prompt or "same" if self.workflow else "same")

    def named(self) -> dict[str, object]:
        """The parts of the recipe; nothing where there is none, so that a plain model's recipe is what it was."""
        found: dict[str, object] = {"loras": [one.named() for one in self.loras], "scheduler": dict(self.scheduler)}
        for name, part in (("control", self.control), ("refiner", self.refiner), ("quantisation", self.quantisation), ("workflow", self.workflow)):
            found[name] = part.named() if part else None
        return {name: value for name, value in found.items() if value}


def read_parts(top: Table, root: Path) -> Parts:
    """The parts in a card's top table; files of the project are looked for under `root`. UserError for any mistake."""
    return Parts(
        loras=tuple(_lora(table, number) for number, table in enumerate(top.tables("lora", []), start=1)),
        control=_control(top.table("control"), root) if top.has("control") else None,
        refiner=_refiner(top.table("refiner")) if top.has("refiner") else None,
        quantisation=_quantisation(top.table("quantisation"), root) if top.has("quantisation") else None,
        scheduler=scalars(top.table("scheduler", {})),
        workflow=_workflow(top.table("comfyui"), root) if top.has("comfyui") else None,
    )


def scalars(table: Table) -> Mapping[str, Scalar]:
    """A table of single values in the order of their names. UserError for a list, a table, or a number that is not finite."""
    found: dict[str, Scalar] = {}
    for name in table.names():
        value = table.take(name, object)
        if not isinstance(value, (str, int, float, bool)):
            raise table.wrong(name, "a string, number or true/false", "write a single value")
        if isinstance(value, float) and not math.isfinite(value):
            raise table.wrong(name, "a finite number", "write the value that the pipeline is to be called with")
        found[name] = value
    return MappingProxyType(dict(sorted(found.items())))


def _lora(table: Table, number: int) -> Lora:
    made = Lora(
        source=table.take("source", str),
        revision=table.take("revision", str, None),
        weight_name=table.take("weight_name", str, ""),
        adapter=table.take("adapter", str, f"card{number}"),
        scale=table.number("scale", 1.0, low=-100.0, high=100.0),
    )
    table.finish()
    return made


def _control(table: Table, root: Path) -> Control:
    made = Control(
        source=table.take("source", str),
        revision=table.take("revision", str, None),
        model=table.take("model", str, rule='the class of the ControlNet in diffusers, such as "FluxControlNetModel"'),
        image=table.take("image", str, rule="the picture that the ControlNet follows, as a file of the project"),
        scale=table.number("scale", 1.0, low=0.0, high=10.0),
        start=table.number("start", 0.0, low=0.0, high=1.0),
        end=table.number("end", 1.0, low=0.0, high=1.0),
    )
    table.finish()
    if not (root / made.image).is_file():
        raise table.wrong("image", "a file that exists", "correct the path; it is relative to the project")
    if made.start >= made.end:
        raise table.wrong("end", f"above start = {made.start:g}", "choose a later end", made.end)
    return made


def _refiner(table: Table) -> Refiner:
    call = scalars(table.table("call"))
    region = tuple(float(one) for one in table.take("region", list, []) if isinstance(one, (int, float)))
    made = Refiner(
        source=table.take("source", str),
        revision=table.take("revision", str, None),
        pipeline=table.take("pipeline", str),
        call=call,
        region=region,
        prompt=table.choice("prompt", ("same", "en", "zh"), "same"),
        architecture=table.take("architecture", str, ""),
    )
    table.finish()
    if not any(kind in made.pipeline for kind in IMG2IMG):
        raise table.wrong(
            "pipeline", "an img2img or inpainting pipeline of diffusers", 'write "FluxImg2ImgPipeline", or "FluxInpaintPipeline" for a region'
        )
    _explicit(table, made)
    return made


def _explicit(table: Table, made: Refiner) -> None:
    """Strength and guidance are never left to defaults: that of FluxImg2ImgPipeline (7.0) is twice FluxPipeline's (3.5)."""
    for name in ("strength", "guidance_scale"):
        if name not in made.call:
            rule = f"{name} must be given: the default of {made.pipeline} is not that of the model's text-to-image pipeline"
            raise table.wrong(f"call.{name}", rule, f"write {name} = … under [refiner.call]")
    if ("Inpaint" in made.pipeline) != bool(made.region):
        raise table.wrong(
            "region", "four shares with an inpainting pipeline, and none with any other", 'region = [0.25, 0.1, 0.75, 0.6] and "FluxInpaintPipeline"'
        )
    if made.region:
        left, top, right, bottom = made.region if len(made.region) == 4 else (1.0, 1.0, 0.0, 0.0)
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise table.wrong("region", "left, top, right, bottom as shares of the picture, in that order", "write region = [0.25, 0.1, 0.75, 0.6]")


def _quantisation(table: Table, root: Path) -> Quantisation:
    made = Quantisation(
        method=table.choice("method", METHODS),
        components=table.strings("components", ["transformer"]),
        kind=table.take("kind", str, ""),
        file=table.take("file", str, ""),
    )
    table.finish()
    if (made.method == "gguf") != bool(made.file):
        raise table.wrong("file", 'the *.gguf file with method = "gguf", and nothing with any other', 'write file = "…/model.gguf"')
    if made.file and made.components != ("transformer",):
        raise table.wrong("components", "a GGUF file holds the transformer alone", 'write components = ["transformer"]')
    if made.file and not (root / made.file).is_file() and made.file.count("/") < 2:
        raise table.wrong("file", "a file that exists, or <owner>/<name>/<file> on the Hub", "correct the path; it is relative to the project")
    if (made.method == "torchao") != bool(made.kind):
        raise table.wrong(
            "kind", 'the configuration of torchao with method = "torchao", and nothing with any other', 'write kind = "Int8WeightOnlyConfig"'
        )
    return made


def _workflow(table: Table, root: Path) -> Workflow:
    places, uploads = table.table("places"), table.table("uploads", {})
    made = Workflow(
        url=table.take("url", str, ""),
        start=table.strings("start", ()),
        folder=table.take("folder", str, ""),
        wait_seconds=table.number("wait_seconds", 300.0, low=0.1, high=86_400.0),
        scale=table.number("scale", 1.0, low=0.01, high=100.0),
        second_prompt=table.choice("second_prompt", ("en", "zh"), "") if table.has("second_prompt") else "",
        places=MappingProxyType({name: _places(places, name) for name in places.names()}),
        uploads=MappingProxyType({name: uploads.take(name, str) for name in uploads.names()}),
    )
    table.finish()
    if bool(made.url) == bool(made.start):
        raise table.wrong(
            "url", "either url, of a server that runs, or start, the command of one", 'write url = "http://127.0.0.1:8188"', made.url or None
        )
    if made.start and not any("{port}" in word for word in made.start):
        raise table.wrong(
            "start", "a command that is told its port: {port} somewhere in it", 'write start = ["python", "main.py", "--port", "{port}"]'
        )
    for name, file in made.uploads.items():
        if not (root / file).resolve().is_relative_to(root.resolve()) or not (root / file).is_file():
            raise uploads.wrong(name, "a file of the project that exists", "correct the path; it is relative to the project")
    return made


def _places(table: Table, name: str) -> tuple[str, ...]:
    found = (table.take(name, str),) if isinstance(table.take(name, object), str) else table.strings(name)
    if not found:
        raise table.wrong(name, "at least one place", f'write {name} = "<id or title of a node>.<input>", or remove it')
    return found

"""The checks of what computes: packages, device and driver, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from swapgate.cards import Card
from swapgate.engines.dry.architectures import ARCHITECTURES, of_source
from swapgate.engines.dry.counts import CONTROLS, PARAMETERS
from swapgate.engines.registry import TABLE
from swapgate.suite.doctor import memory, weights
from swapgate.suite.doctor.checks import NO, NOTE, OK, Check
from swapgate.suite.doctor.machine import Machine, installed, text_of
from swapgate.suite.doctor.memory import Need, Placement, size
from swapgate.suite.doctor.sources import Found
from swapgate.tasks import Task

METHODS: Mapping[str, str] = {"nf4": "bitsandbytes", "int8": "bitsandbytes", "torchao": "torchao", "gguf": "gguf"}
"""The package that a quantisation needs (as `engines.quantising.NEEDS`, which cannot be read without torch)."""
_ATTENTION: Mapping[str, str] = {"flash": "flash_attn", "flash_varlen": "flash_attn", "sage": "sageattention", "xformers": "xformers"}
_PIP: Mapping[str, str] = {"flash_attn": "flash-attn", "open_clip": "open-clip-torch"}
_READING = ("rapidocr", "onnxruntime")  # as `metrics.text_reader.PACKAGES`
_LEAST = 0.9  # of the free memory that an estimate may take before it is called tight
_WAYS = 4


def of_packages(card: Card) -> Iterator[Check]:
    """What the card's engine, parts, options and judge need to be installed."""
    needs = [module for module, _ in TABLE[card.engine].needs]
    needs += ["peft"] if card.parts.loras else []
    needs += [METHODS[card.parts.quantisation.method]] if card.parts.quantisation and card.parts.quantisation.method in METHODS else []
    needs += ["accelerate"] if card.options.get("offload") or card.options.get("device_map") else []
    needs += [_ATTENTION[name]] if (name := str(card.options.get("attention", ""))) in _ATTENTION else []
    needs += ["open_clip"] if card.judge.source != "scripted" and not card.dry else []
    missing = [_PIP.get(module, module) for module in needs if not installed(module)]
    if missing:
        yield Check(name="packages", state=NO, said=f"{', '.join(missing)} not installed", remedy=f"pip install {' '.join(missing)}")
        return
    known = text_of("diffusers", "__init__.py")
    classes = [card.pipeline, card.parts.refiner.pipeline if card.parts.refiner else None, card.parts.control.model if card.parts.control else None]
    unknown = [name for name in classes if name and known and f'"{name}"' not in known]
    if card.engine == "diffusers" and unknown:
        said = f"the diffusers that is installed has no {', '.join(unknown)}"
        yield Check(name="packages", state=NO, said=said, remedy="correct the name, or pip install --upgrade diffusers")
    elif needs:
        yield Check(name="packages", state=OK, said=", ".join(needs))


def of_text(tasks: Sequence[Task]) -> Iterator[Check]:
    """What reads the text that tasks ask for; nothing where none does."""
    asking = [task.id for task in tasks if task.text and "text" in task.checks]
    missing = [module for module in _READING if not installed(module)]
    if not asking:
        return
    if missing:
        said = f"{', '.join(missing)} not installed: whether the text of {', '.join(asking)} is readable will not be judged"
        yield Check(name="text", state=NOTE, said=said, remedy='pip install "swapgate[text]"')
    else:
        yield Check(name="text", state=OK, said=", ".join(_READING))


def of_device(card: Card, machine: Machine) -> Iterator[Check]:
    """The device that the card would run on, and whether torch and the driver go together."""
    if card.device == "cpu":
        yield Check(name="device", state=OK, said="the CPU, as the card says")
    elif not machine.gpus:
        remedy = "run on a machine with an NVIDIA GPU and its driver"
        if card.device == "cuda":
            yield Check(name="device", state=NO, said=machine.why, remedy=remedy)
        else:
            yield Check(name="device", state=NOTE, said=f"{machine.why}: it would run on the CPU, in {card.dtype['cpu']}", remedy=remedy)
    elif not machine.torch_cuda:
        said = f"{machine.gpus[0].name}, but torch {machine.torch} is built without CUDA"
        yield Check(name="device", state=NO, said=said, remedy=f"install a torch that is built for CUDA {machine.driver_cuda} or older")
    elif _major(machine.torch_cuda) > _major(machine.driver_cuda):
        said = f"torch {machine.torch} is built for CUDA {machine.torch_cuda}, driver {machine.driver} runs CUDA {machine.driver_cuda}"
        yield Check(name="device", state=NO, said=said, remedy=f"update the driver, or install a torch for CUDA {_major(machine.driver_cuda)}")
    else:
        names = f"{len(machine.gpus)} x {machine.gpus[0].name}" if len(machine.gpus) > 1 else machine.gpus[0].name
        said = f"{names}, driver {machine.driver} (CUDA {machine.driver_cuda}), torch {machine.torch}"
        yield Check(name="device", state=OK, said=said)


def of_memory(card: Card, found: Sequence[Found], tasks: Sequence[Task], machine: Machine) -> Iterator[Check]:
    """The estimate against the memory of the device, or of the host where the card runs on the CPU."""
    on_cpu = card.device == "cpu" or not machine.gpus
    need = need_of(card, found, tasks, on_cpu=on_cpu)
    if need is None:
        yield Check(
            name="memory", state=NOTE, said="unknown: neither its weights nor its architecture are known here", remedy="name its architecture"
        )
        return
    way = Placement() if on_cpu else memory.placement_of(card)
    if on_cpu:
        yield _judged(need, way, machine, total=machine.host_free, free=machine.host_free, what="")
    elif way.spread:
        total, free = (sum(getattr(one, name) for one in machine.gpus) for name in ("total", "free"))
        yield _judged(need, way, machine, total=total, free=free, what=f"{len(machine.gpus)} devices together")
    else:
        yield _judged(need, way, machine, total=machine.gpus[0].total, free=machine.gpus[0].free, what=f"{machine.gpus[0].name}")


def need_of(card: Card, found: Sequence[Found], tasks: Sequence[Task], *, on_cpu: bool) -> Need | None:
    """The estimate; None where the size of the model is not known."""
    element = memory.ELEMENT[card.dtype["cpu" if on_cpu else "cuda"]]
    sizes: dict[str, int] = {}
    for one in found:
        prefix = "" if one.wanted.key == "source" else f"{one.wanted.key}."
        parts = _on_disk(one, element) if one.whole else _counted(card, one, element)
        if parts is None:
            return None
        if one.wanted.key == "source" and card.parts.quantisation and card.parts.quantisation.file:
            parts.pop("transformer", None)  # the GGUF file holds it
        sizes |= {f"{prefix}{name}": held for name, held in parts.items()}
    megapixels = max((task.width * task.height * task.protocol.images_per_round / 2**20 for task in tasks), default=1.0)
    named = _architecture(card.source, card.architecture)
    return Need(weights=sizes, work=memory.work_of(named, megapixels, slicing=bool(card.options.get("vae_slicing", False))))


def _judged(need: Need, way: Placement, machine: Machine, *, total: int, free: int, what: str) -> Check:
    asked, held = need.on_device(way), need.on_host(way)
    there = f"{size(free)} free of {size(total)} of {what}" if what else f"{size(free)} of the host's memory free"
    said = f"about {size(asked)} ({size(asked - need.work)} of weights), {way if what else 'on the CPU'}; {there}"
    if held > machine.host_free:
        return Check(name="memory", state=NO, said=f"{said}; {size(held)} of the host's memory, {size(machine.host_free)} free", remedy="free it")
    if asked > total:
        return Check(name="memory", state=NO, said=said, remedy=_others(need, machine))
    if asked > free:
        return Check(
            name="memory", state=NO, said=said, remedy="end what holds the rest (nvidia-smi lists it)" if machine.gpus else "end other programs"
        )
    if asked > _LEAST * free:
        return Check(name="memory", state=NOTE, said=f"{said}: tight", remedy=f"measure it: {_others(need, machine)}")
    return Check(name="memory", state=OK, said=said)


def _others(need: Need, machine: Machine) -> str:
    """The placements that would fit this machine's first device."""
    if not machine.gpus:
        return "run on a machine with more memory, or with a GPU"
    ways = memory.fitting(need, total=machine.gpus[0].total, host=machine.host_free, devices=[one.total for one in machine.gpus])
    named = "; ".join(f"{way} ({size(held)})" for way, held in ways[:_WAYS])
    return (
        f"by the same estimate would fit: {named}" if named else "no placement would fit: take a larger device, or smaller and fewer pictures a call"
    )


def _on_disk(one: Found, element: int) -> dict[str, int]:
    return {name or one.wanted.source: weights.loaded_bytes(files, element) for name, files in one.contents.files.items()}


def _counted(card: Card, one: Found, element: int) -> dict[str, int] | None:
    """By the published architecture; a LoRA, or a file whose size is unknown, counts nothing."""
    wanted = one.wanted
    if wanted.key.startswith(("lora", "quantisation")):
        return {}
    if wanted.key == "control":
        return {"": CONTROLS[wanted.source] * element} if wanted.source in CONTROLS else None
    named = card.architecture if wanted.key == "source" else card.parts.refiner.architecture if card.parts.refiner else ""
    found = PARAMETERS.get(_architecture(wanted.source, named))
    return {name: count * element for name, count in found.items()} if found else None


def _architecture(source: str, named: str) -> str:
    found = of_source(source, named)
    return next((name for name, one in ARCHITECTURES.items() if one is found), "")


def _major(version: str) -> int:
    return int(version.partition(".")[0] or 0)

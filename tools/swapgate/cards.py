"""Cards: what to load and how to call it. One TOML file per model; everything is checked before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from swapgate.bundled import is_bundled, sources
from swapgate.card_parts import Parts, Scalar, read_parts, scalars
from swapgate.errors import UserError
from swapgate.reading import Table, load_toml

REAL, DRY = "real", "dry"
SERVER = "server"  # the kind of an accelerator that only its server's address is known of
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")
LANGUAGES = ("en", "zh")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # what a model, a cohort or a task is called: one file name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """Absolute limits on one kind of device; None where the card sets none.

    seconds_per_image and first_step_seconds are wall seconds of one call; memory_mib is the peak allocated on
    an accelerator, or the peak resident size of the engine process on a CPU; growth_mib is per image.
    compute_floor_seconds is the other end: FLOPs of an image over the device's peak rate, below which a time is no time.
    """

    seconds_per_image: float | None = None
    first_step_seconds: float | None = None
    memory_mib: float | None = None
    growth_mib: float | None = None
    compute_floor_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Which open_clip model judges alignment: a local folder (path) or a name with its pretrained tag.

    The source "scripted" reads the pictures of the scripted engine, which is for tests of the suite itself.
    """

    source: str
    pretrained: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One model as the suite loads and calls it.

    `call` goes to the pipeline as keyword arguments; `expected_forwards` is how often the transformer must run
    for one call (None: not checked), the proof that guidance was really on.
    `faults` are planted on purpose (drills); a card that has any is shown as such everywhere.
    timeout_seconds limits a whole call; stall_seconds how long a stage of it (text, a step, decoding) may stand still, which a pipeline
    whose steps cannot be seen, or that compiles itself in its first one, does by right: None, the default, leaves it to the whole.
    weights: "dry" builds the architecture at full size with random weights, of which only cost is judged; architecture: the one
    of a model whose files are not here, by its name in `engines.dry`. download_gib: size of what is to be fetched, gated: its licence
    has to be accepted first, references: where the card's facts are from, sizes: [width, height] that the model's makers recommend.
    """

    id: str
    title: str
    engine: str
    source: str
    revision: str | None
    pipeline: str | None
    device: str
    dtype: Mapping[str, str]
    call: Mapping[str, Scalar]
    negative_prompt: Mapping[str, str]
    expected_forwards: int | None
    tasks: tuple[str, ...]
    judge: Judge
    ceilings: Mapping[str, Ceilings]
    usability_floor: float
    timeout_seconds: float
    licence: str
    options: Mapping[str, Scalar] = field(default_factory=dict)
    parts: Parts = field(default_factory=Parts)
    faults: tuple[str, ...] = ()
    stall_seconds: float | None = None
    weights: str = REAL
    architecture: str = ""
    download_gib: float | None = None
    gated: bool = False
    references: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    path: Path = Path()
    root: Path = Path()

    def ceilings_on(self, accelerator: str) -> Ceilings:
        """The ceilings for an accelerator slug ("nvidia-h200", "cpu", "server-<host>"): its own table, else that of its kind."""
        kind = next((one for one in ("cpu", SERVER) if accelerator.startswith(one)), "cuda")
        return self.ceilings.get(accelerator) or self.ceilings.get(kind) or Ceilings()

    def recipe(self) -> dict[str, object]:
        """What was declared about loading and calling, without weights' revision: a part of the cohort."""
        return {
            "engine": self.engine,
            "pipeline": self.pipeline,
            "dtype": dict(self.dtype),
            "device": self.device,
            "call": dict(self.call),
            "negative_prompt": dict(self.negative_prompt),
            **self.parts.named(),
            **({"weights": self.weights} if self.dry else {}),
        }

    @property
    def dry(self) -> bool:
        """Whether the weights are random, so that no picture of this card means anything."""
        return self.weights == DRY


def read_card(path: Path, *, root: Path, engines: tuple[str, ...]) -> Card:
    """The card in `path`; paths inside it are relative to `root`. Raises UserError on any mistake."""
    if not NAME.fullmatch(path.stem):  # known only when the run is judged, all its images would have been made for nothing
        raise UserError(
            where=str(path.parent),
            value=path.name,
            rule="a model is named by its file: letters, digits and . _ + -, a letter or digit first",
            remedy="rename the file",
        )
    top = load_toml(path)
    card = Card(
        id=path.stem,
        title=top.take("title", str, path.stem),
        engine=top.choice("engine", engines),
        source=_source(top, root),
        revision=top.take("revision", str, None),
        pipeline=top.take("pipeline", str, None),
        device=top.choice("device", DEVICES, "auto"),
        dtype=_dtype(top.table("dtype", {})),
        call=scalars(top.table("call", {})),
        negative_prompt=_languages(top.table("negative_prompt", {})),
        expected_forwards=top.whole("expected_forwards", None, low=1, high=100_000),
        tasks=top.strings("tasks"),
        judge=_judge(top.table("judge"), root),
        ceilings=_ceilings(top.table("ceilings", {})),
        usability_floor=top.number("usability_floor", 0.0, low=0.0, high=1.0),
        timeout_seconds=top.number("timeout_seconds", 600.0, low=0.1, high=86_400.0),
        stall_seconds=_stall(top),
        licence=top.take("licence", str, "not stated"),
        options=scalars(top.table("options", {})),
        parts=read_parts(top, root),
        faults=top.strings("faults", ()),
        weights=top.choice("weights", (REAL, DRY), REAL),
        architecture=top.take("architecture", str, ""),
        download_gib=top.number("download_gib", None, low=0.0, high=10_000.0),
        gated=top.take("gated", bool, False),
        references=top.strings("references", ()),
        sizes=_sizes(top),
        path=path,
        root=root,
    )
    if (card.engine == "comfyui") != bool(card.parts.workflow):
        raise top.wrong("engine", 'a table [comfyui] with engine = "comfyui", and with no other', "swapgate comfyui map WORKFLOW.json prints one")
    top.finish()
    return card


def read_cards(folder: Path, *, root: Path, engines: tuple[str, ...]) -> dict[str, Card]:
    """Every card of a folder by id, in name order."""
    if not folder.is_dir():
        raise UserError(
            where=str(folder),
            rule="the folder of model cards must exist",
            remedy="create it, or set `models` under [tool.swapgate] in pyproject.toml",
        )
    return {path.stem: read_card(path, root=root, engines=engines) for path in sorted(folder.glob("*.toml"))}


def inside(root: Path, given: str, table: Table, name: str) -> str:
    """`given` when it stays inside the project, else the UserError that says so."""
    if not (root / given).resolve().is_relative_to(root.resolve()):
        raise table.wrong(name, "a path inside the project", "move the files into the project, or link the folder from inside it")
    return given


def _source(top: Table, root: Path) -> str:
    given = top.take("source", str, rule="a folder inside the project or a Hub id")
    if is_bundled(given):
        return _known(given, top)
    looks_local = given.startswith((".", "/", "~")) or (root / given).exists() or given.count("/") != 1
    if top.take("engine", str, "") == "diffusers" and looks_local:
        inside(root, given, top, "source")
        if not (root / given).is_dir():
            raise top.wrong(
                "source", "a folder that exists, or a Hub id such as Qwen/Qwen-Image-2512", f"put the weights into {given}, or correct the path"
            )
    return given


def _known(source: str, table: Table) -> str:
    """A source of the package itself, when it is one."""
    if source not in sources():
        raise table.wrong(
            "source", f"one of {', '.join(sources()) or 'those that come with the package, which was installed without them'}", "correct the name"
        )
    return source


def _stall(top: Table) -> float | None:
    found: float | None = top.number("stall_seconds", None, low=0.1, high=86_400.0)
    whole = top.number("timeout_seconds", 600.0, low=0.1, high=86_400.0)
    if found is not None and found >= whole:
        raise top.wrong("stall_seconds", f"below timeout_seconds = {whole:g}, which ends the call anyway", "lower it, or remove it", found)
    return found


def _dtype(table: Table) -> Mapping[str, str]:
    found = {"cpu": table.choice("cpu", DTYPES, "float32"), "cuda": table.choice("cuda", DTYPES, "bfloat16")}
    table.finish()
    return MappingProxyType(found)


def _sizes(top: Table) -> tuple[tuple[int, int], ...]:
    sizes = top.take("sizes", list, [])
    if not all(isinstance(one, list) and len(one) == 2 and all(isinstance(side, int) and side > 0 for side in one) for one in sizes):
        raise top.wrong("sizes", "pairs of width and height in pixels", "write sizes = [[1328, 1328], [1664, 928]]")
    return tuple((width, height) for width, height in sizes)


def _languages(table: Table) -> Mapping[str, str]:
    found = {name: table.take(name, str) for name in LANGUAGES if table.has(name)}
    table.finish()
    return MappingProxyType(found)


def _judge(table: Table, root: Path) -> Judge:
    source = table.take("source", str)
    pretrained = table.take("pretrained", str, None)
    if is_bundled(source):
        _known(source, table)
    elif pretrained is None and source != "scripted":
        inside(root, source, table, "source")
        if not (root / source / "open_clip_config.json").is_file():
            raise table.wrong(
                "source",
                "a folder with open_clip_config.json, or a model name with `pretrained`",
                'correct the folder, or write pretrained = "webli"',
            )
    table.finish()
    return Judge(source=source, pretrained=pretrained)


def _ceilings(table: Table) -> Mapping[str, Ceilings]:
    found: dict[str, Ceilings] = {}
    for accelerator in table.names():
        limits = table.table(accelerator)
        made = Ceilings(
            seconds_per_image=limits.number("seconds_per_image", None, low=0.0, high=86_400.0),
            first_step_seconds=limits.number("first_step_seconds", None, low=0.0, high=86_400.0),
            memory_mib=limits.number("memory_mib", None, low=1.0, high=1e9),
            growth_mib=limits.number("growth_mib", None, low=0.0, high=1e6),
            compute_floor_seconds=limits.number("compute_floor_seconds", None, low=0.0, high=86_400.0),
        )
        limits.finish()
        floor, ceiling = made.compute_floor_seconds, made.seconds_per_image
        if floor is not None and ceiling is not None and floor >= ceiling:
            raise limits.wrong("compute_floor_seconds", f"below seconds_per_image = {ceiling:g}", "count the FLOPs of one image again", floor)
        found[accelerator] = made
    return MappingProxyType(found)

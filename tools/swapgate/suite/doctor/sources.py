"""The sources that a card names, where each is here, and what is missing of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swapgate.cards import Card
from swapgate.engines import fetching
from swapgate.suite.doctor import hub, weights

PIPELINE, MODEL, FILE = "pipeline", "model", "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One source of a card. key: where it stands in the card; kind: a pipeline's folder, a model's, or a file (`name`) of weights."""

    key: str
    source: str
    revision: str | None
    kind: str
    name: str = ""

    @property
    def command(self) -> str:
        """What fetches it: of a pipeline only its components, since beside them there may be one file with all of them."""
        rest = {PIPELINE: fetching.OF_PIPELINE, FILE: (self.name,) if self.name else ()}.get(self.kind, ())
        return fetching.command(self.source, self.revision, *rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A source on this machine: where (None: nowhere), and what is in it."""

    wanted: Wanted
    located: hub.Located | None
    contents: weights.Contents

    @property
    def whole(self) -> bool:
        return self.located is not None and not self.contents.missing


def wanted(card: Card) -> Iterator[Wanted]:
    """Every source of weights that loading the card reads, the pipeline first."""
    yield Wanted(key="source", source=card.source, revision=card.revision, kind=PIPELINE)
    parts = card.parts
    for number, lora in enumerate(parts.loras):
        yield Wanted(key=f"lora[{number}]", source=lora.source, revision=lora.revision, kind=FILE, name=lora.weight_name)
    if parts.control:
        yield Wanted(key="control", source=parts.control.source, revision=parts.control.revision, kind=MODEL)
    if parts.refiner:
        yield Wanted(key="refiner", source=parts.refiner.source, revision=parts.refiner.revision, kind=PIPELINE)
    if parts.quantisation and parts.quantisation.file:
        yield _gguf(card, parts.quantisation.file)


def find(card: Card, one: Wanted, cache: Path) -> Found:
    """That source in the project or the Hub's cache."""
    located = hub.locate(one.source, one.revision, root=card.root, where=cache)
    if located is None:
        return Found(wanted=one, located=None, contents=weights.Contents())
    variant = str(card.options.get("variant", ""))
    if one.kind == PIPELINE:
        contents = weights.of_pipeline(located.path, variant)
        contents = _without_transformer(contents) if one.key == "source" and _has_gguf(card) else contents
    else:
        contents = weights.of_model(located.path) if one.kind == MODEL else weights.of_file(located.path, one.name)
    return Found(wanted=one, located=located, contents=contents)


def _gguf(card: Card, file: str) -> Wanted:
    """A file of the project as it is; <owner>/<name>/<file> on the Hub."""
    if (card.root / file).is_file():
        return Wanted(key="quantisation.file", source=file, revision=None, kind=FILE)
    owner, name, rest = file.split("/", 2)
    return Wanted(key="quantisation.file", source=f"{owner}/{name}", revision=None, kind=FILE, name=rest)


def _has_gguf(card: Card) -> bool:
    return bool(card.parts.quantisation and card.parts.quantisation.file)


def _without_transformer(contents: weights.Contents) -> weights.Contents:
    """Its weights come from the GGUF file; its config is still read from here."""
    kept = tuple(name for name in contents.missing if not name.startswith("transformer/") or name.endswith("config.json"))
    files = {name: files for name, files in contents.files.items() if name != "transformer"}
    return weights.Contents(files=files, missing=kept, pickled=tuple(name for name in contents.pickled if name != "transformer"))

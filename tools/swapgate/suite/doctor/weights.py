"""Folders of weights: what belongs into them, what is missing, what kind of files they have, how many parameters those hold."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

_WITHOUT = ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "ImageProcessor", "FeatureExtractor")
"""Ends of the names of classes that have no weights."""
_MOST_HEADER = 100 * 2**20  # bytes; the format's own limit
INDEX = "model_index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a folder holds. files: its weights by component ("" for a folder that is one model); missing: names relative to it;
    pickled: components that come as *.bin alone.
    """

    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    pickled: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of the weights, on the disk."""
        return sum(file.stat().st_size for files in self.files.values() for file in files)


def of_pipeline(folder: Path, variant: str = "") -> Contents:
    """A pipeline's folder as `save_pretrained` writes it."""
    index = _json(folder / INDEX)
    if not isinstance(index, dict):
        return Contents(missing=(INDEX,))
    named = {name: value for name, value in index.items() if not name.startswith("_") and isinstance(value, list) and len(value) == 2 and value[1]}
    parts = {name: of_model(folder / name, variant) for name, value in named.items() if not str(value[1]).endswith(_WITHOUT)}
    bare = [name for name, value in named.items() if str(value[1]).endswith(_WITHOUT) and not any((folder / name).glob("*"))]
    return Contents(
        files={name: one.files.get("", ()) for name, one in parts.items()},
        missing=(*(f"{name}/{file}" for name, one in parts.items() for file in one.missing), *(f"{name}/" for name in bare)),
        pickled=tuple(name for name, one in parts.items() if one.pickled),
    )


def of_model(folder: Path, variant: str = "") -> Contents:
    """The folder of one model: config.json, and weights in one file or in all the shards of an index."""
    missing = () if (folder / "config.json").is_file() else ("config.json",)
    ending = f".safetensors.index.{variant}.json" if variant else ".safetensors.index.json"
    for index in sorted(folder.glob(f"*{ending}")):
        shards = sorted({str(name) for name in (_json(index) or {}).get("weight_map", {}).values()})
        return Contents(
            files={"": tuple(folder / name for name in shards if (folder / name).is_file())},
            missing=(*missing, *(name for name in shards if not (folder / name).is_file())),
        )
    whole = _there(folder.glob(f"*.{variant}.safetensors" if variant else "*.safetensors"))
    if whole:
        return Contents(files={"": whole}, missing=missing)
    pickled = _there((*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")))
    if pickled:
        return Contents(files={"": pickled}, missing=missing, pickled=("",))
    return Contents(missing=(*missing, f"*.{variant}.safetensors" if variant else "*.safetensors"))


def of_file(place: Path, name: str = "") -> Contents:
    """One file of weights: the place itself, that name in it, or the only *.safetensors there."""
    if place.is_file():
        return _one(place)
    if name:
        return _one(place / name) if (place / name).is_file() else Contents(missing=(name,))
    found = _there(place.glob("*.safetensors")) or _there(place.glob("*.bin"))
    return _one(found[0]) if found else Contents(missing=("*.safetensors",))


def loaded_bytes(files: Iterable[Path], element: int) -> int:
    """Bytes of these weights once loaded in floats of `element` bytes; what is no safetensors file counts as it lies."""
    return sum(_loaded(file, element) for file in files)


def _loaded(file: Path, element: int) -> int:
    header = _header(file)
    if header is None:
        return file.stat().st_size
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            floating = str(entry["dtype"]) in ("F64", "F32", "F16", "BF16")
            total += prod(entry["shape"]) * element if floating else end - begin
    return total


def _header(file: Path) -> dict[str, Any] | None:
    """The header of a safetensors file: eight bytes of length, then JSON (the format's description)."""
    if file.suffix != ".safetensors":
        return None
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            found = json.loads(opened.read(length)) if length <= _MOST_HEADER else None
    except (OSError, ValueError, struct.error):
        return None
    return found if isinstance(found, dict) and all(name == "__metadata__" or "data_offsets" in entry for name, entry in found.items()) else None


def damaged(files: Iterable[Path]) -> tuple[str, ...]:
    """Names of safetensors files that are shorter or longer than their header says, or that have none."""
    return tuple(file.name for file in files if file.suffix == ".safetensors" and _expected(file) != file.stat().st_size)


def _expected(file: Path) -> int:
    header = _header(file)
    if header is None:
        return -1
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
    ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    return 8 + int(length) + max(ends, default=0)


def _one(file: Path) -> Contents:
    return Contents(files={"": (file,)}, pickled=() if file.suffix in (".safetensors", ".gguf") else ("",))


def _there(found: Iterable[Path]) -> tuple[Path, ...]:
    """Those that exist: a snapshot's file is a link, whose blob may be gone."""
    return tuple(sorted(file for file in found if file.is_file()))


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

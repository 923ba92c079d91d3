"""What a file of safetensors holds, by its header; and what is no such file, or not a whole one.

8 bytes with the length of the header (little endian), the header as JSON, then the tensors without gaps.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from swapgate.errors import UserError

_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
DTYPES = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)


class UnknownDtypeError(Exception):
    """A file holds tensors of a dtype that this reader does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor of a file; begin, end: its bytes, counted from the file's first."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> tuple[Entry, ...]:
    """The tensors of a file, in the order of their bytes.

    Raises:
        UserError: it is no safetensors file, or not a whole one.
        UnknownDtypeError: see there.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        if size < 8 or start > min(size, _LONGEST_HEADER):
            raise damaged(path, f"{size} bytes", "a file of safetensors begins with the length of its header")
        header = _parsed(path, file.read(start - 8))
    header.pop("__metadata__", None)
    entries = sorted((_entry(path, start, name, value) for name, value in header.items()), key=lambda entry: (entry.begin, entry.end))
    ends = [start, *(entry.end for entry in entries)]
    if any(entry.begin != before for entry, before in zip(entries, ends, strict=False)):
        raise damaged(path, None, "the tensors of a file follow each other without gaps")
    if ends[-1] != size:
        raise damaged(path, f"{size} bytes", f"a whole file: its header promises {ends[-1]} bytes")
    return tuple(entries)


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise damaged(path, None, "the header of a file of safetensors is a JSON object")
    return header


def _entry(path: Path, start: int, name: str, value: Any) -> Entry:
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise damaged(path, name, "a tensor has dtype, shape and data_offsets") from None
    if dtype not in DTYPES:
        raise UnknownDtypeError(f"since {path.name} holds tensors of dtype {dtype}")
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise damaged(path, name, "the bytes of a tensor are as many as its shape and dtype need")
    return Entry(name=name, dtype=DTYPES[dtype], shape=shape, begin=start + begin, end=start + end)


def damaged(path: Path, value: object, rule: str) -> UserError:
    return UserError(
        where=str(path), key="safetensors", value=value, rule=rule, remedy=f"fetch it again: hf download <model id> --local-dir {path.parent.parent}"
    )

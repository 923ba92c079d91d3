"""Canonical JSON and its hash: the same data gives the same bytes on every machine."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from swapgate.characters import steers
from swapgate.errors import RunBroken


def dumps(data: Any, *, indent: int | None = None) -> str:
    """JSON with sorted keys and no NaN; compact unless `indent` is given. Characters that are not seen, or steer what is seen, are escaped."""
    text = _written(data, indent)
    # JSON escapes the controls below space itself, and those that stand between values are its own.
    unseen = {char for char in set(text) if char >= "\x7f" and steers(char)}
    return text.translate({ord(char): _escape(char) for char in unseen}) if unseen else text


def digest(data: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `data`, with nothing escaped that JSON does not ask for."""
    return hashlib.sha256(_written(data, None).encode()).hexdigest()


def _written(data: Any, indent: int | None) -> str:
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)


def _escape(char: str) -> str:
    """As JSON escapes a character: one above U+FFFF is a pair of surrogates."""
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else json.dumps(char)[1:-1]


def rounded(data: Any, digits: int = 6) -> Any:
    """`data` with every float rounded to `digits` significant digits, so that files stay reviewable."""
    if isinstance(data, float):
        return float(f"{data:.{digits}g}")
    if isinstance(data, dict):
        return {key: rounded(value, digits) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [rounded(value, digits) for value in data]
    return data


def write_atomic(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Write through a temporary file in the same folder and rename, so that a reader never sees half a file.

    durable: the file is on the disk before it takes its name, so that a power cut leaves the old one or the new one, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """The content of a JSON file; RunBroken when it does not parse."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunBroken(where=str(path), rule=f"valid JSON ({error})", remedy="restore the file from version control or run again") from None

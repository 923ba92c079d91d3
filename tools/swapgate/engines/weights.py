"""The identity of a model's files: hashes that are the same on every machine, whatever the folder is called.

weights: SHA-256 over the sorted SHA-256s of the *.safetensors files. In the Hub's cache a large file is a link to a blob
named by its SHA-256, which is then taken from the name, so that a snapshot of 50 GB costs nothing.
"""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from swapgate.canonical import digest

_BLOB = re.compile(r"[0-9a-f]{64}")
_CACHE: dict[tuple[Path, int, int], str] = {}


def weights_identity(*sources: Path) -> str:
    """Hash of all weights under `sources` (folders or single files); the order of the files does not matter."""
    files = [file for source in sources for file in ([source] if source.is_file() else source.rglob("*.safetensors"))]
    with ThreadPoolExecutor(max_workers=4) as pool:
        hashes = sorted(pool.map(file_hash, files))
    return digest(hashes)


def config_identity(folder: Path) -> str:
    """Short hash of every JSON file of a pipeline's folder but the weights' indices: schedulers, shapes, tokenizers."""
    files = sorted(file for file in folder.rglob("*.json") if not file.name.endswith(".safetensors.index.json"))
    return digest([[file.relative_to(folder).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files])[:16]


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of one file; kept for as long as its size and time of change stay."""
    real = path.resolve()
    if real.parent.name == "blobs" and _BLOB.fullmatch(real.name):
        return real.name
    state = real.stat()
    key = (real, state.st_mtime_ns, state.st_size)
    if key not in _CACHE:
        with real.open("rb") as file:
            _CACHE[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _CACHE[key]

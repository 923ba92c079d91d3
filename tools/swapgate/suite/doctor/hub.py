"""The Hub's cache on this disk: models--<owner>--<name>/{refs,snapshots,blobs}, read without the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swapgate.bundled import place
from swapgate.engines.fetching import home


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a source is: a folder or file, and its commit; no commit for what lies in the project."""

    path: Path
    commit: str = ""


def has_token(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this machine is logged in to the Hub; the token itself is not read."""
    if environ.get("HF_TOKEN") or environ.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    file = Path(environ.get("HF_TOKEN_PATH") or home(environ) / "token").expanduser()
    return file.is_file() and file.stat().st_size > 0


def locate(source: str, revision: str | None, *, root: Path, where: Path) -> Located | None:
    """A source with the package or in the project at `root`, else at that revision ("main" for None) in the cache `where`; None where it is in neither."""
    here = place(root, source)
    if here.exists():
        return Located(path=here)
    repository = _repository(source, where)
    if repository is None:
        return None
    named = revision or "main"
    reference = repository / "refs" / named
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else named
    folder = repository / "snapshots" / commit
    return Located(path=folder, commit=commit) if folder.is_dir() else None


def commits(source: str, where: Path) -> list[str]:
    """Every commit of a Hub id that the cache has something of, newest first."""
    repository = _repository(source, where)
    folders = [folder for folder in (repository / "snapshots").glob("*") if folder.is_dir()] if repository else []
    return [folder.name for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime_ns, reverse=True)]


def unfinished(source: str, where: Path) -> bool:
    """Whether a download of this id was begun and not ended."""
    repository = _repository(source, where)
    return repository is not None and any((repository / "blobs").glob("*.incomplete"))


def is_id(source: str) -> bool:
    """Whether a source could be on the Hub: <owner>/<name>."""
    return source.count("/") == 1 and not source.startswith((".", "/", "~"))


def _repository(source: str, where: Path) -> Path | None:
    folder = where / f"models--{source.replace('/', '--')}"
    return folder if is_id(source) and folder.is_dir() else None

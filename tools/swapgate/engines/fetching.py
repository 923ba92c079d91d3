"""What is to be known of the Hugging Face Hub without asking it: where its cache is, whether downloads are forbidden, what fetches a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from swapgate.bundled import place

OF_PIPELINE = ("--include '*/*'", "--include model_index.json")
"""Of a pipeline only its components: beside them there may be one file with all of them."""


def cache(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the Hub's cache, which need not exist."""
    return Path(environ.get("HF_HUB_CACHE") or home(environ) / "hub").expanduser()


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of everything that huggingface_hub keeps."""
    return Path(environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface").expanduser()


def offline(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether HF_HUB_OFFLINE forbids downloads."""
    return environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON")


def command(source: str, revision: str | None, *rest: str) -> str:
    """What fetches a Hub id, or files of it."""
    return " ".join(["hf download", source, *rest, *(["--revision", revision] if revision else [])])


def located(root: Path, source: str, revision: str | None) -> Path | None:
    """Where the files of a source are: with the package, in the project at `root`, else in the Hub's cache; None where they are in neither. Nothing is fetched."""
    if (here := place(root, source)).exists():
        return here
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None

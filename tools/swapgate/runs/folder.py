"""A run as a folder: everything that was made and measured, so that gates and reports can be computed anywhere later.

manifest.json   schema, id, created (UTC), environment, cards, plan (list of requests), options; written once
journal.jsonl   append-only, one JSON object a line: {"event": "loaded" | "generation" | "note" | ..., ...}
images/ab/<sha>.png   lossless, named by the SHA-256 of the decoded pixels with size and mode (`runs.pixels`)
scores.jsonl    append-only memo {"key": ..., "value": ...}: what a metric said, so that a replay computes nothing again
"""

from __future__ import annotations

import io
import os
import re
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from swapgate.canonical import dumps, read_json, write_atomic
from swapgate.errors import RunBroken, UserError
from swapgate.plan import Request
from swapgate.runs.lines import Lines
from swapgate.runs.pixels import MODE, Pixels, checked_pixels, pixel_hash
from swapgate.runs.records import Generation, Loaded

SCHEMA = 1
RUNS = Path(".swapgate") / "runs"
_COMPRESSION = 1  # zlib level: level 6 takes several times as long for a few per cent of size
_SHA = re.compile(r"[0-9a-f]{64}")


def new_folder(root: Path) -> Path:
    """A path for a new run under `root`/.swapgate/runs: UTC stamp and four random hex digits, nothing created."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return root / RUNS / f"{stamp}-{secrets.token_hex(2)}"


class RunFolder:
    """One run folder, open for reading and adding, by several threads at a time. Make one with `create` or `open`.

    `notes` names what reading had to leave out (a line that a crash cut off).
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self._lock = threading.RLock()
        self._journal = Lines(path / "journal.jsonl")
        self._scores = Lines(path / "scores.jsonl")
        self._memo: dict[str, Any] = {}
        for number, line in enumerate(self._scores, start=1):
            if "key" not in line or "value" not in line:
                raise self._damaged(path / "scores.jsonl", number)
            self._memo[line["key"]] = line["value"]
        self.notes = tuple(lines.note for lines in (self._journal, self._scores) if lines.note)
        self._noted = not self.notes
        self._generations: dict[str, Generation] = {}
        self._loads: list[Loaded] = []
        for number, event in enumerate(self._journal, start=1):
            self._understand(event, number)

    @classmethod
    def create(cls, path: Path, manifest: Mapping[str, Any]) -> RunFolder:
        """A new run in `path`, which must not hold one; `manifest` gets schema, id (the folder's name) and created."""
        if (path / "manifest.json").exists():
            raise UserError(
                where=str(path), rule="a new run needs a folder that holds no run", remedy="choose another --run-dir, or remove that folder"
            )
        whole = {"schema": SCHEMA, "id": path.name, "created": datetime.now(UTC).isoformat(timespec="seconds"), **manifest}
        write_atomic(path / "manifest.json", dumps(whole, indent=1) + "\n")
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in `path`. UserError when there is none, RunBroken when it cannot be used."""
        file = path / "manifest.json"
        if not file.is_file():
            raise UserError(where=str(path), rule="a run is a folder with manifest.json", remedy="name a folder under .swapgate/runs")
        manifest = read_json(file)
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
            found = manifest.get("schema") if isinstance(manifest, dict) else None
            raise RunBroken(
                where=str(file),
                key="schema",
                value=found,
                rule=f"this version reads schema {SCHEMA}",
                remedy="read the run with the version of swapgate that made it, or make the run again",
            )
        return cls(path, manifest)

    @property
    def id(self) -> str:
        return str(self.manifest["id"])

    def requests(self) -> list[Request]:
        """Every request of the plan, in the order in which they were to be made."""
        try:
            return [Request.from_json(item) for item in self.manifest.get("plan", [])]
        except (TypeError, KeyError, AttributeError):
            raise RunBroken(
                where=str(self.path / "manifest.json"),
                key="plan",
                rule="a list of requests",
                remedy="restore the file from a copy, or make the run again",
            ) from None

    def events(self) -> list[dict[str, Any]]:
        """Every event of the journal, oldest first."""
        with self._lock:
            return list(self._journal)

    def append(self, event: Mapping[str, Any]) -> None:
        """Add one event to the journal; it outlives this process once this returns."""
        with self._lock:
            if not self._noted:
                self._noted = True
                for note in self.notes:
                    self._journal.append({"event": "note", "text": note})
            self._understand(dict(event), len(self._journal) + 1)
            self._journal.append(event)

    def add_generation(self, generation: Generation) -> None:
        """Journal one generation; a later one of the same request takes its place in `generations`."""
        self.append({"event": "generation", "generation": generation.as_json()})

    def add_loaded(self, loaded: Loaded) -> None:
        """Journal that a model was loaded."""
        self.append({"event": "loaded", "loaded": loaded.as_json()})

    def generations(self) -> dict[str, Generation]:
        """The last generation of every request, by request key, in the order in which they were first journalled."""
        with self._lock:
            return dict(self._generations)

    def loaded(self) -> dict[str, Loaded]:
        """What the host said at the first loading of every model, by model; `loads` has those after a restart too."""
        return {loaded.model: loaded for loaded in reversed(self.loads())}

    def loads(self) -> tuple[Loaded, ...]:
        """Every loading, oldest first."""
        with self._lock:
            return tuple(self._loads)

    def image_path(self, sha: str) -> Path:
        """Where the image of that hash lies, whether or not it is there. RunBroken when `sha` is no SHA-256."""
        if not isinstance(sha, str) or not _SHA.fullmatch(sha):
            raise RunBroken(
                where=str(self.path),
                key="image",
                value=sha,
                rule="an image is named by a SHA-256 in hex",
                remedy="restore the journal from a copy, or make the run again",
            )
        return self.path / "images" / sha[:2] / f"{sha}.png"

    def save_image(self, pixels: Pixels) -> str:
        """Keep a picture (uint8, height x width x 3) and return the hash of its pixels; saving it again costs nothing."""
        from PIL import Image

        sha = pixel_hash(pixels)
        path = self.image_path(sha)
        if not path.exists():
            encoded = io.BytesIO()
            Image.fromarray(checked_pixels(pixels)).save(encoded, "PNG", compress_level=_COMPRESSION)
            write_atomic(path, encoded.getvalue())
        return sha

    def load_image(self, sha: str) -> Pixels:
        """The pixels of that hash, verified. RunBroken when the file is missing, damaged or another picture."""
        from PIL import Image

        path = self.image_path(sha)
        try:
            with Image.open(path) as image:
                mode, pixels = image.mode, np.asarray(image)
        except FileNotFoundError:
            raise self._lost(path, "the image of a generation must be in the run") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise self._lost(path, f"a PNG file that decodes ({error})") from None
        if mode != MODE or pixel_hash(pixels) != sha:
            raise self._lost(path, "pixels whose SHA-256 is the file's name")
        return pixels

    def score_get(self, key: str) -> Any:
        """What was memoised under `key`, or None."""
        return self._memo.get(key)

    def memo(self) -> dict[str, Any]:
        """Everything that was memoised, by key."""
        with self._lock:
            return dict(self._memo)

    def score_put(self, key: str, value: Any) -> None:
        """Memoise a JSON value under `key`; the last value of a key counts."""
        with self._lock:
            self._scores.append({"key": key, "value": value})
            self._memo[key] = value

    def close(self) -> None:
        """Close the files; a later append opens them again."""
        with self._lock:
            self._journal.close()
            self._scores.close()

    def _understand(self, event: dict[str, Any], number: int) -> None:
        try:
            if event["event"] == "generation":
                made = Generation.from_json(event["generation"])
                self._generations[made.request] = made
            elif event["event"] == "loaded":
                self._loads.append(Loaded.from_json(event["loaded"]))
        except (KeyError, TypeError, AttributeError):
            raise self._damaged(self.path / "journal.jsonl", number) from None

    def _damaged(self, file: Path, number: int) -> RunBroken:
        return RunBroken(
            where=f"{file}:{number}", rule="a line holds an event of this schema", remedy="restore the file from a copy, or make the run again"
        )

    def _lost(self, path: Path, rule: str) -> RunBroken:
        return RunBroken(where=os.fspath(path), rule=rule, remedy="restore the file from a copy, or make the run again")

"""The identity of weights hangs on their content alone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from swapgate.canonical import digest
from swapgate.engines import weights
from swapgate.engines.weights import config_identity, file_hash, weights_identity


def model(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


FILES = {"vae/model.safetensors": b"vae", "transformer/a.safetensors": b"one", "transformer/b.safetensors": b"two", "model_index.json": b"{}"}


def test_it_is_the_hash_of_the_sorted_hashes(tmp_path: Path) -> None:
    """Computed here a second way."""
    hashes = sorted(hashlib.sha256(content).hexdigest() for content in (b"vae", b"one", b"two"))
    assert weights_identity(model(tmp_path, FILES)) == digest(hashes)


def test_names_and_other_files_do_not_matter_and_content_does(tmp_path: Path) -> None:
    """The same weights under another name are the same weights."""
    one = weights_identity(model(tmp_path / "one", FILES))
    renamed = {"x/1.safetensors": b"two", "x/2.safetensors": b"vae", "3.safetensors": b"one", "readme.json": b"[]"}
    assert weights_identity(model(tmp_path / "two", renamed)) == one
    assert weights_identity(model(tmp_path / "three", {**FILES, "vae/model.safetensors": b"VAE"})) != one
    assert weights_identity(tmp_path / "one", model(tmp_path / "lora", {"l.safetensors": b"lora"})) != one
    assert weights_identity(tmp_path / "one", tmp_path / "lora" / "l.safetensors") == weights_identity(tmp_path / "one", tmp_path / "lora")


def test_a_hash_is_kept_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size or time of change make it be read again."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"one")
    first = file_hash(path)
    reads: list[str] = []
    real = hashlib.file_digest
    monkeypatch.setattr(weights.hashlib, "file_digest", lambda file, name: reads.append(name) or real(file, name))
    assert file_hash(path) == first
    assert not reads
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert file_hash(path) == hashlib.sha256(b"two").hexdigest()
    assert reads == ["sha256"]


def test_a_blob_of_the_hubs_cache_is_known_by_its_name(tmp_path: Path) -> None:
    """Links into `blobs` need not be read: 50 GB would take minutes."""
    name = hashlib.sha256(b"content").hexdigest()
    model(tmp_path, {f"blobs/{name}": b"content", "blobs/0123": b"small"})
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "a.safetensors").symlink_to(tmp_path / "blobs" / name)
    (tmp_path / "snapshots" / "b.safetensors").symlink_to(tmp_path / "blobs" / "0123")
    assert file_hash(tmp_path / "snapshots" / "a.safetensors") == name
    assert file_hash(tmp_path / "snapshots" / "b.safetensors") == hashlib.sha256(b"small").hexdigest()


def test_configuration_has_an_identity_of_its_own(tmp_path: Path) -> None:
    """Another scheduler is the same weights and another model; an index of shards says nothing new."""
    plain = model(tmp_path / "one", {**FILES, "scheduler/config.json": b'{"shift": 3}'})
    other = model(tmp_path / "two", {**FILES, "scheduler/config.json": b'{"shift": 1}'})
    indexed = model(tmp_path / "three", {**FILES, "scheduler/config.json": b'{"shift": 3}', "vae/model.safetensors.index.json": b"{}"})
    assert config_identity(plain) == config_identity(indexed) != config_identity(other)
    assert weights_identity(plain) == weights_identity(other)

"""Reading ahead: which files, how much of them, and that it can be ended."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.card_parts import Lora, Parts
from swapgate.cards import Card
from swapgate.suite import readahead as module
from swapgate.suite.readahead import PIECE, ReadAhead, weight_files


@pytest.fixture
def card(bench: Any, tmp_path: Path) -> Card:
    """A card of a folder of weights."""
    plain = bench.open().setup.models[0]
    return replace(plain, engine="diffusers", source="weights", root=tmp_path)


def folder(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)


def test_the_parts_of_a_pipeline_are_read_and_not_the_copy_beside_them(card: Card, tmp_path: Path) -> None:
    """What loading does not read would push out what it does."""
    folder(tmp_path / "weights", "model_index.json", "all.safetensors", "vae/a.safetensors", "transformer/b.safetensors", "vae/config.json")
    assert [path.name for path in weight_files(card)] == ["b.safetensors", "a.safetensors"]


def test_loras_are_read_too_and_what_is_nowhere_is_left_out(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cached", lambda source, revision: None)
    folder(tmp_path, "weights/model.safetensors", "lora.safetensors")
    loras = (Lora(source="lora.safetensors", adapter="x"), Lora(source="who/knows", adapter="y"))
    assert [path.name for path in weight_files(replace(card, parts=Parts(loras=loras)))] == ["model.safetensors", "lora.safetensors"]


def test_a_model_of_the_hub_is_read_from_its_cache_and_never_fetched(card: Card, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`local_files_only`: nothing here touches the network."""
    asked: list[dict[str, Any]] = []

    def snapshot(source: str, **given: Any) -> str:
        asked.append({"source": source, **given})
        if len(asked) > 1:
            raise OSError("not in the cache")
        return str(tmp_path / "cache")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    folder(tmp_path / "cache", "model_index.json", "vae/a.safetensors")
    hub = replace(card, source="who/model", revision="abc")
    assert [path.name for path in weight_files(hub)] == ["a.safetensors"]
    assert asked == [{"source": "who/model", "revision": "abc", "local_files_only": True}]
    assert weight_files(hub) == ()


def test_there_is_nothing_to_read_of_a_scripted_model_or_of_dry_weights(card: Card, tmp_path: Path) -> None:
    folder(tmp_path / "weights", "model.safetensors")
    assert weight_files(card)
    assert weight_files(replace(card, engine="scripted")) == weight_files(replace(card, weights="dry")) == ()


def test_everything_is_read_within_the_limit(tmp_path: Path) -> None:
    """Pieces are counted; a file that is gone is left out."""
    big = tmp_path / "big"
    big.write_bytes(b"x" * (2 * PIECE + 5))
    with ReadAhead(lambda: [tmp_path / "gone", big]) as ahead:
        ahead.begin()
        ahead.begin()
        ahead.join()
        assert ahead.read == 2 * PIECE + 5
    with ReadAhead(lambda: [big, big], limit=2 * PIECE) as ahead:
        ahead.begin()
        ahead.join()
        assert ahead.read == 2 * PIECE


def test_it_takes_at_most_a_share_of_the_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * (4 * PIECE))
    monkeypatch.setattr(module, "_free_bytes", lambda: 4 * PIECE)
    with ReadAhead(lambda: [big]) as ahead:
        ahead.begin()
        ahead.join()
        assert ahead.read == 2 * PIECE


def test_the_end_of_the_context_ends_it_between_two_pieces(tmp_path: Path) -> None:
    """The next model reads for itself from then on."""
    big = tmp_path / "big"
    big.write_bytes(b"x" * PIECE)
    first = threading.Event()

    def endless() -> Any:
        while True:
            yield big
            first.set()

    with ReadAhead(endless, limit=2**60) as ahead:
        ahead.begin()
        assert first.wait(10)
    assert ahead.read >= PIECE
    assert not [thread for thread in threading.enumerate() if thread.name == "swapgate-read-ahead"]


def test_nothing_is_read_before_it_begins(tmp_path: Path) -> None:
    with ReadAhead(lambda: pytest.fail("looked for files")) as ahead:
        ahead.join()
    assert ahead.read == 0


@pytest.mark.parametrize(("accelerator", "expected"), [("nvidia-h200", ["b"]), ("cpu-epyc", [])])
def test_the_next_models_files_are_looked_for_only_beside_an_accelerator(
    bench: Any, monkeypatch: pytest.MonkeyPatch, accelerator: str, expected: list[str]
) -> None:
    """On a CPU the reading would be measured with the model."""
    for name in ("a", "b"):
        bench.card(name, weights=name, accelerator=accelerator)
    asked: list[str] = []
    monkeypatch.setattr("swapgate.suite.making.weight_files", lambda card: asked.append(card.id) or ())
    suite = bench.open(models=("a", "b"))
    suite.ensure("a")
    assert asked == expected
    suite.ensure("b")
    assert asked == expected

"""Where the Hub's files are, without asking it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate.engines import fetching


def test_the_cache_is_where_the_environment_says() -> None:
    """The nearest word counts."""
    assert fetching.cache({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}) == Path("/a")
    assert fetching.cache({"HF_HOME": "/b"}) == Path("/b/hub")
    assert fetching.cache({"XDG_CACHE_HOME": "/c"}) == Path("/c/huggingface/hub")
    assert fetching.cache({}) == Path.home() / ".cache/huggingface/hub"


@pytest.mark.parametrize(("word", "forbidden"), [("1", True), ("true", True), ("ON", True), ("0", False), ("", False)])
def test_downloads_are_forbidden_by_a_word_for_yes(word: str, forbidden: bool) -> None:
    """As huggingface_hub reads it."""
    assert fetching.offline({"HF_HUB_OFFLINE": word}) is forbidden


def test_a_command_can_be_pasted() -> None:
    """With the commit, and only a pipeline's components."""
    assert fetching.command("a/b", "c0ffee", *fetching.OF_PIPELINE) == "hf download a/b --include '*/*' --include model_index.json --revision c0ffee"
    assert fetching.command("a/b", None, "style.safetensors") == "hf download a/b style.safetensors"


def test_a_source_is_in_the_project_or_in_the_cache_or_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of the Hub's cache: a snapshot of a commit, and which one a branch is at."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "weights").mkdir()
    repository = tmp_path / "hub" / "models--some--lora"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    assert fetching.located(tmp_path, "weights", None) == tmp_path / "weights"
    assert fetching.located(tmp_path, "some/lora", None) == repository / "snapshots" / "abc"
    assert fetching.located(tmp_path, "some/other", None) is None
    assert fetching.located(tmp_path, "no/such/id", None) is None

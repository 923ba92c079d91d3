"""What comes with the package is found wherever a project lies, and named the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from swapgate import bundled
from swapgate.cards import read_card
from swapgate.config import find_config
from swapgate.engines.fetching import located
from swapgate.engines.registry import ENGINES
from swapgate.errors import UserError
from swapgate.suite.doctor import hub

REPOSITORY = Path(__file__).parents[2]
CARD = 'engine = "diffusers"\nsource = "{source}"\ntasks = ["f"]\njudge = {{ source = "{judge}" }}\n'


def card(root: Path, source: str = "bundled:standin-qwen", judge: str = "bundled:standin-clip") -> object:
    path = root / "m.toml"
    path.write_text(CARD.format(source=source, judge=judge), encoding="utf-8")
    return read_card(path, root=root, engines=ENGINES)


def test_the_package_has_the_fixtures_of_the_project() -> None:
    """A link in a checkout: what is tested here is what a wheel holds."""
    assert bundled.FOLDER.samefile(REPOSITORY / "fixtures")
    assert bundled.sources() == ("bundled:standin-clip", "bundled:standin-flux", "bundled:standin-qwen")


def test_a_source_of_the_package_is_found_from_any_project(tmp_path: Path) -> None:
    """By the loader, by the doctor and by whoever asks for its place."""
    for source in bundled.sources():
        there = bundled.place(tmp_path, source)
        assert there.is_dir()
        assert located(tmp_path, source, None) == there
        found = hub.locate(source, None, root=tmp_path, where=tmp_path)
        assert found is not None
        assert found.path == there


def test_any_other_source_is_the_project_s(tmp_path: Path) -> None:
    """Whatever its name."""
    for source in ("a/b", "weights/standin-qwen", "standin-qwen", "x-bundled:standin-qwen"):
        assert not bundled.is_bundled(source)
        assert bundled.place(tmp_path, source) == tmp_path / source


def test_a_card_may_name_it(tmp_path: Path) -> None:
    """As its model and as its judge."""
    found = card(tmp_path)
    assert (found.source, found.judge.source) == ("bundled:standin-qwen", "bundled:standin-clip")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["bundled:", "bundled:qwen", "bundled:../models", "bundled:/etc", "bundled:standin-qwen/vae"])
@pytest.mark.parametrize("key", ["source", "judge"])
def test_what_does_not_come_with_it_is_a_mistake(tmp_path: Path, name: str, key: str) -> None:
    """With the names that there are; no path leads out."""
    with pytest.raises(UserError, match="one of bundled:standin-clip, bundled:standin-flux, bundled:standin-qwen"):
        card(tmp_path, **{key: name})


def test_a_package_without_its_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a checkout whose links were not made."""
    monkeypatch.setattr(bundled, "_WEIGHTS", tmp_path / "nowhere")
    assert bundled.sources() == ()
    with pytest.raises(UserError, match="installed without them"):
        card(tmp_path)


def test_a_project_without_wording_of_its_own_takes_that_of_the_package(tmp_path: Path) -> None:
    """Only at the usual place: a folder that was named and is not there is a mistake."""
    assert find_config(tmp_path).wording_folder == bundled.WORDING
    (tmp_path / "pyproject.toml").write_text('[tool.swapgate]\nwording = "mine"\n', encoding="utf-8")
    assert find_config(tmp_path).wording_folder == tmp_path / "mine"
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "fixtures" / "wording").mkdir(parents=True)
    assert find_config(tmp_path).wording_folder == tmp_path / "fixtures" / "wording"

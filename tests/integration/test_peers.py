"""`swapgate drill --policies=peers` from the command line to the tables, on the scripted engine in processes of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main

DRILLS = "black,weight-noise,slow-steps"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    """A project in which three drills, a control and the harmless variations were made and compared."""
    root = tmp_path_factory.mktemp("compared")
    shutil.copytree(template / "fixtures", root / "fixtures")
    shutil.copy(template / "pyproject.toml", root / "pyproject.toml")
    compare(root)
    return root


def compare(root: Path) -> int:
    return main(["--project", str(root), "drill", "--model=toy", f"--drill={DRILLS}", f"--out={root / 'out'}", "--null=2", "--policies=peers"])


def rows(root: Path) -> dict[str, dict[str, Any]]:
    data = json.loads((root / "out" / "peers.json").read_text(encoding="utf-8"))
    return {row["id"]: row for row in data["rows"]}


def test_black_pictures_are_seen_by_who_looks_for_them(compared: Path) -> None:
    """By the rule that asks for one value that is not zero, and by every pixel rule that is not blind; by this suite as well."""
    found = rows(compared)
    for name in ("comfyui-inference", "swapgate-absolute"):
        runs = found[name]["cells"]["C"]["runs"]
        assert (runs["wrong"], runs["n"]) == (0, 1), name
    assert found["unsloth-psnr"]["cells"]["C"]["runs"]["wrong"] == 0


def test_a_model_that_repeats_itself_gives_nobody_a_false_alarm(compared: Path) -> None:
    """On A every pair is equal to the pixel, and that is said."""
    for row in rows(compared).values():
        if row["kind"] == "drift" and not row["reason"] and not row["ours"]:
            cases = row["cells"]["A"]["cases"]
            assert (cases["wrong"], cases["same"]) == (0, cases["n"]), row["id"]
    assert "equal to the pixel" in (compared / "out" / "peers.md").read_text(encoding="utf-8")


def test_the_harmless_variations_are_whole_runs(compared: Path) -> None:
    """Made in processes of their own, judged by this suite, and quiet."""
    assert sorted(path.name for path in (compared / "out" / "legal").iterdir()) == ["larger-round", "threads"]
    for path in (compared / "out" / "legal").iterdir():
        assert (path / "verdicts.json").is_file()
        assert (path / "report" / "index.html").is_file()
    assert rows(compared)["swapgate-drift"]["cells"]["B"]["runs"]["wrong"] == 0


def test_steps_of_half_as_long_again_are_a_fault_of_time_alone(compared: Path) -> None:
    """For rules on pictures they are harmless."""
    data = json.loads((compared / "out" / "peers.json").read_text(encoding="utf-8"))
    assert data["sets"]["latency"]["C"] == ["slow-steps/severe-1"]
    assert "slow-steps/severe-1" in data["sets"]["drift"]["B"]
    assert rows(compared)["sglang-e2e"]["cells"]["C"]["runs"] is not None


def test_a_second_call_makes_nothing_and_says_the_same(compared: Path) -> None:
    """What is finished is read."""
    journals = {path: path.read_bytes() for path in (compared / "out").rglob("journal.jsonl")}
    before = (compared / "out" / "peers.json").read_bytes()
    compare(compared)
    assert {path: path.read_bytes() for path in (compared / "out").rglob("journal.jsonl")} == journals
    assert (compared / "out" / "peers.json").read_bytes() == before


def test_what_needs_weights_is_listed_and_not_counted(compared: Path) -> None:
    """With what it needs."""
    found = rows(compared)
    assert found["trt-llm-flux"]["cells"] == {}
    assert "AlexNet" in found["trt-llm-flux"]["reason"]
    assert found["sglang-default"]["partly"].startswith("without clip_image_vitl14")

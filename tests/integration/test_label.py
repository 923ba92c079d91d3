"""From a real A/B run to corrected figures: recorded and judged by the suite, labelled blind, fitted."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from swapgate.cli.main import main
from swapgate.runs.folder import RunFolder
from swapgate.suite.labelling import Sitting


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The writers of the toy project, without the accepted baseline that an A/B run has no use for."""
    spec = importlib.util.spec_from_file_location("swapgate_toy_project", Path(__file__).with_name("conftest.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def said(path: Path) -> dict[tuple[str, str], dict[str, bool]]:
    """What the judge said, by picture and request, of each model: from the file that the suite wrote."""
    data = json.loads((path / "verdicts.json").read_text(encoding="utf-8"))
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for row in data["images"]:
        pair = f"{row['task']}/{row['language']}/{row['seed']}/{row['index']}"
        found.setdefault((row["candidate"], pair), {})[row["model"]] = row["usable"]
        found.setdefault((row["baseline"], pair), {})[data["against"]] = row["baseline_usable"]
    return found


def test_both_arms_are_labelled_blind_and_their_figures_are_corrected(toys: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People refuse every third seed that the judge takes: counted as the file of the suite has it, and no figure stays as high as the judge's."""
    toys.write_project(tmp_path)
    toys.write_card(tmp_path, "weak", weights="other", wrong_prompt=0.5)
    toys.write_card(tmp_path, "fair", weights="third", wrong_prompt=0.2)
    path = toys.judged(tmp_path, "here", models=("weak",), against="fair")
    judge = said(path)
    run = RunFolder.open(path)
    sitting = Sitting(run, "ann")
    assert {(one.image, one.pair) for one in sitting.shown} == set(judge), "every judged picture of both arms, and no other"

    truths = {place: any(models.values()) and int(place[1].split("/")[2]) % 3 != 0 for place, models in judge.items()}
    for number, one in enumerate(sitting.shown):
        sitting.answer(number, usable=truths[one.image, one.pair], seconds=1.0)
    run.close()
    capsys.readouterr()
    assert main(["--project", str(tmp_path), "judge", "fit", str(path), "--pool=all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (table,) = found["judge"].values()
    taken = {place for place, models in judge.items() if any(models.values())}
    assert table["usable"] == {"yes": sum(truths.values()), "no": 0}
    assert table["unusable"] == {"yes": sum(not truths[place] for place in taken), "no": len(judge) - len(taken)}
    assert table["unusable"]["yes"] > 0
    assert len(found["usability"]) == 4
    for row in found["usability"]:
        mine = [truths[place] for place, models in judge.items() if row["model"] in models and f"/{row['language']}/" in place[1]]
        assert (row["people"]["n"], row["people"]["value"]) == (len(mine), pytest.approx(sum(mine) / len(mine), abs=1e-5))
        assert row["corrected"]["value"] < row["judge"]["value"] or row["judge"]["value"] == 0
        assert row["corrected"]["low"] <= row["people"]["value"] <= row["corrected"]["high"]

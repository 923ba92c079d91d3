"""Bad input as a user types it: file, key, value, rule and remedy and an exit status, never a traceback and never green."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from swapgate.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Project

USAGE, UNDECIDED, FAILED = 2, 3, 4  # `swapgate.exits`
SHARE = ("rule: a share of at least 0.01% and at most 25%", "remedy: write it as 1% or 0.01")


def said(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def refused(result: pytest.RunResult, *words: str, status: int = USAGE) -> None:
    """Ends as a usage error (or with that status) with these words, before a run was begun, and without a traceback."""
    text = said(result)
    assert result.ret == status, text
    for word in (*words, "rule:", "remedy:"):
        assert word in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text


def policy(project: Project, *lines: str) -> None:
    """State a policy in the project's pyproject.toml."""
    file = project.path / "pyproject.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n[tool.swapgate.policy]\n" + "\n".join(lines) + "\n", encoding="utf-8")


def accepted(project: Project, change: Callable[[dict[str, Any]], None]) -> Path:
    """The accepted baseline, with every file of it changed by hand; gives one of them."""
    project.accept(cost=True)
    for path in (project.path / "baselines").rglob("*.json"):
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")
    return next((project.path / "baselines").rglob("cup.json"))


def verdict(project: Project, gate: str, run: str = "here") -> dict[str, Any]:
    """The verdict of the pooled cell."""
    data = json.loads((project.path / run / "verdicts.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(one for one in data["verdicts"] if one["id"] == f"{gate}/toy/all")
    return found


def nothing_made(project: Project) -> bool:
    return not (project.path / ".swapgate").exists()


@pytest.mark.parametrize("text", ["0", "0%", "150%", "1.5", "26%", "-1%", "nan", "inf", "-inf", "1e-300", "0.00001%", "one", "1%%", "%", "١%%"])
def test_a_budget_that_is_none_is_refused_by_pytest(project: Project, text: str) -> None:
    """Zero, above the most, no number, and one so small that no number of draws resolves it."""
    refused(project.run(f"--false-alarms={text}"), "--false-alarms", repr(text), *SHARE)
    assert nothing_made(project)


@pytest.mark.parametrize("command", [("drill", "--model=toy", "--drill=black"), ("plan",)])
@pytest.mark.parametrize("text", ["0", "150%", "nan", "1e-300"])
def test_a_budget_that_is_none_is_refused_by_the_commands(
    project: Project, command: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same rule, exit status 2."""
    assert main(["--project", str(project.path), *command, f"--false-alarms={text}"]) == 2
    error = capsys.readouterr().err
    for word in ("--false-alarms", repr(text), *SHARE):
        assert word in error
    assert nothing_made(project)


@pytest.mark.parametrize(
    ("line", "key", "value", "rule"),
    [
        ("false_alarms = 0", "false_alarms", "0", "must lie between 0.0001 and 0.25"),
        ("false_alarms = 1.5", "false_alarms", "1.5", "must lie between 0.0001 and 0.25"),
        ("false_alarms = nan", "false_alarms", "nan", "must lie between 0.0001 and 0.25"),
        ("false_alarms = 1e-7", "false_alarms", "1e-07", "must lie between 0.0001 and 0.25"),
        ('false_alarms = "1%"', "false_alarms", "'1%'", "must be a number"),
        ("false_alarms = true", "false_alarms", "True", "must be a number"),
        ("latency_floor = nan", "latency_floor", "nan", "must lie between 0.001 and 10"),
        ("latency_floor = inf", "latency_floor", "inf", "must lie between 0.001 and 10"),
        ("latency_floor = 0", "latency_floor", "0", "must lie between 0.001 and 10"),
        ("usability_drop = nan", "usability_drop", "nan", "must lie between 0 and 1"),
        ("drift_ssim = nan", "drift_ssim", "nan", "must lie between 0 and 1"),
        ("drift_psnr = -inf", "drift_psnr", "-inf", "must lie between 0 and 200"),
        ("blind_ssim = 0.99", "blind_ssim", "0.99", "must lie below drift_ssim = 0.98"),
        ("memory_floor_cpu_mib = 0", "memory_floor_cpu_mib", "0", "must lie between 128 and 1e+06"),
        ("draws = nan", "draws", "nan", "must be a whole number"),
        ("draws = 3", "draws", "3", "must lie between 500 and 200000"),
        ("latency_flor = 0.1", "latency_flor", "0.1", "unknown key"),
    ],
)
def test_a_policy_that_is_none_is_refused(project: Project, line: str, key: str, value: str, rule: str) -> None:
    """The message names the file, the whole key and the value, in pytest and in both commands that read the policy."""
    policy(project, line)
    words = (str(project.path / "pyproject.toml"), f"tool.swapgate.policy.{key} = {value}", rule)
    refused(project.run(), *words)
    assert nothing_made(project)


@pytest.mark.parametrize("command", [("drill", "--model=toy", "--drill=black"), ("plan",)])
def test_a_policy_that_is_none_is_refused_by_the_commands(project: Project, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is made."""
    policy(project, "latency_floor = nan")
    assert main(["--project", str(project.path), *command]) == 2
    assert "tool.swapgate.policy.latency_floor = nan" in capsys.readouterr().err
    assert nothing_made(project)


@pytest.mark.parametrize(("line", "key"), [("usability_floor = nan", "usability_floor"), ("timeout_seconds = nan", "timeout_seconds")])
def test_a_card_with_a_limit_that_is_no_number_is_refused(project: Project, line: str, key: str) -> None:
    """It would let everything through."""
    card = project.path / "fixtures" / "models" / "toy.toml"
    kept = [one for one in card.read_text(encoding="utf-8").splitlines() if not one.startswith(key)]
    card.write_text("\n".join([line, *kept]) + "\n", encoding="utf-8")
    refused(project.run(), str(card), f"{key} = nan", "must lie between")


def test_a_card_whose_call_is_no_number_is_refused(project: Project) -> None:
    """The plan's keys are hashes of JSON, which has no word for it; a traceback would say so."""
    card = project.path / "fixtures" / "models" / "toy.toml"
    card.write_text(card.read_text(encoding="utf-8") + "\n[call]\ntrue_cfg_scale = nan\n", encoding="utf-8")
    refused(project.run(), str(card), "call.true_cfg_scale = nan", "a finite number")


@pytest.mark.parametrize("arguments", [("--null=-1",), ("--null=many",)])
def test_a_null_of_no_processes_is_refused(project: Project, arguments: tuple[str, ...]) -> None:
    """A mistake as any other, also where it is no number."""
    result = project.run(*arguments)
    assert result.ret == USAGE
    assert "--null" in said(result)
    assert "Traceback" not in said(result)
    assert nothing_made(project)


@pytest.mark.parametrize(
    ("arguments", "key", "rule"),
    [
        (("--repeats=0",), "--repeats = 0", "a number, 1 or more"),
        (("--null=0",), "--null = 0", "a number, 1 or more"),
        (("--shard=3/2",), "--shard = '3/2'", "K of N shares"),
        (("--shard=0/2",), "--shard = '0/2'", "K of N shares"),
        (("--shard=x",), "--shard = 'x'", "K of N shares"),
        (("--dose=huge",), "--dose = 'huge'", "mild, moderate, severe or all"),
        (("--task=dog",), "", "dog"),
    ],
)
def test_a_drill_that_is_none_is_refused(
    project: Project, arguments: tuple[str, ...], key: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and nothing is made."""
    assert main(["--project", str(project.path), "drill", "--model=toy", "--drill=black", *arguments]) == 2
    error = capsys.readouterr().err
    for word in (key, rule, "rule:", "remedy:"):
        assert word in error
    assert nothing_made(project)


@pytest.mark.parametrize("figure", [math.nan, math.inf])
def test_a_judge_that_gives_no_numbers_fails_the_run_and_says_so(project: Project, monkeypatch: pytest.MonkeyPatch, figure: float) -> None:
    """Weights that were not read, a half that overflowed: no picture can be said to be like another."""
    from swapgate.metrics.scripted_judge import ScriptedJudge

    project.accept()
    monkeypatch.setattr(ScriptedJudge, "image_features", lambda _self, images: np.full((len(images), 1920), figure, np.float32))
    result = project.run("--run-dir=here")
    assert result.ret == USAGE, said(result)
    for word in ("toy.toml: judge = 'scripted'", "a judge gives finite numbers", "remedy:"):
        assert word in said(result)
    assert "Traceback" not in said(result)
    assert "INTERNALERROR" not in said(result)
    assert "ValueError" not in said(result)
    counts = json.loads((project.path / "here" / "verdicts.json").read_text(encoding="utf-8"))["counts"]
    assert counts["PASS"] == 0


def test_a_null_without_a_sample_is_refused(project: Project) -> None:
    """The baseline was accepted, and its null was emptied: it is no measured null, and the file is named."""
    file = accepted(project, lambda data: data["quality"]["null"].update(drifts=[]))
    project.card("toy", noise=0.02)
    result = project.run("--run-dir=here")
    refused(result, str(file.parent), "null", "swapgate baselines verify")


def test_without_a_null_nothing_but_equal_pictures_pass(project: Project) -> None:
    """No null was measured: what is within the floors of chance nobody knows."""
    accepted(project, lambda data: data["quality"].update(null=None))
    project.card("toy", noise=0.02)
    result = project.run("--run-dir=here")
    drift = verdict(project, "drift")
    assert drift["status"] == "INCONCLUSIVE", drift
    assert "nothing was measured of how much the model differs from itself: accept again with --null=4" in drift["reason"]
    assert "Traceback" not in said(result)


def test_a_null_that_is_no_number_is_refused(project: Project) -> None:
    """Found when the baseline is read, with the file and the key."""
    file = accepted(project, lambda data: [drift.update(identical=False, ssim=math.nan) for drift in data["quality"]["null"]["drifts"]])
    project.card("toy", noise=0.3)
    result = project.run("--run-dir=here")
    refused(result, str(file.parent), "#1: ssim is nan, not finite", "swapgate baselines verify")


def test_a_score_in_a_recorded_run_that_is_no_number_is_no_pass(project: Project) -> None:
    """Somebody edited scores.jsonl: NaN is no JSON, and nothing is judged with it."""
    project.accept()
    project.card("toy", noise=0.3)
    project.run("--run-dir=here")
    file = project.path / "here" / "scores.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if line["key"].startswith("drift/"):
            line["value"]["ssim"] = line["value"]["psnr"] = line["value"]["clip"] = math.nan
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    result = project.run("--replay=here")
    refused(result, f"{file}:", "every line of the file is a JSON object", status=FAILED)


def test_a_floor_below_the_noise_is_undecided_with_the_reason(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A tenth of a per cent of time against calls that differ by five: the plan says it before, the verdict after."""
    project.accept(cost=True)
    policy(project, "latency_floor = 0.001", "latency_pad_seconds = 0.0", "usability_drop = 0.001")
    project.card("toy", latency_noise=0.05, noise_seed=7, noise=0.02)
    assert main(["--project", str(project.path), "plan", "--model=toy", "--json", "--strict"]) == UNDECIDED
    ahead = json.loads(capsys.readouterr().out)
    assert {"latency/toy", "usability/toy"} <= set(ahead["undecided"])
    result = project.run("--run-dir=here")
    assert "Traceback" not in said(result)
    for gate, why in (("latency", "more calls an arm would decide"), ("usability", "the fall lies so near the limit that even")):
        found = verdict(project, gate)
        assert found["status"] == "INCONCLUSIVE", found
        assert why in found["reason"]
    undecided = [f"tests/gates/test_{gate}.py" for gate in ("latency", "usability")]
    assert project.run("--replay=here", "--strict", *undecided).ret == UNDECIDED


def test_constant_samples_are_decided_without_a_division_by_nothing(project: Project) -> None:
    """Calls that all take the same time leave no doubt: equal ones pass, slower ones are red."""
    accepted(project, lambda data: None)
    for name, latency, status in (("same", 0.1, "PASS"), ("slow", 0.2, "REGRESSION")):
        project.card("toy", latency_noise=0.0, latency=latency)
        result = project.run(f"--run-dir={name}")
        found = verdict(project, "latency", name)
        assert found["status"] == status, found
        assert "Traceback" not in said(result)
        assert "RuntimeWarning" not in said(result)

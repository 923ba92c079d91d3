"""--gpus as a user calls it: scripted models in processes of their own on devices that a stand-in of pynvml pretends, and real ones where there are two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swapgate.exits import Exit

if TYPE_CHECKING:
    from conftest import Project

MODELS = ("a", "b", "c", "d")
ALL = "--model=a,b,c,d"
CELLS = ("tests/gates/test_usability.py", "tests/gates/test_drift.py", "tests/gates/test_memory.py", "--task=cat")
QUALITY = ("usability", "drift", "stability")
PYNVML = '''
"""Stands for pynvml on a machine with two devices of one kind, and says nothing else of them."""
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlSystemGetDriverVersion(): return "pretended"
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(index): return f"GPU-{index}"
def nvmlDeviceGetUUID(handle): return handle
def nvmlDeviceGetName(handle): return "Pretended 100"
def __getattr__(name):
    if name.startswith("nvml"):
        def unknown(*arguments): raise NVMLError(name)
        return unknown
    raise AttributeError(name)
'''


@pytest.fixture
def two(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The toy project with four models that differ, on a machine that seems to have two devices."""
    folder = project.path / "pretended"
    folder.mkdir()
    (folder / "pynvml.py").write_text(PYNVML, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for number, name in enumerate(MODELS):
        project.card(name, weights=name, accelerator="pretended-100", wrong_prompt=0.15 * number)
    return project


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def quality(run: Path) -> str:
    """The quality verdicts and the pictures' figures, as their file holds them; only the run's name is its own."""
    data = json.loads((run / "verdicts.json").read_text(encoding="utf-8"))
    verdicts = [verdict for verdict in data["verdicts"] if verdict["gate"] in QUALITY]
    return json.dumps([verdicts, data["images"], data["wording"]], sort_keys=True).replace(f"--run={run.name}", "--run=RUN")


def test_two_devices_take_half_the_time_and_say_the_same(two: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Four models of thirty calls each that really sleep; the pictures' verdicts are equal byte for byte."""
    for number, name in enumerate(MODELS):
        two.card(name, weights=name, accelerator="pretended-100", wrong_prompt=0.15 * number, sleep=0.15)
    seconds = {}
    for folder, more in (("one", ()), ("both", ("--gpus=all",))):
        begin = time.perf_counter()
        result = two.run(ALL, f"--run-dir={folder}", *CELLS, *more)
        seconds[folder] = time.perf_counter() - begin
        assert result.ret == Exit.UNDECIDED, result.stdout.str()  # without a baseline nothing is decided
    share = seconds["both"] / seconds["one"]
    with capsys.disabled():
        print(f"\nfour models: {seconds['one']:.1f} s on one device, {seconds['both']:.1f} s on two ({share:.2f})", end="", flush=True)
    assert share < 0.75, "half of the generation, and what is judged one after the other"
    assert quality(two.path / "one") == quality(two.path / "both")
    used = [event["devices"][0][0] for event in events(two.path / "both", "devices")]
    assert len(used) == len(MODELS)
    assert set(used) == {"GPU-0", "GPU-1"}


def test_a_host_that_dies_takes_its_model_and_not_the_others(two: Project) -> None:
    """It is started once more, on its own device; the models after it are made there, too."""
    two.card("b", weights="b", accelerator="pretended-100", crash_at="3,4,5")
    result = two.run(ALL, "--gpus=0,1", "--run-dir=here", *CELLS)
    assert result.ret == Exit.ERROR
    found = two.verdicts(two.path / "here")
    assert found["usability/b/all"] == "ERROR"
    assert all(status != "ERROR" for cell, status in found.items() if "/b/" not in cell)
    assert len(found) == len(MODELS) * 3 * 2


def test_progress_lines_name_their_model(two: Project) -> None:
    """Lines of several models come between each other."""
    result = two.run("--model=a,b", "--gpus=all", *CELLS)
    for model in ("a", "b"):
        result.stdout.fnmatch_lines([f"*{model}: loading"])
        result.stdout.fnmatch_lines([f"{model}: 30/30 images, *"])


def test_an_interrupt_ends_both_devices_and_resume_goes_on_on_both(two: Project) -> None:
    """Ctrl-C: no process is left, what was made is kept, nothing is made twice, and the verdicts are those of one device."""
    for number, name in enumerate(MODELS):
        two.card(name, weights=name, accelerator="pretended-100", wrong_prompt=0.15 * number, sleep=0.1)
    whole = two.run(ALL, "--run-dir=whole", *CELLS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", ALL, "--gpus=all", "--run-dir=cut", *CELLS]
    process = subprocess.Popen(command, cwd=two.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    journal = two.path / "cut" / "journal.jsonl"
    end = time.monotonic() + 120
    while not (journal.is_file() and journal.read_text(encoding="utf-8").count('"event":"generation"') > 12):
        assert time.monotonic() < end, process.communicate(timeout=5)[0]
        time.sleep(0.05)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert time.monotonic() - begin < 60
    assert process.returncode == Exit.INTERRUPTED, output
    assert "go on with: pytest --resume=" in output
    made = [event["generation"] for event in events(two.path / "cut", "generation")]
    assert 12 < len(made) < 120
    assert all(one["image"] and not one["failure"] for one in made), "an aborted host's answer was taken for its model's"
    assert not events(two.path / "cut", "load-failed")
    result = two.run("--resume=cut", "--gpus=all", *CELLS)
    assert result.ret == whole.ret, result.stdout.str()
    keys = [event["generation"]["request"] for event in events(two.path / "cut", "generation")]
    assert len(keys) == len(set(keys)) == 120
    assert quality(two.path / "cut") == quality(two.path / "whole")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gpus=7",), "different numbers of 0, 1"),
        (("--gpus=all", "--replay=here"), "--replay runs none"),
        (("--gpus=first",), "--gpus=0,1"),
    ],
)
def test_mistakes_end_before_anything_is_loaded(two: Project, options: tuple[str, ...], message: str) -> None:
    """With what there is to choose from."""
    result = two.run(*options)
    assert result.ret == Exit.USAGE
    assert message in result.stderr.str() + result.stdout.str()
    assert not (two.path / ".swapgate").exists()


def test_a_machine_without_a_device_says_so(two: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty CUDA_VISIBLE_DEVICES leaves none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = two.run("--gpus=all")
    assert result.ret == Exit.USAGE
    assert "at least one NVIDIA device" in result.stderr.str() + result.stdout.str()


@pytest.mark.gpu
def test_two_real_devices_take_half_the_time_and_say_the_same(real: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Four cards of the bundled model; every host is on its own device, and no figure of one mentions the other."""
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip(f"two CUDA devices are needed; torch sees {torch.cuda.device_count()}")
    honest = (real.path / "fixtures" / "models" / "standin-qwen.toml").read_text(encoding="utf-8")
    names = tuple(f"standin-{name}" for name in MODELS)
    for name in names:
        (real.path / "fixtures" / "models" / f"{name}.toml").write_text(honest, encoding="utf-8")
    seconds, runs = {}, {}
    for folder, more in (("one", ()), ("both", ("--gpus=0,1",))):
        begin = time.perf_counter()
        runs[folder] = real.run(folder, f"--model={','.join(names)}", *more)
        seconds[folder] = time.perf_counter() - begin
    share = seconds["both"] / seconds["one"]
    with capsys.disabled():
        print(f"\nfour cards of a stand-in: {seconds['one']:.1f} s on one device, {seconds['both']:.1f} s on two ({share:.2f})", end="", flush=True)
    assert quality(runs["one"].path) == quality(runs["both"].path), runs["both"].output
    placed = {event["models"][0]: event["devices"][0][0] for event in events(runs["both"].path, "devices")}
    assert len(set(placed.values())) == 2
    for event in events(runs["both"].path, "loaded"):
        assert event["loaded"]["devices"] == [placed[event["loaded"]["model"]]]
    assert share < 0.75

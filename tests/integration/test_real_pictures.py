"""Planted faults in the real bundled pipeline, run as a user runs the gates: each turns its own gate red.

Noise on the denoiser's weights, dose in spreads of each tensor; 20 images (portrait and count, zh and en), the last line of
the 12 images of these tests, measured:

    dose    SSIM median (least)    PSNR median (least)
    0.005   0.9995 (0.9995)        57.4 dB (54.6 dB)
    0.02    0.9981 (0.9975)        47.3 dB (43.9 dB)
    0.05    0.9938 (0.9909)        39.3 dB (35.6 dB)
    0.1     0.9795 (0.9704)        33.1 dB (30.1 dB)
    0.2     0.9378 (0.9290)        27.4 dB (25.3 dB)

A difference is visible below SSIM 0.98 or PSNR 30 dB. 0.1 is the smallest dose of that grid that changes pictures visibly: 8 of
these tests' 12 images, which the 32 repeats of the accepted null tell from chance within the run's false-alarm budget (8 could not).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from swapgate.plan import Request

IMAGES = 20
UNDISTURBED = "unguided"  # judged first, so that the scale of alignment is its own in every run
FAULTS = {UNDISTURBED: "no-guidance", "noisy": "noise:0.1", "black": "black-decoder"}
SECONDS = 1800


@pytest.fixture(scope="module")
def faulty(real: Any) -> Any:
    """Three faulty models against the committed baseline, all gates, in one run: the judge is loaded once."""
    real.seeds(3)
    for name, fault in FAULTS.items():
        real.card(name, fault)
    return real.run("faulty", f"--model={','.join(FAULTS)}")


def test_noise_on_the_weights_is_drift(faulty: Any) -> None:
    """The smallest dose that visibly changes pictures; whether they are less usable is not said."""
    assert faulty.status == pytest.ExitCode.TESTS_FAILED, faulty.output
    assert faulty.verdict("drift", "noisy")["status"] == "REGRESSION", faulty.output
    assert {"latency", "memory"} & faulty.red("noisy") == set(), faulty.output
    ssim = faulty.images("noisy", "ssim")
    assert 0.95 < min(ssim) < sorted(ssim)[len(ssim) // 2] < 0.98, "the docstring's figures are of another dose"


def test_guidance_switched_off_is_drift_and_is_named(faulty: Any) -> None:
    """Eight forwards where the card expects sixteen; half the work is no speed-up, and no slow-down either."""
    verdict = faulty.verdict("drift", "unguided")
    assert verdict["status"] == "REGRESSION", faulty.output
    forwards = faulty.finding("drift", "unguided", "forwards")
    assert (forwards["status"], forwards["candidate"], forwards["limit"]) == ("REGRESSION", 8.0, 16.0)
    assert "guidance was off" in forwards["reason"]
    assert {"latency", "memory"} & faulty.red("unguided") == set(), faulty.output


def test_a_black_decoder_is_unusable_and_drifts(faulty: Any) -> None:
    """It costs what it did: latency and memory have nothing to say."""
    assert faulty.verdict("usability", "black")["status"] == "REGRESSION", faulty.output
    assert faulty.verdict("drift", "black")["status"] == "REGRESSION", faulty.output
    assert {"latency", "memory"} & faulty.red("black") == set(), faulty.output


def test_memory_of_models_that_do_not_leak_is_not_said_to_grow(faulty: Any) -> None:
    """The same number of images, no leak: what is in use stays where it was, but for a step that a busy machine's process may take once."""
    for model in FAULTS:
        growth = faulty.finding("memory", model, "growth")
        assert growth["status"] in {"PASS", "INCONCLUSIVE"}, (model, growth)
        assert abs(growth["effect"]) < 0.5


def test_a_run_killed_and_resumed_gives_the_verdicts_of_an_undisturbed_one(real: Any, faulty: Any) -> None:
    """SIGKILL to the whole tree in the middle of generating; no finished image is made again.

    Growth is read within one process, and of so few images the second process may have made too few to decide it.
    """
    process = real.start("--run-dir=killed", "--task=portrait,count", f"--model={UNDISTURBED}")
    journal = real.path / "killed" / "journal.jsonl"
    try:
        wait_for(lambda: len(generations(journal)) >= 6, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    before = generations(journal)
    assert 6 <= len(before) < IMAGES
    assert not (real.path / "killed" / "verdicts.json").exists()
    resumed = real.run("killed", option="--resume")
    after = generations(journal)
    assert after[: len(before)] == before
    plan = json.loads((real.path / "killed" / "manifest.json").read_text(encoding="utf-8"))["plan"]
    planned = {Request.from_json(request).key for request in plan}
    assert len(after) == len(set(after))  # changed meanings stand beside the plan
    assert planned <= set(after)
    assert len(planned) == IMAGES
    whole = {cell: status for cell, status in faulty.statuses().items() if f"/{UNDISTURBED}/" in cell}
    assert resumed.status == faulty.status, resumed.output
    growth = f"memory/{UNDISTURBED}/all"
    assert {**resumed.statuses(), growth: ""} == {**whole, growth: ""}, resumed.output
    assert {resumed.statuses()[growth], whole[growth]} <= {"NEW", "INCONCLUSIVE"}  # no baseline is accepted here
    for name in ("ssim", "psnr", "clip"):
        assert resumed.images(UNDISTURBED, name) == pytest.approx(faulty.images(UNDISTURBED, name), rel=1e-3)


def test_a_replay_gives_identical_bytes_and_loads_no_model(real: Any, faulty: Any) -> None:
    """Every gate's verdict of every faulty model, from the files of the run alone."""
    before, journal = (faulty.path / "verdicts.json").read_bytes(), (faulty.path / "journal.jsonl").read_bytes()
    replayed = real.run("faulty", option="--replay")
    assert replayed.status == faulty.status, replayed.output
    assert (faulty.path / "verdicts.json").read_bytes() == before
    assert (faulty.path / "journal.jsonl").read_bytes() == journal
    assert "loading" not in replayed.output


def generations(journal: Path) -> list[str]:
    """Keys of the requests that were made, in order; a line that a kill cut short is not counted."""
    if not journal.is_file():
        return []
    whole = journal.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0].splitlines()
    return [event["generation"]["request"] for event in map(json.loads, whole) if event["event"] == "generation"]


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)

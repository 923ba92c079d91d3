"""Other processes on a device: real processes under a made-up NVML."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swapgate.meters.foreign import Foreign, merged, said
from swapgate.meters.nvml import Device

UUID = "GPU-1"
STRANGER = 1  # the first process of the machine is nobody's child
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


class Torch:
    """MiB that torch's allocator has reserved."""

    def __init__(self, mib: float = 0.0) -> None:
        self.mib = mib

    def __call__(self) -> float:
        return self.mib


def watch(reserved: float = 0.0, proc: Path = Path("/nowhere")) -> tuple[Foreign, Torch]:
    torch = Torch(reserved)
    return Foreign(Device(UUID, visible=""), torch, proc=proc), torch


@pytest.fixture
def sibling() -> Iterator[int]:
    """Another process that this suite started, as the host of the other arm is: for the meter this process is the suite's child."""
    with subprocess.Popen(SLEEP) as process:
        yield process.pid
        process.kill()


class TestNamed:
    """NVML lists processes by numbers of this namespace: this process is among them."""

    def test_strangers_are_seen_with_their_names_and_memory(self, library: Any, gpu_of: Any) -> None:
        """Compute and graphics; this process and the suite's are not strangers."""
        gpu = gpu_of(UUID, compute={os.getpid(): 900.0, os.getppid(): 5.0, STRANGER: 512.0})
        library(gpu, names={STRANGER: "/usr/bin/train --fast"})
        found, _ = watch()
        found.loaded({}, suite_computes=False)
        assert found.notes == ()
        found.begin(suite_computes=False)
        assert found.end() == ((f"train ({STRANGER})", 512.0),)
        gpu.compute, gpu.graphics = {os.getpid(): 900.0}, {STRANGER: None}
        found.begin(suite_computes=False)
        assert found.end() == ((f"train ({STRANGER})", None),)

    def test_one_that_leaves_or_comes_during_a_call_counts_and_then_no_more(self, library: Any, gpu_of: Any) -> None:
        """A call is looked at before and after."""
        gpu = gpu_of(UUID, compute={os.getpid(): 900.0, STRANGER: 512.0})
        library(gpu)
        found, _ = watch()
        found.loaded({}, suite_computes=False)
        found.begin(suite_computes=False)
        del gpu.compute[STRANGER]
        assert [held for _, held in found.end()] == [512.0]
        found.begin(suite_computes=False)
        gpu.compute[STRANGER] = 700.0
        assert [held for _, held in found.end()] == [700.0]
        del gpu.compute[STRANGER]
        found.begin(suite_computes=False)
        assert found.end() == ()

    def test_what_the_suite_started_is_no_stranger(self, library: Any, gpu_of: Any, sibling: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """The other arm's host, and what that started."""
        monkeypatch.setattr(os, "getppid", os.getpid)  # this process plays the suite
        library(gpu_of(UUID, compute={os.getpid(): 1.0, sibling: 900.0}))
        found, _ = watch()
        found.loaded({}, suite_computes=False)
        found.begin(suite_computes=False)
        assert found.end() == ()

    def test_a_process_that_is_gone_cannot_be_asked_whose_it_was(self, library: Any, gpu_of: Any) -> None:
        """The other arm's host may just have died."""
        library(gpu_of(UUID, compute={os.getpid(): 1.0, 2**22 + 7: 900.0}))
        found, _ = watch()
        found.loaded({}, suite_computes=False)
        found.begin(suite_computes=False)
        assert found.end() == ()

    def test_the_server_of_mps_does_no_work_of_its_own(self, library: Any, gpu_of: Any) -> None:
        """Its clients are listed themselves."""
        library(gpu_of(UUID, compute={os.getpid(): 1.0, STRANGER: 30.0}), names={STRANGER: "nvidia-cuda-mps-server"})
        found, _ = watch()
        found.loaded({}, suite_computes=False)
        found.begin(suite_computes=False)
        assert found.end() == ()


class TestUnnamed:
    """A container: this process is not in NVML's list."""

    @pytest.mark.parametrize("listed", [{}, {999_999: 900.0, 999_998: 5.0}])
    def test_memory_that_nobody_here_holds_is_an_unnamed_process(self, library: Any, gpu_of: Any, listed: dict[int, float | None]) -> None:
        """The context (500 MiB) and torch's memory are this process's; growth of both is told from another's."""
        gpu = gpu_of(UUID, used=3500.0, compute=listed)
        library(gpu)
        found, torch = watch(reserved=3000.0)
        found.loaded({UUID: 0.0}, suite_computes=False)
        assert "so only those that together hold more than 512 MiB are noticed" in found.notes[0]
        found.begin(suite_computes=False)
        assert found.end() == ()
        gpu.used, torch.mib = 9700.0, 9000.0  # torch took 6000 more, kernels 200
        found.begin(suite_computes=False)
        assert found.end() == ()
        gpu.used = 11_000.0
        found.begin(suite_computes=False)
        assert found.end() == (("an unnamed process", 1500.0),)

    def test_one_that_was_there_before_is_no_context_of_ours(self, library: Any, gpu_of: Any) -> None:
        """What was used before this process started was another's."""
        library(gpu_of(UUID, used=20_000.0 + 3500.0))
        found, _ = watch(reserved=3000.0)
        found.loaded({UUID: 20_000.0}, suite_computes=False)
        found.begin(suite_computes=False)
        assert found.end() == (("an unnamed process", 20_000.0),)

    def test_one_that_came_while_the_model_was_loaded_is_no_context_either(self, library: Any, gpu_of: Any) -> None:
        """No context is larger than 2 GiB."""
        library(gpu_of(UUID, used=30_500.0))
        found, _ = watch(reserved=0.0)
        found.loaded({UUID: 0.0}, suite_computes=False)
        found.begin(suite_computes=False)
        assert found.end() == (("an unnamed process", 28_452.0),)

    @pytest.mark.parametrize("before", [{}, {"GPU-2": 0.0}])
    def test_without_the_level_before_nothing_can_be_told(self, library: Any, gpu_of: Any, before: dict[str, float]) -> None:
        """And that is said."""
        library(gpu_of(UUID, used=30_500.0))
        found, _ = watch()
        found.loaded(before, suite_computes=False)
        found.begin(suite_computes=False)
        assert found.end() == ()
        assert "cannot be told, because NVML lists no process of this namespace, nor what was used before" in found.notes[0]

    def test_beside_another_host_of_the_suite_nothing_can_be_told(
        self, library: Any, gpu_of: Any, sibling: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it holds is not known here. A process of the suite without a CUDA context hinders nothing."""
        monkeypatch.setattr(os, "getppid", os.getpid)
        library(gpu_of(UUID, used=3500.0))
        folder = tmp_path / str(sibling) / "fd"
        folder.mkdir(parents=True)
        (folder / "0").symlink_to("/dev/null")
        found, _ = watch(3000.0, proc=tmp_path)
        found.loaded({UUID: 0.0}, suite_computes=False)
        assert "noticed" in found.notes[0]
        (folder / "7").symlink_to("/dev/nvidia-uvm")
        found, _ = watch(3000.0, proc=tmp_path)
        found.loaded({UUID: 0.0}, suite_computes=False)
        assert "cannot be told" in found.notes[0]
        assert "and 1 more of this suite use a GPU" in found.notes[0]

    def test_while_the_suite_itself_computes_nothing_can_be_told(self, library: Any, gpu_of: Any) -> None:
        """Its metrics may lie on the same device."""
        gpu = gpu_of(UUID, used=3500.0)
        library(gpu)
        found, _ = watch(3000.0)
        found.loaded({UUID: 0.0}, suite_computes=True)
        assert "and 1 more of this suite" in found.notes[0]
        found, _ = watch(3000.0)
        found.loaded({UUID: 0.0}, suite_computes=False)
        gpu.used = 30_000.0
        found.begin(suite_computes=True)
        assert found.end() == ()

    def test_a_sibling_that_comes_later_silences_it(
        self, library: Any, gpu_of: Any, sibling: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its memory must not be taken for a stranger's."""
        monkeypatch.setattr(os, "getppid", os.getpid)
        gpu = gpu_of(UUID, used=3500.0)
        library(gpu)
        found, _ = watch(3000.0, proc=tmp_path)
        found.loaded({UUID: 0.0}, suite_computes=False)
        gpu.used = 30_000.0
        folder = tmp_path / str(sibling) / "fd"
        folder.mkdir(parents=True)
        (folder / "7").symlink_to("/dev/nvidia-uvm")
        found.begin(suite_computes=False)
        assert found.end() == ()


@pytest.mark.usefixtures("absent")
def test_without_nvml_nothing_is_seen_and_nothing_more_is_noted() -> None:
    """The meters' own note says that NVML is absent."""
    found, _ = watch()
    found.loaded({}, suite_computes=False)
    found.begin(suite_computes=False)
    assert found.end() == ()
    assert found.notes == ()


def test_names_stand_once_with_the_most_that_they_held() -> None:
    """In words with or without a figure."""
    seen = merged([("b (2)", 5.0), ("a (1)", None), ("b (2)", 9.0), ("b (2)", None)])
    assert seen == (("a (1)", None), ("b (2)", 9.0))
    assert said(seen) == "a (1), b (2) with 9 MiB"

"""Resident memory peaks, with real memory taken and given back."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from swapgate.meters import memory as module
from swapgate.meters.memory import (
    MIB,
    CpuMemory,
    CudaMemory,
    HighWater,
    ResidentPeak,
    Sampler,
    high_water_works,
    known_peak,
    resident_now,
    resident_peak,
)

BLOCK = 48


def touch(megabytes: int, seen: Callable[[], None] = lambda: None) -> None:
    """Take that much memory, hold it until it was seen, and give it back to the system."""
    with mmap.mmap(-1, megabytes * MIB) as block:
        block.write(b"\1" * len(block))
        seen()


def meters() -> list[ResidentPeak]:
    """The ways that work on this machine."""
    return [HighWater(), Sampler()] if high_water_works() else [Sampler()]


@pytest.fixture
def seen(peak: ResidentPeak, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Returns once a sampler has looked, however long a busy machine keeps its thread waiting; the kernel's mark needs no look."""
    looks = threading.Semaphore(0)

    def look() -> float:
        found = resident_now()
        if threading.current_thread().name == "swapgate-memory":
            looks.release()
        return found

    def wait() -> None:
        while looks.acquire(blocking=False):
            pass
        for _ in range(2):  # the first may have begun before
            assert looks.acquire(timeout=300)

    monkeypatch.setattr(module, "resident_now", look)
    return wait if isinstance(peak, Sampler) else lambda: None


@pytest.mark.parametrize("peak", meters(), ids=lambda peak: type(peak).__name__)
class TestPeaks:
    """Both ways give the same; what they cost is a benchmark's to say."""

    def test_memory_that_was_given_back_is_in_the_peak(self, peak: ResidentPeak, seen: Callable[[], None]) -> None:
        """That is the point of a peak."""
        peak.reset()
        before = resident_now()
        touch(BLOCK, seen)
        assert peak.peak() - before == pytest.approx(BLOCK * 2, abs=BLOCK * 1.25)
        assert resident_now() - before < BLOCK / 2

    def test_a_reset_forgets(self, peak: ResidentPeak, seen: Callable[[], None]) -> None:
        """Each call has a peak of its own."""
        peak.reset()
        touch(BLOCK, seen)
        high = peak.peak()
        peak.reset()
        assert high - peak.peak() > BLOCK / 2


def test_only_a_sampler_runs_during_a_call() -> None:
    """The kernel's mark costs a call nothing: no thread of ours looks meanwhile."""
    for peak in meters():
        before = threading.active_count()
        peak.reset()
        assert threading.active_count() - before == isinstance(peak, Sampler)
        peak.peak()
        assert threading.active_count() == before


def test_a_sampler_leaves_no_thread() -> None:
    """Reading ends it, and so does starting again."""
    sampler = Sampler()
    sampler.reset()
    sampler.reset()
    assert sum(thread.name == "swapgate-memory" for thread in threading.enumerate()) == 1
    sampler.peak()
    assert not any(thread.name == "swapgate-memory" for thread in threading.enumerate())


def test_what_is_resident_agrees_with_another_source() -> None:
    """psutil reads the same figure its own way."""
    psutil = pytest.importorskip("psutil")
    assert resident_now() == pytest.approx(psutil.Process().memory_info().rss / MIB, abs=4)


def test_without_a_mark_that_can_be_reset_the_sampler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record must tell how exact its figure is."""
    monkeypatch.setattr(module, "_CLEAR", "/nowhere/clear_refs")
    assert not high_water_works()
    peak, notes = resident_peak()
    assert isinstance(peak, Sampler)
    assert len(notes) == 1
    assert "every 5 ms" in notes[0]


def test_a_write_that_changes_nothing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sandboxes accept the write and do not reset the mark."""
    monkeypatch.setattr(module, "_CLEAR", str(tmp_path / "clear_refs"))
    touch(BLOCK)
    assert not high_water_works()


def test_without_proc_the_size_still_comes_from_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no /proc."""
    pytest.importorskip("psutil")
    expected = resident_now()
    monkeypatch.setattr(module, "_STATM", "/nowhere/statm")
    assert resident_now() == pytest.approx(expected, rel=0.2)


def test_on_a_cpu_the_resident_size_stands_for_everything() -> None:
    """Device figures are None, `held` is what stays."""
    meter = CpuMemory(resident_peak()[0])
    meter.begin()
    touch(BLOCK)
    found = meter.end()
    assert (found.allocated, found.reserved, found.process) == (None, None, None)
    assert found.resident > found.held + BLOCK / 2


def test_memory_that_is_kept_shows_in_held() -> None:
    """That is what growth is judged on."""
    meter = CpuMemory(resident_peak()[0])
    meter.begin()
    before = meter.end().held
    with mmap.mmap(-1, BLOCK * MIB) as block:
        block.write(b"\1" * len(block))
        meter.begin()
        assert meter.end().held - before > BLOCK * 0.75


def test_the_peak_so_far_ends_nothing() -> None:
    """It is read at every stage of a call, while the call goes on."""
    for peak in meters():
        meter = CpuMemory(peak)
        meter.begin()
        early = meter.so_far()
        with mmap.mmap(-1, BLOCK * MIB) as block:
            block.write(b"\1" * len(block))
            assert meter.so_far() - early > BLOCK * 0.75
        assert meter.end().resident - early > BLOCK * 0.5


def test_a_devices_peak_so_far_is_read_from_the_allocators_books() -> None:
    """Nothing is asked of the device, which may be lost."""

    class Cuda:
        def memory_stats_as_nested_dict(self, device: str) -> dict[str, dict[str, dict[str, int]]]:
            return {"allocated_bytes": {"all": {"current": 1 * MIB, "peak": {"cuda:0": 50, "cuda:1": 300}[device] * MIB}}}

    meter = CudaMemory.__new__(CudaMemory)
    meter._cuda, meter._devices = Cuda(), ("cuda:1",)
    assert meter.so_far() == 300
    meter._devices = ("cuda:0", "cuda:1")  # a model that is spread over both
    assert meter.so_far() == 350


def test_before_there_is_a_meter_the_peak_is_that_of_the_process() -> None:
    """For a model that did not load."""
    found = known_peak()
    assert found is None or found >= resident_now() * 0.9

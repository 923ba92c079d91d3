"""Resident memory peaks, with real memory taken and given back."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import pytest

from swapgate.meters import memory as module
from swapgate.meters.memory import MIB, CpuMemory, HighWater, ResidentPeak, Sampler, high_water_works, resident_now, resident_peak

BLOCK = 48


def touch(megabytes: int, seconds: float = 0.0) -> None:
    """Take that much memory, hold it, and give it back to the system."""
    with mmap.mmap(-1, megabytes * MIB) as block:
        block.write(b"\1" * len(block))
        time.sleep(seconds)


def meters() -> list[ResidentPeak]:
    """The ways that work on this machine."""
    return [HighWater(), Sampler()] if high_water_works() else [Sampler()]


@pytest.mark.parametrize("peak", meters(), ids=lambda peak: type(peak).__name__)
class TestPeaks:
    """Both ways give the same."""

    def test_memory_that_was_given_back_is_in_the_peak(self, peak: ResidentPeak) -> None:
        """That is the point of a peak."""
        peak.reset()
        before = resident_now()
        touch(BLOCK, 0.05)
        assert peak.peak() - before == pytest.approx(BLOCK * 2, abs=BLOCK * 1.25)
        assert resident_now() - before < BLOCK / 2

    def test_a_reset_forgets(self, peak: ResidentPeak) -> None:
        """Each call has a peak of its own."""
        peak.reset()
        touch(BLOCK, 0.05)
        high = peak.peak()
        peak.reset()
        assert high - peak.peak() > BLOCK / 2

    def test_it_costs_less_than_two_milliseconds(self, peak: ResidentPeak) -> None:
        """The median of many, so that another process's burst does not decide."""
        costs = []
        for _ in range(21):
            begin = time.perf_counter()
            peak.reset()
            middle = time.perf_counter() - begin
            if isinstance(peak, Sampler):
                time.sleep(0.001)
            begin = time.perf_counter()
            peak.peak()
            costs.append(middle + time.perf_counter() - begin)
        assert sorted(costs)[10] < 0.002


def test_a_sampler_leaves_no_thread() -> None:
    """Reading ends it, and so does starting again."""
    import threading

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
    touch(BLOCK, 0.05)
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

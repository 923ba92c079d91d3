"""What a process has in use, against allocations of known size: kept ones show to the tenth of a MiB, freed ones do not."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from swapgate.meters import in_use as module
from swapgate.meters.in_use import held_here, in_use_now, in_use_works
from swapgate.meters.memory import CpuMemory, resident_now, resident_peak

ROOT = Path(__file__).parents[3]
KNOWN = Path(__file__).with_name("known_allocations.py")

needs_glibc = pytest.mark.skipif(not in_use_works(), reason="this system's malloc does not tell what is in use")


@needs_glibc
def test_known_allocations_are_told_in_a_fresh_process() -> None:
    """See `known_allocations`: blocks, tensors, holes, small objects, mappings and threads."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", str(ROOT / "pyproject.toml"), str(KNOWN)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout


class TestElsewhere:
    """Systems that do not tell."""

    @pytest.fixture(autouse=True)
    def forgotten(self) -> Iterator[None]:
        """What the C library has is asked anew."""
        module._library.cache_clear()
        yield
        module._library.cache_clear()

    def test_another_c_library_has_no_such_function(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The resident size is taken, and the record says so."""
        monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
        with pytest.raises(OSError, match="no malloc_info"):
            in_use_now()
        held, notes = held_here()
        assert held is resident_now
        assert notes == ("held memory: the resident size, because this system's malloc does not tell what is in use",)

    def test_without_proc_it_cannot_be_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Other systems have no /proc."""
        monkeypatch.setattr(module, "_STATUS", "/nowhere/status")
        assert held_here()[0] is resident_now

    def test_a_status_without_the_figure_is_no_answer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some sandboxes write a shorter one."""
        (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t   12 kB\n", encoding="ascii")
        monkeypatch.setattr(module, "_STATUS", str(tmp_path / "status"))
        assert held_here()[0] is resident_now

    def test_an_answer_of_another_form_is_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The C library may change what it writes."""
        monkeypatch.setattr(module, "_malloc_info", lambda: b'<malloc version="2"></heap><total type="fast" size="0"/></malloc>')
        with pytest.raises(OSError, match="does not tell"):
            in_use_now()
        assert held_here()[0] is resident_now

    def test_a_figure_that_does_not_move_is_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is tried with real memory before it is believed."""
        monkeypatch.setattr(module, "_data", lambda: 1000.0)
        monkeypatch.setattr(module, "_free", lambda: 10.0)
        assert not in_use_works()
        assert held_here()[0] is resident_now

    def test_the_resident_size_is_what_a_meter_holds_unless_told_otherwise(self) -> None:
        """As runs of older versions have it."""
        meter = CpuMemory(resident_peak()[0])
        meter.begin()
        assert meter.end().held == pytest.approx(resident_now(), abs=16)

"""Allocations of known size, run by `test_in_use` in a process of its own: what other tests left behind would be counted with them."""

from __future__ import annotations

import mmap
import sys
import threading

import pytest

from swapgate.meters.gpu import meters_for
from swapgate.meters.in_use import in_use_now
from swapgate.meters.memory import MIB, resident_now


class TestKnownAllocations:
    """Each kind of memory that can leak."""

    @pytest.mark.parametrize("size", [1024, 100_000, 3 * MIB, 40 * MIB], ids=["1-KiB", "100-kB", "3-MiB", "40-MiB"])
    def test_blocks_that_are_kept_show_and_freed_ones_do_not(self, size: int) -> None:
        """On the heap of malloc and in mappings of their own."""
        before = in_use_now()
        kept = [bytearray(size) for _ in range(40 * MIB // size)]
        assert in_use_now() - before == pytest.approx(sum(map(sys.getsizeof, kept)) / MIB, abs=2)
        del kept
        assert in_use_now() - before == pytest.approx(0, abs=3)

    def test_tensors_that_are_kept_show_and_freed_ones_do_not(self) -> None:
        """A drill keeps such tensors."""
        torch = pytest.importorskip("torch")
        kept = [torch.ones(5 * MIB, dtype=torch.uint8)]
        before = in_use_now()
        kept += [torch.ones(5 * MIB, dtype=torch.uint8) for _ in range(3)]
        assert in_use_now() - before == pytest.approx(15, abs=0.5)
        del kept[1:]
        assert in_use_now() - before == pytest.approx(0, abs=0.5)

    def test_a_leak_into_memory_that_was_freed_shows_where_the_resident_size_hides_it(self) -> None:
        """The reason for this figure: malloc fills its holes before it asks the system for more."""
        blocks = [bytearray(b"\1") * 100_000 for _ in range(800)]
        del blocks[::2]
        before, resident = in_use_now(), resident_now()
        kept = [bytearray(b"\1") * 100_000 for _ in range(200)]
        assert in_use_now() - before == pytest.approx(200 * 100_000 / MIB, abs=2)
        assert resident_now() - resident < 10
        del kept, blocks

    def test_small_objects_of_python_show_although_malloc_does_not_hold_them(self) -> None:
        """Python keeps them in arenas of its own, of 1 MiB each or less."""
        before = in_use_now()
        kept = [(number, number + 1) for number in range(10**6, 10**6 + 300_000)]
        least = 300_000 * (56 + 2 * 28) / MIB  # two whole numbers and the pair, as sys.getsizeof says
        assert least - 8 < in_use_now() - before < 3 * least
        del kept

    def test_a_mapping_of_its_own_shows(self) -> None:
        """Malloc knows nothing of it."""
        before = in_use_now()
        with mmap.mmap(-1, 24 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
            assert in_use_now() - before == pytest.approx(24, abs=1)
        assert in_use_now() - before == pytest.approx(0, abs=1)

    def test_what_another_thread_has_freed_does_not_count(self) -> None:
        """Threads have arenas of their own, which are made smaller without being unmapped."""
        found: list[float] = []

        def work() -> None:
            before = in_use_now()
            kept = [bytearray(100_000) for _ in range(300)]
            found.append(in_use_now() - before)
            del kept
            found.append(in_use_now() - before)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found == [pytest.approx(300 * 100_000 / MIB, abs=2), pytest.approx(0, abs=2)]

    def test_the_meter_of_a_cpu_holds_it(self) -> None:
        """Peak stays the resident size; nothing needs to be said."""
        meters = meters_for("cpu")
        assert not any("held memory" in note for note in meters.notes)
        meters.memory.begin()
        before = meters.memory.end()
        with mmap.mmap(-1, 40 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):  # never written to, so not resident
            meters.memory.begin()
            after = meters.memory.end()
        assert after.held - before.held == pytest.approx(40, abs=2)
        assert after.resident - before.resident < 20

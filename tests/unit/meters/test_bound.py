"""The limit on a device's memory: what torch is allowed of it, with torch and NVML as objects; a real device is the integration tests' matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swapgate.meters import host_free
from swapgate.meters.bound import CudaBound, NoBound, TooSmallError
from swapgate.meters.nvml import Device

MIB = 1024 * 1024
TOTAL = 143_000.0


class Cuda:
    """torch.cuda of a device of TOTAL MiB: `reserved` by torch, `beside` by the context of this process, `others` by somebody else."""

    def __init__(self, *, reserved: float = 0.0, beside: float = 500.0, others: float = 0.0) -> None:
        self.reserved, self.beside, self.others = reserved, beside, others
        self.fraction = 1.0

    def mem_get_info(self, device: Any) -> tuple[int, int]:
        return round((TOTAL - self.reserved - self.beside - self.others) * MIB), round(TOTAL * MIB)

    def memory_reserved(self, device: Any) -> int:
        return round(self.reserved * MIB)

    def set_per_process_memory_fraction(self, fraction: float, device: Any) -> None:
        assert 0.0 <= fraction <= 1.0
        self.fraction = fraction


@pytest.fixture
def bound_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., CudaBound]:
    """The bound of such a device; listed: NVML shows this process."""
    import torch

    def make(cuda: Cuda, *, listed: bool = True) -> CudaBound:
        for name in ("mem_get_info", "memory_reserved", "set_per_process_memory_fraction"):
            monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
        nvml: Any = SimpleNamespace(reserved_mib=lambda: 600.0, process_mib=lambda: cuda.reserved + cuda.beside if listed else None)
        return CudaBound("cuda:0", nvml)

    return make


def test_torch_is_allowed_what_the_process_does_not_hold_beside_it(bound_of: Callable[..., CudaBound]) -> None:
    """Of 24 GiB less a context of 500 MiB, as a share of the whole device."""
    cuda = Cuda(reserved=1000.0)
    bound = bound_of(cuda)
    assert bound.set(24_576.0) == pytest.approx(24_076.0)
    assert cuda.fraction * TOTAL == pytest.approx(24_076.0)
    assert (bound.total, bound.reserve) == (TOTAL, 600.0)


def test_what_grows_beside_torch_is_taken_off_when_the_limit_is_set_again(bound_of: Callable[..., CudaBound]) -> None:
    """Kernels are loaded when they are first used."""
    cuda = Cuda()
    bound = bound_of(cuda)
    first = bound.set(24_576.0)
    cuda.beside += 300.0
    assert bound.set(24_576.0) == pytest.approx(first - 300.0)
    bound.lift()
    assert cuda.fraction == 1.0


def test_a_limit_above_the_device_allows_the_device(bound_of: Callable[..., CudaBound]) -> None:
    """Whoever asks has to look at `total`."""
    cuda = Cuda()
    assert bound_of(cuda).set(200_000.0) == TOTAL
    assert cuda.fraction == 1.0


def test_a_limit_below_the_context_is_refused(bound_of: Callable[..., CudaBound]) -> None:
    """Torch would be left nothing."""
    with pytest.raises(TooSmallError, match="500 MiB"):
        bound_of(Cuda()).set(400.0)


def test_where_nvml_does_not_list_the_process_all_in_use_counts_as_its_own(bound_of: Callable[..., CudaBound]) -> None:
    """The careful side, and said."""
    bound = bound_of(Cuda(reserved=1000.0, others=200.0), listed=False)
    assert bound.beside() == pytest.approx(700.0)
    assert "does not list" in bound.note
    assert "as NVML lists it" in bound_of(Cuda()).note


def test_free_is_what_nobody_has_and_what_torch_has(bound_of: Callable[..., CudaBound]) -> None:
    """What others hold is missing."""
    assert bound_of(Cuda(reserved=1000.0, others=40_000.0)).free() == pytest.approx(TOTAL - 40_500.0)


def test_the_uuid_is_asked_where_no_device_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a machine without NVML has no reserve."""
    import torch

    cuda = Cuda()
    monkeypatch.setattr(torch.cuda, "mem_get_info", cuda.mem_get_info)
    monkeypatch.setattr(torch.cuda, "memory_reserved", cuda.memory_reserved)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="no-such-device"))
    bound = CudaBound("cuda:0")
    assert Device("no-such-device").why
    assert bound.reserve is None
    assert bound.beside() == pytest.approx(500.0)


def test_a_cpu_is_not_bound() -> None:
    """Nothing is taken, nothing is refused."""
    bound = NoBound()
    assert bound.set(1.0) == 1.0
    assert bound.beside() == 0.0
    assert bound.total is None


class TestHostFree:
    """Of what the system has and what the control group leaves, the smaller."""

    def group(self, folder: Path, limit: str) -> Path:
        for name, text in (("memory.max", limit), ("memory.current", str(300 * MIB)), ("memory.stat", f"anon 1\ninactive_file {100 * MIB}\n")):
            (folder / name).write_text(f"{text}\n", encoding="ascii")
        return folder

    def test_a_container_leaves_its_limit_less_what_it_uses(self, tmp_path: Path) -> None:
        """Files in the page cache are given up first, so they count as free."""
        assert host_free.host_free_mib(self.group(tmp_path, str(512 * MIB))) == pytest.approx(312.0)

    @pytest.mark.parametrize("limit", ["max", str(1 << 60), "no number"])
    def test_without_a_limit_it_is_the_systems(self, tmp_path: Path, limit: str) -> None:
        """Nothing to read is no limit, either."""
        import psutil

        free = psutil.virtual_memory().available / MIB
        assert host_free.host_free_mib(self.group(tmp_path, limit)) == pytest.approx(free, rel=0.3)
        assert host_free.host_free_mib(tmp_path / "none") > 0

    def test_version_1_has_other_names(self, tmp_path: Path) -> None:
        """memory.limit_in_bytes and its kin."""
        folder = tmp_path / "memory"
        folder.mkdir()
        for name, text in (("limit_in_bytes", 64 * MIB), ("usage_in_bytes", 80 * MIB), ("stat", f"total_inactive_file {20 * MIB}")):
            (folder / f"memory.{name}").write_text(f"{text}\n", encoding="ascii")
        assert host_free.host_free_mib(tmp_path) == pytest.approx(4.0)

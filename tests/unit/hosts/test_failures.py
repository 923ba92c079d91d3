"""What an exception means for the process: errors as torch and Triton word them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swapgate.hosts.failures import kind_of

AFTER = "\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect."


class AcceleratorError(RuntimeError):
    """Named as torch's own, which is raised from C++ alone."""


class OutOfMemoryError(RuntimeError):
    """Named as torch's own."""


def answers() -> None:
    """A device that can be waited for."""


def lost() -> None:
    """One that cannot: every call gives the same error again."""
    raise AcceleratorError("CUDA error: unspecified launch failure")


@pytest.mark.parametrize(
    ("error", "synchronise", "kind"),
    [
        (AcceleratorError(f"CUDA error: device-side assert triggered{AFTER}"), lost, "device-error"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), answers, "device-error"),
        (RuntimeError("Triton Error [CUDA]: misaligned address"), answers, "device-error"),
        (AcceleratorError("CUDA error: uncorrectable ECC error encountered"), answers, "device-error"),
        (AcceleratorError("CUDA error: the launch timed out and was terminated"), answers, "device-error"),
        (RuntimeError("cuBLAS said something new"), lost, "device-error"),
        (ValueError("the pipeline's own mistake, after the device was lost"), lost, "device-error"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), answers, "out-of-memory"),
        (AcceleratorError("CUDA error: out of memory"), answers, "out-of-memory"),
        (MemoryError(), answers, "out-of-memory"),
        (OutOfMemoryError("CUDA out of memory."), lost, "device-error"),
        (AcceleratorError("CUDA error: invalid argument"), answers, "exception"),
        (ValueError("illegal memory access is spoken of, by no device"), answers, "exception"),
    ],
)
def test_a_device_that_cannot_be_waited_for_is_lost_whatever_the_error_says(error: Exception, synchronise: Callable[[], None], kind: str) -> None:
    """And one whose error names a lost context is, too; running out of memory leaves it usable."""
    assert kind_of(error, synchronise) == kind


def test_torch_names_its_errors_so() -> None:
    """AcceleratorError is a RuntimeError, and so is that of memory: both are told apart by what they say."""
    torch = pytest.importorskip("torch")
    assert issubclass(torch.AcceleratorError, RuntimeError)
    assert kind_of(torch.OutOfMemoryError("no room"), answers) == "out-of-memory"

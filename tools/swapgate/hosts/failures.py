"""What kind of failure an exception is: of this image, of memory, or of the device itself.

Some errors of CUDA leave its context unusable: every later call fails with the same error, and only another process helps
(CUDA Runtime API, "Data types used by CUDA Runtime", cudaErrorIllegalAddress and its kin). torch raises them as torch.AcceleratorError, a
RuntimeError ("CUDA error: device-side assert triggered", since 2.8; a plain RuntimeError before), Triton as a RuntimeError of its own.
What counts is whether the device can still be waited for, and that is tried; the words are for errors before anything can be tried.
"""

from __future__ import annotations

from collections.abc import Callable

from swapgate.engines.base import is_out_of_memory
from swapgate.engines.servers.failed import ServerFailed

OUT_OF_MEMORY, DEVICE_ERROR, EXCEPTION = "out-of-memory", "device-error", "exception"
_LOST = (
    "device-side assert",
    "illegal memory access",
    "unspecified launch failure",
    "launch timed out and was terminated",
    "misaligned address",
    "illegal instruction",
    "invalid program counter",
    "operation not supported on global/shared address space",
    "hardware stack error",
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "context is destroyed",
)
"""What cudaGetErrorString says of errors after which "the process must be terminated and relaunched", in lower case."""


def kind_of(error: BaseException, synchronise: Callable[[], None]) -> str:
    """One of DEVICE_ERROR, OUT_OF_MEMORY, EXCEPTION, or what a server's failure says of itself; `synchronise` waits for the device, and raises when it is lost."""
    if isinstance(error, ServerFailed):
        return error.kind
    if says_device_lost(error) or not _works(synchronise):
        return DEVICE_ERROR
    return OUT_OF_MEMORY if is_out_of_memory(error) else EXCEPTION


def says_device_lost(error: BaseException) -> bool:
    """Whether an error's words say that the device's context cannot be used any more."""
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in said for phrase in _LOST)


def _works(synchronise: Callable[[], None]) -> bool:
    try:
        synchronise()
    except Exception:  # whatever a driver says: the device did not answer
        return False
    return True

"""Processor threads for scoring: torch's are borrowed, and what lets go of Python's lock runs side by side.

with borrowed(2): ...                      torch computes with two threads, and has its own number back afterwards
side_by_side(decode, files)                decoding, hashing and resizing let go of the lock: one thread a core
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from swapgate.runs.environment import usable_cores

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""Threads at most: pictures of a million pixels keep no more of them busy than memory can feed."""


@contextmanager
def borrowed(count: int) -> Iterator[None]:
    """The number of threads of torch belongs to the whole process, so it is borrowed, not taken."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What `function` gives for each item, in order; the first error is raised once all are done.

    A `function` that uses torch is called within `borrowed(1)`: each of these threads would start as many of torch's own.
    """
    workers = min(usable_cores(), MOST, len(items))
    if workers < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(function, items))

"""Threads for scoring: borrowed from torch and given back, or one for each item."""

from __future__ import annotations

import threading

import pytest
import torch

from swapgate.metrics import threads
from swapgate.metrics.threads import MOST, borrowed, side_by_side


@pytest.fixture
def cores(monkeypatch):
    """A machine of so many cores."""
    return lambda count: monkeypatch.setattr(threads, "usable_cores", lambda: count)


def test_torch_has_its_threads_back_after_an_error_too():
    """They belong to the whole process."""
    before, within = torch.get_num_threads(), []
    with pytest.raises(KeyError), borrowed(before + 2):
        raise KeyError(within.append(torch.get_num_threads()))
    assert (within, torch.get_num_threads()) == ([before + 2], before)


def test_results_keep_the_order_of_the_items(cores):
    """However many threads there are."""
    for count in (1, 2, 16):
        cores(count)
        assert side_by_side(lambda n: n * n, range(40)) == [n * n for n in range(40)]
        assert side_by_side(str, []) == []


def test_items_are_really_worked_on_at_the_same_time(cores):
    """Two that wait for each other both end; one after the other they would wait for ever."""
    cores(2)
    together = threading.Barrier(2)
    assert sorted(side_by_side(lambda _: together.wait(timeout=60), range(2))) == [0, 1]


@pytest.mark.parametrize(("count", "items", "used"), [(1, 8, 0), (4, 2, 2), (4, 1, 0), (64, 200, MOST)])
def test_no_more_threads_than_cores_items_and_the_limit(cores, monkeypatch, count, items, used):
    """And none where there would be one."""
    made = []
    original = threads.ThreadPoolExecutor

    def counted(max_workers):
        made.append(max_workers)
        return original(max_workers=max_workers)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", counted)
    cores(count)
    side_by_side(str, range(items))
    assert sum(made) == used


def test_the_first_error_is_raised(cores):
    """As a loop would."""
    cores(2)
    with pytest.raises(ValueError, match="3"):
        side_by_side(lambda n: int("x3") if n == 3 else n, range(6))


def test_a_thread_that_uses_torch_has_what_was_borrowed(cores):
    """Otherwise each would start as many as there are cores."""
    cores(2)
    with borrowed(1):
        assert side_by_side(lambda _: torch.get_num_threads(), range(4)) == [1] * 4

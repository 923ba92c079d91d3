"""Where scores are computed: what was asked for, or a GPU that no model uses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from swapgate.errors import UserError
from swapgate.metrics.devices import scoring_device


@pytest.fixture
def gpus(monkeypatch):
    """A machine whose torch sees GPUs of these UUIDs; any other use of a GPU fails, since there is none."""

    def see(*uuids):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(uuids))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(uuid=uuids[n]))

    return see


@pytest.mark.parametrize(
    ("seen", "first", "taken", "where"),
    [
        ("", True, (), "cpu"),
        ("", False, (), "cpu"),
        ("a", True, (), "cpu"),
        ("a", False, (), "cuda:0"),
        ("ab", True, (), "cuda:1"),
        ("abcd", True, (), "cuda:3"),
        ("ab", False, ("GPU-a",), "cuda:1"),
        ("ab", False, ("GPU-b",), "cuda:0"),
        ("ab", False, ("GPU-a", "GPU-b"), "cpu"),
        ("abc", False, ("GPU-c", "GPU-b"), "cuda:0"),
        ("a", False, ("GPU-x", "GPU-y"), "cpu"),
        ("ab", False, ("MIG-x",), "cpu"),
    ],
)
def test_auto_is_the_last_gpu_that_no_model_uses(gpus, seen, first, taken, where):
    """And the processor where there is none, or where a part of a divided GPU is used."""
    gpus(*seen)
    assert scoring_device("auto", first=first, taken=taken) == where


def test_what_is_asked_for_is_taken_even_where_a_model_is_measured(gpus):
    """The user may know better."""
    gpus("a", "b")
    assert [scoring_device(asked, first=True) for asked in ("cpu", "cuda", "cuda:0", "cuda:1")] == ["cpu", "cuda", "cuda:0", "cuda:1"]


@pytest.mark.parametrize(("seen", "asked"), [("", "cuda"), ("", "cuda:0"), ("ab", "cuda:2")])
def test_a_gpu_that_is_not_there_is_the_users_error(gpus, seen, asked):
    """Nothing else is taken in silence."""
    gpus(*seen)
    with pytest.raises(UserError, match=rf"tool\.swapgate\.scoring(.|\n)*it sees {len(seen)}(.|\n)*CUDA_VISIBLE_DEVICES"):
        scoring_device(asked)

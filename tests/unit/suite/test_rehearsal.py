"""The early test rehearsed on a whole run says what a run that really stopped early says."""

from __future__ import annotations

from typing import Any

import pytest

from swapgate.errors import UserError
from swapgate.suite.rehearsal import rehearse


@pytest.mark.parametrize("faults", [(), ("noise:0.9",), ("black-decoder",)])
def test_a_rehearsal_is_what_really_happens(accepted: Any, faults: tuple[str, ...]) -> None:
    """Images in all, images to each gate's verdict, and the verdicts themselves."""
    whole, _ = accepted.whole(run_dir=accepted.root / "whole", budget="full", faults=faults)
    early, data = accepted.whole(run_dir=accepted.root / "early", budget="gate", faults=faults)
    found = rehearse(whole, "toy")
    assert found.images == data["measured"]["images"]
    assert found.planned == whole.plan.images()
    assert 0 < found.share <= 1
    for gate, (verdict, images) in found.gates.items():
        real = early.judged["toy"].pooled[gate]
        assert (verdict.status, images) == (real.status, real.images)
    assert found.seconds[0] <= found.seconds[1]
    stopped, _ = accepted.whole(run_dir=accepted.root / "stopped", budget="gate", faults=faults, first_red=True)
    planned = {request.key for request in stopped.plan.requests("toy")}
    assert found.answer == sum(bool(one.image) for key, one in stopped.run.generations().items() if key in planned)


def test_a_run_that_stopped_early_cannot_be_rehearsed(accepted: Any) -> None:
    """What it did not make is not known; the remedy makes it."""
    suite, _ = accepted.whole(run_dir=accepted.root / "early", budget="gate")
    with pytest.raises(UserError, match="--budget=full"):
        rehearse(suite, "toy")

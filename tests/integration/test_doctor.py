"""`swapgate doctor` on a real device: what it reads without torch is what torch sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]


def test_devices_driver_and_memory_are_those_that_torch_sees() -> None:
    """Names in torch's order, total memory within a percent, a driver that goes with this torch; and the stand-ins can run."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    command = [sys.executable, "-m", "swapgate.cli.main", "doctor", "standin-qwen", "standin-flux", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    machine = found["machine"]
    count = torch.cuda.device_count()
    assert [one["name"] for one in machine["gpus"]] == [torch.cuda.get_device_name(number) for number in range(count)]
    for number, one in enumerate(machine["gpus"]):
        assert one["uuid"].removeprefix("GPU-") == str(torch.cuda.get_device_properties(number).uuid)
        assert one["total_mib"] == pytest.approx(torch.cuda.mem_get_info(number)[1] / 2**20, rel=0.02)
    assert (machine["torch"], machine["torch_cuda"]) == (torch.__version__, torch.version.cuda)
    assert all(check["state"] == "ok" for card in found["cards"] for check in card["checks"] if check["name"] in ("device", "memory"))

"""Planted stress on a CUDA device, with a real pipeline: what is recorded, that the next call is made, and that the memory is back.

The stress acts after the first forward of a call's transformer, inside the host's process: a `sitecustomize` module plants it there.
Every test prints its figures in one line (-s). Skipped, with the reason, where there is no CUDA device.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.cards import Card
from swapgate.hosts.devices import TOLERANCE_MIB
from swapgate.hosts.process import Host
from swapgate.meters.nvml import used_by_uuid
from swapgate.plan import Call
from swapgate.runs.records import Failure, Generation

ROOT = Path(__file__).parents[2]
MODEL = "standin-qwen"
HELD_MIB = 2048  # of the foreign process
TAKEN_MIB = 4096  # by a process that is then killed
STALL_SECONDS = 20.0
FOREIGN = "shared the device with"

PLANT = """
import importlib.util, os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "swapgate.engines.diffusers":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            plant(module.DiffusersEngine)
        spec.loader.exec_module = exec_module
        return spec

def plant(engine):
    kind, number = os.environ["SWAPGATE_STRESS"].split(":")
    make, calls = engine.make, []
    def stressed(self, call, clock):
        calls.append(1)
        if len(calls) == int(number):
            hook = self._pipe.transformer.register_forward_hook(lambda *a: (hook.remove(), globals()[kind]())[0])
        return make(self, call, clock)
    engine.make = stressed

def fill():
    import torch
    held = []
    while True:
        held.append(torch.empty(2**30, dtype=torch.uint8, device="cuda"))

def device_assert():
    import torch
    print(torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")].cpu())

def hang():
    import torch
    torch.cuda._sleep(10**14)

def take_and_die():
    import signal, torch
    global taken
    taken = torch.ones(TAKEN_MIB * 2**20, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    os.kill(os.getpid(), signal.SIGKILL)

def segfault():
    import ctypes
    ctypes.string_at(0)

sys.meta_path.insert(0, Finder())
""".replace("TAKEN_MIB", str(TAKEN_MIB))

HOLDER = """
import os, sys, time, torch
folder = sys.argv[1]
block = torch.ones(HELD_MIB * 2**20, dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
with open(f"{folder}/written", "w") as file:
    file.write(str(os.getpid()))
os.rename(f"{folder}/written", f"{folder}/pid")
until = time.monotonic() + 1800
while not os.path.exists(f"{folder}/stop") and time.monotonic() < until:
    time.sleep(0.05)
""".replace("HELD_MIB", str(HELD_MIB))

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1800)]


@pytest.fixture(autouse=True, scope="module")
def device() -> None:
    """This process asks for a device and computes on none: its memory would not be its host's."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: torch.cuda.is_available() is False")


@pytest.fixture(scope="module")
def planned() -> tuple[Card, Call]:
    """The bundled QwenImagePipeline and its first call."""
    from swapgate.config import find_config
    from swapgate.suite.options import Options
    from swapgate.suite.planning import build_plan, prepare

    setup = prepare(find_config(ROOT), Options(root=ROOT, models=(MODEL,), gates=("usability",)))
    return replace(setup.models[0], timeout_seconds=600.0, stall_seconds=STALL_SECONDS), build_plan(setup).calls[MODEL][0]


@dataclass
class Holder:
    """A process of nobody here that holds memory of the device: its parent is the machine's first process."""

    folder: Path
    pid: int = 0

    def start(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "holder.py").write_text(HOLDER, encoding="utf-8")
        log = self.folder / "log"
        line = f'"{sys.executable}" "{self.folder}/holder.py" "{self.folder}" >"{log}" 2>&1 </dev/null &'
        subprocess.run(["/bin/sh", "-c", line], check=True, start_new_session=True)  # the shell ends, and its child is nobody's
        until = time.monotonic() + 300
        while not (self.folder / "pid").exists():
            assert time.monotonic() < until, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        self.pid = int((self.folder / "pid").read_text(encoding="utf-8"))

    def stop(self) -> None:
        import psutil

        if self.pid:
            (self.folder / "stop").touch()
            until = time.monotonic() + 120
            while psutil.pid_exists(self.pid) and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(1.0)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    made = Holder(tmp_path / "holder")
    yield made
    made.stop()


def stressed(planned: tuple[Card, Call], kind: str, tmp_path: Path) -> Host:
    """A host whose second call suffers."""
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant" / "sitecustomize.py").write_text(PLANT, encoding="utf-8")
    return Host(planned[0], environment={"SWAPGATE_STRESS": f"{kind}:2", "PYTHONPATH": str(tmp_path / "plant")})


def failure(generation: Generation) -> Failure:
    assert generation.failure is not None
    return generation.failure


@pytest.mark.parametrize(
    ("stress", "kind", "said", "lives"),
    [
        ("fill", "out-of-memory", "OutOfMemoryError", True),
        ("device_assert", "device-error", "device-side assert", False),
        ("hang", "time-out", "stage 'step 1' stood still for 2", False),
        ("take_and_die", "host-death", "ended by SIGKILL", False),
        ("segfault", "host-death", "Segmentation fault", False),
    ],
)
def test_a_call_under_stress_is_told_and_the_next_is_made(
    planned: tuple[Card, Call], stress: str, kind: str, said: str, lives: bool, tmp_path: Path
) -> None:
    """With its stage and peak; a process that is lost is started again once, and gives back what it held, before and after."""
    _, call = planned
    before, why = used_by_uuid()
    with stressed(planned, stress, tmp_path) as host:
        loaded, first_pid = host.start(), host.pid
        calm, begun = host.make(call)[0][0], time.monotonic()
        lost = host.make(call)[0][0]
        seconds = time.monotonic() - begun
        after = host.make(call)[0][0]
        same = host.pid == first_pid
    now, _ = used_by_uuid()
    left = {uuid: now[uuid] - before[uuid] for uuid in loaded.devices if uuid in before}
    told = failure(lost)
    print(f"stress {stress}: {told.kind} in {told.stage}, {told.message[:110]!r}, peak {told.peak}, {seconds:.2f} s, left {left}, {host.warnings}")
    assert calm.failure is None
    assert (told.kind, told.stage) == (kind, "step 1")
    assert said in told.message
    assert told.peak is not None
    assert told.peak > 1
    assert after.failure is None
    assert after.image == calm.image, "the next call is as good as the first"
    assert same is lives
    assert len(host.loads) == 1 + (not lives)
    assert bool(why) or all(more <= TOLERANCE_MIB for more in left.values())
    assert not [text for text in host.warnings if text.startswith("DEVICE_MEMORY_NOT_BACK")]


def test_memory_that_ran_out_was_nearly_the_whole_devices(planned: tuple[Card, Call], tmp_path: Path) -> None:
    """The peak is a measured one; afterwards the process holds what it held before."""
    import pynvml

    with stressed(planned, "fill", tmp_path) as host:
        loaded = host.start()
        calm, lost, after = (host.make(planned[1])[0][0] for _ in range(3))
    pynvml.nvmlInit()
    whole = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(loaded.devices[0])).total / 2**20
    assert calm.memory is not None
    assert lost.memory is not None
    assert after.memory is not None
    print(f"out of memory: peak {lost.memory.allocated:.0f} of {whole:.0f} MiB; held {calm.memory.held:.1f} before and {after.memory.held:.1f} after")
    assert failure(lost).peak == lost.memory.allocated
    assert lost.memory.allocated is not None
    assert lost.memory.allocated > 0.5 * whole
    assert after.memory.held == pytest.approx(calm.memory.held, abs=64)


def test_a_foreign_process_is_noticed_in_the_calls_that_it_shares(planned: tuple[Card, Call], holder: Holder) -> None:
    """By name where NVML gives it, else by its memory; before and after it nobody is seen."""
    with Host(planned[0]) as host:
        loaded = host.start()
        alone = [host.make(planned[1])[0][0] for _ in range(2)]
        holder.start()
        shared = [host.make(planned[1])[0][0] for _ in range(2)]
        pid = holder.pid
        holder.stop()
        again = [host.make(planned[1])[0][0] for _ in range(2)]
    notes = [note for note in loaded.notes if note.startswith("foreign processes")]
    seen = [one.device.foreign for one in (*alone, *shared, *again)]
    print(f"foreign process {pid} of {HELD_MIB} MiB and a context: {seen}; {notes}")
    assert not any("cannot be told" in note for note in notes), notes
    assert seen[:2] == seen[4:] == [(), ()]
    for (name, held), *more in seen[2:4]:
        assert not more
        assert name.endswith(f"({pid})") or (name == "an unnamed process" and notes)
        assert held is None or HELD_MIB <= held <= HELD_MIB + 2048


@dataclass(frozen=True)
class Judged:
    """Statuses by gate of a model, its latency reason, and the names of foreign processes in its calls."""

    statuses: dict[str, str]
    reason: str
    foreign: set[str]


def judged(real: Any, folder: str, *arguments: str) -> Judged:
    """A run of the strong stand-in, whose ceilings decide its costs."""
    module = sys.modules["swapgate_real_project"]
    ceilings = "[ceilings.cuda]\nseconds_per_image = 60.0\nmemory_mib = 40000\n"
    (real.path / "fixtures" / "models" / "shared.toml").write_text(f"{module.honest_card()}\n{ceilings}", encoding="utf-8")
    real.seeds(3)
    run = real.run(folder, "--model=shared", *arguments)
    events = [json.loads(line) for line in (run.path / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    foreign = {name for event in events if event["event"] == "generation" for name, _ in event["generation"]["device"]["foreign"]}
    gates = ("latency", "memory", "usability")
    found = Judged({gate: run.verdict(gate, "shared")["status"] for gate in gates}, run.verdict("latency", "shared")["reason"], foreign)
    print(f"{folder}: {found.statuses}; foreign {sorted(foreign)}; {found.reason[:200]}")
    return found


def test_a_run_beside_a_foreign_process_has_no_verdict_on_time_and_every_other(real: Any, holder: Holder) -> None:
    """The same run alone passes; memory and pictures are judged as ever."""
    alone = judged(real, "alone")
    assert alone.foreign == set()
    assert (alone.statuses["latency"], alone.statuses["memory"]) == ("PASS", "PASS"), alone.reason
    holder.start()
    shared = judged(real, "shared")
    assert shared.foreign
    assert shared.statuses == {**alone.statuses, "latency": "INCONCLUSIVE"}
    assert FOREIGN in shared.reason
    assert next(iter(shared.foreign)) in shared.reason


def test_the_other_arm_of_a_run_in_turn_is_no_foreign_process(real: Any) -> None:
    """Two hosts of one suite share the device all along."""
    found = judged(real, "in-turn", "--against=itself")
    assert found.foreign == set()
    assert FOREIGN not in found.reason

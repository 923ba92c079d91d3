"""Run folders, drafts and baselines that several test packages need, made of small real pictures."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from swapgate.baselines import draft
from swapgate.baselines.store import Baseline, Provenance, Quality, Store
from swapgate.canonical import dumps
from swapgate.gates.evidence import Cost, Drift, ImageScore, Null
from swapgate.gates.verdict import GATES, Finding, Status, Verdict
from swapgate.runs.folder import RunFolder
from swapgate.runs.pixels import pixel_hash

# Here and not in the root's conftest.py: a user's gate run would wait for hypothesis to be imported.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=10_000, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

COHORT = "nvidia-h200-1a2b3c4d"
CPU = "cpu-99aabbcc"


class Factory:
    """Makes the data of the tests; every picture it names can be had as pixels."""

    COHORT, CPU = COHORT, CPU

    def __init__(self) -> None:
        self.pictures: dict[str, NDArray[np.uint8]] = {}

    def picture(self, number: int, size: int = 16) -> str:
        """The SHA-256 of a picture of its own for each number."""
        pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)
        sha = pixel_hash(pixels)
        self.pictures[sha] = pixels
        return sha

    def load(self, sha: str) -> NDArray[np.uint8]:
        return self.pictures[sha]

    def score(self, task: str = "cup", seed: int = 1, **changes: Any) -> ImageScore:
        edits = changes.get("edits", "")
        pair = f"{task}/en/{seed}/0" + (f"/{edits}" if edits else "")
        made = ImageScore(
            pair=pair,
            recipe="aa11",
            task=task,
            language="en",
            seed=seed,
            index=0,
            edits=edits,
            image=self.picture(seed),
            bits={"health:blank": True, "alignment": True},
            usable=True,
            alignment=0.31,
            normalised=0.9,
            margins={"facet:colour": 0.02},
        )
        return replace(made, **changes)

    def cost(self, *seconds: float, peak: float = 1000.0) -> Cost:
        n = len(seconds)
        return Cost(
            seconds=seconds,
            first_step=tuple(0.1 for _ in seconds),
            text=(),
            denoise=seconds,
            decode=(),
            peak_mib=(peak,) * n,
            held_mib=(500.0,) * n,
            images=(1,) * n,
            numbers=tuple(range(1, n + 1)),
            first_call_seconds=9.0,
            load_seconds=30.0,
        )

    def null(self) -> Null:
        drift = Drift(pair="cup/en/1/0", identical=True, ssim=1.0, psnr=120.0, clip=1.0)
        return Null(drifts=(drift,), processes=2, variations=("one thread",))

    def baseline(self, *, model: str = "standin", task: str = "cup", cohort: str = COHORT, shift: int = 0, **changes: Any) -> Baseline:
        """Two pictures as written and a reworded one, with cost; `shift` makes other pictures."""
        scores = (
            self.score(task, 1, image=self.picture(1 + shift)),
            self.score(task, 2, image=self.picture(2 + shift)),
            self.score(task, 1, edits="lower", image=self.picture(3 + shift)),
        )
        made = Baseline(
            model=model,
            task=task,
            cohort=cohort,
            accelerator=cohort.rpartition("-")[0] or "cpu",
            pipeline="QwenImagePipeline",
            weights="ab" * 32,
            quality=Quality(scores=scores, references={score.pair: score.image for score in scores}, null=self.null()),
            cost=None if cohort == "any" else self.cost(1.0, 1.2, 1.1),
            provenance=Provenance(
                run="20260101T000000Z-aaaa",
                date="2026-01-01T00:00:00+00:00",
                environment={"python": "3.12"},
                versions={"torch": "2.11"},
                card={"engine": "diffusers"},
                faults=(),
                reason="first",
                accepted_by="ann",
                accepted_on="2026-01-02T00:00:00+00:00",
            ),
        )
        return replace(made, **changes)

    def draft(self, **changes: Any) -> Baseline:
        """As `baseline`, and not yet accepted by anybody."""
        made = self.baseline(**changes)
        return replace(made, provenance=replace(made.provenance, reason="", accepted_by="", accepted_on=""))

    def verdict(
        self, gate: str, model: str, task: str, status: Status = Status.NEW, finding: str = "comparison", against: str = "baseline"
    ) -> Verdict:
        claim = Finding(name=finding, status=status, effect=None, low=None, high=None, limit=None, unit="", n=3, reason=f"{finding} says so")
        return Verdict(
            gate=gate, model=model, task=task, status=status, reason=claim.reason, next="", finding=claim, findings=(claim,), against=against
        )

    def run(
        self,
        path: Path,
        *baselines: Baseline,
        verdicts: list[Verdict] | None = None,
        cards: dict[str, Any] | None = None,
        against: Store | None = None,
    ) -> Path:
        """A judged run folder whose drafts are `baselines`; every gate says NEW of each where no verdicts are given.

        against: the store that the run was judged against; where there is none, the run does not say.
        """
        folder = RunFolder.create(path, {"environment": {}, "cards": cards or {}, "plan": []})
        for baseline in baselines:
            for sha in baseline.quality.references.values():
                folder.save_image(self.pictures[sha])
            draft.write(path, baseline)
        folder.close()
        said = verdicts if verdicts is not None else [self.verdict(gate, one.model, one.task) for one in baselines for gate in GATES]
        held = {} if against is None else {"baselines": {one.id: one.mark for one in against.list()}}
        (path / "verdicts.json").write_text(dumps({"schema": 1, "verdicts": [one.as_json() for one in said], **held}), encoding="utf-8")
        return path


class Elsewhere:
    """Calls made in processes of their own, which may be killed, may be somebody who can write nothing, and say what they printed.

    A fork and not a new interpreter: a test that kills at every step of a command starts dozens of them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, call: Callable[[], int], *, kill_at: int = 0, watch: Path | None = None, nobody: bool = False) -> int:
        """Begin a call; gives the process. kill_at: SIGKILL before that change of a file below `watch` (1 is the first)."""
        sys.stdout.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: the child opens no lock of theirs
            child = os.fork()
        if child:
            return child
        code = 99
        try:
            sys.stdout = sys.stderr = (self._folder / f"said-{os.getpid()}").open("w", encoding="utf-8", buffering=1)
            if nobody and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            if kill_at:
                _die_at(kill_at, str(watch))
            code = call()
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def end(self, child: int) -> tuple[int | None, str]:
        """Exit status (None: killed) of a call, and what it said."""
        _, status = os.waitpid(child, 0)
        said = self._folder / f"said-{child}"
        return (None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), said.read_text(encoding="utf-8")

    def call(self, call: Callable[[], int], **how: Any) -> tuple[int | None, str]:
        return self.end(self.start(call, **how))


def _die_at(number: int, watched: str) -> None:
    """Kill this process before the change of a file that comes as the `number`th."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        changes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate")
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (changes or opened) and str(arguments[0]).startswith(watched):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """Calls in processes of their own."""
    return Elsewhere(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def made() -> Factory:
    """The factory of test data."""
    return Factory()


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the tests themselves run in CI or under xdist must not decide what the guards say."""
    for name in ("CI", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)

"""Drills without an engine: runs are written as a real one leaves them, so that a whole drill takes a fraction of a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from swapgate.config import Config, find_config
from swapgate.drills.jobs import Job
from swapgate.drills.kinds import Dose, Drill
from swapgate.drills.outcome import Outcome, Seen
from swapgate.drills.run import Ask
from swapgate.engines.faults import note
from swapgate.gates.verdict import GATES, Status
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Generation, Loaded, Memory
from swapgate.suite.options import Options

WORDING = Path(__file__).parents[3] / "fixtures" / "wording"
CARD = 'engine = "scripted"\nsource = "any"\ntasks = ["f"]\njudge = { source = "scripted" }\n'
TASK = 'width = 64\nheight = 64\nseeds = [1, 2]\n[[task]]\nid = "cup"\nprompts = { en = "a cup" }\n[[task]]\nid = "cat"\nprompts = { en = "a cat" }\n'


def drill_of(name: str = "black", *, severe: str | None = "black-decoder", **changes: Any) -> Drill:
    """A drill that must trip drift and leave memory quiet."""
    given = {
        "id": name, "about": "It breaks.", "sources": ("diffusers #1",), "mild": None, "moderate": "noise:0.2", "severe": severe,
        "fires": frozenset({"drift"}), "quiet": frozenset({"memory"}),
    }  # fmt: skip
    return Drill(**{**given, **changes})


def outcome_of(red: set[str] | None = None, *, drill: Drill | None = None, dose: Dose = "severe", repeat: int = 1, **changes: Any) -> Outcome:
    """A proven outcome in which the gates of `red` fired."""
    drill = drill or drill_of()
    seen = {
        gate: Seen(
            status="REGRESSION" if gate in (red or set()) else "PASS",
            red=gate in (red or set()),
            decided=True,
            cell=f"{gate}/m/all",
            reason=f"{gate} says so",
        )
        for gate in GATES
    }
    job = Job(drill=drill, dose=dose, spec=drill.doses.get(dose, drill.moderate), repeat=repeat)
    return Outcome(**{"job": job, "run": f"runs/{job.name}", "proof": "2 decodings made black", "pictures": f"p{repeat}", "seen": seen, **changes})


@dataclass
class Engine:
    """Stands for the suite: writes the run folders that `Options` ask for.

    red: gates that fire by spec; lazy: specs that do not act; raises: what making a spec's run raises; unloadable: specs
    whose model does not load. asked: the options of every run that was made, in order.
    """

    made: Any
    red: Mapping[str, set[str]] = field(default_factory=dict)
    lazy: frozenset[str] = frozenset()
    raises: dict[str, BaseException] = field(default_factory=dict)
    unloadable: frozenset[str] = frozenset()
    honest_status: Status = Status.NEW
    usable: int = 4
    asked: list[Options] = field(default_factory=list)

    def __call__(self, options: Options) -> None:
        self.asked.append(options)
        path = options.resume or options.run_dir
        assert path is not None
        if options.faults or path.name != "honest":
            self.faulty(path, next(iter(options.faults), ""))
        else:
            self.honest(path)

    @property
    def specs(self) -> list[str]:
        """The faults of the runs that were made."""
        return [options.faults[0] for options in self.asked if options.faults]

    def honest(self, path: Path) -> None:
        drafts = [self.made.draft(model="m", task=task, cohort=self.made.CPU) for task in ("cup", "cat")]
        verdicts = [self.made.verdict(gate, "m", task, self.honest_status, finding="health") for gate in GATES for task in ("all", "cup", "cat")]
        self.made.run(path, *drafts, verdicts=verdicts)
        file = path / "verdicts.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "models": [{"id": "m", "usable": {"en": [self.usable, 6]}}]}), encoding="utf-8")

    def faulty(self, path: Path, spec: str) -> None:
        if not (path / "manifest.json").is_file():
            RunFolder.create(path, {"cards": {"m": {"faults": [spec] if spec else []}}, "plan": []}).close()
        if spec in self.raises:
            raise self.raises[spec]
        folder = RunFolder.open(path)
        if spec in self.unloadable:
            folder.append({"event": "load-failed", "model": "m", "kind": "exception", "message": "no such part"})
        else:
            folder.add_loaded(loaded(note(f"{spec}: 0 calls changed", acted=False)))
            folder.add_generation(
                generation(note(f"{spec}: 7 calls changed" if spec not in self.lazy else f"{spec}: 0 calls changed", acted=spec not in self.lazy))
            )
        folder.close()
        said = [
            self.made.verdict(gate, "m", task, Status.REGRESSION if gate in self.red.get(spec, set()) else Status.PASS)
            for gate in GATES
            for task in ("all", "cup")
        ]
        (path / "verdicts.json").write_text(json.dumps({"schema": 1, "verdicts": [one.as_json() for one in said]}), encoding="utf-8")


def loaded(*notes: str) -> Loaded:
    memory = Memory(allocated=None, reserved=None, process=None, resident=1.0, held=1.0)
    return Loaded(
        model="m", seconds=1.0, accelerator="cpu", device_name="", weights="", placement="", dtype="", attention="", threads=1, versions={}, memory=memory,
        notes=notes,
    )  # fmt: skip


def generation(*notes: str, **changes: Any) -> Generation:
    given = {
        "request": "r1", "image": "ab" * 32, "width": 64, "height": 64, "mode": "RGB", "call": "c1", "images_in_call": 1, "number": 0,
        "first_call": True, "times": None, "memory": None, "forwards": None, "notes": notes,
    }  # fmt: skip
    return Generation(**{**given, **changes})


@dataclass(frozen=True)
class Project:
    """A scripted model `m` with tasks cup and cat; `ask` drills it into the folder `out`."""

    root: Path
    engine: Engine

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def config(self) -> Config:
        return find_config(self.root)

    def card(self, text: str = CARD) -> None:
        (self.root / "fixtures" / "models" / "m.toml").write_text(text, encoding="utf-8")

    def ask(self, *drills: Drill, **changes: Any) -> Ask:
        return Ask(**{"model": "m", "out": self.out, "drills": drills or (drill_of(),), "whole": False, **changes})


@pytest.fixture
def project(tmp_path: Path, made: Any) -> Project:
    """See `Project`."""
    for folder in ("models", "tasks"):
        (tmp_path / "fixtures" / folder).mkdir(parents=True)
    (tmp_path / "fixtures" / "wording").symlink_to(WORDING)
    (tmp_path / "fixtures" / "tasks" / "f.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    found = Project(tmp_path, Engine(made))
    found.card()
    return found


@pytest.fixture
def a_drill() -> Callable[..., Drill]:
    """Makes drills; see `drill_of`."""
    return drill_of


@pytest.fixture
def an_outcome() -> Callable[..., Outcome]:
    """Makes outcomes; see `outcome_of`."""
    return outcome_of


VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """The elements, the text, and what was closed wrongly."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="session")
def reader() -> type[Reader]:
    """Reads the source of a page."""
    return Reader

"""From a drill folder to the table: finds what was drilled, makes the harmless variations that are missing, applies every policy.

<out>/legal/<name>   the honest model with one harmless change (see `legal`)
<out>/peers.json, peers.html, peers.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from swapgate.canonical import read_json
from swapgate.config import Config
from swapgate.drills.catalogue import drill
from swapgate.drills.jobs import CONTROL, Job
from swapgate.drills.peers import legal as variations
from swapgate.drills.peers.policies import load
from swapgate.drills.peers.table import Table, tabulate
from swapgate.drills.peers.trials import read
from swapgate.drills.run import ASKED, BASELINES, HONEST, RUNS, Ask
from swapgate.errors import RunBroken, UserError
from swapgate.gates.policy import Policy
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Loaded
from swapgate.suite.options import Options
from swapgate.suite.planning import prepare
from swapgate.suite.progress import Progress, Silent

LEGAL = "legal"
_RUN = re.compile(r"(mild|moderate|severe)-([1-9][0-9]*)")


def compare(config: Config, ask: Ask, policy: Policy, progress: Progress | None = None) -> Table:
    """The table of everything that lies finished in the drill folder `ask.out`, with its harmless variations, made where they are missing.

    Raises UserError where nothing was drilled in `ask.out`; a run or a variation that proves nothing is left out with its reason.
    """
    out = ask.out
    tasks = _tasks(out / ASKED)
    honest = RunFolder.open(out / HONEST)
    try:
        loaded, created = honest.loaded().get(ask.model), str(honest.manifest["created"])
    finally:
        honest.close()
    if loaded is None:
        raise UserError(where=str(out / HONEST), key="model", value=ask.model, rule="the model of the honest run", remedy="name its model")
    legal, refused = _legal(config, ask, policy, loaded, progress or Silent())
    found = read(out, ask.model, jobs(out / RUNS), runs=RUNS, legal=legal)
    whole = replace(found, left_out=(*found.left_out, *refused))
    return tabulate(
        load(), whole, model=ask.model, tasks=tasks, hardware=_hardware(loaded), created=created[:10], false_alarms=policy.false_alarms,
        command=f"{ask.command} --policies=peers",
    )  # fmt: skip


def jobs(runs: Path) -> Iterator[Job]:
    """The finished runs below `runs` whose names are those of drills, by drill, dose and repeat."""
    for path in sorted(runs.glob("*/*/verdicts.json")):
        named = _RUN.fullmatch(path.parent.name)
        try:
            one = CONTROL if path.parent.parent.name == CONTROL.id else drill(path.parent.parent.name)
        except UserError:  # a drill of another version: nothing says what rules should make of it
            continue
        dose = next((dose for dose in one.doses if named and dose == named[1]), None)
        if named and dose:
            yield Job(drill=one, dose=dose, spec=one.doses[dose], repeat=int(named[2]))


def _tasks(asked: Path) -> tuple[str, ...]:
    if not asked.is_file():
        raise UserError(where=str(asked.parent), rule="a folder in which something was drilled", remedy="run swapgate drill with this --out first")
    try:
        return tuple(str(task) for task in read_json(asked)["tasks"])
    except (KeyError, TypeError):
        raise RunBroken(where=str(asked), key="tasks", rule="a list of tasks", remedy="name another --out") from None


def _legal(config: Config, ask: Ask, policy: Policy, loaded: Loaded, progress: Progress) -> tuple[list[tuple[str, Path]], list[str]]:
    own = replace(config, baselines=ask.out.resolve() / BASELINES)
    options = Options(root=config.root, models=(ask.model,), tasks=ask.tasks, false_alarms=policy.false_alarms, command=ask.command)
    card = prepare(own, options).models[0]
    made: list[tuple[str, Path]] = []
    refused: list[str] = []
    for one in variations.variations(card, loaded):
        path = ask.out / LEGAL / one.name
        try:
            variations.make(own, options, policy, one, path, progress)
            made.append((one.about, path))
        except (UserError, RunBroken) as error:
            refused.append(f"{LEGAL}/{one.name}: {error}")
    return made, refused


def _hardware(loaded: Loaded) -> str:
    threads = f", {loaded.threads} thread{'s' if loaded.threads > 1 else ''}" if loaded.accelerator.startswith("cpu") else ""
    torch = f", torch {loaded.versions['torch']}" if "torch" in loaded.versions else ""
    return f"{loaded.device_name or loaded.accelerator}{threads}, {loaded.dtype}{torch}"

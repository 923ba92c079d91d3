"""What a drill folder holds to apply pass rules to: every run beside the honest one, with its pictures, times and peaks.

Three sets, by what a rule watches (see `place`):

    A   nothing was changed: control runs, and repeats of the honest run in fresh processes
    B   something was changed that is no harm to what the rule watches
    C   a fault is planted that the rule should see, and it is proven that it acted

A trial is one run, or one process of the honest run's null. Pictures are those of the prompts as written, each with the
honest run's picture of the same request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from swapgate.baselines.guards import read_verdicts
from swapgate.canonical import digest
from swapgate.drills.jobs import CONTROL, Job
from swapgate.drills.kinds import Dose, Drill
from swapgate.drills.outcome import Outcome, read_outcome
from swapgate.drills.peers.policies import Kind
from swapgate.errors import RunBroken, UserError
from swapgate.gates.verdict import DECIDED
from swapgate.hosts.variations import PLAIN_NAME
from swapgate.metrics.pixels import Image
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.runs.records import Generation
from swapgate.suite.repeats import variation_of

Place = Literal["A", "B", "C", "mild"]
PLACES: tuple[Place, ...] = ("A", "B", "C", "mild")
GATES_OF: Mapping[Kind, frozenset[str]] = {
    "drift": frozenset({"drift", "usability"}),
    "absolute": frozenset({"usability"}),
    "latency": frozenset({"latency"}),
    "memory": frozenset({"memory"}),
}
"""The gates of this suite that watch what a kind of rule watches; any of them red is this suite's alarm."""
WATCHED: Mapping[Kind, str] = {"drift": "drift", "absolute": "usability", "latency": "latency", "memory": "memory"}
PICTURES: tuple[Kind, ...] = ("drift", "absolute")
_OTHER_SIZE = "the engine returned an image of"  # how `hosts.child` begins to say that it refuses a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One request in a trial: SHA-256 of its picture there (None: it failed) and in the honest run.

    refused: it failed because this suite's host keeps no picture of another size than asked, where others would have judged one.
    """

    request: str
    picture: str | None
    reference: str
    refused: bool = False

    @property
    def same(self) -> bool:
        """Whether both are equal to the pixel."""
        return self.picture == self.reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one call cost, the first after loading left out. size: width, height and arguments of the call, within which calls compare.

    seconds: wall seconds of the call per image; median_step: of its denoising steps, None where the engine sees none;
    peak: MiB, allocated on a device, the resident size of the process on a CPU.
    """

    size: str
    seconds: float
    median_step: float | None
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run or process. drill and dose: None unless a drill made it; variation: what was legally changed, "" for nothing.

    red: this suite's gates that were red; None where the run is no whole run that was judged. unsure: gates that could not decide.
    """

    name: str
    drill: Drill | None
    dose: Dose | None
    variation: str
    pairs: tuple[Pair, ...]
    calls: tuple[Timed, ...] = ()
    red: frozenset[str] | None = None
    unsure: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether it is a whole run, comparable with a verdict of this suite."""
        return self.red is not None

    @property
    def changed(self) -> bool:
        """Whether any picture differs from the honest one."""
        return any(not pair.same for pair in self.pairs)

    @property
    def pictures(self) -> str:
        """A digest of its pictures: equal for trials that made the same ones, which are one sample of their quality."""
        return digest(sorted((pair.request, pair.picture, pair.reference) for pair in self.pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """All trials of a drill folder; `honest` is what they are held against. left_out: runs that prove nothing, each with its reason."""

    honest: Trial
    trials: tuple[Trial, ...]
    left_out: tuple[str, ...]
    folders: tuple[Path, ...]

    def load(self, sha: str) -> Image:
        """The picture of that hash from whichever run has it. RunBroken when none has."""
        from swapgate.baselines import images

        for folder in self.folders:
            if images.find(folder / "images" / sha[:2], sha):
                return images.read(folder / "images" / sha[:2], sha)
        raise RunBroken(
            where=str(self.folders[0]), key="image", value=sha, rule="the picture of a generation must be in a run", remedy="name another --out"
        )


def place(trial: Trial, kind: Kind) -> Place | None:
    """The set that a trial belongs to for rules of a kind; None where the catalogue asks nothing of them.

    C: the drill must trip a gate that watches the same (`fires`), its mild dose apart. B: the drill must leave that gate
    quiet (`quiet`), so it harms nothing that the rule watches; so the drills of specificity are B for pictures, but for
    generator-device, whose pictures are all others: it is C for rules that compare pictures and B for rules that judge
    them alone. A fault that changed no picture is not C for rules on pictures: nothing is there to be seen. Repeats of the
    null and legal variations tell of pictures alone: they are too few calls to time, or another recipe for time.
    """
    if trial.drill is None:
        return ("B" if trial.variation else "A") if kind in PICTURES else None
    if trial.drill.id == CONTROL.id:
        return "A"
    if trial.drill.fires & GATES_OF[kind]:
        if kind in PICTURES and not trial.changed:
            return None
        return "mild" if trial.dose == "mild" else "C"
    return "B" if WATCHED[kind] in trial.drill.quiet else None


def read(out: Path, model: str, jobs: Iterable[Job], *, runs: str = "runs", legal: Iterable[tuple[str, Path]] = ()) -> Trials:
    """The trials of a drill folder. legal: (variation, run folder) of runs in which something harmless was changed.

    Raises UserError where there is no honest run in `out`; a drilled run that is missing or proves nothing is left out, with its reason.
    """
    folder = RunFolder.open(out / "honest")
    try:
        plain = [request for request in folder.requests() if request.model == model]
        made = folder.generations()
        honest = _trial("honest", folder, plain, made, made)
        found = list(_null(folder, model, plain, made))
    finally:
        folder.close()
    left_out: list[str] = []
    folders = [out / "honest"]
    for path, job, variation in _paths(out / runs, jobs, legal):
        try:
            found.append(_run(path, model, job, variation, plain, made))
            folders.append(path)
        except (UserError, RunBroken) as error:
            left_out.append(f"{job.name if job else path.name}: {error}")
    return Trials(honest=honest, trials=tuple(found), left_out=tuple(left_out), folders=tuple(folders))


def _paths(runs: Path, jobs: Iterable[Job], legal: Iterable[tuple[str, Path]]) -> Iterable[tuple[Path, Job | None, str]]:
    yield from ((runs / job.name, job, "") for job in jobs)
    yield from ((path, None, variation) for variation, path in legal)


def _run(path: Path, model: str, job: Job | None, variation: str, plain: Sequence[Request], honest: Mapping[str, Generation]) -> Trial:
    if job is not None:
        outcome: Outcome = read_outcome(job, path, model, run=job.name)
        if outcome.error:
            raise UserError(where=str(path), rule=outcome.error, remedy="see the run's report")
    verdicts = [verdict for verdict in read_verdicts(path) if verdict.model == model]
    folder = RunFolder.open(path)
    try:
        made = _trial(job.name if job else f"legal/{path.name}", folder, plain, folder.generations(), honest)
    finally:
        folder.close()
    return replace(
        made,
        drill=job.drill if job else None,
        dose=job.dose if job else None,
        variation=variation,
        red=frozenset(verdict.gate for verdict in verdicts if verdict.red),
        unsure=frozenset(verdict.gate for verdict in verdicts if verdict.task == "all" and verdict.status not in DECIDED and not verdict.red),
    )


def _trial(name: str, folder: RunFolder, plain: Sequence[Request], made: Mapping[str, Generation], honest: Mapping[str, Generation]) -> Trial:
    return Trial(name=name, drill=None, dose=None, variation="", pairs=_pairs(plain, made, honest, repeat=0), calls=_calls(folder.requests(), made))


def _null(folder: RunFolder, model: str, plain: Sequence[Request], made: Mapping[str, Generation]) -> Iterable[Trial]:
    """A trial for every process of the null; one that was cut off and started again counts once, as it was started last."""
    events = {event["repeat"]: event for event in folder.events() if event["event"] == "null" and event["model"] == model}
    for number, event in events.items():
        asked = [request for request in plain if replace(request, repeat=number).key in made]
        if asked:
            pairs = _pairs(asked, made, made, repeat=number)
            variation = _variation(event)
            name = f"null process {number}" + (f" ({variation})" if variation else "")
            yield Trial(name=name, drill=None, dose=None, variation=variation, pairs=pairs)


def _variation(event: Mapping[str, Any]) -> str:
    """What a null process changed, in words; "" where it ran as the card says."""
    name = variation_of(event)
    return "" if name == PLAIN_NAME else name


def _pairs(asked: Sequence[Request], made: Mapping[str, Generation], honest: Mapping[str, Generation], *, repeat: int) -> tuple[Pair, ...]:
    found = []
    for request in asked:
        before = honest.get(request.key)
        if request.edits or before is None or before.image is None:
            continue
        now = made.get(replace(request, repeat=repeat).key)
        if now is not None:  # a run that stopped early did not ask for it; one that failed has a line with the failure
            refused = bool(now.failure and _OTHER_SIZE in now.failure.message)
            found.append(Pair(request=request.pair, picture=now.image, reference=before.image, refused=refused))
    return tuple(found)


def _calls(asked: Sequence[Request], made: Mapping[str, Generation]) -> tuple[Timed, ...]:
    """What every call cost, in the order in which they were made, each call once; witnesses and other calls beside the plan are left out."""
    found: dict[str, Timed] = {}
    planned = {request.key: request for request in asked}
    for key, one in sorted(made.items(), key=lambda item: item[1].number):
        request = planned.get(key)
        if request is None or one.first_call or one.times is None or one.memory is None or one.call in found:
            continue
        steps = sorted(one.times.steps)
        middle = len(steps) // 2
        found[one.call] = Timed(
            size=digest([request.width, request.height, list(request.call)]),
            seconds=one.times.total / one.images_in_call,
            median_step=((steps[middle] + steps[-middle - 1]) / 2 if steps else None),
            peak=one.memory.resident if one.memory.allocated is None else one.memory.allocated,
        )
    return tuple(found.values())

"""The witnesses of a model: smallest rewordings that broke it, kept as a regression corpus and tried first by the next run.

    <root>/<model>/witnesses.json

They come in by review, with the baseline of their task that is accepted or rejected: a version that was rejected because wording upset it
is the one whose rewordings the next version has to stand. Kept is what broke a picture of a fresh seed; the rest was an accident of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swapgate.baselines.layout import pretty
from swapgate.canonical import read_json, write_atomic
from swapgate.errors import RunBroken, UserError

FILE, SCHEMA = "witnesses.json", 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """One rewording and how it went when it was last tried.

    prompt: the task's prompt at that time; edits: serialised; text: what was asked; tried, broke: fresh seeds on which the prompt as
    written was usable, and those of them on which this was not; run: the run that says so.
    """

    task: str
    language: str
    prompt: str
    edits: str
    text: str
    tried: int
    broke: int
    run: str

    @property
    def name(self) -> tuple[str, str, str]:
        """What is the same witness in another run."""
        return self.task, self.language, self.edits


def path_of(root: Path, model: str) -> Path:
    """Where the witnesses of a model lie."""
    return root / model / FILE


def read(root: Path, model: str) -> tuple[Witness, ...]:
    """Those of a model, the surest first; none where nothing was kept. UserError for a file that cannot be used."""
    path = path_of(root, model)
    if not path.is_file():
        return ()
    try:
        found = _witnesses(read_json(path))
    except (RunBroken, KeyError, TypeError, ValueError) as error:
        raise UserError(
            where=str(path),
            rule=f"the witnesses of a model ({type(error).__name__}: {error})",
            remedy="restore the file from version control, or delete it: nothing but the trial of these rewordings is lost",
        ) from None
    return tuple(sorted(found, key=lambda one: (-one.broke / one.tried, one.name)))


def keep(root: Path, model: str, found: Iterable[Witness]) -> int:
    """Add those that broke something, in place of what was kept of the same rewording; gives how many they are."""
    new = {one.name: one for one in found if one.broke}
    if new:
        kept = {one.name: one for one in read(root, model)} | new
        data = {"schema": SCHEMA, "witnesses": [asdict(kept[name]) for name in sorted(kept)]}
        write_atomic(path_of(root, model), pretty(data))
    return len(new)


def of_run(events: Sequence[Mapping[str, Any]], run: str, model: str, task: str) -> list[Witness]:
    """The witnesses that a run's journal holds of a model and task."""
    return [
        Witness(
            task=task,
            language=event["pair"].split("/")[1],
            prompt=event["prompt"],
            edits=event["edits"],
            text=event["text"],
            tried=event["fresh"]["tried"],
            broke=event["fresh"]["broke"],
            run=run,
        )
        for event in events
        if event["event"] == "witness" and event["model"] == model and event["pair"].split("/")[0] == task and "prompt" in event
    ]


def _witnesses(data: Mapping[str, Any]) -> list[Witness]:
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, and this version reads {SCHEMA}")
    return [_witness(one) for one in data["witnesses"]]


def _witness(data: Mapping[str, Any]) -> Witness:
    one = Witness(**data)
    words = (one.task, one.language, one.prompt, one.edits, one.text, one.run)
    if not all(isinstance(word, str) and word for word in words) or not (isinstance(one.tried, int) and isinstance(one.broke, int)):
        raise ValueError("texts and counts")
    if not 0 < one.broke <= one.tried:
        raise ValueError(f"broke {one.broke} of {one.tried}")
    return one

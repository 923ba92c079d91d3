"""labels.jsonl of a run: what people said of its images, one line a look, append-only and merged as a set of lines.

A *look* is one showing of one picture to one person: 0 the first, 1 the same picture shown again, which tells how far the person
agrees with themself. Whoever corrects an answer adds a line with the same mark (person, image, pair, look); the latest line counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from swapgate.canonical import dumps
from swapgate.errors import RunBroken, UserError
from swapgate.runs.alone import alone
from swapgate.runs.lines import Lines

FILE = "labels.jsonl"
LONGEST = 3600.0  # seconds; whoever took longer went away, and the time says nothing
_SHA = re.compile(r"[0-9a-f]{64}")
_NAME = 64

Mark = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One answer: usable, not usable, or None for "unsure".

    person: the name that they gave; image: SHA-256 of the pixels; pair: the request ("task/language/seed/index"), because the same
    pixels may be right for one prompt and wrong for another; look: 0 or 1; seconds: from showing the picture to the answer, in
    [0, LONGEST], None where it was not measured; date: UTC in ISO 8601, to the microsecond.
    """

    person: str
    image: str
    pair: str
    usable: bool | None
    look: int
    seconds: float | None
    date: str

    @property
    def mark(self) -> Mark:
        """What a later line of the same look has in common with this one."""
        return (self.person, self.image, self.pair, self.look)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Label:
        """The label in a line; ValueError or TypeError for one that is none."""
        made = Label(**data)
        seconds = made.seconds
        checks = {
            "person": isinstance(made.person, str) and 0 < len(made.person) <= _NAME and made.person.isprintable(),
            "image": isinstance(made.image, str) and bool(_SHA.fullmatch(made.image)),
            "pair": isinstance(made.pair, str) and bool(made.pair),
            "usable": made.usable is None or isinstance(made.usable, bool),
            "look": type(made.look) is int and made.look >= 0,
            "seconds": seconds is None or (isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds <= LONGEST),
            "date": isinstance(made.date, str) and datetime.fromisoformat(made.date).utcoffset() == timedelta(0),
        }
        wrong = [name for name, holds in checks.items() if not holds]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} cannot be so")
        return made


class Labels:
    """The labels of one run folder. Several processes may add to them at a time.

    Every addition reads the file anew under a lock, so that nobody cuts off what another one is writing; a person presses a key
    once a second, and the file has a few thousand lines. `note` names a last line that a crash cut off.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        lines = Lines(self.path)
        self.note = lines.note
        self._held = _labels(lines)

    def __iter__(self) -> Iterator[Label]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def current(self) -> list[Label]:
        """The answer that counts of every look, oldest first. It does not depend on the order of the lines."""
        found: dict[Mark, Label] = {}
        for label in sorted(self._held, key=_age):
            found[label.mark] = label
        return sorted(found.values(), key=_age)

    def add(self, *, person: str, image: str, pair: str, usable: bool | None, look: int = 0, seconds: float | None = None) -> Label:
        """Add one answer, dated now, or just after the one that it corrects if a clock went back."""
        with self._opened() as lines:
            earlier = [one.date for one in self._held if one.mark == (person, image, pair, look)]
            date = _after(datetime.now(UTC), max(earlier, default=None))
            kept = None if seconds is None else round(min(seconds, LONGEST), 3)
            label = Label(person=checked_person(person), image=image, pair=pair, usable=usable, look=look, seconds=kept, date=date)
            Label.from_json(label.as_json())
            lines.append(label.as_json())
            self._held.append(label)
        return label

    def merge(self, others: Iterable[Label]) -> int:
        """Add the labels of another copy of the run that are not here yet; gives how many. Merging twice, or the other way round, ends the same."""
        with self._opened() as lines:
            known = {dumps(label.as_json()) for label in self._held}
            new = {dumps(label.as_json()): label for label in others}
            added = [label for text, label in new.items() if text not in known]
            for label in added:
                lines.append(label.as_json())
            self._held += added
        return len(added)

    @contextmanager
    def _opened(self) -> Iterator[Lines]:
        """The file as it stands now, nobody else adding to it meanwhile."""
        with alone(self.path.parent):
            lines = Lines(self.path)
            self._held = _labels(lines)
            try:
                yield lines
            finally:
                lines.close()


def read_file(path: Path) -> list[Label]:
    """The labels in a file of any name, or in a run folder; UserError where there is none, RunBroken for one that is damaged."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(where=str(path), rule=f"a {FILE}, or a run folder that holds one", remedy="copy it from the run folder of whoever labelled")
    return _labels(Lines(file))


def _labels(lines: Lines) -> list[Label]:
    held = []
    for number, line in enumerate(lines, start=1):
        try:
            held.append(Label.from_json(line))
        except (TypeError, ValueError) as error:
            raise RunBroken(
                where=f"{lines.path}:{number}",
                rule=f"a line is a label: person, image, pair, usable, look, seconds, date ({error})",
                remedy="restore the file from a copy, or take the line out",
            ) from None
    return held


def checked_person(name: str) -> str:
    """The name of a person as given, without blanks around it; UserError for none, a long one, or one that cannot be printed."""
    kept = name.strip()
    if not kept or len(kept) > _NAME or not kept.isprintable():
        raise UserError(where="--person", value=name, rule=f"1 to {_NAME} printable characters", remedy="--person=ann")
    return kept


def _age(label: Label) -> tuple[datetime, str]:
    return datetime.fromisoformat(label.date), dumps(label.as_json())


def _after(now: datetime, earlier: str | None) -> str:
    floor = datetime.fromisoformat(earlier) + timedelta(microseconds=1) if earlier else now
    return max(now, floor).isoformat(timespec="microseconds")

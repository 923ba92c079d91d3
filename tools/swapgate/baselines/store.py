"""The accepted baselines of a project, as files that a person can review in a diff.

    <root>/<model>/<cohort or "any">/<task>.json          one Baseline
    <root>/<model>/<cohort or "any">/images/<sha>.webp    its reference pictures, lossless (or .png where smaller), unless they lie outside
                                                          version control (`objects`)
    <root>/<model>/witnesses.json                         rewordings that broke it (`baselines.witnesses`)

Every write is atomic: a reader, or a run that is killed, finds the old file or the new one. Nothing here deletes but `prune`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.baselines import images
from swapgate.baselines.layout import pretty
from swapgate.baselines.objects import Objects, Pictures
from swapgate.baselines.record import ANY, SCHEMA, Baseline, Provenance, Quality, from_json, problems
from swapgate.canonical import write_atomic
from swapgate.cards import NAME
from swapgate.config import Config
from swapgate.errors import UserError
from swapgate.runs.alone import alone

if TYPE_CHECKING:
    from swapgate.runs.pixels import Pixels

__all__ = ["ANY", "SCHEMA", "Baseline", "Choice", "Provenance", "Quality", "Store", "problems_at", "read_baseline"]
IMAGES = "images"
FETCHED = Path(".swapgate") / "pictures"  # of a project: what was fetched of pictures that lie outside version control
_TEMPORARY = re.compile(r"\..+\.(json|webp|png)\.[a-z0-9_]{8}")  # what an atomic write leaves when the process is killed before the rename


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which baselines a cell is held against, and why.

    quality and cost are None where nothing fits; others: cohorts that have a baseline of this task but fit neither
    this hardware nor every hardware. reason and no_cost are sentences for the reader; no_cost is "" when cost is there.
    """

    quality: Baseline | None
    cost: Baseline | None
    reason: str
    no_cost: str
    others: tuple[str, ...]

    @property
    def incomparable(self) -> str:
        """Why accepted baselines exist and none can be used; "" when one can be or none exists."""
        return self.reason if self.quality is None and self.others else ""


class Store:
    """Reads and writes the baselines below `root`, which need not exist yet."""

    def __init__(self, root: Path, objects: Pictures | None = None) -> None:
        """objects: where new reference pictures go instead of beside the JSON; those that lie beside it are still read."""
        self.root, self.objects = root, objects
        self._kept: frozenset[str] | None = None

    @classmethod
    def of(cls, config: Config) -> Store:
        """The store of a project: [tool.swapgate] baselines, and images where its pictures lie outside version control."""
        objects = Objects(config.images, config.root / FETCHED) if config.images else None
        return cls(config.root / config.baselines, objects)

    def path(self, model: str, cohort: str, task: str) -> Path:
        """Where a baseline lies. UserError for a name that is not one plain file name."""
        for name in (model, cohort, task):
            if not NAME.fullmatch(name):
                raise UserError(
                    where=str(self.root),
                    value=name,
                    rule="models, cohorts and tasks are named by letters, digits and . _ + -",
                    remedy="correct the name",
                )
        return self.root / model / cohort / f"{task}.json"

    def get(self, model: str, cohort: str, task: str) -> Baseline | None:
        """The baseline, or None when nothing was accepted. UserError for a damaged file, another schema or impossible figures."""
        path = self.path(model, cohort, task)
        if not path.is_file():
            return None
        baseline = read_baseline(path)
        if wrong := problems_at(baseline, path):
            raise UserError(
                where=str(path),
                rule=f"a baseline that can be compared with: {wrong[0]}",
                remedy="restore the file from version control; all problems: swapgate baselines verify",
            )
        return baseline

    def held(self, model: str, cohort: str, task: str) -> Baseline | None:
        """What lies in a baseline's place, its figures unchecked, so that a good one can still take the place of an impossible one.

        UserError for a file that cannot be read: what it holds was accepted once, and is not overwritten.
        """
        path = self.path(model, cohort, task)
        try:
            return read_baseline(path) if path.is_file() else None
        except UserError as error:
            raise UserError(
                where=error.where,
                key=error.key,
                rule=f"what was accepted before can be read: {error.rule}",
                remedy="restore the file from version control; where there is no copy, delete it, and accept again",
            ) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store against other processes that change it; what an interrupted write left behind is cleared away.

        It is the folder around it that is held, because the store itself need not exist yet.
        """
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.root.parent) as held:
            if held:
                for path in self.leftovers():
                    path.unlink(missing_ok=True)
            yield

    def leftovers(self) -> list[Path]:
        """Temporary files of writes that were killed; nobody else's where the store is held."""
        found = (*self.root.glob("*/.*"), *self.root.glob("*/*/.*"), *self.root.glob(f"*/*/{IMAGES}/.*"))
        return sorted(path for path in found if _TEMPORARY.fullmatch(path.name))

    def find(self, model: str, cohort: str, task: str) -> Choice:
        """The baselines for a candidate of `cohort`: quality from the same cohort, else "any"; cost from the same only."""
        exact, general = self.get(model, cohort, task), self.get(model, ANY, task)
        others = tuple(name for name in self.cohorts(model, task) if name not in (cohort, ANY))
        quality = exact or general
        cost = exact if exact is not None and exact.cost is not None else None
        return Choice(
            quality=quality,
            cost=cost,
            reason=_reason(exact, general, cohort, others),
            no_cost="" if cost else _no_cost(exact, cohort, others),
            others=others,
        )

    def cohorts(self, model: str, task: str) -> list[str]:
        """The cohorts that have a baseline of this task, by name."""
        return sorted(path.parent.name for path in (self.root / model).glob(f"*/{task}.json"))

    def load_image(self, baseline: Baseline, sha: str) -> Pixels:
        """The pixels of a reference image, [H, W, 3] uint8. UserError when it is absent or damaged."""
        folder = self.images_of(baseline.model, baseline.cohort)
        if self.objects is not None and images.find(folder, sha) is None:
            return self.objects.read(sha)
        return images.read(folder, sha)

    def image_path(self, baseline: Baseline, sha: str) -> Path | None:
        """The file of a reference image; None when there is none (rewordings keep only their hash)."""
        held = images.find(self.images_of(baseline.model, baseline.cohort), sha)
        if held is not None or self.objects is None or sha not in baseline.quality.kept().values():
            return held
        return self.objects.find(sha)

    def picture(self, sha: str) -> Path | None:
        """The file of a reference image of any baseline; None when no file and no baseline has it."""
        held = next((found for folder in self.root.glob(f"*/*/{IMAGES}") if (found := images.find(folder, sha))), None)
        if held is not None or self.objects is None or sha not in self._outside():
            return held
        return self.objects.find(sha)

    def _outside(self) -> frozenset[str]:
        """The pictures that baselines keep, read once: a report asks for hundreds of hashes, and most of them are the run's own."""
        if self._kept is None:
            self._kept = frozenset(sha for one in self.list() for sha in one.quality.kept().values())
        return self._kept

    def images_of(self, model: str, cohort: str) -> Path:
        return self.root / model / cohort / IMAGES

    def put(self, baseline: Baseline, load: Callable[[str], Pixels]) -> Path:
        """Write a baseline with its reference images; `load` gives the pixels of a SHA-256.

        Images come first, the JSON last: whoever sees the new JSON finds all its images. Nothing else is touched.
        UserError for a baseline that could not be compared with (see `problems`).
        """
        path = self.path(baseline.model, baseline.cohort, baseline.task)
        if wrong := problems(baseline):
            raise UserError(where=baseline.id, rule=f"a baseline that can be compared with: {wrong[0]}", remedy="correct the cause and run again")
        for sha in sorted(set(baseline.quality.kept().values())):
            if self.objects is not None:
                self.objects.write(sha, load(sha))
            else:
                images.write(self.images_of(baseline.model, baseline.cohort), sha, load(sha))
        content = pretty(baseline.as_json()).encode()
        if not path.is_file() or path.read_bytes() != content:
            write_atomic(path, content, durable=True)
        return path

    def paths(self) -> list[Path]:
        """The file of every baseline, in name order."""
        found = (path for path in self.root.glob("*/*/*.json") if not path.name.startswith("."))
        return sorted(path for path in found if path.is_file())

    def list(self) -> Iterator[Baseline]:
        """Every baseline, in the order of model, cohort, task. UserError at the first damaged one."""
        for path in self.paths():
            found = self.get(path.parent.parent.name, path.parent.name, path.stem)
            if found is not None:
                yield found


def problems_at(baseline: Baseline, path: Path) -> list[str]:
    """What is wrong with a baseline that was read from `path`: its content, or that it lies in another's place."""
    place = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}"
    misplaced = [] if baseline.id == place else [f"it says it is {baseline.id}, but it lies at {place}"]
    return [*misplaced, *problems(baseline)]


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file, its figures unchecked. UserError when it is not JSON, of another schema or incomplete."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(where=str(path), rule=f"valid JSON ({error})", remedy="restore the file from version control") from None
    return from_json(data, where=str(path))


def _reason(exact: Baseline | None, general: Baseline | None, cohort: str, others: tuple[str, ...]) -> str:
    if exact is not None:
        return f"accepted for this cohort ({cohort}) on {exact.provenance.accepted_on[:10]} from run {exact.provenance.run}"
    if general is not None:
        made = f"accepted on {general.provenance.accepted_on[:10]} from run {general.provenance.run} on {general.accelerator}"
        return f"no baseline of cohort {cohort}; quality is held against the one for any hardware, {made}"
    if others:
        return f"baselines were accepted for {', '.join(others)} only, not for {cohort} and not for any hardware"
    return "nothing was accepted for this task yet"


def _no_cost(exact: Baseline | None, cohort: str, others: tuple[str, ...]) -> str:
    if exact is not None:
        return f"the baseline of {cohort} holds no cost figures"
    if others:
        return f"cost is compared only inside a cohort: accepted for {', '.join(others)}, this is {cohort}"
    return f"no cost figures were accepted for {cohort}"

"""`swapgate judge fit`: the judge's answers of recorded runs beside people's labels of the same images.

What people say of an image is the majority of those who were sure of it at first sight; ties are left out and counted. The judge's answer
is the `usable` of verdicts.json, so that a run judged again is fitted again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swapgate.errors import UserError
from swapgate.gates.labelled import Agreement, Corrected, Rate, Table, cohen, corrected, krippendorff, majority, table
from swapgate.report import model as report
from swapgate.runs.folder import RunFolder
from swapgate.runs.labels import Label, Labels

Pool = Literal["model", "language", "all"]
POOLS: tuple[Pool, ...] = ("model", "language", "all")
Place = tuple[str, str]  # the image's SHA-256, the pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the judge said of one image of a run; judge: which judge that was; failed: the checks that do not hold."""

    run: str
    judge: str
    model: str
    language: str
    place: Place
    usable: bool
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The rate of usable images of one model and language in one run: as the judge says, and corrected for how it errs.

    people: the same rate among the images that people labelled, which needs no judge and is the better figure where they labelled most.
    """

    run: str
    model: str
    language: str
    said: Rate
    pool: str
    corrected: Corrected
    people: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """How the judge does against people.

    tables: by pool ("standin-qwen zh"); refused: checks that failed images that people find usable, by how often; labelled: pictures
    with an answer that counts; disputed: pictures that people are evenly divided on; unsure: answers that were neither; people: answers
    at first sight of each; between: how far people agree, None for one person; within: how far each agrees with themself.
    """

    tables: Mapping[str, Table]
    figures: tuple[Figure, ...]
    refused: Mapping[str, int]
    labelled: int
    disputed: int
    unsure: int
    people: Mapping[str, int]
    between: Agreement | None
    within: Mapping[str, Agreement]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What `fit` needs of one run: its judge's answers, the rates that its report shows, and its labels."""

    judged: tuple[Judged, ...]
    rates: Mapping[tuple[str, str, str], tuple[str, Rate]]  # (run, model, language) -> (judge, rate)
    labels: tuple[Label, ...]
    notes: tuple[str, ...]


def read(path: Path) -> Read:
    """The run in `path`. RunBroken when it was not judged or cannot be read."""
    run, shown = RunFolder.open(path), report.load(path)
    try:
        judges = {card.id: _judge(run, card.id) for card in shown.models}
        labels = Labels(path)
        rates = {
            (run.id, card.id, language): (judges[card.id], Rate(hits=usable, n=n))
            for card in shown.models
            for language, (usable, n) in card.usable.items()
        }
        return Read(
            judged=tuple(_judged(run.id, judges, shown)), rates=rates, labels=tuple(labels.current()), notes=(labels.note,) if labels.note else ()
        )
    finally:
        run.close()


def fit(reads: Sequence[Read], pool: Pool = "model") -> Fitted:
    """The judge against the labels of all runs given, with sensitivity and specificity of each `pool` apart. UserError without labels."""
    labels = _distinct(label for one in reads for label in one.labels)
    first = _first_looks(labels)
    truths = {place: majority(answers.values()) for place, answers in first.items()}
    judged = {(one.judge, one.model, one.place): one for read in reads for one in read.judged}
    told = [(one, truth) for one in judged.values() if (truth := truths.get(one.place)) is not None]
    if not told:
        raise UserError(where="judge fit", rule="people must have labelled images that were judged", remedy="swapgate label RUN")
    tables = {name: table(pairs) for name, pairs in _pooled(told, pool).items()}
    wanted = {key: (_pool(pool, judge, key[1], key[2]), rate) for read in reads for key, (judge, rate) in read.rates.items()}
    names = _names({*tables, *(name for name, _ in wanted.values())})
    figures = tuple(
        Figure(
            run=run,
            model=model,
            language=language,
            said=rate,
            pool=names[name],
            corrected=corrected(rate, tables.get(name, Table())),
            people=_seen(reads, truths, (run, model, language)),
        )
        for (run, model, language), (name, rate) in sorted(wanted.items())
    )
    answers = [answer for given in first.values() for answer in given.values()]
    return Fitted(
        tables={names[name]: tables[name] for name in sorted(tables)},
        figures=figures,
        refused=Counter(check for one, truth in told if truth and not one.usable for check in one.failed),
        labelled=len({one.place for one, _ in told}),
        disputed=sum(truth is None and any(answer is not None for answer in first[place].values()) for place, truth in truths.items()),
        unsure=sum(answer is None for answer in answers),
        people=Counter(person for given in first.values() for person in given),
        between=_between(first),
        within=_within(labels),
        notes=tuple(note for one in reads for note in one.notes),
    )


def _seen(reads: Iterable[Read], truths: Mapping[Place, bool | None], key: tuple[str, str, str]) -> Rate:
    """What people say of the judged images of one model and language in one run."""
    places = {one.place for read in reads for one in read.judged if (one.run, one.model, one.language) == key}
    said = [truth for place in places if (truth := truths.get(place)) is not None]
    return Rate(hits=sum(said), n=len(said))


def _judged(run: str, judges: Mapping[str, str], shown: report.Report) -> Iterable[Judged]:
    """Both arms of an A/B run; of a comparison with a baseline, the candidate alone, because the baseline's images are no part of the run."""
    for row in shown.images:
        if row.edits:
            continue
        pair = f"{row.task}/{row.language}/{row.seed}/{row.index}"
        if row.candidate and row.usable is not None:
            yield Judged(
                run=run,
                judge=judges.get(row.model, ""),
                model=row.model,
                language=row.language,
                place=(row.candidate, pair),
                usable=row.usable,
                failed=row.failed,
            )
        if shown.against in judges and row.baseline and row.baseline_usable is not None:
            yield Judged(
                run=run,
                judge=judges[shown.against],
                model=shown.against,
                language=row.language,
                place=(row.baseline, pair),
                usable=row.baseline_usable,
            )


def _judge(run: RunFolder, model: str) -> str:
    """The identity of the judge that last scored a model; "" where the run does not say."""
    card = run.manifest.get("cards", {}).get(model, {})
    given = card.get("judge") if isinstance(card, dict) else None
    source = ":".join(str(part) for part in given if part) if isinstance(given, list) else ""
    found = [event["judge"] for event in run.events() if event["event"] == "judge" and event.get("source") == source]
    return str(found[-1]) if found else source


def _pooled(told: Iterable[tuple[Judged, bool]], pool: Pool) -> dict[tuple[str, ...], list[tuple[bool, bool]]]:
    """(people, judge) by pool; a picture that two models share counts once where their pool is the same."""
    found: dict[tuple[str, ...], dict[Place, tuple[bool, bool]]] = {}
    for one, truth in told:
        found.setdefault(_pool(pool, one.judge, one.model, one.language), {})[one.place] = (truth, one.usable)
    return {name: list(pairs.values()) for name, pairs in found.items()}


def _pool(pool: Pool, judge: str, model: str, language: str) -> tuple[str, ...]:
    """What must be equal for images to be pooled: always the judge, since another judge errs in another way."""
    return {"model": (judge, model, language), "language": (judge, "all models", language), "all": (judge, "all models", "all languages")}[pool]


def _names(pools: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Names of pools to print; the judge is named where pools of several judges would have one name."""
    found = list(pools)
    short = Counter(pool[1:] for pool in found)
    return {pool: " ".join(pool[1:]) + (f" ({pool[0]})" if short[pool[1:]] > 1 else "") for pool in found}


def _distinct(labels: Iterable[Label]) -> list[Label]:
    """The label that counts of every look, over several runs: copies of a run and runs with the same pictures share labels."""
    found: dict[tuple[str, str, str, int], Label] = {}
    for label in sorted(labels, key=lambda one: one.date):
        found[label.mark] = label
    return list(found.values())


def _first_looks(labels: Iterable[Label]) -> dict[Place, dict[str, bool | None]]:
    found: dict[Place, dict[str, bool | None]] = {}
    for label in labels:
        if label.look == 0:
            found.setdefault((label.image, label.pair), {})[label.person] = label.usable
    return found


def _between(first: Mapping[Place, Mapping[str, bool | None]]) -> Agreement | None:
    """Cohen's kappa of two people, Krippendorff's alpha of more, of the answers that they were sure of; None for one person."""
    people = sorted({person for answers in first.values() for person in answers})
    sure = [{person: answer for person, answer in answers.items() if answer is not None} for answers in first.values()]
    if len(people) < 2:
        return None
    if len(people) == 2:
        one, two = people
        return cohen([(answers[one], answers[two]) for answers in sure if one in answers and two in answers])
    return krippendorff(list(answers.values()) for answers in sure)


def _within(labels: Sequence[Label]) -> dict[str, Agreement]:
    """Each person's first answer against the one to the same picture shown again, by person; nobody who was sure of no picture twice."""
    answers = {label.mark: label.usable for label in labels}
    found: dict[str, list[tuple[bool, bool]]] = {}
    for (person, image, pair, look), again in answers.items():
        before = answers.get((person, image, pair, 0))
        if look == 1 and before is not None and again is not None:
            found.setdefault(person, []).append((before, again))
    return {person: cohen(pairs) for person, pairs in sorted(found.items())}

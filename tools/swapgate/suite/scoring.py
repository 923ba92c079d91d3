"""From pictures to scores. A score is computed once per picture and judge and kept in the run, so replay computes nothing.

The scale of alignment: a cosine has an arbitrary zero, so it is put on a scale on which 0 is the mean picture of another
prompt and 1 the mean matched picture, per judge and language. A judge that was calibrated states its scale in its
configuration (`{"swapgate": {"scale": {"en": {"floor": …, "matched": …}}}}`); for others it is measured on the run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from swapgate.bundled import place
from swapgate.canonical import digest
from swapgate.cards import Card
from swapgate.errors import UserError
from swapgate.gates.evidence import Drift, ImageScore
from swapgate.metrics.clip import Judge
from swapgate.metrics.pixels import Image
from swapgate.metrics.threads import side_by_side
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder
from swapgate.suite.lettering import BIT, Lettering, required
from swapgate.tasks import Task

VERSION = 1  # raised when the same picture would get other numbers
BATCH = 64  # pictures the judge is given at once
LEAST_SPAN = 0.02  # cosine; below this a judge tells matched from foreign pictures by less than its own noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where alignment is 0 (`floor`, pictures of other prompts) and 1 (`matched`), as cosines."""

    floor: float
    matched: float

    def normalised(self, cosine: float) -> float:
        return (cosine - self.floor) / max(self.matched - self.floor, LEAST_SPAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One picture to score: its request, its pixels' hash, and the original prompt and task it is judged by."""

    request: Request
    image: str
    task: Task

    @property
    def original(self) -> str:
        return self.task.prompts[self.request.language]


class Scorer:
    """Scores pictures of one run by one judge; the judge is loaded only when a score is not there yet."""

    def __init__(self, run: RunFolder, card: Card, judge: Callable[[Card], Judge], prompts: Mapping[str, tuple[str, ...]]) -> None:
        self._lettering = Lettering(run)
        self._run, self._card, self._make, self._prompts = run, card, judge, prompts
        self._judge: Judge | None = None
        self._identity = known_judge(run, card)

    def scores(self, wanted: Sequence[Wanted]) -> list[dict[str, Any]]:
        """Raw scores of each picture: health bits, alignment with the original prompt, facet margins, strangers' mean, and the text that was read."""
        # Loading the judge may show that it changed since the run was scored: then the scores from before are missing, too.
        while missing := [one for one in wanted if self._identity is None or self._run.score_get(self._key(one)) is None]:
            for start in range(0, len(missing), BATCH):
                self._measure(missing[start : start + BATCH])
        raw = [self._run.score_get(self._key(one)) for one in wanted]
        read = self._lettering.read(wanted)
        return [{**score, "text": text} if text else score for score, text in zip(raw, read, strict=True)]

    def drifts(self, pairs: Sequence[tuple[str, str, str]], load: Callable[[str], Image]) -> list[Drift]:
        """Drift of each (pair id, candidate hash, baseline hash); `load` gives the pixels of a hash.

        Pictures of one hash are identical, and nothing is loaded or measured for them.
        """
        unlike = list(dict.fromkeys((ours, theirs) for _, ours, theirs in pairs if ours != theirs))
        # As with scores: the judge that is loaded for the first missing one may be another than the run was scored with.
        while missing := [both for both in unlike if self._identity is None or self._run.score_get(self._drift_key(*both)) is None]:
            self.judge()
            for start in range(0, len(missing), BATCH // 2):
                self._measure_drifts(missing[start : start + BATCH // 2], load)
        return [self._drift(*pair) for pair in pairs]

    def judge(self) -> Judge:
        """The judge, loaded at the first call."""
        if self._judge is None:
            self._judge = self._make(self._card)
            if self._identity not in (None, self._judge.identity):
                self._run.append({"event": "judge-changed", "model": self._card.id, "judge": self._judge.identity})
            if self._identity != self._judge.identity:
                self._identity = self._judge.identity
                self._run.append({"event": "judge", "source": judge_name(self._card), "judge": self._identity})
        return self._judge

    def _key(self, one: Wanted) -> str:
        asked = [
            one.original,
            [[f.name, list(f.statements[one.request.language])] for f in one.task.facets],
            self._strangers(one),
            [one.request.width, one.request.height],
        ]
        return f"score/{VERSION}/{self._identity}/{one.image}/{digest(asked)[:16]}"

    def _strangers(self, one: Wanted) -> list[str]:
        return [prompt for prompt in self._prompts[one.request.language] if prompt != one.original]

    def _measure(self, batch: Sequence[Wanted]) -> None:
        judge = self.judge()
        seen = side_by_side(self._seen, batch)
        features = judge.image_features([image for image, _ in seen])
        for one, (_, healthy), feature in zip(batch, seen, features, strict=True):
            found = {"health": healthy, **self._one(judge, one, feature)}
            strangers = 0.0 if found["strangers"] is None else found["strangers"]
            self._finite([found["alignment"], strangers, *found["margins"].values()], one.image)
            self._run.score_put(self._key(one), found)

    def _seen(self, one: Wanted) -> tuple[Image, dict[str, bool]]:
        """The pixels of a picture, and the bits of its health."""
        from swapgate.metrics import health

        image = self._run.load_image(one.image)
        return image, dict(health.check(image, one.request.width, one.request.height).bits)

    def _one(self, judge: Judge, one: Wanted, feature: Any) -> dict[str, Any]:
        language = one.request.language
        margins = {}
        for facet in one.task.facets:
            cosines = judge.text_features(facet.statements[language]) @ feature
            margins[facet.name] = round(float(cosines[0] - cosines[1:].max()), 6)
        strangers = self._strangers(one)
        foreign = float((judge.text_features(strangers) @ feature).mean()) if strangers else None
        alignment = float((judge.text_features([one.original]) @ feature)[0])
        return {
            "alignment": round(alignment, 6),
            "margins": margins,
            "strangers": None if foreign is None else round(foreign, 6),
        }

    def _drift_key(self, ours: str, theirs: str) -> str:
        return f"drift/{VERSION}/{self._identity}/{ours}/{theirs}"

    def _drift(self, pair: str, ours: str, theirs: str) -> Drift:
        if ours == theirs:
            return Drift(pair=pair, identical=True, ssim=1.0, psnr=psnr_cap(), clip=1.0)
        return Drift(pair=pair, identical=False, **self._run.score_get(self._drift_key(ours, theirs)))

    def _measure_drifts(self, batch: Sequence[tuple[str, str]], load: Callable[[str], Image]) -> None:
        """The judge is given the pictures of all pairs at once, each once."""
        from swapgate.metrics.psnr import psnr
        from swapgate.metrics.ssim import ssims

        named = list(dict.fromkeys(sha for both in batch for sha in both))
        pixels = dict(zip(named, side_by_side(load, named), strict=True))
        alike = [both for both in batch if pixels[both[0]].shape == pixels[both[1]].shape]
        seen = list(dict.fromkeys(sha for both in alike for sha in both))
        features = dict(zip(seen, self.judge().image_features([pixels[sha] for sha in seen]), strict=True)) if seen else {}
        pairs = [(pixels[ours], pixels[theirs]) for ours, theirs in alike]
        decibels = side_by_side(lambda both: psnr(*both), pairs)
        measured = {}
        for both, likeness, ratio in zip(alike, ssims(pairs, device=self.judge().device), decibels, strict=True):
            cosine = float(np.dot(features[both[0]], features[both[1]]))
            measured[both] = {"ssim": round(likeness, 6), "psnr": round(ratio, 4), "clip": round(cosine, 6)}
        for ours, theirs in batch:
            found = measured.get((ours, theirs), {"ssim": -1.0, "psnr": 0.0, "clip": -1.0})  # of different sizes: as unlike as can be
            self._finite(found.values(), ours)
            self._run.score_put(self._drift_key(ours, theirs), found)

    def _finite(self, figures: Iterable[float], sha: str) -> None:
        """UserError for a score that is no number: JSON has no word for it, and a comparison with it would pass in silence."""
        wrong = [figure for figure in figures if not math.isfinite(figure)]
        if wrong:
            raise UserError(
                where=str(self._card.path),
                key="judge",
                value=judge_name(self._card),
                rule=f"a judge gives finite numbers; this one gave {wrong[0]} for picture {sha[:12]}",
                remedy="restore the judge's weights, or name another judge; nothing is made again: pytest --resume=RUN",
            )


def psnr_cap() -> float:
    """The PSNR in dB that stands for identical pictures."""
    from swapgate.metrics.psnr import METRIC

    return METRIC.high


def judge_name(card: Card) -> str:
    """What tells the judges of cards apart: a folder, or a model's name with the tag of its weights."""
    return f"{card.judge.source}:{card.judge.pretrained}" if card.judge.pretrained else card.judge.source


def known_judge(run: RunFolder, card: Card) -> str | None:
    """The identity of the judge that this run was last scored with, if any."""
    found = [event["judge"] for event in run.events() if event["event"] == "judge" and event["source"] == judge_name(card)]
    return found[-1] if found else None


def stated_scale(card: Card) -> dict[str, Scale]:
    """The scale that a local judge states in its configuration, by language; empty when it states none."""
    path = place(card.root, card.judge.source) / "open_clip_config.json"
    if card.judge.pretrained or not path.is_file():
        return {}
    try:
        stated = json.loads(path.read_text(encoding="utf-8")).get("swapgate", {}).get("scale", {})
        return {language: Scale(floor=float(scale["floor"]), matched=float(scale["matched"])) for language, scale in stated.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            where=str(path),
            key="swapgate.scale",
            rule=f"JSON, with floor and matched as numbers for each language ({type(error).__name__}: {error})",
            remedy="restore the file, or take swapgate.scale out of it: the scale is then measured in the run",
        ) from None


def measured_scale(raw: Iterable[tuple[Wanted, Mapping[str, Any]]]) -> dict[str, Scale]:
    """The scale by the pictures of a run, as written: mean cosine with other prompts, and with their own.

    A family of a single prompt has no strangers; 0 stands for them, and the judge's own zero stays in the numbers.
    """
    by_language: dict[str, list[tuple[float, float]]] = {}
    for one, score in raw:
        if not one.request.edits:
            by_language.setdefault(one.request.language, []).append((score["strangers"] or 0.0, score["alignment"]))
    return {
        language: Scale(floor=float(np.mean([s for s, _ in rows])), matched=float(np.mean([a for _, a in rows])))
        for language, rows in by_language.items()
    }


def image_score(one: Wanted, raw: Mapping[str, Any], scale: Mapping[str, Scale], bar: float) -> ImageScore:
    """The score that gates read: raw numbers put on the scale, and one bit per check that the task requires."""
    request, checks = one.request, one.task.checks
    bits = {f"health:{name}": bool(held) for name, held in raw["health"].items()} if "health" in checks else {}
    if "facets" in checks:
        bits |= {f"facet:{name}": margin > 0 for name, margin in raw["margins"].items()}
    if text := raw.get("text"):
        bits[BIT] = text["distance"] == 0
    score = ImageScore(
        pair=request.pair,
        recipe=request.recipe,
        task=request.task,
        language=request.language,
        seed=request.seed,
        index=request.index,
        edits=request.edits,
        image=one.image,
        bits=bits | ({"alignment": False} if "alignment" in checks else {}),
        usable=False,
        alignment=raw["alignment"],
        normalised=0.0,
        margins=raw["margins"],
        counted=request.index == one.task.protocol.counted_index,
        unjudged=(BIT,) if required(one) is not None and not text else (),
    )
    return rescaled(score, scale, bar)


def rescaled(score: ImageScore, scale: Mapping[str, Scale], bar: float) -> ImageScore:
    """The same picture on another scale: what depends on it (normalised, the alignment bit, usable) is made again."""
    own = scale.get(score.language)
    normalised = own.normalised(score.alignment) if own else 0.0
    bits = {name: (normalised >= bar if name == "alignment" else held) for name, held in score.bits.items()}
    return replace(score, normalised=round(normalised, 6), bits=bits, usable=all(bits.values()))

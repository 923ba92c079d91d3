"""Alignment of pictures with texts: the judge, and the numbers that a judge gives.

    alignment          cosine of a picture and its prompt (CLIPScore without its factor: Hessel et al., EMNLP
    2021) image_similarity   cosine of a picture and its reference picture facet              does the picture
    agree with a statement more than with the statement changed in one thing?

A cosine has an arbitrary zero: that of a picture with a stranger's prompt is far from 0 and differs by model
and language. Before anyone says "per cent", `shuffled_floor` measures that zero and `normalise` takes it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from swapgate.metrics.kinds import Cost, Direction, Inputs, Metric, Need
from swapgate.metrics.pixels import Image

Features = npt.NDArray[np.float32]
"""Unit vectors: [n, d] float32."""


class Judge(Protocol):
    """What scores pictures against texts: both go to unit vectors of one space."""

    @property
    def identity(self) -> str:
        """Name and digest of the weights: equal ones score equally, so it belongs in every cache key."""
        ...

    @property
    def device(self) -> str:
        """The torch device where it computes ("cpu", "cuda:1"); what is computed beside it goes there as well."""
        ...

    def image_features(self, images: Sequence[Image]) -> Features:
        """Unit vectors [n, d] of n pictures, each [H, W, 3] uint8, of any sizes."""
        ...

    def text_features(self, texts: Sequence[str]) -> Features:
        """Unit vectors [n, d] of n texts; UserError when a text is in a language the judge cannot read."""
        ...


def alignment(judge: Judge, images: Sequence[Image], texts: Sequence[str]) -> Features:
    """Cosine of each picture with the text beside it, [n] float32, -1 to 1; higher is better.

    Raises:
        ValueError: not as many texts as pictures.
        UserError: the judge cannot read the language of a text.
    """
    _same_count(images, texts)
    return _rowwise(judge.image_features(images), judge.text_features(texts))


def image_similarity(judge: Judge, images: Sequence[Image], references: Sequence[Image]) -> Features:
    """Cosine of each picture with the reference beside it, [n] float32, -1 to 1; the sizes may differ.

    Raises:
        ValueError: not as many references as pictures.
    """
    _same_count(images, references)
    return _rowwise(judge.image_features(images), judge.image_features(references))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """How far a picture agrees with a statement more than with the statement changed in one thing.

    Args:
        score: cosine of the picture with the statement.
        rival: greatest cosine with a counterfactual.
        against: the counterfactual that reached it.
    """

    score: float
    rival: float
    against: str

    @property
    def margin(self) -> float:
        """Score minus rival, -2 to 2; higher is better."""
        return self.score - self.rival

    @property
    def held(self) -> bool:
        """Whether the picture agrees most with the statement; a tie does not hold."""
        return self.margin > 0.0


def facet(judge: Judge, image: Image, statement: str, counterfactuals: Sequence[str]) -> Facet:
    """Weigh a statement against its counterfactuals on one picture.

    Raises:
        ValueError: no counterfactual, or one that equals the statement.
        UserError: the judge cannot read the language of a text.
    """
    return facets(judge, [image], [(statement, tuple(counterfactuals))])[0]


def facets(judge: Judge, images: Sequence[Image], claims: Sequence[tuple[str, tuple[str, ...]]]) -> list[Facet]:
    """Weigh one (statement, counterfactuals) on each picture; the pictures go through the judge as one batch.

    Raises:
        ValueError: not as many claims as pictures, no counterfactual, or one that equals its statement.
        UserError: the judge cannot read the language of a text.
    """
    _same_count(images, claims)
    for statement, rivals in claims:
        if not rivals or statement in rivals:
            raise ValueError(f"{statement!r} needs counterfactuals that differ from it; given {list(rivals)}")
    seen = judge.image_features(images)
    texts = sorted({text for statement, rivals in claims for text in (statement, *rivals)})
    row = {text: index for index, text in enumerate(texts)}
    cosines = seen @ judge.text_features(texts).T if texts else np.zeros((0, 0), np.float32)
    return [_facet(cosines[index], row, *claim) for index, claim in enumerate(claims)]


def _facet(cosines: Features, row: dict[str, int], statement: str, rivals: tuple[str, ...]) -> Facet:
    against = max(rivals, key=lambda text: float(cosines[row[text]]))
    return Facet(score=float(cosines[row[statement]]), rival=float(cosines[row[against]]), against=against)


def shuffled_floor(judge: Judge, images: Sequence[Image], texts: Sequence[str]) -> float:
    """The zero of alignment: mean cosine of the pictures with each other's prompts, every pair of different
    texts.

    Args:
        judge: what scores.
        images: n pictures.
        texts: the prompt of each; pictures of one prompt are not counted against each other.

    Raises:
        ValueError: counts differ, or there are not two different prompts.
    """
    _same_count(images, texts)
    if len(set(texts)) < 2:
        raise ValueError("the floor needs pictures of at least two different prompts")
    cosines = judge.image_features(images) @ judge.text_features(texts).T
    strangers = np.array([[one != other for other in texts] for one in texts])
    return float(cosines[strangers].mean(dtype=np.float64))


def normalise(score: float, floor: float, matched: float) -> float:
    """Where a cosine lies between a stranger's prompt (0) and the right prompt of a good picture (1); not
    clipped.

    Args:
        score: the cosine.
        floor: `shuffled_floor` of the same judge and language.
        matched: mean alignment of accepted pictures, same judge and language.

    Raises:
        ValueError: the matched mean is not above the floor, so the judge does not see these texts at all.
    """
    if not matched > floor:
        raise ValueError(f"matched mean {matched:.4f} is not above the shuffled-prompt floor {floor:.4f}: a blind judge")
    return (score - floor) / (matched - floor)


def _same_count(images: Sequence[object], others: Sequence[object]) -> None:
    if len(images) != len(others):
        raise ValueError(f"{len(images)} pictures and {len(others)} to set beside them")


def _rowwise(left: Features, right: Features) -> Features:
    cosines: Features = np.einsum("nd,nd->n", left, right, dtype=np.float32)
    return cosines


def _one_judge(batch: Sequence[Inputs]) -> Judge:
    judge = batch[0].the_judge()
    if any(inputs.the_judge() is not judge for inputs in batch):
        raise ValueError("one batch is scored by one judge")
    return judge


def _alignments(batch: Sequence[Inputs]) -> list[float]:
    if not batch:
        return []
    scores = alignment(_one_judge(batch), [i.picture() for i in batch], [i.prompt_text() for i in batch])
    return [float(score) for score in scores]


def _similarities(batch: Sequence[Inputs]) -> list[float]:
    if not batch:
        return []
    references = [i.reference_picture() for i in batch]
    return [float(s) for s in image_similarity(_one_judge(batch), [i.picture() for i in batch], references)]


def _margins(batch: Sequence[Inputs]) -> list[float]:
    if not batch:
        return []
    found = facets(_one_judge(batch), [i.picture() for i in batch], [i.statements() for i in batch])
    return [one.margin for one in found]


ALIGNMENT = Metric(
    name="alignment",
    unit="cosine",
    direction=Direction.HIGHER,
    low=-1.0,
    high=1.0,
    version=1,
    needs=frozenset({Need.PROMPT, Need.JUDGE}),
    cost=Cost.MODEL,
    measure=_alignments,
)
IMAGE_SIMILARITY = Metric(
    name="image_similarity",
    unit="cosine",
    direction=Direction.HIGHER,
    low=-1.0,
    high=1.0,
    version=1,
    needs=frozenset({Need.REFERENCE, Need.JUDGE}),
    cost=Cost.MODEL,
    measure=_similarities,
)
FACET_MARGIN = Metric(
    name="facet_margin",
    unit="cosine",
    direction=Direction.HIGHER,
    low=-2.0,
    high=2.0,
    version=1,
    needs=frozenset({Need.COUNTERFACTUALS, Need.JUDGE}),
    cost=Cost.MODEL,
    measure=_margins,
)

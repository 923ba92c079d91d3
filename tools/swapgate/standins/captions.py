"""Captions of scenes in English and Chinese, in one canonical or in many wordings, and edits.

A caption names object, colour and background always, and the other attributes unless they have their default
value (`scene.DEFAULTS`), which may be left out. Two wordings of a scene therefore always mean the same
picture.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal

from swapgate.standins import captions_en, captions_zh
from swapgate.standins.scene import ATTRIBUTES, DEFAULTS, VALUES, Scene, fits

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
SUFFIX_SHARE = 0.3
"""How often a random caption ends in the quality suffix."""
DEFAULT_SHARE = 0.35
"""How often a random caption mentions an attribute that has its default value."""

_WORDED = (*ATTRIBUTES, "dress")
_CANONICAL = dict.fromkeys(_WORDED, 0)


def caption(
    scene: Scene,
    language: Language,
    rng: Random | None = None,
    *,
    suffix: bool | None = None,
    narrow: bool = False,
) -> str:
    """A caption of the scene.

    Args:
        scene: what the picture shows.
        language: "en" or "zh".
        rng: chooses the wording; None gives the canonical one, always the same.
        suffix: whether the quality suffix follows; None leaves it to rng (never, when rng is None).
        narrow: keep to two clause orders and one word per value, for a model meant to stumble over rewording.

    Raises:
        ValueError: a language the picture world has no words for.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no captions in {language!r}; there are {', '.join(LANGUAGES)}")
    module = captions_en if language == "en" else captions_zh
    say = {a: a not in DEFAULTS or getattr(scene, a) != DEFAULTS[a] for a in ATTRIBUTES}
    words = _CANONICAL
    if language == "zh" and rng is None:
        say["count"] = True
    if rng is not None:
        say = {a: stated or rng.random() < DEFAULT_SHARE for a, stated in say.items()}
        words = _CANONICAL if narrow else {a: rng.randrange(12) for a in _WORDED}
        suffix = rng.random() < SUFFIX_SHARE if suffix is None else suffix
    text = module.compose(scene, say, words, rng, narrow)
    return _with_suffix(text, module.SUFFIX, language) if suffix else text


def _with_suffix(text: str, suffix: str, language: Language) -> str:
    if text[-1] in ".。":
        return f"{text} {suffix}" if language == "en" else text[:-1] + "，" + suffix
    return f"{text}, {suffix}" if language == "en" else f"{text}，{suffix}"


def describe(scene: Scene, attribute: str, language: Language) -> str:
    """A short statement of one attribute alone, such as "the cup is red" or 红色的杯子."""
    return captions_en.facet(scene, attribute) if language == "en" else captions_zh.facet(scene, attribute)


def _fits(scene: Scene) -> bool:
    return fits(*(VALUES[a].index(getattr(scene, a)) for a in ("position", "size", "count")))


def alternatives(scene: Scene, attribute: str) -> list[Scene]:
    """All valid scenes that differ from this one in the attribute alone; empty when nothing else would fit."""
    values = (value for value in VALUES[attribute] if value != getattr(scene, attribute))
    others = (replace(scene, **{attribute: value}) for value in values)  # type: ignore[arg-type]
    return [other for other in others if _fits(other)]


def counterfactual(scene: Scene, attribute: str, rng: Random) -> Scene:
    """The scene with that one attribute changed to another value that fits.

    Raises:
        ValueError: no other value fits: the count of large objects, the size of three at a side.
    """
    options = alternatives(scene, attribute)
    if not options:
        raise ValueError(f"no other {attribute} fits a scene of {scene.count} {scene.size} objects at {scene.position}")
    return rng.choice(options)

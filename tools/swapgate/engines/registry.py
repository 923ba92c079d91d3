"""The table of engines. An engine is registered by one line here; its file is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from swapgate.cards import Card
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.engines.base import Engine  # not at run time: it brings numpy, and collecting tests only needs the names


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where an engine's factory is, and the distributions (by module) that it needs."""

    factory: str
    needs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the host gives an engine: CPU threads (None: the library's choice), images made before a restart.

    numerics: another legal way to compute the same ("attention" = "math", "accumulation" = "full"), for engines that have them.
    """

    threads: int | None = None
    images_before: int = 0
    numerics: Mapping[str, str] = field(default_factory=dict)


Factory = Callable[[Card, Setting], "Engine"]

TABLE: dict[str, Entry] = {
    "diffusers": Entry(
        factory="swapgate.engines.diffusers:create",
        needs=(("torch", "torch"), ("diffusers", "diffusers"), ("transformers", "transformers"), ("safetensors", "safetensors")),
    ),
    "scripted": Entry(factory="swapgate.engines.scripted:create"),
}
ENGINES: tuple[str, ...] = tuple(sorted(TABLE))


def create(card: Card, setting: Setting) -> Engine:
    """The engine of `card`, not loaded yet; imports its packages.

    Raises:
        UserError: the card names no registered engine, or a package that it needs is not installed.
    """
    entry = TABLE.get(card.engine)
    if entry is None:
        raise UserError(
            where=str(card.path),
            key="engine",
            value=card.engine,
            rule=f"one of {', '.join(ENGINES)}",
            remedy="correct the name, or register an engine of your own in swapgate/engines/registry.py",
        )
    missing = [distribution for module, distribution in entry.needs if find_spec(module) is None]
    if missing:
        raise UserError(
            where=str(card.path),
            key="engine",
            value=card.engine,
            rule=f"this engine needs {', '.join(missing)}, which is not installed",
            remedy=f"pip install {' '.join(missing)}",
        )
    module, _, attribute = entry.factory.partition(":")
    factory: Factory = getattr(import_module(module), attribute)
    return factory(card, setting)

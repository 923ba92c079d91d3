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
    """Where an engine's factory is, and the distributions (by module) that it needs.

    check: where a function is that reads what a card says to this engine, without its packages and without asking anybody; "" for none.
    weightless: it loads no model into this machine's memory on its own account: there is none, or a server has it.
    """

    factory: str
    check: str = ""
    weightless: bool = False
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
    "comfyui": Entry(
        factory="swapgate.engines.comfyui.engine:create",
        check="swapgate.engines.comfyui.binding:check",
        needs=(("websockets", "websockets"), ("httpx2", "httpx2"), ("httpcore2", "httpcore2")),
        weightless=True,
    ),
    "diffusers": Entry(
        factory="swapgate.engines.diffusers:create",
        needs=(("torch", "torch"), ("diffusers", "diffusers"), ("transformers", "transformers"), ("safetensors", "safetensors")),
    ),
    "images_api": Entry(
        factory="swapgate.engines.images_api:create",
        check="swapgate.engines.images_options:check",
        needs=(("httpx2", "httpx2"), ("httpcore2", "httpcore2")),
        weightless=True,
    ),
    "scripted": Entry(factory="swapgate.engines.scripted:create", weightless=True),
}
ENGINES: tuple[str, ...] = tuple(sorted(TABLE))


def check(card: Card) -> None:
    """Read what a card says to its engine. UserError for a mistake that can be seen without loading anything."""
    entry = TABLE.get(card.engine)
    if entry and entry.check:
        module, _, attribute = entry.check.partition(":")
        getattr(import_module(module), attribute)(card)


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

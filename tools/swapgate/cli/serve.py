"""`swapgate serve`: a card's model behind a small server of OpenAI's images API, on this machine alone, for tests and demonstrations."""

from __future__ import annotations

import argparse
import contextlib
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from swapgate.cli.common import OK, config_of, progress_on_stderr, say
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cards import Card
    from swapgate.cli.common import Groups

DESCRIPTION = (
    "Serves one model at POST /v1/images/generations and GET /v1/models on the loopback interface, an image at a time (or --workers), until Ctrl-C. "
    "It is for tests and demonstrations: a model of the images_api engine needs its own server. The same seed gives the picture that the card gives."
)


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("serve", help="serve a model by OpenAI's images API on this machine, for tests and demos", description=DESCRIPTION)
    made.add_argument("card", metavar="CARD", help="the model card")
    made.add_argument("--port", type=int, default=0, metavar="N", help="where to listen on 127.0.0.1 (default: any free port)")
    made.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, each with the model loaded, that draw at the same time (default: 1)"
    )
    made.add_argument("--key-env", default="", metavar="NAME", help="ask for the key that this environment variable holds")
    made.set_defaults(handler=_serve)


def _serve(given: argparse.Namespace) -> int:
    from swapgate.cli.images_server import ImagesServer, Served
    from swapgate.hosts.process import Host, HostFailed

    card, key = _card(given), _key(given.key_env)
    if not 1 <= given.workers <= 64 or not 0 <= given.port <= 65535:
        raise UserError(where="swapgate serve", rule="1 to 64 --workers, and a --port from 0 to 65535", remedy="correct the number")
    progress = progress_on_stderr()
    with ExitStack() as stack:
        hosts = [stack.enter_context(Host(card)) for _ in range(given.workers)]
        progress.loading(card.id)
        try:
            *_, loaded = (host.start() for host in hosts)
        except HostFailed as failed:
            raise UserError(where=str(card.path), rule=str(failed), remedy=f"mend that; swapgate doctor {card.id} may say more") from None
        try:
            server = stack.enter_context(ImagesServer(Served.of(card, loaded.weights), hosts, port=given.port, key=key))
        except OSError as error:
            raise UserError(
                where="--port", value=given.port, rule=f"a free port ({error.strerror})", remedy="choose another, or leave it out"
            ) from None
        say(f"{card.id}, {given.workers} at a time, for this machine only; Ctrl-C ends:\n{server.url}")
        with contextlib.suppress(KeyboardInterrupt):  # the way to end
            server.serve_forever()
    return OK


def _card(given: argparse.Namespace) -> Card:
    import difflib

    from swapgate.cards import read_cards
    from swapgate.engines.registry import ENGINES

    config = config_of(given)
    cards = read_cards(config.root / config.models, root=config.root, engines=ENGINES)
    if given.card not in cards:
        near = difflib.get_close_matches(given.card, cards, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "write a card in the models folder"
        raise UserError(where="swapgate serve", value=given.card, rule=f"a model card; known: {', '.join(cards)}", remedy=remedy)
    card = cards[given.card]
    if card.engine not in ("diffusers", "scripted"):
        raise UserError(
            where=str(card.path), key="engine", value=card.engine, rule="a model that is loaded here can be served", remedy="choose another card"
        )
    return card


def _key(name: str) -> str:
    key = os.environ.get(name, "") if name else ""
    if name and not key:
        raise UserError(where="--key-env", value=name, rule="an environment variable that holds the key", remedy=f"export {name}=…")
    return key

"""The child side of a trial: one placement of one card in a process of its own, tried under limit after limit.

It imports what is heavy as soon as it starts and before it is asked anything, so that the next trial's imports run beside the present one.
Nothing of CUDA is touched before it is asked.
"""

from __future__ import annotations

import os
import signal
import threading
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from swapgate.engines.placements import Placement, Tried
from swapgate.errors import UserError
from swapgate.hosts.board import Board
from swapgate.hosts.child import leave_with_parent
from swapgate.hosts.wire import card_from_json, error_to_json, receive, send
from swapgate.plan import Request


def main(connection: str, board: str) -> None:
    """Serve the parent behind these file descriptors until it says close or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=leave_with_parent, name="swapgate-lifeline", daemon=True).start()
    try:
        serve(Connection(int(connection)), Board.attach(int(board)))
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone: nobody is left to tell


def serve(connection: Connection, board: Board) -> None:
    """Answer "prepare" once, then any number of "attempt", until anything else is said."""
    board.write("importing")
    engine: Any = import_module("swapgate.engines.trial")
    board.write("waiting")
    message = receive(connection)
    if message["op"] != "prepare":
        return
    try:
        trial = engine.Trial(
            card_from_json(message["card"]), Placement(**message["placement"]), Request.from_json(message["request"]), tell=board.write
        )
        prepared = trial.prepare(rate=message["rate"])
    except UserError as error:
        send(connection, {"kind": "user-error", "error": error_to_json(error)})
        return
    except Exception as error:  # whatever a model raises becomes a row of the table
        failed = Tried(verdict=engine.verdict_of(error), why=engine.said(error), stage=board.read())
        send(connection, {"kind": "failed", "tried": failed.as_json()})
        return
    send(connection, {"kind": "prepared", "prepared": prepared.as_json()})
    while (message := receive(connection))["op"] == "attempt":
        given = {name: message[name] for name in ("limit", "steps", "patience", "count")}
        send(connection, {"kind": "tried", "tried": trial.attempt(**given).as_json()})

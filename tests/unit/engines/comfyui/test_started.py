"""Servers that are started for a run: waited for, told their port, ended with all that they started, their log kept when they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from swapgate.cards import Card
from swapgate.engines.comfyui.engine import create
from swapgate.engines.comfyui.started import ServerDied, Started
from swapgate.engines.registry import Setting
from swapgate.engines.servers.client import Client
from swapgate.errors import UserError
from swapgate.runs.environment import RUN_FOLDER

SERVES = "import http.server, sys; print('ready', flush=True); http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
STUBBORN = """
import subprocess, sys, time
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, '-c', deaf], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
FAMILY = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True); import time; time.sleep(600)"


@pytest.fixture(autouse=True)
def _run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_FOLDER, str(tmp_path))


def test_is_waited_for_and_ended(tmp_path: Path) -> None:
    started = Started([sys.executable, "-c", SERVES, "{port}"], str(tmp_path), "m")
    with Client(started.address) as client:
        started.wait(lambda: client.get(started.address), 60.0)
    assert started.log.parent == tmp_path / "servers"
    started.close(failed=False)
    assert not started.log.exists()
    with pytest.raises(ServerDied):
        started.check()


def test_one_that_ends_says_its_last_words_and_leaves_its_log() -> None:
    started = Started([sys.executable, "-c", "print('no weights'); raise SystemExit(3)", "{port}"], "", "m")
    with Client(started.address) as client, pytest.raises(ServerDied, match="status 3; its last words: no weights; its log: "):
        started.wait(lambda: client.get(started.address), 60.0)
    started.close(failed=True)
    assert started.log.read_text(encoding="utf-8") == "no weights\n"


def test_one_that_never_answers_is_given_up() -> None:
    started = Started([sys.executable, "-c", "import time; time.sleep(600)", "{port}"], "", "m")
    with Client(started.address) as client, pytest.raises(ServerDied, match=r"did not answer within 0\.5 s"):
        started.wait(lambda: client.get(started.address), 0.5)
    started.close(failed=True)


def test_all_that_it_started_ends_with_it() -> None:
    started = Started([sys.executable, "-c", FAMILY, "{port}"], "", "m")
    grandchild = _number(started.log)
    started.close(failed=False)
    _gone(grandchild)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("group", [False, True], ids=["alone", "with-its-group"])
def test_it_ends_when_its_owner_is_killed(sent: signal.Signals, group: bool) -> None:
    """However that is: a host kills the engine's process when a call takes too long, and a CI job's end is a signal to all of its group."""
    with _owner() as (owner, server, grandchild):
        (os.killpg if group else os.kill)(owner.pid, sent)
        owner.wait(30)
    _gone(server)
    _gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_it_ends_when_what_keeps_it_is_killed() -> None:
    with _owner() as (_, server, grandchild):
        keeper = psutil.Process(server).parent()
        assert keeper
        keeper.kill()
        _gone(server)
        os.kill(grandchild, signal.SIGKILL)  # nobody is left to end it


def test_one_that_is_asked_to_end_may_end_in_its_own_way(tmp_path: Path) -> None:
    """A server that saves what it has does that when the keeper is asked to end, and what it started and did not end is killed."""
    code = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path / 'saved')!r}, 'w').close(), sys.exit(0))); {STUBBORN}"
    started = Started([sys.executable, "-c", code, "{port}"], "", "m")
    grandchild = _number(started.log)
    os.kill(started._keeper.pid, signal.SIGTERM)
    assert started._keeper.wait(4.0) == 0
    _gone(grandchild)
    assert (tmp_path / "saved").exists()
    started.close(failed=False)


def test_what_a_server_leaves_behind_ends_with_it() -> None:
    """One that dies by itself may have started others."""
    started = Started([sys.executable, "-c", STUBBORN.replace("time.sleep(600)\n", "raise SystemExit(4)\n"), "{port}"], "", "m")
    grandchild = _number(started.log)
    _gone(grandchild)
    assert started._keeper.wait(30.0) == 4
    started.close(failed=False)


def test_a_command_that_fails_is_the_error_of_loading(card_for: Callable[..., Card]) -> None:
    card = card_for(None, comfyui={"start": [sys.executable, "-c", "raise SystemExit('no such model')", "{port}"]})
    with pytest.raises(ServerDied, match="last words: no such model"):
        create(card, Setting()).load()


def test_a_folder_that_is_not_there_is_the_users_mistake(card_for: Callable[..., Card]) -> None:
    card = card_for(None, comfyui={"start": [sys.executable, "{port}"], "folder": "/nowhere"})
    with pytest.raises(UserError, match="a command that can be started"):
        create(card, Setting()).load()


@contextmanager
def _owner() -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A process that has started a server in a group of its own; that server, and what it has started."""
    begin = f"import sys; sys.path[:] = {sys.path!r}; from swapgate.engines.comfyui.started import Started; "
    code = f"{begin}s = Started({[sys.executable, '-c', FAMILY, '{port}']!r}, '', 'm'); print(s.log, flush=True); import time; time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout
        grandchild = _number(Path(owner.stdout.readline().strip()))
        server = psutil.Process(grandchild).parent()
        assert server
        try:
            yield owner, server.pid, grandchild
        finally:
            owner.kill()


def _number(log: Path) -> int:
    end = time.monotonic() + 60
    while not (text := log.read_text(encoding="utf-8").strip()) and time.monotonic() < end:
        time.sleep(0.02)
    return int(text)


def _gone(pid: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:  # also where it ends between the two questions
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still runs")

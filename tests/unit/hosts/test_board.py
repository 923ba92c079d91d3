"""The board keeps what was written last, also after the writer is gone."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from swapgate.hosts.board import SIZE, Board


@given(st.lists(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=SIZE - 1), min_size=1, max_size=5))
def test_the_last_text_is_read(texts: list[str]) -> None:
    """A short text after a long one leaves nothing of it."""
    board = Board.create()
    for text in texts:
        board.write(text)
    assert board.read() == texts[-1]
    board.close()


def test_a_long_text_is_cut_and_never_an_error() -> None:
    """Also in the middle of a character of several bytes."""
    board = Board.create()
    board.write("杯" * SIZE)
    assert board.read().startswith("杯杯杯")
    assert len(board.read()) < SIZE
    board.close()


def test_text_outlives_the_process_that_wrote_it() -> None:
    """A child that kills itself right after writing."""
    board = Board.create()
    program = """
import os, signal, sys
from swapgate.hosts.board import Board
Board.attach(int(sys.argv[1])).write("step 7")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, str(board.descriptor)], pass_fds=(board.descriptor,), check=False)
    assert done.returncode == -9
    assert board.read() == "step 7"
    board.close()


def test_a_peak_stands_until_another_is_written() -> None:
    """None is no figure, and nothing was written on a new board."""
    board = Board.create()
    assert (board.peak(), board.writes()) == (None, 0)
    board.write("step 1", 12.5)
    board.write("step 1")
    assert (board.read(), board.peak(), board.writes()) == ("step 1", 12.5, 2)
    board.write("decoding", 3.0)
    assert (board.peak(), board.writes()) == (3.0, 3)
    board.close()

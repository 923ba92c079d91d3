"""`swapgate baselines review` and `picture`: keys in, words out, and the files left behind."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from swapgate.baselines import draft
from swapgate.baselines.store import Store
from swapgate.cli import review
from swapgate.cli.main import main
from swapgate.gates.verdict import GATES, Status


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any) -> Path:
    """Three baselines; a run that changes two of them (one for the worse), leaves the third and adds a fourth."""
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "GIT_AUTHOR_NAME"):
        monkeypatch.delenv(name, raising=False)
    store = Store(tmp_path / "baselines")
    for task in ("cup", "mug", "pot"):
        store.put(made.baseline(task=task), made.load)
    drafts = [made.draft(task="cup", shift=50), made.draft(task="mug", shift=60), made.draft(task="pot"), made.draft(task="urn")]
    drafts = [replace(one, provenance=replace(one.provenance, run="r1")) for one in drafts]
    said = [made.verdict(gate, "standin", one.task) for one in drafts for gate in GATES if (gate, one.task) != ("drift", "mug")]
    said.append(made.verdict("drift", "standin", "mug", Status.REGRESSION, "changed pictures"))
    made.run(tmp_path / ".swapgate" / "runs" / "r1", *drafts, verdicts=said, against=store)
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, text: str, *more: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return main(["baselines", "review", "r1", *more, "--by=ann"])


def states(project: Path) -> dict[str, str]:
    return {name.rpartition("/")[2]: entry["action"] for name, entry in draft.reviews(project / ".swapgate" / "runs" / "r1").items()}


def accepted(project: Path) -> dict[str, str]:
    return {one.task: one.provenance.run for one in Store(project / "baselines").list()}


def test_a_walk_with_every_key(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what changed is shown, the worse one asks for a reason, help and picture leave the question open."""
    assert typed(monkeypatch, "?oa" + "alamp was dim\n" + "rno urn wanted\n") == 0
    said = capsys.readouterr().out
    assert "3 changes to review, 1 decided or unchanged" in said
    assert "[1/3] standin/nvidia-h200-1a2b3c4d/cup: changed (images, scores)" in said
    assert "pictures: 0 of 3 identical" in said
    assert "baseline: accepted by ann on 2026-01-02 from run 20260101T000000Z-aaaa: first" in said
    assert "drift/mug: REGRESSION: changed pictures says so" in said
    assert "[3/3] standin/nvidia-h200-1a2b3c4d/urn: new" in said
    assert "a  make it the baseline" in said
    assert "2 accepted, 1 rejected, 0 left" in said
    assert accepted(project) == {"cup": "r1", "mug": "r1", "pot": "20260101T000000Z-aaaa"}
    assert states(project) == {"cup": "accept", "mug": "accept", "urn": "reject"}
    mug = Store(project / "baselines").get("standin", "nvidia-h200-1a2b3c4d", "mug")
    assert mug is not None
    assert (mug.provenance.reason, mug.provenance.accepted_by) == ("lamp was dim", "ann")
    assert mug.provenance.history[0].reason == "first"
    (sheet,) = (project / ".swapgate" / "review" / "r1").glob("*cup.png")
    assert f"{sheet} (no screen to open it on)" in said


def test_quitting_keeps_what_was_decided_and_the_next_walk_goes_on(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the input simply ends; what was skipped comes again."""
    assert typed(monkeypatch, "aq") == 1
    assert "1 accepted, 0 rejected, 2 left, go on with: swapgate baselines review" in capsys.readouterr().out
    assert typed(monkeypatch, "s") == 1
    said = capsys.readouterr().out
    assert "2 changes to review" in said
    assert "0 accepted, 0 rejected, 2 left" in said
    assert typed(monkeypatch, "rdull\na") == 0
    assert states(project) == {"cup": "accept", "mug": "reject", "urn": "accept"}
    capsys.readouterr()
    assert typed(monkeypatch, "") == 0
    assert "0 changes to review, 4 decided or unchanged" in capsys.readouterr().out


def test_all_the_rest_takes_what_needs_no_words(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What got worse is refused and said; with --reason it goes through."""
    assert typed(monkeypatch, "A") == 1
    said = capsys.readouterr().out
    assert "refused standin/nvidia-h200-1a2b3c4d/mug" in said
    assert "2 accepted, 0 rejected, 1 left" in said
    assert typed(monkeypatch, "A", "--reason=new lamp") == 0
    assert set(states(project).values()) == {"accept"}


def test_an_empty_reason_decides_nothing(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither for the worse nor for a rejection."""
    assert typed(monkeypatch, "r\nsa\nq") == 1
    said = capsys.readouterr().out
    assert "nothing was rejected: a rejection says why" in said
    assert "nothing was accepted: what got worse is accepted with a reason" in said
    assert states(project) == {}


def test_only_some_may_be_walked_through(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern beside the run; one that matches nothing is a warning beside another and a mistake alone."""
    assert typed(monkeypatch, "a", "*/urn", "*/jug") == 1
    assert "warning: '*/jug' matches no draft; there are: standin/cup" in capsys.readouterr().out
    assert set(accepted(project)) == {"cup", "mug", "pot", "urn"}
    assert typed(monkeypatch, "a", "*/jug") == 2


def test_what_changes_while_one_looks_is_not_written_over(
    project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody accepts another run between the question and the key: the key accepts nothing and says who was first."""
    store = Store(project / "baselines")
    other = made.baseline(task="cup", shift=70)
    other = replace(other, provenance=replace(other.provenance, run="r9", accepted_by="bo", reason="brighter"))

    class Meanwhile(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            if not self.tell():
                store.put(other, made.load)
            return super().read(size)

    monkeypatch.setattr(sys, "stdin", Meanwhile("aq"))
    assert main(["baselines", "review", "r1"]) == 1
    said = capsys.readouterr().out
    assert "refused standin/nvidia-h200-1a2b3c4d/cup: this run was not judged against what is there now: bo accepted run r9" in said
    assert accepted(project)["cup"] == "r9"
    assert typed(monkeypatch, "a") == 1  # now it is shown, with a note, and may be decided on
    said = capsys.readouterr().out
    assert "note: this run was not judged against what is there now" in said
    assert "bo" in said
    assert accepted(project)["cup"] == "r1"


def test_a_run_on_a_cpu_is_held_against_what_it_was_judged_by(
    project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its draft goes to another place than it is named by, and that place is the one that is looked at: no note, and no refusal."""
    store = Store(project / "baselines")
    store.put(made.baseline(task="cup", cohort="any"), made.load)
    one = made.draft(task="cup", cohort=made.CPU, shift=80)
    made.run(project / ".swapgate" / "runs" / "cpu", replace(one, provenance=replace(one.provenance, run="cpu")), against=store)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a"))
    assert main(["baselines", "review", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "note: this run was not judged" not in said
    assert "accepted standin/any/cup" in said


def test_a_damaged_draft_does_not_stop_the_others(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named with the way to write it again, and the exit status says that something is left."""
    next((project / ".swapgate" / "runs" / "r1" / "drafts").rglob("urn.json")).write_text("{", encoding="utf-8")
    assert typed(monkeypatch, "A", "--reason=x") == 1
    said = capsys.readouterr().out
    assert "damaged standin/nvidia-h200-1a2b3c4d/urn" in said
    assert "write it again, which makes no image: pytest --resume=" in said
    assert "2 accepted, 0 rejected, 0 left" in said
    assert main(["baselines", "diff", "--run=r1"]) == 1
    assert "damaged standin/nvidia-h200-1a2b3c4d/urn" in capsys.readouterr().out


def test_hostile_words_are_written_out(project: Path, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Reasons and names of others cannot steer the terminal of who reviews."""
    store = Store(project / "baselines")
    old = made.baseline(task="cup")
    store.put(replace(old, provenance=replace(old.provenance, reason="ok\n\x1b[2Jfine", accepted_by="ann\u202enna")), made.load)
    typed(monkeypatch, "q")
    said = capsys.readouterr().out
    assert "by ann\\u202enna on" in said
    assert "ok\\n\\x1b[2Jfine" in said
    assert main(["baselines", "list"]) == 0
    listed = capsys.readouterr().out
    assert "ann\\u202enna" in listed
    assert not any(char in said + listed for char in "\x1b\u202e")
    for option in ("--by=a\x1bb", "--reason=a\x00b", "--by=a\nb", f"--reason={'x' * 3000}"):
        assert main(["baselines", "accept", "--run=r1", option]) == 2
        err = capsys.readouterr().err
        assert "none of them a control" in err
        assert "\x1b" not in err


def test_guards_stop_a_review_before_the_first_question(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In CI nobody is at the keyboard."""
    monkeypatch.setenv("CI", "true")
    assert typed(monkeypatch, "a") == 2
    assert "--allow-ci" in capsys.readouterr().err
    assert states(project) == {}


def test_the_picture_is_the_twin_of_open(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A PNG for each draft, three columns, those that differ first; paths as lines or as JSON."""
    assert main(["baselines", "picture", "*/cup", "*/urn", "--run=r1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["draft"].rpartition("/")[2] for one in told["pictures"]] == ["cup", "urn"]
    for one in told["pictures"]:
        with Image.open(one["picture"]) as sheet:
            assert sheet.format == "PNG"
            assert sheet.width > 3 * 320
    assert main(["baselines", "picture", "*/cup", "--run=r1", "--out=here"]) == 0
    assert capsys.readouterr().out.strip() == str(Path("here") / "standin-nvidia-h200-1a2b3c4d-cup.png")
    assert (project / "here").is_dir()


def test_a_lost_picture_leaves_its_place_empty(project: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, the sheet is written all the same, and the exit status is 1."""
    next((project / "baselines").rglob(f"{made.picture(1)}.*")).write_bytes(b"no picture")
    assert main(["baselines", "picture", "*/cup", "--run=r1"]) == 1
    said = capsys.readouterr().out
    assert "an image that decodes" in said
    assert Path(said.splitlines()[0]).is_file()


def test_a_picture_of_another_size_is_said(project: Path, made: Any) -> None:
    """Scaled side by side they would look alike."""
    from swapgate.baselines import sheet

    small, large = made.load(made.picture(1)), made.load(made.picture(2, size=32))
    drawn = sheet.draw([sheet.Row(pair="cup/en/1/0", before=small, after=large)], title="t")
    same = sheet.draw([sheet.Row(pair="cup/en/1/0", before=small, after=small)], title="t")
    assert sheet._sizes(sheet.Row(pair="p", before=small, after=large)) == "  (size 16x16 -> 32x32)"
    assert drawn.size == same.size


def test_a_key_of_a_terminal_counts_without_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real terminal device; its settings are as before."""
    import termios

    master, slave = pty.openpty()
    with open(slave, "rb", buffering=0) as device:

        class Keyboard:
            def fileno(self) -> int:
                return device.fileno()

            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdin", Keyboard())
        before = termios.tcgetattr(device.fileno())
        found = review.keys()
        typist = threading.Timer(0.2, os.write, (master, b"a"))
        typist.start()
        assert found.key() == "a"
        typist.join()
        assert termios.tcgetattr(device.fileno()) == before
    os.close(master)


def test_a_screen_opens_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the desktop's own program; without one it says that there was nothing."""
    tool = tmp_path / "xdg-open"
    tool.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n', encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", "")
    assert not review.open_file(tmp_path / "a.png")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert review.open_file(tmp_path / "a.png")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not review.open_file(tmp_path / "a.png")

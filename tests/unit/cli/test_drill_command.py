"""`swapgate drill`: what it asks of the runner, what it prints and writes, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main
from swapgate.drills.catalogue import CATALOGUE
from swapgate.drills.jobs import Job
from swapgate.drills.matrix import Matrix, tabulate
from swapgate.drills.outcome import Outcome, Seen
from swapgate.drills.run import Ask
from swapgate.gates.verdict import GATES


class Runner:
    """Stands for `swapgate.drills.run.drill`: keeps what was asked, and says which gates fired in every drill."""

    def __init__(self) -> None:
        self.asked: list[tuple[Ask, float]] = []
        self.red: set[str] = {"drift", "usability"}
        self.raises: BaseException | None = None

    def __call__(self, config: Any, ask: Ask, policy: Any, progress: Any = None) -> Matrix:
        self.asked.append((ask, policy.false_alarms))
        progress.note("one run")
        if self.raises:
            raise self.raises
        seen = {gate: Seen(status="REGRESSION", red=gate in self.red, decided=True, cell=gate, reason="so it is") for gate in GATES}
        outcomes = [
            Outcome(job=Job(drill=one, dose="moderate", spec=one.moderate, repeat=1), run=f"runs/{one.id}", proof="7 calls", pictures="p", seen=seen)
            for one in ask.drills
        ]
        return tabulate(outcomes, (), model=ask.model, tasks=("cup",), false_alarms=policy.false_alarms, usable=(9, 10), whole=ask.whole)


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n[tool.swapgate.policy]\nfalse_alarms = 0.02\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = Runner()
    monkeypatch.setattr("swapgate.drills.run.drill", found)
    return found


def test_one_drill_is_asked_as_it_was_typed(runner: Runner, tmp_path: Path) -> None:
    """Every option reaches the runner."""
    options = [
        "--model=m",
        "--task=cup, cat",
        "--drill=black,leak,black",
        "--dose=mild,moderate",
        "--repeats=3",
        "--null=7",
        "--false-alarms=5%",
        "--out=here",
    ]
    main(["drill", *options])
    ((ask, false_alarms),) = runner.asked
    assert (ask.model, ask.tasks, [one.id for one in ask.drills]) == ("m", ("cup", "cat"), ["black", "leak"])
    assert (ask.doses, ask.repeats, ask.null, false_alarms, ask.whole) == (("mild", "moderate"), 3, 7, 0.05, False)
    assert ask.out == tmp_path / "here"


def test_without_a_choice_it_is_the_whole_catalogue_at_its_heaviest(runner: Runner, tmp_path: Path) -> None:
    """Once each, at the policy's budget, in a new folder among the runs."""
    main(["drill", "--model=m"])
    ((ask, false_alarms),) = runner.asked
    assert (ask.drills, ask.whole, ask.doses, ask.repeats, ask.null, false_alarms) == (CATALOGUE, True, ("severe",), 1, None, 0.02)
    assert ask.out.parent == tmp_path / ".swapgate" / "runs"
    assert ask.out.name.startswith("drill-")


def test_all_doses_have_one_word(runner: Runner) -> None:
    """--dose=all."""
    main(["drill", "--model=m", "--dose=all", "--control"])
    ((ask, _),) = runner.asked
    assert (ask.doses, ask.whole, ask.control) == (("mild", "moderate", "severe"), True, True)


def test_mild_doses_kill_no_gate(runner: Runner) -> None:
    """They lie at the gates' floors and ask for no alarm, so that none of them fires says nothing of a gate."""
    main(["drill", "--model=m", "--dose=mild"])
    assert not runner.asked[0][0].whole


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--drill=blak", "rule: one of: weight-noise"),
        ("--dose=huge", "mild, moderate, severe or all"),
        ("--dose=", "mild, moderate, severe or all"),
        ("--dose=all,mild", "mild, moderate, severe or all"),
        ("--false-alarms=30%", "at most 25%"),
        ("--shard=2", "K of N shares"),
        ("--shard=a/b", "K of N shares"),
        ("--shard=-1/2", "K of N shares"),
    ],
)
def test_a_mistake_is_said_before_anything_is_made(runner: Runner, option: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, with rule and remedy."""
    assert main(["drill", "--model=m", option]) == 2
    assert said in capsys.readouterr().err
    assert runner.asked == []


def test_the_model_must_be_named(runner: Runner) -> None:
    """A drill of every card by accident would take hours."""
    with pytest.raises(SystemExit) as caught:
        main(["drill"])
    assert caught.value.code == 2


def test_what_is_as_expected_ends_with_0(runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table and the page on stdout, progress on stderr."""
    assert main(["drill", "--model=m", "--drill=black", "--out=here"]) == 0
    out, err = capsys.readouterr()
    assert "caught 1/1" in out
    assert out.rstrip().endswith((tmp_path / "here" / "matrix.html").as_uri())
    assert "one run" in err
    assert "one run" not in out
    assert (tmp_path / "here" / "matrix.html").is_file()


@pytest.mark.parametrize(("red", "said"), [(set(), "MISSED"), ({"drift", "usability", "memory"}, "UNEXPECTED")])
def test_a_gate_that_failed_its_drill_ends_with_1(runner: Runner, red: set[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Blind or crying wolf."""
    runner.red = red
    assert main(["drill", "--model=m", "--drill=black"]) == 1
    assert said in capsys.readouterr().out


def test_a_dead_gate_ends_with_1_after_the_whole_catalogue(runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    """And is named."""
    runner.red = {"drift", "latency", "memory", "usability"}
    assert main(["drill", "--model=m"]) == 1
    assert "stability DEAD" in capsys.readouterr().out


def test_json_is_all_there_is_on_stdout(runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same data as in matrix.json, with the page's place."""
    assert main(["drill", "--model=m", "--drill=black", "--out=here", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("page") == str(tmp_path / "here" / "matrix.html")
    assert found == json.loads((tmp_path / "here" / "matrix.json").read_text(encoding="utf-8"))
    assert found["rows"][0]["drill"] == "black"


def test_an_interruption_says_how_to_go_on(runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is named, also where the command chose it."""
    runner.raises = KeyboardInterrupt()
    assert main(["drill", "--model=m"]) == 130
    assert f"--out={tmp_path / '.swapgate' / 'runs' / 'drill-'}" in capsys.readouterr().err


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[Ask]:
    """Stands for the comparison with other projects' rules, and keeps what was asked."""
    from swapgate.drills.peers.table import Table

    asked: list[Ask] = []

    def compare(config: Any, ask: Ask, policy: Any, progress: Any = None) -> Table:
        assert (ask.out / "matrix.json").is_file()  # what was drilled is safe before anything else is made
        asked.append(ask)
        progress.note("a harmless change")
        sets = {kind: dict.fromkeys(("A", "B", "C", "mild"), ()) for kind in ("drift", "absolute", "latency", "memory")}
        return Table(
            model="m", tasks=("cup",), hardware="a CPU", created="2026-01-01", false_alarms=0.01, command=ask.command, rows=(), sets=sets, left_out=()
        )  # fmt: skip

    monkeypatch.setattr("swapgate.drills.peers.run.compare", compare)
    return asked


def test_other_projects_rules_are_applied_when_they_are_asked_for(
    runner: Runner, beside: list[Ask], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the drill, with a control; the matrix stands above, and the exit status is the drill's."""
    assert main(["drill", "--model=m", "--drill=black", "--out=here", "--policies=peers"]) == 0
    assert runner.asked[0][0].control
    assert [ask.out for ask in beside] == [tmp_path / "here"]
    out, err = capsys.readouterr()
    assert out.index("caught 1/1") < out.index("side by side: ")
    assert out.rstrip().endswith((tmp_path / "here" / "peers.html").as_uri())
    assert "a harmless change" in err
    for name in ("peers.json", "peers.md", "matrix.html"):
        assert (tmp_path / "here" / name).is_file()


def test_without_the_option_there_is_no_comparison(runner: Runner, beside: list[Ask], tmp_path: Path) -> None:
    """And no control that nobody asked for."""
    main(["drill", "--model=m", "--drill=black", "--out=here"])
    assert beside == []
    assert not runner.asked[0][0].control
    assert not (tmp_path / "here" / "peers.json").exists()


def test_both_tables_are_one_json(runner: Runner, beside: list[Ask], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under a key of its own, the same as in peers.json."""
    main(["drill", "--model=m", "--drill=black", "--out=here", "--policies=peers", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["drill"] == "black"
    assert found["peers"].pop("page") == str(tmp_path / "here" / "peers.html")
    assert found["peers"] == json.loads((tmp_path / "here" / "peers.json").read_text(encoding="utf-8"))


def test_only_policies_that_exist_can_be_named(runner: Runner) -> None:
    """A mistake before anything is made."""
    with pytest.raises(SystemExit) as caught:
        main(["drill", "--model=m", "--policies=others"])
    assert caught.value.code == 2
    assert runner.asked == []


def test_nothing_is_the_control_alone(runner: Runner) -> None:
    """No drill of the catalogue is made."""
    main(["drill", "--model=m", "--drill=nothing", "--repeats=100"])
    ((ask, _),) = runner.asked
    assert (ask.drills, ask.control, ask.repeats, ask.whole) == ((), True, 100, False)


def test_nothing_goes_with_other_drills(runner: Runner) -> None:
    """In any place."""
    main(["drill", "--model=m", "--drill=nothing,black"])
    ((ask, _),) = runner.asked
    assert ([one.id for one in ask.drills], ask.control) == (["black"], True)


def test_a_share_is_asked_as_it_was_typed(runner: Runner) -> None:
    """And all of the runs without one."""
    main(["drill", "--model=m", "--shard=2/4"])
    main(["drill", "--model=m"])
    assert [ask.share for ask, _ in runner.asked] == [(2, 4), (1, 1)]

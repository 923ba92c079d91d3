"""The command line: plain values, and contradictions said before anything happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from swapgate.pytest_plugin.options import NULL_PROCESSES, is_strict, options_of

NOTHING: dict[str, Any] = {
    "swapgate_model": "",
    "swapgate_task": "",
    "swapgate_against": "",
    "swapgate_run_dir": "",
    "swapgate_resume": "",
    "swapgate_replay": "",
    "swapgate_false_alarms": "",
    "swapgate_null": "0",
    "swapgate_gpus": "",
    "swapgate_plan": False,
    "swapgate_budget": "",
    "swapgate_wordings": "",
    "swapgate_update": False,
    "swapgate_reason": "",
    "swapgate_allow_ci": False,
    "swapgate_dry": False,
    "swapgate_pickle": False,
    "swapgate_hash_models": False,
    "override_ini": None,
    "maxfail": 0,
}

PYTESTS_OWN = ("override_ini", "maxfail")


class Config:
    """What of pytest's configuration is read."""

    rootpath = Path("/project")

    class invocation_params:  # noqa: N801 - pytest's name
        args = ("--model=a", "tests/gates")

    def __init__(self, **given: Any) -> None:
        unknown = {f"swapgate_{name}" for name in given} - set(NOTHING) - {f"swapgate_{name}" for name in PYTESTS_OWN}
        assert not unknown
        self._values = NOTHING | {(name if name in PYTESTS_OWN else f"swapgate_{name}"): value for name, value in given.items()}

    def getoption(self, name: str) -> Any:
        return self._values[name]


def options(**given: Any) -> Any:
    return options_of(Config(**given))  # type: ignore[arg-type]


def test_without_options_everything_is_at_its_default() -> None:
    """A plain `pytest`."""
    found = options()
    assert (found.models, found.tasks, found.against, found.run_dir, found.resume, found.replay) == ((), (), None, None, None, None)
    assert (found.update_baselines, found.strict, found.null, found.root) == (False, False, 0, Path("/project"))


@pytest.mark.parametrize(("given", "ends"), [(0, False), (1, True), (2, False)])
def test_only_pytest_x_ends_a_run_at_its_first_red_look(given: int, ends: bool) -> None:
    """-x is --maxfail=1; --maxfail=2 counts cells, and is pytest's alone."""
    assert options(maxfail=given).first_red is ends


@pytest.mark.parametrize(("text", "names"), [("a", ("a",)), ("a,b", ("a", "b")), (" a , b,", ("a", "b")), (",", ())])
def test_names_are_separated_by_commas(text: str, names: tuple[str, ...]) -> None:
    """Blanks and empty names do not count."""
    assert options(model=text).models == names
    assert options(task=text).tasks == names


@pytest.mark.parametrize("name", ["run_dir", "resume", "replay"])
def test_paths_are_relative_to_where_pytest_was_called(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And absolute from then on."""
    monkeypatch.chdir(tmp_path)
    assert getattr(options(**{name: "runs/../one"}), name) == Path(os.getcwd()) / "one"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"resume": "a", "replay": "b"}, "exclude each other"),
        ({"resume": "a", "run_dir": "b"}, "--run-dir names a new run"),
        ({"replay": "a", "run_dir": "b"}, "--run-dir names a new run"),
        ({"replay": "a", "update": True}, "baselines accept --run=RUN"),
        ({"replay": "a", "wordings": "4"}, "the rewordings of the recorded one"),
        ({"resume": "a", "wordings": "4"}, "the rewordings of the recorded one"),
        ({"null": "-1"}, "0 or more"),
        ({"null": "many"}, "0 or more"),
        ({"null": "²"}, "0 or more"),
        ({"budget": "most"}, "one of smoke, gate, full"),
        ({"replay": "a", "null": "2"}, "--replay starts none"),
        ({"against": "a", "update": True}, "judges it against another model"),
    ],
)
def test_contradictions_are_usage_errors_that_say_what_to_do(given: dict[str, Any], message: str) -> None:
    """Before anything is read."""
    with pytest.raises(pytest.UsageError, match=message):
        options(**given)


@pytest.mark.parametrize(
    ("given", "processes"), [({}, 0), ({"null": "3"}, 3), ({"update": True}, NULL_PROCESSES), ({"update": True, "null": "5"}, 5)]
)
def test_the_null_is_measured_when_asked_for_and_with_every_update(given: dict[str, Any], processes: int) -> None:
    """A baseline without a null cannot decide drift."""
    assert options(**given).null == processes


def test_the_update_of_a_resumed_run_is_allowed() -> None:
    """An interrupted update is gone on with."""
    assert options(resume="a", update=True).update_baselines


@pytest.mark.parametrize(("override", "strict"), [(None, False), ([], False), (["strict=true"], True), (["xfail_strict=true"], False)])
def test_strict_is_pytests_own_option(override: list[str] | None, strict: bool) -> None:
    """pytest 9 turns it into an override of its ini option."""
    assert is_strict(Config(override_ini=override)) is strict  # type: ignore[arg-type]


def test_the_command_is_kept_as_typed() -> None:
    """The report shows how the run was started."""
    assert options().command == "pytest --model=a tests/gates"


def test_every_option_is_in_the_help(pytester: pytest.Pytester) -> None:
    """With what it takes."""
    result = pytester.runpytest_inprocess("--help", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines_random(
        [
            f"*{one}*"
            for one in (
                "--model=A,B",
                "--task=X,Y",
                "--against=A",
                "--run-dir=PATH",
                "--resume=RUN",
                "--replay=RUN",
                "--null=N",
                "--wordings=K",
                "--plan",
                "--update-baselines",
                "--baseline-reason=TEXT",
                "--allow-ci-update",
            )
        ]
    )


@pytest.mark.parametrize(("text", "share"), [("", None), ("1%", 0.01), ("0.01", 0.01), ("25%", 0.25), ("0.05%", 0.0005)])
def test_the_budget_is_a_share_in_either_way_of_writing(text: str, share: float | None) -> None:
    """Percent or a fraction; nothing leaves it to the policy."""
    assert options(false_alarms=text).false_alarms == (pytest.approx(share) if share else None)


@pytest.mark.parametrize("text", ["0", "-1%", "26%", "1", "nan", "often", "%"])
def test_a_budget_that_is_none_is_refused(text: str) -> None:
    """Nought, more than a quarter, and what is no number."""
    with pytest.raises(pytest.UsageError, match="at most 25%"):
        options(false_alarms=text)


@pytest.mark.parametrize(("text", "k"), [("", None), ("0", 0), ("8", 8), ("64", 64)])
def test_wordings_are_as_many_as_asked_for(text: str, k: int | None) -> None:
    """Nothing leaves it to the tasks."""
    assert options(wordings=text).wordings == k


@pytest.mark.parametrize("text", ["-1", "65", "many", "1.5", "²"])
def test_wordings_that_are_no_number_are_refused(text: str) -> None:
    """In words, before anything is read."""
    with pytest.raises(pytest.UsageError, match=r"(?s)--wordings = .*from 0 to 64"):
        options(wordings=text)


@pytest.mark.parametrize(
    ("given", "budget"),
    [
        ({}, "gate"),
        ({"budget": "smoke"}, "smoke"),
        ({"budget": "full"}, "full"),
        ({"resume": "r"}, None),
        ({"replay": "r"}, None),
        ({"resume": "r", "budget": "full"}, "full"),
        ({"null": "4"}, None),
        ({"update": True}, None),
    ],
)
def test_how_far_a_run_may_go(given: dict[str, Any], budget: str | None) -> None:
    """As far as is open, unless another budget is named; a recorded run and one that becomes a baseline know their own."""
    assert options(**given).budget == budget


@pytest.mark.parametrize("budget", ["smoke", "gate"])
def test_less_than_the_whole_plan_makes_no_baseline(budget: str) -> None:
    """Nor a null."""
    with pytest.raises(pytest.UsageError, match="need the whole plan"):
        options(budget=budget, null="4")


def test_gpus_are_where_models_run_and_a_replay_runs_none() -> None:
    """The value is checked where the devices are looked for."""
    assert options().gpus == ""
    assert options(gpus=" 0,2 ").gpus == "0,2"
    with pytest.raises(pytest.UsageError, match="--gpus"):
        options(gpus="all", replay="run")

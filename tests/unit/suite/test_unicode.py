"""Prompts of any content: a run is made and every output shows them escaped, or the task is refused in words."""

from __future__ import annotations

import json
import re
import shutil
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from swapgate.characters import escaped
from swapgate.cli.label_server import LabelServer
from swapgate.cli.main import main
from swapgate.errors import UserError
from swapgate.pytest_plugin.cells import WIRED, Mistake, explain
from swapgate.pytest_plugin.finish import pytest_unconfigure
from swapgate.report import html as page
from swapgate.report import junit, markdown, model, phrases, terminal

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0001-\U000e007f]"
)
FAMILY = "a family \U0001f468\u200d\U0001f469\u200d\U0001f467 and a flag \U0001f3f4\U000e0067\U000e0062\U000e007f"
RIGHT_TO_LEFT = "קטה כתום על אדן החלון, \u202eevil.exe\u202c \u2067מים\u2069"
MARKUP = '<script>alert(1)</script> & | `tick` [x](javascript:0) "q"'
TASK = """
width = 32
height = 32
seeds = [1, 2]
reworded_seeds = [1]
rewordings = 1
[[task]]
id = "cup"
title = {{ en = {prompt} }}
prompts = {{ en = {prompt} }}
[[task]]
id = "cat"
prompts = {{ en = "an orange cat by a sunlit window" }}
"""


def toml(text: str) -> str:
    """A basic string of TOML: as JSON's, but for DEL and for halves of characters, which it does not have."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


OWN_SCRIPTS = 2  # the page's: one before it is shown, one after


class Page(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def outputs(bench: Any, prompt: str) -> dict[str, str]:
    """A whole run of that prompt, by output: terminal, Markdown, HTML, JUnit, and the run's JSON files as text."""
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(TASK.format(prompt=toml(prompt)), encoding="utf-8")
    shutil.rmtree(bench.root / "here", ignore_errors=True)
    suite, data = bench.whole()
    report = model.load(suite.run.path)
    path = page.build(suite.run.path, suite.image_path)
    suite.run.close()
    pairs = [pair for verdict in report.verdicts for pair in junit.properties(verdict)]
    return {
        "terminal": "\n".join(terminal.summary_lines(data, path)),
        "markdown": markdown.summary(data),
        "html": path.read_text(encoding="utf-8"),
        "junit": "\n".join(f"{name}={value}" for name, value in pairs),
        **{name: (suite.run.path / name).read_text(encoding="utf-8") for name in ("verdicts.json", "manifest.json", "journal.jsonl")},
    }


def check(made: dict[str, str], prompt: str) -> None:
    """Nothing that steers in any output; the prompt whole and escaped where it is shown, and itself again in JSON."""
    for name, text in made.items():
        assert not STEERING.search(text), (name, STEERING.search(text))
        text.encode("utf-8")
    seen = Page(made["html"])
    assert seen.tags.count("script") == OWN_SCRIPTS
    assert phrases.shown(prompt) in seen.said
    assert "<script>" not in made["markdown"]
    tasks = {task["id"]: task for task in json.loads(made["verdicts.json"])["tasks"]}
    assert tasks["cup"]["prompts"]["en"] == prompt
    assert prompt in {request["prompt"] for request in json.loads(made["manifest.json"])["plan"]}


@pytest.mark.parametrize(
    "prompt",
    [FAMILY, RIGHT_TO_LEFT, MARKUP, "a\u200bcup\ufeff on\u00a0a\u2028table", "cafe\u0301 " + "Z" + "\u0335" * 60, "two\nlines\tof text", "猫，" * 2000, "\U0001f4af"],
    ids=["emoji", "right to left", "markup", "zero width", "piled marks", "lines", "4000 characters", "one emoji"],
)  # fmt: skip
def test_a_prompt_of_any_script_runs_and_is_shown_escaped(bench: Any, prompt: str) -> None:
    """Tasks, plan, scripted run, and every output."""
    check(outputs(bench, prompt), prompt)


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\ufffe"])
def test_a_control_character_is_refused_in_words(bench: Any, char: str) -> None:
    """File, key, value, rule and remedy, and no run is begun."""
    with pytest.raises(UserError) as caught:
        outputs(bench, f"a cup{char}")
    error = caught.value
    assert (error.where, error.key) == (str(bench.root / "fixtures" / "tasks" / "toys.toml"), "task[0].title.en") or error.key == "task[0].prompts.en"
    assert f"U+{ord(char):04X}" in error.rule
    assert error.remedy
    assert not STEERING.search(str(error))
    assert not (bench.root / "here").exists()


PIECES = st.sampled_from(
    ["a red cup", "猫", FAMILY, RIGHT_TO_LEFT, MARKUP, "\u200b", "\u0301", "\x00", "\x1b[31m", "\U000e0041", "\n", "'", "‘", "\ufffe", "٣"]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), min_size=1, max_size=5).map("".join)


@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
@given(prompt=TEXTS)
@example(prompt="'")
def test_any_prompt_runs_or_is_refused(bench: Any, prompt: str) -> None:
    """Never anything between: no traceback, no output that steers."""
    refusal, made = None, {}
    try:
        made = outputs(bench, prompt)
    except UserError as error:
        refusal = error
    if refusal is None:
        check(made, prompt)
        return
    assert refusal.where
    assert refusal.rule
    assert refusal.remedy
    assert not STEERING.search(str(refusal))


@given(st.text())
@example("a\x1b[31mred\x07\nb\u202egnp.exe\ud800")
@example("\u0301x" + "\u0301" * 9)
def test_what_is_shown_holds_every_character_and_none_that_steers(text: str) -> None:
    """One line; what was escaped can be read back; ordinary text is as it was."""
    line = phrases.shown(text)
    assert not STEERING.search(line)
    assert "\n" not in line
    assert not line or unicodedata.category(line[0]) not in ("Mn", "Me")
    for char in set(text):
        escapes = (char, f"\\u{ord(char):04x}", f"\\U{ord(char):08x}", {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, char))
        assert any(escape in line for escape in escapes)
    if text.isascii() and text.isprintable():
        assert line == text


NAME = "to\u202ey\x1b[2J\u2066"  # of a run, of a person, of what is not there: anybody's text. A model of that name is refused


@pytest.fixture
def steered(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A judged run of that name, asked a prompt that is written from the right; nothing was accepted yet."""
    monkeypatch.chdir(bench.root)
    (bench.root / "fixtures" / "tasks" / "toys.toml").write_text(TASK.format(prompt=toml(RIGHT_TO_LEFT)), encoding="utf-8")
    suite, _ = bench.whole(run_dir=bench.root / ".swapgate" / "runs" / NAME)
    suite.run.close()
    return suite


@pytest.mark.parametrize(
    "command",
    [
        ("plan",), ("plan", "--json"), ("check",), ("doctor",), ("report",), ("label", "--no-browser", "--person=ann"), ("label", "--merge", NAME),
        ("judge", "fit"), ("baselines", "diff"), ("baselines", "list"), ("baselines", "review"), ("baselines", "accept", "--by", NAME, "--allow-ci"),
        ("baselines", "reject", "--reason", NAME), ("plan", "--model", f"{NAME}2"), ("plan", "--gate", NAME), ("report", f"{NAME}2"), ("compare", NAME, NAME),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_command_says_a_name_or_a_prompt_raw(
    steered: Any, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is done, what is refused, and the commands that are offered."""
    monkeypatch.setattr(LabelServer, "serve_forever", ended)
    shutil.copytree(steered.run.path, Path(NAME), dirs_exist_ok=True)
    main(list(command))
    out, err = capsys.readouterr()
    assert out + err
    assert not STEERING.search(out + err)


def ended(_server: LabelServer) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("command", [(NAME,), ("plan", "--no-such", NAME), ("baselines", NAME)], ids=["command", "option", "verb"])
def test_what_the_command_line_cannot_read_is_said_escaped(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """By the parser and by those of the commands."""
    with pytest.raises(SystemExit):
        main(list(command))
    said = capsys.readouterr().err
    assert escaped(NAME) in said.replace("\\\\", "\\")
    assert not STEERING.search(said)


def test_pytest_says_no_name_raw(steered: Any) -> None:
    """Verdicts of failed and undecided tests, mistakes, and the last lines."""
    said = [explain(verdict) for verdict in steered.verdicts.values()]
    assert said
    said += [Mistake.of(error).text for error in (UserError(where=NAME, rule=NAME, remedy=NAME), pytest.UsageError(f"--budget={NAME}"))]
    reporter = SimpleNamespace(write_line=said.append)
    plugins = SimpleNamespace(getplugin=lambda _name: reporter)
    pytest_unconfigure(
        SimpleNamespace(stash={WIRED: SimpleNamespace(lines=[f"interrupted; go on with: pytest --resume={NAME}"])}, pluginmanager=plugins)
    )  # type: ignore[arg-type]
    assert escaped(NAME) in said[-1]
    assert not [text for text in said if STEERING.search(text)]


def test_a_model_of_such_a_name_is_refused_in_words(bench: Any) -> None:
    """Before anything is made."""
    bench.card(NAME)
    with pytest.raises(UserError) as caught:
        bench.whole(models=(NAME,))
    assert escaped(NAME) in str(caught.value).replace("\\\\", "\\")
    assert not STEERING.search(str(caught.value))
    assert not bench.hosts.started

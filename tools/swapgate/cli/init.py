"""`swapgate init`: a card, tasks, the five gate tests and a CI job in a user's own repository. Without a model named it is the stand-in's, and `pytest` runs at once."""

from __future__ import annotations

import argparse
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate import bundled
from swapgate.canonical import write_atomic
from swapgate.cli.common import OK, add_json, show
from swapgate.config import FILE, Config, find_config
from swapgate.errors import UserError

if TYPE_CHECKING:
    from swapgate.cli.common import Groups

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TEMPLATES = Path(__file__).parent / "templates"
STANDIN = "standin-qwen"
CI = {"github": (".github/workflows/swapgate.yml", "github.yml"), "gitlab": (".gitlab-ci.yml", "gitlab.yml")}
IGNORED = (".swapgate/", "swapgate-run/")
QUESTIONS = {
    "latency": "Is it slower? Seconds per image and time to the first step, against ceilings and the baseline of the cohort.",
    "memory": "Is it larger? Peak memory against ceiling and baseline, and growth per image.",
    "usability": "Is it less usable? The share of first images that need no second try, against the floor and the baseline.",
    "drift": "Is it different? The same request drawn again, against the baseline's pictures and the measured null.",
    "stability": "Does the wording matter? Approved rewordings, judged against the prompt as written.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What `init` did to each file: written, added to, or kept as it was. hints: what to do by hand."""

    written: list[str]
    added: list[str]
    kept: list[str]
    hints: list[str]


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("init", help="begin a card, tasks, gate tests and a CI job in your own repository; overwrites nothing")
    made.add_argument("--name", default="", help=f"name of the first card (default: my-model; {STANDIN} without --source)")
    made.add_argument("--source", default="", help="Hub id or folder of the model (default: the bundled stand-in, which needs no download)")
    made.add_argument("--pipeline", default="QwenImagePipeline", help="class of its diffusers pipeline, with --source")
    made.add_argument("--ci", default="github", choices=(*CI, "none"), help="which CI to write a job for (default: github)")
    add_json(made)
    made.set_defaults(handler=_init)


def gate_test(gate: str) -> str:
    """The text of tests/gates/test_<gate>.py; the latency gate also plays its times back to pytest-benchmark."""
    plays = gate == "latency"
    extra = "from pytest_benchmark.fixture import BenchmarkFixture\n\n" if plays else ""
    arguments = "cell: CellUnderTest, benchmark: BenchmarkFixture" if plays else "cell: CellUnderTest"
    body = "    cell.play_back(benchmark)\n    cell.check()\n" if plays else "    cell.check()\n"
    return (
        f'"""{QUESTIONS[gate]}"""\n\nfrom __future__ import annotations\n\n{extra}'
        "from swapgate.pytest_plugin.cells import CellUnderTest\n\n\n"
        f"def test_{gate}({arguments}) -> None:\n{body}"
    )


def _init(given: argparse.Namespace) -> int:
    name = given.name or ("my-model" if given.source else STANDIN)
    if not _NAME.fullmatch(name):
        raise UserError(where="--name", value=name, rule="a file name of letters, digits and . _ -", remedy="choose another name")
    for option in ("source", "pipeline"):
        value = getattr(given, option)
        if '"' in value or "\\" in value:
            raise UserError(where=f"--{option}", value=value, rule="no quotation marks or backslashes", remedy="correct it")
    config = find_config(given.project)
    done = Done(written=[], added=[], kept=[], hints=[])
    for relative, text in _files(config, given, name).items():
        _write(config.root, relative, text, done)
    _add_table(config.root, name, done)
    _add_ignored(config.root, done)
    show(
        given,
        {"root": str(config.root), "written": done.written, "added": done.added, "kept": done.kept},
        [
            f"in {config.root}:",
            *(f"wrote {path}" for path in done.written),
            *(f"added to {path}" for path in done.added),
            *(f"kept {path} as it is" for path in done.kept),
            *done.hints,
            "next: swapgate check",
            f"then: pytest tests/gates --model={name}",
            *([] if given.source else ["your own model: swapgate init --name=my-model --source=<Hub id or folder> --pipeline=<class of diffusers>"]),
        ],
    )
    return OK


def _files(config: Config, given: argparse.Namespace, name: str) -> dict[Path, str]:
    """Every file that is written whole, by its place in the project."""
    files = {
        **(_own_model(config, given, name) if given.source else _standin(config, name)),
        **{Path("tests/gates") / f"test_{gate}.py": gate_test(gate) for gate in QUESTIONS},
    }
    if given.ci != "none":
        place, template = CI[given.ci]
        files[Path(place)] = _template(template)
    return files


def _own_model(config: Config, given: argparse.Namespace, name: str) -> dict[Path, str]:
    card = _template("card.toml").replace("@NAME@", name).replace("@SOURCE@", given.source).replace("@PIPELINE@", given.pipeline)
    return {config.models / f"{name}.toml": card, config.tasks / "first.toml": _template("first.toml")}


def _standin(config: Config, name: str) -> dict[Path, str]:
    """The stand-in's card and tasks as this project itself uses them, its weights where the package has them."""
    card = (bundled.FOLDER / "models" / f"{STANDIN}.toml").read_text(encoding="utf-8").replace("fixtures/weights/", bundled.PREFIX)
    tasks = (bundled.FOLDER / "tasks" / "standin.toml").read_text(encoding="utf-8")
    return {config.models / f"{name}.toml": card, config.tasks / "standin.toml": tasks}


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _write(root: Path, relative: Path, text: str, done: Done) -> None:
    if (root / relative).exists():
        done.kept.append(relative.as_posix())
    else:
        write_atomic(root / relative, text)
        done.written.append(relative.as_posix())


def _add_table(root: Path, name: str, done: Done) -> None:
    """[tool.swapgate] at the end of pyproject.toml, every byte before it as it was; shown instead where it cannot just be added."""
    path, table = root / FILE, f'[tool.swapgate]\ndefault_models = ["{name}"]\n'
    if not path.exists():
        _write(root, Path(FILE), table, done)
        return
    before = path.read_bytes().decode()
    known = tomllib.loads(before)  # `find_config` has read it
    end = "\r\n" if "\r\n" in before else "\n"
    gap = "" if not before else end if before.endswith("\n") else 2 * end
    after = before + gap + table.replace("\n", end)
    if "swapgate" not in known.get("tool", {}) and _holds(after, known, name):
        write_atomic(path, after)
        done.added.append(FILE)
        return
    done.kept.append(FILE)
    if known.get("tool", {}).get("swapgate", {}).get("default_models") != [name]:
        done.hints.extend([f"add to {FILE}, if you like:", *(f"    {line}" for line in table.splitlines())])


def _holds(text: str, known: dict[str, object], name: str) -> bool:
    """Whether `text` says all that was known, and the table."""
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # `tool` is an inline table, to which nothing can be added
        return False
    tool = dict(read.get("tool", {}))
    own = tool.pop("swapgate", None)
    return own == {"default_models": [name]} and {**read, "tool": tool} == {"tool": {}, **known}


def _add_ignored(root: Path, done: Done) -> None:
    """Run folders are large and not for version control."""
    path = root / ".gitignore"
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    missing = [line for line in IGNORED if line not in before.splitlines()]
    if not missing:
        done.kept.append(path.name)
        return
    (done.added if before else done.written).append(path.name)
    write_atomic(path, "\n".join([*([before.rstrip("\n")] if before else []), *missing, ""]))

"""What the commands share: where the project is, which run is meant, how results are printed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from swapgate.canonical import dumps, rounded
from swapgate.characters import escaped
from swapgate.config import Config, find_config
from swapgate.errors import UserError
from swapgate.exits import Exit

if TYPE_CHECKING:
    from swapgate.baselines.store import Store
    from swapgate.suite.progress import LineProgress

    Groups = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  argparse has no public name for it

OK, FOUND, MISTAKE, UNDECIDED, FAILED = Exit.PASS, Exit.REGRESSION, Exit.USAGE, Exit.UNDECIDED, Exit.ERROR
BY = "who says so (default: GIT_AUTHOR_NAME, git's user.name, or the system's name)"
PATTERNS = "model/task, gate/model/task or model/cohort/task; * stands for anything; all where none is given"


def config_of(given: argparse.Namespace) -> Config:
    """The configuration of the project that the command was called in (or --project)."""
    return find_config(given.project)


def store_of(given: argparse.Namespace) -> Store:
    """The project's store of baselines."""
    from swapgate.baselines.store import Store

    return Store.of(config_of(given))


def run_of(given: argparse.Namespace) -> Path:
    """The run folder that is meant: a path, the name of a folder among the runs, or the newest where none is given."""
    config = config_of(given)
    runs = config.root / config.runs
    if given.run is None:
        return _newest(runs)
    return find_run(given, given.run)


def find_run(given: argparse.Namespace, name: str) -> Path:
    """The run folder of that path, or of that name among the project's runs. UserError with the names that there are."""
    config = config_of(given)
    runs = config.root / config.runs
    for path in (Path(name), config.root / name, runs / name):
        if (path / "manifest.json").is_file():
            return path
    raise UserError(
        where="RUN",
        value=name,
        rule="a folder with manifest.json, or the name of one among the runs",
        remedy=f"there are: {', '.join(_names(runs)) or 'none yet; make one with pytest tests/gates'}",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", metavar="RUN", help="the run folder or its name (default: the newest)")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def say(text: str, *, to: TextIO | None = None) -> None:
    """Print lines at once (on stdout, or `to`), with what steers a terminal written out."""
    print(escaped(text, keep="\n"), file=to or sys.stdout, flush=True)


def show(given: argparse.Namespace, data: Any, lines: Iterable[str]) -> None:
    """Print `data` as JSON with --json, else the lines."""
    text = dumps(rounded(data), indent=1) if given.json else escaped("\n".join(lines), keep="\n")
    sys.stdout.write(f"{text}\n" if text else "")


def _newest(runs: Path) -> Path:
    names = _names(runs)
    if not names:
        raise UserError(where=str(runs), rule="there must be a run", remedy="make one with pytest tests/gates, or name a folder with --run")
    return runs / names[-1]


def _names(runs: Path) -> list[str]:
    """Run folders, oldest first: by the time of their manifest, which is written once."""
    found = sorted(runs.glob("*/manifest.json"), key=lambda path: (path.stat().st_mtime_ns, path.parent.name))
    return [path.parent.name for path in found]


def progress_on_stderr() -> LineProgress:
    """Lines on stderr, so that what stands on stdout is the result alone."""
    from swapgate.suite.progress import LineProgress

    def write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    return LineProgress(write=write, live=sys.stderr.isatty())

"""`swapgate baselines review` and `picture`.

Every step of a review has a twin without a prompt: a is `baselines accept MODEL/TASK`, r is `baselines reject MODEL/TASK`, o is
`baselines picture MODEL/TASK`, and what is left is said by `baselines diff`. Where standard input is no terminal, keys are read from it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import BY, FOUND, OK, PATTERNS, add_json, add_run, config_of, run_of, show, store_of

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.cli.walk import Keys

SHEETS = Path(".swapgate") / "review"  # of a project: the pictures that `o` and `picture` write


def add(verbs: Groups) -> None:
    """Add both verbs to `swapgate baselines`."""
    from swapgate.cli.walk import HELP

    summary = "walk through the changes of a run in the terminal, one key a decision; exit status 1 when something is left"
    text = f"{summary}\n\n{HELP}\n\n{(__doc__ or '').partition(chr(10) * 2)[2]}"
    review = verbs.add_parser("review", help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    review.add_argument("run", nargs="?", metavar="RUN", help="the run folder or its name (default: the newest)")
    review.add_argument("patterns", nargs="*", metavar="PATTERN", help=PATTERNS)
    review.add_argument("--reason", default="", metavar="TEXT", help="why, for every decision; else it is asked for where it is needed")
    review.add_argument("--by", default="", metavar="NAME", help=BY)
    review.add_argument("--allow-ci", action="store_true", help="accept although CI is set")
    picture = verbs.add_parser("picture", help="write baseline, candidate and difference of drafts side by side, and print where")
    picture.add_argument("patterns", nargs="*", metavar="PATTERN", help=PATTERNS)
    add_run(picture)
    picture.add_argument("--out", type=Path, metavar="DIR", help=f"the folder (default: {SHEETS}/<run>)")
    add_json(picture)
    for verb, handler in ((review, _review), (picture, _picture)):
        verb.add_argument("--cohort", metavar="NAME", help="as in accept")
        verb.add_argument("--with-cost", action="store_true", help="as in accept")
        verb.set_defaults(handler=handler)


def _review(given: argparse.Namespace) -> int:
    from swapgate.baselines.compare import diff
    from swapgate.baselines.draft import choose
    from swapgate.baselines.guards import check_session
    from swapgate.baselines.review import unmatched_lines
    from swapgate.baselines.signing import check
    from swapgate.cli.walk import How, Walk

    check_session(os.environ, allow_ci=given.allow_ci)
    check(given.reason, given.by)
    run, store = run_of(given), store_of(given)
    chosen = choose(run, given.patterns)
    changes = diff(run, store, patterns=given.patterns, cohort=given.cohort, with_cost=given.with_cost)
    todo = [(change, draft) for change, draft in zip(changes, chosen.chosen, strict=True) if change.state == "open" and change.kind != "unchanged"]
    how = How(cohort=given.cohort, with_cost=given.with_cost, reason=given.reason, by=given.by, allow_ci=given.allow_ci)
    walk = Walk(run=run, store=store, sheets=_sheets(given, run), keys=keys(), how=how, show=open_file)
    amiss = [*(f"damaged {name}: {said}" for name, said in chosen.damaged), *unmatched_lines(chosen)]
    walk.say(f"run: {run}", f"{len(todo)} changes to review, {len(changes) - len(todo)} decided or unchanged", *amiss)
    left = walk.through(todo)
    again = f", go on with: swapgate baselines review {run}" if left else ""
    walk.say(f"{walk.counts['accepted']} accepted, {walk.counts['rejected']} rejected, {left} left{again}")
    return FOUND if left or amiss else OK


def _picture(given: argparse.Namespace) -> int:
    from swapgate.baselines.draft import choose
    from swapgate.baselines.review import target, unmatched_lines
    from swapgate.baselines.sheet import of_draft

    run, store = run_of(given), store_of(given)
    chosen = choose(run, given.patterns)
    paths, lines = [], []
    lost = [f"damaged {name}: {said}" for name, said in chosen.damaged] + unmatched_lines(chosen)
    for draft in chosen.chosen:
        wanted = target(draft, cohort=given.cohort, with_cost=given.with_cost)
        path, missing = of_draft(run, store, given.out or _sheets(given, run), draft, store.held(wanted.model, wanted.cohort, wanted.task))
        paths.append({"draft": draft.id, "picture": str(path)})
        lines.append(str(path))
        lost += missing
    show(given, {"run": str(run), "pictures": paths, "amiss": lost}, [*lines, *lost])
    return FOUND if lost else OK


def _sheets(given: argparse.Namespace, run: Path) -> Path:
    return config_of(given).root / SHEETS / run.resolve().name


def open_file(path: Path) -> bool:
    """Open a file with the program that the desktop has for it; False where there is no desktop."""
    if sys.platform == "win32":
        os.startfile(path)  # noqa: S606  it is a picture that was written just now
        return True
    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not screen:
        return False
    try:
        subprocess.Popen(  # not waited for: the viewer stays open while the review goes on
            ["open" if sys.platform == "darwin" else "xdg-open", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    return True


def keys() -> Keys:
    """The keyboard where standard input is a terminal, else the characters of standard input."""
    if not sys.stdin.isatty():
        return _Piped()
    try:
        import termios  # noqa: F401
    except ImportError:
        return _Console()
    return _Terminal()


class _Terminal:
    """A terminal of Unix: a key counts at once, without Enter."""

    def key(self) -> str:
        import termios
        import tty

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        try:
            tty.setcbreak(number, termios.TCSADRAIN)  # what was typed ahead counts
            return os.read(number, 1).decode(errors="replace") or "\x04"
        finally:
            termios.tcsetattr(number, termios.TCSADRAIN, before)

    def line(self, prompt: str) -> str:
        return _line(prompt)


class _Console:
    """The console of Windows."""

    def key(self) -> str:
        import msvcrt

        return str(msvcrt.getwch())  # type: ignore[attr-defined]

    def line(self, prompt: str) -> str:
        return _line(prompt)


class _Piped:
    """Characters of a pipe or file: line ends between keys do not count."""

    def key(self) -> str:
        while (char := sys.stdin.read(1)).isspace():
            pass
        return char or "\x04"

    def line(self, prompt: str) -> str:
        sys.stdout.write(f"{prompt}\n")
        return sys.stdin.readline().rstrip("\n")


def _line(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        return ""

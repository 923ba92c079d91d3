"""`swapgate label`: a local page on which a person says of a run's images whether they are usable, without knowing the model."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from swapgate.cli.common import OK, run_of, say

if TYPE_CHECKING:
    from swapgate.cli.common import Groups
    from swapgate.runs.folder import RunFolder


def add(groups: Groups) -> None:
    """Add the command to the command line."""
    made = groups.add_parser("label", help="mark a run's images as usable or not on a local page, blind to the model")
    made.add_argument("run", nargs="?", metavar="RUN", help="the run folder or its name (default: the newest)")
    made.add_argument("--person", default="", metavar="NAME", help="who labels (default: the user's name)")
    made.add_argument("--no-browser", action="store_true", help="only print the address of the page")
    made.add_argument(
        "--merge", action="append", type=Path, metavar="FILE", help="open no page: add the labels of this file, or of another copy of the run folder"
    )
    made.set_defaults(handler=_label)


def _label(given: argparse.Namespace) -> int:
    from swapgate.runs.folder import RunFolder

    run = RunFolder.open(run_of(given))
    try:
        return _merge(run, given.merge) if given.merge else _sit(run, given)
    finally:
        run.close()


def _merge(run: RunFolder, files: list[Path]) -> int:
    from swapgate.runs.labels import Labels, read_file
    from swapgate.suite.labelling import pictures

    known = {(shown.image, shown.pair) for shown in pictures(run)}
    labels = Labels(run.path)
    for file in files:
        found = read_file(file)
        ours = [label for label in found if (label.image, label.pair) in known]
        added = labels.merge(ours)
        strangers = f", {len(found) - len(ours)} of other images left out" if len(ours) < len(found) else ""
        say(f"{file}: {added} labels added, {len(ours) - added} known already{strangers}")
    return OK


def _sit(run: RunFolder, given: argparse.Namespace) -> int:
    from swapgate.baselines.signing import user
    from swapgate.cli.label_server import LabelServer
    from swapgate.suite.labelling import Sitting

    sitting = Sitting(run, given.person or user())
    if sitting.labels.note:
        say(sitting.labels.note, to=sys.stderr)
    with LabelServer(sitting, run.image_path) as server:
        say(f"{sitting.person}: {sitting.done} of {len(sitting.shown)} answered. The page, for this machine only; Ctrl-C ends:")
        say(server.url)
        if not given.no_browser:
            _open(server.url)
        with contextlib.suppress(KeyboardInterrupt):  # the way to end: every answer is on file
            server.serve_forever()
    say(f"\n{sitting.person}: {sitting.done} of {len(sitting.shown)} answered, in {sitting.labels.path}\nswapgate judge fit {run.path}")
    return OK


def _open(url: str) -> None:
    import webbrowser

    if not webbrowser.open(url):
        say("no browser was found here: open the address in one")

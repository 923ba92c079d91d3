"""report/index.html: a page that opens from a folder, asks nothing of any network and runs no script.

The page carries a content security policy that forbids everything but its own pictures and its own style sheet,
so that a prompt that is markup stays text even if an escape were forgotten somewhere.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from swapgate.canonical import write_atomic
from swapgate.gates.verdict import WORST_FIRST
from swapgate.report import charts, model, phrases, pictures, quick, view

FOLDER, INDEX, DATA = "report", "index.html", "data"
_LOADER = jinja2.PackageLoader("swapgate.report")


def build(run_path: Path, image_source: Callable[[str], Path | None]) -> Path:
    """Write the page of a judged run and return the path of its index.html.

    Args:
        run_path: run folder that holds verdicts.json.
        image_source: the file of a picture by the SHA-256 of its pixels, or None; asked once a picture.

    Raises:
        RunBroken: verdicts.json (or quick-drill.json, where there is one) is absent, of another schema or incomplete. A missing picture is shown as missing.
    """
    report = model.load(run_path)
    drills = quick.read(run_path)
    folder = run_path / FOLDER
    album = pictures.collect(report, image_source, folder / DATA)
    target = folder / INDEX
    write_atomic(target, render(report, album, drills).encode("utf-8", "replace"))  # JSON can escape half a character
    return target


def render(report: model.Report, album: pictures.Album, drills: Sequence[quick.QuickDrill] = ()) -> str:
    """The page as text; pictures are referred to by the `src` that `album` gives them. drills: the run's quick drills, if any."""
    style, style_hash = stylesheet()
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            report=report,
            page=view.page(report, album),
            headline=phrases.headline(report),
            drills=drills,
            drill_said=quick.said,
            style=style,
            style_hash=style_hash,
        )
    )


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of this package, which escape all that they are given, with the words of the report."""
    made = jinja2.Environment(loader=_LOADER, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(_filters())
    made.globals.update(
        statuses=WORST_FIRST, glyphs=phrases.GLYPHS, meanings=phrases.MEANINGS, gain=pictures.GAIN, stages=charts.STAGES, questions=phrases.QUESTIONS
    )
    return made


def _filters() -> dict[str, Callable[..., Any]]:
    return {
        "number": phrases.number,
        "interval": phrases.interval,
        "span": phrases.span,
        "shown": phrases.shown,
        "tidy": phrases.tidy,
        "task_name": phrases.task_name,
        "effect": phrases.effect,
        "fresh": phrases.fresh,
        "side": phrases.side,
        "needs_a_look": phrases.needs_a_look,
        "leaves": view.leaves,
        "measured": phrases.measured_line,
    }


@functools.cache
def stylesheet() -> tuple[Markup, str]:
    """The style sheet exactly as it stands between the tags, and the SHA-256 (base64) by which the page's policy allows it."""
    style = _LOADER.get_source(environment(), "style.css")[0].replace("\r\n", "\n")
    return Markup(style), base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()  # noqa: S704 - our own file

"""report/index.html: a page that opens from a folder, asks nothing of any network, and says the same without its script.

    report/index.html            the page in the language asked for     report/index.<other>.html   in the other one
    report/data/<sha>.webp       pictures, by the hash of their pixels  report/data/page-*.html     pictures of large runs, a model and task each

The page carries a content security policy that forbids everything but its own pictures and, by their hashes, its own style and script, so that
a prompt that is markup stays text even if an escape were forgotten somewhere.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from swapgate.canonical import write_atomic
from swapgate.gates.verdict import WORST_FIRST
from swapgate.report import answer, charts, history, model, phrases, pictures, quick, view
from swapgate.report.gallery import Gallery
from swapgate.report.phrases import EN
from swapgate.report.words import Words, words

FOLDER, INDEX, DATA, SINGLE = "report", "index.html", "data", "report.html"
WARN_BYTES = 50 * 2**20  # of a single file, which mail and code hosts refuse above about this size
STYLES = ("style.css", "page.css", "stage.css")
EARLY = ("early.js",)
SCRIPTS = ("filter.js", "stage.js", "accept.js", "start.js")
_LOADER = jinja2.PackageLoader("swapgate.report")
Source = Callable[[str], Path | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """A page in one file: where it is, its bytes, and a warning where it is too large to be sent around; "" where not."""

    path: Path
    size: int
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a page links to: the first page from where it stands, and itself in the other language; "" for neither."""

    home: str
    other: str


def build(run_path: Path, image_source: Source, *, lang: str = "en", runs: Path | None = None) -> Path:
    """Write the page of a judged run, in both languages, and return the path of its index.html.

    Args:
        run_path: run folder that holds verdicts.json.
        image_source: the file of a picture by the SHA-256 of its pixels, or None; asked once a picture.
        lang: "en" or "zh", the language of index.html; the other one is a link away.
        runs: folder of past runs, whose figures are the history; None for no history.

    Raises:
        RunBroken: verdicts.json (or quick-drill.json, where there is one) is absent, of another schema or incomplete. A missing picture is shown as missing.
    """
    report = model.load(run_path)
    drills = quick.read(run_path)
    folder = run_path / FOLDER
    album = pictures.collect(report, image_source, folder / DATA)
    past = history.read(runs, run_path) if runs else ()
    first = words(lang)
    written: list[Path] = []
    for said in (first.other, first):
        page = view.page(report, album, said, past)
        written += [_write(folder / DATA / f"{one.page}.{said.lang}.html", _gallery(report, album, one, page, said, first)) for one in _apart(page)]
        names = Names(home=index_name(said, first), other=index_name(said.other, first))
        _write(folder / names.home, render(report, album, drills, said, page=page, names=names))
    pictures.prune(folder / DATA, album, written)
    (folder / f"index.{first.lang}.html").unlink(missing_ok=True)  # of an earlier build in the other language
    return folder / INDEX


def build_single(run_path: Path, image_source: Source, *, lang: str = "en", runs: Path | None = None) -> Single:
    """Write RUN/report.html: the page in one language and one file, with thumbnails of at most 512 pixels a side inside it. As `build` otherwise."""
    report = model.load(run_path)
    drills = quick.read(run_path)
    album = pictures.collect(report, image_source, None)
    past = history.read(runs, run_path) if runs else ()
    page = view.page(report, album, words(lang), past, one_page=True)
    path = _write(run_path / SINGLE, render(report, album, drills, words(lang), page=page, names=Names(home="", other="")))
    size = path.stat().st_size
    large = f"{path}: {size / 2**20:.0f} MiB, above {WARN_BYTES / 2**20:.0f} MiB, which mail and code hosts refuse: send the folder {FOLDER}/ instead"
    return Single(path=path, size=size, warning=large if size > WARN_BYTES else "")


def index_name(said: Words, first: Words) -> str:
    """The file of the first page in a language, where `first` is the language of index.html."""
    return INDEX if said.lang == first.lang else f"index.{said.lang}.html"


def render(
    report: model.Report,
    album: pictures.Album,
    drills: Sequence[quick.QuickDrill] = (),
    said: Words = EN,
    *,
    page: view.Page | None = None,
    names: Names | None = None,
) -> str:
    """The first page as text; pictures are referred to by the `src` that `album` gives them. drills: the run's quick drills, if any."""
    page = page or view.page(report, album, said)
    names = names or Names(home=INDEX, other=index_name(said.other, said))
    return _draw("index.html.j2", said, names, report, album, page, lambda picture: picture.src, drills=drills)


def _apart(page: view.Page) -> list[Gallery]:
    """The galleries that have a page of their own."""
    return [one for one in page.galleries if one.page]


def _gallery(report: model.Report, album: pictures.Album, gallery: Gallery, page: view.Page, said: Words, first: Words) -> str:
    """The page of one model's and task's pictures, which lies beside them."""
    own = replace(gallery, seeds=tuple(replace(s, pairs=tuple(replace(p, href=f"#{p.anchor}") for p in s.pairs)) for s in gallery.seeds))
    names = Names(home=f"../{index_name(said, first)}", other=f"{gallery.page}.{said.other.lang}.html")
    return _draw("gallery.html.j2", said, names, report, album, page, lambda picture: Path(picture.src).name, gallery=own)


def _draw(
    template: str,
    said: Words,
    names: Names,
    report: model.Report,
    album: pictures.Album,
    page: view.Page,
    src: Callable[[pictures.Picture], str],
    **more: Any,
) -> str:
    context = {
        "report": report,
        "page": page,
        "titles": page.titles,
        "headline": answer.headline(report, said),
        "side": album.side,
        "home": names.home,
        "other": names.other,
        "src": src,
        "style": stylesheet(*STYLES),
        "early": _own(EARLY),
        "script": _own(SCRIPTS),
        "drill_said": quick.said,
    }
    return environment(said.lang).get_template(template).render(**context, **more)


def _write(path: Path, text: str) -> Path:
    write_atomic(path, text.encode("utf-8", "replace"))  # JSON can escape half a character
    return path


@functools.cache
def environment(lang: str = "en") -> jinja2.Environment:
    """The templates of this package, which escape all that they are given, with the words of the report in one language."""
    made = jinja2.Environment(loader=_LOADER, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters.update(_filters(words(lang)))
    made.globals.update(t=words(lang), statuses=WORST_FIRST, glyphs=phrases.GLYPHS, gain=pictures.GAIN, stages=charts.STAGES)
    return made


def _filters(said: Words) -> dict[str, Callable[..., Any]]:
    spoken = {
        name: functools.partial(getattr(phrases, name), words=said)
        for name in ("number", "interval", "span", "effect", "side", "task_name", "said", "fresh")
    }
    return {
        **spoken,
        "shown": phrases.shown,
        "tidy": phrases.tidy,
        "needs_a_look": phrases.needs_a_look,
        "leaves": view.leaves,
        "measured": functools.partial(answer.measured_line, words=said),
        "cell_anchor": lambda verdict: phrases.anchor("cell", verdict.gate, verdict.model, verdict.task),
    }


def stylesheet(*names: str) -> tuple[Markup, str]:
    """Style sheets (style.css where none is named) exactly as they stand between the tags, and the SHA-256 (base64) by which a page's policy allows them."""
    return _own(names or STYLES[:1])


@functools.cache
def _own(names: tuple[str, ...]) -> tuple[Markup, str]:
    """Files of this package as one text, and its hash."""
    text = "\n".join(_LOADER.get_source(environment(), name)[0].replace("\r\n", "\n") for name in names)
    return Markup(text), base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()  # noqa: S704 - our own files

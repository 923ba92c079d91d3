"""Views of verdicts.json: HTML, terminal, Markdown, JUnit properties. Every view carries the same facts; none of them judges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swapgate.report.html import Single


def build(run_path: Path, image_source: Callable[[str], Path | None], *, lang: str = "en", runs: Path | None = None) -> Path:
    """Write `run_path/report/index.html`, `report/data/` and `report/summary.md` from `run_path/verdicts.json`; gives the page.

    See `swapgate.report.html.build` and `swapgate.report.markdown.summary`.
    """
    from swapgate.report import markdown
    from swapgate.report.html import build as build_page  # jinja2, numpy and PIL are only paid for when a page is made

    page = build_page(run_path, image_source, lang=lang, runs=runs)
    markdown.write(run_path)
    return page


def build_single(run_path: Path, image_source: Callable[[str], Path | None], *, lang: str = "en", runs: Path | None = None) -> Single:
    """Write the page as one file, `run_path/report.html`; see `swapgate.report.html.build_single`."""
    from swapgate.report.html import build_single as build_file

    return build_file(run_path, image_source, lang=lang, runs=runs)

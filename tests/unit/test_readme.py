"""README.md and README.zh-CN.md say the same, and what they say is so.

Both are read block by block (headings, paragraphs, items, tables, code, pictures). Figures, inline code, names in capitals, pictures and links
of a block have to be those of its counterpart, in whatever order its sentences have them. A whole number that English writes as a word ("two
cores", "thirteen") stands in figures in Chinese, 两 beside them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import pytest

from swapgate.cards import read_card
from swapgate.cli.main import parser
from swapgate.engines.registry import ENGINES

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))

WORDS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"]
NUMBERS = {**{word: str(number) for number, word in enumerate(WORDS, 2)}, "twice": "2", "两": "2"}
UNITS = {
    **{unit: unit for unit in ("%", "s", "ms", "MiB", "GiB", "MB", "kB")},
    "seconds": "s",
    "秒": "s",
    "minutes": "min",
    "分钟": "min",
    "points": "points",
    "个百分点": "points",
    "pixels": "px",
    "像素": "px",
    "cores": "cores",
    "个核": "cores",
    "steps": "steps",
    "步": "steps",
    "cells": "cells",
    "个单元": "cells",
}
CODE = re.compile(r"`([^`]+)`")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)]+)\)")
FIGURE = re.compile(
    rf"(?<![A-Za-z])[+−]?(?P<number>\d+(?:[.,-]\d+)*|\b(?i:{'|'.join(WORDS)}|twice)\b|两)(?: ?(?P<unit>{'|'.join(sorted(UNITS, key=len)[::-1])})(?![A-Za-z]))?"
    r"|\d+(?:[.-]\d+)*"
)
CAPITALS = re.compile(r"\b[A-Z][A-Z_]{3,}\b")
HAN = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a page: a kind, the section that it stands in, its lines, and the line that it begins at."""

    kind: str
    section: str
    lines: tuple[str, ...]
    line: int

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def blocks(page: str) -> list[Block]:
    """The blocks of a page in their order."""
    found: list[Block] = []
    section, held, kind, begun = "", list[str](), "", 0

    def end() -> None:
        nonlocal held
        if held:
            found.append(Block(kind, section, tuple(held), begun))
        held = []

    for number, line in enumerate([*page.split("\n"), ""], 1):
        if held and kind == "code":
            held.append(line)
            if line.startswith("```"):
                end()
            continue
        this = kind_of(line)
        if (this != kind or this not in ("paragraph", "table")) and (this != "paragraph" or kind != "item"):
            end()
        if this == "blank":
            kind = this
            continue
        if not held:
            kind, begun = this, number
        held.append(line)
        section = line.strip("# ") if this.startswith("#") else section
    end()
    return found


def kind_of(line: str) -> str:
    """What a line begins, or goes on with."""
    if heading := re.match(r"#+(?= )", line):
        return heading[0]
    for start, kind in (("```", "code"), ("|", "table"), ("- ", "item"), ("![", "picture")):
        if line.startswith(start):
            return kind
    return "paragraph" if line.strip() else "blank"


def figures(text: str) -> Counter[str]:
    """Numbers with their units, as often as they stand there; inline code and addresses of links left out."""
    bare = CODE.sub(" ", PICTURE.sub(r" \1 ", LINK.sub(" ", text)))
    found: Counter[str] = Counter()
    for match in FIGURE.finditer(bare):
        number, unit = match["number"], match["unit"]
        if number is None:
            found[match[0]] += 1
            continue
        sign = match[0][0] if match[0][0] in "+−" else ""
        found[f"{sign}{NUMBERS.get(number.lower(), number)} {UNITS.get(unit, '')}".strip()] += 1
    return found


def facts(text: str) -> dict[str, Counter[str]]:
    """What prose or a cell of a table may not differ in."""
    return {
        "figures": figures(text),
        "inline code": Counter(CODE.findall(text)),
        "names": Counter(dict.fromkeys(CAPITALS.findall(CODE.sub(" ", text)), 1)),
        "bold": Counter({"**": text.count("**")}),
        "pictures": Counter(path.replace(".zh.png", ".png") for _, path in PICTURE.findall(text)),
        "links": Counter("README" if path.startswith("README") else path for path in LINK.findall(text)),
    }


def code_lines(block: Block) -> Iterator[tuple[str, Counter[str] | None]]:
    """Lines of code, without their comments, and the figures of those."""
    for line in block.lines:
        code = re.match(r"""(?:[^#"']|"[^"]*"|'[^']*')*""", line)
        assert code is not None
        comment = line[code.end() :]
        yield code[0].rstrip(), figures(comment) if comment else None


def differences(english: str, chinese: str) -> list[str]:
    """Where two pages do not say the same; empty where they do."""
    ours, theirs = blocks(english), blocks(chinese)
    shape = [(one.kind, other.kind) for one, other in zip(ours, theirs, strict=False)]
    odd = next((index for index, (one, other) in enumerate(shape) if one != other), len(shape))
    if odd < max(len(ours), len(theirs)):
        told = (f"{page[odd].kind} in line {page[odd].line} ({page[odd].section})" if odd < len(page) else "the end" for page in (ours, theirs))
        return [f"one page goes on with {', the other with '.join(told)}"]
    return [said for one, other in zip(ours, theirs, strict=True) for said in _unlike(one, other)]


def _unlike(one: Block, other: Block) -> Iterator[str]:
    where = f"{one.section}, {one.kind} in lines {one.line} and {other.line}"
    if one.kind == "code":
        for mine, its in zip_longest(code_lines(one), code_lines(other)):
            if mine != its:
                yield f"{where}: {mine} and {its}"
    elif one.kind == "table":
        for row, its_row in zip_longest(one.lines, other.lines, fillvalue=""):
            cells, its_cells = row.split("|"), its_row.split("|")
            if len(cells) != len(its_cells):
                yield f"{where}: rows of {len(cells)} and {len(its_cells)} cells"
            for cell, its_cell in zip(cells, its_cells, strict=False):
                yield from _unlike_text(where, cell, its_cell)
    else:
        yield from _unlike_text(where, one.text, other.text)


def _unlike_text(where: str, one: str, other: str) -> Iterator[str]:
    mine, its = facts(one), facts(other)
    for name, found in mine.items():
        if found != its[name]:
            yield f"{where}: {name} {dict(found - its[name])} and {dict(its[name] - found)}"


def test_both_say_the_same() -> None:
    assert differences(ENGLISH, CHINESE) == []


def test_each_begins_with_a_link_to_the_other() -> None:
    assert ENGLISH.split("\n")[2] == "English | [简体中文](README.zh-CN.md)"
    assert CHINESE.split("\n")[2] == "[English](README.md) | 简体中文"


def test_the_chinese_one_is_in_chinese_and_its_sentences_end_as_there() -> None:
    prose = [block for block in blocks(CHINESE) if block.kind not in ("code", "table", "#")]
    assert [block.text for block in prose if not HAN.search(block.text)] == []
    assert [line for block in prose for line in block.lines if HAN.search(line) and re.search(r"[\u4e00-\u9fff][,.;:?!]", line)] == []


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_every_single_figure_is_held(page: str) -> None:
    """Another digit anywhere in one of them alone is found, in code, comments, tables and prose."""
    held, missed = 0, []
    for block in blocks(page):
        for found in re.finditer(r"\d", block.text):
            place, text = found.start(), block.text
            changed = f"{text[:place]}{(int(found[0]) + 1) % 10}{text[place + 1 :]}"
            other = replace(block, lines=tuple(changed.split("\n")))
            held += 1
            if not any(_unlike(block, other)):
                missed.append(text[max(0, place - 30) : place + 10])
    assert missed == []
    assert held == len(re.findall(r"\d", page)) > 500


CHANGES = [
    ("a figure of prose", "98.0 %；96.4 到 99.0", "98.0 %；96.5 到 99.0"),
    ("a unit", "缩略图为 512 像素", "缩略图为 512 MiB"),
    ("a unit of memory", "（53 MiB：", "（53 GiB："),
    ("a unit of time", "24 到 27 分钟", "24 到 27 秒"),
    ("points for percent", "限值为 5 个百分点", "限值为 5 %"),
    ("a sign", "+6.9 % [5.0, 7.8]", "−6.9 % [5.0, 7.8]"),
    ("a number that English writes as a word", "随附 13 张", "随附 12 张"),
    ("两", "小模型生成图像（安装完成后，在两个核上", "小模型生成图像（安装完成后，在 4 个核上"),
    ("a date", "2026-11-22", "2026-11-23"),
    ("a figure that is gone", "约 90 s）", "不久）"),
    ("a figure that is new", "没有重试。", "没有重试，至多 3 次。"),
    ("a figure of a table", "| 60.2 % |", "| 62.0 % |"),
    ("a row of a table", "| 130 | 被中断；`--resume=RUN` 可继续 |\n", ""),
    ("two rows in another order", "| NEW | 还没有接受过任何基线 | 未定 |\n| INCOMPARABLE |", "| INCOMPARABLE | 硬件不同 | 未定 |\n| NEW |"),
    ("a cell too many", "| PASS | ", "| PASS | | "),
    ("a colour", "**红色**", "绿色"),
    ("a verdict", "内存为 NOT_APPLICABLE。", "内存为 INCONCLUSIVE。"),
    ("an option", "`--allow-ci`", "`--allow-ci-update`"),
    ("a path", "`tests/benchmarks/TEXT.md`", "`tests/benchmarks/GPU.md`"),
    ("a command of a block", "swapgate baselines diff  ", "swapgate baselines list  "),
    ("a number of a block", "seconds_per_image = 30.0", "seconds_per_image = 40.0"),
    ("a figure of a comment", "# 50 步", "# 40 步"),
    ("a comment that is gone", "  # 读取所有模型卡和任务；出错时指出文件、键、值、规则和补救办法", ""),
    ("a line of a block", "python3 -m tox run -e selftest\n", ""),
    ("a picture", "report-swap.zh.png", "report-pair.zh.png"),
    ("a picture that is gone", "](.github/report.zh.png)", "]"),
    ("a heading", "## 校准\n", ""),
    ("the level of a heading", "## 局限", "### 局限"),
    ("an item", "- 漂移的判定需要测过的零分布（`--null=4`，是 `--update-baselines` 的一部分）。\n", ""),
    ("a paragraph", "没有重试。\n", "没有重试。\n\n还有一段。\n"),
    ("a link", "[English](README.md)", "English"),
]


@pytest.mark.parametrize(("before", "after"), [change[1:] for change in CHANGES], ids=[change[0] for change in CHANGES])
def test_a_change_of_one_alone_is_told(before: str, after: str) -> None:
    assert before in CHINESE
    assert differences(ENGLISH, CHINESE.replace(before, after, 1)) != []


def test_it_is_told_where() -> None:
    (said,) = differences(ENGLISH.replace("limit 5 points for a model", "limit 6 points for a model"), CHINESE)
    assert re.fullmatch(r"Read a verdict, item in lines \d+ and \d+: figures \{'6 points': 1\} and \{'5 points': 1\}", said)


def test_other_words_are_no_difference() -> None:
    """Only what can be held is held."""
    assert differences(ENGLISH, CHINESE.replace("没有重试。", "从不重试。")) == []


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("in 2 of 6 tasks, at most 5 %", "6 个任务中的 2 个，至多 5 %"),
        ("two cores, thirteen cards, twice", "两个核，13 张卡，两次"),
        ("24 to 27 minutes", "24 到 27 分钟"),
        ("limit 5 points; 512 pixels", "512 像素；限值 5 个百分点"),
        ("H200s and FLUX.1-dev", "FLUX.1-dev 与 H200"),
        ("often one, often another", "时一时二"),
    ],
)
def test_figures_of_two_languages(english: str, chinese: str) -> None:
    assert figures(english) == figures(chinese)


def test_every_picture_is_there_and_says_what_it_shows() -> None:
    for page, language in ((ENGLISH, ""), (CHINESE, ".zh")):
        found = PICTURE.findall(page)
        assert len(found) == 3
        for said, path in found:
            assert (ROOT / path).is_file()
            assert path.endswith(f"{language}.png")
            assert said
            assert bool(HAN.search(said)) == bool(language)


def test_every_option_that_is_named_is_one() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tools" / "swapgate").rglob("*.py")]
    known = {option for source in sources for option in re.findall(r'"(--[a-z][a-z-]*)"', source)} | {"--junitxml", "--benchmark-json"}
    assert sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ENGLISH)) - known) == []


def test_every_command_that_is_named_is_one() -> None:
    help_text = parser().format_help()
    named = set(re.findall(r"(?:`|\n)swapgate ([a-z]+)", ENGLISH))
    assert {"serve", "comfyui", "standins", "baselines"} <= named
    assert sorted(name for name in named if not re.search(rf"^    {name} ", help_text, re.MULTILINE)) == []


def test_every_file_that_is_named_is_there() -> None:
    made = ("RUN/", ".swapgate/", "report/index.html", "runs/", "baselines/<", "images/generations")
    spans = {span for block in blocks(ENGLISH) if block.kind != "code" for span in CODE.findall(block.text)}
    named = {span for span in spans if re.fullmatch(r"[\w.<>*-]+(?:/[\w.<>*-]*)+", span)}
    assert sorted(name for name in named if not name.startswith(made) and not list(ROOT.glob(name))) == []
    assert "fixtures/models/comfyui-*.toml" in named


@pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_cards_that_are_shown_can_be_read(page: str, tmp_path: Path) -> None:
    shown = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 2
    for number, text in enumerate(shown):
        path = tmp_path / f"card-{number}.toml"
        path.write_text(text, encoding="utf-8")
        assert read_card(path, root=ROOT, engines=ENGINES).engine == ("diffusers", "images_api")[number]


def test_cards_that_are_counted_are_there() -> None:
    names = [path.stem for path in (ROOT / "fixtures" / "models").glob("*.toml")]
    served = [name for name in names if name.startswith("comfyui-")]
    assert len(served) == 6
    assert WORDS[len([name for name in names if not name.startswith(("standin-", "comfyui-"))]) - 2] == "thirteen"


def test_how_often_checks_are_right_is_what_was_measured() -> None:
    table = (ROOT / "tools" / "swapgate" / "metrics" / "VALIDATED.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:-1] for row in table.split("\n") if re.match(r"\| [a-z]+(?:_[a-z]+)? \| \d", row)]
    assert len(rows) > 10
    share = re.compile(r"(\d+)/(\d+) = ([\d.]+) % \[([\d.]+), ([\d.]+)\]")
    for column, words in (
        (1, "kept {} of {} healthy pictures (specificity {} %; {} to {})"),
        (5, "found {} of {} with a severe planted fault (sensitivity {} %; {} to {})"),
    ):
        found = [match.groups() for row in rows if (match := share.search(row[column]))]
        worst = min(found, key=lambda one: int(one[0]) / int(one[1]))
        assert words.format(*worst) in ENGLISH
    held = re.findall(r"\| (\w+) \| (\w+) \| \d+/\d+ = ([\d.]+) %", table)
    attribute, language, least = min(held, key=lambda one: float(one[2]))
    assert (attribute, language) == ("position", "zh")
    assert f"({least} % of true claims in Chinese held)" in ENGLISH

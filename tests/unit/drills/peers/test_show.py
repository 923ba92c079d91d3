"""The table for readers: lines, Markdown, and a page on which other people's text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swapgate.drills.peers import show
from swapgate.drills.peers.policies import CostRule, Policy, Rule
from swapgate.drills.peers.table import Count, Table, tabulate

HOSTILE = "<script>alert('&\"x')</script>\x1b[31m\u202eabc|\nline"


def policy(**changes: Any) -> Policy:
    rule = Rule(metric="psnr", op=">=", limit=35.0)
    return Policy(
        **{"id": "psnr", "peer": "Peer", "kind": "drift", "scope": "image", "source": "a/b: c.py", "images": 1, "rules": (rule,), **changes}
    )


@pytest.fixture
def table(trials: Any, a_trial: Any, calls: Any) -> Table:
    """A peer with figures, one in part, one on time, one not run."""
    partly = policy(id="part", peer="Part", rules=(Rule(metric="clip_image_vitl14", op=">=", limit=0.9), Rule(metric="psnr", op=">=", limit=35.0)))
    lpips = policy(id="lpips", peer="Far", rules=(Rule(metric="lpips_alex", op="<", limit=0.05),))
    slow = policy(id="slow", peer="Slow", kind="latency", rules=(), cost=CostRule(stat="single", samples=1, attempts=1, ratio=1.2, pad=0.0))
    made = trials(
        a_trial("h0", "h1", of="nothing", name="nothing/moderate-1", calls=calls(1.0, 1.0)),
        a_trial("h0", name="null process 1", red=None),
        a_trial("near0", name="null process 2 (threads: 1)", variation="threads: 1", red=None),
        a_trial("near0", "far1", of="weight-noise", name="weight-noise/moderate-1", unsure=frozenset({"drift"})),
        a_trial("far0", "far1", of="weight-noise", name="weight-noise/moderate-2", red=frozenset({"drift"})),
        honest_calls=calls(1.0, 1.0),
    )
    facts = {
        "model": "m",
        "tasks": ("cup", "cat"),
        "hardware": "two CPU cores",
        "created": "2026-01-01",
        "false_alarms": 0.01,
        "command": "swapgate drill -x",
    }
    return replace(tabulate([policy(), partly, lpips, slow], made, **facts), left_out=("leak/severe-1: it did not act",))


def hostile(table: Table) -> Table:
    rows = tuple(
        replace(
            row, peer=HOSTILE, text=HOSTILE, source=HOSTILE, reason=HOSTILE if row.reason else "", partly=HOSTILE if row.partly else "",
            cells={where: replace(cell, runs=cell.runs and replace(cell.runs, which=(HOSTILE,))) for where, cell in row.cells.items()},
        )
        for row in table.rows
    )  # fmt: skip
    sets = {kind: dict.fromkeys(found, (HOSTILE,)) for kind, found in table.sets.items()}
    return replace(
        table, rows=rows, sets=sets, model=HOSTILE, tasks=(HOSTILE,), hardware=HOSTILE, created=HOSTILE, command=HOSTILE, left_out=(HOSTILE,)
    )


def printed(table: Table) -> list[str]:
    return show.lines(table, Path("/out/peers.html"))


def test_a_share_has_its_samples_and_interval() -> None:
    """A dash where there is no sample, never 0/0."""
    assert show.share(Count(wrong=3, n=40, low=0.0157, high=0.2039)) == "3/40 (2–20 %)"
    assert show.share(None) == "–"


def test_the_terminal_has_a_table_for_every_kind(table: Table) -> None:
    """Cases as the peer judges them, then whole runs."""
    out = printed(table)
    head = next(line for line in out if line.startswith("Rules that compare"))
    assert re.split(r"\s{2,}", head)[1:] == [
        "A alarms, cases",
        "B alarms, cases",
        "C missed, cases",
        "A alarms, runs",
        "B alarms, runs",
        "C missed, runs",
    ]
    peer = next(line for line in out if line.startswith("Peer"))
    assert re.split(r"\s{2,}", peer) == ["Peer", "0/2 (0–84 %)", "0/1 (0–98 %)", "1/3 (1–91 %)", "0/1 (0–98 %)", "–", "0/2 (0–84 %)"]
    ours = next(line for line in out if line.startswith("Swapgate, drift"))
    assert re.split(r"\s{2,}", ours)[1:4] == ["–", "–", "–"]
    assert re.split(r"\s{2,}", ours)[-1] == "1/2 (1–99 %)"
    assert any(line.startswith("Slow") for line in out)
    assert out[-1] == "side by side: file:///out/peers.html"


def test_what_was_not_run_stands_below_with_its_reason(table: Table) -> None:
    """Also what was left out of a rule, and runs that prove nothing."""
    out = "\n".join(printed(table))
    assert "not run: Far: lpips_alex needs LPIPS with the weights of AlexNet" in out
    assert "* Part: without clip_image_vitl14 (needs the weights of CLIP ViT-L/14), so its alarms are at least" in out
    assert "left out: leak/severe-1: it did not act" in out


def test_what_could_not_have_been_otherwise_is_said(table: Table) -> None:
    """A model that repeats itself to the pixel gives nobody a false alarm; an undecided verdict is a miss all the same."""
    said = show.notes(table)
    assert any("2 of the 2 pairs of pictures in A are equal to the pixel" in line for line in said)
    assert "Swapgate, drift and usability: 1 of 1 misses on C were INCONCLUSIVE for want of samples." in said


def test_the_sets_are_named_once(table: Table) -> None:
    """Repeats and processes are one entry each."""
    assert show.sets(table, "drift") == [
        "A: nothing/moderate, repeats in fresh processes",
        "B: repeats in fresh processes (threads: 1)",
        "C: weight-noise/moderate",
    ]
    assert show.sets(table, "memory")[2] == "C: nothing was made"


def test_mild_doses_have_a_column_where_there_are_any(trials: Any, a_trial: Any) -> None:
    """And none where there are not."""
    facts: dict[str, Any] = {"model": "m", "tasks": (), "hardware": "", "created": "", "false_alarms": 0.01, "command": ""}
    mild = tabulate([policy()], trials(a_trial("near0", of="weight-noise", dose="mild", name="weight-noise/mild-1")), **facts)
    assert show.places(mild, "drift") == ("A", "B", "C", "mild")
    assert show.places(mild, "latency") == ("A", "B", "C")
    assert "mild missed, cases" in "\n".join(printed(mild))


def test_markdown_is_whole_tables(table: Table) -> None:
    """Every row has the columns of its head, and a bar in a text does not make one more."""
    for found, columns in ((table, {5, 8}), (hostile(table), {5, 9})):  # the hostile one has a mild dose as well
        rows = [line for line in show.markdown(found).splitlines() if line.startswith("|")]
        assert len(rows) > 8
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in rows}
        assert widths == columns


def test_markdown_says_what_made_the_figures(table: Table) -> None:
    """Date, hardware, model, tasks and command; this suite's rows stand out."""
    text = show.markdown(table)
    assert text.startswith("Measured 2026-01-01 on two CPU cores: m, tasks cup, cat, by `swapgate drill -x`.")
    assert "| **Swapgate, drift and usability** |" in text
    assert "cases 1/3 (1–91 %); runs 0/2 (0–84 %)" in text
    assert "| Far | lpips_alex < 0.05 | lpips_alex needs LPIPS with the weights of AlexNet |" in text
    assert "| Part (in part) |" in text
    assert "in part: without clip_image_vitl14 (needs the weights of CLIP ViT-L/14), so its alarms are at least and its misses at most" in text
    assert "- left out: leak/severe-1: it did not act" in text
    assert "\n- 2 of the 2 pairs of pictures in A are equal" in text


def test_the_page_is_well_formed_and_holds_the_same_figures(table: Table, reader: Any) -> None:
    """Everything that is opened is closed."""
    page = reader(show.page(table))
    assert page.mistakes == []
    assert page.open == []
    targets = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    links = {str(attrs["href"])[1:] for tag, attrs in page.elements if tag == "a"}
    assert len(links) > 4
    assert links <= targets
    text = re.sub(r"\s+", " ", page.text)
    for said in ("Peer", "1/3 (1–91 %)", "Part (in part)", "AlexNet", "weight-noise/moderate-1", "it did not act", "two CPU cores", "a/b: c.py"):
        assert said in text, said


def test_the_page_asks_nothing_of_any_network(table: Table, reader: Any) -> None:
    """No script, no address, and a policy that allows its own style sheet alone."""
    source = show.page(table)
    page = reader(source)
    assert not {"script", "img", "iframe", "form"} & {tag for tag, _ in page.elements}
    assert not re.search(r"https?://", source)
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy_text = next(attrs["content"] for tag, attrs in page.elements if tag == "meta" and attrs.get("http-equiv"))
    assert f"'sha256-{digest}'" in str(policy_text)
    assert "default-src 'none'" in str(policy_text)


def test_other_peoples_text_stays_text(table: Table, reader: Any) -> None:
    """In the page, in the terminal and in Markdown: no markup, no escape sequences, no turned lines."""
    page = show.page(hostile(table))
    assert "<script" not in page
    assert reader(page).mistakes == []
    for text in (page, "\n".join(printed(hostile(table))), show.markdown(hostile(table))):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_all_files_are_written(tmp_path: Path, table: Table) -> None:
    """The page, its data and the Markdown; half a character does not keep them from being written."""
    odd = replace(table, hardware="half \ud800 a character")
    assert show.write(odd, tmp_path / "out") == tmp_path / "out" / "peers.html"
    data = json.loads((tmp_path / "out" / "peers.json").read_text(encoding="utf-8"))
    assert next(row for row in data["rows"] if row["id"] == "psnr")["cells"]["C"]["cases"]["wrong"] == 1
    assert (tmp_path / "out" / "peers.md").read_text(encoding="utf-8").startswith("Measured")


def test_a_cells_colour_says_how_often_it_was_wrong() -> None:
    """Never, sometimes, always, or no sample."""
    counts = [Count(wrong=wrong, n=2, low=0.0, high=1.0) for wrong in (0, 1, 2)]
    assert [show.tone(count) for count in (*counts, None)] == ["PASS", "INCONCLUSIVE", "REGRESSION", "none"]

"""The matrix for readers: the table, what to look at, and a page on which other people's text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from swapgate.drills import show
from swapgate.drills.jobs import Skipped, controls
from swapgate.drills.matrix import Mark, Matrix, tabulate
from swapgate.drills.outcome import Outcome, Seen
from swapgate.gates.verdict import GATES

HOSTILE = "<script>alert('&\"x')</script>\x1b[31m\u202eabc\nline"


def matrix_of(*outcomes: Outcome, **changes: Any) -> Matrix:
    given = {"skipped": (), "model": "m", "tasks": ("cup",), "false_alarms": 0.01, "usable": (9, 10), "whole": False}
    return tabulate(outcomes, **{**given, **changes})


def printed(matrix: Matrix) -> str:
    return "\n".join(show.lines(matrix, Path("/out/matrix.html")))


def hostile(an_outcome: Any, a_drill: Any) -> Matrix:
    """Every text of a drill is somebody else's."""
    seen = {gate: Seen(status=HOSTILE, red=True, decided=True, cell=HOSTILE, reason=HOSTILE) for gate in GATES}
    drill = a_drill(HOSTILE, about=HOSTILE, sources=(HOSTILE,), severe=HOSTILE)
    return matrix_of(
        an_outcome(drill=drill, proof=HOSTILE, run=HOSTILE, seen=seen),
        an_outcome(drill=drill, repeat=2, error=HOSTILE),
        skipped=(Skipped(drill=HOSTILE, reason=HOSTILE),),
        model=HOSTILE,
        tasks=(HOSTILE,),
    )


def test_the_table_has_a_line_for_every_fault_and_a_word_for_every_gate(an_outcome: Any) -> None:
    """What was caught, quiet, missed and unasked can be read off it."""
    head, first, second = show.lines(matrix_of(an_outcome({"drift"}), an_outcome({"memory", "usability"}, dose="moderate")), Path("/x"))[:3]
    assert head.split() == ["drill", "dose", *GATES]
    assert re.split(r"\s{2,}", first) == ["black", "severe", "-", "quiet", "-", "caught 1/1", "-"]
    assert re.split(r"\s{2,}", second) == ["black", "moderate", "-", "UNEXPECTED 1/1", "also 1/1", "MISSED 0/1", "-"]


def test_what_must_be_looked_at_stands_below_with_its_reason(an_outcome: Any) -> None:
    """Gate, rate with its interval, status and the verdict's own words."""
    out = printed(matrix_of(an_outcome({"memory"}), an_outcome(dose="moderate", error="the fault did not act: 0 calls")))
    assert "MISSED black/severe: drift 0/1 red, 0–98 %; PASS: drift says so" in out
    assert "UNEXPECTED black/severe: memory 1/1 red, 2–100 %; REGRESSION: memory says so" in out
    assert "ERROR black/moderate, repeat 1: the fault did not act: 0 calls" in out
    assert "proved: black/severe: 2 decodings made black" in out
    assert "so 1 runs hold about 0.01 such alarms" in out


def test_an_undecided_gate_is_said_with_its_reason(an_outcome: Any) -> None:
    """Quiet for want of samples is no proof of specificity."""
    unsure = an_outcome({"drift"})
    unsure.seen["memory"] = Seen(status="INCONCLUSIVE", red=False, decided=False, cell="memory/m/all", reason="too few calls")
    out = printed(matrix_of(unsure))
    assert "undecided black/severe: memory: too few calls" in out
    assert "1 caught, 0 quiet as they must be, 1 quiet but undecided" in out


def test_a_miss_for_want_of_samples_is_told_from_a_blind_gate(an_outcome: Any, reader: Any) -> None:
    """On the terminal and on the page; a gate that passed a fault is blind."""
    few = an_outcome(set())
    few.seen["drift"] = Seen(status="INCONCLUSIVE", red=False, decided=False, cell="drift/m/all", reason="too few repeats")
    matrix = matrix_of(few, an_outcome(set(), dose="moderate"))
    assert "note: 1 of 2 missed for want of samples" in printed(matrix)
    assert "1 of 2 missed for want of samples" in reader(show.page(matrix)).text
    assert "want of samples" not in printed(matrix_of(an_outcome(set())))


def test_drills_that_do_not_apply_are_listed_by_reason(an_outcome: Any) -> None:
    """One line a reason."""
    skipped = tuple(Skipped(drill=name, reason=reason) for name, reason in (("a", "no batch"), ("b", "no mask"), ("c", "no batch")))
    out = printed(matrix_of(an_outcome({"drift"}), skipped=skipped))
    assert "not applicable: a, c: no batch" in out
    assert "not applicable: b: no mask" in out


@pytest.mark.parametrize(
    ("red", "changes", "said"),
    [
        (
            {"drift"},
            {},
            "1 caught, 1 quiet as they must be; tripped: drift, of the drills that were chosen none tripped latency, memory, usability, stability",
        ),
        ({"drift"}, {"whole": True}, "latency, memory, usability, stability DEAD: no drill trips them; 1 caught"),
        (set(GATES) - {"memory"}, {"whole": True}, "memory DEAD: no drill trips it; 1 caught"),
        ({"memory"}, {}, "1 MISSED; 1 UNEXPECTED; 0 caught, 0 quiet as they must be; tripped: no gate"),
    ],
)
def test_the_answer_is_one_sentence(an_outcome: Any, red: set[str], changes: dict[str, Any], said: str) -> None:
    """Bad news first."""
    assert show.answer(matrix_of(an_outcome(red), **changes)).startswith(said)


def test_nothing_drilled_is_said(a_drill: Any, reader: Any) -> None:
    """No table, no green."""
    out = printed(matrix_of(skipped=(Skipped(drill="a", reason="no batch"),)))
    assert "nothing was drilled: no drill applies" in out
    assert "No drill applies to this model." in reader(show.page(matrix_of())).text


def test_lines_cannot_steer_a_terminal(an_outcome: Any, a_drill: Any) -> None:
    """Control and direction characters of others' text are left out, and a reason stays one line."""
    found = show.lines(hostile(an_outcome, a_drill), Path("/x"))
    assert not [line for line in found if re.search(r"[\x00-\x1f\u202e]", line)]


def test_hostile_text_stays_text_on_the_page(an_outcome: Any, a_drill: Any, reader: Any) -> None:
    """It is all there, and none of it became an element, an attribute or an address."""
    page = reader(show.page(hostile(an_outcome, a_drill)))
    assert "<script>alert('&\"x')</script>" in page.text
    assert "script" not in {tag for tag, _ in page.elements}
    assert not [attrs for _, attrs in page.elements for key in attrs if key.startswith("on") or key == "style"]
    assert all(re.fullmatch(r"#[\w%./-]*|data:,|[\w%./-]+/report/index\.html", attrs["href"] or "") for _, attrs in page.elements if "href" in attrs)


def test_the_page_is_well_formed_and_asks_nothing_of_a_network(an_outcome: Any, reader: Any) -> None:
    """Every element is closed, ids are unique, links within the page lead somewhere, and the policy allows this very style sheet."""
    source = show.page(
        matrix_of(an_outcome({"drift"}), an_outcome({"memory"}, dose="moderate"), whole=True, skipped=(Skipped(drill="a", reason="b"),))
    )
    page = reader(source)
    assert (page.mistakes, page.open) == ([], [])
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"] for _, attrs in page.elements if (attrs.get("href") or "").startswith("#")} <= {f"#{one}" for one in ids}
    policy = next(attrs["content"] or "" for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()}'" in policy
    assert "prefers-color-scheme: dark" in style.group(1)
    assert not re.search(r"https?://|@import|url\(", source)
    assert source.startswith("<!doctype html>"), "anything before it makes a browser guess"


def test_a_row_names_source_dose_proof_and_reasons(an_outcome: Any, reader: Any) -> None:
    """And links to the report of each of its runs."""
    page = reader(show.page(matrix_of(an_outcome({"drift"}))))
    for said in ("It breaks.", "diffusers #1", "severe", "black-decoder", "2 decodings made black", "drift says so", "must fire", "must stay quiet"):
        assert said in page.text
    assert any(attrs.get("href") == "runs/black/severe-1/report/index.html" for _, attrs in page.elements)


def test_dead_gates_are_said_at_the_top(an_outcome: Any, reader: Any) -> None:
    """Not after a choice of drills."""
    assert "DEAD: latency, memory, usability, stability" in reader(show.page(matrix_of(an_outcome({"drift"}), whole=True))).text
    assert "DEAD" not in reader(show.page(matrix_of(an_outcome({"drift"})))).text


def test_the_control_is_shown_as_what_it_is(an_outcome: Any, reader: Any) -> None:
    """No dose, no fault, no source, and no proof of one."""
    (control,) = controls(1)
    matrix = matrix_of(an_outcome(job=control, proof="nothing was planted"))
    text = reader(show.page(matrix)).text
    assert "no fault: the control" in text
    assert "Control: nothing was planted" in re.sub(r"\s+", " ", text)
    assert "Where it really happened" not in text
    assert "Proof that it acted" not in text
    assert re.split(r"\s{2,}", show.lines(matrix, Path("/x"))[1]) == ["nothing", "-", *["quiet"] * 5]


def test_every_mark_has_its_words_and_colour() -> None:
    """Also those that a first matrix does not have."""
    for table in (show.TONES, show.GLYPHS, show.MEANINGS):
        assert set(table) == set(Mark)


def test_both_files_are_written(tmp_path: Path, an_outcome: Any) -> None:
    """The page and its data say the same; half a character does not keep them from being written."""
    matrix = matrix_of(an_outcome({"drift"}, proof="half \ud800 a character"))
    assert show.write(matrix, tmp_path / "out") == tmp_path / "out" / "matrix.html"
    assert json.loads((tmp_path / "out" / "matrix.json").read_text(encoding="utf-8"))["rows"][0]["entries"][3]["low"] == 0.025


def test_power_stands_by_dose_and_gate_with_its_interval(an_outcome: Any, reader: Any) -> None:
    """On the terminal and on the page; a cell of several samples has its own interval."""
    runs = [an_outcome({"drift"} if n < 4 else set(), repeat=n, pictures=f"p{n}") for n in (1, 2, 3, 4)]
    matrix = matrix_of(*runs)
    out = printed(matrix)
    assert "power, severe: drift 3/4, 19–99 %, all 3/4, 19–99 %" in out
    assert "MISSED 3/4, 19–99 %" in out
    text = reader(show.page(matrix)).text
    assert "Power by dose" in text
    assert text.count("3/4, 19–99 %") == 2


def test_unchanged_runs_are_counted_in_words(an_outcome: Any, reader: Any) -> None:
    """How many of how many, the upper end of the exact interval, by gate, and which."""
    jobs = controls(100)
    green = [an_outcome(set(), job=job, pictures="same") for job in jobs]
    quiet = matrix_of(*green)
    assert "unchanged runs red: 0 of 100, at most 5.16 % (99 %); by gate: latency 0, memory 0" in printed(quiet)
    assert "0 of 100, at most 5.16 % (99 %)" in reader(show.page(quiet)).text
    red = an_outcome({"memory"}, job=jobs[0], run="runs/nothing/moderate-1", alarms=("memory/m/all", "memory/m/cup"))
    failed = an_outcome(job=jobs[1], run="runs/nothing/moderate-2", error="it broke")
    out = printed(matrix_of(red, failed, *green[2:]))
    exact = binomtest(1, 99).proportion_ci(0.99, method="exact")
    assert f"unchanged runs red: 1 of 99, at least {100 * exact.low:.3g} % and at most {100 * exact.high:.3g} % (99 %)" in out
    assert "  red: runs/nothing/moderate-1: memory/m/all, memory/m/cup" in out
    assert "  not counted: runs/nothing/moderate-2: it broke" in out
    page = reader(show.page(matrix_of(red, failed, *green[2:])))
    assert "memory/m/all, memory/m/cup" in page.text
    assert (page.mistakes, page.open) == ([], [])


def test_many_red_runs_are_cut_and_counted(an_outcome: Any) -> None:
    """The rest is in matrix.json."""
    runs = [an_outcome({"drift"}, job=job, run=f"r{job.repeat}", alarms=("drift/m/all",)) for job in controls(13)]
    out = printed(matrix_of(*runs))
    assert out.count("  red: ") == show.MOST_ALARMS
    assert "and 3 more, in matrix.json" in out


def test_an_unchanged_run_that_could_not_decide_is_said(an_outcome: Any) -> None:
    """No alarm of a gate that decides nothing is no merit."""
    (job,) = controls(1)
    one = an_outcome(set(), job=job)
    one.seen["drift"] = Seen(status="INCONCLUSIVE", red=False, decided=False, cell="", reason="")
    assert "drift 0 (undecided in 1)" in printed(matrix_of(one))
    assert "0 of 0: nothing is known" in printed(matrix_of(an_outcome(job=job, error="it broke")))


def test_a_share_says_what_it_lacks(an_outcome: Any, reader: Any) -> None:
    """And how to see the whole."""
    part = matrix_of(an_outcome({"drift"}), share=(2, 4))
    assert "note: share 2 of 4: copy the runs of all shares into one folder" in printed(part)
    assert "share 2 of 4" in reader(show.page(part)).text
    assert "share" not in printed(matrix_of(an_outcome({"drift"})))

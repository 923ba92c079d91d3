"""The job summary says what the page says, as text that nothing foreign can bend, and never too long to be kept."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swapgate.gates.verdict import Status
from swapgate.report import answer, markdown, model, phrases


def table(text, title):
    """The rows of the table under a heading, split at bars that are not escaped."""
    section = text.split(f"### {title}\n", 1)[1].split("\n### ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_the_summary_starts_with_the_answer(report):
    """The first line answers, then counts and how much was measured."""
    text = markdown.summary(report)
    assert text.startswith("## Swapgate · Do not upgrade\n")
    assert answer.counts_line(report) in text
    assert answer.measured_line(report) in text


def test_every_cell_is_a_row_worst_first(report):
    """Status, name, figures and reason of all verdicts, in the order of the page."""
    names, rule, *rows = table(markdown.summary(report), "Cells, worst first")
    assert names[0] == "verdict"
    assert set(rule) == {"---"}
    assert [row[1] for row in rows] == [verdict.id for verdict in report.worst_first]
    for row, verdict in zip(rows, report.worst_first, strict=True):
        assert len(row) == len(names)
        assert row[0].endswith(verdict.status)
        assert row[-1] == markdown.escape(verdict.reason, markdown.TEXT)


def test_suspects_commands_and_wording_are_told(report):
    """What changed, what to type, and what wording hurt."""
    text = markdown.summary(report)
    assert [row[1] for row in table(text, "Changed since the baseline")[2:]] == ["torch", "weights", "xformers"]
    assert [row[3] for row in table(text, "Wording that hurt most")[2:]] == ["−0.410", "−0.180", "−0.020"]
    fence = text.split("```sh\n")[1].split("\n```")[0].splitlines()
    assert fence == list(dict.fromkeys(verdict.next for verdict in report.worst_first if verdict.next))


def test_json_and_report_give_the_same_text(report, data):
    """Callers hand over what they have."""
    assert markdown.summary(data) == markdown.summary(report)


@given(st.text(max_size=80))
@example("a|b\n\n# c <img src=x onerror=y> [x](http://evil) `code` @team ![i](u) **b** ~~s~~")
@example("\\|")
def test_foreign_text_stays_in_its_cell(text):
    """One line, no bare bar, no HTML, and every special character escaped an odd number of times."""
    cell = markdown.escape(text)
    assert "\n" not in cell
    assert "<" not in cell
    assert ">" not in cell
    for match in re.finditer(r"(\\*)([|`*_\[\]!@:])", cell):
        assert len(match.group(1)) % 2 == 1
    shown = re.sub(r"\\(.)", r"\1", cell).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert shown == phrases.tidy(text)


def test_hostile_prompts_carry_no_markup(report):
    """Nothing that a browser or GitHub would act on is left of the sample's prompt."""
    text = markdown.summary(report)
    assert "<script" not in text
    assert "](" not in text
    assert "![" not in text


def test_a_command_cannot_close_its_fence(data):
    """A fence is longer than any backticks inside it."""
    data["verdicts"][0]["next"] = "echo ````\n# not a heading"
    text = markdown.summary(data)
    assert "`````sh\n" in text
    assert "\n# not a heading" not in text


@pytest.mark.parametrize("most", [3_000, 20_000, 64_000])
def test_a_long_run_is_cut_by_whole_rows_and_says_so(sample, data, most):
    """At most the bytes asked for, in characters of three bytes too; the worst cells are kept, and the rest is counted."""
    data["verdicts"] += [sample.verdict("latency", f"t{n}", Status.PASS, "没有变慢" * 60).as_json() for n in range(3000)]
    text = markdown.summary(data, most_bytes=most)
    assert most * 0.5 < len(text.encode()) <= most
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert "drift/standin-qwen/butterfly" in text
    shown = len(table(text, "Cells, worst first")) - 2
    assert f"And {len(data['verdicts']) - shown} more in the HTML report: " in text


HOSTILE = "</td><script>alert(1)</script>|\n# `x` [y](javascript:z) @team \u202e\u0000![i](u) **b** ~~s~~ &lt; 猫" * 40


def crowd(sample, cells=5_000):
    """A run of thousands of cells, a hundred of them bad and told last, with names and sentences of thousands of characters."""
    good = [sample.verdict("latency", f"good{n} {HOSTILE}", Status.PASS, HOSTILE, next_=HOSTILE) for n in range(cells - 100)]
    bad = [
        sample.verdict("drift", f"bad{n} {HOSTILE}", (Status.REGRESSION, Status.ERROR)[n % 2], HOSTILE, next_=f"pytest --task=bad{n}")
        for n in range(100)
    ]
    return [verdict.as_json() for verdict in (*good, *bad)]


def test_thousands_of_hostile_cells_fit_into_a_comment_the_worst_first(sample, data):
    """5,000 cells, names and reasons of thousands of characters: below 64 kB, no cell crowded out by another's text, the bad ones first."""
    data["verdicts"], data["counts"] = crowd(sample), None
    data["suspects"] = [{"model": HOSTILE, "what": f"{n} {HOSTILE}", "baseline": HOSTILE, "candidate": None} for n in range(400)]
    data["warnings"] = [HOSTILE] * 300
    data["outcome"] = {"red": True, "reason": ", ".join(verdict["id"] for verdict in data["verdicts"])}
    data["wording"] = data["wording"] * 500
    data["models"] = [{**data["models"][0], "id": f"m{n} {HOSTILE}", "faults": [HOSTILE]} for n in range(50)]
    text = markdown.summary(data)
    assert len(text.encode()) <= markdown.MOST_BYTES < 65_536
    names = [row[0].split()[-1] for row in table(text, "Cells, worst first")[2:]]
    assert len(names) >= 8
    assert names == sorted(names), "ERROR comes before REGRESSION, and both before PASS"
    assert set(names) <= {"ERROR", "REGRESSION"}
    assert f"And {5_000 - len(names)} more in the HTML report: " in text
    assert "pytest --task=bad1\n" in text
    assert "<script" not in text
    assert "](" not in text
    assert "\u202e" not in text
    assert text.startswith("## Swapgate · Do not upgrade\n")


def test_thousands_of_plain_cells_show_every_bad_one(sample, data):
    """With names and reasons as they really are, a hundred bad cells of 5,000 all have their row."""
    bad = [sample.verdict("drift", f"bad{n}", Status.REGRESSION, f"SSIM 0.{n:02d} [0.77, 0.84], limit 0.98") for n in range(100)]
    good = [sample.verdict("latency", f"good{n}", Status.PASS, "total +0.3 %") for n in range(4_900)]
    data["verdicts"], data["counts"] = [one.as_json() for one in (*good, *bad)], None
    text = markdown.summary(data)
    assert len(text.encode()) <= markdown.MOST_BYTES
    assert all(f"/bad{n} |" in text for n in range(100))
    assert f"more in the HTML report: {4_900 - (text.count('/good'))} PASS." in text


def test_what_is_left_out_beside_the_cells_is_counted(data):
    """Suspects, wording and commands have room for a few."""
    data["suspects"] = [{"model": "m", "what": f"package {n}"} for n in range(30)]
    data["wording"] = data["wording"][:1] * 30
    for n, verdict in enumerate(data["verdicts"]):
        verdict["next"] = f"pytest --task=t{n}"
    text = markdown.summary(data)
    assert text.count("\nand 6 more in the HTML report") == 2
    assert f"and {len(data['verdicts']) - 12} more, each with its cell" in text


def test_a_command_too_long_to_type_is_not_cut_into_another(data):
    """Half of a command does something else."""
    for verdict in data["verdicts"]:
        verdict["next"] = "rm -r " + "x" * 700
    assert "rm -r" not in markdown.summary(data)


def test_the_summary_lies_beside_the_page(built, report):
    """For a comment on a merge request, wherever CI runs."""
    assert (built / "report" / "summary.md").read_text(encoding="utf-8") == markdown.summary(report)


def test_a_short_run_is_not_said_to_be_cut(report):
    """The note only stands where something is missing."""
    assert "more in the HTML report" not in markdown.summary(report)


def test_without_the_variable_nothing_is_published(report, tmp_path, monkeypatch):
    """Outside of GitHub the summary is nobody's."""
    monkeypatch.chdir(tmp_path)
    assert markdown.publish(report, {}) is None
    assert markdown.publish(report, {markdown.VARIABLE: ""}) is None
    assert list(tmp_path.iterdir()) == []


def test_publishing_appends_to_what_the_step_has_written(report, tmp_path):
    """Other commands of a step write there too."""
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    assert markdown.publish(report, {markdown.VARIABLE: str(path)}) == path
    assert path.read_text(encoding="utf-8") == "before\n" + markdown.summary(report)


@pytest.mark.parametrize("written", [999_500, 5_000_000])
def test_a_full_summary_is_not_made_fuller(report, tmp_path, written):
    """Above its limit GitHub shows nothing at all, also not what was there."""
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * written)
    markdown.publish(report, {markdown.VARIABLE: str(path)})
    assert path.stat().st_size == written


def test_a_nearly_full_summary_gets_what_fits(sample, data, tmp_path):
    """The limit is of the file, not of our part."""
    data["verdicts"] += [sample.verdict("latency", f"t{n}", Status.PASS, "slow " * 60).as_json() for n in range(3000)]
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * 970_000)
    markdown.publish(model.parse(data), {markdown.VARIABLE: str(path)})
    assert 970_000 < path.stat().st_size <= markdown.HARD_LIMIT


def test_the_environment_is_read_when_publishing_and_not_before(report, tmp_path, monkeypatch):
    """The default is the process's own environment."""
    monkeypatch.setenv(markdown.VARIABLE, str(tmp_path / "s.md"))
    assert markdown.publish(report) == tmp_path / "s.md"


def test_a_comparison_names_the_better_model(data):
    """With --against the table of who is better is there, with the names of both."""
    row = {
        "gate": "latency",
        "task": "all",
        "model": "standin-qwen",
        "claim": "total",
        "a": 0.5,
        "b": 0.4,
        "effect": -20.0,
        "low": -23.0,
        "high": -17.0,
        "unit": "%",
        "n": 24,
    }
    data.update(against="standin-flux", comparison=[{**row, "better": better} for better in ("a", "b", "same", "unclear")])
    rows = table(markdown.summary(data), "Who is better at what")
    assert [line[-1] for line in rows[2:]] == ["standin-flux", "standin-qwen", "no worse", "unclear"]
    assert rows[2][3].replace("\u202f", " ") == "0.500 s"


def test_planted_faults_are_announced(data):
    """A drill is never taken for a real finding."""
    data["models"][0]["faults"] = ["no-guidance"]
    assert "planted faults (a drill):** no-guidance" in markdown.summary(data)


def test_warnings_are_announced(data):
    """As text, without mark-up."""
    data["warnings"] = ["m: DEVICE_MEMORY_NOT_BACK: <512> MiB"]
    assert "> **Warning:** m\\: DEVICE\\_MEMORY\\_NOT\\_BACK\\: &lt;512&gt; MiB" in markdown.summary(data)

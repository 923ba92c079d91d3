"""From a drill folder to the table: what is found in it, what is made, what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swapgate.drills.peers import run
from swapgate.drills.peers.legal import Legal
from swapgate.drills.run import Ask
from swapgate.errors import RunBroken, UserError
from swapgate.gates.policy import Policy


@pytest.fixture
def compare(folder: Any, project: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run.compare` of the folder, whose one harmless variation is a run that the test wrote, or that refuses."""
    made: dict[str, Any] = {"refuse": None}
    monkeypatch.setattr(run.variations, "variations", lambda card, loaded: (Legal(name="threads", about="2 threads", card=card),))

    def fake(config: Any, options: Any, policy: Any, one: Legal, path: Path, progress: Any) -> None:
        assert config.baselines == folder.out.resolve() / "baselines"
        if made["refuse"]:
            raise UserError(where="x", rule=made["refuse"], remedy="y")
        if not path.exists():
            folder.write(path, dict(enumerate(made["pictures"]))).close()
            folder.judged(path, set())

    monkeypatch.setattr(run.variations, "make", fake)

    def go(**changes: Any) -> Any:
        made.update(changes)
        return run.compare(project.config, Ask(model="m", out=folder.out, command="swapgate drill --model=m"), Policy())

    return go


def test_finished_runs_are_found_by_their_names(folder: Any, picture: Any) -> None:
    """Whatever was drilled here, by this call or an earlier one; what is unfinished or unknown is not a job."""
    folder.run("weight-noise/moderate-2", picture(9), spec="noise:0.2")
    folder.run("nothing/moderate-1", picture(0))
    folder.run("a-drill-of-tomorrow/moderate-1", picture(0))
    folder.run("black/mild-1", picture(0))  # it has no mild dose
    folder.run("black/moderate-x", picture(0))
    (folder.run("leak/severe-1", picture(0), spec="leak:32") / "verdicts.json").unlink()
    assert [(job.name, job.spec) for job in run.jobs(folder.out / "runs")] == [("nothing/moderate-1", ""), ("weight-noise/moderate-2", "noise:0.2")]


def test_the_table_holds_all_of_it(folder: Any, picture: Any, compare: Any) -> None:
    """A control, a fault, the null, a variation; every policy of the file; who, when, on what and how."""
    folder.run("nothing/moderate-1", picture(0), picture(1), picture(2))
    folder.run("black/moderate-1", *[picture(0) * 0] * 3, spec="black-decoder", red={"drift", "usability"})
    folder.null(1, picture(0))
    table = compare(pictures=[picture(0), picture(1), picture(2)])
    assert table.sets["drift"] == {"A": ("null process 1", "nothing/moderate-1"), "B": ("legal/threads",), "C": ("black/moderate-1",), "mild": ()}
    found = {row.id: row for row in table.rows}
    assert found["comfyui-inference"].cells["C"].cases.wrong == 0
    assert found["comfyui-inference"].cells["A"].cases.wrong == 0
    assert found["unsloth-psnr"].cells["C"].runs.wrong == 0
    assert found["swapgate-drift"].cells["C"].runs.n == 1
    assert "160 pixels" in found["fastvideo-flux"].reason
    assert (table.model, table.tasks, table.hardware) == ("m", ("cup",), "A CPU, 2 threads, float32, torch 2.0")
    assert table.command == "swapgate drill --model=m --policies=peers"
    assert len(table.created) == 10


def test_a_variation_that_is_refused_is_left_out_with_its_reason(folder: Any, compare: Any) -> None:
    """And the others go on."""
    table = compare(refuse="no such backend")
    assert len(table.left_out) == 1
    assert table.left_out[0].startswith("legal/threads: ")
    assert "no such backend" in table.left_out[0]


def test_a_folder_in_which_nothing_was_drilled_is_a_mistake(folder: Any, compare: Any) -> None:
    """Said with the remedy."""
    (folder.out / "drill.json").unlink()
    with pytest.raises(UserError, match="run swapgate drill with this --out first"):
        compare()


def test_a_note_of_what_was_drilled_that_cannot_be_read_is_said(folder: Any, compare: Any) -> None:
    """Never a traceback."""
    (folder.out / "drill.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(RunBroken, match="a list of tasks"):
        compare()


def test_another_models_folder_is_a_mistake(folder: Any, project: Any) -> None:
    """The honest run is not of that model."""
    with pytest.raises(UserError, match="the model of the honest run"):
        run.compare(project.config, Ask(model="other", out=folder.out), Policy())

"""A probe: in which order placements and limits are tried, what is left out, what is said; trials are played here, but for one real one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from swapgate.cards import Card
from swapgate.cli import probe as command
from swapgate.cli.main import main
from swapgate.config import find_config
from swapgate.engines.placements import ERROR, FITS, HOST_MEMORY, NOT_TRIED, OUT_OF_MEMORY, PLACEMENTS, Placement, Prepared, Tried
from swapgate.errors import UserError
from swapgate.plan import Request
from swapgate.suite import probe_table
from swapgate.suite.probe import Asked, Probe, Row, in_gib, probe, subjects, weights_here

ROOT = Path(__file__).parents[3]
CARD = """engine = "diffusers"
source = "{source}"
architecture = "flux-1-dev"
weights = "{weights}"
tasks = ["f"]
judge = {{ source = "scripted" }}
{more}
[call]
num_inference_steps = 50
"""
TASK = 'width = 1024\nheight = 512\nseeds = [7]\nimages_per_round = 4\n[[task]]\nid = "cup"\nprompts = { zh = "杯子", en = "a cup" }\n'
GIB = 1024.0
NEEDS = {"all on the device": 58, "fp8": 38, "nf4": 18, "model offload": 43, "fp8 + model offload": 23, "nf4 + model offload": 15, "group offload": 8}


@dataclass
class Machine:
    """Plays hosts: what fits is decided by NEEDS in GiB. Keeps what was started, asked and closed."""

    open: int = 0
    most: int = 0
    asked: list[tuple[str, str, float, bool]] = field(default_factory=list)
    rates: int = 0
    step: float = 0.4
    refused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def start(self) -> Played:
        self.open += 1
        self.most = max(self.most, self.open)
        return Played(self)


class Played:
    """Stands for `hosts.trials.TrialHost`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._machine.open -= 1

    def prepare(self, card: Card, placement: Placement, request: Request, *, rate: bool) -> Prepared | Tried:
        self._card, self._placement = card, placement
        self._machine.rates += rate
        if placement.name in self._machine.refused:
            raise UserError(where="card", key="quantisation.method", rule="it needs bitsandbytes, which is not installed", remedy="pip install it")
        if placement.name in self._machine.failed:
            return Tried(verdict=HOST_MEMORY, why="HostMemoryError: text_encoder needs 15 GiB", stage="assembling")
        return Prepared(seconds=1.0, host_mib=1.0, steps=50, device="H200", dtype="bfloat16", total_mib=143_000.0, rate=7e14 if rate else None)

    def attempt(self, limit: float, *, steps: int, patience: float, count: bool, seconds: float) -> Tried:
        self._machine.asked.append((self._card.id, self._placement.name, limit / GIB, count))
        if limit < NEEDS[self._placement.name] * GIB:
            return Tried(verdict=OUT_OF_MEMORY, why="OutOfMemoryError: CUDA out of memory", stage="placing", steps=50)
        made = (2.0, *[self._machine.step] * (steps - 1))
        flops = 1.4e14 if count else None
        peaks = {"allocated": 1000.0, "reserved": 1100.0, "process": 1600.0, "host": 900.0}
        return Tried(verdict=FITS, steps=50, text=0.1, each_step=made, decode=0.2, total=sum(made) + 0.3, flops=flops, **peaks)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models of one task."""
    for folder in ("models", "tasks"):
        (tmp_path / "fixtures" / folder).mkdir(parents=True)
    for name, weights in (("one", "dry"), ("two", "real")):
        text = CARD.format(source="nobody/nothing", weights=weights, more="")
        (tmp_path / "fixtures" / "models" / f"{name}.toml").write_text(text, encoding="utf-8")
    (tmp_path / "fixtures" / "tasks" / "f.toml").write_text(TASK, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def probed(project: Path, machine: Machine, **changes: Any) -> Probe:
    given: dict[str, Any] = {"cards": ("one",), "limits": (24 * GIB, 80 * GIB), **changes}
    return probe(find_config(project), Asked(**given), start=machine.start)


class TestOrder:
    """Largest limit first, a process a placement, the next one ahead."""

    def test_a_smaller_limit_is_tried_only_where_the_larger_one_was_enough(self, project: Path) -> None:
        """Everything fits in 80 GiB here, so everything is tried in 24."""
        machine = Machine()
        found = probed(project, machine)
        assert [(name, limit) for _, name, limit, _ in machine.asked] == [(one.name, limit) for one in PLACEMENTS for limit in (80.0, 24.0)]
        assert (machine.open, machine.most) == (0, 2)
        assert [row.placement for row in found.of("one", 24 * GIB) if row.fits] == [
            "nf4", "fp8 + model offload", "nf4 + model offload", "group offload",
        ]  # fmt: skip
        assert found.whole

    def test_what_failed_under_the_larger_limit_is_left_out_with_the_reason(self, project: Path) -> None:
        """And rows stand in the order that was asked for."""
        machine = Machine()
        found = probed(project, machine, limits=(24 * GIB, 40 * GIB))
        assert ("one", "all on the device", 24.0, False) not in machine.asked
        row = found.of("one", 24 * GIB)[0]
        assert row.tried.verdict == NOT_TRIED
        assert row.tried.why == "not with 40 GiB either: out of memory"
        assert [row.limit for row in found.rows] == [24 * GIB] * 7 + [40 * GIB] * 7

    def test_flops_are_counted_once_where_products_are_plain(self, project: Path) -> None:
        """Not in 4 bits; the rate is measured once for all."""
        machine = Machine()
        probed(project, machine, cards=("one", "two"), limits=(20 * GIB,))
        assert [(card, name) for card, name, _, count in machine.asked if count and NEEDS[name] <= 20] == [
            ("one", "group offload"), ("two", "group offload"),
        ]  # fmt: skip
        assert machine.rates == 1

    def test_a_card_with_a_cache_has_no_floor(self, project: Path) -> None:
        """Its steps have not the forwards of the first."""
        text = CARD.format(source="nobody/nothing", weights="dry", more="[options]\ncache = 'first-block'\n")
        (project / "fixtures" / "models" / "one.toml").write_text(text, encoding="utf-8")
        found = probed(project, Machine())
        assert all(row.floor is None for row in found.rows)

    def test_processes_end_when_something_is_wrong(self, project: Path) -> None:
        """Also the one that was started ahead."""
        machine = Machine()

        def refuse(*_: Any, **__: Any) -> Any:
            raise UserError(where="card", key="source", rule="r", remedy="m")

        class Refusing(Played):
            prepare = refuse

        def start() -> Played:
            machine.start()
            return Refusing(machine)

        with pytest.raises(UserError):
            probe(find_config(project), Asked(cards=("one",), limits=(GIB,)), start=start)
        assert machine.open == 0

    def test_an_interrupted_probe_keeps_what_it_found(self, project: Path) -> None:
        """The rest is left open, and every process ends."""
        machine = Machine()

        class Interrupted(Played):
            def attempt(self, limit: float, **given: Any) -> Tried:
                if len(machine.asked) == 3:
                    raise KeyboardInterrupt
                return super().attempt(limit, **given)

        def start() -> Played:
            machine.start()
            return Interrupted(machine)

        found = probe(find_config(project), Asked(cards=("one",), limits=(24 * GIB, 80 * GIB)), start=start)
        assert machine.open == 0
        assert len(found.rows) == 2 * len(PLACEMENTS)
        left = [row for row in found.rows if row.tried.why == "interrupted before"]
        assert len(left) == len(found.rows) - 3
        assert any(row.fits for row in found.rows)


class TestVerdicts:
    """What a row says."""

    def test_a_placement_whose_package_is_missing_is_a_row(self, project: Path) -> None:
        """Others go on."""
        found = probed(project, Machine(refused=("nf4",)))
        rows = [row for row in found.rows if row.placement == "nf4"]
        assert [row.tried.verdict for row in rows] == [NOT_TRIED, NOT_TRIED]
        assert rows[0].tried.why == "it needs bitsandbytes, which is not installed; pip install it"
        assert len(found.rows) == 14

    def test_host_memory_is_a_verdict_of_every_limit(self, project: Path) -> None:
        """Whatever the device has."""
        found = probed(project, Machine(failed=("group offload",)))
        assert {row.tried.verdict for row in found.rows if row.placement == "group offload"} == {HOST_MEMORY}

    def test_a_card_that_fits_nowhere_fails_the_command(self, project: Path) -> None:
        """Any of the limits."""
        assert not probed(project, Machine(), limits=(80 * GIB, 4 * GIB)).whole

    def test_times_stand_beside_the_floor(self, project: Path) -> None:
        """140 TFLOP a step at 700 TFLOP/s are 0.2 s; an image of 50 steps takes 10 at least."""
        row = probed(project, Machine()).rows[0]
        assert row.floor is None  # did not fit
        row = probed(project, Machine()).of("one", 80 * GIB)[0]
        assert row.floor == pytest.approx(10.0)
        assert row.ratio == pytest.approx((0.1 + 50 * 0.4 + 0.2) / 10.0)

    def test_a_step_below_the_floor_is_an_error(self, project: Path) -> None:
        """Its time is none, and it is no fit."""
        found = probed(project, Machine(step=0.1))
        row = found.of("one", 80 * GIB)[0]
        assert row.tried.verdict == ERROR
        assert "synchronisation" in row.tried.why
        assert row.tried.seconds is None
        assert not found.whole


class TestSubjects:
    """What is asked of a card."""

    def test_the_first_prompt_of_the_first_task_at_its_size(self, project: Path) -> None:
        """In English, one image; another size where one is given."""
        one, two = subjects(find_config(project), Asked(cards=("one", "two"), limits=(GIB,), size=(512, 256)))
        assert (one.request.prompt, one.request.index, one.request.seed) == ("a cup", 0, 7)
        assert (one.request.width, one.request.height) == (512, 256)
        (plain,) = subjects(find_config(project), Asked(cards=("one",), limits=(GIB,)))
        assert (plain.request.width, plain.request.height, plain.card.device) == (1024, 512, "cuda")
        assert (one.card.weights, two.card.weights) == ("dry", "dry")

    def test_real_weights_are_used_where_they_are(self, project: Path) -> None:
        """In the Hub's cache at the card's revision, or in a folder; random ones on demand."""
        snapshot = project / "hub" / "models--nobody--nothing" / "snapshots" / "abc"
        (snapshot / "vae").mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc", encoding="utf-8")
        (two,) = subjects(find_config(project), Asked(cards=("two",), limits=(GIB,)))
        assert two.card.dry
        (snapshot / "vae" / "model.safetensors").write_bytes(b"")
        (two,) = subjects(find_config(project), Asked(cards=("two",), limits=(GIB,)))
        assert not two.card.dry
        assert weights_here(two.card)
        assert subjects(find_config(project), Asked(cards=("two",), limits=(GIB,), dry=True))[0].card.dry

    def test_unknown_cards_and_other_engines_are_refused(self, project: Path) -> None:
        """With the nearest name."""
        with pytest.raises(UserError, match="did you mean 'one'"):
            subjects(find_config(project), Asked(cards=("ones",), limits=(GIB,)))
        text = 'engine = "scripted"\nsource = "x"\ntasks = ["f"]\njudge = { source = "scripted" }\n'
        (project / "fixtures" / "models" / "three.toml").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="engine diffusers"):
            subjects(find_config(project), Asked(cards=("three",), limits=(GIB,)))


class TestTable:
    """For people."""

    def test_the_answer_comes_first(self, project: Path) -> None:
        """Then every row with its figures, and why it did not fit."""
        text = "\n".join(probe_table.lines(probed(project, Machine(refused=("nf4",)))))
        assert "24 GiB: fits in 3 placements; the fastest is fp8 + model offload, 20.3 s an image" in text
        assert "140 TFLOP a step, floor 10 s an image" in text
        assert "0.98" in text
        assert "out of memory (placing): OutOfMemoryError: CUDA out of memory" in text
        assert "not tried: it needs bitsandbytes" in text
        assert "reckoned from 4 steps" in text
        assert "driver keeps" in text

    def test_a_limit_that_nothing_fits_says_so(self, project: Path) -> None:
        """Without a best."""
        assert "4 GiB: does not fit in any placement" in "\n".join(probe_table.lines(probed(project, Machine(), limits=(4 * GIB,))))

    def test_the_page_states_when_where_and_how(self, project: Path) -> None:
        """A table that Markdown can read: as many cells in every row."""
        found = probed(project, Machine())
        found = replace(found, rows=(*found.rows, Row(card="one", limit=GIB, placement="x", tried=Tried(verdict=ERROR, why="a|b"))))
        text = "\n".join(probe_table.markdown(found, "swapgate probe one --vram=24GiB"))
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
        assert len(rows) == 2 + 15
        assert f"# Which placements fit, {found.date}" in text
        assert "swapgate probe one --vram=24GiB" in text
        assert "Device: H200" in text
        assert "a\\|b" in text

    def test_json_has_every_figure(self, project: Path) -> None:
        """Of rows, cards and the device."""
        data = json.loads(json.dumps(probed(project, Machine()).as_json()))
        assert data["rows"][0]["placement"] == "all on the device"
        assert data["rows"][7]["times_floor"] == pytest.approx(2.03)
        assert data["cards"]["one"]["flops_per_step"] == 1.4e14
        assert data["device"]["rate"] == 7e14


class TestCommand:
    """Options and exit status."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("24GiB", (24576.0,)), ("24", (24576.0,)), ("24GiB, 80gib,24GiB", (24576.0, 81920.0)), ("512MiB", (512.0,)), ("24GB", (24e9 / 2**20,))],
    )
    def test_sizes_are_read_with_their_unit(self, text: str, expected: tuple[float, ...]) -> None:
        """A bare number is GiB, as cards are sold."""
        assert command.limits_of(text) == pytest.approx(expected)

    @pytest.mark.parametrize("text", ["", "many", "24TiB", "0GiB", "-3GiB", "24 GiB 3"])
    def test_other_sizes_are_mistakes(self, text: str) -> None:
        """With what to write."""
        with pytest.raises(UserError, match="--vram=24GiB"):
            command.limits_of(text)

    def test_the_size_of_the_image(self) -> None:
        """Multiples of 16, as pipelines have it."""
        assert command.size_of("") is None
        assert command.size_of("1024x768") == (1024, 768)
        for text in ("1024", "1000x1024", "0x0", "1024x768x3"):
            with pytest.raises(UserError, match="multiples of 16"):
                command.size_of(text)

    def test_placements_by_name(self) -> None:
        """In their own order."""
        assert command.placements_of("") == PLACEMENTS
        assert [one.name for one in command.placements_of("group offload, fp8")] == ["fp8", "group offload"]
        with pytest.raises(UserError, match="correct the name"):
            command.placements_of("fp9")

    @pytest.mark.parametrize("option", [["--steps=1"], ["--json", "--markdown"], ["--vram=x"], ["--placement=x"]])
    def test_a_mistake_is_told_before_anything_starts(self, option: list[str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit status 2."""
        assert main(["probe", "one", *option]) == 2
        assert "remedy" in capsys.readouterr().err

    @pytest.mark.parametrize(("limit", "status"), [("24GiB", 0), ("4GiB", 1)])
    def test_the_exit_status_says_whether_it_fits(
        self, limit: str, status: int, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And progress goes to stderr."""
        machine = Machine()
        monkeypatch.setattr("swapgate.suite.probe.probe", lambda config, asked, tell: probe(config, asked, start=machine.start, tell=tell))
        assert main(["probe", "one", f"--vram={limit}", "--json"]) == status
        told = capsys.readouterr()
        assert len(json.loads(told.out)["rows"]) == 7
        assert f"[7/7] one, group offload, {limit.replace('G', ' G')}" in told.err


def test_a_bundled_model_is_probed_in_real_processes() -> None:
    """On the CPU, which limits nothing: the way from the card to the table, with a placement that needs a GPU among them."""
    placements = (PLACEMENTS[0], PLACEMENTS[3])
    found = probe(find_config(ROOT), Asked(cards=("standin-flux",), limits=(GIB,), placements=placements, steps=2, device="cpu"))
    plain, offloaded = found.rows
    assert plain.fits
    assert not found.subjects[0].card.dry
    assert plain.ratio is not None
    assert plain.ratio > 1.0
    assert offloaded.tried.verdict == ERROR
    assert "CUDA device" in offloaded.tried.why
    assert found.whole
    assert any("all on the device" in line for line in probe_table.lines(found))


def test_sizes_are_written_short() -> None:
    """In GiB."""
    assert [in_gib(mib) for mib in (24576.0, 512.0, 24e9 / 2**20)] == ["24 GiB", "0.5 GiB", "22.35 GiB"]

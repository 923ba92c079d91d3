"""What computes: memory by an estimate, device and driver, packages; and the command as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swapgate.cli.main import main
from swapgate.engines.dry.counts import PARAMETERS
from swapgate.suite.doctor import equipment
from swapgate.suite.doctor import machine as machines
from swapgate.suite.doctor.memory import GIB

ROOT = Path(__file__).parents[4]
PUBLISHED_JUDGE = 'judge = { source = "ViT-B-32-SigLIP2-256", pretrained = "webli" }'
CARD = """\
engine = "diffusers"
source = "black-forest-labs/FLUX.1-dev"
pipeline = "FluxPipeline"
licence = "non-commercial"
gated = true
download_gib = 31.4
tasks = ["f"]
judge = { source = "scripted" }
"""


def need(run: Any, card: str) -> str:
    """The line about memory."""
    (line,) = run.checks(run(card)[1], "memory")
    return str(line)


class TestMemory:
    """The estimate against the device."""

    def test_the_published_sizes_are_counted_where_no_file_is_here(self, run: Any) -> None:
        """31.4 GiB of FLUX.1-dev in bfloat16, and what one picture is worked with."""
        count = sum(PARAMETERS["flux-1-dev"].values())
        line = need(run, CARD)
        assert line.startswith("ok ")
        assert f"({count * 2 / GIB:.1f} GiB of weights), all on the device; 139.0 GiB free of 140.0 GiB of NVIDIA H200" in line

    def test_weights_that_are_here_are_counted_as_loaded(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Float32 on the disk is bfloat16 on the device; other kinds stay as they are."""
        wide = run.tensor(tmp_path / "wide.safetensors", floats=64 * 2**20 // 4, dtype="F32")
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": wide})
        assert "(32 MiB of weights)" in need(run, CARD)

    @pytest.mark.parametrize(
        ("total", "fits"),
        [
            (32, ['quantisation.method = "fp8"', 'options.offload = "model"', 'quantisation.method = "nf4"']),
            (16, ['options.offload = "model" with quantisation.method = "fp8"', 'options.offload = "group"']),
            (6, ['options.offload = "group"']),
        ],
    )
    def test_a_smaller_device_says_which_placements_would_fit(self, total: int, fits: list[str], run: Any) -> None:
        """The fastest first."""
        run.gpus((total, total))
        run.host(256)
        line = need(run, CARD)
        assert line.startswith("no ")
        named = [way.partition(" (")[0] for way in line.partition("would fit: ")[2].split("; ")]
        assert [way for way in named if way in fits] == fits
        assert "all on the device" not in named

    def test_a_device_that_nothing_fits(self, run: Any) -> None:
        """Less work, or another device."""
        run.gpus((4, 4))
        assert "no placement would fit" in need(run, CARD)

    def test_offloading_needs_the_host_s_memory(self, run: Any) -> None:
        """A card that asks for it is refused on a small host, and it is not proposed there."""
        run.host(8)
        line = need(run, CARD + 'options = { offload = "model" }\n')
        assert line.startswith("no ")
        assert "of the host's memory" in line
        run.gpus((32, 32))
        assert "offload" not in need(run, CARD)

    def test_a_card_that_fits_and_a_device_that_others_hold(self, run: Any) -> None:
        """Total and free are two questions with two remedies."""
        run.gpus((80, 10))
        line = need(run, CARD)
        assert line.startswith("no ")
        assert line.endswith("(nvidia-smi lists it)")
        run.gpus((36, 36))
        assert need(run, CARD).startswith("note ")

    def test_several_devices_carry_it_together(self, run: Any) -> None:
        """Where one would not; and a card that asks for them is held against their sum."""
        run.gpus((24, 24), (24, 24))
        assert 'options.device_map = "balanced"' in need(run, CARD)
        line = need(run, CARD + 'options = { device_map = "balanced" }\n')
        assert line.startswith("ok ")
        assert "of 2 devices together" in line

    def test_pictures_of_a_call_and_pixels_count(self, run: Any, tmp_path: Path) -> None:
        """Four pictures are worked with at once, unless they are decoded one by one."""
        one = need(run, CARD)
        tasks = tmp_path / "project" / "fixtures" / "tasks" / "f.toml"
        tasks.write_text("images_per_round = 4\n" + tasks.read_text(encoding="utf-8"), encoding="utf-8")
        four, sliced = need(run, CARD), need(run, CARD + "options = { vae_slicing = true }\n")
        figures = [float(line.partition("about ")[2].split()[0]) for line in (one, sliced, four)]
        assert figures == sorted(figures)
        assert figures[2] - figures[0] == pytest.approx(3 * 2.7, abs=0.2)

    def test_a_model_of_unknown_size_is_a_note(self, run: Any) -> None:
        """No guess."""
        line = need(run, CARD.replace("black-forest-labs/FLUX.1-dev", "some/model"))
        assert line.startswith("note ")
        assert "unknown" in line


class TestDevice:
    """Driver, CUDA and torch."""

    def test_a_machine_without_a_gpu(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """A card for any device would run on the CPU; one for CUDA not at all."""
        cache.pipeline(tmp_path)
        run.no_driver()
        status, out = run(CARD)
        assert status == 0
        assert "NVML cannot be used (NvmlError: no driver): it would run on the CPU, in float32" in run.checks(out, "device")[0]
        status, out = run(CARD + 'device = "cuda"\n')
        assert status == 1
        assert run.checks(out, "device")[0].startswith("no ")

    def test_cuda_visible_devices_may_leave_none(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reason names the variable."""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert "CUDA_VISIBLE_DEVICES" in run.checks(run(CARD)[1], "device")[0]

    @pytest.mark.parametrize(
        ("built", "cuda", "said"),
        [
            ("", 13000, "torch 2.11 is built without CUDA -> install a torch that is built for CUDA 13.0 or older"),
            ("13.0", 12080, "driver 580.65.06 runs CUDA 12.8 -> update the driver, or install a torch for CUDA 12"),
        ],
    )
    def test_torch_and_driver_must_go_together(self, built: str, cuda: int, said: str, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read from files; torch is not imported for it."""
        run.gpus((140, 140), cuda=cuda)
        monkeypatch.setattr(machines, "_torch", lambda: ("2.11", built))
        (line,) = run.checks(run(CARD)[1], "device")
        assert line.startswith("no ")
        assert said in line

    def test_what_torch_was_built_for_is_read_from_its_version_file(self) -> None:
        """As torch itself says it."""
        import torch

        assert machines._torch() == (torch.__version__, torch.version.cuda or "")


class TestPackages:
    """What is installed."""

    def test_what_a_card_s_parts_need(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """One command for all that is missing."""
        monkeypatch.setattr(equipment, "installed", lambda module: module not in ("peft", "bitsandbytes", "flash_attn"))
        more = '[options]\nattention = "flash"\n[quantisation]\nmethod = "nf4"\n[[lora]]\nsource = "some/lora"\n'
        (line,) = run.checks(run(CARD + more)[1], "packages")
        assert line.startswith("no ")
        assert line.endswith("-> pip install peft bitsandbytes flash-attn")

    def test_a_pipeline_that_this_diffusers_does_not_have(self, run: Any) -> None:
        """Named, without importing it."""
        (line,) = run.checks(run(CARD.replace('"FluxPipeline"', '"FluxxPipeline"'))[1], "packages")
        assert "has no FluxxPipeline" in line
        (line,) = run.checks(run(CARD)[1], "packages")
        assert line.startswith("ok ")

    def test_the_packages_of_quantisation_are_those_that_the_engine_asks_for(self) -> None:
        """The table stands twice, since the engine's module imports torch."""
        from swapgate.engines.quantising import NEEDS

        assert dict(equipment.METHODS) == dict(NEEDS)


class TestCommand:
    """The command itself."""

    def test_json_has_the_same_facts(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """For programs."""
        cache.pipeline(tmp_path)
        status, out = run(CARD, "m", "--json")
        found: dict[str, Any] = json.loads(out)
        assert status == 0
        assert found["cards"][0]["runs"] is True
        assert {"name", "state", "said", "remedy"} == set(found["cards"][0]["checks"][0])
        assert found["machine"]["gpus"] == [{"uuid": "GPU-0", "name": "NVIDIA H200", "total_mib": 140 * 1024, "free_mib": 139 * 1024}]

    def test_a_card_that_does_not_exist(self, run: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """With the nearest name."""
        run(CARD)
        assert main(["doctor", "mm"]) == 2
        assert "did you mean 'm'" in capsys.readouterr().err

    def test_every_line_that_is_in_the_way_ends_with_its_remedy(self, run: Any) -> None:
        """What to do is never left out."""
        run.gpus((8, 8))
        _, out = run(CARD.replace('judge = { source = "scripted" }', PUBLISHED_JUDGE))
        lines = [line for line in out.splitlines() if line.strip().startswith(("no ", "note "))]
        assert len(lines) > 3
        assert all(line.partition(" -> ")[2] for line in lines)

    def test_the_bundled_cards_are_looked_at_without_torch(self) -> None:
        """In an interpreter of its own: the stand-ins run, and nothing heavy is loaded."""
        code = (
            "import sys; from swapgate.cli.main import main; status = main(['doctor', 'standin-qwen', 'standin-flux']);"
            "heavy = {'torch', 'diffusers', 'transformers', 'open_clip', 'huggingface_hub', 'numpy'} & set(sys.modules); print(status, sorted(heavy))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=600)
        assert done.stdout.splitlines()[-1] == "0 []", done.stdout

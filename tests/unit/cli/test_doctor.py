"""`swapgate doctor` on machines of every kind: the Hub's cache as folders of its layout, NVML as a module that stands for it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swapgate.cli.main import main
from swapgate.engines.dry.counts import PARAMETERS
from swapgate.suite.doctor import equipment, judge
from swapgate.suite.doctor import machine as machines
from swapgate.suite.doctor.memory import GIB

ROOT = Path(__file__).parents[3]
COMMIT = "1234567890abcdef1234567890abcdef12345678"
OTHER = "fedcba0987654321fedcba0987654321fedcba09"
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
TASK = '[[task]]\nid = "cup"\nseeds = [1]\nwidth = 1024\nheight = 1024\nprompts = { en = "a cup" }\n'
INDEX = {
    "_class_name": "FluxPipeline",
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "image_encoder": [None, None],
}
Run = Callable[..., tuple[int, str]]


class NvmlError(Exception):
    """As pynvml's."""


def nvml(
    *sizes: tuple[float, float], driver: str = "580.65.06", cuda: int = 13000, names: str = "NVIDIA H200", error: Exception | None = None
) -> SimpleNamespace:
    """A module that stands for pynvml: (total, free) GiB of each device."""

    def init() -> None:
        if error:
            raise error

    def memory(handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=int(sizes[handle][0] * GIB), free=int(sizes[handle][1] * GIB))

    def whole(handle: int) -> tuple[int, int]:
        return (0, 0)

    return SimpleNamespace(
        NVMLError=NvmlError,
        NVML_DEVICE_MIG_ENABLE=1,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: driver,
        nvmlSystemGetCudaDriverVersion=lambda: cuda,
        nvmlDeviceGetCount=lambda: len(sizes),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: int(uuid.removeprefix("GPU-")),
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}",
        nvmlDeviceGetName=lambda handle: names.encode(),
        nvmlDeviceGetMigMode=whole,
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 0,
        nvmlDeviceGetMemoryInfo=memory,
    )


def tensor_file(path: Path, *, floats: int = 1000, dtype: str = "BF16", cut: int = 0) -> Path:
    """A safetensors file of so many elements; `cut` bytes are missing at its end."""
    size = floats * {"BF16": 2, "F32": 4, "I8": 1}[dtype]
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": dtype, "shape": [floats], "data_offsets": [0, size]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((struct.pack("<Q", len(header)) + header + bytes(size))[: 8 + len(header) + size - cut])
    return path


class Cache:
    """The Hub's cache in a folder: blobs, snapshots of links to them, refs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def repository(self, source: str) -> Path:
        return self.folder / f"models--{source.replace('/', '--')}"

    def add(self, source: str, files: Mapping[str, bytes], *, commit: str = COMMIT, ref: str | None = "main") -> Path:
        """Files of an id at a commit; `ref` points to it."""
        repository = self.repository(source)
        for name, content in files.items():
            blob, link = repository / "blobs" / f"{commit[:8]}-{name.replace('/', '-')}", repository / "snapshots" / commit / name
            blob.parent.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(content)
            link.symlink_to(blob)
        if ref:
            (repository / "refs").mkdir(exist_ok=True)
            (repository / "refs" / ref).write_text(commit, encoding="utf-8")
        return repository / "snapshots" / commit

    def pipeline(self, tmp: Path, source: str = "black-forest-labs/FLUX.1-dev", **changes: bytes | None) -> Path:
        """A whole small pipeline; changes by name with "__" for "/", None to leave a file out."""
        weights = tensor_file(tmp / "w.safetensors").read_bytes()
        files = {
            "model_index.json": json.dumps(INDEX).encode(),
            "transformer/config.json": b"{}",
            "transformer/diffusion_pytorch_model.safetensors": weights,
            "scheduler/scheduler_config.json": b"{}",
            "tokenizer/vocab.json": b"{}",
            **{name.replace("__", "/"): content for name, content in changes.items()},
        }
        return self.add(source, {name: content for name, content in files.items() if content is not None})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty cache; nobody is logged in, downloads are allowed, torch is built for CUDA."""
    for name in ("HF_HOME", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "SWAPGATE_ALLOW_PICKLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(machines, "_torch", lambda: ("2.11.0+cu130", "13.0"))
    monkeypatch.setitem(sys.modules, "pynvml", nvml((140, 139)))
    return Cache(tmp_path / "hub")


@pytest.fixture
def run(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on a card of this text, and gives exit status and output."""
    project = tmp_path / "project"
    for folder in ("models", "tasks"):
        (project / "fixtures" / folder).mkdir(parents=True)
    (project / "fixtures" / "tasks" / "f.toml").write_text(TASK, encoding="utf-8")
    (project / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.chdir(project)

    def doctor(card: str = CARD, *arguments: str) -> tuple[int, str]:
        (project / "fixtures" / "models" / "m.toml").write_text(card, encoding="utf-8")
        status = main(["doctor", *(arguments or ("m",))])
        return status, capsys.readouterr().out

    return doctor


def checks(out: str, name: str) -> list[str]:
    """The lines of one check."""
    return [line.strip() for line in out.splitlines() if line.strip().split(" ")[0] in ("ok", "note", "no") and line.split()[1] == name]


class TestWeights:
    """Files of a Hub id or folder."""

    def test_what_is_not_here_says_size_room_command_and_gate(self, run: Run) -> None:
        """The command fetches the components and not the single file with all of them beside."""
        status, out = run()
        assert status == 1
        (weights,) = checks(out, "weights")
        assert weights.startswith("no ")
        assert weights.endswith("-> hf download black-forest-labs/FLUX.1-dev --include '*/*' --include model_index.json")
        assert "31.4 GiB to fetch" in checks(out, "disk")[0]
        (licence,) = checks(out, "licence")
        assert licence.startswith("no ")
        assert "https://huggingface.co/black-forest-labs/FLUX.1-dev, then hf auth login" in licence
        assert out.endswith("0 of 1 cards can run here\n")

    @pytest.mark.parametrize("way", ["variable", "file"])
    def test_a_token_opens_the_gate_once_the_licence_is_accepted(self, way: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the environment or by hf auth login; the token is never shown."""
        if way == "variable":
            monkeypatch.setenv("HF_TOKEN", "hf_secret")
        else:
            (tmp_path / "token").write_text("hf_secret", encoding="utf-8")
        _, out = run()
        (licence,) = checks(out, "licence")
        assert licence.startswith("note ")
        assert "hf_secret" not in out

    def test_a_whole_snapshot_runs_and_its_commit_is_shown_to_be_pinned(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Not pinned is a warning, and runs; no gate stands before what is here."""
        cache.pipeline(tmp_path)
        status, out = run()
        assert status == 0
        assert f"commit {COMMIT}" in checks(out, "weights")[0]
        (line,) = checks(out, "revision")
        assert line.startswith("note ")
        assert line.endswith(f'-> write revision = "{COMMIT}" in the card')
        assert checks(out, "licence") == checks(out, "disk") == []
        status, out = run(CARD + f'revision = "{COMMIT}"\n')
        assert status == 0
        assert checks(out, "revision") == []

    def test_another_commit_than_the_pinned_one_is_not_taken(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """It is named, since pinning it would do as well."""
        cache.pipeline(tmp_path)
        status, out = run(CARD + f'revision = "{OTHER}"\n')
        assert status == 1
        (weights,) = checks(out, "weights")
        assert f"not in the Hub's cache at {OTHER}; it has {COMMIT}" in weights
        assert weights.endswith(f"--revision {OTHER}")

    @pytest.mark.parametrize(
        ("changes", "lacks"),
        [
            ({"model_index.json": None}, "model_index.json"),
            ({"transformer__diffusion_pytorch_model.safetensors": None}, "transformer/*.safetensors"),
            ({"transformer__config.json": None}, "transformer/config.json"),
            ({"tokenizer__vocab.json": None}, "tokenizer/"),
        ],
    )
    def test_what_a_snapshot_lacks_is_named(self, changes: dict[str, None], lacks: str, run: Run, cache: Cache, tmp_path: Path) -> None:
        """A download that was broken off, or files that somebody removed."""
        cache.pipeline(tmp_path, **changes)
        status, out = run()
        assert status == 1
        assert f"it lacks {lacks}" in checks(out, "weights")[0]

    def test_every_shard_of_an_index_and_the_blob_behind_every_link_must_be_there(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """A link whose blob is gone is a missing file; an unfinished download goes on."""
        shards = {"a": "diffusion_pytorch_model-00001-of-00002.safetensors", "b": "diffusion_pytorch_model-00002-of-00002.safetensors"}
        content = tensor_file(tmp_path / "w.safetensors").read_bytes()
        snapshot = cache.pipeline(
            tmp_path,
            **{
                "transformer__diffusion_pytorch_model.safetensors": None,
                "transformer__diffusion_pytorch_model.safetensors.index.json": json.dumps({"weight_map": shards}).encode(),
                **{f"transformer__{name}": content for name in shards.values()},
            },
        )
        assert run()[0] == 0
        (snapshot / "transformer" / shards["b"]).resolve().unlink()
        (cache.repository("black-forest-labs/FLUX.1-dev") / "blobs" / "x.incomplete").write_bytes(b"")
        status, out = run()
        assert status == 1
        assert f"it lacks transformer/{shards['b']} -> it goes on where it stopped: hf download" in checks(out, "weights")[0]

    def test_a_file_that_was_cut_off_is_no_weights(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Its header says how long it is."""
        cut = tensor_file(tmp_path / "cut.safetensors", cut=1).read_bytes()
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": cut})
        status, out = run()
        assert status == 1
        assert "diffusion_pytorch_model.safetensors is cut off or damaged" in checks(out, "weights")[0]

    def test_pickles_need_the_card_s_and_the_run_s_word(self, run: Run, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reading them can run code."""
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": None, "transformer__diffusion_pytorch_model.bin": b"pickle"})
        status, out = run()
        assert status == 1
        assert checks(out, "pickle")[0].endswith("-> take safetensors, or trust them: options.pickle = true and pytest --allow-pickle")
        status, out = run(CARD + "options = { pickle = true }\n")
        assert status == 1
        assert "pytest --allow-pickle" in checks(out, "options")[0]
        monkeypatch.setenv("SWAPGATE_ALLOW_PICKLE", "1")
        status, out = run(CARD + "options = { pickle = true }\n")
        assert status == 0
        assert checks(out, "pickle")[0].startswith("note ")

    def test_a_folder_of_the_project_is_looked_at_as_well(self, run: Run, tmp_path: Path) -> None:
        """It has no commit to pin, and is mended by hand."""
        local = CARD.replace("black-forest-labs/FLUX.1-dev", "w/here/model").replace("gated = true\n", "")
        (tmp_path / "project" / "w" / "here" / "model").mkdir(parents=True)
        status, out = run(local)
        assert status == 1
        assert checks(out, "weights")[0].endswith("it lacks model_index.json -> put the missing files there, or name a Hub id")

    def test_the_disk_must_have_room(self, run: Run) -> None:
        """Before the download, not after half of it."""
        status, out = run(CARD.replace("31.4", "9000"))
        assert status == 1
        assert checks(out, "disk")[0].startswith("no ")
        assert "HF_HUB_CACHE" in checks(out, "disk")[0]
        _, out = run(CARD.replace("download_gib = 31.4\n", ""))
        assert "size of the download not stated" in checks(out, "disk")[0]

    def test_offline_the_command_turns_downloads_on(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else it would refuse, too."""
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert "-> HF_HUB_OFFLINE=0 hf download" in checks(run()[1], "weights")[0]


PARTS = """
[[lora]]
source = "some/lora"
weight_name = "style.safetensors"
[control]
source = "some/control"
model = "FluxControlNetModel"
image = "edges.png"
[refiner]
source = "some/refiner"
pipeline = "FluxImg2ImgPipeline"
architecture = "flux-1-dev"
call = { strength = 0.5, guidance_scale = 3.5 }
"""


class TestParts:
    """LoRAs, ControlNets, refiners, GGUF files."""

    def test_each_part_is_looked_for(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Missing, each by its own command; there, each with its commit."""
        (tmp_path / "project" / "edges.png").write_bytes(b"")
        cache.pipeline(tmp_path)
        status, out = run(CARD + PARTS)
        assert status == 1
        missing = [line for line in checks(out, "weights") if line.startswith("no ")]
        assert [line.partition(" -> ")[2] for line in missing] == [
            "hf download some/lora style.safetensors",
            "hf download some/control",
            "hf download some/refiner --include '*/*' --include model_index.json",
        ]
        content = tensor_file(tmp_path / "w.safetensors").read_bytes()
        cache.add("some/lora", {"style.safetensors": content})
        cache.add("some/control", {"config.json": b"{}", "diffusion_pytorch_model.safetensors": content})
        cache.pipeline(tmp_path, "some/refiner")
        status, out = run(CARD + PARTS)
        assert status == 0
        assert len(checks(out, "weights")) == len(checks(out, "revision")) == 4
        assert any(line.endswith(f'write revision = "{COMMIT}" under [control] in the card') for line in checks(out, "revision"))

    def test_a_lora_is_never_read_from_a_pickle(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Whatever the options say."""
        cache.pipeline(tmp_path)
        cache.add("some/lora", {"style.bin": b"x"})
        status, out = run(CARD + '[[lora]]\nsource = "some/lora"\nweight_name = "style.bin"\n')
        assert status == 1
        assert "a LoRA is never read from a pickle" in checks(out, "pickle")[0]

    def test_a_gguf_file_stands_for_the_transformer(self, run: Run, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The pipeline's own transformer need not be here, its config does."""
        monkeypatch.setattr(equipment, "installed", lambda module: True)
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": None})
        gguf = CARD + '[quantisation]\nmethod = "gguf"\nfile = "some/gguf/model-Q4.gguf"\n'
        status, out = run(gguf)
        assert status == 1
        assert next(line for line in checks(out, "weights") if line.startswith("no ")).endswith("-> hf download some/gguf model-Q4.gguf")
        cache.add("some/gguf", {"model-Q4.gguf": b"weights"})
        assert run(gguf)[0] == 0


class TestMemory:
    """The estimate against the device."""

    def need(self, out: str) -> str:
        (line,) = checks(out, "memory")
        return line

    def test_the_published_sizes_are_counted_where_no_file_is_here(self, run: Run) -> None:
        """31.4 GiB of FLUX.1-dev in bfloat16, and what one picture is worked with."""
        count = sum(PARAMETERS["flux-1-dev"].values())
        line = self.need(run()[1])
        assert line.startswith("ok ")
        assert f"({count * 2 / GIB:.1f} GiB of weights), all on the device; 139.0 GiB free of 140.0 GiB of NVIDIA H200" in line

    def test_weights_that_are_here_are_counted_as_loaded(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Float32 on the disk is bfloat16 on the device; other kinds stay as they are."""
        wide = tensor_file(tmp_path / "wide.safetensors", floats=512 * 2**20 // 4, dtype="F32").read_bytes()
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": wide})
        assert "(0.2 GiB of weights)" in self.need(run()[1])

    @pytest.mark.parametrize(
        ("total", "fits"),
        [
            (32, ['quantisation.method = "fp8"', 'options.offload = "model"', 'quantisation.method = "nf4"']),
            (16, ['options.offload = "model" with quantisation.method = "fp8"', 'options.offload = "group"']),
            (6, ['options.offload = "group"']),
        ],
    )
    def test_a_smaller_device_says_which_placements_would_fit(self, total: int, fits: list[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """The fastest first."""
        monkeypatch.setitem(sys.modules, "pynvml", nvml((total, total)))
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=256 * GIB, total=256 * GIB))
        line = self.need(run()[1])
        assert line.startswith("no ")
        named = [way.partition(" (")[0] for way in line.partition("would fit: ")[2].split("; ")]
        assert [way for way in named if way in fits] == fits
        assert "all on the device" not in named

    def test_a_device_that_nothing_fits(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Less work, or another device."""
        monkeypatch.setitem(sys.modules, "pynvml", nvml((4, 4)))
        assert "no placement would fit" in self.need(run()[1])

    def test_offloading_needs_the_host_s_memory(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """A card that asks for it is refused on a small host, and it is not proposed there."""
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=8 * GIB, total=8 * GIB))
        line = self.need(run(CARD + 'options = { offload = "model" }\n')[1])
        assert line.startswith("no ")
        assert "of the host's memory" in line
        monkeypatch.setitem(sys.modules, "pynvml", nvml((32, 32)))
        assert "offload" not in self.need(run()[1])

    def test_a_card_that_fits_and_a_device_that_others_hold(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Total and free are two questions with two remedies."""
        monkeypatch.setitem(sys.modules, "pynvml", nvml((80, 10)))
        line = self.need(run()[1])
        assert line.startswith("no ")
        assert line.endswith("(nvidia-smi lists it)")
        monkeypatch.setitem(sys.modules, "pynvml", nvml((36, 36)))
        assert self.need(run()[1]).startswith("note ")

    def test_several_devices_carry_it_together(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where one would not; and a card that asks for them is held against their sum."""
        monkeypatch.setitem(sys.modules, "pynvml", nvml((24, 24), (24, 24)))
        assert 'options.device_map = "balanced"' in self.need(run()[1])
        line = self.need(run(CARD + 'options = { device_map = "balanced" }\n')[1])
        assert line.startswith("ok ")
        assert "of 2 devices together" in line

    def test_pictures_of_a_call_and_pixels_count(self, run: Run, tmp_path: Path) -> None:
        """Four pictures are worked with at once, unless they are decoded one by one."""
        one = self.need(run()[1])
        tasks = tmp_path / "project" / "fixtures" / "tasks" / "f.toml"
        tasks.write_text("images_per_round = 4\n" + TASK, encoding="utf-8")
        four, sliced = self.need(run()[1]), self.need(run(CARD + "options = { vae_slicing = true }\n")[1])
        figures = [float(line.partition("about ")[2].split()[0]) for line in (one, sliced, four)]
        assert figures == sorted(figures)
        assert figures[2] - figures[0] == pytest.approx(3 * 2.7, abs=0.2)

    def test_a_model_of_unknown_size_is_a_note(self, run: Run) -> None:
        """No guess."""
        line = self.need(run(CARD.replace("black-forest-labs/FLUX.1-dev", "some/model"))[1])
        assert line.startswith("note ")
        assert "unknown" in line


class TestDevice:
    """Driver, CUDA and torch."""

    def test_a_machine_without_a_gpu(self, run: Run, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A card for any device would run on the CPU; one for CUDA not at all."""
        cache.pipeline(tmp_path)
        monkeypatch.setitem(sys.modules, "pynvml", nvml(error=NvmlError("no driver")))
        status, out = run()
        assert status == 0
        assert "NVML cannot be used (NvmlError: no driver): it would run on the CPU, in float32" in checks(out, "device")[0]
        status, out = run(CARD + 'device = "cuda"\n')
        assert status == 1
        assert checks(out, "device")[0].startswith("no ")

    def test_cuda_visible_devices_may_leave_none(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reason names the variable."""
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert "CUDA_VISIBLE_DEVICES" in checks(run()[1], "device")[0]

    @pytest.mark.parametrize(
        ("built", "cuda", "said"),
        [
            ("", 13000, "torch 2.11 is built without CUDA -> install a torch that is built for CUDA 13.0 or older"),
            ("13.0", 12080, "driver 580.65.06 runs CUDA 12.8 -> update the driver, or install a torch for CUDA 12"),
        ],
    )
    def test_torch_and_driver_must_go_together(self, built: str, cuda: int, said: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read from files; torch is not imported for it."""
        monkeypatch.setitem(sys.modules, "pynvml", nvml((140, 140), cuda=cuda))
        monkeypatch.setattr(machines, "_torch", lambda: ("2.11", built))
        (line,) = checks(run()[1], "device")
        assert line.startswith("no ")
        assert said in line

    def test_what_torch_was_built_for_is_read_from_its_version_file(self) -> None:
        """As torch itself says it."""
        import torch

        assert machines._torch() == (torch.__version__, torch.version.cuda or "")


class TestPackages:
    """What is installed."""

    def test_what_a_card_s_parts_need(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """One command for all that is missing."""
        monkeypatch.setattr(equipment, "installed", lambda module: module not in ("peft", "bitsandbytes", "flash_attn"))
        more = '[options]\nattention = "flash"\n[quantisation]\nmethod = "nf4"\n[[lora]]\nsource = "some/lora"\n'
        (line,) = checks(run(CARD + more)[1], "packages")
        assert line.startswith("no ")
        assert line.endswith("-> pip install peft bitsandbytes flash-attn")

    def test_a_pipeline_that_this_diffusers_does_not_have(self, run: Run) -> None:
        """Named, without importing it."""
        (line,) = checks(run(CARD.replace('"FluxPipeline"', '"FluxxPipeline"'))[1], "packages")
        assert "has no FluxxPipeline" in line
        (line,) = checks(run()[1], "packages")
        assert line.startswith("ok ")

    def test_the_packages_of_quantisation_are_those_that_the_engine_asks_for(self) -> None:
        """The table stands twice, since the engine's module imports torch."""
        from swapgate.engines.quantising import NEEDS

        assert dict(equipment.METHODS) == dict(NEEDS)


class TestJudge:
    """The judge's weights."""

    PUBLISHED = CARD.replace('{ source = "scripted" }', '{ source = "ViT-B-32-SigLIP2-256", pretrained = "webli" }')

    def test_a_published_judge_is_looked_for_where_open_clip_has_it_from(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Weights and tokenizer."""
        cache.pipeline(tmp_path)
        status, out = run(self.PUBLISHED)
        assert status == 1
        assert checks(out, "judge")[0].endswith("-> hf download timm/ViT-B-32-SigLIP2-256")
        cache.add("timm/ViT-B-32-SigLIP2-256", {"open_clip_model.safetensors": b"x"})
        assert "tokenizer" in checks(run(self.PUBLISHED)[1], "judge")[0]
        cache.add("timm/ViT-B-32-SigLIP2-256", {"tokenizer.json": b"{}"})
        assert run(self.PUBLISHED)[0] == 0

    def test_open_clip_s_table_is_read_as_open_clip_reads_it(self) -> None:
        """The id of every judge of the bundled cards, and none for a name that has none."""
        from open_clip.pretrained import get_pretrained_cfg

        for name, tag in (("ViT-B-32-SigLIP2-256", "webli"), ("ViT-B-16-SigLIP2-512", "webli"), ("ViT-B-32", "laion2b_s34b_b79k")):
            assert judge.hub_id(name, tag) == str(get_pretrained_cfg(name, tag)["hf_hub"]).strip("/")
        assert judge.hub_id("no-such-model", "webli") == ""

    def test_a_judge_in_a_folder_must_have_its_weights(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """Its configuration was checked with the card."""
        cache.pipeline(tmp_path)
        folder = tmp_path / "project" / "judge"
        folder.mkdir()
        (folder / "open_clip_config.json").write_text("{}", encoding="utf-8")
        status, out = run(CARD.replace('"scripted"', '"judge"'))
        assert status == 1
        assert "judge lacks open_clip_model.safetensors" in checks(out, "judge")[0]


class TestDry:
    """Random weights."""

    def test_nothing_is_fetched_and_no_licence_or_judge_asked_for(self, run: Run) -> None:
        """Only memory, device and packages matter."""
        for status, out in (run(CARD, "m", "--dry-weights"), run(CARD + 'weights = "dry"\n')):
            assert status == 0
            assert "dry: drawn on the device" in checks(out, "weights")[0]
            assert not any(checks(out, name) for name in ("licence", "disk", "judge", "revision"))

    @pytest.mark.parametrize(
        ("card", "said"),
        [
            (CARD.replace("black-forest-labs/FLUX.1-dev", "some/model"), "dry weights need its sizes -> hf download some/model --include"),
            (CARD + '[quantisation]\nmethod = "gguf"\nfile = "a/b/c.gguf"\n', "there are no dry ones of it"),
        ],
    )
    def test_what_cannot_be_drawn(self, card: str, said: str, run: Run) -> None:
        """Unknown sizes, and a file that is weights."""
        status, out = run(card, "m", "--dry-weights")
        assert status == 1
        assert said in checks(out, "weights")[0]


class TestCommand:
    """The command itself."""

    def test_json_has_the_same_facts(self, run: Run, cache: Cache, tmp_path: Path) -> None:
        """For programs."""
        cache.pipeline(tmp_path)
        status, out = run(CARD, "m", "--json")
        found: dict[str, Any] = json.loads(out)
        assert status == 0
        assert found["cards"][0]["runs"] is True
        assert {"name", "state", "said", "remedy"} == set(found["cards"][0]["checks"][0])
        assert found["machine"]["gpus"] == [{"uuid": "GPU-0", "name": "NVIDIA H200", "total_mib": 140 * 1024, "free_mib": 139 * 1024}]

    def test_a_card_that_does_not_exist(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        """With the nearest name."""
        run()
        assert main(["doctor", "mm"]) == 2
        assert "did you mean 'm'" in capsys.readouterr().err

    def test_every_line_that_is_in_the_way_ends_with_its_remedy(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """What to do is never left out."""
        monkeypatch.setitem(sys.modules, "pynvml", nvml((8, 8)))
        _, out = run(TestJudge.PUBLISHED)
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

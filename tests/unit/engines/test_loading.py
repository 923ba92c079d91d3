"""A folder that is streamed gives the pipeline that the libraries give, bit for bit; a damaged one says what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline, FluxImg2ImgPipeline
from safetensors.torch import load_file, save_file

from swapgate.engines.loading import Loaded, load_pipeline
from swapgate.errors import UserError

CPU = torch.device("cpu")
STANDINS = Path(__file__).parents[3] / "fixtures" / "weights"
MODELS = {
    "standin-flux": ("text_encoder", "text_encoder_2", "transformer", "vae"),
    "standin-qwen": ("text_encoder", "transformer", "vae"),
}


def plain(folder: Path, dtype: torch.dtype = torch.float32, **more: Any) -> Any:
    """As the libraries load it."""
    return DiffusionPipeline.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True, **more)


def streamed(folder: Path, dtype: torch.dtype = torch.float32, **more: Any) -> Loaded:
    """As it is read here."""
    return load_pipeline(DiffusionPipeline, folder, dtype=dtype, device=CPU, stream=True, **more)


def tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters, buffers, and tables that are plain attributes, such as those of rotary embeddings."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)
    for path, module in model.named_modules():
        yield from ((f"{path}.{name}", value) for name, value in vars(module).items() if isinstance(value, torch.Tensor))


def settings(model: Any) -> dict[str, Any]:
    """Its config; where it came from counts, too."""
    config = model.config
    return dict(config.to_dict()) if hasattr(config, "to_dict") else dict(config)


def assert_equal(one: Any, other: Any) -> None:
    """Same parts, and same tensors in them."""
    assert type(one) is type(other)
    assert one.components.keys() == other.components.keys()
    compared = 0
    for name, model in one.components.items():
        assert type(model) is type(other.components[name])
        if isinstance(model, torch.nn.Module):
            mine, theirs = dict(tensors(model)), dict(tensors(other.components[name]))
            assert mine.keys() == theirs.keys()
            for key, value in mine.items():
                assert (value.dtype, value.shape, value.requires_grad) == (theirs[key].dtype, theirs[key].shape, theirs[key].requires_grad), key
                assert torch.equal(value, theirs[key]), key
            assert model.training == other.components[name].training
            assert settings(model) == settings(other.components[name])
            compared += len(mine)
    assert compared > 100


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest) -> Path:
    """A stand-in as it is bundled."""
    return STANDINS / str(request.param)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of a stand-in that may be damaged."""
    return Path(shutil.copytree(folder, tmp_path / folder.name))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Saves a pipeline anew, with other shards, dtype or variant."""

    def save(folder: Path, dtype: torch.dtype = torch.float32, **more: Any) -> Path:
        plain(folder, dtype).save_pretrained(tmp_path / "saved", safe_serialization=True, **more)
        return tmp_path / "saved"

    return save


def edit(file: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Changes the tensors of a file."""
    content = load_file(file)
    change(content)
    save_file(content, file, metadata={"format": "pt"})


class TestSame:
    """All parameters, buffers, tables and settings are those of the libraries' own loading."""

    def test_a_standin(self, folder: Path) -> None:
        """As it is bundled: one file a model."""
        loaded = streamed(folder)
        assert (sorted(loaded.streamed), loaded.notes) == (sorted(MODELS[folder.name]), ())
        assert_equal(loaded.pipe, plain(folder))

    def test_a_standin_from_the_page_cache(self, folder: Path) -> None:
        """Without copies in between."""
        assert_equal(streamed(folder, lock=True).pipe, plain(folder))

    def test_shards(self, folder: Path, saved: Callable[..., Path]) -> None:
        """As `save_pretrained` writes large models."""
        sharded = saved(folder, max_shard_size="300KB")
        assert len(list(sharded.rglob("*-of-*.safetensors"))) > 10
        loaded = streamed(sharded)
        assert len(loaded.streamed) == len(MODELS[folder.name])
        assert_equal(loaded.pipe, plain(sharded))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_another_dtype_than_that_of_the_files(self, folder: Path, dtype: torch.dtype) -> None:
        """Cast as the libraries do, T5's kept float32 among them."""
        assert_equal(streamed(folder, dtype).pipe, plain(folder, dtype))

    def test_files_of_a_smaller_dtype(self, folder: Path, saved: Callable[..., Path]) -> None:
        """Cast to the larger one."""
        small = saved(folder, torch.bfloat16)
        assert_equal(streamed(small).pipe, plain(small))

    def test_a_variant(self, folder: Path, saved: Callable[..., Path]) -> None:
        """Only its files are read."""
        half = saved(folder, torch.float16, variant="fp16")
        loaded = streamed(half, torch.float16, variant="fp16")
        assert len(loaded.streamed) == len(MODELS[folder.name])
        assert_equal(loaded.pipe, plain(half, torch.float16, variant="fp16"))

    def test_the_pictures(self, folder: Path) -> None:
        """One step is enough to use every weight."""
        one, other = streamed(folder).pipe, plain(folder)
        made = [
            pipe("a red cup", width=64, height=64, num_inference_steps=1, generator=torch.Generator().manual_seed(1), output_type="pt").images
            for pipe in (one, other)
        ]
        assert torch.equal(*made)

    def test_another_pipeline_of_the_same_parts(self) -> None:
        """A class that the card names."""
        loaded = load_pipeline(FluxImg2ImgPipeline, STANDINS / "standin-flux", dtype=torch.float32, device=CPU, stream=True)
        assert type(loaded.pipe) is FluxImg2ImgPipeline
        assert len(loaded.streamed) == 4

    def test_a_part_that_is_there_is_not_read(self, folder: Path) -> None:
        """It is taken as it is given."""
        there = plain(folder).transformer
        loaded = streamed(folder, transformer=there)
        assert loaded.pipe.transformer is there
        assert "transformer" not in loaded.streamed
        assert len(loaded.streamed) == len(MODELS[folder.name]) - 1


class TestLeft:
    """What is not understood is loaded by the libraries, and a note says so."""

    def test_on_a_cpu_by_default(self, folder: Path) -> None:
        """It would be no faster."""
        loaded = load_pipeline(DiffusionPipeline, folder, dtype=torch.float32, device=CPU)
        assert loaded.streamed == ()
        assert "loaded by the libraries" in loaded.notes[0]
        assert_equal(loaded.pipe, plain(folder))

    def test_a_dtype_that_is_not_known(self, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The whole folder, here."""
        monkeypatch.setattr("swapgate.engines.tensor_files.DTYPES", {})
        loaded = streamed(copied)
        assert loaded.streamed == ()
        assert [" holds tensors of dtype " in note for note in loaded.notes] == [True] * len(MODELS[copied.name])
        assert_equal(loaded.pipe, plain(copied))

    def test_a_quantised_part(self, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its config says so. The libraries would want a GPU for it, so they are only asked for it."""
        config = copied / "transformer" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": {"quant_method": "bitsandbytes"}}))
        asked: dict[str, Any] = {}
        monkeypatch.setattr(DiffusionPipeline, "from_pretrained", lambda folder, **given: asked.update(given) or torch.nn.Module())
        loaded = streamed(copied)
        assert "transformer loaded by the libraries, since it is quantised" in loaded.notes[0]
        assert "vae" in asked
        assert "transformer" not in asked

    def test_two_files_that_could_be_its_weights(self, copied: Path) -> None:
        """The libraries differ in which they take."""
        file = "diffusion_pytorch_model.safetensors"
        index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(copied / "vae" / file), file)}
        (copied / "vae" / f"{file}.index.json").write_text(json.dumps(index))
        loaded = streamed(copied)
        assert loaded.notes == ("weights: vae loaded by the libraries, since 2 files could be its weights",)
        assert_equal(loaded.pipe, plain(copied))

    def test_a_class_that_loads_in_a_way_of_its_own(self, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may do more than read."""
        kind = type(plain(copied).vae)
        inherited: Any = kind.from_pretrained.__func__

        def own(cls: Any, *args: Any, **more: Any) -> Any:
            return inherited(cls, *args, **more)

        monkeypatch.setattr(kind, "from_pretrained", classmethod(own))
        loaded = streamed(copied)
        assert "has its own way to load" in loaded.notes[0]
        assert_equal(loaded.pipe, plain(copied))

    def test_a_variant_that_no_file_has(self, folder: Path) -> None:
        """The libraries say so."""
        with pytest.raises(ValueError, match="variant"):
            streamed(folder, variant="fp16")

    def test_no_pipeline(self, tmp_path: Path) -> None:
        """The libraries say so."""
        with pytest.raises(OSError, match="model_index"):
            streamed(tmp_path)


class TestDamaged:
    """Errors name the file or the tensor."""

    def weights(self, folder: Path, part: str) -> Path:
        """The one file of a part."""
        (file,) = (folder / part).glob("*.safetensors")
        return file

    @pytest.mark.parametrize("part", ["transformer", "text_encoder"])
    def test_a_file_that_was_cut_off(self, copied: Path, part: str) -> None:
        """Its header promises more."""
        file = self.weights(copied, part)
        size = file.stat().st_size
        with file.open("r+b") as opened:
            opened.truncate(size - 1000)
        with pytest.raises(UserError, match=f"a whole file: its header promises {size} bytes") as caught:
            streamed(copied)
        assert caught.value.where == str(file)

    @pytest.mark.parametrize("part", ["transformer", "text_encoder"])
    def test_a_tensor_that_is_missing(self, copied: Path, part: str) -> None:
        """The libraries would go on with random weights."""
        names: list[str] = []

        def drop(content: dict[str, torch.Tensor]) -> None:
            names.append(max(content))
            del content[names[0]]

        edit(self.weights(copied, part), drop)
        with pytest.raises(UserError, match="missing tensors") as caught:
            streamed(copied)
        assert names[0].split(".")[-2] in str(caught.value)

    @pytest.mark.parametrize("part", ["vae", "text_encoder"])
    def test_a_tensor_that_the_model_has_not(self, copied: Path, part: str) -> None:
        """The libraries would leave it out."""
        edit(self.weights(copied, part), lambda content: content.update({"of_another.model": torch.zeros(3)}))
        with pytest.raises(UserError, match=r"of_another\.model"):
            streamed(copied)

    @pytest.mark.parametrize("part", ["transformer", "text_encoder"])
    def test_a_tensor_of_another_shape(self, copied: Path, part: str) -> None:
        """Config and weights of different models."""

        def widen(content: dict[str, torch.Tensor]) -> None:
            name = min(content)
            content[name] = torch.cat([content[name], content[name]])

        edit(self.weights(copied, part), widen)
        with pytest.raises(UserError, match="shapes"):
            streamed(copied)

    def test_a_shard_that_is_missing(self, folder: Path, saved: Callable[..., Path]) -> None:
        """Its index names it."""
        sharded = saved(folder, max_shard_size="300KB")
        shard = sorted((sharded / "transformer").glob("*-of-*.safetensors"))[2]
        shard.unlink()
        with pytest.raises(UserError, match="every shard lies beside its index") as caught:
            streamed(sharded)
        assert shard.name in str(caught.value)


def test_nothing_of_the_process_is_changed(folder: Path) -> None:
    """Default dtype, warm-up of transformers, and the interpreter's switching are as before, after an error, too."""
    import sys

    import transformers

    before = torch.get_default_dtype(), transformers.modeling_utils.caching_allocator_warmup, sys.getswitchinterval()
    streamed(folder, torch.bfloat16)
    with pytest.raises(ValueError, match="variant"):
        streamed(folder, variant="none")
    assert before == (torch.get_default_dtype(), transformers.modeling_utils.caching_allocator_warmup, sys.getswitchinterval())

"""Shipped folders: what is written can be loaded plainly, is half precision, and its digests catch every change."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swapgate.errors import UserError
from swapgate.standins import folders, qwen, tokenizers
from swapgate.standins.training.bank import Wording, caption_texts, training_codes

SHAPE = qwen.QwenShape.tiny()


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """A tiny QwenImagePipeline with random weights."""
    torch.manual_seed(0)
    texts = caption_texts(training_codes(100, 3), (Wording(chinese=0.5, narrow=0),), 3, 1)[0]
    tokenizer = tokenizers.train_qwen(texts, size=700)
    transformer = qwen.build_transformer(SHAPE)
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    made = qwen.assemble(
        vae=qwen.build_vae(SHAPE), transformer=transformer, text_encoder=qwen.build_text_encoder(SHAPE, tokenizer),
        tokenizer=tokenizer, mu=0.4,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def folder(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline as shipped."""
    path = tmp_path_factory.mktemp("weights") / "standin-qwen"
    folders.save_pipeline(pipeline, path)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with two files and digests."""
    (tmp_path / "part").mkdir()
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    (tmp_path / "part" / "weights.safetensors").write_bytes(bytes(range(256)))
    folders.write_digests(tmp_path)
    return tmp_path


def drawn(pipeline: Any) -> torch.Tensor:
    """A picture of the pipeline from fixed noise."""
    return pipeline(
        "a cup", negative_prompt=" ", height=64, width=64, num_inference_steps=2, output_type="pt",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip


def tensor_types(path: Path) -> set[str]:
    """The number types in a safetensors file, read from its header by its published layout."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    return {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}


def test_weights_on_disk_are_half_precision(folder: Path) -> None:
    """Every weight file holds float16 and nothing else, and there are three of them."""
    files = list(folder.rglob("*.safetensors"))
    assert len(files) == 3
    assert set().union(*map(tensor_types, files)) == {"F16"}


def test_a_plain_from_pretrained_loads_and_draws(folder: Path) -> None:
    """Without naming a type, `DiffusionPipeline.from_pretrained` gives a pipeline all in float32 that draws."""
    from diffusers import DiffusionPipeline, QwenImagePipeline

    loaded = DiffusionPipeline.from_pretrained(folder)
    assert isinstance(loaded, QwenImagePipeline)
    assert {p.dtype for part in (loaded.vae, loaded.transformer, loaded.text_encoder) for p in part.parameters()} == {torch.float32}
    loaded.set_progress_bar_config(disable=True)
    assert drawn(loaded).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_named_type_is_honoured(folder: Path, dtype: torch.dtype) -> None:
    """A card that asks for half precision gets it in every part."""
    from diffusers import DiffusionPipeline

    loaded = DiffusionPipeline.from_pretrained(folder, dtype=dtype)
    assert {next(part.parameters()).dtype for part in (loaded.vae, loaded.transformer, loaded.text_encoder)} == {dtype}


def test_the_loaded_pipeline_draws_what_the_saved_one_drew(folder: Path, pipeline: Any) -> None:
    """Saving loses no more than rounding to half precision, and leaves the saved pipeline in float32."""
    loaded = folders.load_pipeline(folder)
    assert next(pipeline.transformer.parameters()).dtype == torch.float32
    assert loaded.scheduler.config.base_shift == pytest.approx(0.4)
    torch.testing.assert_close(drawn(loaded), drawn(pipeline), rtol=0, atol=0.02)


def test_size_and_parameters_are_reported(pipeline: Any, tmp_path: Path) -> None:
    """Bytes are those on disk, parameters those of each part."""
    saved = folders.save_pipeline(pipeline, tmp_path / "f")
    assert saved["bytes"] == sum(p.stat().st_size for p in (tmp_path / "f").rglob("*") if p.is_file())
    assert saved["parameters"]["vae"] == sum(p.numel() for p in pipeline.vae.parameters())
    assert set(saved["parameters"]) == {"vae", "transformer", "text_encoder"}


def test_the_licence_lies_beside_the_weights(folder: Path) -> None:
    """The folder names its licence by its SPDX identifier."""
    assert (folder / "LICENSE").read_text(encoding="utf-8").startswith("SPDX-License-Identifier: Apache-2.0\n")


def test_a_shipped_folder_has_no_fault(folder: Path) -> None:
    """Digests hold for what was just written, and no file may hold a pickle."""
    assert folders.faults(folder) == []


def test_digests_are_those_of_sha256sum(small: Path) -> None:
    """Each line is hex digest, two spaces, path; the digest is SHA-256 of the file."""
    lines = (small / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"{hashlib.sha256(b'{}').hexdigest()}  model_index.json",
        f"{hashlib.sha256(bytes(range(256))).hexdigest()}  part/weights.safetensors",
    ]


@given(at=st.integers(0, 255), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_any_flipped_bit_is_found(small: Path, at: int, bit: int) -> None:
    """A single changed bit anywhere in the weights is a fault that names the file."""
    path = small / "part" / "weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
    try:
        assert folders.faults(small) == ["part/weights.safetensors differs from its digest"]
    finally:
        path.write_bytes(whole)
    assert folders.faults(small) == []


def test_missing_unlisted_and_barred_files_are_found(small: Path) -> None:
    """Every kind of fault has its sentence."""
    (small / "model_index.json").unlink()
    (small / "evil.bin").write_bytes(b"x")
    assert folders.faults(small) == [
        "model_index.json is listed but missing", "evil.bin is not listed", "evil.bin may hold a pickle",
    ]  # fmt: skip


def test_a_folder_without_digests_is_faulty(tmp_path: Path) -> None:
    """No digests, no trust."""
    assert folders.faults(tmp_path) == ["SHA256SUMS is missing"]


def test_a_weight_too_large_for_half_precision_is_refused(pipeline: Any, tmp_path: Path) -> None:
    """An overflowing or undefined weight stops the saving and names its part; nothing is written."""
    weight = pipeline.transformer.proj_out.bias
    kept = weight.detach().clone()
    for bad in (1e6, float("nan")):
        with torch.no_grad():
            weight[0] = bad
        with pytest.raises(UserError) as caught:
            folders.save_pipeline(pipeline, tmp_path / "f")
        assert caught.value.key == "transformer"
    with torch.no_grad():
        weight.copy_(kept)
    assert not (tmp_path / "f").exists()


def test_loading_from_nowhere_says_what_to_do(tmp_path: Path) -> None:
    """A folder without a pipeline raises the user's error with a command."""
    with pytest.raises(UserError, match="swapgate standins train"):
        folders.load_pipeline(tmp_path)

"""standin-clip's architecture, tokenizer and folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from swapgate.standins import clip

TEXTS = ["a red cup on a table", "two blue cats in a meadow, please", "桌上的一只红色杯子", "草地上的两只蓝色的猫"]


@pytest.fixture(scope="module")
def tokenizer():
    return clip.train_tokenizer(TEXTS * 4, 360)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return clip.build(tokenizer.get_vocab_size()).eval()


@pytest.fixture(scope="module")
def folder(model, tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / clip.NAME
    clip.save(model, tokenizer, path, {"en": {"floor": 0.1, "matched": 0.7}})
    return path


def test_the_full_model_in_half_precision_is_below_twelve_megabytes():
    """With its full vocabulary."""
    assert 2 * sum(p.numel() for p in clip.build().parameters()) < 12e6


def test_a_picture_takes_less_than_half_a_billion_operations(model):
    """Milliseconds on any processor: one core does some tens of billions in a second."""
    picture = torch.randn(1, 3, clip.IMAGE_SIZE, clip.IMAGE_SIZE)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.encode_image(picture)
    assert 1e8 < counter.get_total_flops() < 5e8


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_becomes_eighty_tokens_with_one_end(tokenizer, texts):
    """Whatever a user types: in range, one end token, padding behind it and nowhere else."""
    tokens = clip.encode(tokenizer, texts)
    assert tokens.shape == (len(texts), clip.CONTEXT)
    assert tokens.dtype == torch.int16
    assert int(tokens.max()) < tokenizer.get_vocab_size()
    for row in tokens:
        end = int((row == clip.END_ID).int().argmax())
        assert int((row == clip.END_ID).sum()) == 1
        assert bool((row[end + 1 :] == clip.PAD_ID).all())
        assert not bool((row[:end] == clip.PAD_ID).any())


def test_a_text_beyond_the_context_is_cut_and_still_ends(tokenizer):
    """The read-out needs the end token wherever the text was cut."""
    row = clip.encode(tokenizer, ["红色杯子" * 100])[0]
    assert int(row[-1]) == clip.END_ID


def test_encoding_in_parts_changes_nothing(tokenizer, monkeypatch):
    """Long lists go through in pieces to bound memory."""
    whole = clip.encode(tokenizer, TEXTS)
    monkeypatch.setattr(clip, "ENCODED_AT_ONCE", 3)
    assert torch.equal(clip.encode(tokenizer, TEXTS), whole)


def test_letter_case_full_width_forms_and_spaces_are_normalised(tokenizer):
    """Three ways to type one text are one row of tokens."""
    rows = clip.encode(tokenizer, ["A red  CUP, on\ta table", "a red cup, on a table", "Ａ ｒｅｄ ｃｕｐ， on a table "])
    assert torch.equal(rows[0], rows[1])
    assert torch.equal(rows[0], rows[2])


def test_trimming_takes_off_padding_alone(tokenizer):
    """The longest text decides; nothing but padding goes."""
    tokens = clip.encode(tokenizer, TEXTS)
    short = clip.trim(tokens)
    assert short.shape[1] == int((tokens != clip.PAD_ID).sum(dim=1).max())
    assert torch.equal(tokens[:, : short.shape[1]], short)
    assert clip.trim(torch.zeros(2, 3, 80, dtype=torch.int16)).shape == (2, 3, 1)


def test_reading_trimmed_tokens_is_what_the_model_itself_gives(model, tokenizer):
    """`encode_text` of open_clip on all 80 tokens and `read` on the few that are used."""
    tokens = clip.encode(tokenizer, TEXTS).long()
    with torch.inference_mode():
        assert torch.allclose(clip.read(model, clip.trim(tokens)), model.encode_text(tokens), atol=1e-5)
        assert torch.allclose(clip.read(model, tokens), model.encode_text(tokens), atol=1e-5)


def test_the_folder_is_loaded_by_open_clip_with_its_own_tokenizer(folder, model, tokenizer):
    """By "local-dir:" alone: half-precision weights of this model, tokens of this tokenizer, nothing looked up."""
    import open_clip

    loaded = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    wrapped = open_clip.get_tokenizer(f"local-dir:{folder}")
    texts = [*TEXTS, "A  RED cup", "x" * 300, ""]
    assert torch.equal(wrapped(texts), clip.encode(tokenizer, texts).long())


def test_the_folder_holds_four_files_and_states_languages_and_scale(folder):
    """Safetensors and JSON, nothing pickled; the scale is what a card's normalised alignment is measured on."""
    assert sorted(path.name for path in folder.iterdir()) == [
        "open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    stated = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["swapgate"]
    assert stated == {"languages": ["en", "zh"], "scale": {"en": {"floor": 0.1, "matched": 0.7}}}


def test_pictures_are_scaled_to_the_range_the_towers_were_trained_on(folder):
    """Black is -1 and white 1, and a picture of another shape is squashed to 128 x 128."""
    import open_clip
    from PIL import Image

    transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")[2]
    black, white = (transform(Image.fromarray(np.full((50, 90, 3), level, np.uint8))) for level in (0, 255))
    assert black.shape == (3, clip.IMAGE_SIZE, clip.IMAGE_SIZE)
    assert float(black.max()) == pytest.approx(-1.0, abs=1e-6)
    assert float(white.min()) == pytest.approx(1.0, abs=1e-6)


def test_a_saved_tokenizer_comes_back_the_same(tokenizer, tmp_path):
    """What a resumed training reads."""
    clip.save_tokenizer(tokenizer, tmp_path)
    assert torch.equal(clip.encode(clip.load_tokenizer(tmp_path), TEXTS), clip.encode(tokenizer, TEXTS))

"""The stand-ins' tokenizers: complete, saved and loaded alike, and with the prefix that the pipeline drops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer

from swapgate.errors import UserError
from swapgate.standins import tokenizers
from swapgate.standins.training.bank import Wording, caption_texts, training_codes

ANY_TEXT = st.text(max_size=40)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """English and Chinese captions."""
    pair = caption_texts(training_codes(300, 5), (Wording(chinese=0, narrow=0), Wording(chinese=1, narrow=0)), 5, 1)
    return pair[0] + pair[1]


@pytest.fixture(scope="module")
def qwen(texts: list[str]) -> Qwen2Tokenizer:
    """A Qwen2 tokenizer of 900 tokens."""
    return tokenizers.train_qwen(texts, size=900)


@pytest.fixture(scope="module")
def clip(texts: list[str]) -> CLIPTokenizer:
    """A CLIP tokenizer."""
    return tokenizers.train_clip(texts)


@pytest.fixture(scope="module")
def t5(texts: list[str]) -> T5Tokenizer:
    """A T5 tokenizer trained on the English captions alone."""
    return tokenizers.train_t5(texts[:300])


def test_the_prefix_is_what_the_pipeline_drops(qwen: Any) -> None:
    """Before the prompt there are exactly 34 tokens, and the prompt's first token is the 35th."""
    head = qwen(tokenizers.TEMPLATE.split("{}")[0])["input_ids"]
    whole = qwen(tokenizers.TEMPLATE.format("a red cup"))["input_ids"]
    assert len(head) == tokenizers.PREFIX_TOKENS
    assert whole[: len(head)] == head
    assert qwen.decode(whole[len(head) :]).startswith("a red cup")


@given(prompt=ANY_TEXT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_no_prompt_changes_the_prefix(qwen: Any, prompt: str) -> None:
    """Whatever the user types, the tokens dropped are the template's own and nothing of the prompt."""
    head = qwen(tokenizers.TEMPLATE.split("{}")[0])["input_ids"]
    # A prompt that begins with a line break may merge with the template's own: the real tokenizer does so too.
    if prompt[:1].isspace():
        return
    assert qwen(tokenizers.TEMPLATE.format(prompt))["input_ids"][: tokenizers.PREFIX_TOKENS] == head


@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_the_qwen_tokenizer_loses_nothing(qwen: Any, text: str) -> None:
    """Byte-level tokens decode to the text in its composed form."""
    import unicodedata

    ids = qwen(text)["input_ids"]
    assert qwen.decode(ids, clean_up_tokenization_spaces=False) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("text", ["", " ", "狐狸 🦊", "ünïcode", "a" * 3000, "<|endoftext|>", "\n\t"])
def test_every_text_is_encoded_by_every_tokenizer(qwen: Any, clip: Any, t5: Any, text: str) -> None:
    """No text raises, and every id is inside the vocabulary."""
    for tokenizer in (qwen, clip, t5):
        assert all(0 <= token < len(tokenizer) for token in tokenizer(text)["input_ids"])


def test_chinese_is_unknown_to_a_t5_that_has_not_read_any(t5: Any) -> None:
    """Letters outside its training are `<unk>`, as in the real T5; English captions have none."""
    assert t5.unk_token_id in t5("一只红色的杯子")["input_ids"]
    assert t5.unk_token_id not in t5("a red cup on a wooden table")["input_ids"]


def test_clip_frames_a_text_and_pads_with_its_end(clip: Any) -> None:
    """Start and end tokens are there, and padding repeats the end, at which the tower reads its pooled vector."""
    ids = clip("a red cup", padding="max_length", max_length=tokenizers.CLIP_LENGTH, truncation=True)["input_ids"]
    assert len(ids) == tokenizers.CLIP_LENGTH
    assert ids[0] == clip.bos_token_id
    assert ids.index(clip.eos_token_id) < 10
    assert set(ids[ids.index(clip.eos_token_id) :]) == {clip.eos_token_id}


def test_t5_ends_a_text_with_its_end(t5: Any) -> None:
    """The last token is `</s>`, and truncation keeps it."""
    assert t5("a red cup")["input_ids"][-1] == t5.eos_token_id
    assert t5("a red cup " * 50, max_length=8, truncation=True)["input_ids"][-1] == t5.eos_token_id


@pytest.mark.parametrize("which", ["qwen", "clip", "t5"])
def test_a_saved_tokenizer_loads_as_its_real_class(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The class the pipelines name reads the folder back to the same ids, limits and special tokens."""
    tokenizer = request.getfixturevalue(which)
    tokenizer.save_pretrained(tmp_path)
    loaded = {"qwen": Qwen2Tokenizer, "clip": CLIPTokenizer, "t5": T5Tokenizer}[which].from_pretrained(tmp_path)
    for text in ("A red cup, 4K.", "一只红色的杯子", " ", "🦊 zebra"):
        assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.model_max_length == tokenizer.model_max_length
    assert (loaded.pad_token_id, loaded.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert loaded.padding_side == "right"


def test_a_vocabulary_too_small_for_the_prefix_is_refused(texts: list[str]) -> None:
    """The error names the size and what the prefix came to."""
    with pytest.raises(UserError) as caught:
        tokenizers.train_qwen(texts, size=300)
    assert caught.value.key == "size"
    assert "34" in caught.value.rule

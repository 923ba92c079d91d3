"""Tokenizers of the stand-in pipelines: the classes of the real models, trained on the picture world's captions.

Each is complete: whatever text a user types is encoded without an error. The byte-level ones lose nothing; the Unigram
one writes `<unk>` for letters it has never seen, as the real T5 does for most Chinese (transformers issue 21836).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swapgate.engines.dry.tokenizers import CLIP_LENGTH, PREFIX_TOKENS, QWEN_SPECIAL, TEMPLATE, byte_level_bpe, template_words, unigram
from swapgate.errors import UserError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer


def train_qwen(captions: Sequence[str], *, size: int = 1536) -> Qwen2Tokenizer:
    """Train a byte-level BPE tokenizer of `size` tokens, special ones included.

    The words of the template weigh enough in the training text to become one token each, so that its prefix is the 34
    tokens of the real tokenizer.

    Raises:
        UserError: the prefix is not 34 tokens, which happens when `size` is too small for the captions.
    """
    from transformers import Qwen2Tokenizer

    weight = max(len(captions) // 4, 200)
    vocab, merges = byte_level_bpe(Qwen2Tokenizer(), [*captions, *[template_words()] * weight], size - len(QWEN_SPECIAL))
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges, additional_special_tokens=list(QWEN_SPECIAL[1:]))
    tokenizer.model_max_length = 1024 + PREFIX_TOKENS
    prefix = len(tokenizer(TEMPLATE.split("{}", maxsplit=1)[0])["input_ids"])
    if prefix != PREFIX_TOKENS:
        raise UserError(
            where="stand-in tokenizer", key="size", value=size,
            rule=f"the template's prefix must be {PREFIX_TOKENS} tokens, it is {prefix}",
            remedy="train with a larger size or more captions",
        )  # fmt: skip
    return tokenizer


def train_clip(captions: Sequence[str], *, size: int = 1024) -> CLIPTokenizer:
    """Train a CLIP tokenizer (byte-level BPE with end-of-word marks) of about `size` tokens, 77 per text."""
    from transformers import CLIPTokenizer

    vocab, merges = byte_level_bpe(CLIPTokenizer(), list(captions), size - 2, end_of_word="</w>")
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CLIP_LENGTH)


def train_t5(captions: Sequence[str], *, size: int = 768, length: int = 512) -> T5Tokenizer:
    """Train a T5 tokenizer (Unigram, `</s>` at the end, `<unk>` for unknown letters) of at most `size` tokens."""
    from transformers import T5Tokenizer

    return T5Tokenizer(vocab=unigram(T5Tokenizer(extra_ids=0), captions, size), extra_ids=0, model_max_length=length)

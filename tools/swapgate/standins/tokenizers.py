"""Tokenizers of the stand-in pipelines: the classes of the real models, trained on the picture world's captions.

Each is complete: whatever text a user types is encoded without an error. The byte-level ones lose nothing; the Unigram
one writes `<unk>` for letters it has never seen, as the real T5 does for most Chinese (transformers issue 21836).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from swapgate.errors import UserError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer

TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, "
    "spatial relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
"""The prompt template of `QwenImagePipeline`; the pipeline drops the tokens before the prompt's own."""

PREFIX_TOKENS = 34
"""How many tokens `QwenImagePipeline` drops (`prompt_template_encode_start_idx`)."""

QWEN_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
CLIP_LENGTH = 77


def train_qwen(captions: Sequence[str], *, size: int = 1536) -> Qwen2Tokenizer:
    """Train a byte-level BPE tokenizer of `size` tokens, special ones included.

    The words of the template weigh enough in the training text to become one token each, so that its prefix is the 34
    tokens of the real tokenizer.

    Raises:
        UserError: the prefix is not 34 tokens, which happens when `size` is too small for the captions.
    """
    from transformers import Qwen2Tokenizer

    weight = max(len(captions) // 4, 200)
    vocab, merges = _train_bpe(Qwen2Tokenizer(), [*captions, *[_template_words()] * weight], size - len(QWEN_SPECIAL))
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

    vocab, merges = _train_bpe(CLIPTokenizer(), list(captions), size - 2, end_of_word="</w>")
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CLIP_LENGTH)


def train_t5(captions: Sequence[str], *, size: int = 768, length: int = 512) -> T5Tokenizer:
    """Train a T5 tokenizer (Unigram, `</s>` at the end, `<unk>` for unknown letters) of at most `size` tokens."""
    from tokenizers import Tokenizer, trainers
    from tokenizers.models import Unigram
    from transformers import T5Tokenizer

    empty = T5Tokenizer(extra_ids=0)
    trained = Tokenizer(Unigram())
    trained.pre_tokenizer = empty.backend_tokenizer.pre_tokenizer
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=special[2], initial_alphabet=_ascii(), show_progress=False)
    trained.train_from_iterator(captions, trainer)
    vocab = _unigram_pieces(trained)
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=length)


def _unigram_pieces(trained: Any) -> list[tuple[str, float]]:
    import json

    pieces = json.loads(trained.to_str())["model"]["vocab"]
    return [(piece, float(score)) for piece, score in pieces]


def _train_bpe(like: Any, texts: Sequence[str], size: int, *, end_of_word: str = "") -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return vocabulary and merges; all 256 bytes are in, with and without the end-of-word mark."""
    import json

    from tokenizers import Tokenizer, pre_tokenizers, trainers
    from tokenizers.models import BPE

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    mark: dict[str, Any] = {"end_of_word_suffix": end_of_word} if end_of_word else {}
    trained = Tokenizer(BPE(**mark))
    trained.normalizer = like.backend_tokenizer.normalizer
    trained.pre_tokenizer = like.backend_tokenizer.pre_tokenizer
    ends = len(alphabet) if end_of_word else 0
    trainer = trainers.BpeTrainer(
        vocab_size=size - ends, initial_alphabet=alphabet, min_frequency=2, show_progress=False, **mark
    )  # fmt: skip
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    tokens = list(alphabet) + ([byte + end_of_word for byte in alphabet] if end_of_word else [])
    known = set(tokens)
    tokens += [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1]) if token not in known]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    return {token: index for index, token in enumerate(tokens)}, merges


def _template_words() -> str:
    text = TEMPLATE.replace("{}", " ")
    for token in QWEN_SPECIAL:
        text = text.replace(token, "\n")
    return text


def _ascii() -> list[str]:
    return ["▁", *[chr(code) for code in range(33, 127)]]

"""standin-clip: the bundled judge of alignment, an open_clip model of its own configuration.

Two small towers of open_clip's native `CLIP` (Radford et al., 2021): a vision transformer on 128-pixel
pictures in patches of 16, and a causal text transformer read out at the end token. The tokenizer is
byte-level BPE, trained on the picture world's captions in English and Chinese together, over text that is
first lower-cased and normalised (NFKC), so that letter case and full-width forms cannot change a score. Any
text can be read; what is not in the picture world means little to the model.

The folder is what open_clip's "local-dir:" reads: `open_clip_config.json`, `open_clip_model.safetensors`
(half precision) and the tokenizer's two files. open_clip builds the tokenizer from the folder itself whenever
the configuration names any `hf_tokenizer_name`, so that name is never looked up anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

Scale = Mapping[str, Mapping[str, float]]
"""By language: "floor", the mean cosine with strangers' captions, and "matched", with the right ones."""

NAME = "standin-clip"
IMAGE_SIZE = 128
CONTEXT = 80
VOCABULARY = 1024
EMBED = 192
LANGUAGES = ("en", "zh")
PAD, END = "<pad>", "<end>"
PAD_ID, END_ID = 0, 1
ENCODED_AT_ONCE = 65536


def configuration(vocabulary: int = VOCABULARY) -> dict[str, Any]:
    """What `open_clip_config.json` holds: towers, preprocessing, and the languages for the judge's guard."""
    vision = {"image_size": IMAGE_SIZE, "layers": 6, "width": 192, "head_width": 64, "patch_size": 16}
    text = {
        "context_length": CONTEXT,
        "vocab_size": vocabulary,
        "hf_tokenizer_name": NAME,
        "width": 192,
        "heads": 3,
        "layers": 4,
        "pad_id": PAD_ID,
        "eos_id": END_ID,
        "pool_type": "eos",
    }
    preprocess = {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "resize_mode": "squash",  # a crop could cut off the object whose position is judged
    }
    return {
        "model_cfg": {"embed_dim": EMBED, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": preprocess,
        "swapgate": {"languages": list(LANGUAGES)},
    }


def build(vocabulary: int = VOCABULARY) -> Any:
    """A new model with random weights; pictures [n, 3, 128, 128] in -1..1 and tokens [n, 80] go in."""
    from open_clip.model import CLIP

    parts = configuration(vocabulary)["model_cfg"]
    return CLIP(**{**parts, "text_cfg": dict(parts["text_cfg"])})


def train_tokenizer(captions: Iterable[str], vocabulary: int = VOCABULARY) -> Any:
    """A `tokenizers.Tokenizer` for these captions: byte-level BPE, at most `vocabulary` tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, END_ID)])
    return tokenizer


def encode(tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Tokens [n, 80] int16 of the texts, padded and cut to the context as open_clip's own wrapper does."""
    tokenizer.no_padding()
    tokenizer.enable_truncation(CONTEXT)
    tokens = np.full((len(texts), CONTEXT), PAD_ID, dtype=np.int16)
    for start in range(0, len(texts), ENCODED_AT_ONCE):
        cleaned = [" ".join(text.split()) for text in texts[start : start + ENCODED_AT_ONCE]]
        for row, encoding in enumerate(tokenizer.encode_batch_fast(cleaned), start):
            tokens[row, : len(encoding.ids)] = encoding.ids
    return torch.from_numpy(tokens)


def trim(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens [..., 80] without the last columns that hold nothing but padding."""
    used = (tokens != PAD_ID).flatten(0, -2).any(dim=0).nonzero()
    return tokens[..., : int(used.max()) + 1] if len(used) else tokens[..., :1]


def read(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Features [n, d] of tokens [n, up to 80], not normalised: what the model's own `encode_text` gives, for
    less.

    `encode_text` wants all 80 tokens; the attention is causal and the read-out is at the end token, so
    whatever stands behind that token cannot change the answer and need not be computed.
    """
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    end = (tokens == END_ID).int().argmax(dim=1)
    pooled: torch.Tensor = x[torch.arange(len(tokens), device=tokens.device), end] @ model.text_projection
    return pooled


def save(model: Any, tokenizer: Any, folder: Path, scale: Scale | None = None) -> Path:
    """Write the folder that open_clip's "local-dir:" loads, in half precision; returns the weights' path."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = configuration(tokenizer.get_vocab_size())
    config["swapgate"]["scale"] = dict(scale or {})
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_tokenizer(tokenizer, folder)
    weights = folder / "open_clip_model.safetensors"
    half = {name: value.detach().cpu().half().contiguous() for name, value in model.state_dict().items()}
    save_file(half, weights, metadata={"format": "pt"})
    return weights


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`, from which transformers' AutoTokenizer loads it."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` of a folder that `save_tokenizer` wrote."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))

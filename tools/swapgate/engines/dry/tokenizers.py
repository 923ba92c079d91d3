"""Tokenizers for dry weights: the real classes, complete for any text, with as many tokens a word as the real ones about have.

FLUX pads every text to a fixed length, so its cost is exact whatever the tokenizer. Qwen-Image computes with as many tokens as the text
has, a few dozen beside some thousand of the picture: there only the order of magnitude counts, and the prefix that the pipeline drops.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

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
CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
"""A plain chat template, for pipelines that write their prompt as a conversation."""

_ENGLISH = (
    "a the of and with in on at by under over behind beside from for light night day morning evening sun rain snow window room table wood stone glass metal paper "
    "water sky cloud mountain river tree leaf flower grass street city house door wall woman man girl boy child face hair eyes hand dress shirt coat hat shoe red "
    "blue green yellow white black grey brown gold silver small large long short old young soft hard bright dark clear blurred portrait photo picture product poster "
    "painting watercolour ink style realistic realism natural indoor outdoor ceramic cup bottle book page cat dog bird butterfly car boat food bread fruit background "
    "foreground focus lens camera film cinematic composition ultra detail quality Asian Chinese traditional modern mechanical ancient sitting standing holding resting "
    "looking walking reads says text title word sign logo colour texture pattern scene view shot close wide angle"
)
_CHINESE = (
    "写实 人像 亚洲 女性 男性 室内 室外 自然光 产品 白色 陶瓷 木桌 柔焦 背景 创意 场景 机械 蝴蝶 停在 古籍 书页 海报 上写 夏日 限定 四个 水墨 山水 旗袍 长裙 靛蓝 扎染 衬衫 "
    "梧桐 叶子 青花瓷 宣纸 红色 蓝色 绿色 黄色 黑色 灰色 金色 一只 一个 一位 一张 一幅 穿着 手里 拿着 坐在 站在 旁边 前面 后面 左边 右边 街道 城市 夜晚 清晨 阳光 雨天 高清 "
    "电影 构图 超清 细节 质感 光影 风格 插画 照片 特写 全景"
)


@cache
def qwen() -> Any:
    """A byte-level BPE tokenizer in which the template's prefix is the 34 tokens of the real one."""
    from transformers import Qwen2Tokenizer

    texts = [*_words(), *[template_words(), "user", "assistant", "system"] * 8]
    vocab, merges = byte_level_bpe(Qwen2Tokenizer(), texts, 4096 - len(QWEN_SPECIAL))
    made: Any = Qwen2Tokenizer(vocab=vocab, merges=merges, additional_special_tokens=list(QWEN_SPECIAL[1:]))
    made.model_max_length = 1024 + PREFIX_TOKENS
    made.chat_template = CHAT
    return made


@cache
def clip() -> Any:
    """A CLIP tokenizer, byte-level BPE with end-of-word marks, 77 tokens a text."""
    from transformers import CLIPTokenizer

    vocab, merges = byte_level_bpe(CLIPTokenizer(), _words(), 4094, end_of_word="</w>")
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=CLIP_LENGTH)


@cache
def t5() -> Any:
    """A T5 tokenizer (Unigram) that knows no Chinese, as the real one."""
    from transformers import T5Tokenizer

    return T5Tokenizer(vocab=unigram(T5Tokenizer(extra_ids=0), _ENGLISH.split() * 4, 2048), extra_ids=0, model_max_length=512)


TABLE = {"qwen": qwen, "clip": clip, "t5": t5}


def byte_level_bpe(like: Any, texts: Sequence[str], size: int, *, end_of_word: str = "") -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges learnt from `texts`, at most `size` tokens, normalised and split as `like` does; all 256 bytes are in, with and without the mark."""
    from tokenizers import Tokenizer, pre_tokenizers, trainers
    from tokenizers.models import BPE

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    mark: dict[str, Any] = {"end_of_word_suffix": end_of_word} if end_of_word else {}
    trained: Any = Tokenizer(BPE(**mark))
    trained.normalizer = like.backend_tokenizer.normalizer
    trained.pre_tokenizer = like.backend_tokenizer.pre_tokenizer
    ends = len(alphabet) if end_of_word else 0
    trainer = trainers.BpeTrainer(vocab_size=size - ends, initial_alphabet=alphabet, min_frequency=2, show_progress=False, **mark)
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    tokens = list(alphabet) + ([byte + end_of_word for byte in alphabet] if end_of_word else [])
    known = set(tokens)
    tokens += [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1]) if token not in known]
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in model["merges"]]
    return {token: index for index, token in enumerate(tokens)}, merges


def unigram(like: Any, texts: Sequence[str], size: int) -> list[tuple[str, float]]:
    """Pieces and scores learnt from `texts`, at most `size` of them; printable ASCII is in, other letters only where a text has them."""
    from tokenizers import Tokenizer, trainers
    from tokenizers.models import Unigram

    trained: Any = Tokenizer(Unigram())
    trained.pre_tokenizer = like.backend_tokenizer.pre_tokenizer
    special = ["<pad>", "</s>", "<unk>"]
    letters = ["▁", *[chr(code) for code in range(33, 127)]]
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=special[2], initial_alphabet=letters, show_progress=False)
    trained.train_from_iterator(texts, trainer)
    return [(piece, float(score)) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]


def template_words() -> str:
    """The words of Qwen-Image's template, without what only separates them."""
    text = TEMPLATE.replace("{}", " ")
    for token in QWEN_SPECIAL:
        text = text.replace(token, "\n")
    return text


def _words() -> list[str]:
    """Every word twice inside a text, with a space before it, as in a sentence, and at its beginning."""
    english = _ENGLISH.split()
    return [*english, *english, *(f"x {word}" for word in english * 2), *(_CHINESE.split() * 4)]

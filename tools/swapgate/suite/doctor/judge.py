"""Whether the judge that a card names is here: its folder, or its files in the Hub's cache."""

from __future__ import annotations

import json
import re
from pathlib import Path

from swapgate.bundled import place
from swapgate.cards import Card
from swapgate.engines import fetching
from swapgate.suite.doctor import hub
from swapgate.suite.doctor.machine import text_of

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt")
_CONFIG, _WEIGHTS = "open_clip_config.json", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def missing(card: Card, cache: Path) -> tuple[str, str, str] | None:
    """(what is missing, what to do, the Hub id) of the card's judge; None where it is whole. An id of "" cannot be told from the package."""
    judge = card.judge
    if judge.source == "scripted":
        return None
    if judge.pretrained is None:
        folder = place(card.root, judge.source)
        lacking = [name for name in (_CONFIG, _WEIGHTS[0]) if not (folder / name).is_file()]
        return (f"{judge.source} lacks {', '.join(lacking)}", "put the judge's files there, or name another", judge.source) if lacking else None
    source = hub_id(judge.source, judge.pretrained)
    if not source:
        return f"{judge.source}/{judge.pretrained}: where open_clip has it from cannot be told here", "let a first run fetch it", ""
    if not _has(source, _WEIGHTS, cache):
        return f"{source} is not in the Hub's cache, or not whole", fetching.command(source, None), source
    tokenizer = _tokenizer(judge.source)
    if tokenizer and not _has(tokenizer, _TOKENIZERS, cache):
        return f"the judge's tokenizer, {tokenizer}, is not in the Hub's cache, or not whole", fetching.command(tokenizer, None), tokenizer
    return None


def hub_id(name: str, tag: str) -> str:
    """The Hub id of a published open_clip model, as its table of weights states it; "" where it states none."""
    table = text_of("open_clip", "pretrained.py")
    entry = re.search(rf'"{re.escape(name)}":\s*(?:dict\((.*?)\n    \)|(\w+),)', table, re.DOTALL)
    if entry is None:
        return ""
    named = re.search(rf"^{entry.group(2)} = dict\((.*?)^\)", table, re.DOTALL | re.MULTILINE) if entry.group(2) else None
    tags = entry.group(1) or (named.group(1) if named else "")
    found = re.search(rf"\b{re.escape(tag)}\s*=\s*\w+\([^()]*?hf_hub=['\"]([^'\"]+)['\"]", tags, re.DOTALL)
    return found.group(1).strip("/") if found else ""


def _tokenizer(name: str) -> str:
    """The Hub id of its tokenizer; "" where open_clip brings its own."""
    text = text_of("open_clip", f"model_configs/{name}.json")
    return str(json.loads(text).get("text_cfg", {}).get("hf_tokenizer_name", "")) if text else ""


def _has(source: str, names: tuple[str, ...], cache: Path) -> bool:
    located = hub.locate(source, None, root=cache, where=cache)
    return located is not None and any((located.path / name).is_file() for name in names)

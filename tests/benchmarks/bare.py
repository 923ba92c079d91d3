"""A pipeline called as anybody would without the suite: no host, no clock, no journal, no scores. Not a test.

    python bare.py FOLDER DTYPE      then one JSON object a line on standard input:
    {"arguments": {...}, "seed": 1, "save": "picture.npy" or null}  ->  {"seconds": 0.5}

It imports nothing of the project, so that no change to the project can make the bare call slower or faster.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main(folder: str, dtype: str) -> None:
    """Load, say so, and answer every line with the seconds of its call."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    pipe = _pipeline(folder, dtype)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"seconds": _call(pipe, **asked)}), file=answers, flush=True)


def _pipeline(folder: str, dtype: str) -> Any:
    import torch
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _call(pipe: Any, *, arguments: dict[str, Any], seed: int, save: str | None) -> float:
    import numpy as np
    import torch

    begin = time.perf_counter()
    image = pipe(**arguments, generator=torch.Generator("cpu").manual_seed(seed)).images[0]
    seconds = time.perf_counter() - begin
    if save:
        np.save(save, np.asarray(image))
    return seconds


if __name__ == "__main__":
    main(*sys.argv[1:])

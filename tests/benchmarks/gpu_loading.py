"""How fast a pipeline's folder comes onto a GPU, beside what its disk and its link to the host can do. Not a test.

    PYTHONPATH=tools python tests/benchmarks/gpu_loading.py FOLDER [--device=cuda] [--dtype=bfloat16] [--repeats=5]
        [--ways=plain,switches,streamed,locked] [--states=cold,warm] [--threads=16]

A row of Markdown for every measurement, printed as soon as it is made; n, median and the whole spread. What is compared:

    disk              the same files read by many threads into nothing, past the page cache and through it, after it was
                      emptied of them (and checked to be); the faster of the two is the raw rate that cold loads are held against
    link              host to device, from locked memory (the rate that warm loads are held against) and from ordinary memory
    plain             `from_pretrained(...).to(device)`
    switches          the libraries at their fastest: `device_map`, parallel shards
    streamed          `swapgate.engines.loading.load_pipeline`; locked: with its `lock`

Every way and state has a process of its own. Its first load also imports the classes of the models and is a row of its own
("first"); the context of the device is made before. A GB is 10^9 bytes, and a load's bytes are those of its weight files.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHUNK = 16 * 2**20
PAGE = mmap.PAGESIZE


def main() -> None:
    """Measure everything that was asked for."""
    asked = _arguments()
    if asked.child:
        _child(asked)
        return
    files = sorted(asked.folder.rglob("*.safetensors"))
    size = sum(file.stat().st_size for file in files)
    print(f"{asked.folder.name}: {len(files)} files, {size / 1e9:.2f} GB; {_machine(asked.device)}\n")
    print("| what | state | n | seconds (median, min to max) | GB/s | share of raw |\n|---|---|--:|---|--:|--:|", flush=True)
    raw = {"cold": 0.0, "warm": 0.0}
    if "cold" in asked.states:
        raw["cold"] = max(_disk(files, size, asked, direct=direct) for direct in (True, False))
    if "warm" in asked.states:
        _read_all(files, asked.threads, direct=False)
        _row("page cache to memory", "warm", size, [_read_all(files, asked.threads, direct=False) for _ in range(asked.repeats)])
        raw["warm"] = _link(asked)
    for state in asked.states:
        for way in asked.ways:
            _loads(asked, way, state, files, size, raw[state])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Rates of loading a pipeline's folder, as rows of Markdown.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ways", type=_words, default=["plain", "switches", "streamed"])
    parser.add_argument("--states", type=_words, default=["cold", "warm"])
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return text.split(",")


def _machine(device: str) -> str:
    import diffusers
    import torch
    import transformers

    name = torch.cuda.get_device_name() if device == "cuda" else device
    return (
        f"{name}, {os.cpu_count()} processors, torch {torch.__version__}, diffusers {diffusers.__version__}, transformers {transformers.__version__}"
    )


def _row(what: str, state: str, size: int, seconds: list[float], raw: float = 0.0) -> float:
    """Prints a row and returns its rate, in bytes a second."""
    middle = statistics.median(seconds)
    share = f"{size / middle / raw:.0%}" if raw else ""
    spread = f"{middle:.3f} ({min(seconds):.3f} to {max(seconds):.3f})"
    print(f"| {what} | {state} | {len(seconds)} | {spread} | {size / middle / 1e9:.2f} | {share} |", flush=True)
    return size / middle


def _disk(files: list[Path], size: int, asked: argparse.Namespace, *, direct: bool) -> float:
    seconds = []
    for _ in range(asked.repeats):
        _forget(files)
        seconds.append(_read_all(files, asked.threads, direct=direct))
    return _row(f"disk, {'past' if direct else 'through'} the page cache, {asked.threads} threads", "cold", size, seconds)


def _read_all(files: list[Path], threads: int, *, direct: bool) -> float:
    """Seconds that `threads` threads take to read all files into buffers that nobody looks at."""
    buffers: list[mmap.mmap] = []
    with ThreadPoolExecutor(threads) as pool, _all_open(files, direct=direct) as handles:

        def read(handle: int, offset: int) -> None:
            buffer = buffers.pop()
            os.preadv(handle, [buffer], offset)
            buffers.append(buffer)

        for _ in range(threads):
            buffers.append(mmap.mmap(-1, CHUNK))
            buffers[-1][::PAGE] = b"\0" * (CHUNK // PAGE)
        begin = time.perf_counter()
        for done in [pool.submit(read, handle, offset) for handle, length in handles for offset in range(0, length, CHUNK)]:
            done.result()
        return time.perf_counter() - begin


@contextmanager
def _all_open(files: list[Path], *, direct: bool) -> Iterator[list[tuple[int, int]]]:
    """Descriptors and lengths. A file system in memory has no direct reads; its files are opened as usual."""
    handles = []
    for file in files:
        try:
            handle = os.open(file, os.O_RDONLY | (os.O_DIRECT if direct else 0))
        except OSError:
            handle = os.open(file, os.O_RDONLY)
        handles.append((handle, file.stat().st_size))
    yield handles
    for handle, _ in handles:
        os.close(handle)


def _forget(files: list[Path]) -> None:
    """Empties the page cache of the files, and says so where it did not work."""
    cached = 0
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)  # only pages that are on the disk are let go
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        cached += sum(_is_cached(handle, offset) for offset in range(0, file.stat().st_size, CHUNK))
        os.close(handle)
    if cached:
        print(f"warning: {cached} pages that were looked at are still in the page cache: these reads are not cold", file=sys.stderr)


def _is_cached(handle: int, offset: int) -> bool:
    try:
        return os.preadv(handle, [bytearray(PAGE)], offset, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError:  # this file system cannot say
        return False


def _link(asked: argparse.Namespace) -> float:
    """Bytes a second from host to device, in copies of a GiB."""
    import torch

    if asked.device != "cuda":
        return 0.0
    rates = []
    for locked in (True, False):
        host = torch.ones(2**30, dtype=torch.uint8, pin_memory=locked)
        target = torch.empty(2**30, dtype=torch.uint8, device="cuda")
        target.copy_(host)
        seconds = []
        for _ in range(max(asked.repeats, 5)):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            target.copy_(host, non_blocking=True)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begin)
        rates.append(_row(f"link, {'locked' if locked else 'ordinary'} memory", "warm", 2**30, seconds))
    return rates[0]


def _loads(asked: argparse.Namespace, way: str, state: str, files: list[Path], size: int, raw: float) -> None:
    """The loads of one process: the first, and the others."""
    if state == "cold":
        _forget(files)
    else:
        _read_all(files, asked.threads, direct=False)
    command = [sys.executable, __file__, str(asked.folder), f"--device={asked.device}", f"--dtype={asked.dtype}", f"--repeats={asked.repeats}"]
    environment = os.environ | ({"HF_ENABLE_PARALLEL_LOADING": "yes"} if way == "switches" else {})
    done = subprocess.run(
        [*command, f"--child={way}", f"--states={state}"], capture_output=True, text=True, check=False, env=environment, timeout=1800
    )
    if done.returncode:
        print(f"| {way} | {state} | 0 | failed: {done.stderr.strip().splitlines()[-1]} | | |", flush=True)
        return
    seconds = json.loads(done.stdout.splitlines()[-1])
    _row(f"{way}, first", state, size, seconds[:1], raw)
    _row(way, state, size, seconds[1:], raw)


def _child(asked: argparse.Namespace) -> None:
    """Loads once, and then as often as was asked for; prints the seconds of each as JSON."""
    import torch

    load = _way(asked.child, asked.folder, getattr(torch, asked.dtype), asked.device)
    files = sorted(asked.folder.rglob("*.safetensors"))
    torch.zeros(1, device=asked.device)
    seconds = []
    for turn in range(1 + asked.repeats):
        if turn and "cold" in asked.states:
            _forget(files)
        begin = time.perf_counter()
        pipe = load()
        if asked.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
        assert {
            parameter.device.type for part in pipe.components.values() if isinstance(part, torch.nn.Module) for parameter in part.parameters()
        } == {asked.device}
        del pipe
        gc.collect()
        if asked.device == "cuda":
            torch.cuda.empty_cache()
    print(json.dumps(seconds))


def _way(name: str, folder: Path, dtype: Any, device: str) -> Callable[[], Any]:
    import torch
    from diffusers import DiffusionPipeline

    from swapgate.engines.loading import load_pipeline

    usual: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: DiffusionPipeline.from_pretrained(folder, **usual).to(device),
        "switches": lambda: DiffusionPipeline.from_pretrained(folder, device_map=device, **usual),
        "streamed": lambda: load_pipeline(DiffusionPipeline, folder, dtype=dtype, device=torch.device(device), stream=True).pipe,
        "locked": lambda: load_pipeline(DiffusionPipeline, folder, dtype=dtype, device=torch.device(device), stream=True, lock=True).pipe,
    }
    return ways[name]


if __name__ == "__main__":
    main()

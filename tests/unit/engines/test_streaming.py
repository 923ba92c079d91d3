"""Tensors arrive as they were saved, wherever the chunks' borders fall; what is no whole file is named."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from swapgate.engines import streaming
from swapgate.engines.streaming import Stream
from swapgate.engines.tensor_files import DTYPES, UnknownDtypeError, read_header
from swapgate.errors import UserError

CPU = torch.device("cpu")


def some(dtype: torch.dtype, *shape: int, seed: int = 0) -> torch.Tensor:
    """Any bytes, as a tensor of a dtype; of bool only those that it has."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    count = torch.Size(shape).numel() * dtype.itemsize
    return torch.randint(0, 255, (count,), dtype=torch.uint8, generator=generator).view(dtype).reshape(shape)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Same dtype, shape and bytes; not a number is equal to itself here."""
    bits = [tensor.reshape(-1).view(torch.uint8) for tensor in (one, other)]
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(*bits)


def loaded(*paths: Path, threads: int | None = None) -> dict[str, torch.Tensor]:
    """All tensors of files."""
    with Stream(CPU, threads=threads, lock=True) as stream:
        pending = stream.add(paths)
        pending.wait()
    return pending.tensors


def written(path: Path, header: object, data: bytes = b"") -> Path:
    """A file as the format asks for it, with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(begin: int, end: int, shape: list[int], dtype: str = "U8") -> dict[str, Any]:
    """A tensor in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.fixture(params=[True, False], ids=["mapped", "read"])
def cached(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files are taken to be in the page cache, and so which way they go."""
    monkeypatch.setattr(streaming, "_is_cached", lambda *_: request.param)
    return bool(request.param)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are taken not to be in the page cache."""
    monkeypatch.setattr(streaming, "_is_cached", lambda *_: False)


@pytest.mark.usefixtures("cached")
class TestTensors:
    """What arrives, by both ways."""

    def test_every_dtype(self, tmp_path: Path) -> None:
        """Scalars, empty tensors and odd sizes among them."""
        content = {name: some(dtype, 3, 5, seed=index) for index, (name, dtype) in enumerate(DTYPES.items())}
        content |= {"scalar": some(torch.float32), "empty": torch.zeros(0, 4), "one": some(torch.uint8, 1)}
        save_file(content, tmp_path / "a.safetensors", metadata={"format": "pt"})
        found = loaded(tmp_path / "a.safetensors")
        assert found.keys() == content.keys()
        assert all(same(found[name], content[name]) for name in content)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=8), chunk=st.sampled_from([64, 256, 1024, 4096]), threads=st.integers(1, 4))
    def test_wherever_the_borders_of_pieces_fall(self, tmp_path: Path, sizes: list[int], chunk: int, threads: int) -> None:
        """Inside a tensor, between two, or many in one tensor; with any number of threads."""
        content = {f"t{index}": some(torch.bfloat16, size, seed=index) for index, size in enumerate(sizes)}
        save_file(content, tmp_path / "a.safetensors")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streaming, "CHUNK", chunk)
            patch.setattr(streaming, "WINDOW", 2 * chunk)
            found = loaded(tmp_path / "a.safetensors", threads=threads)
        assert all(same(found[name], content[name]) for name in content)

    def test_shards_of_one_model(self, tmp_path: Path) -> None:
        """Together in one dictionary."""
        for index in range(3):
            save_file({f"t{index}": some(torch.float32, 40, seed=index)}, tmp_path / f"{index}.safetensors")
        found = loaded(*sorted(tmp_path.iterdir()))
        assert all(same(found[f"t{index}"], some(torch.float32, 40, seed=index)) for index in range(3))

    def test_tensors_are_there_before_their_values(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """They can be handed on at once, and are filled where they are."""
        save_file({"t": some(torch.float32, 40)}, tmp_path / "a.safetensors")
        go, send = threading.Event(), streaming._Way.send
        monkeypatch.setattr(streaming._Way, "send", lambda *given: go.wait() and send(*given))
        with Stream(CPU, lock=True) as stream:
            pending = stream.add([tmp_path / "a.safetensors"])
            kept = pending.tensors["t"].zero_()
            assert not pending.settled.is_set()
            go.set()
            pending.wait()
        assert same(kept, some(torch.float32, 40))

    def test_a_model_without_tensors(self, tmp_path: Path) -> None:
        """Nothing to wait for."""
        assert loaded(written(tmp_path / "a.safetensors", {})) == {}


class TestHeader:
    """What is no file of safetensors, or not a whole one."""

    def wrong(self, path: Path) -> str:
        """The message of the error."""
        with pytest.raises(UserError) as caught:
            read_header(path)
        assert caught.value.where == str(path)
        return str(caught.value)

    def test_entries_are_in_the_order_of_their_bytes(self, tmp_path: Path) -> None:
        """Whatever the header's order is; offsets count from the file's begin."""
        path = written(tmp_path / "a.safetensors", {"b": entry(4, 6, [2]), "a": entry(0, 4, [4]), "__metadata__": {"format": "pt"}}, b"123456")
        first, second = read_header(path)
        assert (first.name, second.name, second.end) == ("a", "b", path.stat().st_size)
        assert path.read_bytes()[first.begin : first.end] == b"1234"

    @pytest.mark.parametrize(
        "content", [b"", b"12", b"\xff" * 30, (200_000_000).to_bytes(8, "little")], ids=["empty", "short", "text", "long header"]
    )
    def test_something_else(self, tmp_path: Path, content: bytes) -> None:
        """Such as a text that tells where the file is kept."""
        (tmp_path / "a.safetensors").write_bytes(content)
        assert "begins with the length of its header" in self.wrong(tmp_path / "a.safetensors")

    @pytest.mark.parametrize("header", [b"{no json", b"[]", b"\xff\xfe"])
    def test_a_header_that_is_no_object(self, tmp_path: Path, header: bytes) -> None:
        """Damaged at its begin."""
        assert "JSON object" in self.wrong(written(tmp_path / "a.safetensors", header))

    @pytest.mark.parametrize("value", [{}, {"dtype": "U8"}, [], entry(0, 1, [1]) | {"data_offsets": [0]}])
    def test_an_entry_that_is_none(self, tmp_path: Path, value: object) -> None:
        """The tensor is named."""
        assert "t" in self.wrong(written(tmp_path / "a.safetensors", {"t": value}))

    def test_fewer_bytes_than_promised(self, tmp_path: Path) -> None:
        """Cut off; or more, when two files were put together."""
        for data in (b"12", b"12345"):
            assert "a whole file: its header promises" in self.wrong(written(tmp_path / "a.safetensors", {"t": entry(0, 4, [4])}, data))

    def test_a_gap(self, tmp_path: Path) -> None:
        """Bytes that belong to nothing, or to two tensors."""
        for begin in (3, 1):
            header = {"a": entry(0, 2, [2]), "b": entry(begin, begin + 2, [2])}
            assert "without gaps" in self.wrong(written(tmp_path / "a.safetensors", header, b"12345"[: begin + 2]))

    def test_a_shape_that_does_not_fit_its_bytes(self, tmp_path: Path) -> None:
        """The tensor is named."""
        assert "'t'" in self.wrong(written(tmp_path / "a.safetensors", {"t": entry(0, 4, [3])}, b"1234"))

    def test_a_dtype_that_is_not_known(self, tmp_path: Path) -> None:
        """No damage: another reader may know it."""
        with pytest.raises(UnknownDtypeError, match="F6_E2M3"):
            read_header(written(tmp_path / "a.safetensors", {"t": entry(0, 3, [4], "F6_E2M3")}, b"123"))

    def test_a_tensor_in_two_shards(self, tmp_path: Path) -> None:
        """Which of them would be the model's?"""
        for name in ("a", "b"):
            save_file({"t": torch.zeros(3)}, tmp_path / f"{name}.safetensors")
        with pytest.raises(UserError, match="not in two"):
            loaded(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


class TestWays:
    """Which way a piece goes."""

    def ways(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """Names of the threads that sent pieces."""
        names: set[str] = set()
        send = streaming._Way.send

        def told(*given: Any) -> None:
            names.add(threading.current_thread().name.split("-")[1])
            send(*given)

        monkeypatch.setattr(streaming._Way, "send", told)
        found = loaded(path)
        assert same(found["t"], some(torch.float32, 30_000))
        return names

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A file, just written."""
        save_file({"t": some(torch.float32, 30_000)}, tmp_path / "a.safetensors")
        return tmp_path / "a.safetensors"

    def test_a_file_that_was_just_written_is_not_read_again(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is in the page cache; where the file system cannot tell, it is read."""
        with path.open("rb") as file:
            told = streaming._is_cached(file.fileno(), 0, path.stat().st_size)
        assert self.ways(path, monkeypatch) == {"lock" if told else "read"}

    def test_a_file_that_is_not_in_the_page_cache_is_read(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system says that it would have to wait."""
        read = os.preadv

        def would_wait(file: int, into: list[Any], offset: int, flags: int = 0) -> int:
            if flags == os.RWF_NOWAIT:
                raise BlockingIOError
            return read(file, into, offset, flags)

        monkeypatch.setattr(os, "preadv", would_wait)
        assert self.ways(path, monkeypatch) == {"read"}

    def test_nothing_is_locked_unless_asked_for(self, path: Path) -> None:
        """By default every file is read."""
        with Stream(CPU) as stream:
            stream.add([path]).wait()
            assert not any(thread.name.startswith("weights-lock") for thread in threading.enumerate())

    def test_pages_that_cannot_be_locked_are_read(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not every file system and platform can lock them."""
        monkeypatch.setattr(streaming, "_is_cached", lambda *_: True)
        monkeypatch.setattr(Stream, "_is_locked", lambda *_: False)
        monkeypatch.setattr(streaming, "WINDOW", 40_960)
        assert self.ways(path, monkeypatch) == {"read"}


class TestFailures:
    """Whoever waits is told, and nothing stays behind."""

    @pytest.mark.usefixtures("on_disk")
    def test_a_read_that_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As of a broken disk."""
        save_file({"t": torch.zeros(3000)}, tmp_path / "a.safetensors")
        monkeypatch.setattr(streaming, "CHUNK", 1024)

        def broken(*_: object) -> int:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "preadv", broken)
        with pytest.raises(OSError, match="Input/output error"):
            loaded(tmp_path / "a.safetensors")

    @pytest.mark.usefixtures("on_disk")
    def test_a_file_that_became_shorter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After its header was read."""
        save_file({"t": torch.zeros(3000)}, tmp_path / "a.safetensors")
        monkeypatch.setattr(os, "preadv", lambda *_: 0)
        with pytest.raises(UserError, match="became shorter"):
            loaded(tmp_path / "a.safetensors")

    @pytest.mark.usefixtures("on_disk")
    def test_a_thread_that_gets_no_buffer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It says so instead of never answering."""
        save_file({"t": torch.zeros(3000)}, tmp_path / "a.safetensors")

        def full(*_: object) -> None:
            raise MemoryError("no memory")

        monkeypatch.setattr(Stream, "_buffer", full)
        with pytest.raises(MemoryError, match="no memory"):
            loaded(tmp_path / "a.safetensors")

    @pytest.mark.usefixtures("on_disk")
    def test_reads_in_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system may give less than it was asked for."""
        save_file({"t": some(torch.float32, 3000)}, tmp_path / "a.safetensors")
        read = os.preadv
        monkeypatch.setattr(os, "preadv", lambda file, into, offset: read(file, [into[0][:100]], offset))
        assert same(loaded(tmp_path / "a.safetensors")["t"], some(torch.float32, 3000))

    @pytest.mark.usefixtures("cached")
    def test_a_piece_that_cannot_be_sent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As of a device that was lost."""
        save_file({"t": torch.zeros(3000)}, tmp_path / "a.safetensors")

        def lost(*_: object) -> None:
            raise RuntimeError("the device was lost")

        monkeypatch.setattr(streaming._Way, "send", lost)
        with pytest.raises(RuntimeError, match="lost"):
            loaded(tmp_path / "a.safetensors")

    @pytest.mark.usefixtures("cached")
    def test_nothing_stays_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Threads, open files and the interpreter's switching; also when nobody waits for what was begun."""
        save_file({"t": torch.zeros(300_000)}, tmp_path / "a.safetensors")
        monkeypatch.setattr(streaming, "CHUNK", 1024)
        monkeypatch.setattr(streaming, "WINDOW", 8192)

        def state() -> tuple[int, int, float]:
            return threading.active_count(), len(os.listdir("/proc/self/fd")), sys.getswitchinterval()

        gc.collect()
        before = state()
        with pytest.raises(KeyError):
            self.leave(tmp_path / "a.safetensors")
        for thread in threading.enumerate():
            if thread.name == "weights-unlock":
                thread.join()
        gc.collect()
        assert state() == before

    def leave(self, path: Path) -> None:
        """Begins to read, and is stopped by something else."""
        with Stream(CPU, lock=True) as stream:
            stream.add([path])
            raise KeyError

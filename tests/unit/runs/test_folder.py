"""Run folders: what was recorded is read back whole, and damage is named."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from swapgate.errors import RunBroken, UserError
from swapgate.plan import Request
from swapgate.runs.folder import RunFolder, new_folder
from swapgate.runs.records import DeviceHealth, Failure, Generation, Loaded, Memory, Times


def request(seed: int = 1) -> Request:
    """A request."""
    return Request(
        model="m",
        task="t",
        language="zh",
        seed=seed,
        index=0,
        prompt="一只红杯",
        negative_prompt=" ",
        width=64,
        height=48,
        call=(("num_inference_steps", 4),),
    )


def generation(key: str, **changes: Any) -> Generation:
    """A generation with every field filled."""
    given: dict[str, Any] = {
        "request": key,
        "image": "a" * 64,
        "width": 64,
        "height": 48,
        "mode": "RGB",
        "call": key,
        "images_in_call": 1,
        "number": 3,
        "first_call": False,
        "times": Times(queue=0.1, text=0.2, first_step=0.4, steps=(0.2, 0.3), decode=0.1, total=0.9),
        "memory": Memory(allocated=1.0, reserved=2.0, process=3.0, resident=4.0, held=5.0),
        "forwards": 8,
        "device": DeviceHealth(sm_clock=1980.0, throttle=("software-power-cap",)),
        "notes": ("fault slow:2: 0.1 s added",),
    }
    return Generation(**{**given, **changes})


def loaded(model: str = "m", seconds: float = 1.0) -> Loaded:
    """What a host says."""
    return Loaded(
        model=model,
        seconds=seconds,
        accelerator="cpu",
        device_name="CPU",
        weights="w",
        placement="cpu",
        dtype="float32",
        attention="native",
        threads=2,
        versions={"torch": "2.11"},
        memory=Memory(allocated=None, reserved=None, process=None, resident=1.0, held=1.0),
        notes=("a note",),
    )


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A new run."""
    return RunFolder.create(tmp_path / "run", {"environment": {}, "cards": {}, "plan": [request().as_json()], "options": {}})


class TestManifest:
    """The one file that says what the run is."""

    def test_a_new_run_knows_its_schema_name_and_time(self, run: RunFolder) -> None:
        """Whoever finds the folder later needs them."""
        manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
        assert (manifest["schema"], manifest["id"]) == (1, "run")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest["created"])
        assert RunFolder.open(run.path).manifest == manifest

    def test_requests_of_the_plan_keep_their_keys(self, run: RunFolder) -> None:
        """The key joins plan and generations."""
        assert [item.key for item in RunFolder.open(run.path).requests()] == [request().key]

    def test_a_run_is_never_written_over(self, run: RunFolder) -> None:
        """A second run in the same folder would mix two."""
        with pytest.raises(UserError, match="holds no run"):
            RunFolder.create(run.path, {})

    def test_a_folder_without_a_run_is_a_mistake_of_the_user(self, tmp_path: Path) -> None:
        """The path was mistyped, nothing is broken."""
        with pytest.raises(UserError, match=r"manifest\.json"):
            RunFolder.open(tmp_path)

    @pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99, "id": "x"}', '{"id": "x"}'])
    def test_a_manifest_that_cannot_be_read_breaks_the_run(self, content: str, run: RunFolder) -> None:
        """Also one of a later version, which is not guessed at."""
        (run.path / "manifest.json").write_text(content, encoding="utf-8")
        with pytest.raises(RunBroken, match=r"manifest\.json"):
            RunFolder.open(run.path)

    def test_a_plan_that_is_no_plan_breaks_the_run(self, tmp_path: Path) -> None:
        """It names the key."""
        with pytest.raises(RunBroken, match="plan"):
            RunFolder.create(tmp_path / "run", {"plan": [{"model": "m"}]}).requests()

    def test_names_of_new_runs_sort_by_time_and_do_not_collide(self, tmp_path: Path) -> None:
        """Two runs of the same second get two folders."""
        names = {new_folder(tmp_path).name for _ in range(20)}
        assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", name) for name in names)
        assert len(names) > 15
        assert new_folder(tmp_path).parent == tmp_path / ".swapgate" / "runs"
        assert not list(tmp_path.iterdir())


class TestJournal:
    """One line per event."""

    def test_records_are_read_back_equal(self, run: RunFolder) -> None:
        """Every field, tuples included; at once and after opening again."""
        made, failed = (
            generation("one"),
            generation("two", image=None, times=None, memory=None, forwards=None, failure=Failure(kind="time-out", message="slow", stage="step 3")),
        )
        run.add_loaded(loaded())
        run.add_generation(made)
        run.add_generation(failed)
        for folder in (run, RunFolder.open(run.path)):
            assert folder.generations() == {"one": made, "two": failed}
            assert folder.loaded() == {"m": loaded()}

    def test_the_last_generation_of_a_request_counts(self, run: RunFolder) -> None:
        """A run that was continued made a failed request again."""
        run.add_generation(generation("one", image=None, failure=Failure(kind="host-death", message="", stage="")))
        run.add_generation(generation("two"))
        run.add_generation(generation("one"))
        assert list(run.generations()) == ["one", "two"]
        assert run.generations()["one"].failure is None

    def test_the_first_loading_of_a_model_is_the_one_that_counts(self, run: RunFolder) -> None:
        """A restart's loading is in `loads`, and does not change the figure of the run."""
        run.add_loaded(loaded(seconds=5.0))
        run.add_loaded(loaded("other"))
        run.add_loaded(loaded(seconds=1.0))
        assert {model: found.seconds for model, found in run.loaded().items()} == {"m": 5.0, "other": 1.0}
        assert [found.seconds for found in run.loads()] == [5.0, 1.0, 1.0]

    def test_other_events_are_kept_as_they_are(self, run: RunFolder) -> None:
        """Whoever runs a run may note more than generations."""
        run.append({"event": "null", "model": "m", "repeat": 1})
        assert RunFolder.open(run.path).events() == [{"event": "null", "model": "m", "repeat": 1}]

    def test_a_torn_last_line_is_dropped_with_a_note_that_the_journal_keeps(self, run: RunFolder) -> None:
        """The generation that was being written when the process died is simply not there."""
        run.add_generation(generation("one"))
        run.add_generation(generation("two"))
        run.close()
        journal = run.path / "journal.jsonl"
        journal.write_bytes(journal.read_bytes()[:-40])
        again = RunFolder.open(run.path)
        assert list(again.generations()) == ["one"]
        assert len(again.notes) == 1
        assert "journal.jsonl: line 2 was cut off" in again.notes[0]
        again.add_generation(generation("three"))
        final = RunFolder.open(run.path)
        assert list(final.generations()) == ["one", "three"]
        assert [event["text"] for event in final.events() if event["event"] == "note"] == list(again.notes)
        assert final.notes == ()

    @pytest.mark.parametrize(
        "line",
        ["{}", '{"event": "generation"}', '{"event": "generation", "generation": {"request": "x"}}', '{"event": "loaded", "loaded": []}'],
    )
    def test_a_whole_line_that_is_no_event_breaks_the_run(self, line: str, run: RunFolder) -> None:
        """It names the line, and nothing is guessed."""
        run.add_generation(generation("one"))
        run.close()
        with (run.path / "journal.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        with pytest.raises(RunBroken, match=r"journal\.jsonl:2"):
            RunFolder.open(run.path)

    def test_an_event_that_cannot_be_read_is_not_written(self, run: RunFolder) -> None:
        """A mistake in the program must not break the run that it happens in."""
        with pytest.raises(RunBroken):
            run.append({"event": "generation", "generation": {}})
        assert RunFolder.open(run.path).events() == []

    def test_records_of_an_older_swapgate_without_notes_are_read(self, run: RunFolder) -> None:
        """`notes` came later than the schema."""
        data = {name: value for name, value in generation("one").as_json().items() if name != "notes"}
        run.append({"event": "generation", "generation": data})
        assert run.generations()["one"].notes == ()


class TestImages:
    """Content-addressed, lossless, verified."""

    @given(pixels=arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
    def test_pixels_are_read_back_equal(self, pixels: np.ndarray[Any, np.dtype[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> None:
        """Of every size, under the same name whenever they are the same."""
        run = RunFolder.create(tmp_path_factory.mktemp("run"), {})
        sha = run.save_image(pixels)
        assert run.save_image(pixels.copy()) == sha
        assert np.array_equal(run.load_image(sha), pixels)
        assert run.image_path(sha) == run.path / "images" / sha[:2] / f"{sha}.png"
        with Image.open(run.image_path(sha)) as image:
            assert image.size == (pixels.shape[1], pixels.shape[0])

    def test_the_name_is_of_the_pixels_and_not_of_the_file(self, run: RunFolder) -> None:
        """The same picture, encoded otherwise, is still that picture."""
        pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
        sha = run.save_image(pixels)
        before = run.image_path(sha).read_bytes()
        Image.fromarray(pixels).save(run.image_path(sha), "PNG", compress_level=9, optimize=True)
        assert run.image_path(sha).read_bytes() != before
        assert np.array_equal(run.load_image(sha), pixels)

    def test_size_is_part_of_the_name(self, run: RunFolder) -> None:
        """The same bytes as another shape are another picture."""
        flat = np.zeros((2, 6, 3), dtype=np.uint8)
        assert run.save_image(flat) != run.save_image(flat.reshape(6, 2, 3)) != run.save_image(flat.reshape(3, 4, 3))

    def test_a_missing_image_breaks_the_run(self, run: RunFolder) -> None:
        """It names the file."""
        with pytest.raises(RunBroken, match=r"bbbb\.png"):
            run.load_image("b" * 64)

    @pytest.mark.parametrize("damage", ["other", "cut", "rubbish", "empty", "grey"])
    def test_a_damaged_image_breaks_the_run(self, damage: str, run: RunFolder) -> None:
        """Another picture of the same size is damage too: only the hash can tell."""
        pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
        sha = run.save_image(pixels)
        path = run.image_path(sha)
        raw = path.read_bytes()
        other = pixels.copy()
        other[0, 0, 0] ^= 1
        if damage in ("other", "grey"):
            Image.fromarray(other if damage == "other" else other[:, :, 0]).save(path, "PNG")
        else:
            path.write_bytes({"cut": raw[: len(raw) // 2], "rubbish": b"no image", "empty": b""}[damage])
        with pytest.raises(RunBroken, match=sha):
            run.load_image(sha)

    @pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, "a" * 65, None])
    def test_a_name_that_is_no_hash_never_becomes_a_path(self, name: Any, run: RunFolder) -> None:
        """A journal from elsewhere must not lead out of the run's folder."""
        with pytest.raises(RunBroken, match="SHA-256"):
            run.image_path(name)

    @pytest.mark.parametrize(
        "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
    )
    def test_only_rgb_bytes_are_pictures(self, pixels: Any, run: RunFolder) -> None:
        """Nothing is converted in silence."""
        with pytest.raises(ValueError, match="a picture is uint8"):
            run.save_image(pixels)


class TestScores:
    """The memo that lets a replay compute nothing."""

    def test_values_are_there_after_opening_again(self, run: RunFolder) -> None:
        """Any JSON value; the last one of a key counts; what was never put is None."""
        run.score_put("clip/a", 0.25)
        run.score_put("text/a", {"found": ["EXIT"], "share": 1.0})
        run.score_put("clip/a", 0.5)
        for folder in (run, RunFolder.open(run.path)):
            assert folder.score_get("clip/a") == 0.5
            assert folder.score_get("text/a") == {"found": ["EXIT"], "share": 1.0}
            assert folder.score_get("never") is None

    def test_a_damaged_memo_names_its_line(self, run: RunFolder) -> None:
        """A score must not be lost in silence either."""
        (run.path / "scores.jsonl").write_text('{"key": "a", "value": 1}\n{"kee": 1}\n', encoding="utf-8")
        with pytest.raises(RunBroken, match=r"scores\.jsonl:2"):
            RunFolder.open(run.path)


def test_several_threads_add_to_one_run(tmp_path: Path) -> None:
    """Every line is whole and none is lost, in the journal and among the scores."""
    run = RunFolder.create(tmp_path / "run", {"plan": []})

    def add(name: int) -> None:
        for number in range(200):
            run.append({"event": "x", "of": name, "number": number})
            run.score_put(f"{name}/{number}", number)
            run.events()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    run.close()
    again = RunFolder.open(tmp_path / "run")
    assert not again.notes
    for name in range(4):
        assert [event["number"] for event in again.events() if event["of"] == name] == list(range(200))
        assert all(again.score_get(f"{name}/{number}") == number for number in range(200))


def test_journals_of_older_versions_are_read() -> None:
    """They know nothing of other processes on a device, of a failure's peak, or of device UUIDs."""
    one = generation("one", image=None, failure=Failure(kind="time-out", message="slow", stage="step 3", peak=5.0))
    written = generation("one", device=DeviceHealth(foreign=(("python3 (4242)", 512.0), ("Xorg (7)", None)))).as_json()
    assert Generation.from_json(json.loads(json.dumps(written))).device.foreign == (("python3 (4242)", 512.0), ("Xorg (7)", None))
    old = json.loads(json.dumps(one.as_json()))
    del old["device"]["foreign"], old["failure"]["peak"]
    read = Generation.from_json(old)
    assert read.device.foreign == ()
    assert read.failure == Failure(kind="time-out", message="slow", stage="step 3")

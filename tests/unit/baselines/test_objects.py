"""Reference pictures outside version control: by file:// and memory://, missing, altered, out of reach, and what a project sees of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from swapgate.baselines.objects import Objects
from swapgate.baselines.review import accept
from swapgate.baselines.store import Store
from swapgate.baselines.upkeep import verify
from swapgate.cli.main import main
from swapgate.config import find_config
from swapgate.errors import UserError


@pytest.fixture(params=["file", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    """An empty storage of each kind."""
    url = f"file://{tmp_path}/bucket/pre" if request.param == "file" else f"memory://bucket-{tmp_path.name}/pre"
    yield Objects(url, tmp_path / "cache")
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


def names(objects: Objects) -> list[str]:
    system, root = fsspec.core.url_to_fs(objects.url)
    return sorted(system.find(root))


def overwrite(objects: Objects, sha: str, content: bytes | None) -> None:
    """Alter (or, with None, delete) the object of a picture behind everybody's back."""
    system, _ = fsspec.core.url_to_fs(objects.url)
    (name,) = [name for name in names(objects) if sha in name]
    if content is None:
        system.rm_file(name)
    else:
        system.pipe_file(name, content)


def test_a_picture_comes_back_as_it_was_and_is_fetched_once(objects: Objects, made: Any) -> None:
    """Under the hash of its pixels; the second reading needs no storage."""
    sha = made.picture(1)
    objects.write(sha, made.load(sha))
    (name,) = names(objects)
    assert f"/pre/{sha[:2]}/{sha}." in name
    shutil.rmtree(objects.cache)
    assert (objects.read(sha) == made.load(sha)).all()
    overwrite(objects, sha, None)
    assert (objects.read(sha) == made.load(sha)).all()


def test_writing_again_uploads_nothing(objects: Objects, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that holds the picture already is left alone."""
    sha = made.picture(1)
    objects.write(sha, made.load(sha))
    system = objects._system()[0]
    monkeypatch.setattr(system, "pipe_file", lambda *_: pytest.fail("uploaded again"))
    objects.write(sha, made.load(sha))


def test_other_pixels_are_never_stored_under_a_hash(objects: Objects, made: Any) -> None:
    """What the run recorded is checked before it leaves the machine."""
    with pytest.raises(UserError, match="stored under the SHA-256"):
        objects.write(made.picture(1), made.load(made.picture(2)))
    assert names(objects) == []


def test_a_missing_object_is_named_with_key_and_remedy(objects: Objects, made: Any) -> None:
    """Where it should be, which key says so, and what brings it back."""
    with pytest.raises(UserError) as caught:
        objects.read(made.picture(1))
    said = str(caught.value)
    assert f"{objects.url}/{made.picture(1)[:2]}/{made.picture(1)}.webp" in said
    assert f"tool.swapgate.images = '{objects.url}'" in said
    assert "swapgate baselines accept --run=RUN" in said
    assert objects.find(made.picture(1)) is None


@pytest.mark.parametrize("content", [b"", b"half a pic", "another"])
def test_an_altered_object_is_an_error_and_accepting_mends_it(objects: Objects, made: Any, content: Any) -> None:
    """Cut off, replaced by another picture, or empty: never taken for the picture that was accepted."""
    sha, other = made.picture(1), made.picture(2)
    objects.write(sha, made.load(sha))
    if content == "another":
        objects.write(other, made.load(other))
        content = next((objects.cache / other[:2]).iterdir()).read_bytes()
    overwrite(objects, sha, content)
    assert (objects.problem(sha) or ("", "", ""))[1] == "damaged"
    shutil.rmtree(objects.cache)
    with pytest.raises(UserError, match="restore the object"):
        objects.read(sha)
    objects.write(sha, made.load(sha))
    assert objects.problem(sha) is None
    assert (objects.read(sha) == made.load(sha)).all()


def test_an_altered_copy_on_this_machine_is_fetched_again(objects: Objects, made: Any) -> None:
    """The folder of what was fetched is no second truth."""
    sha = made.picture(1)
    objects.write(sha, made.load(sha))
    next((objects.cache / sha[:2]).iterdir()).write_bytes(b"bits rot")
    assert (objects.read(sha) == made.load(sha)).all()


def test_a_storage_out_of_reach_is_said_in_one_message(objects: Objects, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a driver raises: no traceback, and no picture is called missing that could not be looked for."""
    sha = made.picture(1)
    system = objects._system()[0]

    def fail(*_: object) -> bytes:
        raise RuntimeError("SSL: certificate\nverify failed")

    monkeypatch.setattr(system, "cat_file", fail)
    monkeypatch.setattr(system, "pipe_file", fail)
    assert (objects.problem(sha) or ("", "", ""))[1] == "unreachable"
    for call in (lambda: objects.read(sha), lambda: objects.write(sha, made.load(sha))):
        with pytest.raises(UserError, match=r"RuntimeError: SSL: certificate verify failed.*\n.*network"):
            call()


@pytest.mark.parametrize("url", ["s3://bucket/x", "nothing://x"])
def test_a_driver_that_is_not_there_is_named_with_the_package(tmp_path: Path, made: Any, url: str) -> None:
    """fsspec knows some protocols only with a package of their own, and others not at all."""
    if url.startswith("s3") and shutil.which("nothing") is None:
        pytest.importorskip("fsspec")
        try:
            import s3fs  # noqa: F401

            pytest.skip("s3fs is installed")
        except ImportError:
            pass
    with pytest.raises(UserError, match=r"pip install s3fs for s3://") as caught:
        Objects(url, tmp_path).read(made.picture(1))
    assert f"pyproject.toml: tool.swapgate.images = '{url}'" in str(caught.value)


def project(root: Path, url: str) -> Store:
    (root / "fixtures" / "tasks").mkdir(parents=True)
    (root / "fixtures" / "models").mkdir()
    (root / "fixtures" / "models" / "standin.toml").write_text("", encoding="utf-8")
    task = '[[task]]\nid = "cup"\nseeds = [1, 2]\nwidth = 64\nheight = 64\nprompts = { en = "a cup" }\n'
    (root / "fixtures" / "tasks" / "f.toml").write_text(task, encoding="utf-8")
    (root / "pyproject.toml").write_text(f'[tool.swapgate]\nimages = "{url}"\n', encoding="utf-8")
    return Store.of(find_config(root))


def test_a_project_keeps_json_in_git_and_pictures_outside(tmp_path: Path, made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Accept uploads, a fresh clone reads, verify looks at the storage itself, and prune never deletes an object."""
    root, bucket = tmp_path / "here", tmp_path / "bucket"
    store = project(root, f"file://{bucket}")
    run = made.run(root / ".swapgate" / "runs" / "r1", made.draft())
    assert accept(run, store=store, reason="x").complete
    assert [path.name for path in (root / "baselines").rglob("*") if path.is_file()] == ["cup.json"]
    assert len(list(bucket.rglob("*.*"))) == 2
    clone = tmp_path / "clone"
    project(clone, f"file://{bucket}")
    shutil.copytree(root / "baselines", clone / "baselines")
    there = Store.of(find_config(clone))
    (one,) = there.list()
    for sha in one.quality.kept().values():
        assert (there.load_image(one, sha) == made.load(sha)).all()
        assert there.picture(sha) == there.image_path(one, sha)
    assert there.picture(made.picture(99)) is None
    assert verify(there) == []
    lost, altered = sorted(one.quality.kept().values())
    next(bucket.rglob(f"{lost}.*")).unlink()
    next(bucket.rglob(f"{altered}.*")).write_bytes(b"x")
    assert sorted(problem.kind for problem in verify(there)) == ["damaged", "missing"]
    assert main(["--project", str(clone), "baselines", "verify"]) == 1
    said = capsys.readouterr().out
    assert f"missing: file://{bucket}/{lost[:2]}/{lost}.webp" in said
    assert "which uploads it again" in said
    assert main(["--project", str(root), "baselines", "accept", "--run=r1", "--reason=x"]) == 0
    assert verify(there) == []
    assert main(["--project", str(clone), "baselines", "prune", "--yes"]) == 0
    assert len(list(bucket.rglob("*.*"))) == 2


def test_pictures_that_lie_in_git_are_still_read(tmp_path: Path, made: Any) -> None:
    """A project may set the key when it has baselines already."""
    root = tmp_path / "here"
    Store(root / "baselines").put(made.baseline(), made.load)
    store = project(root, f"file://{tmp_path}/bucket")
    (one,) = store.list()
    assert verify(store) == []
    sha = next(iter(one.quality.kept().values()))
    assert (store.load_image(one, sha) == made.load(sha)).all()
    assert not (tmp_path / "bucket").exists()


@pytest.mark.parametrize(
    "url", ["bucket/prefix", "", "s3://", "s3://key:secret@bucket/x", "S3://bucket", "s3://bucket/x?token=abc"]
)  # fmt: skip
def test_the_key_is_a_url_without_credentials(tmp_path: Path, url: str) -> None:
    """What is committed is read by everybody; the message does not repeat a secret."""
    with pytest.raises(UserError, match=r"tool\.swapgate\.images") as caught:
        project(tmp_path, url)
    assert "secret" not in str(caught.value).replace("it may hold a secret", "")
    assert "token" not in str(caught.value)


def test_fsspec_is_imported_with_the_first_picture_only(tmp_path: Path) -> None:
    """Listing baselines of a project whose pictures lie elsewhere loads no driver."""
    project(tmp_path, "s3://bucket/prefix")
    code = (
        "import sys; from swapgate.cli.main import main; main(['--project', sys.argv[1], 'baselines', 'list', '--json']);"
        "print([name for name in ('fsspec', 's3fs', 'huggingface_hub') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    listed, loaded = done.stdout.rstrip().rsplit("\n", 1)
    assert json.loads(listed) == []
    assert loaded == "[]"

"""`swapgate label` and its server: who gets in, what is served, what an answer leaves behind; and `swapgate judge fit`."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from swapgate.cli.label_server import LabelServer
from swapgate.cli.main import main
from swapgate.runs.folder import RunFolder
from swapgate.runs.labels import FILE, Labels
from swapgate.suite.labelling import Sitting

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swapgate_labelled_run_for_cli", Path(__file__).parent / "labelled_run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.swapgate]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(project: Path, sample: ModuleType) -> RunFolder:
    """A small one, to be labelled by hand."""
    made: RunFolder = sample.make(project / ".swapgate" / "runs" / "r1", seeds=4)
    return made


@pytest.fixture
def judged(project: Path, sample: ModuleType) -> RunFolder:
    """One with enough pictures to tell how the judge does."""
    made: RunFolder = sample.make(project / ".swapgate" / "runs" / "r1", seeds=40)
    return made


@pytest.fixture
def server(run: RunFolder) -> Iterator[LabelServer]:
    with LabelServer(Sitting(run, "ann"), run.image_path) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server: LabelServer, path: str, method: str = "GET", body: Any = None, token: str | None = None, **headers: str) -> tuple[int, bytes, Any]:
    """(status, body, headers) of one request below the secret; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    connection.request(method, f"/{server.token if token is None else token}/{path}", body=content, headers=sent)
    reply = connection.getresponse()
    found = reply.status, reply.read(), reply.headers
    connection.close()
    return found


def test_it_listens_on_the_loopback_alone(server: LabelServer) -> None:
    """And its address holds a secret of its own length."""
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) == 32
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/"


@pytest.mark.parametrize("token", ["", "wrong", "%2e%2e", "x" * 32, "%C3%A9"])
@pytest.mark.parametrize(("path", "method"), [("", "GET"), ("state", "GET"), ("label", "POST"), ("image/" + "a" * 64, "GET")])
def test_nothing_without_the_secret(server: LabelServer, token: str, path: str, method: str) -> None:
    """403 for every address, and nothing is written."""
    status, body, _ = ask(
        server,
        path,
        method,
        {"number": 0, "usable": True, "seconds": 1},
        token=token,
        **JSON,
    )
    assert status == 403
    assert server.token.encode() not in body
    assert not server.sitting.labels.path.exists()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:PORT", ""])
def test_a_name_that_was_pointed_here_is_refused(server: LabelServer, host: str) -> None:
    """DNS rebinding: the Host header is not this server's."""
    assert ask(server, "", Host=host.replace("PORT", str(server.server_port)))[0] == 403
    assert ask(server, "", Host=f"localhost:{server.server_port}")[0] == 200


def test_another_page_may_not_answer(server: LabelServer) -> None:
    """Neither with its Origin, nor with a form, which cannot send JSON."""
    body = {"number": 0, "usable": True, "seconds": 1}
    assert ask(server, "label", "POST", body, Origin="http://evil.example", **JSON)[0] == 403
    assert ask(server, "label", "POST", body, Origin="null", **JSON)[0] == 403
    assert ask(server, "label", "POST", body, Content_Type="text/plain")[0] == 415
    assert not server.sitting.labels.path.exists()
    assert ask(server, "label", "POST", body, Origin=f"http://127.0.0.1:{server.server_port}", **JSON)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "image/../../manifest.json",
        "image/..%2f..%2fmanifest.json",
        "image/%2e%2e/%2e%2e/manifest.json",
        "../manifest.json",
        "manifest.json",
        "verdicts.json",
        "image/",
        "image/" + "a" * 64,
        "image//etc/passwd",
        "state/-1",
        "state/999999",
        "state/" + "0" * 10,
        "state/x",
        "state/%D9%A1",
        "label",
    ],
)
def test_there_is_no_other_file(server: LabelServer, path: str) -> None:
    """404 for what is no picture of the queue, however it is spelled."""
    status, body, _ = ask(server, path)
    assert status == 404
    assert body == b"there is nothing here\n"


def test_pictures_of_rewordings_are_not_served(server: LabelServer, run: RunFolder) -> None:
    """Only what is in the queue, although the file lies beside."""
    made = run.generations()
    (reworded,) = [made[one.key].image for one in run.requests() if one.edits]
    assert reworded
    assert run.image_path(reworded).is_file()
    assert ask(server, f"image/{reworded}")[0] == 404


def test_the_page_is_closed_in_itself_and_blind(server: LabelServer, sample: ModuleType) -> None:
    """A policy without a hole, no address of another place, no name of a model, in two languages, with names for its keys."""
    status, body, headers = ask(server, "")
    page = body.decode()
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for name in (sample.OLD, sample.NEW, "r1"):
        assert name not in page
    for said in ('lang="zh-Hans">可用', 'lang="zh-Hans">不可用', 'aria-keyshortcuts="Backspace"', 'role="alert"', "ann"):
        assert said in page


def test_a_whole_sitting_by_hand(server: LabelServer, run: RunFolder, sample: ModuleType) -> None:
    """Every state names a picture that is served; every answer lands in the file; nothing that was said names a model."""
    said = b""
    state = json.loads(ask(server, "state")[1])
    while state["number"] is not None:
        status, png, headers = ask(server, f"image/{state['image']}")
        assert (status, headers["Content-Type"], png[:4]) == (200, "image/png", b"\x89PNG")
        status, body, _ = ask(server, "label", "POST", {"number": state["number"], "usable": state["number"] % 2 == 0, "seconds": 0.25}, **JSON)
        assert status == 200
        said += body
        state = json.loads(body)
    assert state["done"] == state["total"] == len(server.sitting.shown)
    kept = Labels(run.path).current()
    wanted = {(one.image, one.pair, one.look): number % 2 == 0 for number, one in enumerate(server.sitting.shown)}
    assert {(one.image, one.pair, one.look): one.usable for one in kept} == wanted
    assert {(one.person, one.seconds) for one in kept} == {("ann", 0.25)}
    for name in (sample.OLD, sample.NEW):
        assert name.encode() not in said


def test_going_back_corrects(server: LabelServer) -> None:
    """The earlier showing with its answer, and a second answer in its place."""
    ask(server, "label", "POST", {"number": 0, "usable": True, "seconds": 1}, **JSON)
    state = json.loads(ask(server, "state/0")[1])
    assert (state["answered"], state["usable"], state["done"]) == (True, True, 1)
    after = json.loads(ask(server, "label", "POST", {"number": 0, "usable": None, "seconds": None}, **JSON)[1])
    assert (after["number"], after["done"]) == (1, 1)
    assert [one.usable for one in Labels(server.sitting.labels.path.parent).current()] == [None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff\xfe",
        b"[" * 4000,
        {"number": 0, "usable": True},
        {"number": -1, "usable": True, "seconds": 1},
        {"number": 10**6, "usable": True, "seconds": 1},
        {"number": True, "usable": True, "seconds": 1},
        {"number": 0, "usable": 1, "seconds": 1},
        {"number": 0, "usable": "yes", "seconds": 1},
        {"number": 0, "usable": True, "seconds": -1},
        {"number": 0, "usable": True, "seconds": "1"},
        b'{"number": 0, "usable": true, "seconds": NaN}',
        b'{"number": 0, "usable": true, "seconds": 1e999}',
    ],
)
def test_what_is_no_answer_is_refused_and_not_kept(server: LabelServer, body: Any) -> None:
    """400, a reason, and the next request is answered."""
    assert ask(server, "label", "POST", body, **JSON)[0] == 400
    assert not server.sitting.labels.path.exists()
    assert ask(server, "state")[0] == 200


def test_a_body_without_end_is_not_read(server: LabelServer) -> None:
    """413 above a few kilobytes, 411 without a length that is one."""
    assert ask(server, "label", "POST", b"1" * 5000, **JSON)[0] == 413
    assert ask(server, "label", "POST", None, Content_Length="0000000000000010", **JSON)[0] == 411


def test_the_command_prints_the_address_serves_and_ends_with_ctrl_c(run: RunFolder) -> None:
    """As a person calls it; status 0, and what to do next."""
    # A shell that runs the tests in the background has them ignore Ctrl-C, and their children too.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    said = "from swapgate.cli.main import main; raise SystemExit(main(['label', 'r1', '--no-browser', '--person=bo']))"
    command = [sys.executable, "-c", f"{heard}; {said}"]
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "tools")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=where) as process:
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("bo: 0 of ")
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{32})/\n", process.stdout.readline())
            assert found
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
            connection.request("POST", f"/{found[2]}/label", json.dumps({"number": 0, "usable": True, "seconds": 2}), JSON)
            assert connection.getresponse().status == 200
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert err == ""
    assert f"swapgate judge fit {run.path.resolve()}" in out.replace(str(run.path), str(run.path.resolve()))
    assert [(one.person, one.usable) for one in Labels(run.path)] == [("bo", True)]


def label_all(run: RunFolder, sample: ModuleType, person: str, *, wrong: int = -1) -> None:
    """A person who knows the truth of every seed, but for seeds that end in `wrong`."""
    sitting = Sitting(run, person)
    for number, one in enumerate(sitting.shown):
        seed = sample.seed_of(one.pair)
        sitting.answer(number, usable=sample.truth(seed) != (seed % 10 == wrong), seconds=1.0)


def test_fit_finds_the_judge_s_errors_and_corrects_for_them(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """The judge of the sample errs on the seeds that end in 9: 9 and 39 should be refused, 19 and 29 taken. People say so exactly."""
    label_all(judged, sample, "ann")
    assert main(["judge", "fit", "r1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    table = found["judge"][f"{sample.NEW} zh"]
    assert table["usable"] == {"yes": 24, "no": 2}
    assert table["unusable"] == {"yes": 2, "no": 12}
    assert table["informative"] is True
    assert found["refused"] == {"alignment": 4}
    assert found["labels"]["pictures"] == 158
    assert found["labels"]["people"] == {"ann": 158}
    assert found["labels"]["between"] is None
    assert found["labels"]["within"]["ann"]["same"]["value"] == 1.0
    assert {(row["model"], row["language"]) for row in found["usability"]} == {(m, x) for m in (sample.OLD, sample.NEW) for x in ("en", "zh")}
    for row in found["usability"]:
        assert row["judge"]["value"] == pytest.approx(26 / 40)
        assert row["corrected"]["value"] == pytest.approx(26 / 40)
        assert row["corrected"]["low"] < row["judge"]["low"]
        assert (row["people"]["value"], row["people"]["n"]) == (pytest.approx(26 / 40), 40)


def test_fit_moves_a_figure_that_the_judge_has_wrong(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A judge that refuses half of what is usable says 13 of 40 less than people do; the corrected figure is theirs."""
    file = judged.path / "verdicts.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    for row in data["images"]:
        good = sample.truth(row["seed"]) and row["seed"] % 2 == 0
        row["usable"] = row["baseline_usable"] = good
    for card in data["models"]:
        card["usable"] = {"en": [13, 40], "zh": [13, 40]}
    file.write_text(json.dumps(data), encoding="utf-8")
    label_all(judged, sample, "ann")
    assert main(["judge", "fit", "--pool=language"]) == 0
    out = capsys.readouterr().out
    assert "50.0 %" in out
    assert re.search(rf"{sample.NEW} +en +32\.5 % \[.*\] +65\.0 % \[.*\] +65\.0 % \[.*\] of 40", out)
    assert "all models zh" in out


def test_fit_over_several_people_and_files(judged: RunFolder, sample: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two people by kappa, three by alpha; a merged file counts like one's own, twice like once, and strangers are left out."""
    label_all(judged, sample, "ann")
    label_all(judged, sample, "bo", wrong=4)
    theirs = tmp_path / "theirs.jsonl"
    lines = (judged.path / FILE).read_text(encoding="utf-8").splitlines()
    cy = [line.replace('"ann"', '"cy"') for line in lines if '"ann"' in line]
    strange = json.dumps({**json.loads(cy[0]), "image": "f" * 64})
    theirs.write_text("\n".join([*cy, strange]) + "\n", encoding="utf-8")
    assert main(["judge", "fit", "--json"]) == 0
    between = json.loads(capsys.readouterr().out)["labels"]["between"]
    assert between["coefficient"] == "Cohen's kappa"
    assert between["n"] == 158
    assert between["same"]["value"] == pytest.approx(142 / 158)
    for words in (f"{len(cy)} labels added, 0 known already, 1 of other images left out", f"0 labels added, {len(cy)} known already"):
        assert main(["label", "--merge", str(theirs)]) == 0
        assert words in capsys.readouterr().out
    assert main(["judge", "fit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"]["between"]["coefficient"] == "Krippendorff's alpha"
    assert found["labels"]["disputed"] == 0, "the majority of three"
    assert found["judge"][f"{sample.OLD} en"]["usable"] == {"yes": 24, "no": 2}


def test_the_second_look_at_a_picture_tells_of_the_person_alone(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Who says the opposite of every picture that comes again disagrees with themself; the judge is held against what was said first."""
    sitting = Sitting(judged, "ann")
    for number, one in enumerate(sitting.shown):
        sitting.answer(number, usable=sample.truth(sample.seed_of(one.pair)) != bool(one.look), seconds=1.0)
    assert main(["judge", "fit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    within = found["labels"]["within"]["ann"]
    assert (within["n"], within["same"]["value"]) == (8, 0.0)
    assert within["value"] < 0
    assert found["judge"][f"{sample.NEW} zh"]["usable"] == {"yes": 24, "no": 2}


def test_people_who_are_evenly_divided_say_nothing(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Their pictures are left out and counted."""
    label_all(judged, sample, "ann")
    label_all(judged, sample, "bo", wrong=4)
    assert main(["judge", "fit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["labels"]["disputed"], found["labels"]["pictures"]) == (16, 142)


def test_a_judge_that_is_no_better_than_chance_is_called_so(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and no corrected figure."""
    sitting = Sitting(judged, "ann")
    for number in range(len(sitting.shown)):
        sitting.answer(number, usable=number % 2 == 0, seconds=1.0)
    assert main(["judge", "fit"]) == 1
    out = capsys.readouterr().out
    assert "not shown better than chance" in out
    assert "the judge says nothing here" in out


def test_the_same_run_given_twice_counts_once(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """By name and by path."""
    label_all(judged, sample, "ann")
    main(["judge", "fit", "r1", str(judged.path), "--json"])
    twice = json.loads(capsys.readouterr().out)
    main(["judge", "fit", "r1", "--json"])
    assert twice == json.loads(capsys.readouterr().out)


def test_a_run_without_labels_says_how_to_make_some(judged: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and the command."""
    assert main(["judge", "fit"]) == 2
    assert "swapgate label RUN" in capsys.readouterr().err


def test_a_run_that_was_not_judged_is_labelled_all_the_same(judged: RunFolder, sample: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """People need no judge; fitting says what is missing."""
    (judged.path / "verdicts.json").unlink()
    label_all(judged, sample, "ann")
    assert main(["judge", "fit"]) == 4
    assert "--replay" in capsys.readouterr().err

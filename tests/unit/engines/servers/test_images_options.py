"""Cards of the images_api engine: a mistake is told before anything is asked, and a key or password never is."""

from __future__ import annotations

import pytest

from swapgate.card_parts import Lora, Parts
from swapgate.cards import read_card
from swapgate.engines.images_options import OWN, address_of, check, read_options
from swapgate.engines.registry import ENGINES
from swapgate.engines.registry import check as check_card
from swapgate.errors import UserError

URL = "http://127.0.0.1:8000/v1"


def wrong(card, key):
    with pytest.raises(UserError) as caught:
        check(card)
    assert caught.value.key == key
    assert caught.value.remedy
    return str(caught.value)


def test_a_card_is_read_from_toml(tmp_path):
    path = tmp_path / "served.toml"
    path.write_text(
        f"""
        engine = "images_api"
        source = "{URL}"
        tasks = ["t"]
        judge = {{ source = "scripted" }}
        negative_prompt = {{ en = "blurry" }}
        call = {{ num_inference_steps = 20, guidance_scale = 4.0 }}
        [options]
        model = "qwen-image"
        key_env = "IMAGES_API_KEY"
        reply = "url"
        picture_hosts = "Files.example.org, cdn.example.org"
        wait_seconds = 5
        [ceilings.server]
        seconds_per_image = 9.0
        """,
        encoding="utf-8",
    )
    card = read_card(path, root=tmp_path, engines=ENGINES)
    check_card(card)
    options = read_options(card)
    assert (options.model, options.reply, options.wait_seconds, options.seed, options.n) == ("qwen-image", "url", 5.0, True, 1)
    assert options.hosts == ("files.example.org", "cdn.example.org")
    assert options.accelerator(address_of(card)) == "server-127-0-0-1"
    assert card.ceilings_on(options.accelerator(address_of(card))).seconds_per_image == 9.0
    assert card.ceilings_on("nvidia-h200").seconds_per_image is None


def test_defaults_ask_for_one_seeded_picture_in_the_reply(card_of):
    options = read_options(card_of(URL, options={}))
    assert (options.reply, options.n, options.seed, options.key_env, options.hosts) == ("b64_json", 1, True, "", ())


def test_hardware_names_the_cohort(card_of):
    card = card_of(URL, options={"hardware": "nvidia-h200"})
    assert read_options(card).accelerator(address_of(card)) == "nvidia-h200"


@pytest.mark.parametrize(
    "source", ["fixtures/weights/x", "Qwen/Qwen-Image", "ftp://h/v1", "file:///etc/passwd", "http://h/#a", "", "http://h:70000/"]
)
def test_a_source_that_is_no_address_is_refused(card_of, source):
    assert "address" in wrong(card_of(source), "source")


@pytest.mark.parametrize("source", ["http://me:hunter2@h/v1", "https://hunter2@h/"])
def test_a_password_in_the_source_is_refused_and_not_repeated(card_of, source):
    said = wrong(card_of(source), "source")
    assert "hunter2" not in said
    assert "key_env" in said


@pytest.mark.parametrize("value", ["sk-live-1234/abc", "sk live", "$KEY", "1KEY", "кey"])
def test_a_key_in_place_of_its_name_is_not_repeated(card_of, value):
    said = wrong(card_of(URL, options={"key_env": value}), "options.key_env")
    assert value not in said


@pytest.mark.parametrize("value", [1234, True, 1.5])
def test_a_key_of_another_type_is_not_repeated_either(card_of, value):
    assert str(value) not in wrong(card_of(URL, options={"key_env": value}), "options.key_env").replace("rule", "")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"modle": "m"}, "options.modle"), ({"api_key": "sk-1"}, "options.api_key"), ({"n": 0}, "options.n"), ({"n": 17}, "options.n"),
        ({"n": True}, "options.n"), ({"n": 1.5}, "options.n"), ({"seed": 1}, "options.seed"), ({"reply": "png"}, "options.reply"),
        ({"wait_seconds": -1}, "options.wait_seconds"), ({"wait_seconds": 1e9}, "options.wait_seconds"), ({"wait_seconds": True}, "options.wait_seconds"),
        ({"hardware": "NVIDIA H200"}, "options.hardware"), ({"picture_hosts": "https://h/"}, "options.picture_hosts"),
        ({"picture_hosts": "h:80"}, "options.picture_hosts"), ({"image": "no.png"}, "options.image"), ({"image": "../secret.png"}, "options.image"),
        ({"image": "/etc/passwd"}, "options.image"), ({"model": 3}, "options.model"),
    ],
)  # fmt: skip
def test_every_option_is_held_to_its_type_and_range(card_of, options, key):
    said = wrong(card_of(URL, options=options), key)
    assert "sk-1" not in said


def test_the_nearest_option_is_named(card_of):
    assert "did you mean 'picture_hosts'?" in wrong(card_of(URL, options={"picture_host": "h"}), "options.picture_host")


@pytest.mark.parametrize("name", OWN)
def test_what_comes_from_the_task_is_no_argument(card_of, name):
    wrong(card_of(URL, call={name: 1}), f"call.{name}")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"expected_forwards": 8}, "expected_forwards"), ({"faults": ("noise:0.1",)}, "faults"), ({"pipeline": "FluxPipeline"}, "pipeline"),
        ({"weights": "dry"}, "weights"), ({"architecture": "flux"}, "architecture"), ({"parts": Parts(loras=(Lora(source="a/b", adapter="x"),))}, "loras"),
        ({"parts": Parts(scheduler={"shift": 3.0})}, "scheduler"),
    ],
)  # fmt: skip
def test_what_a_server_would_not_notice_is_refused(card_of, changes, key):
    """A card that states forwards which nobody can count would hold a gate that cannot fail."""
    assert "server" in wrong(card_of(URL, **changes), key)


def test_other_engines_have_nothing_to_check(card_of):
    check_card(card_of(URL, engine="scripted"))

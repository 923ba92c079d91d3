"""The pass rules as data: that the file is whole, what a rule says of a value, and what a mistake in it says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from swapgate.drills.peers.policies import KINDS, CostRule, Policy, Rule, load
from swapgate.errors import UserError

HEAD = '[[policy]]\nid = "a"\npeer = "A"\nkind = "drift"\nsource = "a/b: c.py"\nimages = 1\n'


def read(tmp_path: Path, text: str) -> tuple[Policy, ...]:
    path = tmp_path / "p.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def by_id(name: str) -> Policy:
    return next(policy for policy in load() if policy.id == name)


def test_the_file_holds_every_kind_with_a_public_source() -> None:
    """A repository with a file, or the number of an issue."""
    policies = load()
    assert {policy.kind for policy in policies} == set(KINDS)
    assert len(policies) >= 30
    for policy in policies:
        repository = policy.source.split(":")[0]
        assert repository.count("/") == 1, policy.id
        assert (
            ".py" in policy.source
            or ".json" in policy.source
            or "#" in policy.source
            or "README" in policy.source
            or "/" in policy.source.split(":")[1]
        )
        assert policy.text
        assert not policy.reason or not policy.partly


@pytest.mark.parametrize(
    ("op", "passes", "fails"), [(">=", (0.95, 1.0), (0.9499,)), (">", (0.951,), (0.95,)), ("<=", (0.95, 0.0), (0.9501,)), ("<", (0.949,), (0.95,))]
)
def test_a_rule_holds_up_to_its_limit(op: str, passes: tuple[float, ...], fails: tuple[float, ...]) -> None:
    """With or without the limit itself, as the peer's own comparison has it; NaN never holds."""
    rule = Rule(metric="ssim_rgb", op=op, limit=0.95)
    assert all(rule.holds(value) for value in passes)
    assert not any(rule.holds(value) for value in (*fails, math.nan))


def test_a_share_and_a_pad_are_one_limit() -> None:
    """The larger of the two: 25 % of a long call, 20 ms of a short one."""
    rule = CostRule(stat="single", samples=1, attempts=1, ratio=1.25, pad=0.02)
    assert rule.limit(10.0) == 12.5
    assert rule.limit(0.04) == pytest.approx(0.06)


def test_a_policy_whose_weights_are_not_at_hand_is_not_run_and_says_what_it_needs() -> None:
    """Never passed, never failed."""
    policy = by_id("trt-llm-flux")
    assert policy.reason == "lpips_alex needs LPIPS with the weights of AlexNet"
    assert not policy.applied


def test_a_policy_of_which_a_part_is_at_hand_is_run_in_part() -> None:
    """SGLang asks for CLIP ViT-L/14 beside pixels: the pixels can be judged."""
    policy = by_id("sglang-default")
    assert policy.reason == ""
    assert [rule.metric for rule in policy.applied] == ["ssim_rgb", "psnr", "mad255"]
    assert policy.partly == "without clip_image_vitl14 (needs the weights of CLIP ViT-L/14)"


def test_a_policy_that_is_at_hand_has_neither_reason_nor_part() -> None:
    """Nothing to excuse."""
    policy = by_id("unsloth-psnr")
    assert (policy.reason, policy.partly, policy.text) == ("", "", "psnr >= 35")


def test_a_stated_reason_comes_first() -> None:
    """A rule that makes no sense here is not run, although its numbers are known."""
    assert by_id("vllm-omni-backend").reason.startswith("it times another implementation")
    assert by_id("sglang-memory").reason.endswith("not how the two are combined")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sglang-e2e", "a call <= max(1.25 b, b + 0.02 s), best of 7 attempts"),
        ("unsloth-latency", "median of 3 calls <= 1.1 b"),
        ("fastvideo-memory", "peak of 5 calls <= max(1.05 b, b + 256 MiB), b the median of 5"),
        ("optimum-habana-throughput", "mean of all calls <= 1.053 b"),
        ("difftest-visual", "mean ssim_rgb_resized >= 0.85"),
        ("mlperf-sdxl", "not applied"),
    ],
)
def test_a_rule_is_said_in_a_line(name: str, text: str) -> None:
    """For the table."""
    assert by_id(name).text == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "rules on pictures, or a cost, or not_run"),
        (HEAD + 'rules = [{ metric = "ssmi_rgb", op = ">=", limit = 0.9 }]', "did you mean 'ssim_rgb'"),
        (HEAD + 'rules = [{ metric = "psnr", op = "=>", limit = 30.0 }]', "one of >=, >, <=, <"),
        (HEAD + 'rules = [{ metric = "psnr", op = ">=" }]', "limit"),
        (HEAD + 'rules = [{ metric = "psnr", op = ">=", limit = 30.0, about = 1 }]', "unknown key"),
        (HEAD.replace("drift", "speed") + 'not_run = "x"', "one of drift, absolute, latency, memory"),
        (HEAD + 'not_run = "x"\n' + HEAD + 'not_run = "y"', "every id once"),
        (HEAD + 'cost = { stat = "mean", samples = 1, attempts = 0, ratio = 1.1, pad = 0.0 }', "attempts"),
        (HEAD + 'cost = { stat = "mean", samples = 1, attempts = 1, ratio = 0.9, pad = 0.0 }', "between 1 and 10"),
        (HEAD.replace("images = 1", "images = 0") + 'not_run = "x"', "images"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_said_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    """As in every other file of the project."""
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)

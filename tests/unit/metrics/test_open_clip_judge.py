"""The judge by open_clip, on a small folder with random weights: what it loads, refuses, remembers and promises."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from swapgate.errors import UserError
from swapgate.metrics.clip import alignment
from swapgate.metrics.open_clip_judge import SMALL_WORK, OpenClipJudge, is_chinese
from swapgate.standins import clip

TEXTS = ["a red cup on a table", "two blue cats in a meadow", "桌上的一只红色杯子", "草地上的两只蓝色的猫"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as training saves it, with random weights."""
    torch.manual_seed(3)
    tokenizer = clip.train_tokenizer(TEXTS, 320)
    path = tmp_path_factory.mktemp("weights") / "small-clip"
    clip.save(clip.build(tokenizer.get_vocab_size()), tokenizer, path)
    return path


@pytest.fixture(scope="module")
def judge(folder):
    return OpenClipJudge(f"local-dir:{folder}")


@pytest.fixture
def copy(folder, tmp_path):
    """A folder of its own, to be damaged."""
    return shutil.copytree(folder, tmp_path / folder.name)


def pictures(n, height=128, width=128):
    return list(np.random.default_rng(n).integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def test_features_are_unit_vectors_in_single_precision(judge):
    """Pictures and texts, in either language, in one space of 192 dimensions."""
    for found in (judge.image_features(pictures(3)), judge.text_features(TEXTS)):
        assert found.dtype == np.float32
        assert found.shape[1] == clip.EMBED
        assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_scores_are_those_of_open_clip_itself(judge, folder):
    """The same cosine as open_clip's own model, transform and tokenizer give, step by step."""
    import open_clip
    from PIL import Image

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    images = pictures(4, 96, 160)
    with torch.inference_mode():
        seen = model.eval().encode_image(torch.stack([transform(Image.fromarray(one)) for one in images]), normalize=True)
        expected = (seen * model.encode_text(tokens, normalize=True)).sum(dim=-1)
    assert alignment(judge, images, TEXTS) == pytest.approx(expected.numpy(), abs=1e-5)


def test_pictures_are_prepared_as_open_clip_prepares_them(folder):
    """To the last bit, also where it keeps proportions and crops: resized by Pillow one by one, the rest as one tensor."""
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    from swapgate.metrics.open_clip_judge import _halves

    for mode in ("squash", "shortest", "longest"):
        whole = image_transform_v2(PreprocessCfg(size=96, mean=(0.3, 0.4, 0.5), std=(0.2, 0.3, 0.25), resize_mode=mode), is_train=False)
        resized, normalise = _halves(whole)
        images = pictures(2, 150, 210)
        batch = torch.from_numpy(np.stack([resized(image) for image in images])).permute(0, 3, 1, 2).float().div(255)
        expected = torch.stack([whole(Image.fromarray(image)) for image in images])
        assert torch.equal(normalise(batch), expected)


def test_another_way_to_prepare_pictures_is_refused():
    """A later open_clip that does more after the resizing would be cut short in silence."""
    from torchvision.transforms import Compose, Normalize, ToTensor

    from swapgate.metrics.open_clip_judge import _halves

    with pytest.raises(TypeError, match="in another way"):
        _halves(Compose([Normalize(0.5, 0.5), ToTensor()]))


def test_convolutions_keep_single_precision_and_the_setting_comes_back(folder, monkeypatch):
    """On newer GPUs they would be cut to ten bits, and scores with them."""
    judge, seen = OpenClipJudge(f"local-dir:{folder}"), []
    original = judge._parts.model.encode_image
    allowed = torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(judge._parts.model, "encode_image", lambda batch, **kw: seen.append(torch.backends.cudnn.allow_tf32) or original(batch, **kw))
    judge.image_features(pictures(1))
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32 == allowed
    assert judge.device == "cpu"


def test_batches_of_any_length_give_the_same_features(folder):
    """Chunks of two and of 32, and no picture or text at all."""
    small, large = OpenClipJudge(f"local-dir:{folder}", batch=2), OpenClipJudge(f"local-dir:{folder}", batch=32)
    assert small.image_features(pictures(5)) == pytest.approx(large.image_features(pictures(5)), abs=1e-5)
    assert small.image_features([]).shape == (0, clip.EMBED)
    assert small.text_features([]).shape == (0, clip.EMBED)


def test_a_text_seen_before_is_not_computed_again(folder, monkeypatch):
    """Only new texts reach the model, each once, and the order asked for is kept."""
    judge = OpenClipJudge(f"local-dir:{folder}")
    seen = []
    original = judge._parts.model.encode_text
    monkeypatch.setattr(judge._parts.model, "encode_text", lambda tokens, **kw: seen.append(len(tokens)) or original(tokens, **kw))
    first = judge.text_features([TEXTS[0], TEXTS[1], TEXTS[0]])
    again = judge.text_features([TEXTS[1], TEXTS[2], TEXTS[0]])
    assert seen == [2, 1]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again[[0, 2]], first[[1, 0]])


def test_a_picture_seen_before_is_not_computed_again(folder, monkeypatch):
    """Only new pictures reach the model, each once; equal bytes in another shape are another picture."""
    judge = OpenClipJudge(f"local-dir:{folder}")
    seen = []
    original = judge._parts.model.encode_image
    monkeypatch.setattr(judge._parts.model, "encode_image", lambda batch, **kw: seen.append(len(batch)) or original(batch, **kw))
    one, two, three = pictures(3, 96, 160)
    first = judge.image_features([one, two, one.copy()])
    again = judge.image_features([two, three, one])
    judge.image_features([one.reshape(160, 96, 3)])
    assert seen == [2, 1, 1]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again[[0, 2]], first[[1, 0]])


def test_pictures_of_any_shape_are_seen_whole(judge):
    """They are squashed, not cropped: a mark at the far end of a wide picture changes the score."""
    plain = np.full((64, 256, 3), 120, np.uint8)
    marked = plain.copy()
    marked[:, 232:] = (255, 0, 0)
    features = judge.image_features([plain, marked])
    assert not np.allclose(features[0], features[1], atol=1e-4)


def test_letter_case_width_and_spaces_do_not_change_a_text(judge):
    """The tokenizer normalises them away."""
    found = judge.text_features(["A RED  cup, on a table", "a red cup, on a table", "ａ ｒｅｄ ｃｕｐ， on a table"])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("text", ["", "x" * 5000, "🦊", "Ünïcödé", "句子" * 500])
def test_any_text_can_be_scored(judge, text):
    """Empty, far too long, outside the picture world: a unit vector all the same."""
    assert np.linalg.norm(judge.text_features([text])) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("array", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_what_is_no_picture_is_refused(judge, array):
    """Grey, alpha and floats would be read in another range."""
    with pytest.raises(ValueError, match="uint8"):
        judge.image_features([array])


def test_the_identity_names_the_model_and_no_path(judge, folder):
    """Folder name and digest; loading it again gives the same."""
    name, _, digest = judge.identity.partition("@sha256:")
    assert (name, len(digest)) == ("small-clip", 64)
    assert OpenClipJudge(f"local-dir:{folder}").identity == judge.identity


def test_the_identity_does_not_depend_on_where_the_folder_lies(judge, copy):
    """A copy elsewhere has the same scores and says so."""
    assert OpenClipJudge(f"local-dir:{copy}").identity == judge.identity


def test_one_changed_weight_is_another_identity(judge, copy):
    """So that no stored score is taken for one of the other weights."""
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] += 0.5
    save_file(weights, copy / "open_clip_model.safetensors")
    assert OpenClipJudge(f"local-dir:{copy}").identity != judge.identity


def test_another_preprocessing_is_another_identity(judge, copy):
    """Equal weights that see pictures otherwise give other scores."""
    path = copy / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["preprocess_cfg"]["mean"] = [0.4, 0.4, 0.4]
    path.write_text(json.dumps(config), encoding="utf-8")
    assert OpenClipJudge(f"local-dir:{copy}").identity != judge.identity


def test_an_english_judge_refuses_chinese_and_says_what_to_do(copy):
    """English goes through; a text with one Chinese character is the user's error, with the remedy."""
    path = copy / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["swapgate"]["languages"] = ["en"]
    path.write_text(json.dumps(config), encoding="utf-8")
    judge = OpenClipJudge(f"local-dir:{copy}")
    assert judge.languages == {"en"}
    assert judge.text_features(["a red cup"]).shape == (1, clip.EMBED)
    with pytest.raises(UserError, match=r"海报(.|\n)*English-only(.|\n)*remedy: .*standin-clip") as caught:
        judge.text_features(["a red cup", "a poster that reads 海报"])
    assert str(copy) not in str(caught.value)


def test_a_folder_that_states_no_languages_is_taken_for_english(copy):
    """The cautious reading."""
    path = copy / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["swapgate"]
    path.write_text(json.dumps(config), encoding="utf-8")
    assert OpenClipJudge(f"local-dir:{copy}").languages == {"en"}


@pytest.mark.parametrize(
    ("text", "chinese"),
    [("a cup", False), ("杯", True), ("cup 杯", True), ("“cup”，", False), ("カップ", False), ("𠮷", True), ("", False), ("Ω≈", False)],
)
def test_chinese_is_told_by_its_characters(text, chinese):
    """Ideographs of any block count; punctuation, kana and symbols do not."""
    assert is_chinese(text) is chinese


def test_the_published_multilingual_models_are_known_by_name():
    """SigLIP 2 and its like read Chinese; the models of the first CLIP do not."""
    from swapgate.metrics.open_clip_judge import _languages

    for name in ("ViT-B-32-SigLIP2-256", "ViT-B-16-SigLIP-i18n-256", "xlm-roberta-base-ViT-B-32", "nllb-clip-base", "ViT-H-14-worldwide"):
        assert _languages((name, "tag")) == {"en", "zh"}
    for name in ("ViT-B-32", "ViT-L-14", "ViT-B-16-SigLIP", "RN50", "EVA02-B-16"):
        assert _languages((name, "tag")) == {"en"}


@pytest.mark.parametrize("missing", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_by_name(copy, missing):
    """Without weights open_clip would go on with random ones; that must not happen."""
    (copy / missing).unlink()
    with pytest.raises(UserError, match=f"missing: {missing}"):
        OpenClipJudge(f"local-dir:{copy}")


@pytest.mark.parametrize("source", ["local-dir:/nowhere/at/all", "standin-clip", ("no-such-model", "webli"), ("ViT-B-32", "no-such-tag")])
def test_a_judge_that_is_not_there_is_the_users_error(source):
    """Folder, bare word, model and tag: each is answered with the rule and a judge that works."""
    with pytest.raises(UserError, match="standin-clip"):
        OpenClipJudge(source)


@pytest.mark.parametrize(("parameters", "threads"), [(int(SMALL_WORK) + 1, 2), (int(SMALL_WORK), 1)])
def test_torch_gets_its_threads_back(folder, parameters, threads):
    """The judge borrows two, or one where a second would only cost, and returns what the process had, after an error too."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads == 2 else 2)
        there = torch.get_num_threads()
        judge = OpenClipJudge(f"local-dir:{folder}", threads=2)
        used = []
        judge._size = parameters
        judge._parts = judge._parts._replace(normalise=lambda _: used.append(torch.get_num_threads()) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            judge.image_features(pictures(1))
        assert used == [threads]
        assert torch.get_num_threads() == there
    finally:
        torch.set_num_threads(before)


def test_the_model_runs_in_single_precision(judge):
    """The file is half precision; the computation is not."""
    assert {parameter.dtype for parameter in judge._parts.model.parameters()} == {torch.float32}

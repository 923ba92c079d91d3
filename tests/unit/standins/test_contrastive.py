"""Training of standin-clip: the bank, the losses, the evaluation, and the stage from end to end."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from torch.nn import functional

from swapgate.standins import captions, clip, scene
from swapgate.standins.training import contrastive, contrastive_bank, preference
from swapgate.standins.training.contrastive_bank import GROUP, WORDINGS, claim_table, grouped_codes, make_bank, roughen
from swapgate.standins.training.stages import run_stages


@pytest.fixture
def small(monkeypatch):
    """Towers of one layer, so that a rehearsal takes seconds."""
    original = clip.configuration

    def configuration(vocabulary=clip.VOCABULARY):
        config = original(vocabulary)
        config["model_cfg"]["vision_cfg"] |= {"layers": 1, "width": 64}
        config["model_cfg"]["text_cfg"] |= {"layers": 1, "width": 64, "heads": 1}
        return config

    monkeypatch.setattr(clip, "configuration", configuration)


def codes_of(n=64, seed=5):
    return grouped_codes(n, torch.Generator().manual_seed(seed), random.Random(seed))


@pytest.fixture(scope="module")
def tokenizer():
    rng = random.Random(1)
    scenes = scene.decode(scene.sample_codes(200, torch.Generator().manual_seed(1)))
    return clip.train_tokenizer([captions.caption(one, k, rng) for one in scenes for k in captions.LANGUAGES], 500)


@pytest.fixture(scope="module")
def bank(tokenizer):
    return make_bank(codes_of(16), tokenizer, torch.device("cpu"), random.Random(2), torch.Generator().manual_seed(2))


def test_a_group_is_a_scene_and_scenes_that_differ_from_it_in_one_attribute_each():
    """Each neighbour in another attribute, so the hard negatives of a batch are spread over the attributes."""
    groups = codes_of(400).view(-1, GROUP, len(scene.ATTRIBUTES))
    differs = groups[:, 1:] != groups[:, :1]
    assert bool((differs.sum(dim=2) == 1).all())
    assert bool((differs.sum(dim=1) <= 1).all())
    assert bool(differs.flatten(0, 1).any(dim=0).all()), "some attribute is never the one that changes"


def test_training_never_sees_a_held_out_scene_and_every_scene_fits():
    """Neither as a base nor as a neighbour."""
    codes = codes_of(2000, seed=9)
    assert not bool(scene.is_held_out(codes).any())
    assert bool(scene.is_valid(codes).all())


def test_the_held_out_triples_are_those_of_the_picture_world():
    """Sixty of six hundred, by name the same as by code."""
    held = contrastive_bank.held_out_triples()
    assert len(held) == 60
    codes = scene.sample_codes(300, torch.Generator().manual_seed(0))
    by_name = [(one.object, one.colour, one.background) in held for one in scene.decode(codes)]
    assert by_name == scene.is_held_out(codes).tolist()


def test_the_bank_holds_pictures_and_several_wordings_of_every_scene(bank, tokenizer):
    """Row by row: the first wording is the canonical one, and there are others."""
    assert bank.pictures.shape == (16, 3, 128, 128)
    assert bank.pictures.dtype == torch.uint8
    for language in captions.LANGUAGES:
        tokens = bank.tokens[language]
        assert tokens.shape[:2] == (WORDINGS, 16)
        canonical = [captions.caption(one, language) for one in scene.decode(bank.codes)]
        assert torch.equal(tokens[0], clip.encode(tokenizer, canonical)[:, : tokens.shape[2]])
        assert not torch.equal(tokens[0], tokens[1])


@pytest.mark.parametrize("language", captions.LANGUAGES)
def test_every_statement_claims_its_own_value(language):
    """The table agrees with `describe` for every object, count, attribute and value, and no statement stands twice."""
    texts, table = claim_table(language)
    assert len(set(texts)) == len(texts)
    sizes = [len(scene.VALUES[a]) for a in scene.ATTRIBUTES]
    assert table.shape == (len(scene.OBJECTS), len(scene.COUNTS), sum(sizes))
    rng = random.Random(4)
    for one, row in zip(scene.decode(codes_of(80)), codes_of(80).tolist(), strict=True):
        index = rng.randrange(len(sizes))
        slot = sum(sizes[:index]) + row[index]
        assert texts[int(table[row[0], row[5], slot])] == captions.describe(one, scene.ATTRIBUTES[index], language)


def test_the_contrastive_loss_is_clips_when_no_two_scenes_are_equal():
    """Against open_clip's own loss."""
    from open_clip.loss import ClipLoss

    seen, read = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(1))
    scale = torch.tensor(9.0)
    expected = ClipLoss()(functional.normalize(seen, dim=-1), functional.normalize(read, dim=-1), scale)
    found = contrastive.contrastive_loss(seen, read, torch.eye(12, dtype=torch.bool), scale)
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


def test_equal_scenes_are_not_each_others_wrong_answer():
    """Two rows of one scene: as if the other were not in the batch."""
    generator = torch.Generator().manual_seed(2)
    seen, read = torch.randn(2, 5, 8, generator=generator)
    seen[4], read[4] = seen[3], read[3]
    same = torch.eye(5, dtype=torch.bool)
    same[3, 4] = same[4, 3] = True
    scale = torch.tensor(5.0)
    logits = scale * functional.normalize(seen, dim=-1) @ functional.normalize(read, dim=-1).T
    plain = contrastive.contrastive_loss(seen, read, torch.eye(5, dtype=torch.bool), scale)
    kept = [i for i in range(5) if i != 4]
    row = functional.cross_entropy(logits[3:4, kept], torch.tensor([3]))
    found = contrastive.contrastive_loss(seen, read, same, scale)
    assert float(found) < float(plain)
    masked = logits.masked_fill(same & ~torch.eye(5, dtype=torch.bool), float("-inf"))
    assert float(functional.cross_entropy(masked[3:4], torch.tensor([3]))) == pytest.approx(float(row), abs=1e-5)


def test_the_facet_loss_is_nothing_for_a_judge_that_knows_every_attribute():
    """Pictures that point at the statements of their own values, and away from the others."""
    _, table = claim_table("en")
    codes = codes_of(12)
    said = torch.eye(int(table.max()) + 1)
    seen = torch.zeros(len(codes), len(said))
    start = 0
    for index, attribute in enumerate(scene.ATTRIBUTES):
        own = table[codes[:, 0], codes[:, 5], start + codes[:, index]]
        seen[torch.arange(len(codes)), own] = 1.0
        start += len(scene.VALUES[attribute])
    loss = contrastive.facet_loss(seen, said, table, codes, torch.tensor(100.0))
    wrong = contrastive.facet_loss(seen.roll(1, dims=0), said, table, codes, torch.tensor(100.0))
    assert float(loss) < 1e-3 < float(wrong)


def test_the_facet_loss_of_a_blind_judge_is_that_of_chance():
    """All statements alike: the mean logarithm of the number of values."""
    _, table = claim_table("zh")
    chance = np.mean([np.log(len(scene.VALUES[a])) for a in scene.ATTRIBUTES])
    seen, said = torch.ones(6, 4), torch.ones(int(table.max()) + 1, 4)
    assert float(contrastive.facet_loss(seen, said, table, codes_of(6), torch.tensor(7.0))) == pytest.approx(chance, abs=1e-5)


def test_drawn_rows_are_whole_groups_from_all_over_the_bank():
    """Aligned to groups, so that the neighbours are always there."""
    rows = contrastive.draw(400, 64, torch.Generator().manual_seed(1))
    groups = rows.view(-1, GROUP)
    assert bool((groups[:, 0] % GROUP == 0).all())
    assert torch.equal(groups - groups[:, :1], torch.arange(GROUP).expand_as(groups))
    many = contrastive.draw(400, 4000, torch.Generator().manual_seed(2))
    assert set(many.tolist()) == set(range(400))


def test_roughened_pictures_keep_their_shape_range_and_scene(bank):
    """Changed, yet each still nearest to its own original in colour and place."""
    pictures = bank.pictures.float() / 255
    rough = roughen(pictures, torch.Generator().manual_seed(3))
    assert rough.shape == pictures.shape
    assert float(rough.min()) >= 0.0
    assert float(rough.max()) <= 1.0
    assert 0.003 < float((rough - pictures).abs().mean()) < 0.12
    small = [functional.avg_pool2d(one, 16).flatten(1) for one in (rough, pictures[::GROUP])]
    nearest = torch.cdist(small[0][::GROUP], small[1]).argmin(dim=1)
    assert torch.equal(nearest, torch.arange(len(nearest)))


def test_roughening_is_a_function_of_the_generator(bank):
    """The same seed, the same wear; another seed, another."""
    pictures = bank.pictures[:4].float() / 255
    first, again, other = (roughen(pictures, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_scale_is_the_mean_cosine_with_own_and_with_other_captions(monkeypatch, tokenizer):
    """Pictures that know their row and captions that know it by 0.8: matched 0.8; floor what the strangers have left."""
    order = iter((0, 0))

    def rendered(codes, generator):
        return torch.arange(len(codes)).view(-1, 1, 1, 1).expand(-1, 3, 8, 8) / 255

    def read(model, tokenizer, some):
        next(order)
        return functional.normalize(
            functional.one_hot(torch.arange(len(some)), 256).float() * 4 + functional.one_hot(torch.tensor([255]), 256) * 3, dim=-1
        )

    monkeypatch.setattr(preference.render, "render", rendered)
    monkeypatch.setattr(preference, "roughen", lambda pictures, generator: pictures)
    monkeypatch.setattr(preference, "_read", read)
    found = preference.scale(KnowingModel(1.0), tokenizer, 20, torch.Generator().manual_seed(1))
    assert found == {"en": {"floor": 0.0, "matched": 0.8}, "zh": {"floor": 0.0, "matched": 0.8}}


def test_a_few_steps_on_one_batch_lower_the_loss(small, bank, tokenizer):
    """The gradient reaches both towers: learning one batch by heart works."""
    torch.manual_seed(0)
    model = clip.build(tokenizer.get_vocab_size())
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    rows, losses = torch.arange(16), []
    for _ in range(12):
        loss = contrastive.step_loss(model, bank, rows, torch.Generator().manual_seed(0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in (model.visual.conv1.weight, model.token_embedding.weight))


class KnowingModel:
    """Sees a scene from the picture's first pixel and reads it from the first token: a judge that is always right or wrong."""

    def __init__(self, sign):
        self.sign = sign

    def parameters(self):
        return iter([torch.zeros(1)])

    def encode_image(self, pictures, *, normalize):
        return self.sign * functional.one_hot(((pictures[:, 0, 0, 0] + 1) / 2 * 255).round().long(), 256).float()


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 1.0), (-1.0, 0.0)])
def test_the_evaluation_gives_one_to_a_judge_that_knows_and_zero_to_its_opposite(monkeypatch, tokenizer, sign, expected):
    """Pictures carry the row, right texts are read as that row and wrong ones as none: every figure follows."""
    known = {}

    def rendered(codes, generator):
        known.update({one: row for row, one in enumerate(scene.decode(codes))})
        return torch.arange(len(codes)).view(-1, 1, 1, 1).expand(-1, 3, 8, 8) / 255

    def texts(cases, language, rng):
        right, wrong = [f"{case.row}" for case in cases], ["255" for _ in cases]
        return {"right": right, "wrong": wrong, "reworded": wrong, "said": right, "denied": wrong}

    monkeypatch.setattr(preference.render, "render", rendered)
    monkeypatch.setattr(preference, "roughen", lambda pictures, generator: pictures)
    monkeypatch.setattr(preference, "_texts", texts)
    monkeypatch.setattr(preference, "_read", lambda model, tokenizer, some: functional.one_hot(torch.tensor([int(t) for t in some]), 256).float())
    found = preference.preferences(KnowingModel(sign), tokenizer, 20, torch.Generator().manual_seed(1))
    assert set(found.values()) == {expected}
    assert {"en", "zh", "rough", "reworded", "en.facet", "zh.facet"} < set(found)
    assert {f"{k}.{a}" for k in captions.LANGUAGES for a in scene.ATTRIBUTES} < set(found)


def test_a_case_changes_one_attribute_and_words_both_captions_alike():
    """Every attribute that can change at all does; the two captions differ by a word or two."""
    scenes = scene.decode(scene.sample_codes(60, torch.Generator().manual_seed(3), held_out=True))
    cases = list(preference._cases(scenes, random.Random(1)))
    for case in cases:
        changed = [a for a in scene.ATTRIBUTES if getattr(case.right, a) != getattr(case.wrong, a)]
        assert changed == [case.attribute]
        assert case.right == scenes[case.row]
    assert {case.attribute for case in cases} == set(scene.ATTRIBUTES)
    for language in captions.LANGUAGES:
        found = preference._texts(cases, language, random.Random(2))
        assert all(one != other for one, other in zip(found["right"], found["wrong"], strict=True))
        assert all(one != other for one, other in zip(found["said"], found["denied"], strict=True))


def test_the_stage_rehearses_from_end_to_end_and_its_folder_is_a_judge(small, tmp_path):
    """Four steps: figures in training.json, a folder that the metrics' judge loads, the scale in its configuration."""
    from swapgate.metrics.open_clip_judge import OpenClipJudge

    figures = run_stages(contrastive.STAGES, out=tmp_path, checkpoints=tmp_path / "kept", device="cpu", tiny=True)["clip"]
    folder = tmp_path / clip.NAME
    assert figures["steps"] == 4
    assert figures["bytes"] == (folder / "open_clip_model.safetensors").stat().st_size
    assert 0.0 <= figures["en"] <= 1.0
    entries = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert entries[0]["figures"] == figures
    assert entries[0]["rehearsal"] is True
    stated = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["swapgate"]["scale"]
    assert stated["zh"] == {"floor": figures["floor.zh"], "matched": figures["matched.zh"]}
    judge = OpenClipJudge(f"local-dir:{folder}")
    assert judge.languages == {"en", "zh"}
    assert judge.text_features(["一只红色的杯子"]).shape == (1, clip.EMBED)


def test_an_extended_training_goes_on_with_the_same_tokenizer_and_steps(small, tmp_path, monkeypatch):
    """Cut off and called again, it reads the tokens that it was trained on."""
    monkeypatch.setattr(contrastive, "TINY", contrastive.Amount(rows=16, batch=8, held_out=2))
    arguments = {"out": tmp_path, "checkpoints": tmp_path / "kept", "device": "cpu", "tiny": True}
    run_stages(contrastive.STAGES, **arguments)
    before = (tmp_path / "kept" / "clip-tokenizer" / "tokenizer.json").read_bytes()
    figures = run_stages(contrastive.STAGES, extend=True, **arguments)["clip"]
    assert figures["steps"] == 8
    assert (tmp_path / "kept" / "clip-tokenizer" / "tokenizer.json").read_bytes() == before

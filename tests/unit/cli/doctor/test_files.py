"""What lies on the disk: weights, parts, pickles, licence, room, the judge, and nothing of it for dry weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swapgate.suite.doctor import equipment, judge

COMMIT = "1234567890abcdef1234567890abcdef12345678"
OTHER = "fedcba0987654321fedcba0987654321fedcba09"
CARD = """\
engine = "diffusers"
source = "black-forest-labs/FLUX.1-dev"
pipeline = "FluxPipeline"
licence = "non-commercial"
gated = true
download_gib = 31.4
tasks = ["f"]
judge = { source = "scripted" }
"""


class TestWeights:
    """Files of a Hub id or folder."""

    def test_what_is_not_here_says_size_room_command_and_gate(self, run: Any) -> None:
        """The command fetches the components and not the single file with all of them beside."""
        status, out = run(CARD)
        assert status == 1
        (weights,) = run.checks(out, "weights")
        assert weights.startswith("no ")
        assert weights.endswith("-> hf download black-forest-labs/FLUX.1-dev --include '*/*' --include model_index.json")
        assert "31.4 GiB to fetch" in run.checks(out, "disk")[0]
        (licence,) = run.checks(out, "licence")
        assert licence.startswith("no ")
        assert "https://huggingface.co/black-forest-labs/FLUX.1-dev, then hf auth login" in licence
        assert out.endswith("0 of 1 cards can run here\n")

    @pytest.mark.parametrize("way", ["variable", "file"])
    def test_a_token_opens_the_gate_once_the_licence_is_accepted(self, way: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the environment or by hf auth login; the token is never shown."""
        if way == "variable":
            monkeypatch.setenv("HF_TOKEN", "hf_secret")
        else:
            (tmp_path / "token").write_text("hf_secret", encoding="utf-8")
        _, out = run(CARD)
        (licence,) = run.checks(out, "licence")
        assert licence.startswith("note ")
        assert "hf_secret" not in out

    def test_a_whole_snapshot_runs_and_its_commit_is_shown_to_be_pinned(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Not pinned is a warning, and runs; no gate stands before what is here."""
        cache.pipeline(tmp_path)
        status, out = run(CARD)
        assert status == 0
        assert f"commit {COMMIT}" in run.checks(out, "weights")[0]
        (line,) = run.checks(out, "revision")
        assert line.startswith("note ")
        assert line.endswith(f'-> write revision = "{COMMIT}" in the card')
        assert run.checks(out, "licence") == run.checks(out, "disk") == []
        status, out = run(CARD + f'revision = "{COMMIT}"\n')
        assert status == 0
        assert run.checks(out, "revision") == []

    def test_another_commit_than_the_pinned_one_is_not_taken(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """It is named, since pinning it would do as well."""
        cache.pipeline(tmp_path)
        status, out = run(CARD + f'revision = "{OTHER}"\n')
        assert status == 1
        (weights,) = run.checks(out, "weights")
        assert f"not in the Hub's cache at {OTHER}; it has {COMMIT}" in weights
        assert weights.endswith(f"--revision {OTHER}")

    @pytest.mark.parametrize(
        ("changes", "lacks"),
        [
            ({"model_index.json": None}, "model_index.json"),
            ({"transformer__diffusion_pytorch_model.safetensors": None}, "transformer/*.safetensors"),
            ({"transformer__config.json": None}, "transformer/config.json"),
            ({"tokenizer__vocab.json": None}, "tokenizer/"),
        ],
    )
    def test_what_a_snapshot_lacks_is_named(self, changes: dict[str, None], lacks: str, run: Any, cache: Any, tmp_path: Path) -> None:
        """A download that was broken off, or files that somebody removed."""
        cache.pipeline(tmp_path, **changes)
        status, out = run(CARD)
        assert status == 1
        assert f"it lacks {lacks}" in run.checks(out, "weights")[0]

    def test_every_shard_of_an_index_and_the_blob_behind_every_link_must_be_there(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """A link whose blob is gone is a missing file; an unfinished download goes on."""
        shards = {"a": "diffusion_pytorch_model-00001-of-00002.safetensors", "b": "diffusion_pytorch_model-00002-of-00002.safetensors"}
        content = run.tensor(tmp_path / "w.safetensors")
        snapshot = cache.pipeline(
            tmp_path,
            **{
                "transformer__diffusion_pytorch_model.safetensors": None,
                "transformer__diffusion_pytorch_model.safetensors.index.json": json.dumps({"weight_map": shards}).encode(),
                **{f"transformer__{name}": content for name in shards.values()},
            },
        )
        assert run(CARD)[0] == 0
        (snapshot / "transformer" / shards["b"]).resolve().unlink()
        (cache.repository("black-forest-labs/FLUX.1-dev") / "blobs" / "x.incomplete").write_bytes(b"")
        status, out = run(CARD)
        assert status == 1
        assert f"it lacks transformer/{shards['b']} -> it goes on where it stopped: hf download" in run.checks(out, "weights")[0]

    def test_a_file_that_was_cut_off_is_no_weights(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Its header says how long it is."""
        cut = run.tensor(tmp_path / "cut.safetensors", cut=1)
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": cut})
        status, out = run(CARD)
        assert status == 1
        assert "diffusion_pytorch_model.safetensors is cut off or damaged" in run.checks(out, "weights")[0]

    def test_pickles_need_the_card_s_and_the_run_s_word(self, run: Any, cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Reading them can run code."""
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": None, "transformer__diffusion_pytorch_model.bin": b"pickle"})
        status, out = run(CARD)
        assert status == 1
        assert run.checks(out, "pickle")[0].endswith("-> take safetensors, or trust them: options.pickle = true and pytest --allow-pickle")
        status, out = run(CARD + "options = { pickle = true }\n")
        assert status == 1
        assert "pytest --allow-pickle" in run.checks(out, "options")[0]
        monkeypatch.setenv("SWAPGATE_ALLOW_PICKLE", "1")
        status, out = run(CARD + "options = { pickle = true }\n")
        assert status == 0
        assert run.checks(out, "pickle")[0].startswith("note ")

    def test_a_folder_of_the_project_is_looked_at_as_well(self, run: Any, tmp_path: Path) -> None:
        """It has no commit to pin, and is mended by hand."""
        local = CARD.replace("black-forest-labs/FLUX.1-dev", "w/here/model").replace("gated = true\n", "")
        (tmp_path / "project" / "w" / "here" / "model").mkdir(parents=True)
        status, out = run(local)
        assert status == 1
        assert run.checks(out, "weights")[0].endswith("it lacks model_index.json -> put the missing files there, or name a Hub id")

    def test_the_disk_must_have_room(self, run: Any) -> None:
        """Before the download, not after half of it."""
        status, out = run(CARD.replace("31.4", "9000"))
        assert status == 1
        assert run.checks(out, "disk")[0].startswith("no ")
        assert "HF_HUB_CACHE" in run.checks(out, "disk")[0]
        _, out = run(CARD.replace("download_gib = 31.4\n", ""))
        assert "size of the download not stated" in run.checks(out, "disk")[0]

    def test_offline_the_command_turns_downloads_on(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else it would refuse, too."""
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert "-> HF_HUB_OFFLINE=0 hf download" in run.checks(run(CARD)[1], "weights")[0]


PARTS = """
[[lora]]
source = "some/lora"
weight_name = "style.safetensors"
[control]
source = "some/control"
model = "FluxControlNetModel"
image = "edges.png"
[refiner]
source = "some/refiner"
pipeline = "FluxImg2ImgPipeline"
architecture = "flux-1-dev"
call = { strength = 0.5, guidance_scale = 3.5 }
"""


class TestParts:
    """LoRAs, ControlNets, refiners, GGUF files."""

    def test_each_part_is_looked_for(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Missing, each by its own command; there, each with its commit."""
        (tmp_path / "project" / "edges.png").write_bytes(b"")
        cache.pipeline(tmp_path)
        status, out = run(CARD + PARTS)
        assert status == 1
        missing = [line for line in run.checks(out, "weights") if line.startswith("no ")]
        assert [line.partition(" -> ")[2] for line in missing] == [
            "hf download some/lora style.safetensors",
            "hf download some/control",
            "hf download some/refiner --include '*/*' --include model_index.json",
        ]
        content = run.tensor(tmp_path / "w.safetensors")
        cache.add("some/lora", {"style.safetensors": content})
        cache.add("some/control", {"config.json": b"{}", "diffusion_pytorch_model.safetensors": content})
        cache.pipeline(tmp_path, "some/refiner")
        status, out = run(CARD + PARTS)
        assert status == 0
        assert len(run.checks(out, "weights")) == len(run.checks(out, "revision")) == 4
        assert any(line.endswith(f'write revision = "{COMMIT}" under [control] in the card') for line in run.checks(out, "revision"))

    def test_a_lora_is_never_read_from_a_pickle(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Whatever the options say."""
        cache.pipeline(tmp_path)
        cache.add("some/lora", {"style.bin": b"x"})
        status, out = run(CARD + '[[lora]]\nsource = "some/lora"\nweight_name = "style.bin"\n')
        assert status == 1
        assert "a LoRA is never read from a pickle" in run.checks(out, "pickle")[0]

    def test_a_gguf_file_stands_for_the_transformer(self, run: Any, cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The pipeline's own transformer need not be here, its config does."""
        monkeypatch.setattr(equipment, "installed", lambda module: True)
        cache.pipeline(tmp_path, **{"transformer__diffusion_pytorch_model.safetensors": None})
        gguf = CARD + '[quantisation]\nmethod = "gguf"\nfile = "some/gguf/model-Q4.gguf"\n'
        status, out = run(gguf)
        assert status == 1
        assert next(line for line in run.checks(out, "weights") if line.startswith("no ")).endswith("-> hf download some/gguf model-Q4.gguf")
        cache.add("some/gguf", {"model-Q4.gguf": b"weights"})
        assert run(gguf)[0] == 0


class TestJudge:
    """The judge's weights."""

    PUBLISHED = CARD.replace('{ source = "scripted" }', '{ source = "ViT-B-32-SigLIP2-256", pretrained = "webli" }')

    def test_a_published_judge_is_looked_for_where_open_clip_has_it_from(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Weights and tokenizer."""
        cache.pipeline(tmp_path)
        status, out = run(self.PUBLISHED)
        assert status == 1
        assert run.checks(out, "judge")[0].endswith("-> hf download timm/ViT-B-32-SigLIP2-256")
        cache.add("timm/ViT-B-32-SigLIP2-256", {"open_clip_model.safetensors": b"x"})
        assert "tokenizer" in run.checks(run(self.PUBLISHED)[1], "judge")[0]
        cache.add("timm/ViT-B-32-SigLIP2-256", {"tokenizer.json": b"{}"})
        assert run(self.PUBLISHED)[0] == 0

    def test_open_clip_s_table_is_read_as_open_clip_reads_it(self) -> None:
        """The id of every judge of the bundled cards, and none for a name that has none."""
        from open_clip.pretrained import get_pretrained_cfg

        for name, tag in (("ViT-B-32-SigLIP2-256", "webli"), ("ViT-B-16-SigLIP2-512", "webli"), ("ViT-B-32", "laion2b_s34b_b79k")):
            assert judge.hub_id(name, tag) == str(get_pretrained_cfg(name, tag)["hf_hub"]).strip("/")
        assert judge.hub_id("no-such-model", "webli") == ""

    def test_a_judge_in_a_folder_must_have_its_weights(self, run: Any, cache: Any, tmp_path: Path) -> None:
        """Its configuration was checked with the card."""
        cache.pipeline(tmp_path)
        folder = tmp_path / "project" / "judge"
        folder.mkdir()
        (folder / "open_clip_config.json").write_text("{}", encoding="utf-8")
        status, out = run(CARD.replace('"scripted"', '"judge"'))
        assert status == 1
        assert "judge lacks open_clip_model.safetensors" in run.checks(out, "judge")[0]


class TestDry:
    """Random weights."""

    def test_nothing_is_fetched_and_no_licence_or_judge_asked_for(self, run: Any) -> None:
        """Only memory, device and packages matter."""
        for status, out in (run(CARD, "m", "--dry-weights"), run(CARD + 'weights = "dry"\n')):
            assert status == 0
            assert "dry: drawn on the device" in run.checks(out, "weights")[0]
            assert not any(run.checks(out, name) for name in ("licence", "disk", "judge", "revision"))

    @pytest.mark.parametrize(
        ("card", "said"),
        [
            (CARD.replace("black-forest-labs/FLUX.1-dev", "some/model"), "dry weights need its sizes -> hf download some/model --include"),
            (CARD + '[quantisation]\nmethod = "gguf"\nfile = "a/b/c.gguf"\n', "there are no dry ones of it"),
        ],
    )
    def test_what_cannot_be_drawn(self, card: str, said: str, run: Any) -> None:
        """Unknown sizes, and a file that is weights."""
        status, out = run(card, "m", "--dry-weights")
        assert status == 1
        assert said in run.checks(out, "weights")[0]

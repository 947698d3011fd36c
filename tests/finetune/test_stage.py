"""Both stages over a small finished root: made, found, resumed, forgotten, and refused with one sentence."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from tokenizers import Tokenizer

import videobert
from tests.small_root import BATCHES, SmallRoot
from videobert.admin.forget import forget
from videobert.errors import InputError
from videobert.finetune.checkpoints import write_checkpoint
from videobert.finetune.config import FinetuneConfig
from videobert.flow import StageResult, run_stage
from videobert.query.lineage import trace
from videobert.recipes import Recipe
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import Output, load_manifests
from videobert.runtime.storage import Store
from videobert.tasks import load_network
from videobert.tasks.base import Example
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tokens.core import from_json
from videobert.tokens.read import read_samples

CONFIG = FinetuneConfig(labels="{root}/labels.jsonl", epochs=2, batch_size=4, learning_rate=1e-3, bootstrap_draws=20)


@pytest.fixture
def root(small_root: SmallRoot, tmp_path: Path) -> Path:
    """The finished run, with the verbs of its truth as labels."""
    shutil.copytree(small_root.root, tmp_path / "demo")
    rows = [json.loads(line) for line in (small_root.folder / "corpus/truth/truth.jsonl").read_text().splitlines()]
    videos = sorted({row["video_id"] for row in rows})
    split = dict(zip(videos, ("test", "validation", "train", "train", "train", "train"), strict=True))
    verbs = sorted({row["verb"] for row in rows})
    write_labels(tmp_path / "demo", [
        {
            "video": row["video_id"], "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"],
            "label": "first" if verbs.index(row["verb"]) % 2 else "<i>second</i>", "split": split[row["video_id"]],
        }
        for row in rows
    ])  # fmt: skip
    return tmp_path / "demo"


def write_labels(root: Path, rows: list[dict[str, Any]]) -> None:
    (root / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def stage(small_root: SmallRoot, root: Path) -> Callable[..., list[StageResult]]:
    def run(name: str, config: FinetuneConfig = CONFIG, task: str = "") -> list[StageResult]:
        recipe: Recipe = replace(small_root.recipe, finetune=config)
        selection = Selection(model="current", task=task)
        return run_stage(recipe, Store(str(root)), name, batches=(), selection=selection, executor=LocalExecutor())

    return run


def objects(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


Stage = Callable[..., list[StageResult]]


def test_made_found_and_read(stage: Stage, root: Path, small_root: SmallRoot) -> None:
    (tuned,) = stage("finetune")
    folder = root / "finetuned" / tuned.spec
    metrics = json.loads((folder / "metrics.json").read_text())
    controls = ["majority", "shuffled video", "video left out", "linear probe", "text only"]
    assert list(metrics["figures"]) == ["fine-tuned", *controls]
    assert tuned.facts["task"] == "classification" and tuned.facts["level"] == "segment"
    report = (folder / "report.html").read_text()
    assert "&lt;i&gt;second&lt;/i&gt;" in report and "<i>second" not in report
    shown = len(re.findall(r"<td>first</td>|<td>&lt;i&gt;second&lt;/i&gt;</td>", report)) // 2
    frames = re.findall(r'<img class="frame"[^>]+src="data:image/png;base64,([^"]+)"', report)
    assert shown <= len(frames) <= 3 * shown, "each example has a frame, and none more than three"
    assert Image.open(io.BytesIO(base64.b64decode(frames[0]))).size == (128, 128)
    card = (folder / "README.md").read_text()
    assert (
        "VideoBertForVideoClassification.from_pretrained" in card
        and "| majority |" in card
        and not list(folder.glob("step-*"))
    )
    assert load_network(folder).encoder.config.id2label == {0: "<i>second</i>", 1: "first"}
    answered = stage("predict")
    assert [result.batch for result in answered] == list(BATCHES)
    before = objects(root)
    assert not any(result.computed for result in (*stage("finetune"), *stage("predict", task=tuned.spec)))
    assert objects(root) == before
    rows = pq.read_table(next((root / "predictions").rglob("*.parquet")), partitioning=None).to_pylist()
    for row in rows:
        assert row["level"] == "segment" and row["row_id"] == f"{row['video_id']}:{row['segment']}"
        assert row["label"] in ("first", "<i>second</i>") and row["score"] == max(row["scores"])
        assert sum(row["scores"]) == pytest.approx(1.0, abs=1e-5)
        assert (row["task_spec"], row["model_spec"]) == (tuned.spec, small_root.specs["pretrain"])
    traced = trace(Store(str(root)), answered[0].spec, rows[0]["row_id"], stage="predict")
    stages = ["predict", "finetune", "pretrain", "tokens", "codebook", "features", "shard", "ingest"]
    assert [step.stage for step in traced.steps] == stages
    assert traced.source_uri == rows[0]["source_uri"] and traced.step("finetune").spec == tuned.spec
    told = videobert.open(str(root)).sql("select count(*) from predictions where label is not null")
    assert told is not None and told.fetchall() == [(sum(result.counts["rows"] for result in answered),)]
    forget(Store(str(root)), rows[0]["video_id"])
    files = sorted((root / "predictions").rglob("*.parquet"))
    left = {video for path in files for video in pq.read_table(path, partitioning=None)["video_id"].to_pylist()}
    assert left and rows[0]["video_id"] not in left


def tokens_of(root: Path, small_root: SmallRoot) -> list[Output]:
    manifests = load_manifests(Store(str(root)), "tokens", small_root.specs["tokens"], BATCHES)
    return [output for _, manifest in manifests if manifest for output in manifest.outputs]


def test_spans_are_read_by_segment_in_training_and_in_prediction(
    stage: Stage, root: Path, small_root: SmallRoot
) -> None:
    rows = [json.loads(line) for line in (root / "labels.jsonl").read_text().splitlines()]
    whole = {row["video"]: {key: row[key] for key in ("video", "label", "split")} for row in rows}
    write_labels(root, list(whole.values()))
    (tuned,) = stage("finetune", replace(CONFIG, spans="segments"))
    assert tuned.facts["level"] == "video" and tuned.spec != stage("finetune")[0].spec
    network = load_network(root / "finetuned" / tuned.spec)
    assert isinstance(network, VideoBertForVideoClassification) and network.over is not None
    stage("predict", task=tuned.spec)
    samples = {s["video_id"]: from_json(s) for s in read_samples(Store(str(root)), tokens_of(root, small_root))}
    files = (root / "predictions").rglob("*.parquet")
    answered = [row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()]
    assert {row["video_id"] for row in answered} == set(samples) and {row["level"] for row in answered} == {"video"}
    for row in answered:
        video = samples[row["video_id"]]
        segments = tuple(
            Example(
                video_id=video.video_id, text_ids=s.text_ids,
                footage=video.footage(s.first_clip, s.last_clip, around=network.encoder.reading.context_clips),
            )
            for s in video.segments
        )  # fmt: skip
        (shares,) = network.outputs([Example(video_id=video.video_id, segments=segments)])
        assert row["score"] == pytest.approx(float(shares.max()), abs=1e-5)
    with pytest.raises(InputError, match=r"finetune\.spans is segments, which captions does not read"):
        stage("finetune", replace(CONFIG, spans="segments", task="captions"))


def test_the_head_reads_what_the_model_would_say_at_a_prompt(stage: Stage, root: Path) -> None:
    (tuned,) = stage("finetune", replace(CONFIG, pool="words"))
    network = load_network(root / "finetuned" / tuned.spec)
    assert isinstance(network, VideoBertForVideoClassification)
    tokenizer = Tokenizer.from_file(str(root / "finetuned" / tuned.spec / "tokenizer.json"))
    said = tokenizer.decode(list(network.prompt), skip_special_tokens=False)
    assert said == "now let me show you how to [MASK] the [MASK].", "with the full stop of the narration"
    metrics = json.loads((root / "finetuned" / tuned.spec / "metrics.json").read_text())
    assert {"linear probe", "linear probe on words", "text only on words"} <= set(metrics["figures"])
    assert stage("predict", task=tuned.spec)
    with pytest.raises(InputError, match=r"word pieces long and the model has room for \d+; shorten it"):
        stage("finetune", replace(CONFIG, pool="words", prompt="[MASK] the egg " * 99))
    with pytest.raises(InputError, match=r"finetune\.pool is words, which captions does not read"):
        stage("finetune", replace(CONFIG, pool="words", task="captions"))


def test_other_labels_are_another_model_and_parallelism_is_not(stage: Stage, root: Path) -> None:
    (one,) = stage("finetune")
    (same,) = stage("finetune", replace(CONFIG, checkpoint_every_steps=1))
    assert same.spec == one.spec and not same.computed
    labels = root / "labels.jsonl"
    labels.write_text(labels.read_text().replace('"first"', '"third"'))
    (other,) = stage("finetune")
    assert other.spec != one.spec


def test_killed_after_a_checkpoint_it_ends_with_the_same_bytes(
    stage: Stage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tuned,) = stage("finetune")
    folder = root / "finetuned" / tuned.spec
    whole = objects(folder)
    shutil.rmtree(folder)
    written: list[tuple[Any, ...]] = []

    def dies(*arguments: Any) -> None:
        write_checkpoint(*arguments)
        written.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("videobert.finetune.job.write_checkpoint", dies)
    for _ in range(2):  # after each of the two epochs
        with pytest.raises(KeyboardInterrupt):
            stage("finetune")
    assert len(written) == 2 and list(folder.glob("step-*")) and not (folder / "_manifest.json").exists()
    stage("finetune")
    assert objects(folder) == whole and len(written) == 2


def test_what_cannot_be_learnt_from_is_refused(stage: Stage, root: Path) -> None:
    rows = [json.loads(line) for line in (root / "labels.jsonl").read_text().splitlines()]
    with pytest.raises(InputError, match=r"finetune\.labels is empty"):
        stage("finetune", replace(CONFIG, labels=""))
    with pytest.raises(InputError, match=r"no task 'dreams'; the tasks are classification"):
        stage("finetune", replace(CONFIG, task="dreams"))
    with pytest.raises(InputError, match=r"no fine-tuned|not committed"):
        stage("predict")
    write_labels(root, [{**row, "label": "same"} for row in rows])
    with pytest.raises(InputError, match=r"every training row says 'same'"):
        stage("finetune")
    write_labels(root, [{**row, "label": f"class {i}", "text": "x"} for i, row in enumerate(rows)])
    with pytest.raises(InputError, match=r"split can be used"):
        stage("finetune")
    write_labels(root, [{"video": row["video"], "text": "x"} for row in rows])
    with pytest.raises(InputError, match=r"has `label`, or `value` for regression"):
        stage("finetune")
    write_labels(root, [*rows, {"video": "gone.mp4", "label": "first", "split": "train"}])
    with pytest.raises(InputError, match=r"line 17 of labels .* names 'gone\.mp4'"):
        stage("finetune", replace(CONFIG, unknown_videos="refuse"))

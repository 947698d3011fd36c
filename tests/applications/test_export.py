"""What is exported says what the model says, and is run without torch."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.compute as pc
import pytest
import torch

import videobert
from tests.model.material import TINY, vocabulary
from tests.small_root import BATCHES, SmallRoot
from videobert.applications.export.network import export_head, export_video
from videobert.cli.main import main
from videobert.features.encoders import load_encoder
from videobert.model.network import Reading, VideoBert
from videobert.model.scoring import encode_text, encode_video
from videobert.pretrain.config import PretrainConfig
from videobert.query.exported import ExportedModel, export_folder, open_export
from videobert.query.model import open_model
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.storage import Store
from videobert.tasks.base import Example
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tokens.core import from_json
from videobert.tokens.footage import Footage
from videobert.video.request import ClipFrames

pytestmark = pytest.mark.slow

TEXTS = ("stir the egg", "Now let me show you how to chop the onion.", "é unheard-of words 7")


@pytest.fixture(scope="module")
def root(small_root: SmallRoot, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the finished run with an export."""
    folder = tmp_path_factory.mktemp("export") / "demo"
    shutil.copytree(small_root.root, folder)
    main(["export", "--root", str(folder)])
    return str(folder)


def exported(root: str, small_root: SmallRoot) -> ExportedModel:
    store = Store(root)
    data = store.read(f"{export_folder(small_root.specs['pretrain'])}/_manifest.json")
    return ExportedModel(store, Manifest.from_bytes(data))


def test_both_towers_give_the_models_vectors(root: str, small_root: SmallRoot) -> None:
    opened, found = open_model(Store(root)), exported(root, small_root)
    expected = encode_text(opened.model, [opened.text_ids(text) for text in TEXTS])
    np.testing.assert_allclose(found.encode_text(TEXTS), expected, atol=1e-4)
    videos = [from_json(sample) for sample in opened.samples()]
    spans = [video.footage(s.first_clip, s.last_clip) for video in videos for s in video.segments]
    np.testing.assert_allclose(found.encode_video(spans), encode_video(opened.model, spans), atol=1e-4)


def test_a_model_that_reads_surroundings_and_residuals_is_exported_too() -> None:
    config = PretrainConfig(architecture=dataclasses.replace(TINY, initializer_range=0.2), retrieval_dim=16)
    words = vocabulary(20, 9)
    made = VideoBert.create(config, vocabulary=words)
    reading = Reading(context_clips=2, components=3, span_pooling=True)
    model = VideoBert(made.config, vocabulary=words, retrieval_dim=16, freeze_visual=False, reading=reading)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        model.residual.weight.copy_(torch.randn(model.residual.weight.shape))
    layout = {
        "vocabulary": words.to_json(), "max_length": model.max_length, "retrieval_dim": 16,
        **dataclasses.asdict(reading),
    }  # fmt: skip
    manifest = Manifest(stage="export", spec="x", batch="", config={}, sources=(), outputs=(), facts={"layout": layout})
    found = ExportedModel(Store("/nowhere"), manifest)  # no file is asked for
    found.__dict__["_video"] = onnxruntime.InferenceSession(export_video(model))
    spans = [
        Footage(
            leaves=rng.integers(9, size=n), first=first, last=last, lead=lead, residuals=rng.standard_normal((n, 3))
        )
        for n, first, last, lead in ((5, 2, 3, 0), (4, 0, 2, 2), (7, 1, 7, 1), (400, 2, 398, 0))
    ]
    np.testing.assert_allclose(found.encode_video(spans), encode_video(model, spans), atol=1e-4)


@pytest.mark.parametrize("reads", ["both", "video", "text"])
def test_a_head_answers_as_its_network(root: str, small_root: SmallRoot, reads: str) -> None:
    opened, found = open_model(Store(root)), exported(root, small_root)
    around = opened.model.reading.context_clips
    video = from_json(next(opened.samples()))
    spans = [video.footage(s.first_clip, s.last_clip, around=around) for s in video.segments]
    ids = [tuple(opened.text_ids(text)) for text in (TEXTS[0], "egg " * 500)]
    network = VideoBertForVideoClassification(
        opened.model, id2label={0: "calm", 1: "lively"}, problem_type="multi_label_classification"
    ).eval()
    facts = {"labels": list(network.labels), "problem_type": network.problem_type, "unit": [0, 1], "reads": reads}
    held = dataclasses.replace(found.manifest, facts=found.manifest.facts | {"parts": {"finetune-1": facts}})
    runtime = ExportedModel(Store(root), held)
    runtime._heads["finetune-1"] = onnxruntime.InferenceSession(export_head(network))
    answers = runtime.answers("finetune-1", spans[:2], [TEXTS[0], "egg " * 500])
    examples = [
        Example(video_id="", text_ids=text if reads != "video" else (), footage=span if reads != "text" else None)
        for span, text in zip(spans[:2], ids, strict=True)
    ]
    np.testing.assert_allclose([list(a.values()) for a in answers], network.outputs(examples), atol=1e-4)
    assert list(answers[0]) == ["calm", "lively"]
    with pytest.raises(videobert.InputError, match="'finetune-2' is none of the exported heads: finetune-1"):
        runtime.answers("finetune-2", [], [])


def test_the_encoder_gives_the_features_of_the_stage(root: str, small_root: SmallRoot) -> None:
    found = exported(root, small_root)
    request = found.manifest.facts["parts"]["encoder"]["request"]
    encoder = load_encoder(small_root.recipe.features)
    assert tuple(request["frame_ticks"]) == encoder.request.frame_ticks and request["size"] == encoder.request.size
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (len(request["frame_ticks"]), 224, 224, 3), np.uint8)
    clip = ClipFrames(index=0, rgb=rgb, gray=rng.integers(0, 255, (30, 56, 56), np.uint8))
    np.testing.assert_allclose(found.encode_clips([clip]), encoder.encode([clip]), atol=1e-4)


def test_the_codebook_gives_the_tokens_of_the_stage(root: str, small_root: SmallRoot) -> None:
    found, store = exported(root, small_root), Store(root)
    facts = found.manifest.facts["parts"]["codebook"]
    assert (facts["leaves"], facts["components"], facts["assignment"]) == (9, 0, "greedy")
    samples = {sample["video_id"]: sample["visual"] for sample in open_model(store).samples()}
    compared = 0
    for batch in BATCHES:
        manifest = load_manifest(store, "features", small_root.specs["features"], batch)
        assert manifest is not None and manifest.spec == facts["feature_spec"]
        for table in (read_table(store, output.path) for output in manifest.outputs):
            for video_id in table["video_id"].unique().to_pylist():
                rows = table.filter(pc.equal(table["video_id"], video_id))
                leaves, residuals = found.quantise(vectors_of(rows))
                assert leaves.tolist() == list(samples[video_id]) and residuals is None
                compared += len(leaves)
    assert compared > 20


PIXELS_TO_VECTOR = """
import json, sys
sys.modules["torch"] = None  # whatever imports it fails
import numpy as np
from videobert.query.exported import open_export
from videobert.tokens.footage import take
from videobert.video.frames import ClipDecoder
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

folder, video, first, last = sys.argv[1:]
model = open_export(folder)
facts = model.manifest.facts["parts"]["encoder"]
clips = ClipDecoder(video, ClipRequest(**facts["request"]), DecodeOptions(**facts["options"]))
leaves, residuals = model.quantise(model.encode_clips(list(clips)))
around = model.manifest.facts["layout"]["context_clips"]
span = take(leaves, residuals, np.arange(int(first), int(last)), around=around)
print(json.dumps([leaves.tolist(), model.encode_video([span])[0].tolist()]))
"""


def test_from_pixels_to_the_vector_of_the_batch_where_torch_cannot_be_imported(root: str, tmp_path: Path) -> None:
    """All four files on the way: frames, features, tokens, vector."""
    main(["export", "--root", root, "--out", str(tmp_path)])
    table = videobert.open(root).embeddings().to_table(columns=["row_id", "embedding", "source_uri"]).to_pylist()
    rows = {row["row_id"]: row for row in table}
    sample = next(open_model(Store(root)).samples())
    number = len(sample["segments"]) - 1
    segment, row = sample["segments"][number], rows[f"{sample['video_id']}:{number}"]
    span = [str(segment[name]) for name in ("first_clip", "last_clip")]
    video = row["source_uri"].removeprefix("file://")
    command = [sys.executable, "-c", PIXELS_TO_VECTOR, str(tmp_path), video, *span]
    leaves, vector = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert leaves == list(sample["visual"])
    np.testing.assert_allclose(vector, row["embedding"], atol=1e-4)


def test_an_export_of_before_has_no_codebook_and_does_the_rest(root: str, small_root: SmallRoot) -> None:
    found = exported(root, small_root)
    parts = {name: facts for name, facts in found.manifest.facts["parts"].items() if name != "codebook"}
    outputs = tuple(output for output in found.manifest.outputs if "/codebook-" not in output.path)
    assert len(outputs) == len(found.manifest.outputs) - 1
    held = dataclasses.replace(found.manifest, outputs=outputs, facts=found.manifest.facts | {"parts": parts})
    before = ExportedModel(Store(root), held)
    with pytest.raises(videobert.InputError, match="no codebook was exported; run `videobert export` again"):
        before.quantise(np.zeros((1, 2560), np.float32))
    np.testing.assert_array_equal(before.encode_text(TEXTS[:1]), found.encode_text(TEXTS[:1]))
    assert before.heads == found.heads


def test_search_takes_it_and_loads_no_torch(root: str, small_root: SmallRoot) -> None:
    code = (
        f"import videobert, sys, json\nfound = videobert.open({root!r}).search('stir the egg', top=8)\n"
        "assert not {'torch', 'transformers', 'ray', 'av'} & set(sys.modules)\n"
        "print(json.dumps([[hit.row_id, hit.score] for hit in found]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    expected = videobert.open(small_root.root).search("stir the egg", top=8)
    found = json.loads(done.stdout)
    assert {row for row, _ in found} == {hit.row_id for hit in expected}
    np.testing.assert_allclose([score for _, score in found], [hit.score for hit in expected], atol=1e-4)


def test_int8_is_smaller_and_near(root: str, tmp_path: Path) -> None:
    main(["export", "--root", root, "--int8", "--out", str(tmp_path / "device")])
    small, whole = open_export(str(tmp_path / "device")), {f.kind: f for f in videobert.open(root).export()}
    sizes = {output.path.partition("-")[0]: output.size_bytes for output in small.manifest.outputs}
    assert sizes["text"] < 0.7 * whole["text"].size_bytes
    opened = open_model(Store(root))
    expected = encode_text(opened.model, [opened.text_ids(text) for text in TEXTS])
    assert ((small.encode_text(TEXTS) * expected).sum(1) > 0.99).all()


def test_what_was_changed_or_is_not_there_is_refused(root: str, small_root: SmallRoot, tmp_path: Path) -> None:
    with pytest.raises(videobert.InputError, match="holds no exported model"):
        open_export(str(tmp_path))
    with pytest.raises(videobert.InputError, match="holds no words"):
        exported(root, small_root).encode_text(["  "])
    with pytest.raises(videobert.InputError, match="exceeds the model's"):
        exported(root, small_root).encode_text(["egg " * 500])
    found = exported(root, small_root)
    assert found.manifest.facts["layout"]["has_read_text"] is True
    layout = found.manifest.facts["layout"] | {"has_read_text": False}
    silent = ExportedModel(Store(root), dataclasses.replace(found.manifest, facts={"layout": layout}))
    with pytest.raises(videobert.InputError, match="cannot compare words with pictures"):
        silent.encode_text(["egg"])
    main(["export", "--root", root, "--out", str(tmp_path)])
    [text] = tmp_path.glob("text-*.onnx")
    text.write_bytes(text.read_bytes()[:-1] + b"x")
    with pytest.raises(videobert.InputError, match="is not what was exported"):
        open_export(str(tmp_path)).encode_text(["egg"])
    [codebook] = tmp_path.glob("codebook-*.npz")
    codebook.write_bytes(codebook.read_bytes()[:-1] + b"x")
    with pytest.raises(videobert.InputError, match="is not what was exported"):
        open_export(str(tmp_path)).quantise(np.zeros((1, 2560), np.float32))

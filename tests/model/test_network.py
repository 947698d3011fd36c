import copy
import dataclasses
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    RobertaConfig,
    RobertaModel,
)

from tests.model.material import TINY, random_tokens, random_videos, vocabulary
from videobert.errors import InputError
from videobert.model.batch import Tokens, collate
from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert, project_centroids
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.data import Part, PretrainData
from videobert.pretrain.objective import PARTS, counts, loss_sums

WORDS = vocabulary(60, 40)
LENGTHS = [(6, 9), (12, 0), (0, 5), (3, 1), (7, 7)]


def small_model(**options: Any) -> VideoBert:
    config = PretrainConfig(architecture=TINY, retrieval_dim=16, **options)
    centroids_NF = np.random.default_rng(0).standard_normal((WORDS.leaves, 24))
    return VideoBert.create(config, vocabulary=WORDS, centroids_NF=centroids_NF).eval()


def grad_of(parameter: Tensor) -> Tensor:
    """Its gradient, which it must have."""
    assert parameter.grad is not None
    return parameter.grad


class FirstToken(nn.Module):
    """In place of BERT's pooler: the final hidden state of [CLS] itself."""

    def forward(self, hidden_BLD: Tensor) -> Tensor:
        return hidden_BLD[:, 0]


def reference(model: VideoBert) -> BertForPreTraining:
    """transformers' BertForPreTraining with the weights of `model`; its label 0 means aligned."""
    config = copy.deepcopy(model.config)
    config._attn_implementation = "eager"
    twin = BertForPreTraining(config)
    twin.bert.load_state_dict(model.bert.state_dict())
    twin.cls.predictions.load_state_dict(model.predictions.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(model.alignment.parameters(), twin.cls.seq_relationship.parameters(), strict=True):
            theirs.copy_(torch.cat([ours, torch.zeros_like(ours)]))
    setattr(twin.bert, "pooler", FirstToken())  # noqa: B010
    nn.Module.to(twin, next(model.parameters()).dtype)
    twin.eval()  # type: ignore[no-untyped-call]
    return twin


def padded(tokens: Tokens, *, extra: int = 3) -> dict[str, Tensor]:
    """The same sequences as transformers wants them, with `extra` columns of padding."""
    edges = tokens.packing.edges.tolist()
    rows = list(pairwise(edges))
    width = max(b - a for a, b in rows) + extra
    names = ("input_ids", "token_type_ids", "attention_mask")
    out = {name: torch.zeros(len(rows), width, dtype=torch.long) for name in names}
    for i, (a, b) in enumerate(rows):
        out["input_ids"][i, : b - a] = tokens.ids_T[a:b]
        out["token_type_ids"][i, : b - a] = tokens.types_T[a:b]
        out["attention_mask"][i, : b - a] = 1
    return out


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_logits_equal_those_of_bert_with_padding(dtype: torch.dtype, tolerance: float) -> None:
    model = small_model().to(dtype)
    tokens = random_tokens(WORDS, LENGTHS)
    inputs = padded(tokens)
    with torch.no_grad():
        expected = reference(model)(**inputs)
        hidden_TD = model(tokens)
        cloze_TV = model.cloze_logits(hidden_TD)
        aligned_B = model.alignment_logits(hidden_TD[tokens.packing.first_B])
    real = inputs["attention_mask"].bool()
    assert (cloze_TV - expected.prediction_logits[real]).abs().max() <= tolerance
    odds_B = expected.seq_relationship_logits[:, 0] - expected.seq_relationship_logits[:, 1]
    assert (aligned_B - odds_B).abs().max() <= tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_loss_and_gradients_equal_those_of_bert(dtype: torch.dtype, tolerance: float) -> None:
    model = small_model(freeze_visual=False).to(dtype)
    twin = reference(model)
    config = PretrainConfig(batch_size=12, seed=3)
    videos = random_videos(8, words=60, leaves=40)
    batch = collate(PretrainData(videos, vocabulary=WORDS, config=config, max_length=64).examples(0))
    inputs = padded(batch.tokens)
    real_T = inputs["attention_mask"].bool()
    labels_T = torch.full_like(batch.tokens.ids_T, -100)
    labels_T[batch.masked_M] = batch.targets_M
    labels_BL = torch.full_like(inputs["input_ids"], -100)
    labels_BL[real_T] = labels_T
    next_B = torch.full((len(labels_BL),), -100)
    next_B[batch.pairs_P] = 1 - batch.aligned_P.long()
    expected = twin(**inputs, labels=labels_BL, next_sentence_label=next_B).loss
    expected.backward()
    sums = loss_sums(model, batch, weights=config.weights)
    loss = sums[:4].sum() / counts(batch)[:4].sum() + sums[4] / counts(batch)[4]
    loss.backward()  # type: ignore[no-untyped-call]
    assert abs(float((loss - expected).detach())) <= tolerance
    named = dict(model.bert.named_parameters())
    for name, parameter in twin.bert.named_parameters():
        assert (grad_of(parameter) - grad_of(named[name])).abs().max() <= tolerance, name


def test_the_alignment_head_reads_the_final_state_of_cls() -> None:
    model = small_model()
    tokens = random_tokens(WORDS, LENGTHS)
    with torch.no_grad():
        hidden_TD = model(tokens)
        before_B = model.alignment_logits(hidden_TD[tokens.packing.first_B])
        assert model.bert.pooler is not None
        for parameter in model.bert.pooler.parameters():
            parameter.add_(1.0)
        after_B = model.alignment_logits(model(tokens)[tokens.packing.first_B])
    assert torch.equal(before_B, after_B)
    assert torch.allclose(before_B, F.linear(hidden_TD[tokens.packing.first_B], model.alignment.weight)[:, 0])


def bert_checkpoint(directory: Path) -> BertForPreTraining:
    """A random BERT of WORDS' text vocabulary, saved as transformers does."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=WORDS.text_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=40,
    )  # fmt: skip
    bert = BertForPreTraining(config)
    bert.eval()  # type: ignore[no-untyped-call]
    bert.save_pretrained(directory)
    return bert


def test_a_checkpoint_keeps_its_text_logits_when_visual_rows_are_added(tmp_path: Path) -> None:
    bert = bert_checkpoint(tmp_path)
    centroids_NF = np.random.default_rng(0).standard_normal((WORDS.leaves, 50))
    config = PretrainConfig(init_from=str(tmp_path), retrieval_dim=8)
    model = VideoBert.create(config, vocabulary=WORDS, centroids_NF=centroids_NF).eval()
    tokens = random_tokens(WORDS, [(12, 0), (5, 0), (5, 0)])
    inputs = padded(tokens)
    with torch.no_grad():
        expected = bert(**inputs).prediction_logits[inputs["attention_mask"].bool()]
        found = model.cloze_logits(model(tokens))[:, : WORDS.text_size]
    assert (found - expected).abs().max() <= 1e-5
    assert model.max_length == 40


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("head", [True, False])
def test_any_bert_checkpoint_is_a_start(tmp_path: Path, dtype: torch.dtype, head: bool) -> None:
    """Half precision, and an encoder without heads: what it has is kept, in float32."""
    bert = bert_checkpoint(tmp_path)
    nn.Module.to(bert, dtype)
    (bert if head else bert.bert).save_pretrained(tmp_path)
    model = VideoBert.create(PretrainConfig(init_from=str(tmp_path), retrieval_dim=8), vocabulary=WORDS)
    assert {parameter.dtype for parameter in model.parameters()} == {model.config.dtype} == {torch.float32}
    ours, theirs = model.bert.state_dict(), bert.bert.state_dict()
    for name, value in theirs.items():
        assert torch.equal(ours[name][: len(value)], value.float()), name
    transform = bert.cls.predictions.transform.dense.weight.float()
    assert torch.equal(model.predictions.transform.dense.weight, transform) == head


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    RobertaModel(
        RobertaConfig(vocab_size=65, hidden_size=16, num_hidden_layers=1, num_attention_heads=1)
    ).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="roberta model, not BERT"):
        VideoBert.create(PretrainConfig(init_from=str(tmp_path)), vocabulary=WORDS)


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    bert_checkpoint(tmp_path)
    with pytest.raises(InputError, match="65 words"):
        VideoBert.create(PretrainConfig(init_from=str(tmp_path)), vocabulary=vocabulary(61, 40))


@pytest.mark.parametrize("features", [8, 32, 50])
def test_visual_rows_start_as_the_centroids(features: int) -> None:
    centroids_NF = np.random.default_rng(0).standard_normal((20, features)) + 3.0
    rows_ND = project_centroids(centroids_NF, width=32, norm=0.6, seed=0)
    assert np.linalg.norm(rows_ND, axis=1).mean() == pytest.approx(0.6, rel=1e-5)

    def distances(points: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.linalg.norm(points[:, None] - points[None], axis=-1)
        return found

    ratio = distances(rows_ND)[~np.eye(20, dtype=bool)] / distances(centroids_NF)[~np.eye(20, dtype=bool)]
    assert ratio.std() / ratio.mean() < 1e-5  # 20 points span at most 19 axes, so 32 hold them without distortion
    assert (project_centroids(centroids_NF, width=32, norm=0.6, seed=0) == rows_ND).all()


def test_a_narrow_table_keeps_the_principal_axes() -> None:
    rng = np.random.default_rng(0)
    centroids_NF = rng.standard_normal((100, 30)) * np.where(np.arange(30) < 6, 10.0, 0.01)
    rows_ND = project_centroids(centroids_NF, width=8, norm=1.0, seed=0)
    lost = np.corrcoef(np.linalg.norm(rows_ND, axis=1), np.linalg.norm(centroids_NF - centroids_NF.mean(0), axis=1))[
        0, 1
    ]
    assert lost > 0.999


def test_frozen_rows_have_no_gradient_and_all_others_do() -> None:
    model = small_model()
    tokens = random_tokens(WORDS, LENGTHS)
    model.cloze_logits(model(tokens)).square().sum().backward()  # type: ignore[no-untyped-call]
    gradient_VD = grad_of(model.bert.embeddings.word_embeddings.weight)
    assert (gradient_VD[WORDS.first_visual :] == 0).all()
    # The row of [PAD] is 0, so its logit is 0 and so is the gradient of its square.
    assert (gradient_VD[1 : WORDS.first_visual].abs().sum(1) > 0).all()


def test_rows_without_centroids_are_trained() -> None:
    model = VideoBert.create(PretrainConfig(architecture=TINY), vocabulary=WORDS)
    tokens = random_tokens(WORDS, LENGTHS)
    model.cloze_logits(model(tokens)).square().sum().backward()  # type: ignore[no-untyped-call]
    assert (grad_of(model.bert.embeddings.word_embeddings.weight)[WORDS.first_visual :].abs().sum(1) > 0).all()


def test_creation_is_seeded_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second, other = small_model(seed=1), small_model(seed=1), small_model(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.alignment.weight, other.alignment.weight)


def test_a_saved_model_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path / "one")
    restored = load_model(tmp_path / "one")
    tokens = random_tokens(WORDS, LENGTHS)
    with torch.no_grad():
        assert torch.equal(model(tokens), restored(tokens))
        assert torch.equal(model.cloze_logits(model(tokens)), restored.cloze_logits(restored(tokens)))
    for name, value in model.state_dict().items():
        assert torch.equal(value, restored.state_dict()[name])
    assert restored.vocabulary == WORDS
    assert restored.freeze_visual
    assert restored.predictions.decoder.weight is restored.bert.embeddings.word_embeddings.weight
    save_model(restored, tmp_path / "two")
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_transformers_finds_every_key_of_a_saved_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = small_model()
    save_model(model, tmp_path)
    tokens = random_tokens(WORDS, LENGTHS)
    inputs = padded(tokens)
    with caplog.at_level(logging.WARNING):
        encoder, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
        cloze, cloze_report = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(cloze, BertForMaskedLM)
    assert not report["missing_keys"]
    assert not cloze_report["missing_keys"]
    assert not any("newly initialized" in message for message in caplog.messages)
    real = inputs["attention_mask"].bool()
    with torch.no_grad():
        assert (encoder.eval()(**inputs).last_hidden_state[real] - model(tokens)).abs().max() < 1e-5
        assert (cloze.eval()(**inputs).logits[real] - model.cloze_logits(model(tokens))).abs().max() < 1e-5  # type: ignore[no-untyped-call]


def test_every_weight_is_saved_once(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path)
    stored = 0
    for name in ("model.safetensors", "heads.safetensors"):
        stored += sum(value.numel() for value in load_file(tmp_path / name).values())
    assert stored == sum(parameter.numel() for parameter in model.parameters())


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        load_model(tmp_path)


def test_a_sequence_does_not_feel_its_neighbours() -> None:
    model = small_model().double()
    alone, together = random_tokens(WORDS, [(12, 9)], seed=5), random_tokens(WORDS, [(12, 9), (9, 9), (5, 1)], seed=5)
    length = len(alone.ids_T)
    assert torch.equal(together.ids_T[:length], alone.ids_T)
    with torch.no_grad():
        assert (model(together)[:length] - model(alone)).abs().max() < 1e-12


def test_words_see_the_video_that_follows_them() -> None:
    model = small_model()
    tokens = random_tokens(WORDS, [(6, 5)])
    disturbed = dataclasses.replace(tokens, ids_T=tokens.ids_T.clone())
    disturbed.ids_T[-2] = WORDS.first_visual + (tokens.ids_T[-2] - WORDS.first_visual + 1) % WORDS.leaves
    with torch.no_grad():
        moved_T = (model(tokens) - model(disturbed)).abs().amax(dim=1)
    assert (moved_T > 1e-5).all()


def test_the_pooler_stays_that_of_bert(tmp_path: Path) -> None:
    bert = bert_checkpoint(tmp_path).double()
    model = VideoBert.create(PretrainConfig(init_from=str(tmp_path)), vocabulary=WORDS).eval().double()
    tokens = random_tokens(WORDS, [(12, 0), (5, 0)])
    with torch.no_grad():
        hidden_TD = model(tokens)
        assert model.bert.pooler is not None
        ours = model.bert.pooler(hidden_TD[tokens.packing.first_B].unsqueeze(1))
        theirs = bert.bert(**padded(tokens)).pooler_output
    assert (ours - theirs).abs().max() <= 1e-10


def test_names_of_the_losses_are_those_of_the_parts() -> None:
    assert [part.name.lower() for part in Part] == list(PARTS[: len(Part)])

"""Mistakes of public reproductions, put in one by one: each must turn the test that names it red."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import videobert.evaluate.core
import videobert.evaluate.metrics
import videobert.model.batch
import videobert.model.packing
import videobert.pretrain.data
import videobert.pretrain.masking
import videobert.pretrain.objective
from tests.codebook import test_hierarchy, test_sampling
from tests.evaluate import test_core, test_metrics
from tests.model import test_network, test_packing
from tests.pretrain import test_data, test_masking, test_pairs, test_train
from videobert.codebook.core import Codebook
from videobert.codebook.sampling import ClipSample
from videobert.model.network import VideoBert
from videobert.model.packing import Bucket
from videobert.pretrain.data import Example, PretrainData
from videobert.pretrain.pairs import SegmentIndex, Span
from videobert.tokens.records import TokenizedVideo

pytestmark = pytest.mark.slow

Patch = Callable[[pytest.MonkeyPatch], None]


def negatives_from_the_index_of_the_positives(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SegmentIndex, "misaligned", lambda self, span, **_: span)


def neighbours_across_videos(patch: pytest.MonkeyPatch) -> None:
    def joined(self: SegmentIndex, videos: list[TokenizedVideo], words: Any) -> None:
        shift, segments = 0, []
        for video in videos:
            for s in video.segments:
                moved = dataclasses.replace(s, first_clip=s.first_clip + shift, last_clip=s.last_clip + shift)
                segments.append(moved)
            shift += len(video.visual)
        visual = np.concatenate([video.visual for video in videos])
        whole(self, [TokenizedVideo(video_id="all", visual=visual, segments=tuple(segments))], words)

    whole = SegmentIndex.__init__
    patch.setattr(SegmentIndex, "__init__", joined)


def a_crash_on_short_videos(patch: pytest.MonkeyPatch) -> None:
    def far(self: SegmentIndex, span: Span, *, negatives: str, rng: np.random.Generator) -> Span:
        segments = len(self._videos[span.video].segments)
        step = int(rng.integers(1, segments - 1))
        first = (span.first + step) % segments
        return Span(span.video, first, first + 1)

    patch.setattr(SegmentIndex, "misaligned", far)


def the_second_best_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(test_metrics, "top_k", lambda scores, *, k: np.argsort(-scores, axis=1)[:, 1 : k + 1])


def the_best_answer_dropped(patch: pytest.MonkeyPatch) -> None:
    def without_first(scores: np.ndarray, labels: Any, *, k: int) -> np.ndarray:
        ranks = (-scores).argsort(1).argsort(1)
        return np.array([any(1 <= ranks[row, label] <= k for label in own) for row, own in enumerate(labels)], float)

    patch.setattr(videobert.evaluate.core, "top_k_hits", without_first)


def ties_that_count_as_won(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(test_metrics, "retrieval_ranks", lambda scores: (scores > np.diag(scores)[:, None]).sum(1) + 1.0)


def replacements_of_the_other_modality(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(videobert.pretrain.data, "text_replacements", lambda words: np.arange(words.first_visual, words.size))


def padding_in_the_attention(patch: pytest.MonkeyPatch) -> None:
    def unmasked(*arguments: Any) -> Bucket:
        return dataclasses.replace(whole(*arguments), real_B11L=None)

    whole = videobert.model.packing._bucket
    patch.setattr(videobert.model.packing, "_bucket", unmasked)


def padding_in_the_loss(patch: pytest.MonkeyPatch) -> None:
    def padded(batch: Any) -> torch.Tensor:
        widest = batch.tokens.packing.longest
        padding = (widest - batch.tokens.packing.edges.diff()).sum()
        found = whole(batch)
        return torch.cat([found[:4] + padding / 4, found[4:]])

    whole = videobert.pretrain.objective.counts
    patch.setattr(test_network, "counts", padded)


def masks_on_special_tokens(patch: pytest.MonkeyPatch) -> None:
    whole = videobert.pretrain.masking.mask_tokens
    patch.setattr(test_masking, "mask_tokens", lambda ids, **options: whole(ids, **(options | {"keep": frozenset()})))


def masks_one_place_too_early(patch: pytest.MonkeyPatch) -> None:
    def shifted(self: PretrainData, *arguments: Any, **options: Any) -> Example:
        found = whole(self, *arguments, **options)
        truth = found.ids_L.copy()
        truth[found.masked_M] = found.targets_M
        return dataclasses.replace(found, masked_M=found.masked_M - 1, targets_M=truth[found.masked_M - 1])

    whole = PretrainData._masked
    patch.setattr(PretrainData, "_masked", shifted)


def causal_attention(patch: pytest.MonkeyPatch) -> None:
    def causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bucket: Bucket, *_: Any) -> torch.Tensor:
        wide = [videobert.model.packing._pad(x[bucket.first : bucket.last], bucket) for x in (q, k, v)]
        q, k, v = (x.view(bucket.rows, bucket.width, *x.shape[1:]).transpose(1, 2) for x in wide)
        flat = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(0, 1)
        return flat if bucket.slot_T is None else flat.index_select(0, bucket.slot_T)

    patch.setattr(videobert.model.packing, "_bucket_attention", causal)


def alignment_from_the_pooler(patch: pytest.MonkeyPatch) -> None:
    def pooled(self: VideoBert, cls_BD: torch.Tensor) -> torch.Tensor:
        assert self.bert.pooler is not None
        logits: torch.Tensor = self.alignment(self.bert.pooler(cls_BD.unsqueeze(1)))
        return logits.squeeze(-1)

    patch.setattr(VideoBert, "alignment_logits", pooled)


def flat_labels_of_a_hierarchy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Codebook, "encode", Codebook.encode_flat)


def overflow_thrown_away(patch: pytest.MonkeyPatch) -> None:
    whole = ClipSample.add
    patch.setattr(ClipSample, "add", lambda self, rows, ids, clips: whole(self, rows[:7], ids[:7], clips[:7]))


def frozen_rows_that_decay(patch: pytest.MonkeyPatch) -> None:
    whole = torch.optim.AdamW
    patch.setattr(torch.optim, "AdamW", lambda groups, **o: whole([g | {"weight_decay": 0.5} for g in groups], **o))


MISTAKES: list[tuple[Patch, Callable[[], None]]] = [
    (
        negatives_from_the_index_of_the_positives,
        test_pairs.test_a_pair_is_aligned_exactly_when_text_and_video_are_the_same_segments,
    ),
    (neighbours_across_videos, test_pairs.test_neighbours_are_of_one_video_and_in_order),
    (
        a_crash_on_short_videos,
        lambda: test_pairs.test_videos_of_one_and_two_segments_give_pairs(negatives="same", sizes=[1, 2]),
    ),
    (the_second_best_answer, test_metrics.test_the_best_answer_is_the_first_answer),
    (the_best_answer_dropped, test_core.test_hits_prior_and_gain),
    (ties_that_count_as_won, test_metrics.test_a_constant_model_does_not_retrieve),
    (
        replacements_of_the_other_modality,
        test_data.test_special_tokens_are_never_predicted_and_targets_are_the_truth_of_their_modality,
    ),
    (padding_in_the_attention, lambda: test_packing.test_attention_stays_within_each_sequence(test_packing.LENGTHS)),
    (padding_in_the_loss, lambda: test_network.test_loss_and_gradients_equal_those_of_bert(torch.float64, 1e-10)),
    (masks_on_special_tokens, test_masking.test_special_tokens_are_never_chosen),
    (
        masks_one_place_too_early,
        test_data.test_special_tokens_are_never_predicted_and_targets_are_the_truth_of_their_modality,
    ),
    (causal_attention, test_network.test_words_see_the_video_that_follows_them),
    (
        alignment_from_the_pooler,
        lambda: test_network.test_logits_equal_those_of_bert_with_padding(torch.float64, 1e-10),
    ),
    (flat_labels_of_a_hierarchy, test_hierarchy.test_greedy_encoding_repeats_the_training_paths),
    (overflow_thrown_away, test_sampling.test_the_limit_holds_and_a_smaller_sample_is_the_beginning_of_a_larger_one),
    (frozen_rows_that_decay, test_train.test_frozen_rows_stay_bit_identical_under_weight_decay),
]


@pytest.mark.parametrize(("mistake", "named"), [pytest.param(*pair, id=pair[0].__name__) for pair in MISTAKES])
def test_the_mistake_is_noticed(mistake: Patch, named: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(ValueError if mistake is a_crash_on_short_videos else AssertionError):
        named()

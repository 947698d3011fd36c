"""VideoBERT: one BERT encoder over words and visual tokens, with a cloze, an alignment and a retrieval head.

T tokens of a batch (packed), M masked, B sequences, V vocabulary, D hidden, R retrieval width, N codebook leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig, BertForPreTraining, BertModel
from transformers.models.bert.modeling_bert import BertLMPredictionHead

from videobert.errors import InputError
from videobert.model.batch import Tokens
from videobert.model.packing import ATTENTION
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import PretrainConfig

__all__ = ["Reading", "VideoBert", "project_centroids"]

INITIAL_TEMPERATURE = 0.07
INITIAL_BIAS = -3.0
"""Of the contrast: at first a sentence is said over one span in twenty."""
TEMPERATURE_RANGE = (0.01, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a model reads video, beyond the paper."""

    context_clips: int = 0
    """Clips before and after a span that it sees."""
    components: int = 0
    """Width of the residuals that it takes with every visual token; 0: tokens alone."""
    residual_dropout: float = 0.0
    """Dropout of these in training."""
    span_pooling: bool = False
    """Retrieval vectors of video are means over the span's own clips, not over all of the sequence."""


class VideoBert(nn.Module):
    """The model of the paper; `bert` and `predictions` are transformers' own modules with one row a visual token."""

    def __init__(
        self,
        bert_config: BertConfig,
        *,
        vocabulary: Vocabulary,
        retrieval_dim: int,
        freeze_visual: bool,
        reading: Reading | None = None,
    ) -> None:
        super().__init__()
        if bert_config.vocab_size != vocabulary.size:
            raise InputError(
                f"an embedding table of {bert_config.vocab_size} rows does not hold {vocabulary.size} ids: "
                "the checkpoint and videobert.json must come from the same run"
            )
        self.config, self.vocabulary, self.freeze_visual = bert_config, vocabulary, freeze_visual
        self.reading = reading or Reading()
        bert_config._attn_implementation = ATTENTION
        self.bert = BertModel(bert_config)
        self.predictions = BertLMPredictionHead(bert_config)  # type: ignore[no-untyped-call]
        self.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
        self.predictions.decoder.bias = self.predictions.bias
        hidden = bert_config.hidden_size
        self.alignment = nn.Linear(hidden, 1)
        self.retrieval_text = nn.Linear(hidden, retrieval_dim)
        self.retrieval_video = nn.Linear(hidden, retrieval_dim)
        self.log_temperature = nn.Parameter(torch.tensor(INITIAL_TEMPERATURE).log())
        for head in (self.predictions.transform.dense, self.alignment, self.retrieval_text, self.retrieval_video):
            nn.init.normal_(head.weight, std=bert_config.initializer_range)
            nn.init.zeros_(head.bias)
        if self.reading.components:
            # Zero at first: the model begins as the one that reads tokens alone.
            self.residual = nn.Linear(self.reading.components, hidden, bias=False)
            nn.init.zeros_(self.residual.weight)
            self.residual_dropout = nn.Dropout(self.reading.residual_dropout)
        if self.reading.span_pooling:
            self.retrieval_bias = nn.Parameter(torch.tensor(INITIAL_BIAS))
        # The pooler is no part of VideoBERT (section 3.3 reads [CLS] itself); it is kept so that AutoModel finds it.
        for parameter in self.bert.pooler.parameters() if self.bert.pooler is not None else ():
            parameter.requires_grad_(False)
        if freeze_visual:
            table_VD = self.bert.embeddings.word_embeddings.weight
            table_VD.register_hook(self._without_visual_rows)  # type: ignore[no-untyped-call]

    def _without_visual_rows(self, gradient_VD: Tensor) -> Tensor:
        first = self.vocabulary.first_visual
        return torch.cat([gradient_VD[:first], torch.zeros_like(gradient_VD[first:])])

    @classmethod
    def create(
        cls,
        config: PretrainConfig,
        *,
        vocabulary: Vocabulary,
        centroids_NF: NDArray[np.floating] | None = None,
        components: int = 0,
    ) -> Self:
        """A model to train: from scratch or from `config.init_from`, visual rows from the codebook's centroids.

        `components` is the width of the residuals that the tokens come with, 0 for none.
        Without centroids the visual rows are random and are trained. Raises InputError when the checkpoint's
        vocabulary or the number of centroids does not fit.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            source = _load_bert(config.init_from, vocabulary) if config.init_from else None
            bert_config = _bert_config(config, vocabulary) if source is None else _extended(source.config, vocabulary)
            model = cls(
                bert_config,
                vocabulary=vocabulary,
                retrieval_dim=config.retrieval_dim,
                freeze_visual=config.freeze_visual and centroids_NF is not None,
                reading=Reading(
                    context_clips=config.context_clips,
                    components=components,
                    residual_dropout=config.residual_dropout,
                    span_pooling=config.mixture.contrast > 0,
                ),
            )
        if source is not None:
            model._take_weights(source)
        if centroids_NF is not None:
            if len(centroids_NF) != vocabulary.leaves:
                raise InputError(
                    f"{len(centroids_NF)} centroids do not match {vocabulary.leaves} leaves: pass the codebook's own"
                )
            table_VD = model.bert.embeddings.word_embeddings.weight
            norm = float(table_VD.detach()[: vocabulary.text_size].norm(dim=1).mean())
            rows_ND = project_centroids(centroids_NF, width=bert_config.hidden_size, norm=norm, seed=config.seed)
            with torch.no_grad():
                table_VD[vocabulary.first_visual :] = torch.from_numpy(rows_ND)
        return model

    @torch.no_grad()
    def _take_weights(self, source: BertForPreTraining) -> None:
        """Copy a checkpoint; its word rows come first, [>] and the visual rows keep their fresh values."""
        text = self.vocabulary.text_size
        for ours, theirs in ((self.bert, source.bert), (self.predictions, source.cls.predictions)):
            target = ours.state_dict()
            for name, value in theirs.state_dict().items():
                whole = value.shape == target[name].shape
                (target[name] if whole else target[name][:text]).copy_(value)

    @property
    def max_length(self) -> int:
        """Longest sequence, special tokens included."""
        return int(self.config.max_position_embeddings)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.log_temperature.device

    def forward(self, tokens: Tokens) -> Tensor:
        """Final hidden states [T, D] of packed sequences.

        A visual token enters as its row of the table and, where the model reads residuals, their projection.
        """
        rows_TD = self.bert.embeddings.word_embeddings(tokens.ids_T)
        if self.reading.components and tokens.residuals_NK is not None and tokens.seen_N is not None:
            kept_ND = self.residual(self.residual_dropout(tokens.residuals_NK.to(rows_TD.dtype)))
            rows_TD = rows_TD.index_add(0, tokens.seen_N, kept_ND.to(rows_TD.dtype))
        embedded_1TD = self.bert.embeddings(
            inputs_embeds=rows_TD.unsqueeze(0),
            token_type_ids=tokens.types_T.unsqueeze(0),
            position_ids=tokens.positions_T.unsqueeze(0),
        )
        encoded = self.bert.encoder(embedded_1TD, attention_mask=None, packing=tokens.packing)
        hidden_TD: Tensor = encoded.last_hidden_state.squeeze(0)
        return hidden_TD

    def cloze_logits(self, hidden_MD: Tensor) -> Tensor:
        """Scores of all V ids at the given positions only, [M, V]."""
        logits_MV: Tensor = self.predictions(hidden_MD)
        return logits_MV

    def alignment_logits(self, cls_BD: Tensor) -> Tensor:
        """Log odds that text and video belong together, from the final hidden state of [CLS], [B]."""
        logits_B: Tensor = self.alignment(cls_BD).squeeze(-1)
        return logits_B

    def text_vectors(self, hidden_TD: Tensor, tokens: Tokens, rows_B: Tensor) -> Tensor:
        """Unit vectors of text-only sequences in the retrieval space, [B, R]."""
        return F.normalize(at_least_float32(self.retrieval_text(sequence_means(hidden_TD, tokens)[rows_B])), dim=-1)

    def video_vectors(self, hidden_TD: Tensor, tokens: Tokens, rows_B: Tensor) -> Tensor:
        """Unit vectors of video-only sequences in the retrieval space, [B, R]."""
        if self.reading.span_pooling:
            means_BD = visual_means(hidden_TD, tokens, first_visual=self.vocabulary.first_visual)[rows_B]
        else:
            means_BD = sequence_means(hidden_TD, tokens)[rows_B]
        return F.normalize(at_least_float32(self.retrieval_video(means_BD)), dim=-1)

    def temperature(self) -> Tensor:
        """The learned temperature of InfoNCE, kept within 0.01 .. 1."""
        return self.log_temperature.exp().clamp(*TEMPERATURE_RANGE)


def sequence_means(hidden_TD: Tensor, tokens: Tokens) -> Tensor:
    """Mean final state of every sequence, [B, D], float32 or better."""
    full_TD = at_least_float32(hidden_TD)
    lengths_B = tokens.packing.edges.diff()
    rows_T = torch.repeat_interleave(
        torch.arange(len(lengths_B), device=lengths_B.device), lengths_B, output_size=len(full_TD)
    )
    sums_BD = full_TD.new_zeros(len(lengths_B), full_TD.shape[1])
    return sums_BD.index_add(0, rows_T, full_TD) / lengths_B.unsqueeze(1)


def visual_means(hidden_TD: Tensor, tokens: Tokens, *, first_visual: int) -> Tensor:
    """Mean state of a span's own clips in every sequence, [B, D]: not of the clips around it; 0 without clips."""
    own_T = (tokens.types_T == 1) & (tokens.ids_T >= first_visual)
    share_B1 = sequence_means(own_T.unsqueeze(1).float(), tokens)
    # Texts have no clips, and the gradient of 0 / 0 is no number.
    return sequence_means(at_least_float32(hidden_TD) * own_T.unsqueeze(1), tokens) / share_B1.clamp(min=1e-6)


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision widened, everything else as it is."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def project_centroids(centroids_NF: NDArray[np.floating], *, width: int, norm: float, seed: int) -> NDArray[np.float32]:
    """Centroids as embedding rows [N, width]: centred, turned by a seeded orthonormal map, of mean length `norm`.

    Equal sizes keep the centroids' own axes. A wider target embeds them without distortion; a narrower one keeps the
    principal axes.
    """
    centred_NF = np.asarray(centroids_NF, dtype=np.float64)
    centred_NF = centred_NF - centred_NF.mean(axis=0)
    features = centred_NF.shape[1]
    if features > width:
        _, _, axes_KF = np.linalg.svd(centred_NF, full_matrices=False)
        centred_NF = centred_NF @ axes_KF[:width].T
        features = centred_NF.shape[1]
    if features != width:
        rng = np.random.Generator(np.random.Philox(key=seed))
        square, _ = np.linalg.qr(rng.standard_normal((width, width)))
        centred_NF = centred_NF @ square[:features]
    length = float(np.linalg.norm(centred_NF, axis=1).mean())
    rows: NDArray[np.float32] = (centred_NF * (norm / length if length > 0 else 0.0)).astype(np.float32)
    return rows


def _bert_config(config: PretrainConfig, vocabulary: Vocabulary) -> BertConfig:
    shape = config.architecture
    return BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.max_length,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.attention_dropout,
        initializer_range=shape.initializer_range,
        pad_token_id=vocabulary.pad,
    )


def _load_bert(source: str, vocabulary: Vocabulary) -> BertForPreTraining:
    found = AutoConfig.from_pretrained(source)
    if found.model_type != "bert":
        # transformers would load it all the same and leave every weight random.
        raise InputError(f"{source} is a {found.model_type} model, not BERT: give a checkpoint of BERT's architecture")
    try:
        bert = BertForPreTraining.from_pretrained(source, use_safetensors=True)
    except OSError as error:
        raise InputError(
            f"{source} has no model.safetensors, and pickled weights are never loaded ({error}); "
            "convert them with `save_pretrained`"
        ) from error
    if bert.config.vocab_size != vocabulary.text_size:
        raise InputError(
            f"{source} has {bert.config.vocab_size} words, the tokens were made with {vocabulary.text_size}: "
            "run the token stage with the vocabulary of the checkpoint"
        )
    return bert


def _extended(source: BertConfig, vocabulary: Vocabulary) -> BertConfig:
    values = source.to_dict() | {"vocab_size": vocabulary.size, "pad_token_id": vocabulary.pad, "dtype": "float32"}
    return BertConfig.from_dict(values)

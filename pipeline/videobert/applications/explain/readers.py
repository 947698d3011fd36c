"""How each fine-tuned network reads an example: its sequences, what scores come of their rows, and what is looked at.

L tokens of a sequence, D hidden width, S steps, C scores, W words of a caption, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videobert.applications.explain.core import rollout
from videobert.applications.explain.sequence import ReadSequence
from videobert.model.padded import PaddedNetwork
from videobert.tasks.base import Example
from videobert.tasks.captioner import VideoBertForVideoCaptioning
from videobert.tasks.choices import VideoBertForMultipleChoice
from videobert.tasks.classifier import VideoBertForVideoClassification
from videobert.tasks.padded import PaddedClassifier, PaddedJudge

__all__ = ["CaptionReader", "FusedReader", "JoinedReader", "Reader"]


class Reader(Protocol):
    """A network and one example."""

    @property
    def sequences(self) -> Sequence[ReadSequence]:
        """Words are those of the first, clips those of the last."""

    def scores(self, *rows: Tensor) -> Tensor:
        """[S, C] from the rows [S, L, D] of each sequence."""

    def attention(self) -> list[NDArray[np.float64]]:
        """[L] of each sequence: shares of its tokens in what the scores come from; all together at most 1."""


class JoinedReader:
    """A classifier, or a judge of choices, which reads words and clips in one sequence."""

    def __init__(self, network: VideoBertForVideoClassification | VideoBertForMultipleChoice, example: Example) -> None:
        self._network: PaddedClassifier | PaddedJudge
        if isinstance(network, VideoBertForMultipleChoice):
            self._network = PaddedJudge(network.encoder)
        else:
            self._network = PaddedClassifier(network)
        self._network.eval()
        self._sequence = ReadSequence(network.encoder, example)
        self.sequences = (self._sequence,)

    def scores(self, *rows: Tensor) -> Tensor:
        return self._logits(rows[0], None)

    def attention(self) -> list[NDArray[np.float64]]:
        shares: list[Tensor] = []
        self._logits(self._sequence.rows[None], shares)
        return [rollout([share[0] for share in shares], self._sequence.pool_of(self._network.pool))]

    def _logits(self, rows_SLD: Tensor, shares: list[Tensor] | None) -> Tensor:
        keep_SL = torch.ones(rows_SLD.shape[:2])
        types, positions = self._sequence.types, self._sequence.positions
        return self._network.logits(
            rows_SLD, types.expand(keep_SL.shape), positions.expand(keep_SL.shape), keep_SL, shares
        )


class FusedReader:
    """A classifier with `fusion` cross: words and clips are read apart, then words look at clips through a gate."""

    def __init__(self, network: VideoBertForVideoClassification, example: Example) -> None:
        assert network.fusion is not None
        self._head, self._fusion, self._pool = network.eval().head, network.fusion, network.pool
        self._network = PaddedNetwork(network.encoder)
        self._has_video = example.footage is not None
        self._text = ReadSequence(network.encoder, replace(example, footage=None))
        self._video = ReadSequence(network.encoder, replace(example, text_ids=()))
        self.sequences = (self._text, self._video)

    def scores(self, *rows: Tensor) -> Tensor:
        text_SLD, video_SLD = self._text.states(self._network, rows[0]), self._video.states(self._network, rows[1])
        has_video_S = torch.full((len(text_SLD),), self._has_video)
        real_SL = torch.ones(video_SLD.shape[:2], dtype=torch.bool)
        fused_SLD: Tensor = self._fusion(text_SLD, video_SLD, real_SL, has_video_S)
        return self._head(fused_SLD[:, 0] if self._pool == "cls" else fused_SLD.mean(1))

    def attention(self) -> list[NDArray[np.float64]]:
        """By rollout of both encoders; what the words see of the clips counts for as much as the gate lets in of it."""
        said, shown = list[Tensor](), list[Tensor]()
        text_1LD = self._text.states(self._network, self._text.rows[None], said)
        video_1LD = self._video.states(self._network, self._video.rows[None], shown)
        _, share_1LL = self._fusion.attention(self._fusion.norm(text_1LD), video_1LD, video_1LD)
        gate = abs(float(torch.tanh(self._fusion.gate))) * self._has_video
        pool_L = self._text.pool_of(self._pool)
        seen_L = pool_L / pool_L.sum() @ share_1LL[0].double().numpy()
        text_L, video_L = (rollout([s[0] for s in x], p) for x, p in ((said, pool_L), (shown, seen_L)))
        return [text_L / (1 + gate), video_L * gate / (1 + gate)]


class CaptionReader:
    """A captioner: one score, the mean log probability of the word pieces of a caption that is given, its end included.

    The mean and not the sum, so that captions of different lengths can be compared: it is what training lowers the
    negative of, and what beam search ranks by where its `length_penalty` is 1.
    """

    def __init__(self, network: VideoBertForVideoCaptioning, example: Example, caption: Sequence[int]) -> None:
        vocabulary = network.encoder.vocabulary
        self._decoder = network.eval()
        self._network = PaddedNetwork(network.encoder)
        self._sequence = ReadSequence(network.encoder, example)
        self.sequences = (self._sequence,)
        # One that fills all there is room for has no end.
        self._wanted_W = torch.tensor([*caption, vocabulary.sep][: network.longest])
        self._before_W = torch.tensor([vocabulary.cls, *self._wanted_W[:-1].tolist()])

    def scores(self, *rows: Tensor) -> Tensor:
        return self._of_states(self._sequence.states(self._network, rows[0]))

    def attention(self) -> list[NDArray[np.float64]]:
        """What the decoder looks at, by rollout through the encoder."""
        shares: list[Tensor] = []
        states_1LD = self._sequence.states(self._network, self._sequence.rows[None], shares)
        looks: list[Tensor] = []

        def note(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any], _: Any) -> None:
            _, look_1WL = module.forward(*args, **(options | {"need_weights": True}))
            looks.append(look_1WL[0].mean(0))

        layers: Any = self._decoder.decoder.layers
        hooks = [layer.multihead_attn.register_forward_hook(note, with_kwargs=True) for layer in layers]
        try:
            self._of_states(states_1LD)
        finally:
            for hook in hooks:
                hook.remove()
        looked_L = torch.stack(looks).mean(0).double().numpy()
        return [rollout([share[0] for share in shares], looked_L)]

    def _of_states(self, states_SLD: Tensor) -> Tensor:
        shape = (len(states_SLD), len(self._wanted_W))
        real_SL = torch.ones(states_SLD.shape[:2], dtype=torch.bool)
        logits_SWV = self._decoder(self._before_W.expand(shape), states_SLD, real_SL)
        told_SW1 = logits_SWV.log_softmax(-1).gather(-1, self._wanted_W.expand(shape).unsqueeze(-1))
        score_S1: Tensor = told_SW1[..., 0].mean(1, keepdim=True)
        return score_S1

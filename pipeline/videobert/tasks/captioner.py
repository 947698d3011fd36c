"""VideoBERT with a Transformer decoder that writes a sentence about what the encoder saw.

B examples, L longest sequence, D hidden width, S words of the longest sentence, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from videobert.model.network import VideoBert, at_least_float32
from videobert.tasks.base import Example, TaskNetwork
from videobert.tasks.beam import beam_search
from videobert.tasks.files import load_head, save_network
from videobert.tasks.sequences import padded_states

__all__ = ["VideoBertForVideoCaptioning"]


class VideoBertForVideoCaptioning(TaskNetwork):
    """Reads clips and what is said meanwhile, and writes. Words share the encoder's table, in and out."""

    words_weigh = True

    def __init__(
        self,
        encoder: VideoBert,
        *,
        layers: int = 2,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        longest: int = 30,
        beams: int = 4,
        length_penalty: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.layers, self.longest = encoder, layers, longest
        self.beams, self.length_penalty, self.label_smoothing = beams, length_penalty, label_smoothing
        hidden = int(encoder.config.hidden_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.positions = nn.Embedding(longest + 1, hidden)
            nn.init.normal_(self.positions.weight, std=encoder.config.initializer_range)
            layer = nn.TransformerDecoderLayer(
                hidden, encoder.config.num_attention_heads, encoder.config.intermediate_size, dropout,
                activation="gelu", batch_first=True, norm_first=True,
            )  # fmt: skip
            self.decoder = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(hidden))
            self.bias = nn.Parameter(torch.zeros(encoder.vocabulary.text_size))
        self.decode: Callable[[Sequence[int]], str] = _numbers

    @classmethod
    def restored(cls, encoder: VideoBert, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The network of an opened folder."""
        names = ("layers", "longest", "beams", "length_penalty")
        network = cls(encoder, **{name: settings[name] for name in names})
        load_head(network, folder)
        if (folder / "tokenizer.json").is_file():
            network.use_tokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")))
        network.eval()
        return network

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        self.decode = tokenizer.decode

    def save_pretrained(self, directory: str | Path, **settings: Any) -> None:
        own = {
            "task": "captions", "layers": self.layers, "longest": self.longest, "beams": self.beams,
            "length_penalty": self.length_penalty,
        }  # fmt: skip
        save_network(self, Path(directory), own | settings)

    def forward(self, words_BS: Tensor, memory_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """Logits of the word after each, [B, S, V] float32."""
        text = self.encoder.vocabulary.text_size
        table_VD = self.encoder.bert.embeddings.word_embeddings.weight[:text]
        places_S = torch.arange(words_BS.shape[1], device=words_BS.device)
        states_BSD = F.embedding(words_BS, table_VD) + self.positions(places_S)
        causal_SS = torch.ones(len(places_S), len(places_S), dtype=torch.bool, device=words_BS.device).triu(1)
        states_BSD = self.decoder(
            states_BSD, memory_BLD, tgt_mask=causal_SS, memory_key_padding_mask=~real_BL, tgt_is_causal=True
        )
        return at_least_float32(states_BSD @ table_VD.T + self.bias)

    def losses(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """(mean loss per word, number of words) of each example: the loss of a batch is the mean over its words."""
        vocabulary = self.encoder.vocabulary
        memory_BLD, real_BL = padded_states(self.encoder, examples)
        sentences = [torch.tensor([*e.target.ids[: self.longest - 1], vocabulary.sep]) for e in examples]
        wanted_BS = pad_sequence(sentences, batch_first=True, padding_value=vocabulary.pad).to(memory_BLD.device)
        lengths_B = torch.tensor([len(s) for s in sentences], device=memory_BLD.device)
        first_B1 = torch.full_like(wanted_BS[:, :1], vocabulary.cls)
        logits_BSV = self(torch.cat([first_B1, wanted_BS[:, :-1]], dim=1), memory_BLD, real_BL)
        losses_BS = F.cross_entropy(
            logits_BSV.transpose(1, 2), wanted_BS, reduction="none", label_smoothing=self.label_smoothing
        )
        own_BS = torch.arange(wanted_BS.shape[1], device=wanted_BS.device) < lengths_B[:, None]
        return (losses_BS * own_BS).sum(dim=1) / lengths_B, lengths_B.float()

    def outputs(self, examples: Sequence[Example]) -> list[str]:
        """Sentences."""
        return [self.decode(ids) for ids in self.generate(examples)]

    def generate(self, examples: Sequence[Example], *, beams: int = 0) -> list[tuple[int, ...]]:
        """Word ids of a sentence for each example; 0 takes as many beams as the network was saved with."""
        training = self.training
        self.eval()
        vocabulary = self.encoder.vocabulary
        found = []
        try:
            with torch.inference_mode():
                for example in examples:
                    memory_1LD, real_1L = padded_states(self.encoder, [example])

                    def following(words_KL: Tensor, memory: Tensor = memory_1LD, real: Tensor = real_1L) -> Tensor:
                        count = len(words_KL)
                        logits_KSV: Tensor = self(
                            words_KL.to(memory.device), memory.expand(count, -1, -1), real.expand(count, -1)
                        )
                        return logits_KSV[:, -1].log_softmax(dim=-1)

                    found.append(
                        beam_search(
                            following, start=vocabulary.cls, end=vocabulary.sep, longest=self.longest,
                            beams=beams or self.beams, length_penalty=self.length_penalty,
                        )
                    )  # fmt: skip
        finally:
            self.train(training)
        return found


def _numbers(ids: Sequence[int]) -> str:
    """What is written where there is no tokenizer."""
    return " ".join(str(int(i)) for i in np.asarray(ids, dtype=np.int64))

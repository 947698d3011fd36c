"""A model's text side in numpy: a sentence as a vector without torch, whose import takes longer than all else.

The same sums as `model.network` in float32, which round differently: vectors agree to the sixth digit
(tests/query/test_text_tower.py). L tokens, D hidden width, H heads, R retrieval width.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.model.vocabulary import Vocabulary
from videobert.query.model import check_has_read_text
from videobert.query.tensors import TensorFile
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.storage import Store

__all__ = ["TextTower", "erf", "open_text_tower"]

Array = NDArray[np.float32]
_WORDS = "bert.embeddings.word_embeddings.weight"


def open_text_tower(store: Store, model_spec: str) -> TextTower:
    """The text side of a committed model. Raises InputError where it is not there, or cannot be computed here."""
    manifest = load_manifest(store, "pretrain", model_spec, "")
    if manifest is None:
        raise InputError(
            f"model {model_spec!r} is not committed below {store.root}; `videobert status` lists the models"
        )
    check_has_read_text(store, manifest)
    folder = manifest.facts["directory"]
    config = json.loads(store.read(f"{folder}/config.json"))
    layout = json.loads(store.read(f"{folder}/videobert.json"))
    if config["hidden_act"] != "gelu":
        raise InputError(f"the activation of {model_spec} is {config['hidden_act']}; only gelu is known here")
    return TextTower(store, manifest, config, Vocabulary(**layout["vocabulary"]))


class TextTower:
    """Safe for several threads: nothing in it changes."""

    def __init__(self, store: Store, manifest: Manifest, config: dict[str, Any], vocabulary: Vocabulary) -> None:
        from tokenizers import Tokenizer

        folder = manifest.facts["directory"]
        self._vocabulary = vocabulary
        self._tokenizer = Tokenizer.from_str(store.read(f"{folder}/tokenizer.json").decode())
        self._epsilon, self._heads = config["layer_norm_eps"], int(config["num_attention_heads"])
        self._layers, self._most = int(config["num_hidden_layers"]), int(config["max_position_embeddings"])
        backbone, heads = (TensorFile(store, f"{folder}/{name}.safetensors") for name in ("model", "heads"))
        used = ("bert.embeddings.", "bert.encoder.")
        self._weights: dict[str, Array] = {
            name: backbone.whole(name) for name in backbone.names if name.startswith(used) and name != _WORDS
        }
        # Of the table the words only: visual tokens are most of it, and no sentence holds any.
        [self._weights[_WORDS]] = backbone.rows(_WORDS, [(0, vocabulary.text_size)])
        for name in ("retrieval_text.weight", "retrieval_text.bias"):
            self._weights[name] = heads.whole(name)

    def encode(self, text: str) -> Array:
        """Unit vector float32 [R]. Raises InputError for a text without words, or with too many."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise InputError(f"the query {text!r} holds no words; describe what to find, such as 'stir the egg'")
        if len(ids) + 2 > self._most:
            raise InputError(f"a text of {len(ids) + 2} tokens exceeds the model's {self._most}: shorten it")
        hidden_LD = self._hidden([self._vocabulary.cls, *ids, self._vocabulary.sep])
        vector_R = self._linear("retrieval_text", hidden_LD.mean(axis=0))
        unit_R: Array = vector_R / np.maximum(np.linalg.norm(vector_R), np.float32(1e-12))
        return unit_R

    def _hidden(self, ids: list[int]) -> Array:
        table = self._weights
        rows_LD = table[_WORDS][ids] + table["bert.embeddings.token_type_embeddings.weight"][0]
        rows_LD = rows_LD + table["bert.embeddings.position_embeddings.weight"][: len(ids)]
        x_LD = self._norm("bert.embeddings.LayerNorm", rows_LD)
        for number in range(self._layers):
            layer = f"bert.encoder.layer.{number}"
            seen_LD = self._linear(f"{layer}.attention.output.dense", self._attended(f"{layer}.attention.self", x_LD))
            x_LD = self._norm(f"{layer}.attention.output.LayerNorm", seen_LD + x_LD)
            inner = gelu(self._linear(f"{layer}.intermediate.dense", x_LD))
            x_LD = self._norm(f"{layer}.output.LayerNorm", self._linear(f"{layer}.output.dense", inner) + x_LD)
        return x_LD

    def _attended(self, name: str, x_LD: Array) -> Array:
        q_HLd, k_HLd, v_HLd = (
            self._linear(f"{name}.{part}", x_LD).reshape(len(x_LD), self._heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        score_HLL = q_HLd @ k_HLd.transpose(0, 2, 1) / np.float32(math.sqrt(q_HLd.shape[-1]))
        share_HLL = np.exp(score_HLL - score_HLL.max(axis=-1, keepdims=True))
        share_HLL /= share_HLL.sum(axis=-1, keepdims=True)
        seen_LD: Array = (share_HLL @ v_HLd).transpose(1, 0, 2).reshape(len(x_LD), -1)
        return seen_LD

    def _linear(self, name: str, x: Array) -> Array:
        found: Array = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return found

    def _norm(self, name: str, x_LD: Array) -> Array:
        centred_LD = x_LD - x_LD.mean(axis=-1, keepdims=True)
        spread_L1 = np.sqrt((centred_LD * centred_LD).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        found: Array = centred_LD / spread_L1 * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return found


def gelu(x: Array) -> Array:
    """x times the share of a normal distribution below it."""
    found: Array = (x * (erf(x / np.float32(math.sqrt(2))) + 1) / 2).astype(np.float32)
    return found


def erf(x: Array) -> Array:
    """The error function of every element; numpy has none."""
    found: Array = np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=np.float32)
    return found

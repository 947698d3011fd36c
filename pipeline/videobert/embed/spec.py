"""The name of a model's embeddings. Light: readers and promotion use it without torch."""

from __future__ import annotations

from videobert.embed.config import EmbedConfig
from videobert.runtime.manifest import Manifest
from videobert.runtime.spec import stage_spec
from videobert.stages import get_stage

__all__ = ["embed_spec"]


def embed_spec(config: EmbedConfig, model: Manifest) -> str:
    """`<model spec>.<4 digits of the embed config>`: the folder names the model, and pooling can vary beside it."""
    own = stage_spec(get_stage("embed"), config, upstream=[model.spec])
    return f"{model.spec}.{own[-4:]}"

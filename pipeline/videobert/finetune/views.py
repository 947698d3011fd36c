"""Tokens of other views of the videos, which are trained on besides."""

from __future__ import annotations

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, load_manifest

__all__ = ["view_manifests"]


def view_manifests(config: FinetuneConfig, inputs: Inputs) -> tuple[Manifest, ...]:
    """One a view and batch. Raises InputError where one is not committed, or is quantised otherwise than the model."""
    found = []
    codebook = inputs.one("pretrain").facts["codebook_spec"]
    for spec in config.views:
        for tokens in inputs.upstream["tokens"]:
            manifest = load_manifest(inputs.store, "tokens", spec, tokens.batch)
            if manifest is None or manifest.facts["codebook_spec"] != codebook:
                raise InputError(
                    f"finetune.views has {spec}, which batch {tokens.batch!r} has not, or not of codebook {codebook}; "
                    "run the stages features and tokens with --features.flip 1 or the like and --model"
                )
            found.append(manifest)
    return tuple(found)

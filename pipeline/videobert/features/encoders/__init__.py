"""Frozen encoders by name. The heavy libraries are imported only when an encoder of their kind is loaded."""

from __future__ import annotations

from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.encoders.base import Encoder, EncoderIdentity, TextEncoder

__all__ = [
    "Encoder", "EncoderIdentity", "TextEncoder", "encoder_identity", "load_encoder", "load_text_encoder",
    "output_identity",
]  # fmt: skip


def encoder_identity(config: FeaturesConfig) -> EncoderIdentity:
    """Label and digest of the configured weights, without loading them; a model id is fetched to hash its files.

    Raises `InputError` when the encoder is unknown, or its package, directory or weights are missing.
    """
    if config.encoder == "packaged":
        from videobert.features.encoders import packaged

        return packaged.identity()
    if config.encoder == "torchvision:s3d":
        from videobert.features.encoders import torchvision_s3d

        return torchvision_s3d.identity()
    from videobert.features.encoders import huggingface

    return huggingface.identity(_model_name(config.encoder))


def load_encoder(config: FeaturesConfig, *, device: str | None = None) -> Encoder:
    """The configured encoder, ready to run on `device` (default: that of the configuration).

    Raises `InputError` when the encoder is unknown, its package, directory or weights are missing, or the GPU is.
    """
    device = device or config.device
    if config.encoder == "packaged":
        from videobert.features.encoders.packaged import PackagedEncoder

        return PackagedEncoder(config, device=device)
    if config.encoder == "torchvision:s3d":
        from videobert.features.encoders.torchvision_s3d import S3DEncoder

        return S3DEncoder(config, device=device)
    from videobert.features.encoders.huggingface import HuggingFaceEncoder

    return HuggingFaceEncoder(_model_name(config.encoder), config, device=device)


def load_text_encoder(config: FeaturesConfig, *, device: str | None = None) -> TextEncoder:
    """What puts texts into the space of the configured encoder's clip vectors, for search before any training.

    Raises `InputError` when the encoder has no text tower, or `load_encoder` would.
    """
    if not config.encoder.startswith("hf:"):
        encoder_identity(config)
        raise InputError(
            f"encoder={config.encoder!r} has no text tower; search with a trained model, or make features with a joint "
            "encoder of docs/encoders.md, such as hf:google/siglip2-base-patch16-naflex"
        )
    from videobert.features.encoders.text_tower import TextTower

    return TextTower(_model_name(config.encoder), device=device or config.device)


def output_identity(config: FeaturesConfig) -> dict[str, object]:
    """All that a feature vector depends on besides the video: what a spec hash takes in.

    `config.OUTPUT_FIELDS` with the digest of the weights in place of the encoder's name; those of `ADDED_LATER` only
    where they say something new, so that specs from before there was a choice stay.
    """
    fields = {name: getattr(config, name) for name in config.OUTPUT_FIELDS}
    later = {name: getattr(config, name) for name, usual in config.ADDED_LATER.items()}
    chosen = {name: value for name, value in later.items() if value != config.ADDED_LATER[name]}
    return fields | {"encoder": encoder_identity(config).digest} | chosen


def _model_name(encoder: str) -> str:
    name = encoder.removeprefix("hf:")
    if name == encoder or not name:
        raise InputError(
            f"encoder={encoder!r} is unknown; choose packaged, torchvision:s3d, "
            "or hf:<Hugging Face id or local directory>"
        )
    return name

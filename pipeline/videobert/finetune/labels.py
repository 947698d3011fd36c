"""The file of labels: found and read without a model, since its bytes are part of the name of what is made of it."""

from __future__ import annotations

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.labels.read import read_bytes

__all__ = ["read_labels"]


def read_labels(config: FinetuneConfig, root: str) -> tuple[bytes, str]:
    """Bytes and URL of the labels. Raises InputError where none are configured, or none are there."""
    if not config.labels:
        raise InputError("finetune.labels is empty; name a file of labels, as in: videobert finetune --labels FILE")
    url = config.labels.replace("{root}", root)
    return read_bytes(url), url

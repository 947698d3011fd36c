"""The file of labels: found and read without a model, since its bytes are part of the name of an evaluation."""

from __future__ import annotations

from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig
from videobert.runtime.filesystem import open_filesystem

__all__ = ["read_labels"]


def read_labels(config: EvaluateConfig, root: str) -> tuple[bytes, str]:
    """Bytes and URL of the labels, empty where none are configured. Raises InputError for a file that is not there."""
    if not config.labels:
        return b"", ""
    url = config.labels.replace("{root}", root)
    filesystem, path = open_filesystem(url)
    try:
        return bytes(filesystem.cat_file(path)), url
    except FileNotFoundError as error:
        raise InputError(
            f"evaluate.labels {url} is not there; correct the URL, or leave it empty for no labels"
        ) from error

"""What a job read and wrote, for Airflow's OpenLineage provider where that is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

__all__ = ["lineage_of"]


def lineage_of(result: Mapping[str, Any]) -> OperatorLineage[Dataset, Any]:
    """Datasets of a job's result: it may list URLs under `inputs` and `outputs`."""
    # Only the provider calls this, so that both packages are there.
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=_datasets(result.get("inputs")), outputs=_datasets(result.get("outputs")))


def _datasets(urls: Iterable[str] | None) -> list[Dataset]:
    from openlineage.client.event_v2 import Dataset

    found = []
    for parts in map(urlsplit, urls or ()):
        # OpenLineage's naming: `s3://bucket` and the key, or `file` and the whole path.
        if parts.netloc:
            found.append(Dataset(namespace=f"{parts.scheme}://{parts.netloc}", name=parts.path.lstrip("/")))
        else:
            found.append(Dataset(namespace="file", name=parts.path))
    return found

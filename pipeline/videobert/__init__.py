"""From a bucket of videos to Parquet embeddings that anyone can query.

>>> import videobert
>>> root = videobert.open("demo")
>>> [hit.title for hit in root.search(row=root.search("stir the egg", top=1)[0].row_id, top=2)]
[...]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from videobert import stages as _stages  # registers them, for whoever imports a part alone
from videobert.errors import InputError, PipelineError

if TYPE_CHECKING:
    from videobert.api import Root

__all__ = ["InputError", "PipelineError", "open"]
__version__ = "0.2.0"
del _stages


def open(root: str) -> Root:
    """What the pipeline wrote below a root: a path, an fsspec URL such as `s3://bucket/prefix`, or a service's `https://`.

    Reads nothing yet. `videobert.api.Root` tells what it answers. Raises InputError for a protocol nobody provides.
    """
    if root.startswith(("http://", "https://")):
        from videobert.remote import RemoteRoot

        return RemoteRoot(root)
    from videobert.api import Root  # Arrow and DuckDB, which the other users of this package may not need

    return Root(root)

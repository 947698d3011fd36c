"""From a bucket of videos to Parquet embeddings that anyone can query."""

__version__ = "0.2.0"

from videobert import stages as _stages

__all__ = ["__version__"]
del _stages

"""From a bucket of videos to Parquet embeddings that anyone can query."""

__version__ = "0.2.0"

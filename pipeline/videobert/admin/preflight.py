"""Everything that can be known before hours of work: source, encoder, labels, text, room, and what it will take."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from videobert.errors import InputError, PipelineError
from videobert.recipes import Recipe
from videobert.runtime.storage import Store

__all__ = ["Finding", "check_run"]

_TIMED_CLIPS = 8
_BYTES_PER_CLIP = 12_000
"""Features and embeddings of a clip of 1,280 numbers, rounded up; the tars hold the videos once more."""
_SECONDS_PER_MEGABYTE = 8.0
"""Of ordinary H.264 at one megabit per second; only for the estimate of how many clips there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    said: str
    """What was found, or the error with its cure."""
    failed: bool = False


def check_run(recipe: Recipe, store: Store, batches: Sequence[str]) -> list[Finding]:
    """Look at all of it, and go on after what fails: a user mends everything at once. Computes and writes nothing."""
    findings: list[Finding] = []

    def look(what: str, check: Callable[[], str]) -> None:
        try:
            findings.append(Finding(what=what, said=check()))
        except (PipelineError, OSError) as error:
            findings.append(Finding(what=what, said=str(error), failed=True))

    size = 0
    for batch in batches:
        try:
            said, found = _source(recipe, store, batch)
            size += found
            findings.append(Finding(what=f"source of {batch}", said=said))
        except (PipelineError, OSError) as error:
            findings.append(Finding(what=f"source of {batch}", said=str(error), failed=True))
    clips = int(size / 1e6 * _SECONDS_PER_MEGABYTE / recipe.features.clip_seconds)
    look("root", lambda: _root(store, size + clips * _BYTES_PER_CLIP))
    look("labels", lambda: _labels(recipe, store))
    look("text", lambda: _text(recipe))
    look("encoder", lambda: _encoder(recipe, clips))
    return findings


def _source(recipe: Recipe, store: Store, batch: str) -> tuple[str, int]:
    from videobert.ingest.contents import sort_files
    from videobert.ingest.language import language_tag
    from videobert.ingest.listing import list_batch, source_of, uri_of

    config = recipe.ingest
    source = source_of(config, store, batch)
    listing = list_batch(source, batch)
    found = sort_files(listing, config.extensions, prefix=uri_of(source), language=language_tag(config.language))
    if not found.videos:
        raise InputError(
            f"{source} holds {len(listing)} files and no video; the endings are {', '.join(config.extensions)} "
            "(--ingest.extensions)"
        )
    size = sum(listing[video.uri].size_bytes for video in found.videos)
    captions = sum(bool(owners) for owners in found.owners.values())
    return f"{source}: {len(found.videos)} videos, {size / 1e6:,.0f} MB, {captions} caption files", size


def _root(store: Store, needed: int) -> str:
    store.check_root()
    if not store.root.startswith("file://") and "://" in store.root:
        return f"{store.root} can be written; about {needed / 1e9:,.1f} GB will be"
    free = shutil.disk_usage(store.root.removeprefix("file://")).free
    if free < needed:
        raise InputError(
            f"{store.root} has {free / 1e9:,.1f} GB free and the run needs about {needed / 1e9:,.1f} GB; "
            "make room, or give another --root"
        )
    return f"{store.root} can be written; {free / 1e9:,.1f} GB free, about {needed / 1e9:,.1f} GB needed"


def _labels(recipe: Recipe, store: Store) -> str:
    from videobert.evaluate.core import parse_labels
    from videobert.evaluate.labels import read_labels

    data, url = read_labels(recipe.evaluate, store.root)
    return f"{url}: {len(parse_labels(data, url)):,} labels" if url else "none are configured, and none are needed"


def _text(recipe: Recipe) -> str:
    from videobert.codebook.wordpiece import find_tokenizer

    if recipe.codebook.tokenizer:
        find_tokenizer(recipe.codebook.tokenizer)
        return f"WordPiece of {recipe.codebook.tokenizer}"
    if recipe.pretrain.init_from:
        raise InputError(
            f"pretrain.init_from is {recipe.pretrain.init_from} and codebook.tokenizer is empty; "
            "give the tokenizer of the same checkpoint"
        )
    return f"WordPiece is trained on the captions, at most {recipe.codebook.vocabulary_size:,} pieces"


def _encoder(recipe: Recipe, clips: int) -> str:
    from videobert.features.encoders import encoder_identity, load_encoder
    from videobert.video.request import ClipFrames

    identity = encoder_identity(recipe.features)
    encoder = load_encoder(recipe.features)
    request = encoder.request
    side = (len(request.frame_ticks), request.size, request.size, 3)
    gray = request.gray_size and (recipe.features.ticks_per_clip, request.gray_size, request.gray_size)
    clip = [
        ClipFrames(index=i, rgb=np.zeros(side, np.uint8), gray=np.zeros(gray, np.uint8) if gray else None)
        for i in range(_TIMED_CLIPS)
    ]
    encoder.encode(clip)  # the first call compiles
    started = time.monotonic()
    encoder.encode(clip)
    each = (time.monotonic() - started) / _TIMED_CLIPS
    return (
        f"{identity.label} gives {encoder.dimension} numbers per clip on {recipe.features.device}, "
        f"{1000 * each:,.0f} ms each; about {clips:,} clips, {clips * each / 60:,.0f} minutes of one worker"
    )

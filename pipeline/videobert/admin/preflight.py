"""Everything that can be known before hours of work: source, encoder, labels, text, room, and what it will take."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from videobert.admin.durations import Durations, measure_durations
from videobert.errors import EmptyBatchError, InputError, PipelineError
from videobert.recipes import Recipe
from videobert.runtime.storage import Store

__all__ = ["Finding", "check_run"]

_TIMED_CLIPS = 8
_BYTES_PER_CLIP = 12_000
"""Features and embeddings of a clip of 1,280 numbers, rounded up; the tars hold the videos once more."""
_BYTES_PER_WEIGHT = 12
"""Of a checkpoint: a weight and two moments of Adam."""
_TIMED_WEIGHTS = 20_000_000
"""Of a model whose steps take a second at most on a CPU."""
_PIECES = 3_000
"""WordPieces that captions of a few thousand segments fill, about."""
_FEATURES = 2_560
"""Numbers per clip of the packaged encoder; of others at most about as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    said: str
    """What was found, or the error with its cure."""
    failed: bool = False
    empty: bool = False
    """A day that may rightly have no videos."""


def check_run(recipe: Recipe, store: Store, batches: Sequence[str]) -> list[Finding]:
    """Look at all of it, and go on after what fails: a user mends everything at once. Computes and writes nothing."""
    findings: list[Finding] = []

    def look(what: str, check: Callable[[], str]) -> None:
        try:
            findings.append(Finding(what=what, said=check()))
        except (PipelineError, OSError) as error:
            findings.append(Finding(what=what, said=str(error), failed=True))

    sizes: dict[str, int] = {}
    captions, captioned = 0, set[str]()
    for batch in batches:
        try:
            said, found, of_captions, with_captions = _source(recipe, store, batch)
            sizes |= found
            captions += of_captions
            captioned |= with_captions
            findings.append(Finding(what=f"source of {batch}", said=said))
        except (PipelineError, OSError) as error:
            empty = isinstance(error, EmptyBatchError)
            findings.append(Finding(what=f"source of {batch}", said=str(error), failed=True, empty=empty))
    clips = 0
    if sizes:
        durations = measure_durations(sizes, recipe.features.limits)
        clips = max(len(sizes), int(durations.seconds / (recipe.features.clip_stride or recipe.features.clip_seconds)))
        findings.append(Finding(what="duration", said=_duration(durations, clips)))
    look("root", lambda: _root(store, sum(sizes.values()) + clips * _BYTES_PER_CLIP + _learnt_bytes(recipe, clips)))
    look("temporary folder", lambda: _scratch(max(sizes.values(), default=0)))
    look("labels", lambda: _labels(recipe, store))
    look("text", lambda: _text(recipe))
    look("encoder", lambda: _encoder(recipe, clips))
    if sizes:
        look("training", lambda: _training(recipe, len(sizes), clips, captions, len(captioned)))
    return findings


def _source(recipe: Recipe, store: Store, batch: str) -> tuple[str, dict[str, int], int, set[str]]:
    """What to say of a batch, the bytes of its videos by URI, those of all its caption files, and whose these are."""
    from videobert.ingest.contents import sort_files
    from videobert.ingest.language import language_tag
    from videobert.ingest.listing import list_batch, nothing_in, source_of, uri_of

    config = recipe.ingest
    source = source_of(config, store, batch)
    listing = list_batch(source, batch)
    found = sort_files(listing, config.extensions, prefix=uri_of(source), language=language_tag(config.language))
    if not found.videos:
        endings = ", ".join(config.extensions)
        raise nothing_in(
            batch,
            f"none of the {len(listing):,} files below {source} ends in {endings} (--ingest.extensions)",
        )
    sizes = {video.uri: listing[video.uri].size_bytes for video in found.videos}
    captions = [uri for uri, owners in found.owners.items() if owners]
    said = f"{source}: {len(sizes):,} videos, {_bytes(sum(sizes.values()))}, {len(captions):,} caption files"
    owners = {video for uri in captions for video in found.owners[uri]}
    return said, sizes, sum(listing[uri].size_bytes for uri in captions), owners


def _duration(durations: Durations, clips: int) -> str:
    told = f"about {_time(durations.seconds)}, {clips:,} clips"
    if not durations.looked_at:
        return f"{told}, by the size of the files alone"
    others = f"; {durations.unreadable} looked at cannot be read" if durations.unreadable else ""
    return f"{told}, by {durations.looked_at} videos that were looked at{others}"


def _root(store: Store, needed: int) -> str:
    store.check_root()
    if not store.root.startswith("file://") and "://" in store.root:
        return f"{store.root} can be written; about {_bytes(needed)} will be"
    free = shutil.disk_usage(store.root.removeprefix("file://")).free
    if free < needed:
        raise InputError(
            f"{store.root} has {_bytes(free)} free and the run needs about {_bytes(needed)}; "
            "make room, or give another --root"
        )
    return f"{store.root} can be written; {_bytes(free)} free, about {_bytes(needed)} needed"


def _learnt_bytes(recipe: Recipe, clips: int) -> int:
    """Codebook, and the checkpoints with their optimiser's state that are there while another is written.

    A model that begins with `init_from` brings sizes of its own and is not counted.
    """
    kept = 0 if recipe.pretrain.init_from else 1 + (recipe.pretrain.keep_checkpoints or 10)
    numbers = _FEATURES * (_leaves(recipe, clips) + recipe.codebook.components)
    return _BYTES_PER_WEIGHT * _weights(recipe, clips) * kept + 4 * numbers


def _leaves(recipe: Recipe, clips: int) -> int:
    """Of the codebook that so many clips get."""
    return recipe.codebook.sized(clips).leaves


def _weights(recipe: Recipe, clips: int) -> int:
    """Of a model from scratch, about."""
    shape = recipe.pretrain.architecture
    layer = 4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate
    return shape.layers * layer + shape.hidden * (recipe.codebook.vocabulary_size + _leaves(recipe, clips))


def _scratch(largest: int) -> str:
    """A worker holds a copy of the video in hand, or of the tar that it fills."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < 2 * largest:
        raise InputError(
            f"{folder} has {_bytes(free)} free and the largest video, {_bytes(largest)}, is copied there twice; "
            "make room, or set TMPDIR to a larger folder"
        )
    return f"{folder} has {_bytes(free)} free; the largest video is {_bytes(largest)}"


def _bytes(size: float) -> str:
    if size >= 1e9:
        return f"{size / 1e9:,.1f} GB"
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


def _time(seconds: float) -> str:
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:,.0f} hours"
    return f"{seconds / 60:,.0f} minutes" if seconds >= 120 else f"{seconds:,.0f} seconds"


def _device(name: str) -> str:
    """What `auto` is here; Ray's workers may have another that is named."""
    from videobert.runtime.device import pick_device

    return str(pick_device(name)) if name == "auto" else name


def _training(recipe: Recipe, videos: int, clips: int, caption_bytes: int, captioned: int) -> str:
    share = recipe.codebook.heldout_share(videos)
    held_out = f"about {share * videos:,.0f} of {videos:,} videos are held out" if share else "no video is held out"
    config = recipe.pretrain
    weights = _weights(recipe, clips)
    if config.init_from or weights > _TIMED_WEIGHTS:
        why = f"begins with {config.init_from}" if config.init_from else f"has {weights / 1e6:,.0f} million weights"
        steps = f"{config.steps:,} steps" if config.steps else f"{config.epochs:g} epochs"
        return f"{held_out}; {steps} on {_device(config.device)}, whose time is not estimated: the model {why}"
    from videobert.pretrain.estimate import estimate_training, likely_segments

    segments = likely_segments(
        videos=videos, captioned=captioned, clips=clips, caption_bytes=caption_bytes,
        silent_clips=recipe.tokens.clips_per_segment,
    )  # fmt: skip
    found = estimate_training(
        config, segments=max(1, round((1 - share) * segments)), leaves=_leaves(recipe, clips),
        pieces=min(recipe.codebook.vocabulary_size, _PIECES), components=recipe.codebook.components,
    )  # fmt: skip
    stops = "; it stops earlier once videos kept aside gain no more" if config.validation.checks else ""
    return (
        f"{held_out}; about {found.steps:,} steps, {_time(found.seconds)} of one worker on "
        f"{_device(config.device)}{stops}"
    )


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
        f"{identity.label} gives {encoder.dimension} numbers per clip on {_device(recipe.features.device)}, "
        f"{1000 * each:,.0f} ms each; about {clips:,} clips, {_time(clips * each)} of one worker"
    )

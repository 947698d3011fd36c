"""Frames of the examples that the report shows, from the shards that hold their videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videobert.finetune.data import clips_of
from videobert.labels.records import LabelRow
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.storage import Store
from videobert.tokens.read import read_shard
from videobert.video.options import DecodeOptions
from videobert.visualization.nearest import NearestClip
from videobert.visualization.pictures import clip_pictures

__all__ = ["frames_of"]

SHOWN = 3
"""Clips of each example at most: the first, the middle and the last one of its span."""


def frames_of(store: Store, tokens: Sequence[Manifest], asked: Sequence[tuple[str, LabelRow]]) -> list[list[bytes]]:
    """PNGs of every (video id, label), in the order of time; empty where the shards are gone.

    Tokens are read until all videos are found, and each tar once.
    """
    clips: list[list[NearestClip]] = [[] for _ in asked]
    drawn: dict[NearestClip, bytes] = {}
    wanted = {video_id for video_id, _ in asked}
    for manifest in tokens:
        source = _footage(store, manifest)
        if source is None:
            continue
        tars, options = source
        here: list[NearestClip] = []
        for output in manifest.outputs:
            if not wanted or output.shard not in tars:
                continue
            for sample in read_shard(store, output.path):
                if sample["video_id"] not in wanted:
                    continue
                wanted.discard(sample["video_id"])
                for number, (video_id, row) in enumerate(asked):
                    if video_id == sample["video_id"]:
                        clips[number] = _clips(sample, row, tars[output.shard])
                        here += clips[number]
        try:
            drawn |= clip_pictures(store, set(here), options)
        except FileNotFoundError:
            continue
    return [[drawn[clip] for clip in row if clip in drawn] for row in clips]


def _footage(store: Store, tokens: Manifest) -> tuple[dict[int, str], DecodeOptions] | None:
    """(tar of each shard of a batch, how its clips are cut); None where the manifests are gone."""
    features = load_manifest(store, "features", tokens.source_spec("features"), tokens.batch)
    shards = features and load_manifest(store, "shard", features.source_spec("shard"), tokens.batch)
    if not features or not shards:
        return None
    # The spec names the weights by their digest; pictures need the times of clips only.
    times = ("fps", "clip_seconds", "clip_stride", "last_clip")
    options = DecodeOptions(**{name: features.config[name] for name in times if name in features.config})
    return {output.shard: output.path for output in shards.outputs}, options


def _clips(sample: Mapping[str, Any], row: LabelRow, tar: str) -> list[NearestClip]:
    first, last = clips_of(sample, row)
    numbers = sorted({first, (first + last - 1) // 2, last - 1})[:SHOWN]
    return [
        NearestClip(
            tar=tar, video_id=sample["video_id"], start_seconds=sample["clip_starts"][i],
            end_seconds=sample["clip_ends"][i], squared_distance=0.0,
        )
        for i in numbers
    ]  # fmt: skip

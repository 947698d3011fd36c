"""What a training job reads: real token shards, held-out videos left out, window by window."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.model.material import random_videos
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.job import training_windows
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store
from videobert.runtime.tar import TarWriter
from videobert.tokens.core import to_json
from videobert.tokens.records import TokenizedVideo

VIDEOS = random_videos(60, words=60, leaves=40)
FRACTION = 0.25
TRAINING = [video.video_id for video in VIDEOS if not is_held_out(video.video_id, FRACTION)]
CODEBOOK = Manifest(
    stage="codebook", spec="codebook-1", batch="", config={}, sources=(), outputs=(),
    facts={"heldout_fraction": FRACTION},
)  # fmt: skip


def committed(store: Store, batch: str, videos: Sequence[TokenizedVideo], *, a_shard: int) -> Manifest:
    """A batch of token shards as the token stage writes them."""
    outputs = []
    for shard, first in enumerate(range(0, len(videos), a_shard)):
        some, sink = videos[first : first + a_shard], io.BytesIO()
        tar = TarWriter(sink)
        for video in some:
            tar.add(f"{video.video_id}.json", canonical_json(to_json(video, title="")))
        tar.close()
        path = f"tokens/tokens-1/batch={batch}/{shard:05d}.tar"
        store.write(path, sink.getvalue())
        counts = {"videos": len(some), "segments": sum(len(video.segments) for video in some)}
        outputs.append(
            Output(shard=shard, input_digest="", path=path, sha256="", size_bytes=len(sink.getvalue()), counts=counts)
        )
    return Manifest(stage="tokens", spec="tokens-1", batch=batch, config={}, sources=(), outputs=tuple(outputs))


def read_all(store: Store, tokens: tuple[Manifest, ...], config: PretrainConfig) -> list[list[TokenizedVideo]]:
    windows = training_windows(store, tokens, CODEBOOK, config)
    return [list(windows.read(number, lambda: None)) for number in range(len(windows.segments))]


def test_one_window_holds_the_training_share_however_it_lies_in_batches(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    one = (committed(store, "one", VIDEOS, a_shard=60),)
    # The second batch holds some videos of the first again.
    two = (committed(store, "two", VIDEOS[:25], a_shard=4), committed(store, "two-again", VIDEOS[20:][::-1], a_shard=7))
    (whole,) = read_all(store, one, PretrainConfig())
    (cut,) = read_all(store, two, PretrainConfig())
    assert [video.video_id for video in whole] == sorted(TRAINING)
    assert [to_json(video) for video in whole] == [to_json(video) for video in cut]
    given = {video.video_id: video for video in VIDEOS}
    for video in whole:
        assert video.visual.tolist() == given[video.video_id].visual.tolist()
        assert [s.text_ids for s in video.segments] == [s.text_ids for s in given[video.video_id].segments]
        assert [s.first_clip for s in video.segments] == [s.first_clip for s in given[video.video_id].segments]


def test_windows_share_the_training_videos_out(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    tokens = (committed(store, "a", VIDEOS[:30], a_shard=3), committed(store, "b", VIDEOS[30:], a_shard=4))
    config = PretrainConfig(window_segments=70)
    windows = read_all(store, tokens, config)
    assert len(windows) == 4
    assert sorted(video.video_id for window in windows for video in window) == sorted(TRAINING)
    batches = [{int(video.video_id.removeprefix("video-")) < 30 for video in window} for window in windows]
    assert all(held == {True, False} for held in batches), "a window takes from all batches"
    assert read_all(store, tokens, dataclasses.replace(config, seed=1)) != windows


def test_a_shard_that_its_manifest_lists_and_the_store_lacks_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    tokens = (committed(store, "one", VIDEOS, a_shard=20),)
    store.delete([tokens[0].outputs[1].path])
    with pytest.raises(FileNotFoundError, match=r"00001\.tar"):
        read_all(store, tokens, PretrainConfig())

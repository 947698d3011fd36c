"""A file that is being written gives the clips of the finished file, and its end is where it grows no more."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from videobert.errors import VideoError
from videobert.video.frames import ClipDecoder
from videobert.video.growing import GrowingFile
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipFrames, ClipRequest

REQUEST = ClipRequest(frame_ticks=(7, 22), size=16, gray_size=16)
HELD = DecodeOptions(last_clip="hold")


def write_video(path: Path, *, frames: int) -> None:
    """Pictures of 64 x 48 at 10 fps, a key frame every second."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if path.suffix == ".mp4" else {}
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", options=options) as made:
        stream = made.add_stream("libx264", rate=10, options={"g": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            picture = noise.integers(0, 255, (48, 64, 3), np.uint8)
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        made.mux(stream.encode(None))


@pytest.mark.parametrize("ending", ["ts", "mkv", "mp4", "flv"])
def test_the_clips_are_those_of_the_finished_file(tmp_path: Path, ending: str) -> None:
    whole, live = tmp_path / f"whole.{ending}", tmp_path / f"live.{ending}"
    write_video(whole, frames=77)
    data = whole.read_bytes()
    live.write_bytes(data[: len(data) // 2])
    decoder = ClipDecoder(live, REQUEST, HELD, follow_seconds=1.0)
    clips = list[ClipFrames]()
    rest = threading.Thread(target=grow, args=(live, data[len(data) // 2 :]))
    for clip in decoder:
        if not clips:
            rest.start()
        clips.append(clip)
    rest.join()
    expected = ClipDecoder(whole, REQUEST, HELD)
    for clip, other in zip(clips, expected, strict=True):
        assert clip.index == other.index and np.array_equal(clip.rgb, other.rgb)
        assert clip.gray is not None and other.gray is not None and np.array_equal(clip.gray, other.gray)
    assert (decoder.held_from, decoder.damaged, decoder.zero_moved) == (expected.held_from, expected.damaged, False)
    assert len(clips) == 6 and decoder.held_from is not None


def grow(path: Path, rest: bytes) -> None:
    """In pieces that are no packets."""
    with path.open("ab", buffering=0) as sink:
        for at in range(0, len(rest), 4001):
            sink.write(rest[at : at + 4001])
            time.sleep(0.02)


def test_a_file_that_is_written_anew_is_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "live.ts"
    path.write_bytes(b"x" * 100)

    def write_anew() -> None:
        path.write_bytes(b"y")

    with GrowingFile(path, patience=5, wait=write_anew) as file:
        assert file.read(1000) == b"x" * 100
        with pytest.raises(VideoError, match="shorter than the 100 bytes"):
            file.read(1000)


def test_the_end_is_waited_for_once(tmp_path: Path) -> None:
    path, waits = tmp_path / "live.ts", list[float]()
    path.write_bytes(b"x")
    with GrowingFile(path, patience=0.1, wait=lambda: waits.append(time.monotonic())) as file:
        assert [file.read(9) for _ in range(9)] == [b"x", *[b""] * 8]
    assert waits and waits[-1] - waits[0] < 0.1

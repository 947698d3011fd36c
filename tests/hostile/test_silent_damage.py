"""Damage in a stream: what is noted, and how far what is not noted can reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.hostile.corpus.clip import Clip, encode_clip
from videobert.video.frames import ClipDecoder
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

_PACKET, _VIDEO_PID, _SECONDS = 188, 256, 8.0
_REALTIME = {"deadline": "realtime", "cpu-used": "8"}


def decode(path: Path, data: bytes) -> tuple[dict[int, NDArray[np.uint8]], list[tuple[float, float]]]:
    """Pictures by clip, and the damaged ranges."""
    path.write_bytes(data)
    decoder = ClipDecoder(path, ClipRequest(frame_ticks=(0, 10, 20), size=32), DecodeOptions())
    clips = {clip.index: clip.rgb.copy() for clip in decoder}
    return clips, [(float(start), float(end)) for start, end in decoder.damaged]


def lose(data: bytearray, at: int) -> None:
    del data[at : at + _PACKET]


def skip_a_number(data: bytearray, at: int) -> None:
    data[at + 3] ^= 0x07  # of four bits that count the packets


def mark_as_faulty(data: bytearray, at: int) -> None:
    data[at + 1] |= 0x80  # the receiver could not mend what it got


@pytest.mark.parametrize("harm", [lose, skip_a_number, mark_as_faulty])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_one_bad_packet_of_a_transport_stream_is_noted(
    tmp_path: Path, codec: str, harm: Callable[[bytearray, int], None]
) -> None:
    data = encode_clip(Clip(frames=200, fps=25, container="mpegts", codec=codec, keyframe_every=20))
    whole, none = decode(tmp_path / "a.ts", data)
    video = [at for at in range(0, len(data), _PACKET) if (data[at + 1] & 31) << 8 | data[at + 2] == _VIDEO_PID]
    assert none == [] and len(whole) == 5
    for place in (4, 7):
        harmed, at = bytearray(data), video[len(video) * place // 10]
        harm(harmed, at)
        clips, ((start, end),) = decode(tmp_path / "a.ts", bytes(harmed))
        assert abs(start - _SECONDS * place / 10) < 1 and end - start < 1.5
        lost = whole.keys() - clips.keys()
        assert lost == {clip for clip in whole if start < (clip + 1) * 1.5 and clip * 1.5 < end}
        assert all(np.array_equal(clips[clip], whole[clip]) for clip in clips)


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_a_bit_flip_in_vp9_or_vp8_reaches_no_further_than_the_next_keyframe(tmp_path: Path, codec: str) -> None:
    """Neither format nor WebM has a checksum, so a wrong picture may come out as a good one; a lost one may not."""
    data = encode_clip(Clip(frames=200, codec=codec, container="webm", keyframe_every=20, codec_options=_REALTIME))
    whole, none = decode(tmp_path / "a.webm", data)
    assert none == [] and len(whole) == 6
    for key in range(6):
        harmed, rng = bytearray(data), np.random.default_rng(key)
        harmed[int(rng.integers(len(data) // 4, len(data) * 3 // 4))] ^= 1 << int(rng.integers(8))
        clips, damaged = decode(tmp_path / "a.webm", bytes(harmed))
        assert clips.keys() == whole.keys() or damaged
        wrong = [clip for clip in clips if not np.array_equal(clips[clip], whole[clip])]
        assert len(wrong) <= 2 and wrong == list(range(min(wrong, default=0), max(wrong, default=-1) + 1))


@pytest.mark.parametrize(("container", "codec"), [("matroska", "libx264"), ("avi", "mpeg4")])
def test_a_hole_in_matroska_or_avi_loses_no_clip_without_a_word_and_harms_none_before_it(
    tmp_path: Path, container: str, codec: str
) -> None:
    """FFmpeg's readers may go on with the next block that they know: then the picture before stands longer."""
    for key in range(8):
        data = encode_clip(Clip(key=key, frames=200, codec=codec, container=container))
        start, length = len(data) // 2, len(data) // 20
        whole, none = decode(tmp_path / "a", data)
        clips, damaged = decode(tmp_path / "a", data[:start] + bytes(length) + data[start + length :])
        assert none == [] and (clips.keys() == whole.keys() or damaged)
        assert all(np.array_equal(clips[clip], whole[clip]) for clip in (0, 1))

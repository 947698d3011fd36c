"""Excerpts and pictures for browsers, from files that browsers do not play."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from tests.video.videos import write_video
from videobert.errors import VideoError
from videobert.video.isolated import IsolatedDecoder
from videobert.video.limits import DecoderLimits


@pytest.fixture(scope="module")
def decoder() -> IsolatedDecoder:
    return IsolatedDecoder(DecoderLimits())


def striped(number: int) -> NDArray[np.uint8]:
    """The bits of a number as eight stripes of black and white, which no codec loses."""
    bits = [255 * (number >> bit & 1) for bit in range(8)]
    return np.broadcast_to(np.repeat(np.array(bits, np.uint8), 8)[None, :, None], (48, 64, 3)).copy()


def numbers(data: bytes) -> list[tuple[float, int]]:
    """(seconds, number) of each frame."""
    with av.open(io.BytesIO(data), "r") as container:
        shown = [(float(f.time or 0), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    return [(at, sum(int(image[:, 8 * bit + 4].mean() > 127) << bit for bit in range(8))) for at, image in shown]


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "mpeg4"), ("mkv", "libx264"), ("mp4", "mpeg4")])
def test_an_excerpt_holds_the_frames_of_its_seconds(
    tmp_path: Path, decoder: IsolatedDecoder, suffix: str, codec: str
) -> None:
    video = tmp_path / f"video.{suffix}"
    write_video(video, [striped(n) for n in range(200)], codec=codec)  # 20 a second
    for start, end in ((0.0, 0.5), (1.0, 2.0), (8.0, 99.0)):
        found = numbers(decoder.excerpt(video, start, end))
        expected = range(round(20 * start), min(200, round(20 * end)))
        assert [number for _, number in found] == list(expected)
        assert [at for at, _ in found] == pytest.approx([n / 20 for n in range(len(expected))], abs=1e-3)
    assert numbers(decoder.picture(video, 8.51, width=64)) == [(0.0, 170)]


def test_a_video_that_lies_on_its_side_is_shown_upright(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, :48] = 250  # stored on the left; turned by a quarter, above or below
    write_video(tmp_path / "video.mp4", [image] * 20, rotation=90)
    for data in (decoder.excerpt(tmp_path / "video.mp4", 0, 1), decoder.picture(tmp_path / "video.mp4", 0, width=96)):
        with av.open(io.BytesIO(data), "r") as container:
            shown = next(container.decode(video=0)).to_ndarray(format="gray")
        assert shown.shape == (96, 48)
        assert abs(int(shown[:40].mean()) - int(shown[56:].mean())) > 200


def test_what_holds_no_picture_is_refused(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    (tmp_path / "video.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match="FFmpeg cannot read"):
        decoder.picture(tmp_path / "video.mp4", 0, width=64)
    write_video(tmp_path / "video.mp4", [striped(0)] * 20)
    with pytest.raises(VideoError, match="nothing of the video"):
        decoder.excerpt(tmp_path / "video.mp4", 0.5, 0)


def write_beep(path: Path, *, at: float, codec: str) -> None:
    """Four seconds of pictures with silence, but for a tone of half a second."""
    write_video(path.with_suffix(".silent.mkv"), [striped(n) for n in range(80)])
    times_N = np.arange(4 * 44_100) / 44_100
    loud_N = (times_N >= at) & (times_N < at + 0.5)
    tone_N = (np.sin(2 * np.pi * 440 * times_N) * loud_N * 20_000).astype(np.int16)
    with av.open(str(path.with_suffix(".silent.mkv"))) as silent, av.open(str(path), "w") as output:
        pictures = output.add_stream_from_template(silent.streams.video[0])
        sound = cast(AudioStream, output.add_stream(codec, rate=44_100, layout="mono"))
        for packet in silent.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                output.mux(packet)
        for first in range(0, len(tone_N), 1024):
            frame = av.AudioFrame.from_ndarray(tone_N[None, first : first + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44_100, first, Fraction(1, 44_100)
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))


@pytest.mark.parametrize("codec", ["pcm_s16le", "ac3"])
def test_an_excerpt_sounds_when_its_video_does(tmp_path: Path, decoder: IsolatedDecoder, codec: str) -> None:
    write_beep(tmp_path / "video.mkv", at=2.5, codec=codec)
    data = decoder.excerpt(tmp_path / "video.mkv", 2.0, 3.5)
    with av.open(io.BytesIO(data), "r") as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        loud = [float(f.time or 0) for f in container.decode(audio=0) if np.abs(f.to_ndarray()).max() > 0.2]
    assert loud[0] == pytest.approx(0.5, abs=0.05) and loud[-1] == pytest.approx(1.0, abs=0.05)
    assert numbers(data)[0] == (0.0, 40)

"""Videos that are rare and right: they must become rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av

from tests.hostile.corpus.case import ROWS, Case
from tests.hostile.corpus.clip import Clip, encode_clip

__all__ = ["still", "tiny_packets", "unusual_cases"]

_ENDINGS = {"matroska": "mkv", "mpeg": "mpg", "mpegts": "mp4", "asf": "mp4", "flv": "mp4"}
_X265 = {"preset": "ultrafast", "x265-params": "pools=none:frame-threads=1:log-level=none"}
_REALTIME = {"deadline": "realtime", "cpu-used": "8"}
_WITHOUT_SHIFT = {"avoid_negative_ts": "disabled"}

# FFmpeg's wheel has no encoder for Theora: a file of it lies in tests/hostile.
_CODECS = {
    "10-bit h264": Clip(pixel_format="yuv420p10le"),
    "10-bit hevc": Clip(codec="libx265", pixel_format="yuv420p10le", codec_options=_X265),
    "4:4:4": Clip(pixel_format="yuv444p"),
    "hevc": Clip(codec="libx265", codec_options=_X265),
    "av1": Clip(codec="libsvtav1", codec_options={"preset": "11", "svtav1-params": "lp=1"}),
    "vp9": Clip(codec="libvpx-vp9", container="webm", codec_options=_REALTIME),
    "vp8": Clip(codec="libvpx", container="webm", codec_options=_REALTIME),
    "mpeg2": Clip(codec="mpeg2video", container="mpeg", fps=25, frames=60),
    "mpeg4 in avi": Clip(codec="mpeg4", container="avi"),
    "mjpeg": Clip(codec="mjpeg", container="avi", pixel_format="yuvj420p"),
    "prores": Clip(codec="prores_ks", container="mov", pixel_format="yuv422p10le"),
    "ffv1": Clip(codec="ffv1", container="matroska"),
    "gif": Clip(codec="gif", container="gif", pixel_format="rgb8"),
    "wmv in asf": Clip(codec="wmv2", container="asf"),
    "flv": Clip(codec="flv", container="flv"),
    "transport stream": Clip(container="mpegts"),
    "interlaced h264": Clip(codec_options={"x264-params": "interlaced=1"}),
    "interlaced mpeg2": Clip(
        codec="mpeg2video", container="mpeg", fps=25, frames=60, codec_options={"flags": "+ilme+ildct"}
    ),
    "rotated by 90": Clip(rotation=90),
    "rotated by 180": Clip(rotation=180),
    "1x1": Clip(codec="ffv1", container="matroska", width=1, height=1, pixel_format="yuv444p"),
    "2000x2": Clip(width=2000, height=2),
    "odd size": Clip(codec="ffv1", container="matroska", width=53, height=37, pixel_format="yuv444p"),
    "with sound": Clip(sound=True),
}
_TIMES = {
    "variable rate": Clip(times=[Fraction(i * i, 400) for i in range(40)]),
    "negative times": Clip(
        container="matroska", frames=80, times=[Fraction(i - 20, 20) for i in range(80)],
        container_options=_WITHOUT_SHIFT,
    ),
    "negative times in mp4": Clip(
        frames=80, times=[Fraction(i - 20, 20) for i in range(80)], container_options=_WITHOUT_SHIFT
    ),
    "late start": Clip(container="matroska", frames=50, times=[Fraction(1, 2) + Fraction(i, 20) for i in range(50)]),
    "jump of 20 s": Clip(
        container="matroska", frames=80, times=[Fraction(i, 20) + 20 * (i >= 40) for i in range(80)]
    ),
    "no duration": Clip(container="matroska", container_options={"live": "1"}),
    "no duration, fragmented": Clip(container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "240 fps": Clip(fps=240, frames=480),
    "one picture a second": Clip(fps=1, frames=4),
}  # fmt: skip


def unusual_cases() -> Iterator[Case]:
    """Codecs, sizes, orientations, time stamps; then what no muxer writes by itself."""
    for kind, clips in (("codec or size", _CODECS), ("time stamps", _TIMES)):
        for number, (note, clip) in enumerate(clips.items()):
            ending = _ENDINGS.get(clip.container, clip.container)
            name = f"{kind.split()[0]}-{number:02d}.{ending}"
            yield Case(kind=kind, name=name, data=encode_clip(clip), ends=(ROWS,), note=note)
    yield Case(kind="new resolution", name="resolution.mp4", data=_new_resolution(), ends=(ROWS,), note="in mid-stream")
    yield Case(kind="time stamps", name="backwards.mp4", data=_backwards(), ends=(ROWS,), note="start again at zero")
    yield Case(kind="still", name="still.mp4", data=still(seconds=60), ends=(ROWS,), note="one picture for a minute")
    yield Case(kind="tiny packets", name="tiny.avi", data=tiny_packets(20_000), ends=(ROWS,), note="20,000 in 20 s")


def still(*, seconds: int) -> bytes:
    """Two equal pictures, far apart: a few kilobytes that last for hours."""
    times = [Fraction(0), Fraction(seconds)]
    return encode_clip(
        Clip(
            key=1, frames=2, times=times, codec_options={"bf": "0"},
            container_options={"video_track_timescale": "1000"},  # ten hours in 90,000ths do not fit
        )
    )  # fmt: skip


def tiny_packets(count: int) -> bytes:
    """One small picture after the other, a thousand a second; the decoder has next to nothing to do for each."""
    first = encode_clip(Clip(codec="mpeg4", container="avi", width=16, height=16, frames=1, fps=1000))
    out = io.BytesIO()
    with (
        av.open(io.BytesIO(first), "r") as source,
        av.open(out, "w", format="avi", options={"fflags": "+bitexact"}) as sink,
    ):
        stream = sink.add_stream_from_template(source.streams.video[0])
        packet = next(p for p in source.demux(video=0) if p.size)
        data = bytes(packet)
        for number in range(count):
            copy = av.Packet(data)
            copy.stream, copy.time_base = stream, Fraction(1, 1000)
            copy.pts = copy.dts = number
            copy.is_keyframe = True
            sink.mux(copy)
    return out.getvalue()


def _new_resolution() -> bytes:
    """Two transport streams of different size, one after the other, the times going on."""
    second = Clip(
        container="mpegts", width=128, height=96, frames=40, times=[Fraction(40 + i, 20) for i in range(40)],
        container_options={"mpegts_copyts": "1"},
    )  # fmt: skip
    return encode_clip(Clip(container="mpegts", container_options={"mpegts_copyts": "1"})) + encode_clip(second)


def _backwards() -> bytes:
    """Two transport streams that both start at zero."""
    return encode_clip(Clip(container="mpegts")) + encode_clip(Clip(container="mpegts", key=1))

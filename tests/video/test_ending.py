"""How long the last picture stands, and where time begins: as FFmpeg's players show it, the same in every container."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from hypothesis import given
from hypothesis import strategies as st

from tests.video.videos import level_of, numbered_frame, write_video
from videobert.errors import VideoError
from videobert.video.decode import probe
from videobert.video.ending import INEXACT_SECONDS, Ending
from videobert.video.frames import ClipDecoder
from videobert.video.limits import DecoderLimits
from videobert.video.options import DecodeOptions
from videobert.video.request import ClipRequest

REQUEST, LIMITS = ClipRequest(frame_ticks=(0, 29), size=16), DecoderLimits()
PLAIN = {"bf": "0"}
CODECS = {".avi": "mpeg4", ".webm": "libvpx"}
CONTAINERS = ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.flv"]


def slides(path: Path, times: Sequence[float], *, sound: float = 0, late: float = 0) -> Path:
    """Numbered pictures that appear at these times, every packet 0.1 s long, and silence; all of it `late`."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"} if late else {}) as sink:
        video = sink.add_stream(CODECS.get(path.suffix, "libx264"), rate=10)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.max_b_frames = 0
        hiss = sink.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000) if sound else None
        packets: list[av.Packet[Any]] = []
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered_frame(10 * number), "rgb24")
            frame.pts = round(10 * time)
            packets += video.encode(frame)
        packets += video.encode(None)
        if isinstance(hiss, AudioStream):
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, round(48_000 * sound)), np.float32), "fltp", "mono")
            quiet.sample_rate, quiet.pts, quiet.time_base = 48_000, 0, Fraction(1, 48_000)
            packets += [*hiss.encode(quiet), *hiss.encode(None)]
        for packet in sorted(packets, key=lambda one: (one.dts or 0) * one.time_base):
            assert packet.pts is not None and packet.dts is not None
            shift = round(late / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            sink.mux(packet)
    return path


def decoded(path: Path, options: DecodeOptions | None = None) -> tuple[list[int], list[list[int]], ClipDecoder]:
    """Numbers of the clips, the levels of the first and last tick of each, and the decoder."""
    decoder = ClipDecoder(path, REQUEST, options or DecodeOptions(), limits=LIMITS)
    clips = list(decoder)
    return [clip.index for clip in clips], [[level_of(image) for image in clip.rgb] for clip in clips], decoder


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_last_slide_stands_until_the_sound_has_ended(tmp_path: Path, name: str) -> None:
    path = slides(tmp_path / name, [0, 2, 4, 6], sound=12)
    clips, levels, decoder = decoded(path)
    assert clips == list(range(8)) and not decoder.damaged
    assert np.abs(np.array(levels[5:]) - [[30, 30]] * 3).max() <= 1
    assert probe(path, limits=LIMITS).duration_seconds == pytest.approx(12, abs=0.15)


@pytest.mark.parametrize("name", [*CONTAINERS, "a.ts"])  # FFmpeg's first 5 s do not hold the end of the still there
def test_a_podcast_of_one_still_is_the_still_for_as_long_as_it_talks(tmp_path: Path, name: str) -> None:
    clips, levels, decoder = decoded(slides(tmp_path / name, [0], sound=12))
    assert clips == list(range(8)) and not decoder.damaged
    assert np.abs(np.array(levels)).max() <= 1


@pytest.mark.parametrize(
    ("times", "sound"), [([0, 2.2, 4.2, 6.2], 12), ([0, 3.2, 4.2, 9.2], 12), ([n / 2 for n in range(24)], 0)],
    ids=["slides", "slides at odd times", "two pictures a second, silent"],
)  # fmt: skip
def test_pictures_that_stand_still_in_a_transport_stream_are_no_damage(
    tmp_path: Path, times: list[float], sound: float
) -> None:
    clips, levels, decoder = decoded(slides(tmp_path / "a.ts", times, sound=sound))
    assert clips == list(range(8 if sound else 7)) and not decoder.damaged
    shown = [sum(time <= 1.5 * clip for time in times) - 1 for clip in clips]
    assert np.abs(np.array(levels)[:, 0] - 10 * np.array(shown) % 60).max() <= 2


def test_what_is_lost_of_a_transport_stream_takes_its_sound_along(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.ts", [number / 10 for number in range(300)], sound=30)
    data = path.read_bytes()
    third = len(data) // 564 * 188
    path.write_bytes(data[:third] + data[third + len(data) // 1880 * 188 :])  # 3 of 30 seconds
    clips, _, decoder = decoded(path)
    ((start, end),) = decoder.damaged
    assert 8 < start < 11 and end > 12 and not any(start < 1.5 * clip + 1.5 and 1.5 * clip < end for clip in clips)


def test_the_last_picture_stands_as_long_as_its_packet_says(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        times = [Fraction(0), Fraction(2), Fraction(4)]
        path = write_video(
            tmp_path / f"short-{name}", [numbered_frame(i) for i in range(3)], times=times, options=PLAIN
        )
        with av.open(str(path)) as source, av.open(str(tmp_path / name), "w") as sink:
            stream = sink.add_stream_from_template(source.streams.video[0])
            packets = [packet for packet in source.demux(video=0) if packet.pts is not None]
            for packet in packets:
                packet.stream = stream
                if packet.pts == max(one.pts or 0 for one in packets):
                    packet.duration = round(5 / packet.time_base)
                sink.mux(packet)
        assert decoded(tmp_path / name)[0] == list(range(6))


def test_a_duration_that_was_copied_from_the_picture_before_is_not_believed_against_the_header(tmp_path: Path) -> None:
    """With B-frames an MP4 stores pictures in another order than they are shown in, and durations with it."""
    times = [Fraction(0), Fraction(2), Fraction(6)]
    for name in ("a.mp4", "a.mkv"):
        path = write_video(tmp_path / name, [numbered_frame(i) for i in range(3)], times=times, options={"bf": "2"})
        assert decoded(path)[0] == list(range(4))


@pytest.mark.parametrize("late", [1.7, 30.0])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.flv", "a.ts", "a.wmv"])
def test_time_starts_where_the_file_starts(tmp_path: Path, name: str, late: float) -> None:
    path = slides(tmp_path / name, [number / 10 for number in range(90)], late=late)
    clips, _, decoder = decoded(path)
    assert clips == list(range(6)) and not decoder.damaged
    assert probe(path, limits=LIMITS).duration_seconds == pytest.approx(9, abs=0.11)


def test_a_late_file_that_breaks_off_tells_what_is_lost(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.mkv", [number / 10 for number in range(90)], late=30.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    clips, _, decoder = decoded(path)
    ((start, end),) = decoder.damaged
    assert clips == list(range(len(clips))) and len(clips) < 5 and start < 6 and end == 9


def test_lengths_that_mkvmerge_tells_are_lengths(tmp_path: Path) -> None:
    """It writes how long a stream lasts where FFmpeg writes when it ends; made here by another name of the muxer."""
    path = slides(tmp_path / "a.mkv", [number / 10 for number in range(90)], late=3.0)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"Lavf", b"mkvm").replace(b"00:00:12.000000000", b"00:00:09.000000000"))
    assert probe(path, limits=LIMITS).duration_seconds == pytest.approx(9, abs=0.01)
    assert decoded(path)[0] == list(range(6)) and not decoded(path)[2].damaged


def test_pictures_that_come_after_the_sound_are_shown_when_they_come(tmp_path: Path) -> None:
    """A leading empty edit: sound at once, pictures from 3 s on; until then the first, as `ffmpeg -fps_mode cfr`."""
    times = [3 + number / 10 for number in range(60)]
    path = slides(tmp_path / "a.mp4", times, sound=9)
    with av.open(str(path)) as container:
        assert container.start_time == 0 and container.streams.video[0].start_time
    clips, levels, decoder = decoded(path)
    assert clips == list(range(6)) and not decoder.damaged
    assert levels[:2] == [[0, 0], [0, 0]]
    assert levels[2][0] <= 1 and levels[2][1] == pytest.approx(level_of(numbered_frame(140)), abs=1)
    assert probe(path, limits=LIMITS).duration_seconds == pytest.approx(9, abs=0.1)


def test_an_empty_edit_of_all_that_there_is_moves_time_zero(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.mp4", [number / 10 for number in range(60)], late=3)
    assert b"elst" in path.read_bytes()
    clips, levels, _ = decoded(path)
    assert clips == list(range(4)) and levels[0][0] == 0
    assert levels[0][1] == pytest.approx(level_of(numbered_frame(140)), abs=1)


def test_sound_that_a_header_promises_and_that_is_not_there_holds_no_picture(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.mkv", [0, 1, 2], sound=60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clips, _, _ = decoded(path)
    assert 15 <= len(clips) <= 25  # and not 40


def test_sound_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.mp4", [0], sound=12)
    with pytest.raises(VideoError, match="sound until 12 s, above max_seconds=10") as caught:
        list(ClipDecoder(path, REQUEST, DecodeOptions(), limits=DecoderLimits(max_seconds=10.0)))
    assert caught.value.reason == "too-long"


def test_a_video_shorter_than_a_clip_is_one_clip_whose_last_picture_is_held(tmp_path: Path) -> None:
    for name in CONTAINERS:
        clips, levels, decoder = decoded(slides(tmp_path / name, [number / 10 for number in range(8)]))
        assert (
            clips == [0] and decoder.held_from is not None and float(decoder.held_from) == pytest.approx(0.8, abs=0.11)
        )
        assert levels[0][1] == pytest.approx(level_of(numbered_frame(70)), abs=1)


def test_one_picture_is_one_clip(tmp_path: Path) -> None:
    clips, _, decoder = decoded(slides(tmp_path / "a.mp4", [0]))
    assert clips == [0] and decoder.held_from == Fraction(1, 10)


def test_a_short_video_that_was_cut_off_is_not_filled_up(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.mkv", [number / 10 for number in range(14)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 8 // 10])
    with pytest.raises(VideoError, match="damaged") as caught:
        decoded(path)
    assert caught.value.reason == "undecodable" and 0 < caught.value.salvageable_seconds < 1.3


@pytest.mark.parametrize(("frames", "dropped", "held"), [(30, 2, 2), (31, 2, 3), (44, 2, 3), (45, 3, 3)])
def test_the_last_incomplete_clip_is_dropped_or_held(tmp_path: Path, frames: int, dropped: int, held: int) -> None:
    path = slides(tmp_path / "a.mp4", [number / 10 for number in range(frames)])
    clips, _, decoder = decoded(path)
    assert len(clips) == dropped and decoder.held_from is None
    clips, levels, decoder = decoded(path, DecodeOptions(last_clip="hold"))
    assert clips == list(range(held))
    assert decoder.held_from == (Fraction(frames, 10) if held > dropped else None)
    assert levels[-1][1] == pytest.approx(level_of(numbered_frame(10 * (frames - 1))), abs=1)


@pytest.mark.parametrize("stride", [0.5, 1.0, 1.45, 1.5])
def test_clips_that_overlap_show_what_clips_that_begin_there_would(tmp_path: Path, stride: float) -> None:
    path = slides(tmp_path / "a.mp4", [number / 10 for number in range(70)])
    ticks = ClipRequest(frame_ticks=tuple(range(30)), size=16, gray_size=8)
    clips = list(ClipDecoder(path, ticks, DecodeOptions(clip_stride=stride)))
    every = {c.index: c for c in ClipDecoder(path, ticks, DecodeOptions(clip_stride=0.05))}
    assert [clip.index for clip in clips] == list(range(int((7 - 1.5) // stride) + 1))
    for clip in clips:
        same = every[round(clip.index * stride * 20)]
        assert np.array_equal(clip.rgb, same.rgb) and np.array_equal(clip.gray, same.gray)  # type: ignore[arg-type]
    usual = list(ClipDecoder(path, ticks, DecodeOptions()))
    assert [np.array_equal(every[30 * clip.index].rgb, clip.rgb) for clip in usual] == [True] * 4


seconds = st.fractions(0, 100, max_denominator=1000)


@given(shown_from=seconds, length=seconds, declared=st.none() | seconds, heard=seconds)
def test_the_last_picture_never_goes_before_it_came_nor_before_the_sound(
    shown_from: Fraction, length: Fraction, declared: Fraction | None, heard: Fraction
) -> None:
    until = shown_from + length
    end = Ending(shown_from=shown_from, shown_until=until, declared=declared, heard_until=heard)
    assert end.stands_until >= shown_from and end.stands_until >= heard - INEXACT_SECONDS
    assert end.stands_until <= max(until, heard)
    if declared is None or heard >= declared or declared <= until:
        assert not end.breaks_off()
    if declared is not None and declared > max(until, heard) + INEXACT_SECONDS:
        assert end.breaks_off() and not end.breaks_off(declared - until)

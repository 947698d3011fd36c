import socket
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import SubtitleSet

from tests.video.videos import moving_square, write_video
from videobert.errors import InputError, VideoError
from videobert.video.decode import probe
from videobert.video.limits import DecoderLimits
from videobert.video.tracks import read_subtitles

ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
LIMITS = DecoderLimits()
FRAMES = [moving_square(i) for i in range(40)]


def write_subtitled(path: Path, codec: str, cues: list[tuple[int, int, str]], language: str = "eng") -> Path:
    """A video with one text track; times in milliseconds."""
    video = write_video(path.with_name(f"plain{path.suffix}"), FRAMES, options={"bf": "0"})  # so that it starts at 0
    with av.open(str(video)) as source, av.open(str(path), "w") as sink:
        picture = sink.add_stream_from_template(source.streams.video[0])
        text = sink.add_stream(codec)
        writer = text.codec_context
        assert isinstance(writer, SubtitleCodecContext)
        text.metadata["language"] = language
        writer.subtitle_header = ASS_HEADER
        text.time_base = writer.time_base = Fraction(1, 1000)
        packets = [p for p in source.demux(video=0) if p.dts is not None]
        for packet in packets:
            packet.stream = picture
        for start, end, words in cues:
            line = f"0,0,Default,,0,0,0,,{words}".replace("\n", "\\N").encode()
            caption: Any = writer.encode_subtitle(SubtitleSet.create(line, 0, end - start, start * 1000))
            caption.stream, caption.time_base = text, Fraction(1, 1000)
            caption.pts = caption.dts = start
            caption.duration = end - start
            packets.append(caption)
        for packet in packets:
            sink.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [
        ("a.mp4", "libx264", ("mov,mp4,m4a,3gp,3g2,mj2", "h264")),
        ("a.mkv", "libx264", ("matroska,webm", "h264")),
        ("a.webm", "libvpx", ("matroska,webm", "vp8")),
        ("a.avi", "mpeg4", ("avi", "mpeg4")),
        ("a.mpg", "mpeg2video", ("mpeg", "mpeg2video")),
        ("a.ts", "libx264", ("mpegts", "h264")),
    ],
)
def test_probe_tells_container_codec_size_rate_and_length(
    tmp_path: Path, name: str, codec: str, expected: tuple[str, str]
) -> None:
    facts = probe(write_video(tmp_path / name, FRAMES, fps=25, codec=codec), limits=LIMITS)
    assert (facts.container, facts.codec) == expected
    assert (facts.width, facts.height, facts.fps, facts.has_audio) == (96, 64, 25.0, False)
    assert facts.sound_codec == ""
    assert facts.duration_seconds == pytest.approx(1.6, abs=0.65)  # an MPEG program stream only estimates it


def test_probe_tells_rotation_and_sound(tmp_path: Path) -> None:
    facts = probe(write_video(tmp_path / "a.mp4", FRAMES, rotation=90, audio=True), limits=LIMITS)
    assert (facts.rotation, facts.width, facts.height, facts.has_audio) == (90, 96, 64, True)
    assert facts.sound_codec == "aac"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "undecodable"), (b"not a video at all" * 50, "undecodable")],
)
def test_bytes_that_are_no_video_have_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        probe(path, limits=LIMITS)
    assert caught.value.reason == reason


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(VideoError) as caught:
        probe(path, limits=LIMITS)
    assert caught.value.reason == "no-video-stream"


def test_a_picture_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", FRAMES)
    with pytest.raises(VideoError) as caught:
        probe(path, limits=DecoderLimits(max_pixels=96 * 64 - 1))
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize("name", ["http://127.0.0.1/a.mp4", "concat:a.mp4|b.mp4", "/nowhere/a.mp4"])
def test_only_local_files_are_opened(name: str) -> None:
    with pytest.raises(InputError, match="not a local file"):
        probe(name, limits=LIMITS)


def test_a_playlist_reads_neither_the_network_nor_other_files(tmp_path: Path) -> None:
    video = write_video(tmp_path / "secret.ts", FRAMES)
    visits: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def listen() -> None:
            try:
                server.accept()
                visits.append(True)
            except TimeoutError:
                pass

        listener = threading.Thread(target=listen)
        listener.start()
        header = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2.0,\n"
        for line in (video.as_uri(), f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"):
            for suffix in (".m3u8", ".mp4"):
                path = tmp_path / f"list{suffix}"
                path.write_text(f"{header}{line}\n#EXT-X-ENDLIST\n")
                with pytest.raises(VideoError):
                    probe(path, limits=LIMITS)
        path = tmp_path / "list.ffconcat"
        path.write_text(f"ffconcat version 1.0\nfile '{video}'\n")
        with pytest.raises(VideoError):
            probe(path, limits=LIMITS)
        listener.join()
    assert not visits


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mov_text"), ("a.mkv", "subrip")])
def test_embedded_cues_come_with_their_times(tmp_path: Path, name: str, codec: str) -> None:
    path = write_subtitled(tmp_path / name, codec, [(100, 900, "Chop the onion."), (1000, 1800, "Stir\nit well.")])
    track = probe(path, limits=LIMITS).subtitles[0]
    assert (track.codec, track.language, track.is_text) == (codec, "eng", True)
    cues = read_subtitles(path, limits=LIMITS)
    assert [cue[2] for cue in cues] == ["Chop the onion.", "Stir\nit well."]
    assert np.allclose([cue[:2] for cue in cues], [(0.1, 0.9), (1.0, 1.8)], atol=0.002)


def test_a_track_is_chosen_by_language(tmp_path: Path) -> None:
    path = write_subtitled(tmp_path / "a.mkv", "subrip", [(0, 500, "Zwiebel.")], language="ger")
    assert (
        read_subtitles(path, language="de", limits=LIMITS)
        and read_subtitles(path, limits=LIMITS)
        and not read_subtitles(path, language="en", limits=LIMITS)
    )


def test_no_track_is_no_cue(tmp_path: Path) -> None:
    assert read_subtitles(write_video(tmp_path / "a.mp4", FRAMES), limits=LIMITS) == []


def test_a_damaged_beginning_does_not_hide_what_follows(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", FRAMES, keyframe_every=10, options={"bf": "0"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0))
        assert first.pos is not None
        content[first.pos : first.pos + first.size] = bytes(first.size)
    path.write_bytes(content)
    with av.open(str(path)) as container, pytest.raises(av.FFmpegError):
        next(container.decode(video=0))
    assert (probe(path, limits=LIMITS).width, probe(path, limits=LIMITS).height) == (96, 64)

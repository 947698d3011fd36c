"""Which files are videos, which captions are theirs, and why the others are neither."""

from __future__ import annotations

import dataclasses
import gc
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.ingest.config import IngestConfig
from videobert.ingest.contents import Contents, sort_files
from videobert.ingest.core import SourceFile
from videobert.ingest.listing import Listed
from videobert.ingest.sidecars import Sidecar

EXTENSIONS = IngestConfig().extensions
PREFIX = "s3://b/in/"


def _sorted(*names: str, language: str = "", **left_out: str) -> Contents:
    listing = {f"{PREFIX}{name}": Listed(1, f"etag-{name}", left_out.get(name, "")) for name in names}
    return sort_files(listing, EXTENSIONS, prefix=PREFIX, language=language)


def _found(*names: str, language: str = "") -> dict[str, list[str]]:
    cut = len(PREFIX)
    videos = _sorted(*names, language=language).videos
    return {video.uri[cut:]: [sidecar.uri[cut:] for sidecar in video.sidecars] for video in videos}


def _language(sidecar: str) -> str:
    (video,) = _sorted("talk.mp4", sidecar).videos
    return video.sidecars[0].language


def test_a_sidecar_belongs_to_the_longest_stem() -> None:
    assert _found("a.mp4", "a.b.mp4", "a.b.vtt") == {"a.mp4": [], "a.b.mp4": ["a.b.vtt"]}
    assert _found("a.mp4", "a.b.vtt") == {"a.mp4": ["a.b.vtt"]}
    assert _found("a.mp4", "a.b.mp4", "a.b.en.vtt", "a.vtt") == {"a.mp4": ["a.vtt"], "a.b.mp4": ["a.b.en.vtt"]}
    assert _found("a.mp4", "ab.vtt", "a.b.c.vtt", "other/a.vtt") == {"a.mp4": []}


@pytest.mark.parametrize(
    ("video", "sidecar"),
    [
        ("x.mp4", "x.en.sdh.srt"), ("x.mp4", "x.mp4.vtt"), ("x.mp4", "x.mp4.en.forced.srt"), ("x.mp4", "x.zh-Hans.vtt"),
        ("my.talk.mp4", "my.talk.vtt"), ("my.talk.mp4", "my.talk.de.vtt"), ("UPPER.MP4", "upper.SRT"),
        ("upper.mp4", "Upper.En.Vtt"), ("caf\u00e9.mp4", "cafe\u0301.vtt"), ("x.mp4", "x.en.json3"), ("x.mkv", "x.ass"),
        ("x.mp4", "x.eng.default.full.srt"), ("x.mp4", "x.en-US.cc.ttml"), ("part.01.mp4", "part.01.vtt"),
    ],
)  # fmt: skip
def test_names_that_players_and_downloaders_give(video: str, sidecar: str) -> None:
    assert _found(video, sidecar) == {video: [sidecar]}


def test_a_sidecar_of_a_container_is_not_the_other_ones() -> None:
    assert _found("a.mp4", "a.webm", "a.mp4.vtt") == {"a.mp4": ["a.mp4.vtt"], "a.webm": []}


def test_both_containers_of_a_talk_share_its_captions() -> None:
    assert _found("a.mp4", "a.webm", "a.srt") == {"a.mp4": ["a.srt"], "a.webm": ["a.srt"]}


def test_names_that_differ_only_in_case_stay_apart_where_both_are_there() -> None:
    assert _found("Talk.mp4", "talk.mp4", "Talk.vtt", "talk.srt") == {
        "Talk.mp4": ["Talk.vtt"],
        "talk.mp4": ["talk.srt"],
    }
    assert _found("Talk.mp4", "talk.mp4", "talk.srt") == {"Talk.mp4": [], "talk.mp4": ["talk.srt"]}
    assert _found("Talk.mp4", "TALK.srt") == {"Talk.mp4": ["TALK.srt"]}


@pytest.mark.parametrize(
    ("sidecar", "language"),
    [
        ("talk.vtt", ""), ("talk.en.vtt", "en"), ("talk.EN-gb.vtt", "en-GB"), ("talk.eng.srt", "en"),
        ("talk.ger.srt", "de"), ("talk.pt_BR.srt", "pt-BR"), ("talk.zh-hans.vtt", "zh-Hans"), ("talk.fil.vtt", "fil"),
        ("talk.es-419.vtt", "es-419"), ("talk.en.sdh.srt", "en"), ("talk.forced.fr.srt", "fr"), ("talk.hi.srt", "hi"),
        ("talk.en.hi.srt", "en"), ("talk.en-orig.vtt", "en"), ("talk.zh-Hans-en.vtt", "zh-Hans"), ("talk.iw.vtt", "he"),
        ("talk.und.vtt", ""), ("talk.sdh.srt", ""), ("talk.info.json", ""), ("talk.whisper.json", ""),
        ("talk.one.vtt", ""), ("talk.my-clip.vtt", ""), ("talk.1080p.vtt", ""), ("talk.mp4.vtt", ""),
         ("talk.x.vtt", ""),
    ],
)  # fmt: skip
def test_the_language_of_a_name_is_one_tag_or_none(sidecar: str, language: str) -> None:
    assert _language(sidecar) == language


def test_language_comes_before_format() -> None:
    names = (
        "a.mp4",
        "a.info.json",
        "a.srt",
        "a.en.srt",
        "a.de.vtt",
        "a.json",
        "a.en-GB.vtt",
        "a.en.forced.vtt",
        "a.en.sdh.vtt",
    )
    assert _found(*names, language="en")["a.mp4"] == [
        "a.en.srt", "a.en.sdh.vtt", "a.en-GB.vtt", "a.srt", "a.json", "a.en.forced.vtt", "a.de.vtt", "a.info.json"
    ]  # fmt: skip
    assert _found("a.mp4", "a.de.vtt", "a.en.srt", "a.vtt")["a.mp4"] == ["a.vtt", "a.de.vtt", "a.en.srt"]
    assert _found("a.mp4", "a.de.vtt", "a.en-orig.vtt")["a.mp4"] == ["a.en-orig.vtt", "a.de.vtt"]
    assert _found("a.mp4", "a.zh-Hant.vtt", "a.zh-Hans.srt", language="zh-Hans")["a.mp4"][0] == "a.zh-Hans.srt"


def test_only_files_with_a_known_ending_are_videos() -> None:
    names = ("x/B.MP4", "a.mov", ".hidden.mp4", "readme.txt", "mp4", "a.mp4.part", "...and stir.mp4")
    contents = _sorted(*names)
    assert [video.uri.removeprefix(PREFIX) for video in contents.videos] == ["...and stir.mp4", "a.mov", "x/B.MP4"]
    assert {uri.removeprefix(PREFIX): reason for uri, reason in contents.skipped.items()} == {
        ".hidden.mp4": "hidden", "readme.txt": "extension .txt", "mp4": "extension (none)",
        "a.mp4.part": "extension .part",
    }  # fmt: skip


@pytest.mark.parametrize(
    "ending",
    [
        "ts",
        "mts",
        "m2ts",
        "wmv",
        "flv",
        "3gp",
        "m4v",
        "mpeg",
        "mpg",
        "mp4",
        "mov",
        "mkv",
        "webm",
        "avi",
        "vob",
        "ogv",
        "asf",
    ],
)
def test_containers_that_the_decoder_reads_are_taken(ending: str) -> None:
    assert _found(f"a.{ending}", f"B.{ending.upper()}").keys() == {f"a.{ending}", f"B.{ending.upper()}"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".Trash-1000/files/a.mp4", "hidden folder .Trash-1000"), ("@eaDir/a.mp4/SYNO.mp4", "system folder @eaDir"),
        ("x/__MACOSX/._a.mp4", "system folder __MACOSX"), ("$RECYCLE.BIN/a.mp4", "system folder $RECYCLE.BIN"),
        (".git/a.vtt", "hidden folder .git"), ("x/", "marker of a folder"), ("a.live_chat.json", "chat of viewers"),
        ("._a.mp4", "hidden"),
    ],
)  # fmt: skip
def test_what_systems_and_downloaders_leave_behind_is_skipped_by_name(name: str, reason: str) -> None:
    contents = _sorted("a.mp4", name)
    assert [video.uri for video in contents.videos] == [f"{PREFIX}a.mp4"] and not contents.owners
    assert contents.skipped == {f"{PREFIX}{name}": reason}


def test_the_source_itself_may_lie_in_a_hidden_folder() -> None:
    uri = "file:///home/.cache/videos/a.mp4"
    assert sort_files({uri: Listed(1, "e")}, EXTENSIONS, prefix="file:///home/.cache/videos/").videos[0].uri == uri


def test_captions_of_no_video_are_kept_apart() -> None:
    contents = _sorted("a.mp4", "a.vtt", "b.vtt", "other/a.vtt", "left.mp4", **{"left.mp4": "link"})
    owners = {uri.removeprefix(PREFIX): videos for uri, videos in contents.owners.items()}
    assert owners == {"a.vtt": [f"{PREFIX}a.mp4"], "b.vtt": [], "other/a.vtt": []}
    assert contents.skipped == {f"{PREFIX}left.mp4": "link"}


def test_the_digest_follows_video_and_sidecars() -> None:
    sidecar = Sidecar(uri="s", etag="e", language="", turn=0)
    file = SourceFile(uri="u", size_bytes=1, etag="e", sidecars=(sidecar,))
    others = [
        dataclasses.replace(file, etag="f"), dataclasses.replace(file, size_bytes=2),
        dataclasses.replace(file, sidecars=()),
        dataclasses.replace(file, sidecars=(dataclasses.replace(sidecar, etag="f"),)),
    ]  # fmt: skip
    assert len({file.digest, *(other.digest for other in others)}) == 5


_NAMES = st.from_regex(r"[ab](\.[ab])?(\.en)?\.(mp4|vtt|srt|json|txt)", fullmatch=True)


@given(names=st.sets(_NAMES, max_size=8))
def test_every_file_is_one_thing_and_no_sidecar_has_two_stems(names: set[str]) -> None:
    found, contents = _found(*names), _sorted(*names)
    assert list(found) == sorted(n for n in names if n.endswith(".mp4"))
    owned = [sidecar for sidecars in found.values() for sidecar in sidecars]
    assert len(owned) == len(set(owned))  # there is one container only
    for video, sidecars in found.items():
        assert all(sidecar.startswith(video.removesuffix("mp4")) for sidecar in sidecars)
    kinds = [{video.uri for video in contents.videos}, set(contents.owners), set(contents.skipped)]
    assert set().union(*kinds) == {f"{PREFIX}{name}" for name in names} and sum(map(len, kinds)) == len(names)


def test_a_listing_of_any_size_takes_linear_time(request: pytest.FixtureRequest) -> None:
    def seconds(videos: int) -> float:
        names = [f"{n:06d}{ending}" for n in range(videos) for ending in (".mp4", ".en.vtt", ".info.json")]
        started = time.process_time()
        assert len(_sorted(*names).videos) == videos
        return time.process_time() - started

    gc.collect()
    gc.disable()  # a collection walks over all that other tests have left
    request.addfinalizer(gc.enable)
    seconds(500)
    few, many = min(seconds(1_000) for _ in range(3)), min(seconds(10_000) for _ in range(2))
    assert many < 25 * few  # ten times as many files; in quadratic time it would be a hundred

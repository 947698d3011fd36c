"""Sentences and segments: every word once, every clip covered, nothing outside the video."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.runtime.spec import output_config
from videobert.tokens.config import TokensConfig
from videobert.tokens.core import Sentence, from_json, make_segments, split_sentences, to_json
from videobert.tokens.records import Segment, TokenizedVideo

CONFIG = TokensConfig()
WORDS = st.lists(st.sampled_from(["cut", "the", "onion", "Dr", "2.5", "now", "a"]), min_size=1, max_size=12)


def _cue(start: float, end: float, text: str) -> dict[str, Any]:
    return {"start_seconds": start, "end_seconds": end, "text": text}


@st.composite
def _cues(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Cues in time order that may overlap, with or without punctuation."""
    cues, start = [], 0.0
    for _ in range(draw(st.integers(0, 6))):
        start += draw(st.floats(0, 4))
        text = " ".join(word + draw(st.sampled_from(["", "", ".", "!", '?"'])) for word in draw(WORDS))
        cues.append(_cue(start, start + draw(st.floats(0.1, 6)), text))
    return cues


@st.composite
def _video(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Sentence]]:
    """Clips of 1.5 s, of which damage took some, and sentences anywhere in or beyond the video."""
    kept = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=25)))
    starts = np.array(kept, np.float64) * 1.5
    spans = draw(
        st.lists(st.tuples(st.floats(0, 70), st.floats(0.01, 20), st.sampled_from(["", "cut it"])), max_size=6)
    )
    sentences = [Sentence(start_seconds=s, end_seconds=s + d, text=text) for s, d, text in sorted(spans)]
    return starts, starts + 1.5, sentences


def _tokenize(text: str) -> list[int]:
    return [len(word) for word in text.split()]


def _texts(cues: list[dict[str, Any]], /, **changes: Any) -> list[str]:
    return [sentence.text for sentence in split_sentences(cues, TokensConfig(**changes))]


def test_a_cue_is_cut_at_the_ends_of_sentences_and_its_time_shared() -> None:
    found = split_sentences([_cue(0, 10, "Cut it. Then stir!")], CONFIG)
    assert [s.text for s in found] == ["Cut it.", "Then stir!"]
    assert found[0].start_seconds == 0 and found[0].end_seconds == found[1].start_seconds == pytest.approx(70 / 17)
    assert found[1].end_seconds == pytest.approx(10)


def test_cues_are_joined_until_the_sentence_ends() -> None:
    assert _texts([_cue(0, 1, "cut the"), _cue(1, 2, "onion. now"), _cue(2, 3, "stir.")]) == [
        "cut the onion.",
        "now stir.",
    ]


def test_a_pause_or_the_word_limit_ends_a_sentence() -> None:
    assert _texts([_cue(0, 1, "cut the"), _cue(5, 6, "onion.")]) == ["cut the", "onion."]
    cues = [_cue(0, 1, "a b c"), _cue(1, 2, "d e f"), _cue(2, 3, "g.")]
    assert _texts(cues, max_sentence_words=4) == ["a b c", "d e f g."]
    assert _texts([_cue(0, 1, "a b c d e f g.")], max_sentence_words=3) == ["a b c", "d e f", "g."]


def test_captions_without_punctuation_are_joined_for_some_seconds() -> None:
    cues = [_cue(n, n + 1, f"w{n}") for n in range(7)]
    assert _texts(cues) == ["w0 w1 w2", "w3 w4 w5", "w6"]
    assert _texts([*cues, _cue(7, 8, "end.")]) == ["w0 w1 w2 w3 w4 w5 w6 end."]  # one full stop: they tell their ends


@given(cues=_cues(), limit=st.integers(1, 30))
def test_every_word_is_in_one_sentence_in_order_and_none_is_too_long(cues: list[dict[str, Any]], limit: int) -> None:
    sentences = split_sentences(cues, TokensConfig(max_sentence_words=limit))
    assert " ".join(s.text for s in sentences).split() == " ".join(cue["text"] for cue in cues).split()
    for sentence in sentences:
        assert sentence.start_seconds <= sentence.end_seconds and 1 <= len(sentence.text.split()) <= limit
    if sentences:
        assert min(s.start_seconds for s in sentences) >= cues[0]["start_seconds"]
        assert max(s.end_seconds for s in sentences) <= max(cue["end_seconds"] for cue in cues) + 1e-9


@given(video=_video(), size=st.integers(1, 16))
def test_every_clip_is_covered_and_no_segment_leaves_the_video(
    video: tuple[NDArray[np.float64], NDArray[np.float64], list[Sentence]], size: int
) -> None:
    starts, ends, sentences = video
    segments = make_segments(sentences, starts, ends, tokenize=_tokenize, config=TokensConfig(clips_per_segment=size))
    assert {clip for s in segments for clip in range(s.first_clip, s.last_clip)} == set(range(len(starts)))
    silent = [clip for s in segments if not s.text for clip in range(s.first_clip, s.last_clip)]
    spoken = {clip for s in segments if s.text for clip in range(s.first_clip, s.last_clip)}
    assert len(silent) == len(set(silent)) and not spoken & set(silent)
    for segment in segments:
        assert segment.start_seconds == starts[segment.first_clip]
        assert segment.end_seconds == ends[segment.last_clip - 1]
        assert bool(segment.text) == bool(segment.text_ids)
        assert segment.text or segment.last_clip - segment.first_clip <= size
        inner = slice(segment.first_clip, segment.last_clip - 1)
        assert segment.text or np.array_equal(ends[inner], starts[1:][inner])
    assert list(segments) == sorted(segments, key=lambda s: (s.first_clip, s.last_clip, s.text))


@given(video=_video())
def test_a_sentence_takes_the_clips_whose_middle_it_holds_or_the_one_that_shows_its_middle(
    video: tuple[NDArray[np.float64], NDArray[np.float64], list[Sentence]],
) -> None:
    starts, ends, sentences = video
    middles = (starts + ends) / 2
    for sentence in sentences:
        segments = make_segments([sentence], starts, ends, tokenize=_tokenize, config=CONFIG)
        taken = [(s.first_clip, s.last_clip) for s in segments if s.text]
        inside = np.flatnonzero((middles >= sentence.start_seconds) & (middles < sentence.end_seconds))
        middle = (sentence.start_seconds + sentence.end_seconds) / 2
        if not sentence.text:
            assert taken == []
        elif len(inside):
            assert taken == [(inside[0], inside[-1] + 1)]
        elif ((starts <= middle) & (middle < ends)).any():
            nearest = np.abs(middles - middle)
            assert len(taken) == 1 and taken[0][1] - taken[0][0] == 1 and nearest[taken[0][0]] == nearest.min()
        else:
            assert taken == []


def test_what_is_said_in_a_damaged_gap_goes_to_no_clip_and_nothing_silent_spans_it() -> None:
    """Five minutes are lost between the clips 3 and 4."""
    starts = np.array([0, 1.5, 3, 4.5, 306, 307.5, 309])
    said = [
        Sentence(start_seconds=t, end_seconds=t + 1, text=text)
        for t, text in ((1.6, "cut"), (150, "lost"), (300, "lost"), (306.2, "stir"))
    ]
    segments = make_segments(said, starts, starts + 1.5, tokenize=_tokenize, config=CONFIG)
    assert [(s.first_clip, s.last_clip, s.text) for s in segments] == [
        (0, 1, ""), (1, 2, "cut"), (2, 4, ""), (4, 5, "stir"), (5, 7, ""),
    ]  # fmt: skip


def test_clips_that_overlap_have_no_gaps() -> None:
    starts = np.arange(6, dtype=np.float64) * 0.5
    said = [Sentence(start_seconds=1.9, end_seconds=2.1, text="cut")]
    segments = make_segments(said, starts, starts + 1.5, tokenize=_tokenize, config=CONFIG)
    assert [(s.first_clip, s.last_clip, s.text) for s in segments] == [(0, 2, ""), (2, 3, "cut"), (3, 6, "")]


def test_a_sentence_shorter_than_a_clip_still_gets_one() -> None:
    starts = np.arange(4, dtype=np.float64) * 1.5
    sentence = Sentence(start_seconds=1.6, end_seconds=1.9, text="cut")
    segments = make_segments([sentence], starts, starts + 1.5, tokenize=_tokenize, config=CONFIG)
    assert [(s.first_clip, s.last_clip, s.text) for s in segments] == [(0, 1, ""), (1, 2, "cut"), (2, 4, "")]


@given(video=_video())
def test_records_survive_json(video: tuple[NDArray[np.float64], NDArray[np.float64], list[Sentence]]) -> None:
    starts, ends, sentences = video
    segments = make_segments(sentences, starts, ends, tokenize=_tokenize, config=CONFIG)
    record = TokenizedVideo(video_id="ab", visual=np.arange(len(starts), dtype=np.int32), segments=segments)
    value = to_json(record, uri="s3://b/x", title="t")
    assert value["uri"] == "s3://b/x"
    back = from_json(value)
    assert back.segments == record.segments and back.video_id == "ab"
    np.testing.assert_array_equal(back.visual, record.visual)


def test_records_check_themselves() -> None:
    with pytest.raises(ValueError, match="at least one clip"):
        Segment(start_seconds=0, end_seconds=1, first_clip=1, last_clip=1)
    beyond = Segment(start_seconds=0, end_seconds=1, first_clip=0, last_clip=3)
    with pytest.raises(ValueError, match="beyond"):
        TokenizedVideo(video_id="v", visual=np.zeros(2, np.int32), segments=(beyond,))
    with pytest.raises(ValueError, match="int32"):
        TokenizedVideo(video_id="v", visual=np.zeros((2, 1), np.int32), segments=())


@pytest.mark.parametrize(
    "change",
    [{"clips_per_segment": 0}, {"max_sentence_words": 0}, {"min_sentence_seconds": -1}, {"max_pause_seconds": -0.1}],
)
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        TokensConfig(**change)


NARRATION = [
    _cue(0, 0.8, "the blue chef picks up an onion"), _cue(0.8, 1.1, "the blue chef puts the onion into the pot"),
    _cue(1.1, 2.9, "the green chef serves the soup"),
]  # fmt: skip
SPEECH = [
    _cue(0, 1, "so today we are going to make a"),
    _cue(1, 2, "nice omelette with"),
    _cue(2, 3, "cheese and then"),
]


def test_cues_that_stand_alone_are_sentences_where_that_is_asked_for() -> None:
    assert _texts(NARRATION, cues="alone") == [cue["text"] for cue in NARRATION]
    assert len(_texts(NARRATION)) == 1


def test_lines_of_running_speech_are_joined_all_the_same() -> None:
    assert _texts(SPEECH, cues="alone") == _texts(SPEECH) == [" ".join(cue["text"] for cue in SPEECH)]


def test_a_cue_that_ends_in_mid_phrase_takes_the_next_one() -> None:
    cues = [_cue(i, i + 1, "stir the soup") for i in range(20)]
    cues[3:5] = [_cue(3, 4, "now pour it into the"), _cue(4, 5, "white bowl")]
    assert _texts(cues, cues="alone")[3] == "now pour it into the white bowl"


def test_captions_that_roll_are_joined() -> None:
    cues = [_cue(0, 1, "crack two eggs"), _cue(1, 2, "crack two eggs then beat them")]
    assert _texts(cues, cues="alone") == _texts(cues)


def test_punctuation_decides_where_there_is_any() -> None:
    cues = [_cue(0, 1, "cut the"), _cue(1, 2, "onion."), _cue(2, 3, "stir")]
    assert _texts(cues, cues="alone") == _texts(cues) == ["cut the onion.", "stir"]


def test_the_way_of_cutting_is_checked() -> None:
    with pytest.raises(InputError, match="join or alone"):
        TokensConfig(cues="apart")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="whole or moment"):
        TokensConfig(short_sentences="cut")  # type: ignore[arg-type]


def test_a_short_sentence_may_take_the_one_clip_that_shows_its_moment() -> None:
    starts = np.arange(8, dtype=np.float64) * 1.5
    sentences = [
        Sentence(start_seconds=0.1, end_seconds=0.4, text="wash it"),  # shown before the first clip
        Sentence(start_seconds=2.0, end_seconds=4.0, text="cut it"),  # over the middles of two clips
        Sentence(start_seconds=6.0, end_seconds=10.5, text="stir"),  # of three
    ]

    def spans(**options: Any) -> list[tuple[int, int, str]]:
        found = make_segments(
            sentences, starts, starts + 1.5, tokenize=_tokenize, config=TokensConfig(cues="alone", **options),
            moment=lambda start, end: end - 0.875,
        )  # fmt: skip
        return [(s.first_clip, s.last_clip, s.text) for s in found]

    whole = [(0, 1, "wash it"), (1, 3, "cut it"), (3, 4, ""), (4, 7, "stir"), (7, 8, "")]
    assert spans() == spans(short_sentences="whole") == whole
    moments = [(0, 1, "wash it"), (1, 2, ""), (2, 3, "cut it"), (3, 4, ""), (4, 7, "stir"), (7, 8, "")]
    assert spans(short_sentences="moment") == moments


def test_a_short_sentence_keeps_its_clips_where_one_was_lost_or_none_shows_its_moment() -> None:
    starts = np.array([0.0, 1.5, 3.0, 9.0, 10.5, 12.0])  # 4.5 to 9 is lost
    config = TokensConfig(cues="alone", short_sentences="moment")

    def spans(start: float, end: float, shift: float) -> list[tuple[int, int]]:
        sentence = Sentence(start_seconds=start, end_seconds=end, text="cut it")
        found = make_segments(
            [sentence], starts, starts + 1.5, tokenize=_tokenize, config=config, moment=lambda a, b: b + shift
        )
        return [(s.first_clip, s.last_clip) for s in found if s.text]

    assert spans(3.0, 10.0, -0.5) == [(2, 4)], "eleven seconds of video were lost or shown"
    assert spans(3.0, 4.4, 2.0) == [(2, 3)], "the moment was lost"
    assert spans(12.5, 13.4, 3.0) == [(5, 6)], "the moment is beyond the end"
    assert spans(3.0, 4.4, -2.0) == [(1, 2)]


def test_a_config_of_the_first_release_keeps_its_spec() -> None:
    assert "cues" not in output_config(TokensConfig())
    assert "short_sentences" not in output_config(TokensConfig())
    assert output_config(TokensConfig(cues="alone"))["cues"] == "alone"


def test_the_middle_of_a_sentence_is_kept_in_clips_where_cues_stand_alone() -> None:
    starts = np.arange(6, dtype=np.float64) * 1.5
    sentences = [
        Sentence(start_seconds=3.0, end_seconds=3.6, text="cut it"),
        Sentence(start_seconds=8.7, end_seconds=9.2, text="stir"),
    ]
    config = TokensConfig(cues="alone")
    found = [s for s in make_segments(sentences, starts, starts + 1.5, tokenize=_tokenize, config=config) if s.text]
    assert [s.said_at for s in found] == [pytest.approx(2.2), pytest.approx(5.5)]  # the last middle there is
    assert all(
        s.said_at is None for s in make_segments(sentences, starts, starts + 1.5, tokenize=_tokenize, config=CONFIG)
    )
    video = TokenizedVideo(video_id="v", visual=np.zeros(6, np.int32), segments=tuple(found))
    assert from_json(to_json(video)).segments == tuple(found)

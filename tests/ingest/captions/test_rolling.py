"""What rolls up or grows was said once; what people repeat, they said each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.ingest.captions import clean_cues

LINES = [
    "first we take one big onion", "chop it very finely", "then fry it in butter", "until it is golden brown",
    "and stir it well", "now we add salt", "and then we serve it",
]  # fmt: skip


def _said(*cues: tuple[float, float, str]) -> list[tuple[float, float, str]]:
    return [(cue.start_seconds, cue.end_seconds, cue.text) for cue in clean_cues(cues)]


def _texts(*cues: tuple[float, float, str]) -> list[str]:
    return [text for _, _, text in _said(*cues)]


def _roll_up(lines: list[str], rows: int) -> list[tuple[float, float, str]]:
    """CEA-608: a line comes in at the bottom, the topmost goes."""
    shown = ["\n".join(lines[max(0, n - rows + 1) : n + 1]) for n in range(len(lines))]
    return [(2.0 * n, 2.0 * n + 2, text) for n, text in enumerate(shown)]


@pytest.mark.parametrize("rows", [2, 3, 4])
def test_every_line_of_a_roll_up_is_said_when_it_comes_in(rows: int) -> None:
    expected = [(2.0 * n, 2.0 * n + 2, line) for n, line in enumerate(LINES)]
    assert _said(*_roll_up(LINES, rows)) == expected


@pytest.mark.parametrize("rows", [2, 3])
def test_rows_as_cues_of_their_own_roll_up_too(rows: int) -> None:
    cues = [(start, end, row) for start, end, text in _roll_up(LINES, rows) for row in text.split("\n")]
    assert _texts(*cues) == LINES


def test_youtube_shows_the_last_row_alone_for_ten_milliseconds() -> None:
    cues: list[tuple[float, float, str]] = []
    for n, line in enumerate(LINES):
        cues.append((2.0 * n, 2.0 * n + 1.99, f"{LINES[n - 1] if n else ' '}\n{line}"))
        cues.append((2.0 * n + 1.99, 2.0 * n + 2, f"{line}\n "))
    assert _said(*cues) == [(2.0 * n, 2.0 * n + 1.99, line) for n, line in enumerate(LINES)]
    assert _texts(*cues[:2]) == LINES[:1]  # a file of one line does not roll yet


def test_rows_that_stay_over_a_pause_are_said_once() -> None:
    cues = [(0.0, 2.0, "one"), (2.0, 4.0, "one\ntwo"), (7.0, 9.0, "two\nthree"), (9.0, 11.0, "three\nfour")]
    assert _texts(*cues) == ["one", "two", "three", "four"]


def test_a_row_that_grows_word_by_word_is_one_cue() -> None:
    words = LINES[0].split()
    growing = [(1.0 + n, 2.0 + n, " ".join(words[: n + 1])) for n in range(len(words))]
    assert _said(*growing) == [(1.0, 7.0, LINES[0])]
    following = [(7.0 + n, 8.0 + n, f"{LINES[0]}\n{' '.join(LINES[1].split()[: n + 1])}") for n in range(4)]
    assert _said(*growing, *following) == [(1.0, 7.0, LINES[0]), (7.0, 11.0, LINES[1])]


def test_a_row_that_grows_within_words_is_one_cue() -> None:
    assert _texts(*((float(n), n + 1.0, "golden"[: n + 1]) for n in range(6))) == ["golden"]


def test_what_is_said_three_times_stays_three_times() -> None:
    assert _texts(*((float(n), n + 1.0, "Stir.") for n in range(3))) == ["Stir."] * 3
    assert _texts((0, 1, "Stir."), (1, 2, "Stir."), (2, 3, "Stir. Now fry.")) == ["Stir.", "Stir.", "Stir. Now fry."]


@pytest.mark.parametrize("rows", [2, 3])
def test_what_is_said_three_times_in_a_roll_up_stays_three_times(rows: int) -> None:
    lines = ["take a spoon", "stir", "stir", "stir", "and serve"]
    assert _texts(*_roll_up(lines, 2)) == lines
    assert _texts(*_roll_up([*lines[:2], "stir", *lines[4:]], rows)) == [*lines[:2], "stir", *lines[4:]]


def test_dialogue_that_repeats_a_line_loses_none() -> None:
    talk = ["Ready?", "Ready.", "Chop the onion.", "Chop the onion?", "Yes.", "Yes.", "How fine?", "Very fine."] * 3
    cues = [(2.0 * n, 2.0 * n + 2, text) for n, text in enumerate(talk)]
    assert _texts(*cues) == talk


def test_songs_that_repeat_two_rows_lose_none() -> None:
    song = ["stir it up\nlittle darling", "stir it up\nlittle darling", "come on and\nstir it up"]
    assert _texts(*((2.0 * n, 2.0 * n + 2, text) for n, text in enumerate(song))) == [
        t.replace("\n", " ") for t in song
    ]


def test_a_cue_that_a_stream_repeats_at_a_cut_is_said_once() -> None:
    cue = (4.0, 8.0, "over the cut")
    assert _said(cue, cue, (8.0, 9.0, "after")) == [cue, (8.0, 9.0, "after")]


_WORDS = st.lists(st.sampled_from(["chop", "stir", "fry", "the", "onion"]), min_size=1, max_size=4).map(" ".join)


@given(lines=st.lists(_WORDS, min_size=5, max_size=12, unique=True), rows=st.integers(2, 4))
def test_any_different_lines_that_roll_up_are_said_once(lines: list[str], rows: int) -> None:
    assert " ".join(_texts(*_roll_up(lines, rows))) == " ".join(lines)


@given(lines=st.lists(_WORDS, min_size=1, max_size=12, unique=True))
def test_single_rows_with_gaps_are_left_alone(lines: list[str]) -> None:
    assert _texts(*((2.0 * n, 2.0 * n + 1, line) for n, line in enumerate(lines))) == lines

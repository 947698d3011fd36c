"""The protocol on a small file in YouCook II's format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from videobert.errors import InputError
from videobert.evaluate.youcook import Clip, parse_annotations, word_lists, words_of

CAPTIONS = (
    "chop the onion and fry it in oil", "add the chopped onion and some salt to the pan",
    "fry the tomato and the onion", "add oil to the hot pan", "Stir the tomato soup, then add salt.",
    "chop the tomato", "remove the pan from the heat",
)  # fmt: skip


def annotation_file(entries: dict[str, tuple[str, list[tuple[float, float, str]]]]) -> bytes:
    """Bytes of a file in the public format, with its other fields."""
    database: dict[str, Any] = {
        name: {
            "duration": 300.5, "subset": subset, "recipe_type": "101", "video_url": f"https://example.org/{name}",
            "annotations": [
                {"segment": [start, end], "id": number, "sentence": sentence}
                for number, (start, end, sentence) in enumerate(clips)
            ],
        }
        for name, (subset, clips) in entries.items()
    }  # fmt: skip
    return json.dumps({"database": database}).encode()


def test_clips_of_a_subset_are_read() -> None:
    data = annotation_file({"a-1": ("training", [(0, 5, "cut it")]), "b_2": ("validation", [(90, 102.5, "fry it")])})
    expected = Clip(video="b_2", start_seconds=90, end_seconds=102.5, caption="fry it")
    assert parse_annotations(data, "x", subset="validation") == [expected]
    assert [clip.video for clip in parse_annotations(data, "x")] == ["a-1", "b_2"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"database": {"a": {}}}', b'{"database": 3}'])
def test_another_format_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no annotation file of YouCook II"):
        parse_annotations(data, "x", subset="validation")


def test_orders_begin_with_verbs_and_noun_phrases_end_with_nouns() -> None:
    lists = word_lists(CAPTIONS)
    assert lists.verbs == ("add", "chop", "fry", "remove", "stir")
    assert lists.nouns[:4] == ("onion", "pan", "tomato", "oil")
    assert set(lists.nouns) == {"onion", "pan", "tomato", "oil", "salt", "heat", "soup"}


def test_a_noun_that_opens_a_caption_now_and_then_stays_a_noun() -> None:
    lists = word_lists([*CAPTIONS, *["add the onion"] * 5, "onion goes in"])
    assert "onion" in lists.nouns and "onion" not in lists.verbs


def test_no_more_words_than_the_paper_takes() -> None:
    captions = [
        f"verb{chr(97 + i // 26)}{chr(97 + i % 26)} the noun{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(130)
    ]
    lists = word_lists(captions)
    assert (len(lists.verbs), len(lists.nouns)) == (45, 100)
    assert not set(lists.verbs) & set(lists.nouns)


def test_captions_become_words_and_marks() -> None:
    assert words_of("Pour 2 cups of Oil, stir.") == ["pour", "cups", "of", "oil", ",", "stir", "."]

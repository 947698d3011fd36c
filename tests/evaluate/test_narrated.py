"""Words by the sentences that hold them, and a prompt that ends as these end."""

from collections import Counter

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tests.model.material import TINY, vocabulary
from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig
from videobert.evaluate.core import narrated
from videobert.evaluate.run import _in_narration
from videobert.model.network import VideoBert
from videobert.model.scoring import encode_text, encode_video
from videobert.pretrain.config import PretrainConfig
from videobert.runtime.spec import output_config
from videobert.tokens.footage import Footage
from videobert.tokens.prompt import ended_alike

CUT, STIR, ONION, EGG = 10, 11, 20, 21
NARRATION = {(CUT, 5, ONION): 6, (STIR, 5, EGG): 3, (7, 8): 1}


def test_a_word_has_the_share_of_the_sentences_that_hold_it() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32)
    scores, prior = narrated(shares, NARRATION, [STIR, CUT])
    assert scores == pytest.approx(np.array([[0.2, 0.7], [0.1, 0.1]]))
    assert prior == pytest.approx(np.array([0.3, 0.6]))


def test_a_sentence_with_two_of_the_words_divides_its_share() -> None:
    scores, _ = narrated(np.ones((1, 1), np.float32), {(CUT, CUT, STIR): 1}, [CUT, STIR, EGG])
    assert scores.tolist() == [[0.5, 0.5, 0.0]]


def test_the_way_of_answering_is_checked_and_the_first_one_keeps_its_spec() -> None:
    with pytest.raises(InputError, match="cloze or narration"):
        EvaluateConfig(answers="guess")  # type: ignore[arg-type]
    assert "answers" not in output_config(EvaluateConfig())
    assert output_config(EvaluateConfig(answers="narration"))["answers"] == "narration"


def test_sentences_are_weighed_by_their_nearness_to_the_span() -> None:
    words = vocabulary(60, 40)
    model = VideoBert.create(PretrainConfig(architecture=TINY), vocabulary=words).eval()
    spans = [Footage.plain(np.array([1, 2, 3])), Footage.plain(np.array([30]))]
    (verbs, prior), (nouns, _) = _in_narration(model, Counter(NARRATION), spans, [CUT, STIR], [ONION, EGG])
    near = encode_video(model, spans) @ encode_text(model, list(NARRATION)).T / 0.07
    shares = np.exp(near) / np.exp(near).sum(axis=1, keepdims=True)
    assert verbs == pytest.approx(shares[:, :2], rel=1e-4)
    assert nouns == pytest.approx(verbs)
    assert prior == pytest.approx(np.array([0.6, 0.3]))


def test_without_narration_there_is_nothing_to_compare_with() -> None:
    model = VideoBert.create(PretrainConfig(architecture=TINY), vocabulary=vocabulary(60, 40))
    with pytest.raises(InputError, match="no training video has a sentence"):
        _in_narration(model, Counter(), [], [CUT], [ONION])


@pytest.mark.parametrize(
    ("narration", "expected"),
    [
        ({(CUT, ONION, 1): 3, (STIR, 1): 2, (EGG,): 4}, [CUT, 0, 1]),  # 5 of 9 end with the stop
        ({(CUT, ONION, 1): 3, (STIR, 2): 2, (EGG,): 4}, [CUT, 0]),  # no mark ends the half of them
        ({(CUT, ONION): 9, (STIR, 1): 2}, [CUT, 0]),  # a word is no mark
        ({(CUT, 3): 9}, [CUT, 0]),  # nor is a word that ends with one
        ({}, [CUT, 0]),
    ],
)
def test_the_prompt_ends_as_most_sentences_do(narration: dict[tuple[int, ...], int], expected: list[int]) -> None:
    words = {"[MASK]": 0, ".": 1, "!": 2, "[UNK]": 3, "cut": CUT, "stir": STIR, "onion": ONION, "egg": EGG}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[MASK]"))
    assert ended_alike([CUT, 0], Counter(narration), tokenizer) == expected
    assert ended_alike([CUT, 0, 2], Counter(narration), tokenizer) == [CUT, 0, 2], "it has a mark of its own"
    assert ended_alike(expected, Counter(narration), tokenizer) == expected, "once is enough"

import numpy as np
import pytest

from videobert.errors import InputError
from videobert.model.vocabulary import Vocabulary

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "stir": 5, "egg": 6}


def test_words_come_first_then_the_arrow_then_the_leaves() -> None:
    vocabulary = Vocabulary.from_wordpiece(WORDS, leaves=10)
    assert (vocabulary.arrow, vocabulary.first_visual, vocabulary.size) == (7, 8, 18)
    assert vocabulary.visual_ids(np.array([0, 9], np.int32)).tolist() == [8, 17]
    assert vocabulary.specials == {0, 1, 2, 3, 4, 7}


def test_layout_survives_json() -> None:
    vocabulary = Vocabulary.from_wordpiece(WORDS, leaves=10)
    assert Vocabulary(**vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("leaf", [-1, 10])
def test_a_leaf_outside_the_codebook_is_refused(leaf: int) -> None:
    with pytest.raises(InputError, match="outside the codebook of 10"):
        Vocabulary.from_wordpiece(WORDS, leaves=10).visual_ids(np.array([leaf], np.int32))


def test_a_vocabulary_without_mask_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[MASK\]"):
        Vocabulary.from_wordpiece({k: v for k, v in WORDS.items() if k != "[MASK]"}, leaves=10)

"""WordPiece: equal captions give equal files in every process, and the files are what transformers loads."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from videobert.codebook.wordpiece import SPECIAL_TOKENS, find_tokenizer, train_tokenizer
from videobert.errors import InputError

SENTENCES = ["cut the onion", "stir the egg in the pan", "now chop the onions finely!", "Über the café"] * 3

_ELSEWHERE = """
import hashlib
from tests.codebook.test_wordpiece import tied_sentences
from videobert.codebook.wordpiece import train_tokenizer
files = train_tokenizer(tied_sentences(), vocabulary_size=200)
print(hashlib.sha256(files["tokenizer.json"].encode()).hexdigest())
"""


def tied_sentences() -> list[str]:
    """Words of random letters: far more merges of equal count than a small vocabulary has room for."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 7))) for _ in range(400)]
    return [" ".join(rng.choices(words, k=8)) for _ in range(300)]


def test_training_does_not_depend_on_the_process() -> None:
    root = Path(__file__).resolve().parents[2]
    here = hashlib.sha256(train_tokenizer(tied_sentences(), vocabulary_size=200)["tokenizer.json"].encode()).hexdigest()
    for _ in range(3):
        there = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE], cwd=root, capture_output=True, text=True, check=True, timeout=120
        )
        assert there.stdout.strip() == here


def test_the_order_of_the_captions_does_not_matter() -> None:
    sentences = tied_sentences()
    assert train_tokenizer(sentences, vocabulary_size=150) == train_tokenizer(sentences[::-1], vocabulary_size=150)


def test_the_words_of_captions_and_prompts_are_whole() -> None:
    tokenizer = Tokenizer.from_str(train_tokenizer(SENTENCES, vocabulary_size=500)["tokenizer.json"])
    encoded = tokenizer.encode("Now let me show you how to [MASK] the ÜBER onion", add_special_tokens=False)
    assert encoded.tokens == ["now", "let", "me", "show", "you", "how", "to", "[MASK]", "the", "uber", "onion"]
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]


@settings(max_examples=30)
@given(
    sentences=st.lists(st.text(alphabet="abcxyzäß漢字かな !?", max_size=20), max_size=8),
    size=st.integers(100, 140),
)
def test_any_captions_give_a_vocabulary_within_its_size(sentences: list[str], size: int) -> None:
    files = train_tokenizer(sentences, vocabulary_size=size)
    words = files["vocab.txt"].splitlines()
    assert len(words) == len(set(words)) <= size and words[:5] == SPECIAL_TOKENS
    assert json.loads(files["tokenizer.json"])["model"]["vocab"] == {word: n for n, word in enumerate(words)}


def test_transformers_loads_the_files(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    for name, text in train_tokenizer(SENTENCES, vocabulary_size=500).items():
        (tmp_path / name).write_text(text)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    ours = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "Stir the onion, then [MASK] it"
    assert tokenizer(text)["input_ids"] == ours.encode(text).ids


def test_a_tokenizer_that_exists_is_taken_as_it_is(tmp_path: Path) -> None:
    files = train_tokenizer(SENTENCES, vocabulary_size=300)
    (tmp_path / "tokenizer.json").write_text(files["tokenizer.json"])
    assert find_tokenizer(str(tmp_path)) == files


@pytest.mark.parametrize("content", [None, "{", '{"model": {"type": "BPE", "vocab": {}, "merges": []}}'])
def test_what_is_no_wordpiece_is_an_input_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match="tokenizer"):
        find_tokenizer(str(tmp_path))

"""The text half of the vocabulary: a WordPiece tokenizer trained on the captions, or one that exists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import BertWordPieceTokenizer, Tokenizer
from tokenizers.models import WordPiece

from videobert.errors import InputError

__all__ = ["SPECIAL_TOKENS", "find_tokenizer", "train_tokenizer"]

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_PROMPTS = (
    "now let me show you how to",
    "now let's the to the, and then the.",
)
"""Words of the zero-shot and feature prompts (section 4 of the paper): known even if no caption says them."""


def train_tokenizer(sentences: Iterable[str], *, vocabulary_size: int) -> dict[str, str]:
    """Files of an uncased WordPiece tokenizer that `transformers.AutoTokenizer` loads: name -> content."""
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    corpus = [*sentences, *(prompt for prompt in _PROMPTS for _ in range(3))]
    alphabet, inner = _letters(tokenizer, corpus, limit=min(1_000, vocabulary_size // 3))
    # The trainer breaks ties between merges by the numbers of the pieces, and numbers the inner letters in the order
    # of a hash table. Named as special tokens they get fixed numbers, so equal captions give equal files.
    tokenizer.train_from_iterator(
        corpus, vocab_size=vocabulary_size, min_frequency=2, special_tokens=[*SPECIAL_TOKENS, *inner],
        initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False,
    )  # fmt: skip
    words = [*SPECIAL_TOKENS, *sorted(set(tokenizer.get_vocab()) - set(SPECIAL_TOKENS))]
    vocabulary = {word: number for number, word in enumerate(words)}
    return _files(BertWordPieceTokenizer(vocab=vocabulary, lowercase=True).to_str(), vocabulary)


def _letters(tokenizer: BertWordPieceTokenizer, corpus: Iterable[str], *, limit: int) -> tuple[list[str], list[str]]:
    """The most frequent letters, and those of them that stand inside a word, as pieces such as `##a`; both sorted."""
    counts: Counter[str] = Counter()
    inner: set[str] = set()
    for text in corpus:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalize(text)):
            counts.update(word)
            inner.update(word[1:])
    alphabet = sorted(sorted(counts), key=counts.__getitem__, reverse=True)[:limit]
    return sorted(alphabet), [f"##{letter}" for letter in sorted(inner & set(alphabet))]


def find_tokenizer(location: str) -> dict[str, str]:
    """The same files from a local directory or a Hugging Face id. Raises InputError when it is no WordPiece."""
    try:
        if Path(location).is_dir():
            tokenizer = Tokenizer.from_file(str(Path(location) / "tokenizer.json"))
        else:
            tokenizer = Tokenizer.from_pretrained(location)
    except Exception as error:  # the Rust side raises bare Exception for every kind of failure
        raise InputError(
            f"tokenizer {location!r} cannot be loaded: {error}; "
            "give a directory with tokenizer.json or a Hugging Face id"
        ) from error
    missing = [token for token in SPECIAL_TOKENS if tokenizer.token_to_id(token) is None]
    if missing or not isinstance(tokenizer.model, WordPiece):
        raise InputError(
            f"tokenizer {location!r} is no BERT WordPiece (lacks {missing or 'a WordPiece model'}); "
            "take one of BERT's family"
        )
    return _files(tokenizer.to_str(), tokenizer.get_vocab(with_added_tokens=True))


def _files(serialised: str, vocabulary: dict[str, int]) -> dict[str, str]:
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    config = {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512,
        "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
    }  # fmt: skip
    return {
        "tokenizer.json": serialised,
        "tokenizer_config.json": json.dumps(config, indent=1, sort_keys=True) + "\n",
        "vocab.txt": "\n".join(words) + "\n",
    }

"""One id space for words and visual tokens: WordPiece ids, then [>], then the leaves of the codebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError

__all__ = ["Vocabulary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Ids 0 .. text_size-1 are WordPiece, `text_size` is [>], leaf i is `text_size` + 1 + i."""

    text_size: int
    """Entries of the WordPiece vocabulary, special tokens included."""
    leaves: int
    """Leaves of the codebook."""
    pad: int = 0
    """Id of [PAD]."""
    unk: int = 100
    """Id of [UNK]."""
    cls: int = 101
    """Id of [CLS]."""
    sep: int = 102
    """Id of [SEP]."""
    mask: int = 103
    """Id of [MASK]."""

    def __post_init__(self) -> None:
        specials = (self.pad, self.unk, self.cls, self.sep, self.mask)
        if len(set(specials)) != 5 or min(specials) < 0 or max(specials) >= self.text_size:
            raise InputError(
                f"special ids {specials} do not fit a text vocabulary of {self.text_size}: "
                "take [PAD] [UNK] [CLS] [SEP] [MASK] from the tokenizer"
            )
        if self.leaves < 1:
            raise InputError(f"a codebook of {self.leaves} leaves has no visual tokens: give at least 1")

    @classmethod
    def from_wordpiece(cls, words: Mapping[str, int], *, leaves: int) -> Vocabulary:
        """The layout over a tokenizer's `get_vocab()`; raises InputError when a special token is missing."""
        missing = [name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if name not in words]
        if missing:
            raise InputError(f"the vocabulary lacks {missing}: train or choose a WordPiece vocabulary of BERT's kind")
        return cls(
            text_size=max(words.values()) + 1,
            leaves=leaves,
            pad=words["[PAD]"],
            unk=words["[UNK]"],
            cls=words["[CLS]"],
            sep=words["[SEP]"],
            mask=words["[MASK]"],
        )

    @property
    def arrow(self) -> int:
        """Id of [>], the joint between text and video."""
        return self.text_size

    @property
    def first_visual(self) -> int:
        """Id of leaf 0."""
        return self.text_size + 1

    @property
    def size(self) -> int:
        """All ids: rows of the embedding table."""
        return self.text_size + 1 + self.leaves

    @property
    def specials(self) -> frozenset[int]:
        """Ids that are never masked and never drawn as a replacement."""
        return frozenset((self.pad, self.unk, self.cls, self.sep, self.mask, self.arrow))

    def visual_ids(self, leaves_N: NDArray[np.integer]) -> NDArray[np.int64]:
        """Ids of leaves, shape kept; raises InputError for a leaf outside the codebook."""
        if leaves_N.size and (int(leaves_N.min()) < 0 or int(leaves_N.max()) >= self.leaves):
            raise InputError(
                f"leaf {int(leaves_N.max())} is outside the codebook of {self.leaves} leaves: "
                "tokens and codebook must come from one spec"
            )
        return leaves_N.astype(np.int64) + self.first_visual

    def to_json(self) -> dict[str, int]:
        """A plain dictionary that `Vocabulary(**d)` accepts."""
        return asdict(self)

"""What may vary in a codebook. Standard library only, so that planning needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from videobert.errors import InputError

__all__ = ["MAX_LEAVES", "CodebookConfig"]

CLIPS_PER_LEAF = 20
"""Clips that a leaf should stand for on average where the depth follows the data."""
LEAST_TO_HOLD_OUT = 8
"""Videos: of fewer, a share drawn by content could be all or none, and what it tells is an accident."""
MAX_LEAVES = 1 << 24
"""Leaf ids travel as int32 and a level is kept as one dense array; 16.7 M leaves is far beyond any use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookConfig:
    """Hierarchical k-means over clip features (paper, section 4.2: k = 12, d = 4, 20,736 visual tokens)."""

    NOT_IN_SPEC: ClassVar[tuple[str, ...]] = ("device", "worker_clips")
    ADDED_LATER: ClassVar[Mapping[str, object]] = {
        "components": 0, "whitening": 1.0, "moments": "middle", "heldout_videos": 0,
    }  # fmt: skip

    branching: int = 12
    """Children of a node (k of the paper)."""
    depth: int = 4
    """Levels of the hierarchy (d of the paper); branching ** depth leaves. 0: as many as the clips fill, up to 4."""
    iterations: int = 25
    """Lloyd iterations of a node at most."""
    tolerance: float = 0.2
    """A node stops once an iteration moves no more than this share of its rows; 0 runs to the fixed point.

    Measured at 50 k x 256: 0.02, 0.1 and 0.2 end within 1 % of each other on the upper levels and alike in the leaves.
    """
    restarts: int = 1
    """Seedings tried for every node; the one of least inertia is kept."""
    seed_rows: int = 128
    """Rows a node draws its k-means++ start from; all of its rows when it has fewer."""
    seed: int = 0
    """Seed of the sample and of every start."""
    sample_clips: int = 0
    """Fit on a uniform sample of at most this many clips; 0 takes all."""
    assignment: Literal["greedy", "flat"] = "greedy"
    """Token of a clip: leaf reached by greedy descent (48 distances), or the nearest of all leaves (20,736)."""
    components: int = 0
    """Principal components, of unit variance, in which tokens carry what quantising drops of a clip's features, in half
    precision: 2 bytes a component and clip. 0: tokens carry nothing else, as in the paper."""
    whitening: float = 1.0
    """How far the components' variances are evened out: 1 gives each the same, 0 leaves them as they are, in between
    the standard deviations are taken to the power of 1 - whitening. Their mean is 1 anyway."""
    moments: Literal["middle", "found"] = "middle"
    """When, in the time of a cue, the pictures show what it says. `found`: at the point and shift from which clips of
    the training videos tell most about the words, the same for all; `middle` where these say too little."""
    tokenizer: str = ""
    """WordPiece of the text half: a directory or Hugging Face id of BERT's family; empty trains one on the captions."""
    vocabulary_size: int = 30_522
    """Largest WordPiece vocabulary to train."""
    heldout_fraction: float = 0.1
    """Share of videos, by content, that no fit and no training sees; the evaluation uses only these."""
    heldout_videos: int = 0
    """About how many videos are held out at most: the share follows the number of videos, and with fewer than
    LEAST_TO_HOLD_OUT none is. 0: the share above, however many there are."""
    device: str = "auto"
    """Torch device of fit and encoding; `auto` takes a GPU where there is one. Does not change the tokens."""
    worker_clips: int = 250_000
    """A fit on this many clips more takes one more worker of the cluster, as far as there are; fewer are fitted by the
    job itself. Does not change the codebook."""

    def __post_init__(self) -> None:
        if self.branching < 2:
            raise InputError(f"branching={self.branching}: a node needs at least 2 children; use 12 as in the paper")
        if self.depth < 0:
            raise InputError(f"depth={self.depth} is negative; use 4 as in the paper, or 0 to follow the clips")
        if self.leaves > MAX_LEAVES:
            raise InputError(f"{self.branching} ** {self.depth} leaves exceed {MAX_LEAVES}; lower branching or depth")
        for name in ("iterations", "restarts", "seed_rows", "worker_clips"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.tolerance < 1:
            raise InputError(f"tolerance={self.tolerance} is a share of rows; give 0 <= tolerance < 1")
        if self.components < 0:
            raise InputError(f"components={self.components} is a number of axes; 0 keeps tokens alone, 256 is usual")
        if not 0 <= self.whitening <= 1:
            raise InputError(f"whitening={self.whitening} is a power; give a value from 0 to 1")
        if self.moments not in ("middle", "found"):
            raise InputError(f"moments={self.moments!r} is unknown; choose 'middle' or 'found'")
        if self.sample_clips < 0:
            raise InputError(f"sample_clips={self.sample_clips} is a number of clips; 0 takes all")
        if self.vocabulary_size < 100:
            raise InputError(f"vocabulary_size={self.vocabulary_size} holds hardly the letters; give at least 100")
        if not 0 <= self.heldout_fraction < 1:
            raise InputError(f"heldout_fraction={self.heldout_fraction} must be at least 0 and below 1")
        if self.heldout_videos < 0:
            raise InputError(f"heldout_videos={self.heldout_videos} is a number of videos; 0 leaves it to the share")
        if self.seed < 0:
            raise InputError(f"seed={self.seed} must not be negative")
        if self.assignment not in ("greedy", "flat"):
            raise InputError(f"assignment={self.assignment!r} is unknown; choose 'greedy' or 'flat'")

    def heldout_share(self, videos: int) -> float:
        """The share of so many videos that is held out."""
        if not self.heldout_videos:
            return self.heldout_fraction
        return min(self.heldout_fraction, self.heldout_videos / videos) if videos >= LEAST_TO_HOLD_OUT else 0.0

    def sized(self, clips: int) -> CodebookConfig:
        """With the depth that so many clips fill: the deepest of one to four levels with CLIPS_PER_LEAF each."""
        if self.depth:
            return self
        fitting = [d for d in range(1, 5) if clips >= CLIPS_PER_LEAF * self.branching**d]
        return replace(self, depth=max(fitting, default=1))

    @property
    def leaves(self) -> int:
        """Number of leaf ids, used or not."""
        return int(self.branching**self.depth)

"""Recipes: functions that return one complete configuration. Light: the DAGs and `--help` import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from videobert.codebook.config import CodebookConfig
from videobert.embed.config import EmbedConfig
from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig, Gates
from videobert.features.config import FeaturesConfig
from videobert.ingest.config import IngestConfig
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.presets import small
from videobert.shard.config import ShardConfig
from videobert.tokens.config import TokensConfig

__all__ = ["RECIPES", "Recipe", "demo", "get_recipe", "paper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The configuration of every stage."""

    ingest: IngestConfig = field(default_factory=IngestConfig)
    """List, hash, probe, captions."""
    shard: ShardConfig = field(default_factory=ShardConfig)
    """WebDataset tars."""
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    """Clips and the frozen encoder."""
    codebook: CodebookConfig = field(default_factory=CodebookConfig)
    """Visual tokens and WordPiece."""
    tokens: TokensConfig = field(default_factory=TokensConfig)
    """Sentences and segments."""
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    """VideoBERT."""
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    """Vectors a row."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """Metrics and gates."""


def paper() -> Recipe:
    """The paper's sizes: S3D features, 12 ** 4 visual tokens, BERT-LARGE from its checkpoint. Needs GPUs."""
    return Recipe(
        features=FeaturesConfig(encoder="torchvision:s3d"),
        codebook=CodebookConfig(sample_clips=2_000_000, tokenizer="bert-large-uncased"),
        pretrain=PretrainConfig(
            init_from="bert-large-uncased", learning_rate=1e-5, batch_size=128, steps=500_000, warmup_steps=0,
            checkpoint_every_steps=5_000,
        ),
    )  # fmt: skip


def demo() -> Recipe:
    """The procedural kitchen and a few real clips, small enough for two CPU cores."""
    return Recipe(
        shard=ShardConfig(shard_bytes=4 * 1024 * 1024),
        codebook=CodebookConfig(branching=12, depth=2, vocabulary_size=1_000, heldout_fraction=0.25),
        pretrain=replace(small(), checkpoint_every_steps=500),
        evaluate=EvaluateConfig(
            labels="{root}/incoming/truth/truth.jsonl",
            gates=Gates(zero_shot_sigma=5.0, recall_at_10_over_chance=5.0),
        ),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {"demo": demo, "paper": paper}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises InputError for a name that does not exist."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe {name!r}; the recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()

"""Recipes: functions that return one complete configuration. Light: the DAGs and `--help` import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import Any

from videobert.codebook.config import CodebookConfig
from videobert.embed.config import EmbedConfig
from videobert.errors import InputError
from videobert.evaluate.config import EvaluateConfig, Gates
from videobert.features.config import FeaturesConfig
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.presets import sentiment as sentiment_task
from videobert.ingest.config import IngestConfig
from videobert.predict.config import PredictConfig
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.presets import own as own_pretraining
from videobert.pretrain.presets import small
from videobert.runtime.stage import Stage
from videobert.shard.config import ShardConfig
from videobert.tokens.config import TokensConfig

__all__ = ["DEFAULT_RECIPE", "RECIPES", "Recipe", "demo", "get_recipe", "own", "paper", "sentiment"]


@dataclass(frozen=True, kw_only=True)
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
    """Vectors per row."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """Metrics and gates."""
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    """A task learnt from labels."""
    predict: PredictConfig = field(default_factory=PredictConfig)
    """Answers per row."""

    def config_of(self, stage: Stage) -> Any:
        """The configuration of a stage; what it is by default where this recipe says nothing of it."""
        return getattr(self, stage.name, None) or stage.config()


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
        finetune=FinetuneConfig(labels="{root}/incoming/truth/labels/verb.jsonl", epochs=10),
    )  # fmt: skip


def own() -> Recipe:
    """One's own videos, from one on: sizes follow the data, training stops by itself, clips bring more than tokens."""
    return Recipe(
        codebook=CodebookConfig(
            depth=0,
            components=512,
            whitening=0.5,
            moments="found",
            sample_clips=500_000,
            vocabulary_size=8_000,
            heldout_fraction=0.25,
            heldout_videos=200,
        ),
        tokens=TokensConfig(cues="alone", short_sentences="moment"),
        pretrain=own_pretraining(),
        evaluate=EvaluateConfig(answers="narration"),
    )


DEFAULT_RECIPE = "own"
"""What `videobert run VIDEOS` and the DAGs take when nobody names another."""


def sentiment() -> Recipe:
    """`own`, and a task for `videobert finetune`: the mood of what is seen and said."""
    return replace(own(), finetune=sentiment_task())


RECIPES: dict[str, Callable[[], Recipe]] = {"demo": demo, "own": own, "paper": paper, "sentiment": sentiment}


def get_recipe(name: str) -> Recipe:
    """A recipe by its name, from a TOML file (path or URL), or from a function of yours (`module:function`).

    Raises InputError for a name that does not exist, and for what is no recipe.
    """
    if name in RECIPES:
        found = RECIPES[name]()
    elif name.endswith(".toml"):
        from videobert.recipe_files import read_recipe

        found = read_recipe(name)
    elif ":" in name:
        from videobert.recipe_files import call_recipe

        found = call_recipe(name)
    else:
        raise InputError(
            f"there is no recipe {name!r}; the recipes are {', '.join(RECIPES)}, or give a file that ends in .toml, "
            "or module:function"
        )
    return _with_added_stages(found)


def _with_added_stages(recipe: Recipe) -> Recipe:
    """A recipe that also has the configuration of stages that were registered besides these."""
    from videobert.stages import all_stages

    there = {field.name for field in fields(recipe)}
    added = [(stage.name, stage.config, field(default_factory=stage.config)) for stage in all_stages()
             if stage.name not in there]  # fmt: skip
    if not added:
        return recipe
    kind = make_dataclass("Recipe", added, bases=(Recipe,), frozen=True, kw_only=True)
    extended: Recipe = kind(**{f.name: getattr(recipe, f.name) for f in fields(recipe)})
    return extended

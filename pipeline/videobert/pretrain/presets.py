"""Complete pretraining configurations. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from videobert.pretrain.config import Architecture, LossWeights, Mixture, PretrainConfig, Validation

__all__ = ["medium", "own", "small"]


def small() -> PretrainConfig:
    """For some hundred captioned segments on CPU: the demo's kitchen is learnt in about a minute of one core.

    What made the difference there, against BERT's habits: fresh weights of 0.08 (0.02 leaves attention too faint at
    this width), half of the tokens masked (15 % hardly ever hides verb and noun together, as the prompt does), no
    concatenation (three steps in a pair and three times the time to find out which word is which), a rate of 3e-3, and
    the visual clozes at full weight: which tokens go together is learnt from all of the video, so that few and partly
    wrong sentences have to name it only (verb@1 of two rendered kitchens .992, .965; with a weight of 0.3 and twice the
    steps .804, .853). One thread, because two wait for each other longer than they compute at this size once the cores
    are shared.
    """
    return PretrainConfig(
        architecture=Architecture(
            layers=2,
            hidden=96,
            heads=4,
            intermediate=192,
            max_length=128,
            dropout=0.15,
            attention_dropout=0.0,
            initializer_range=0.08,
        ),
        mixture=Mixture(text_only=1.0, video_only=1.0, video_text=4.0),
        weights=LossWeights(text_only=0.3, joint_text=2.0, retrieval=1.0),
        mask_probability=0.5,
        concatenate_probability=0.0,
        subsample_rates=(1,),
        negative_fraction=0.3,
        freeze_visual=False,
        learning_rate=3e-3,
        warmup_steps=50,
        steps=1500,
        batch_size=64,
        threads=1,
    )


def medium() -> PretrainConfig:
    """For some ten thousand captioned segments on CPU: as `small`, but in need of steps and not of brakes.

    On 20,000 pairs of the documented kitchen, where counting finds .900 and .903 of verbs and nouns: .881, .884 after
    6,000 steps and .914, .915 after 14,000. Dropout hides tokens of which each is needed there: evidence adds up over
    three to eight of them. A rate of 6e-3 learns nothing.
    """
    base = small()
    return replace(base, architecture=replace(base.architecture, dropout=0.0), steps=14_000)


def own() -> PretrainConfig:
    """For one's own footage, on CPU: sentences of short events, and what the tokens dropped of each clip.

    Two thirds of a batch are contrast: 107 segments a step, about which every sentence among them is asked, at a weight
    that outdoes the clozes of video. Half of a larger batch at equal weights found moments in videos kept aside from
    training at .353 after 700 steps, this at .471 after 450 (one seed). Pairs are masked on one side, so that the words
    of a one-clip segment can be told from it. Some thousand segments are learnt by heart: dropout and decay well above
    BERT's, and the passes that these take, are worth as much as all of the above (docs/learning.md).
    """
    base = small()
    return replace(
        base,
        architecture=replace(base.architecture, dropout=0.3),
        mixture=Mixture(text_only=0.5, video_only=0.5, video_text=1.5, contrast=5.0),
        weights=LossWeights(
            text_only=0.3, video_only=0.3, joint_text=2.0, joint_video=0.3, alignment=0.3, retrieval=6.0
        ),
        mask_probability=0.3,
        pair_masking="either",
        context_clips=2,
        residual_dropout=0.5,
        weight_decay=0.1,
        negative_fraction=0.2,
        learning_rate=2e-3,
        steps=0,
        epochs=80.0,
        least_steps=600,
        most_epochs=200.0,
        most_steps=20_000,
        validation=Validation(checks=24, best_by="ranking"),
        batch_size=160,
    )

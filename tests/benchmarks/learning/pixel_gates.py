"""Gates 3 and 5 from pixels: the demo's model on the tokens of kept kitchens, their videos shuffled, or fewer of them.

    python -m tests.benchmarks.learning.pixel_gates --root FOLDER [--seed 0 1 2]

Reads what `tests.benchmarks.learning.kitchen --keep FOLDER` has made. `shuffled`: every narrated sentence of the
training share stands over the clips of another. Figures are of the held-out spans; one thread.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from pipeline.codebook.artifact import load_codebook, load_tokenizer
from pipeline.evaluate.core import word_figures
from pipeline.pretrain.job import training_windows
from pipeline.pretrain.model import VideoBert
from pipeline.pretrain.score import zero_shot
from pipeline.pretrain.train import train
from pipeline.pretrain.vocabulary import Vocabulary
from pipeline.runtime.manifest import Manifest, load_manifest
from pipeline.runtime.storage import Store
from pipeline.tokens.records import TokenizedVideo
from tests.benchmarks.learning.kitchen import BATCHES, recipe_of, spans_of
from tests.benchmarks.learning.world import shuffled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in options.seed:
        for name, figures in of_seed(options.root / str(seed), seed).items():
            print(f"seed {seed}, {name}: {figures}", flush=True)
            found[name].append(figures)
    print("| trained on | verb@1 | noun@1 |\n|---|---|---|")
    for name, rows in found.items():
        columns = [[row[kind] for row in rows] for kind in ("verb", "noun")]
        cells = [f"{statistics.mean(c):.3f} ({min(c):.3f} to {max(c):.3f})" for c in columns]
        print(f"| {name} | {' | '.join(cells)} |")


def of_seed(root: Path, seed: int) -> dict[str, dict[str, float]]:
    """verb@1 and noun@1 of every training, and of the language prior of the first."""
    store, recipe = Store(str(root)), recipe_of(seed)
    (spec,) = store.folders("codebooks")
    codebook = _committed(store, "codebook", spec, "")
    (tokens_spec,) = store.folders("tokens")
    tokens = tuple(_committed(store, "tokens", tokens_spec, batch) for batch in BATCHES)
    videos = list(training_windows(store, tokens, codebook, recipe.pretrain).read(0, lambda: None))
    _, held_out = spans_of(store, root / "incoming" / "truth" / "truth.jsonl", recipe)
    tokenizer, centroids = load_tokenizer(store, codebook), load_codebook(store, codebook).centroids
    words = tokenizer.get_vocab(with_added_tokens=True)
    vocabulary = Vocabulary.from_wordpiece(words, leaves=len(centroids))
    verbs, nouns = ([w for w in sorted({span[kind] for span in held_out}) if w in words] for kind in ("verb", "noun"))
    ids = {"verb_ids": [words[w] for w in verbs], "noun_ids": [words[w] for w in nouns]}
    verb_B, noun_B = (
        np.array([known.index(span[kind]) for span in held_out]) for kind, known in (("verb", verbs), ("noun", nouns))
    )
    prompt = tokenizer.encode(recipe.evaluate.prompt, add_special_tokens=False).ids
    stretches = [np.array(span["visual"], np.int32) for span in held_out]
    corpora: dict[str, list[TokenizedVideo]] = {
        "all videos": videos,
        "a half of them": videos[::2],
        "a quarter": videos[::4],
        "all, shuffled": shuffled([own for video in videos if (own := _narrated(video)).segments], seed=seed),
    }
    figures = {}
    for name, some in corpora.items():
        model = VideoBert.create(recipe.pretrain, vocabulary=vocabulary, centroids_NF=centroids)
        train(model, some, recipe.pretrain)
        seen, prior = zero_shot(model, prompt, stretches, **ids), zero_shot(model, prompt, [None], **ids)
        verb = word_figures(seen.verbs, prior.verbs[0], verb_B)
        noun = word_figures(seen.nouns, prior.nouns[0], noun_B)
        figures[name] = {"verb": verb["top1"], "noun": noun["top1"]}
        if some is videos:
            figures["no video at the test (prior)"] = {"verb": verb["top1_prior"], "noun": noun["top1_prior"]}
    return figures


def _committed(store: Store, stage: str, spec: str, batch: str) -> Manifest:
    manifest = load_manifest(store, stage, spec, batch)
    assert manifest is not None, f"{stage} {spec} {batch} is not committed"
    return manifest


def _narrated(video: TokenizedVideo) -> TokenizedVideo:
    """Without the segments that have no sentence."""
    return TokenizedVideo(
        video_id=video.video_id, visual=video.visual, segments=tuple(s for s in video.segments if s.text_ids)
    )


if __name__ == "__main__":
    main()

"""Gate 1 from pixels: rendered videos through every stage, one kitchen per seed, zero-shot versus counting.

    python -m tests.benchmarks.learning.kitchen [--videos 160] [--seed 0 1 2] [--keep FOLDER]

Everything is the demo's recipe but the seed (of kitchen, codebook and training). On the held-out videos: `prior` always
says the commonest words; `counting` is a naive Bayes of visual tokens given the narrated words of the training share,
narration errors and all; `told` is what no model has: the same with the true words in place of the narrated ones, and
for retrieval the true action of every span, of which those that the sentence names come first. With `--keep`,
`tests.benchmarks.learning.pixels --root FOLDER/SEED` gives gate 7 of the same run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen
from videobert.evaluate.core import span_clips
from videobert.flow import run_stage
from videobert.recipes import Recipe, demo
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store
from videobert.stages import flow_of
from videobert.tokens.read import read_samples

BATCHES = ("2026-01-01", "2026-01-02")
PROCESSES = 2
_SMOOTHING = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=160)
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    found: defaultdict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kitchen-")))
        for seed in options.seed:
            started = time.perf_counter()
            for name, value in of_seed(folder / str(seed), seed, options.videos).items():
                found[name].append(value)
            print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    print("| figure | mean | spread |\n|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {statistics.mean(values):.3f} | {min(values):.3f} to {max(values):.3f} |")


def of_seed(root: Path, seed: int, videos: int) -> dict[str, float]:
    """Render, run all stages, and return the figures of the report and the counted ones."""
    corpus, store, recipe = root / "incoming", Store(str(root)), recipe_of(seed)
    write_kitchen(
        demo_kitchen(seed),
        out_url=str(corpus),
        batches=BATCHES,
        videos_per_batch=videos // len(BATCHES),
        processes=PROCESSES,
    )
    selection = Selection()
    for name in (*flow_of("ingest"), "codebook", "tokens", "pretrain", "evaluate"):
        done = run_stage(
            recipe, store, name, batches=BATCHES, selection=selection, executor=LocalExecutor(PROCESSES)
        )  # fmt: skip
        if name == "codebook":
            selection = Selection(codebook=done[0].spec)
    metrics = json.loads(store.read(f"reports/{done[0].spec}/metrics.json"))
    shot, ranks = metrics["zero_shot"], metrics["retrieval"]
    training, held_out = spans_of(store, corpus / "truth" / "truth.jsonl", recipe)
    figures = {
        "R@10": ranks["recall_at_10"],
        "R@10, chance": ranks["recall_at_10_chance"],
        "R@10, told": best_recall(held_out, k=10),
    }
    for kind in ("verb", "noun"):
        figures |= {
            f"{kind}@1": shot[kind]["top1"],
            f"{kind}@1, chance": shot[kind]["top1_chance"],
            f"{kind}@1, prior": shot[kind]["top1_prior"],
            f"{kind}@1, counting": counting(training, held_out, said=f"said_{kind}", true=kind),
            f"{kind}@1, told": counting(training, held_out, said=kind, true=kind),
        }
    return figures


def recipe_of(seed: int) -> Recipe:
    base = demo()
    return dataclasses.replace(
        base,
        codebook=dataclasses.replace(base.codebook, seed=seed),
        pretrain=dataclasses.replace(base.pretrain, seed=seed),
    )


def counting(
    training: Sequence[Mapping[str, Any]], held_out: Sequence[Mapping[str, Any]], *, said: str, true: str
) -> float:
    """Share of held-out spans whose word a naive Bayes over visual tokens finds."""
    words = sorted({span[true] for span in training})
    tokens: dict[str, Counter[int]] = {word: Counter() for word in words}
    for span in training:
        if span[said] in tokens:
            tokens[span[said]].update(span["visual"])
    size = len({token for span in training for token in span["visual"]})
    spoken = Counter(span[said] for span in training)

    def score(word: str, visual: Iterable[int]) -> float:
        total = tokens[word].total() + _SMOOTHING * size
        likelihood = sum(np.log((tokens[word][token] + _SMOOTHING) / total) for token in visual)
        return float(likelihood + np.log(spoken[word] + _SMOOTHING))

    right = [max(words, key=lambda word: score(word, span["visual"])) == span[true] for span in held_out]
    return float(np.mean(right))


def best_recall(held_out: Sequence[Mapping[str, Any]], *, k: int) -> float:
    """Expected R@k of a search that knows every action: one span of those that the sentence names is its own."""
    actions = Counter((span["verb"], span["noun"]) for span in held_out)
    found = []
    for span in held_out:
        said = span["said_verb"], span["said_noun"]
        named = actions[said]
        right = said == (span["verb"], span["noun"])
        found.append(min(1.0, k / named) if right else max(0.0, (k - named) / (len(held_out) - named)))
    return float(np.mean(found))


def true_steps(truth: Path) -> dict[str, list[dict[str, Any]]]:
    """The steps of every video, by its id; none of a video that is not of the kitchen."""
    steps: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in truth.read_text().splitlines():
        step = json.loads(line)
        steps[step["video_id"]].append(step)
    return steps


def shown(
    steps: Sequence[Mapping[str, Any]], sample: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], int, int]]:
    """The steps of a video with the clips that show them, first to last; one that no clip shows is left out."""
    for step in steps:
        seconds = {name: step[name] for name in ("start_seconds", "end_seconds")}
        first, last = span_clips(sample["clip_starts"], sample["clip_ends"], **seconds)
        if first < last:
            yield step, first, last


def spans_of(store: Store, truth: Path, recipe: Recipe) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Steps of the training and of the held-out videos: true words, narrated words, visual tokens."""
    steps = true_steps(truth)
    verbs = {step["verb"] for own in steps.values() for step in own}
    nouns = {step["noun"] for own in steps.values() for step in own}
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = [], []
    for sample in _samples(store):
        for step, first, last in shown(steps[sample["video_id"]], sample):
            text = set(step["caption"].lower().replace(".", " ").replace(",", " ").split())
            span = {
                "verb": step["verb"], "noun": step["noun"], "visual": sample["visual"][first:last],
                "said_verb": next(iter(sorted(text & verbs)), ""), "said_noun": next(iter(sorted(text & nouns)), ""),
            }  # fmt: skip
            parts[is_held_out(sample["video_id"], recipe.codebook.heldout_fraction)].append(span)
    return parts


def _samples(store: Store) -> Iterator[dict[str, Any]]:
    (spec,) = store.folders("tokens")
    for batch in BATCHES:
        manifest = load_manifest(store, "tokens", spec, batch)
        assert manifest is not None
        yield from read_samples(store, manifest.outputs)


if __name__ == "__main__":
    main()

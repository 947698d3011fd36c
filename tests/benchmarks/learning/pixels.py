"""Gate 7: what the visual tokens of real video still tell of verb and noun, with and without motion.

    python -m tests.benchmarks.learning.pixels --root demo [--truth demo/incoming/truth/truth.jsonl]

Reads the features that a run has made of the kitchen, fits codebooks on the training share, and compares, on the
held-out share, the tokens with the truth by NMI and purity; the controls are shuffled labels and a codebook of the
encoder's appearance half alone, which is what a single-frame encoder sees.
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tests.benchmarks.learning.kitchen import true_steps
from videobert.codebook.config import CodebookConfig
from videobert.codebook.health import nmi, purity
from videobert.codebook.hierarchy import fit
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import load_manifest
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.storage import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="demo")
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--codebook", default="", help="whose features and held-out share; else the first")
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    truth = options.truth or Path(options.root) / "incoming" / "truth" / "truth.jsonl"
    vectors_ND, held_N, labels = labelled_clips(Store(options.root), truth, options.codebook)
    half = vectors_ND.shape[1] // 2
    print(f"{len(vectors_ND):,} labelled clips, {int(held_N.sum()):,} of them held out")
    print("| tokens of | NMI verb | NMI noun | purity verb | purity noun | NMI verb, labels shuffled |")
    print("|---|---|---|---|---|---|")
    for name, columns in (
        ("frames and motion", slice(None)),
        ("frames alone", slice(half)),
        ("motion alone", slice(half, None)),
    ):
        rows = np.array([figures(vectors_ND[:, columns], held_N, labels, seed=seed) for seed in options.seed])
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(rows.mean(0), rows.std(0), strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def labelled_clips(
    store: Store, truth: Path, codebook: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, NDArray[np.int64]]]:
    """Features [N, D] of clips that lie in a step of the truth, whether held out [N], and their labels [N]."""
    steps = true_steps(truth)
    spec = codebook or min(store.folders("codebooks"))
    fitted = load_manifest(store, "codebook", spec, "")
    assert fitted is not None, spec
    facts = fitted.facts
    vectors, held, words = [], [], []
    for batch in facts["batches"]:
        manifest = load_manifest(store, "features", facts["feature_spec"], batch)
        assert manifest is not None
        for output in manifest.outputs:
            table = read_table(store, output.path)
            for number, row in enumerate(table.select(["video_id", "start_seconds", "end_seconds"]).to_pylist()):
                own = steps.get(row["video_id"])
                if own:
                    middle = (row["start_seconds"] + row["end_seconds"]) / 2
                    step = own[bisect_right([s["start_seconds"] for s in own], middle) - 1]
                    vectors.append(vectors_of(table.slice(number, 1))[0])
                    held.append(is_held_out(row["video_id"], facts["heldout_fraction"]))
                    words.append((step["verb"], step["noun"]))
    labels = {kind: np.unique([w[i] for w in words], return_inverse=True)[1] for i, kind in enumerate(("verb", "noun"))}
    return np.stack(vectors), np.array(held), labels


def figures(
    vectors_ND: NDArray[np.float32], held_N: NDArray[np.bool_], labels: dict[str, NDArray[np.int64]], *, seed: int
) -> list[float]:
    """NMI and purity of held-out tokens with verb and noun, and the NMI that chance gives."""
    codebook = fit(np.ascontiguousarray(vectors_ND[~held_N]), CodebookConfig(branching=12, depth=2, seed=seed))
    tokens = codebook.encode(np.ascontiguousarray(vectors_ND[held_N]))
    verb, noun = (labels[kind][held_N] for kind in ("verb", "noun"))
    chance = nmi(tokens, np.random.default_rng(seed).permutation(verb))
    return [nmi(tokens, verb), nmi(tokens, noun), purity(tokens, verb), purity(tokens, noun), chance]


if __name__ == "__main__":
    main()

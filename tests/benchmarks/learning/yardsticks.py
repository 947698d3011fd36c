"""Plain methods on the same clips: CCA, a small MLP, logistic regression; and how moments are scored.

W windows, Q sentences, N clips of a video, F width of what is known of a clip.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler
from torch import nn

from videobert.runtime.held_out import is_held_out

__all__ = ["Corpus", "closed_set", "correlation", "moments", "probe", "read_corpus"]

LEAST = 5
"""A sentence is asked for when so many held-out windows hold it."""
Rows = Mapping[str, NDArray[np.floating]]
Window = tuple[str, int]
"""Video and clip."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Clips and what happens in them."""

    features: dict[str, NDArray[np.float32]]
    samples: dict[str, dict[str, Any]]
    said: dict[Window, list[str]]
    events: list[tuple[Window, str, str]]
    """Clip, verb, noun."""
    fraction: float
    windows: list[Window]
    """Of held-out videos."""
    queries: list[str]

    @property
    def tokens(self) -> int:
        """Width of a one-hot token."""
        return 1 + max(int(max(s["visual"])) for s in self.samples.values())

    def training(self) -> list[Window]:
        """Windows of the other videos."""
        return [
            (v, k) for v in sorted(self.features) if not is_held_out(v, self.fraction)
            for k in range(len(self.features[v]))
        ]  # fmt: skip


def read_corpus(
    root: Path,
    samples: Sequence[dict[str, Any]],
    labels: Path,
    *,
    fraction: float,
    before_end: float,
    feature_spec: str,
) -> Corpus:
    """Features of a pipeline root, token samples, and labels."""
    features: dict[str, NDArray[np.float32]] = {}
    for path in sorted(root.glob(f"features/{feature_spec}/*/*.parquet")):
        table = pq.read_table(path, columns=["video_id", "feature"])
        ids = np.array(table["video_id"].to_pylist())
        rows = np.array(table["feature"].to_pylist(), dtype=np.float32)
        features |= {str(v): rows[ids == v] for v in np.unique(ids)}
    starts = {s["video_id"]: np.array(s["clip_starts"]) for s in samples}
    said: defaultdict[Window, list[str]] = defaultdict(list)
    events = []
    for text in labels.read_text().splitlines():
        label = json.loads(text)
        v = label["video_id"]
        if v in features:
            clip = int(np.searchsorted(starts[v], label["end_seconds"] - before_end, side="right")) - 1
            window = (v, min(max(clip, 0), len(features[v]) - 1))
            said[window].append(label["text"])
            events.append((window, label["verb"], label["noun"]))
    windows = [(v, k) for v in sorted(features) if is_held_out(v, fraction) for k in range(len(features[v]))]
    count = Counter(text for window in windows for text in set(said.get(window, ())))
    return Corpus(
        features=features, samples={s["video_id"]: s for s in samples}, said=dict(said), events=events,
        fraction=fraction, windows=windows, queries=sorted(text for text, n in count.items() if n >= LEAST),
    )  # fmt: skip


def moments(corpus: Corpus, scores_WQ: NDArray[np.floating]) -> dict[str, float]:
    """Mean average precision and precision among the ten best, over the sentences."""
    precisions, hits = [], []
    for column, query in enumerate(corpus.queries):
        truth_W = np.array([query in corpus.said.get(window, ()) for window in corpus.windows])
        precisions.append(average_precision_score(truth_W, scores_WQ[:, column]))
        hits.append(truth_W[np.argsort(-scores_WQ[:, column], kind="stable")[:10]].mean())
    return {"mAP": float(np.mean(precisions)), "precision@10": float(np.mean(hits))}


def _around(rows: Rows, windows: Sequence[Window], around: int) -> NDArray[np.float32]:
    """Each clip with its neighbours, zeros beyond the video, [W, (2 x around + 1) x F]."""
    padded = {v: np.pad(x, ((around, around), (0, 0))) for v, x in rows.items()}
    return np.array([padded[v][k : k + 2 * around + 1].ravel() for v, k in windows], dtype=np.float32)


def correlation(corpus: Corpus, rows: Rows, *, width: int = 64) -> NDArray[np.float64]:
    """Regularised CCA between a clip and the words and word pairs of what happens in it; scores [W, Q]."""
    known = [window for window in corpus.training() if window in corpus.said]
    terms: dict[str, int] = {}

    def bag(texts: Sequence[str]) -> Counter[int]:
        counts = Counter[int]()
        for text in texts:
            words = text.lower().split()
            for term in [*words, *(" ".join(pair) for pair in itertools.pairwise(words))]:
                counts[terms.setdefault(term, len(terms))] += 1
        return counts

    bags = [bag(corpus.said[window]) for window in known] + [bag([query]) for query in corpus.queries]
    text = np.zeros((len(bags), len(terms)))
    for row, counts in zip(text, bags, strict=True):
        row[list(counts)] = np.sqrt(list(counts.values()))
    x, y = _around(rows, known, 0).astype(np.float64), text[: len(known)]
    mean_x, scale, mean_y = x.mean(0), x.std(0) + 1e-6, y.mean(0)
    x, y = (x - mean_x) / scale, y - mean_y
    cover_x = x.T @ x / len(x) + np.eye(x.shape[1]) * 5e3 / len(x)
    cover_y = y.T @ y / len(y) + np.eye(y.shape[1]) * 0.05
    white_x, white_y = (np.linalg.inv(np.linalg.cholesky(c)) for c in (cover_x, cover_y))
    u, s, v = np.linalg.svd(white_x @ (x.T @ y / len(x)) @ white_y.T, full_matrices=False)
    seen = (_around(rows, corpus.windows, 0) - mean_x) / scale @ (white_x.T @ u[:, :width] * s[:width])
    seen /= np.linalg.norm(seen, axis=1, keepdims=True) + 1e-9
    scores: NDArray[np.float64] = seen @ ((text[len(known) :] - mean_y) @ (white_y.T @ v[:width].T)).T
    return scores


def closed_set(corpus: Corpus, rows: Rows, *, epochs: int = 25) -> NDArray[np.float32]:
    """One hidden layer from three clips to one output a sentence; a sixth of the training videos chooses the epoch."""
    windows = corpus.training()
    chosen = set(sorted({v for v, _ in windows})[::6])
    stop = np.array([v in chosen for v, _ in windows])
    around, others = _around(rows, windows, 1), _around(rows, corpus.windows, 1)
    y = np.array([[q in corpus.said.get(w, ()) for q in corpus.queries] for w in windows], dtype=np.float32)
    mean, scale = around.mean(0), around.std(0) + 1e-6
    x, z = torch.tensor((around - mean) / scale), torch.tensor((others - mean) / scale)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Dropout(0.3), nn.Linear(x.shape[1], 256), nn.GELU(), nn.Dropout(0.5), nn.Linear(256, len(corpus.queries))
    )
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.05)
    seen, told = x[~stop], torch.tensor(y[~stop])
    best, found = -1.0, np.zeros((len(z), len(corpus.queries)), dtype=np.float32)
    for _ in range(epochs):
        net.train()
        for part in torch.split(torch.randperm(len(seen)), 64):
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(net(seen[part]), told[part]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        net.eval()
        with torch.no_grad():
            guess = net(x[stop]).numpy()
            asked = [q for q in range(guess.shape[1]) if y[stop][:, q].any()]
            value = float(np.mean([average_precision_score(y[stop][:, q], guess[:, q]) for q in asked]))
            if value > best:
                best, found = value, net(z).numpy()
    return found


def probe(corpus: Corpus, rows: Rows, *, around: int, strength: float) -> dict[str, float]:
    """Top-1 of logistic regression of verb and noun at the moment of each event, versus the majority class."""
    x = _around(rows, [window for window, _, _ in corpus.events], around)
    out = np.array([is_held_out(v, corpus.fraction) for (v, _), _, _ in corpus.events])
    x = StandardScaler().fit(x[~out]).transform(x)
    figures = {}
    for name, place in (("verb", 1), ("noun", 2)):
        truth = np.array([event[place] for event in corpus.events])
        most = Counter(truth[~out].tolist()).most_common(1)[0][0]
        model = LogisticRegression(max_iter=300, C=strength).fit(x[~out], truth[~out])
        figures[name] = float(np.mean(model.predict(x[out]) == truth[out]))
        figures[f"{name} majority"] = float(np.mean(truth[out] == most))
    return figures

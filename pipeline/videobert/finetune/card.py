"""The model card: what was learnt from what, how good it is, and how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videobert.runtime.manifest import Manifest
from videobert.tasks.base import TaskNetwork

__all__ = ["model_card", "table_of"]


def model_card(
    spec: str, metrics: Mapping[str, Any], pretrain: Manifest, *, kind: type[TaskNetwork], answers: str
) -> bytes:
    """Markdown with data, figures next to their controls, and how to load the weights. Labels' words are not in it."""
    counts = ", ".join(
        f"{metrics['examples'][split]:,} {split} ({metrics['videos'][split]:,} videos)" for split in metrics["examples"]
    )
    others = "".join(
        f"\nLearnt with it, head {number}: {other['task']}, weight {other['weight']}\n\n{table_of(other['figures'])}\n"
        for number, other in enumerate(metrics["also"], start=1)
    )
    return f"""# VideoBERT {spec}

Fine-tuned for {metrics["task"]} of {metrics["level"]}s from `{pretrain.spec}`, which read tokens of
`{metrics["codebook_spec"]}` on features `{metrics["feature_spec"]}`. The weights are those of epoch {metrics["epoch"]}.

- Labels: {counts}. No video is in two splits.
- It reads: {metrics["reads"] if metrics["reads"] != "both" else "the clips of a span and what is said meanwhile"}{
        ", segment by segment" if metrics["spans"] == "segments" else ""
    }{"; the head reads which words the model would say of it" if metrics["pool"] == "words" else ""}.
- Encoder: `transformers.AutoModel.from_pretrained(".")`. With its head: `{kind.__name__}.from_pretrained(".")` of
  `{kind.__module__}`, or `videobert.tasks.load_network(".")`.
- It answers with {answers}.

On the test split, with 95 % intervals over videos:

{table_of(metrics["figures"])}
{others}""".encode()


def table_of(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Figures as a table of Markdown: a row for the network and each control."""
    names = list(next(iter(figures.values())))
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for who, found in figures.items():
        lines.append(f"| {who} | {' | '.join(_cell(found[name]) for name in names)} |")
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any]) -> str:
    value = f"{figure['value']:.3f}"
    if "interval" not in figure:
        return value
    low, high = figure["interval"]
    return f"{value} ({low:.3f} to {high:.3f})"

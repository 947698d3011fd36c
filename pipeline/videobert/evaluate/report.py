"""The report: one HTML page with tables and curves, everything inside it, every text escaped."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from videobert.pretrain.stopping import stop_sentence
from videobert.visualization.environment import data_url, render_file

__all__ = ["render_report"]

_LOSSES = ("loss", "text_only", "video_only", "joint_text", "joint_video", "alignment", "retrieval")


def render_report(
    metrics: Mapping[str, Any],
    curve: Sequence[Mapping[str, float]],
    facts: Mapping[str, Any],
    checks: Sequence[Mapping[str, float]] = (),
) -> bytes:
    """One self-contained page. Captions are hostile text: the template escapes whatever it is given."""
    ending = stop_sentence(facts["training"]) if "training" in facts else ""
    given = {
        "metrics": metrics, "facts": facts, "curves": _curves(curve, checks), "final": curve[-1] if curve else {},
        "ending": ending,
    }  # fmt: skip
    return render_file("videobert.evaluate", "report.html", given)


def _curves(curve: Sequence[Mapping[str, float]], checks: Sequence[Mapping[str, float]]) -> str:
    """Losses over steps as a PNG data URL; equal curves give equal bytes."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in _LOSSES:
        points = [(record["step"], record[name]) for record in curve if name in record]
        if points:
            axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), linewidth=2 if name == "loss" else 1)
    if checks:
        points = [(check["step"], check["loss"]) for check in checks]
        axes.plot(*zip(*points, strict=True), label="loss, kept aside", linewidth=2, linestyle="--")
        if all("ranking" in check for check in checks):
            found = axes.twinx()
            found.plot(*zip(*((check["step"], check["ranking"]) for check in checks), strict=True), "k:")
            found.set(ylabel="mean average precision, kept aside (dotted)", ylim=(0, 1))
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curve:
        axes.legend(ncols=4, fontsize="small")
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110, metadata={"Software": None})
    return data_url(sink.getvalue())

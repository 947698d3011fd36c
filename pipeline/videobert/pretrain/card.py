"""The model card: what the model was made from, so that whoever finds the folder knows what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from videobert.pretrain.stopping import stop_sentence

__all__ = ["model_card"]

_LOSSES = {
    "loss": "weighted sum",
    "text_only": "cloze, text alone",
    "video_only": "cloze, video alone",
    "joint_text": "cloze, words of a pair",
    "joint_video": "cloze, visual tokens of a pair",
    "alignment": "alignment",
    "retrieval": "retrieval (InfoNCE, our extension)",
}


def model_card(
    spec: str, facts: dict[str, Any], counts: Sequence[dict[str, int]], curve: Sequence[Mapping[str, float]]
) -> bytes:
    """Markdown with the data, the codebook, the first and last losses, and how to load the weights."""
    clips = sum(count.get("clips", 0) for count in counts)
    segments = sum(count.get("segments", 0) for count in counts)
    step_folder = facts["directory"].rsplit("/", 1)[-1]
    return f"""# VideoBERT {spec}

A BERT over WordPiece and visual tokens (Sun et al., ICCV 2019, arXiv 1904.01766), trained for {facts["step"]:,} steps.
{_ending(facts)}
- Data: batches {", ".join(facts["batches"])}; {clips:,} clips in {segments:,} segments, of which
  {facts["heldout_fraction"]:.0%} of the videos were held out.
- Visual tokens: codebook `{facts["codebook_spec"]}` on features `{facts["feature_spec"]}`.
- Weights: `{step_folder}/model.safetensors`; the encoder loads with
  `transformers.AutoModel.from_pretrained("{step_folder}")`. `heads.safetensors` holds the alignment and retrieval
  heads, `videobert.json` the layout of the ids.
- Held-out figures: the evaluation of this spec, under `reports/`.

Training losses in nats, means over the steps before:

{_losses(curve)}
""".encode()


def _ending(facts: Mapping[str, Any]) -> str:
    return f"{stop_sentence(facts['training'])}\n" if "training" in facts else ""


def _losses(curve: Sequence[Mapping[str, float]]) -> str:
    first, last = curve[0], curve[-1]
    rows = [f"| | step {first['step']:,.0f} | step {last['step']:,.0f} |", "|---|---|---|"]
    rows += [
        f"| {title} | {first[name]:.3f} | {last[name]:.3f} |"
        for name, title in _LOSSES.items()
        if name in first and name in last
    ]
    return "\n".join(rows)

"""The model card: what the model was made from, so that whoever finds the folder knows what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["model_card"]


def model_card(spec: str, facts: dict[str, Any], counts: Sequence[dict[str, int]]) -> bytes:
    """Markdown with the data, the codebook and how to load the weights."""
    clips = sum(count.get("clips", 0) for count in counts)
    segments = sum(count.get("segments", 0) for count in counts)
    step_folder = facts["directory"].rsplit("/", 1)[-1]
    return f"""# VideoBERT {spec}

A BERT over WordPiece and visual tokens (Sun et al., ICCV 2019, arXiv 1904.01766), trained for {facts["step"]:,} steps.

- Data: batches {", ".join(facts["batches"])}; {clips:,} clips in {segments:,} segments, of which
  {facts["heldout_fraction"]:.0%} of the videos were held out.
- Visual tokens: codebook `{facts["codebook_spec"]}` on features `{facts["feature_spec"]}`.
- Weights: `{step_folder}/model.safetensors`; the encoder loads with
  `transformers.AutoModel.from_pretrained("{step_folder}")`. `heads.safetensors` holds the alignment and retrieval
  heads, `videobert.json` the layout of the ids.
- Figures: the evaluation report of this spec, under `reports/`.
""".encode()

"""Task `choices`: one of several texts that are given with each question, by the alignment head.

A question with each of its choices is a sequence with the video, `[CLS] question choice [>] video [SEP]`; the choice
that fits best has the highest logit. Untrained this is the pretrained judgement. B examples, O options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.labels.records import LabelRow
from videobert.model.network import VideoBert, at_least_float32
from videobert.tasks.base import Answer, Encode, Example, Task, TaskNetwork
from videobert.tasks.files import save_network
from videobert.tasks.probe import fit_choice
from videobert.tasks.sequences import encode as encode_examples
from videobert.tasks.sequences import frozen_features

__all__ = ["Choices", "VideoBertForMultipleChoice", "pseudo_log_likelihoods"]


class VideoBertForMultipleChoice(TaskNetwork):
    """VideoBERT with its own alignment head as the judge of each choice."""

    heads = ("alignment",)

    def __init__(self, encoder: VideoBert) -> None:
        super().__init__()
        self.encoder = encoder

    @classmethod
    def restored(cls, encoder: VideoBert, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The network of an opened folder."""
        network = cls(encoder)
        network.eval()
        return network

    def save_pretrained(self, directory: str | Path, **settings: Any) -> None:
        save_network(self, Path(directory), {"task": "choices", **settings})

    def logits(self, examples: Sequence[Example]) -> list[Tensor]:
        """Logits of the options of every example, [O] each."""
        asked = _asked(examples)
        hidden_TD, tokens, place_B = encode_examples(self.encoder, asked)
        logits_B = at_least_float32(self.encoder.alignment_logits(hidden_TD[tokens.packing.first_B[place_B]]))
        return list(torch.split(logits_B, [len(example.options) for example in examples]))

    def losses(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
        found = [
            logits_O.logsumexp(0) - logits_O[int(example.target)]
            for logits_O, example in zip(self.logits(examples), examples, strict=True)
        ]
        losses_B = torch.stack(found)
        return losses_B, torch.ones_like(losses_B)

    def outputs(self, examples: Sequence[Example]) -> list[NDArray[np.float32]]:
        training = self.training
        self.eval()
        found: list[NDArray[np.float32]] = []
        try:
            with torch.inference_mode():
                for begin in range(0, len(examples), 16):
                    group = self.logits(examples[begin : begin + 16])
                    found += [logits_O.softmax(0).cpu().numpy() for logits_O in group]
        finally:
            self.train(training)
        return found


class Choices(Task):
    name = "choices"
    summary = "the one of several given texts that fits question and video"
    needs = "`question`, `choices` and an `answer` that is one of them"
    asks = chooses = True

    def takes(self, row: LabelRow) -> bool:
        return bool(row.question and row.choices)

    def facts(self, rows: Sequence[LabelRow], config: FinetuneConfig) -> dict[str, Any]:
        if config.reads != "both":
            raise InputError(f"finetune.reads is {config.reads}; a choice is read together with its video: leave both")
        for row in rows:
            if row.answer not in row.choices or len(row.choices) < 2:
                raise InputError(
                    f"line {row.line} of the labels has the answer {row.answer!r}, which is none of its "
                    f"{len(row.choices)} choices; give at least two, the answer among them"
                )
        return {"places": [int(n) for n in np.bincount([row.choices.index(row.answer) for row in rows])]}

    def target(self, row: LabelRow, facts: Mapping[str, Any], encode: Encode) -> Any:
        return row.choices.index(row.answer) if row.answer in row.choices else None

    def text_of(self, row: LabelRow, said: tuple[int, ...], encode: Encode) -> tuple[int, ...]:
        return encode(row.question)

    def options(self, row: LabelRow, encode: Encode) -> tuple[tuple[int, ...], ...]:
        return tuple(encode(choice) for choice in row.choices)

    def network(
        self, encoder: VideoBert, facts: Mapping[str, Any], config: FinetuneConfig
    ) -> VideoBertForMultipleChoice:
        return VideoBertForMultipleChoice(encoder)

    def load(self, encoder: VideoBert, directory: Path, settings: Mapping[str, Any]) -> VideoBertForMultipleChoice:
        return VideoBertForMultipleChoice.restored(encoder, directory, settings)

    def figures(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, float]:
        """Accuracy; among equals the right one counts by its share."""
        right = []
        for scores_O, target in zip(outputs, targets, strict=True):
            best_O = scores_O == scores_O.max()
            right.append(float(best_O[target]) / int(best_O.sum()))
        chance = np.mean([1 / len(scores_O) for scores_O in outputs])
        return {"accuracy": float(np.mean(right)), "chance": float(chance)}

    def answers(self, outputs: Sequence[Any], facts: Mapping[str, Any]) -> list[Answer]:
        found = []
        for shares_O in outputs:
            best = np.argsort(-shares_O, kind="stable")
            scores = tuple(float(shares_O[i]) for i in best)
            found.append(Answer(labels=tuple(f"choice {i + 1}" for i in best), scores=scores))
        return found

    def worth(self, outputs: Sequence[Any], targets: Sequence[Any], facts: Mapping[str, Any]) -> list[float]:
        return [float(found[target]) for found, target in zip(outputs, targets, strict=True)]

    def say(self, row: LabelRow) -> str:
        return f"{row.question} {row.answer}"

    def controls(
        self,
        pretrained: VideoBert,
        examples: Mapping[str, Sequence[Example]],
        facts: Mapping[str, Any],
        config: FinetuneConfig,
    ) -> dict[str, list[Any]]:
        test = examples["test"]
        places = np.array([*facts["places"], *([0] * max(len(e.options) for e in test))], dtype=np.float32)
        blind = {split: [replace(e, footage=None) for e in found] for split, found in examples.items()}
        return {
            "majority": [places[: len(example.options)] for example in test],
            "pretrained alignment": VideoBertForMultipleChoice(pretrained).outputs(test),
            "pretrained pseudo-log-likelihood": pseudo_log_likelihoods(pretrained, test),
            "linear probe": _probed(pretrained, examples),
            "text only": _probed(pretrained, blind),
        }


def _asked(examples: Sequence[Example]) -> list[Example]:
    """Each question with each of its options."""
    return [replace(e, text_ids=(*e.text_ids, *option)) for e in examples for option in e.options]


def _probed(encoder: VideoBert, examples: Mapping[str, Sequence[Example]]) -> list[NDArray[np.float32]]:
    """What a linear model on the frozen states of each option makes of the test split."""
    features = {split: frozen_features(encoder, _asked(found)) for split, found in examples.items()}
    sizes = {split: [len(e.options) for e in found] for split, found in examples.items()}
    targets = {split: [int(e.target) for e in found] for split, found in examples.items()}
    return fit_choice(features, sizes, targets)


def pseudo_log_likelihoods(encoder: VideoBert, examples: Sequence[Example]) -> list[NDArray[np.float32]]:
    """Mean log probability of each option's words, each masked in its turn (Salazar et al. 2020, arXiv 1910.14659)."""
    encoder.eval()
    found = []
    mask = encoder.vocabulary.mask
    with torch.inference_mode():
        for example in examples:
            scores = []
            for option in example.options:
                places = range(len(example.text_ids), len(example.text_ids) + len(option))
                whole = (*example.text_ids, *option)
                masked = [replace(example, text_ids=(*whole[:i], mask, *whole[i + 1 :])) for i in places]
                hidden_TD, tokens, place_B = encode_examples(encoder, masked)
                at_B = tokens.packing.first_B[place_B] + 1 + torch.tensor(list(places), device=hidden_TD.device)
                chances_BV = encoder.cloze_logits(hidden_TD[at_B]).float().log_softmax(dim=-1)
                own_B = torch.tensor(option, device=hidden_TD.device)
                scores.append(float(chances_BV.gather(1, own_B[:, None]).mean()))
            found.append(np.array(scores, dtype=np.float32))
    return found

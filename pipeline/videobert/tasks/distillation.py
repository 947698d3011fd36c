"""Learning from the answers of a larger model (Hinton et al. 2015, arXiv 1503.02531). B examples, C classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from videobert.tasks.base import TaskNetwork

__all__ = ["Teacher"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Who answers, and how much that counts. No module: its parameters are nobody's to train."""

    network: TaskNetwork
    weight: float
    temperature: float
    problem_type: str

    def losses(self, logits_BC: Tensor, taught_BC: Tensor) -> Tensor:
        """How far a student is from its teacher, [B]: 0 where both say the same.

        The divergence of the softened answers, of each class for itself where there are several, times the square of
        the temperature; the squared difference of values.
        """
        if self.problem_type == "regression":
            return ((logits_BC - taught_BC) ** 2).mean(dim=1)
        soft_BC, taught_BC = logits_BC / self.temperature, taught_BC / self.temperature
        if self.problem_type == "multi_label_classification":
            right_BC = taught_BC.sigmoid()
            crossed_BC = F.binary_cross_entropy_with_logits(soft_BC, right_BC, reduction="none")
            own_BC = F.binary_cross_entropy_with_logits(taught_BC, right_BC, reduction="none")
            return (crossed_BC - own_BC).mean(dim=1) * self.temperature**2
        divergence_BC = F.kl_div(soft_BC.log_softmax(-1), taught_BC.log_softmax(-1), reduction="none", log_target=True)
        return divergence_BC.sum(dim=1) * self.temperature**2

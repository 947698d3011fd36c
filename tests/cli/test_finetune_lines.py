"""What `videobert finetune` prints of its figures."""

from __future__ import annotations

from videobert.cli.tasks import figure_lines


def test_a_network_that_a_plain_model_beats_is_called_so() -> None:
    figures = {
        who: {"map": {"value": value}, "exact": {"value": 0.0}}
        for who, value in (("fine-tuned", 0.744), ("majority", 0.504), ("linear probe on words", 0.953))
    }
    *table, said = figure_lines(figures)
    assert table == [
        "fine-tuned             map 0.744, exact 0.000",
        "majority               map 0.504, exact 0.000",
        "linear probe on words  map 0.953, exact 0.000",
    ]
    assert said.startswith("fine-tuned is worse than: linear probe on words. More labels, ")
    del figures["linear probe on words"]
    assert list(figure_lines(figures)) == ["fine-tuned  map 0.744, exact 0.000", "majority    map 0.504, exact 0.000"]

"""The ruler of the pretraining benchmark: equal questions for both rivals, turns that are turns, flops by hand."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks.pretrain.gpu import model_flops, report_gpu
from tests.benchmarks.pretrain.setting import Setting
from tests.benchmarks.pretrain.turns import Turns, alternate
from tests.benchmarks.pretrain.yardstick import as_trainer_model, into_ours, pad, trainer_rows

TINY = Setting(size="tiny", batch=8, steps=2)


@pytest.mark.parametrize("padding", ["max", "longest"])
def test_padded_or_packed_the_first_loss_is_the_same(padding: str) -> None:
    ours = TINY.model()
    theirs = as_trainer_model(ours)
    theirs.eval()  # type: ignore[no-untyped-call]
    batch = pad(trainer_rows(TINY.data.examples(0)), padding)
    with torch.inference_mode():
        logits = theirs(**{name: batch[name] for name in ("input_ids", "token_type_ids", "attention_mask")})
        expected = torch.nn.functional.cross_entropy(logits.prediction_logits.flatten(0, 1), batch["labels"].flatten())
    assert TINY.masked_loss(ours.eval(), step=0) == pytest.approx(float(expected), abs=2e-5)
    restored = into_ours(theirs, TINY).state_dict()
    assert all(torch.equal(value, restored[name]) for name, value in ours.state_dict().items())


def test_two_loops_take_turns_and_the_error_of_one_ends_both() -> None:
    seen: list[str] = []

    def loop(name: str, turns: Turns, *, fails_at: int = -1) -> None:
        for step in range(3):
            if step == fails_at:
                raise ArithmeticError(name)
            seen.append(name)
            turns.next()

    first, second = alternate(lambda turns: loop("a", turns), lambda turns: loop("b", turns))
    assert "".join(seen) == "ababab"
    assert len(first) == len(second) == 3
    with pytest.raises(ArithmeticError, match="a"):
        alternate(lambda turns: loop("a", turns, fails_at=1), lambda turns: loop("b", turns))
    with pytest.raises(ArithmeticError, match="b"):
        alternate(lambda turns: loop("a", turns), lambda turns: loop("b", turns, fails_at=1))


def test_model_flops_count_the_matrices_six_times() -> None:
    layers, width, inner, ids = 2, 32, 64, 30_522 + 1 + 12**4
    encoder = layers * (4 * width * width + 2 * width * inner)
    head = width * width + ids * width
    assert model_flops(TINY.model(), tokens=1000, masked=70) == 6 * (encoder * 1000 + head * 70)


def test_the_rows_of_a_gpu_are_printed_on_a_cpu_too(capsys: pytest.CaptureFixture[str]) -> None:
    report_gpu(TINY, batches=(4,), steps=4, peak_size=64)
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert [row.split()[:2] for row in rows] == [["bf16", "4"], ["fp32", "4"]]
    losses = [float(row.split()[-1]) for row in rows]
    assert losses[0] == pytest.approx(losses[1], abs=0.01)

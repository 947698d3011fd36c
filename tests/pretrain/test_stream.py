"""A corpus in windows: what training sees is a function of the step, whole, and bounded in memory."""

from __future__ import annotations

import dataclasses
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model.material import FIRST_WORD, TINY, numbered, random_videos, vocabulary
from videobert.errors import InputError
from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert
from videobert.model.vocabulary import Vocabulary
from videobert.pretrain.config import Mixture, PretrainConfig
from videobert.pretrain.data import Example, PretrainData
from videobert.pretrain.state import TrainState, load_state, save_state
from videobert.pretrain.stream import Stream
from videobert.pretrain.train import train
from videobert.pretrain.windows import Windows
from videobert.tokens.records import TokenizedVideo

WORDS = vocabulary(60, 40)
CONFIG = PretrainConfig(batch_size=8, epochs=3)
TEXT_ONLY = dataclasses.replace(CONFIG, mixture=Mixture(text_only=1, video_only=0, video_text=0))


def in_windows(parts: Sequence[Sequence[TokenizedVideo]], log: list[int] | None = None) -> Windows:
    """Windows of given videos; `log` takes the number of every window that is read."""

    def read(number: int, rest: Callable[[], None]) -> Sequence[TokenizedVideo]:
        if log is not None:
            log.append(number)
        for _ in parts[number]:
            rest()
        return parts[number]

    return Windows(segments=tuple(sum(len(v.segments) for v in part) for part in parts), read=read)


def thirds() -> Windows:
    videos = random_videos(30, words=60, leaves=40)
    return in_windows([videos[:9], videos[9:21], videos[21:]])


def stream(windows: Windows, config: PretrainConfig = CONFIG, words: Vocabulary = WORDS, **options: object) -> Stream:
    return Stream(windows, vocabulary=words, config=config, max_length=64, **options)  # type: ignore[arg-type]


def keys(examples: Sequence[Example]) -> list[tuple[object, ...]]:
    return [tuple(v if isinstance(v, int | bool | None) else v.tobytes() for v in _values(e)) for e in examples]


def _values(example: Example) -> list[Any]:
    return [getattr(example, field.name) for field in dataclasses.fields(example)]


def word_of(example: Example) -> int:
    ids_L = example.ids_L.copy()
    ids_L[example.masked_M] = example.targets_M
    return int(ids_L[1]) - FIRST_WORD


@pytest.mark.parametrize("options", [{}, {"steps": 40}])
def test_one_window_is_what_was_without_windows(options: dict[str, Any]) -> None:
    videos = random_videos(12, words=60, leaves=40)
    config = dataclasses.replace(CONFIG, **options)
    plain = PretrainData(videos, vocabulary=WORDS, config=config, max_length=64)
    with stream(Windows.whole(videos), config) as found:
        assert found.steps == plain.steps
        for step in range(found.steps):
            assert keys(found.examples(step)) == keys(plain.examples(step))
        assert found.met(found.steps) == []


def test_every_epoch_shows_every_segment_once_in_another_order() -> None:
    videos, words = numbered([4] * 20)  # windows of 16, 24 and 40 sentences, 8 a step
    parts = [videos[:4], videos[4:10], videos[10:]]
    with stream(in_windows(parts), TEXT_ONLY, words) as found:
        assert found.steps == 30
        seen = [
            [word_of(e) for step in range(first, first + 10) for e in found.examples(step)] for first in (0, 10, 20)
        ]
    assert all(Counter(epoch) == Counter(range(80)) for epoch in seen)
    assert seen[0] != seen[1] != seen[2]
    windows = [[(word >= 16) + (word >= 40) for word in epoch] for epoch in seen]
    orders = {tuple(dict.fromkeys(epoch)) for epoch in windows}
    assert len(orders) > 1 and all(len(order) == 3 for order in orders)


def test_windows_that_do_not_divide_by_the_batch_repeat_less_than_a_batch() -> None:
    videos, words = numbered([5] * 7)
    with stream(in_windows([videos[:3], videos[3:]]), TEXT_ONLY, words) as found:  # 15 and 20 sentences
        steps = [[word_of(e) for e in found.examples(step)] for step in range(2 * 5)]
    first = Counter(word for step in steps[:5] for word in step)
    assert set(first) == set(range(35)) and sum(first.values()) == 40
    both = Counter(word for step in steps for word in step)
    assert min(both.values()) == 2 and max(both.values()) == 3  # the second visit goes on where the first ended


def test_any_step_can_be_resumed_from_what_a_checkpoint_holds() -> None:
    with stream(thirds()) as whole:
        steps = [keys(whole.examples(step)) for step in range(whole.steps)]
        met = [whole.met(step) for step in range(whole.steps)]
        total = whole.steps
    assert len(met[-1]) == 3
    starts = list(accumulate(met[-1], initial=0))
    borders = [step for step in range(1, total) if met[step] != met[step - 1]]
    for step in {1, total // 2, total - 1, *borders, *(border - 1 for border in borders[1:])}:
        log: list[int] = []
        with stream(in_windows([thirds().read(n, lambda: None) for n in range(3)], log), first=step,
                    window_steps=met[step]) as resumed:  # fmt: skip
            assert resumed.steps == total
            assert keys(resumed.examples(step)) == steps[step]
            if step + 1 < total:
                assert keys(resumed.examples(step + 1)) == steps[step + 1]
        if step < starts[-1]:  # the first epoch visits windows by their numbers
            assert log[0] == sum(start <= step for start in starts) - 1, "it reads the window it stands in first"
    with stream(thirds(), first=total - 1) as forgetful:  # slower, since it reads all windows up to its own
        assert keys(forgetful.examples(total - 1)) == steps[-1]


@pytest.mark.parametrize("parts", [2, 3])
def test_the_batch_of_a_step_does_not_depend_on_the_number_of_workers(parts: int) -> None:
    config = dataclasses.replace(CONFIG, batch_size=12, epochs=2)
    with stream(thirds(), config) as alone, stream(thirds(), config, parts=parts) as shared:
        for step in range(alone.steps):
            together = Counter(key for part in range(parts) for key in keys(shared.examples(step, part=part)))
            assert together == Counter(keys(alone.examples(step)))


def test_windows_draw_independently() -> None:
    videos, words = numbered([1] * 16)
    twins = [[video] * 8 for video in videos[:2]]  # windows that differ in their one word only
    with stream(in_windows(twins), dataclasses.replace(TEXT_ONLY, batch_size=1), words) as found:
        masks = [[tuple(found.examples(first + i)[0].masked_M) for i in range(8)] for first in (0, 8)]
    assert masks[0] != masks[1]


def test_windows_without_anything_to_train_on_are_passed_over() -> None:
    videos, words = numbered([4] * 4)
    windows = dataclasses.replace(in_windows([[], videos[:2], [], videos[2:], []]), segments=(3, 8, 2, 8, 3))
    config = dataclasses.replace(TEXT_ONLY, epochs=1)
    with stream(windows, config, words) as found:
        assert found.steps == 3  # 1 x 24 / 8: no window but the first that trains has been read when this is asked
        assert {word_of(e) for step in range(2) for e in found.examples(step)} == set(range(16))
    with pytest.raises(InputError, match="nothing to learn"):
        stream(in_windows([[], []]))


def test_a_window_too_small_for_the_workers_is_refused_when_it_comes() -> None:
    videos, words = numbered([4] * 8, untexted=[(v, s) for v in range(4, 8) for s in range(4)])
    config = dataclasses.replace(CONFIG, mixture=Mixture(text_only=1, video_only=0, video_text=1))
    with stream(in_windows([videos[:4], videos[4:]]), config, words, parts=4) as found:
        assert found.examples(0, part=3)
    with pytest.raises(InputError, match="cannot be shared by 9 workers"):
        stream(thirds(), parts=9)


def test_memory_follows_the_windows_and_not_the_corpus() -> None:
    def peak(count: int) -> int:
        def read(number: int, rest: Callable[[], None]) -> Sequence[TokenizedVideo]:
            return random_videos(40, words=60, leaves=40, seed=number)

        tracemalloc.start()
        config = dataclasses.replace(TEXT_ONLY, batch_size=64, epochs=1)
        with stream(Windows(segments=(140,) * count, read=read), config, parts=64) as found:
            for step in range(found.steps):
                found.examples(step)
            assert len(found.met(found.steps)) >= count - 1
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(27) < 2 * peak(3)  # other threads of the process are traced, too


def test_an_error_in_reading_ahead_reaches_training() -> None:
    videos = random_videos(8, words=60, leaves=40)

    def read(number: int, rest: Callable[[], None]) -> Sequence[TokenizedVideo]:
        if number:
            raise FileNotFoundError("00007.tar")
        return videos

    config = dataclasses.replace(CONFIG, architecture=TINY, threads=1)
    with pytest.raises(FileNotFoundError, match="00007"):
        train(VideoBert.create(config, vocabulary=WORDS), Windows(segments=(9, 9), read=read), config)


def test_reading_ahead_rests_and_ends_with_the_training() -> None:
    videos = random_videos(8, words=60, leaves=40)
    enough, rests = threading.Event(), list[float]()

    def read(number: int, rest: Callable[[], None]) -> Sequence[TokenizedVideo]:
        for _ in range(200 if number else 0):
            until = time.thread_time() + 0.01
            while time.thread_time() < until:
                pass
            since = time.monotonic()
            rest()
            rests.append(time.monotonic() - since)
            if len(rests) == 2:
                enough.set()
        return videos

    with stream(Windows(segments=(9, 9), read=read)):
        assert enough.wait(20)
    count = len(rests)
    assert min(rests[:2]) > 0.08, "a hundredth of a second of work leaves nine to training"
    time.sleep(0.2)
    assert len(rests) == count < 200


@pytest.mark.parametrize("stop", [2, 5, 7])
def test_a_training_resumed_within_a_window_equals_an_uninterrupted_one(tmp_path: Path, stop: int) -> None:
    config = dataclasses.replace(
        CONFIG, architecture=dataclasses.replace(TINY, dropout=0.1), learning_rate=1e-3, steps=9, threads=1,
        retrieval_dim=8, batch_size=32, checkpoint_every_steps=stop,
    )  # fmt: skip

    def keep(model: VideoBert, state: TrainState) -> None:
        if state.step == stop:
            save_model(model, tmp_path)
            save_state(state, tmp_path)

    whole = VideoBert.create(config, vocabulary=WORDS)
    state = train(whole, thirds(), config, on_checkpoint=keep)
    assert len(state.window_steps) == 3
    resumed = load_model(tmp_path)
    again = train(resumed, thirds(), config, state=load_state(tmp_path))
    assert again.window_steps == state.window_steps
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name

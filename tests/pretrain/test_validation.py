"""Training looks at videos that it does not learn from, stops when they get worse, and keeps the best step."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from tests.model.material import TINY, random_videos, vocabulary
from videobert.errors import InputError
from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert
from videobert.model.scoring import encode_text, encode_video
from videobert.pretrain.checkpoint_io import write_checkpoint
from videobert.pretrain.checkpoints import checkpoint_at, drop_old_checkpoints, find_checkpoint
from videobert.pretrain.config import Mixture, PretrainConfig, Validation
from videobert.pretrain.state import TrainState, load_state, save_state
from videobert.pretrain.stopping import best_step, has_stopped, is_best, stop_sentence
from videobert.pretrain.train import train
from videobert.pretrain.validation import LEAST_VIDEOS, Validator, keep_aside
from videobert.pretrain.windows import Windows
from videobert.runtime.storage import Store
from videobert.tokens.footage import Footage
from videobert.tokens.records import TokenizedVideo
from videobert.tokens.said import Said

WORDS = vocabulary(60, 40)
CENTROIDS = np.random.default_rng(0).standard_normal((WORDS.leaves, 24))
CONFIG = PretrainConfig(
    architecture=dataclasses.replace(TINY, dropout=0.1), learning_rate=3e-2, batch_size=16, steps=60, threads=1,
    retrieval_dim=16, log_every_steps=7, checkpoint_every_steps=8,
    validation=Validation(checks=20, patience=4, fraction=0.2, least_segments=5),
)  # fmt: skip
VIDEOS = random_videos(20, words=60, leaves=40)


def fresh() -> VideoBert:
    return VideoBert.create(CONFIG, vocabulary=WORDS, centroids_NF=CENTROIDS)


def names(videos: list[TokenizedVideo]) -> list[str]:
    return [video.video_id for video in videos]


def test_some_videos_are_kept_aside_whatever_their_order_and_window() -> None:
    windows, aside = keep_aside(Windows.whole(VIDEOS), CONFIG.validation)
    assert len(aside) == 4
    assert sorted(names(list(windows.read(0, lambda: None)))) == sorted(set(names(VIDEOS)) - set(names(aside)))
    assert names(keep_aside(Windows.whole(VIDEOS[::-1]), CONFIG.validation)[1]) == names(aside)
    again = Windows(segments=(60, 60), read=lambda number, rest: VIDEOS)  # a second batch may hold the same bytes
    later, _ = keep_aside(again, CONFIG.validation)
    assert not set(names(list(later.read(1, lambda: None)))) & set(names(aside))
    log: list[int] = []
    logged = Windows(segments=(60, 60), read=lambda number, rest: log.append(number) or VIDEOS)  # type: ignore[func-returns-value]
    late, _ = keep_aside(logged, CONFIG.validation)
    for number in (1, 0):  # a resumed run
        late.read(number, lambda: None)
    assert log == [0, 1, 0], "the first window is not held for later"
    few = dataclasses.replace(CONFIG.validation, most_segments=1)
    assert len(keep_aside(Windows.whole(VIDEOS), few)[1]) == 1
    many = dataclasses.replace(CONFIG.validation, least_segments=100)
    assert keep_aside(Windows.whole(VIDEOS), many)[1] == []
    assert keep_aside(Windows.whole(VIDEOS[: LEAST_VIDEOS - 1]), CONFIG.validation)[1] == []


def test_a_check_repeats_itself_and_leaves_training_as_it_was() -> None:
    model = fresh().train()
    validator = Validator(VIDEOS[:4], model, CONFIG, torch.device("cpu"))
    first = validator.check()
    torch.manual_seed(7)
    assert validator.check() == first and model.training
    assert first["loss"] > 1 and {"joint_text", "joint_video", "retrieval"} < set(first)


def test_a_ranking_is_that_of_the_spans_by_their_sentences_whatever_batch_they_are_in() -> None:
    contrast = Mixture(text_only=1, video_only=1, video_text=1, contrast=3)
    config = dataclasses.replace(
        CONFIG, mixture=contrast, context_clips=1, validation=dataclasses.replace(CONFIG.validation, best_by="ranking")
    )
    model = VideoBert.create(config, vocabulary=WORDS, centroids_NF=CENTROIDS)
    found = Validator(VIDEOS[:4], model, config, torch.device("cpu")).check()
    model.eval()
    spans: list[Footage] = []
    said: list[set[tuple[int, ...]]] = []
    texts: dict[tuple[int, ...], None] = {}
    for video in VIDEOS[:4]:
        for segment in video.segments:
            spans.append(video.footage(segment.first_clip, segment.last_clip, around=1))
            said.append(set(Said(video.segments).near(segment.first_clip, segment.last_clip)))
            if segment.text_ids:
                texts[segment.text_ids] = None
    scores = np.matmul(encode_video(model, spans), encode_text(model, list(texts)).T)
    wanted = [
        average_precision_score([text in own for own in said], scores[:, column]) for column, text in enumerate(texts)
    ]
    assert found["ranking"] == pytest.approx(np.mean(wanted), abs=1e-6)
    seldom = dataclasses.replace(config, mixture=Mixture(text_only=3, video_only=1, video_text=1, contrast=1))
    assert Validator(VIDEOS[:4], model, seldom, model.device).check()["ranking"] == pytest.approx(
        np.mean(wanted), abs=1e-6
    )
    with torch.no_grad():
        spoilt = VideoBert.create(config, vocabulary=WORDS, centroids_NF=CENTROIDS)
        spoilt.retrieval_video.weight.fill_(torch.nan)
    assert Validator(VIDEOS[:4], spoilt, config, model.device).check()["ranking"] == 0.0
    by_loss = Validator(VIDEOS[:4], model, dataclasses.replace(config, validation=CONFIG.validation), model.device)
    assert "ranking" not in by_loss.check()


def test_training_stops_when_the_videos_kept_aside_get_worse_and_resumes_to_the_same_end(tmp_path: Path) -> None:
    saved: list[int] = []

    def keep(model: VideoBert, state: TrainState) -> None:
        saved.append(state.step)
        folder = tmp_path / str(state.step)
        folder.mkdir()
        save_model(model, folder)
        save_state(state, folder)

    whole = fresh()
    state = train(whole, VIDEOS, CONFIG, on_checkpoint=keep)
    best = best_step(state.checks)
    assert state.plan == {"steps": 60, "videos": 4, "segments": state.plan["segments"]}
    assert best is not None and best in saved and state.step == saved[-1] == best + 4 * 3 < 60
    assert [check["step"] for check in state.checks] == list(range(3, state.step + 1, 3))
    for step in saved:  # the last has nothing left to do
        resumed = load_model(tmp_path / str(step))
        found = train(resumed, VIDEOS, CONFIG, state=load_state(tmp_path / str(step)))
        assert (found.step, found.checks) == (state.step, state.checks)
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), (step, name)


def test_the_best_step_stays_when_old_ones_go(tmp_path: Path) -> None:
    store, state = Store(str(tmp_path)), train(fresh(), VIDEOS, dataclasses.replace(CONFIG, steps=1))
    for step in (3, 6, 9, 12):
        last = write_checkpoint(store, "models/m", fresh(), dataclasses.replace(state, step=step), {})
        drop_old_checkpoints(store, last, keep=1, best=6)
    assert [step for step in (3, 6, 9, 12) if checkpoint_at(store, "models/m", step)] == [6, 12]
    found = find_checkpoint(store, "models/m")
    assert found is not None and found.step == 12


def test_the_first_of_equal_checks_is_the_best_and_patience_counts_from_it() -> None:
    checks = [{"step": step, "loss": loss} for step, loss in ((5, 3.0), (10, 2.0), (15, 2.0), (20, 2.5))]
    assert best_step(checks) == 10 and best_step([]) is None
    assert is_best(checks[:2]) and not is_best(checks[:3]) and not is_best([])
    assert has_stopped(checks, patience=2) and not has_stopped(checks, patience=3)
    training = {"plan": {"steps": 600, "videos": 3, "segments": 9}, "checks": checks, "ended": 20}
    assert "after 20 of 600 steps" in stop_sentence(training) and "after 10 steps" in stop_sentence(training)
    ranked = [{**check, "ranking": value} for check, value in zip(checks, (0.1, 0.2, 0.4, 0.3), strict=True)]
    assert best_step(ranked) == 15 and best_step([*ranked, {"step": 25, "loss": 1.0}]) == 25, "not all are ranked"
    assert "with 0.400 of 1, after 15 steps" in stop_sentence({**training, "checks": ranked})
    assert "too few training videos" in stop_sentence({**training, "checks": []})


@pytest.mark.parametrize(
    ("segments", "batch", "steps"),
    [(1, 8, 40), (18, 36, 150), (300, 160, 561), (5_000, 160, 3_739), (1_000_000, 160, 20_000)],
)
def test_own_takes_batch_and_steps_from_the_segments(segments: int, batch: int, steps: int) -> None:
    from videobert.pretrain.presets import own

    config = own().sized(segments)
    contrast = round(config.batch_size * 5 / 7.5)
    assert config.batch_size == batch
    assert config.run_steps(lambda epochs: max(1, -int(-epochs * segments // contrast))) == steps
    assert PretrainConfig().sized(segments) == PretrainConfig()


def test_what_cannot_stop_is_refused() -> None:
    with pytest.raises(InputError, match="patience 0"):
        Validation(checks=3, patience=0)
    with pytest.raises(InputError, match=r"contrast 0\.0"):
        dataclasses.replace(CONFIG, validation=Validation(checks=3, best_by="ranking"))
    with pytest.raises(InputError, match="best_by 'luck'"):
        Validation(best_by="luck")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"fraction 1\.0"):
        Validation(fraction=1.0)

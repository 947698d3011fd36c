"""Labels and token samples become examples by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from videobert.errors import InputError
from videobert.evaluate.core import span_clips
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.sight import Sight
from videobert.labels.match import match_videos
from videobert.labels.records import SPLITS, LabelRow
from videobert.labels.split import split_rows
from videobert.tasks.base import Encode, Example, Task
from videobert.tokens.core import from_json

__all__ = ["Labelled", "add_views", "check_splits", "clips_of", "label_examples", "see"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Everything that a task learns from and is measured on."""

    examples: dict[str, list[Example]]
    """By split."""
    rows: dict[str, list[LabelRow]]
    """The rows behind them."""
    uris: dict[str, str]
    """Video id -> where it came from."""
    facts: dict[str, Any]
    """What the task took from the training rows."""
    level: str
    """`segment` where labels have spans, else `video`."""
    left_out: dict[str, int]
    """Rows that were not used, by reason."""


def label_examples(
    task: Task,
    rows: Sequence[LabelRow],
    samples: Iterable[Mapping[str, Any]],
    config: FinetuneConfig,
    *,
    location: str,
    encode: Encode,
    around: int,
    part: int = 0,
) -> Labelled:
    """Examples of a task. Raises InputError for labels that name no video, leak, or leave nothing to learn."""
    _check_options(task, config)
    own = [row for row in rows if task.takes(row)]
    if not own:
        raise InputError(f"no row of labels {location} has {task.needs}, which {task.name} needs; add it")
    videos = _labelled_videos(own, samples)
    uris = {video_id: str(sample["uri"]) for video_id, sample in videos.items()}
    found, unknown = match_videos(own, uris, location)
    if unknown and config.unknown_videos == "refuse":
        raise InputError(
            f"line {unknown[0].line} of labels {location} names {unknown[0].video!r}, which is not there, as are "
            f"{len(unknown)} rows; correct them, or leave them out with --finetune.unknown-videos skip"
        )
    splits = split_rows(found, location, validation=config.validation_fraction, test=config.test_fraction)
    facts = task.facts([row for _, row in splits["train"]], config)
    left_out = Counter({"the video is not there": len(unknown)})
    sight = _sight(config, around)
    examples: dict[str, list[Example]] = {name: [] for name in SPLITS}
    kept: dict[str, list[LabelRow]] = {name: [] for name in SPLITS}
    for split, members in splits.items():
        for video_id, row in members:
            target = task.target(row, facts, encode)
            example = see(videos[video_id], row, sight, task=task, encode=encode, target=target)
            if target is None:
                left_out["no training row has such an answer"] += 1
            elif example is None:
                left_out["the span is outside of its video"] += 1
            else:
                examples[split].append(replace(example, part=part))
                kept[split].append(row)
        if not examples[split]:
            raise InputError(f"no row of the {split} split can be used ({dict(left_out)}); correct labels {location}")
    level = "segment" if any(row.start_seconds is not None for _, row in found) else "video"
    return Labelled(
        examples=examples, rows=kept, uris=uris, facts=facts, level=level,
        left_out={reason: count for reason, count in left_out.items() if count},
    )  # fmt: skip


def add_views(
    task: Task,
    labelled: Labelled,
    samples: Iterable[Mapping[str, Any]],
    config: FinetuneConfig,
    *,
    encode: Encode,
    around: int,
) -> None:
    """Add training examples as another view of their videos shows them; what is measured stays as it is."""
    sight = _sight(config, around)
    rows: dict[str, dict[LabelRow, Example]] = {}
    for example, row in zip(labelled.examples["train"], labelled.rows["train"], strict=True):
        rows.setdefault(example.video_id, {})[row] = example
    for sample in samples:
        for row, example in rows.get(sample["video_id"], {}).items():
            seen = see(sample, row, sight, task=task, encode=encode, target=example.target)
            if seen is not None:
                labelled.examples["train"].append(replace(seen, part=example.part))
                labelled.rows["train"].append(row)


def check_splits(tables: Sequence[tuple[str, Labelled]]) -> None:
    """Raise InputError for a video that is in different splits of labels that are learnt together."""
    places: dict[str, tuple[str, str]] = {}
    for location, labelled in tables:
        for split, examples in labelled.examples.items():
            for video_id in {example.video_id for example in examples}:
                known, where = places.setdefault(video_id, (split, location))
                if known != split:
                    raise InputError(
                        f"video {labelled.uris[video_id]} is in the {known} split of labels {where} and in the {split} "
                        f"split of labels {location}; put it into one split of both, or name no splits"
                    )


def see(
    sample: Mapping[str, Any], row: LabelRow, sight: Sight, *, task: Task, encode: Encode, target: Any = None
) -> Example | None:
    """What the network sees of a row's span; None where the video ends before it."""
    first, last = clips_of(sample, row)
    if last <= first:
        return None
    return sight.example(
        from_json(sample), first, last, words=lambda said: task.text_of(row, said, encode), target=target,
        options=task.options(row, encode),
    )  # fmt: skip


def clips_of(sample: Mapping[str, Any], row: LabelRow) -> tuple[int, int]:
    """[first, last) of a row's span, or of the whole video; the clip in the middle of a span that is shorter than a
    clip, nothing outside."""
    starts_N, ends_N = sample["clip_starts"], sample["clip_ends"]
    start, end = row.start_seconds, row.end_seconds
    if start is None or end is None:
        return 0, len(starts_N)
    first, last = span_clips(starts_N, ends_N, start_seconds=start, end_seconds=end)
    if last > first:
        return first, last
    middle = (start + end) / 2
    inside = [i for i, (begin, stop) in enumerate(zip(starts_N, ends_N, strict=True)) if begin <= middle <= stop]
    return (inside[0], inside[0] + 1) if inside else (0, 0)


def _sight(config: FinetuneConfig, around: int) -> Sight:
    return Sight(reads=config.reads, around=around, by_segment=config.spans == "segments")


def _check_options(task: Task, config: FinetuneConfig) -> None:
    if config.spans == "segments" and not task.by_segment:
        raise InputError(f"finetune.spans is segments, which {task.name} does not read; leave it at whole")
    if config.pool == "words" and not task.by_segment:
        raise InputError(f"finetune.pool is words, which {task.name} does not read; leave it at mean")
    if config.augment.drop_text and task.asks:
        raise InputError(
            f"finetune.augment.drop_text {config.augment.drop_text} would leave out what {task.name} asks; set it to 0"
        )


def _labelled_videos(rows: Sequence[LabelRow], samples: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Samples that some row may mean, by video id, sorted. Raises InputError where there are none at all."""
    wanted = {row.video for row in rows}
    found, count = {}, 0
    for sample in samples:
        count += 1
        path = PurePosixPath(sample["uri"])
        if wanted & {sample["video_id"], sample["uri"], path.name, path.stem}:
            found[sample["video_id"]] = sample
    if not found:
        raise InputError(
            f"the labels name none of the {count} videos, such as {rows[0].video!r}; name them by id, URI or file "
            "name, or choose the batches that hold them with --batch"
        )
    return dict(sorted(found.items()))

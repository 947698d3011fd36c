"""Training when a week of batches is complete, where a deployment asks for it.

VIDEOBERT_TRAIN_AFTER   `week`: once each day from Monday to Sunday has its features or was found empty

`videobert_ingest` then ends in `day_is_done`, whose asset events Airflow's own mapper rolls up: seven days, one
training. The features' own events would not do: a day without videos has none, and would hold its week for ever.
"""

from __future__ import annotations

import os
from datetime import date
from typing import Any

from airflow.sdk import (
    Asset,
    PartitionedAssetTimetable,
    RollupMapper,
    StartOfWeekMapper,
    WeekWindow,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException

from videobert.errors import InputError

__all__ = ["after_week", "day_is_done", "trains_after_week"]

_DAYS = Asset(name="videobert_days", uri="x-videobert://days")
_DAY = "%Y-%m-%d"


def trains_after_week() -> bool:
    """Whether a complete week starts a training. Raises InputError for a setting that cannot be meant."""
    value = os.environ.get("VIDEOBERT_TRAIN_AFTER", "")
    if value not in ("", "week"):
        raise InputError(f"VIDEOBERT_TRAIN_AFTER is {value!r}; set it to week, or leave it out")
    if value and os.environ.get("VIDEOBERT_TRAIN_CRON", "none") != "none":
        raise InputError("VIDEOBERT_TRAIN_AFTER and VIDEOBERT_TRAIN_CRON are both set; a training has one schedule")
    return bool(value)


def after_week() -> PartitionedAssetTimetable:
    """One run for seven days; its partition is the Monday."""
    monday = StartOfWeekMapper(input_format=_DAY, output_format=_DAY)
    return PartitionedAssetTimetable(
        assets=_DAYS, default_partition_mapper=RollupMapper(upstream_mapper=monday, window=WeekWindow())
    )


def day_is_done() -> list[Any]:
    """The task that ends a day's run, or none; a skipped day counts, a failed one does not."""
    if not trains_after_week():
        return []

    @task(outlets=[_DAYS], trigger_rule="none_failed", retries=1)
    def day_is_done() -> None:
        """Count this day for its week; a batch of another name belongs to none."""
        context: Any = get_current_context()
        key = context["dag_run"].partition_key or context["params"]["batch"]
        try:
            date.fromisoformat(key)
        except ValueError as error:
            raise AirflowSkipException(f"batch {key} is no day, so it counts for no week") from error
        context["outlet_events"][_DAYS].add_partitions(key)

    return [day_is_done()]

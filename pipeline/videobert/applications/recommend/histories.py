"""Who watched what and when: a table of people's own, read from Parquet, CSV or JSON lines.

E events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.runtime.record_files import read_rows

__all__ = ["Histories", "read_histories"]

_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """Events in the order of persons and, of one person, as they stand in the file."""

    persons: list[str]
    """Distinct, sorted."""
    person_E: NDArray[np.int64]
    """Index into `persons`, ascending."""
    video_E: NDArray[np.object_]
    """Video id, or the URI of its source."""
    days_E: NDArray[np.float64]
    """Age of the event when the last of all happened."""

    def events_of(self, person: int) -> slice:
        """Where the events of a person are."""
        low, high = np.searchsorted(self.person_E, (person, person + 1))
        return slice(int(low), int(high))


def read_histories(url: str) -> Histories:
    """Read the columns `person`, `video_id` or `uri`, and `time` (a timestamp, a date or seconds) where there is one.

    Raises InputError for a file that is not there, is of another kind or lacks a column.
    """
    table = read_rows(url, what="history")
    names = set(table.column_names)
    video = next((name for name in ("video_id", "uri") if name in names), None)
    if "person" not in names or video is None:
        raise InputError(
            f"{url} has the columns {', '.join(table.column_names)}; a history has `person`, `video_id` or `uri`, and "
            "`time` where it is known"
        )
    table = table.filter(pc.and_(pc.is_valid(table["person"]), pc.is_valid(table[video])))
    if not table.num_rows:
        raise InputError(f"{url} holds no event with a person and a {video}; give a history that has some")
    person_E = pc.cast(table["person"], pa.string()).to_numpy()
    persons, index_E = np.unique(person_E.astype(str), return_inverse=True)
    order = np.argsort(index_E, kind="stable")
    return Histories(
        persons=persons.tolist(),
        person_E=index_E[order],
        video_E=pc.cast(table[video], pa.string()).to_numpy()[order].astype(object),
        days_E=_ages(url, table)[order],
    )


def _ages(url: str, table: pa.Table) -> NDArray[np.float64]:
    """Days between each event and the last one; 0 where no time is given."""
    if "time" not in table.column_names:
        return np.zeros(table.num_rows)
    time = table["time"]
    try:
        if not (pa.types.is_integer(time.type) or pa.types.is_floating(time.type)):
            time = pc.cast(pc.cast(time, pa.timestamp("us")), pa.int64())
            time = pc.divide(pc.cast(time, pa.float64(), safe=False), 1e6)
        seconds_E = pc.cast(time, pa.float64()).to_numpy().astype(np.float64)
    except pa.ArrowInvalid as error:
        raise InputError(f"the times of {url} are none ({error}); give timestamps, dates or seconds") from error
    known = np.isfinite(seconds_E)
    last = seconds_E[known].max(initial=-np.inf)
    # An event whose time nobody knows counts as the oldest that is known.
    oldest = seconds_E[known].min(initial=last)
    return np.asarray((last - np.where(known, seconds_E, oldest)) / _DAY)

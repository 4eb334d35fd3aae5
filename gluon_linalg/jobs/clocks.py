"""The line on which times are counted: as written, as instants, or as the days of a time zone."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import List, Optional, Tuple

import numpy as np
from typing_extensions import Protocol

from .errors import JobError
from .moments import Moments, minutes_of, to_datetime

UTC = timezone.utc


class Clock(Protocol):
    """What places times on the line."""

    def line(self, moments: Moments) -> np.ndarray:
        """Places on the line, datetime64 (n,)."""

    def shown(self, place: np.datetime64) -> Tuple[datetime, Optional[int]]:
        """What clocks show at a place, and the offset from UTC that is written with it."""


def find_zone(name: str) -> tzinfo:
    """The zone of a name such as Europe/Berlin; JobError for an unknown one."""
    try:
        from zoneinfo import ZoneInfo
    except ImportError:
        # Python 3.8
        from backports.zoneinfo import ZoneInfo  # type: ignore[no-redef]
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise JobError(
            f"data.timezone: '{name[:40]}': unknown time zone; write it as Europe/Berlin, "
            "America/New_York or UTC"
        ) from None


def clocks_for(moments: Moments, zone: Optional[tzinfo], is_within_days: bool) -> List[Clock]:
    """The clocks that can explain the `Moments`, the likeliest first.

    zone: of `find_zone`, or None; is_within_days: whether the steps are shorter than a day.
    """
    if moments.offsets is not None:
        if is_within_days:
            return [Instants(moments, zone)]
        return [Written(moments), Instants(moments, None)] if zone is None else [
            LocalDays(moments, zone)
        ]  # fmt: skip
    if zone is None or not moments.style.join:
        return [Written(moments)]
    if is_within_days:
        return [Written(moments), LocalClock(moments, zone)]
    midnights = moments.walls == moments.walls.astype("datetime64[D]")
    if midnights.all():
        return [Written(moments), LocalDays(moments, zone)]
    return [LocalDays(moments, zone), Written(moments)]


class Written:
    """What clocks show."""

    def __init__(self, moments: Moments) -> None:
        self._offset = None if moments.offsets is None else int(moments.offsets[-1])

    def line(self, moments: Moments) -> np.ndarray:
        return moments.walls

    def shown(self, place: np.datetime64) -> Tuple[datetime, Optional[int]]:
        return to_datetime(place), self._offset


class Instants:
    """What clocks show whose offset from UTC stays that of the first time.

    New times have the offset of the last one, or that of the zone, where it has changed before.
    """

    def __init__(self, moments: Moments, zone: Optional[tzinfo]) -> None:
        assert moments.offsets is not None
        self._first, self._last = int(moments.offsets[0]), int(moments.offsets[-1])
        self._zone = zone if (moments.offsets != self._first).any() else None

    def line(self, moments: Moments) -> np.ndarray:
        return moments.instants() + np.timedelta64(self._first, "m")

    def shown(self, place: np.datetime64) -> Tuple[datetime, Optional[int]]:
        return _with_offset(to_datetime(place - np.timedelta64(self._first, "m")), self)


class LocalDays:
    """What clocks of a zone show; times without an offset are of UTC."""

    def __init__(self, moments: Moments, zone: tzinfo) -> None:
        self._zone, offsets = zone, moments.offsets
        self._last = None if offsets is None else int(offsets[-1])
        self._own = offsets is not None and (offsets != self._last).any()

    def line(self, moments: Moments) -> np.ndarray:
        instants = [to_datetime(instant) for instant in moments.instants()]
        local = [_local(instant, self._zone) for instant in instants]
        clocks = [wall.time() for wall in local]
        usual = max(sorted(set(clocks)), key=clocks.count)
        for index, (wall, instant) in enumerate(zip(local, instants)):
            # Where the clocks skip midnight, a day begins later.
            expected = datetime.combine(wall.date(), usual)
            if wall != expected and _utc(expected, self._zone) == instant:
                local[index] = expected
        return np.array(local, "datetime64[us]")

    def shown(self, place: np.datetime64) -> Tuple[datetime, Optional[int]]:
        instant = _utc(to_datetime(place), self._zone)
        if self._last is None:
            return instant, None
        return _with_offset(instant, self) if self._own else (
            instant + timedelta(minutes=self._last), self._last
        )  # fmt: skip


class LocalClock:
    """Instants of what clocks of a zone show; an hour that comes twice is told by its order."""

    def __init__(self, moments: Moments, zone: tzinfo) -> None:
        self._zone = zone
        first = to_datetime(moments.walls[0])
        self._offset = first - _utc(first, zone)

    def line(self, moments: Moments) -> np.ndarray:
        found: List[datetime] = []
        for wall in map(to_datetime, moments.walls):
            instant = _utc(wall, self._zone)
            if found and instant <= found[-1]:
                instant = _utc(wall.replace(fold=1), self._zone)
            found.append(instant)
        return np.array(found, "datetime64[us]") + np.timedelta64(self._offset)

    def shown(self, place: np.datetime64) -> Tuple[datetime, Optional[int]]:
        return _local(to_datetime(place) - self._offset, self._zone), None


def _with_offset(instant, clock):
    minutes = clock._last
    if clock._zone is not None:
        minutes = minutes_of(_local(instant, clock._zone) - instant)
    return instant + timedelta(minutes=minutes), minutes


def _local(instant, zone):
    return _converted(instant, UTC, zone).replace(fold=0)


def _utc(wall, zone):
    return _converted(wall, zone, UTC)


def _converted(wall, zone, other):
    try:
        return wall.replace(tzinfo=zone).astimezone(other).replace(tzinfo=None)
    except OverflowError:
        raise JobError(f"{wall} has no time in another zone; correct it") from None

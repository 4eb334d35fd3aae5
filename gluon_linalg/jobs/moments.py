"""Times as tables write them: dates, with a time of day and an offset from UTC, and quarters."""

import re
from datetime import datetime, timedelta
from typing import List, NamedTuple, Optional, Sequence, Union

import numpy as np

TIME = re.compile(
    r"(?:(?P<year>\d{4})(?:(?P<mark>[-/])(?P<month>\d{1,2})(?:(?P=mark)(?P<day>\d{1,2}))?"
    r"|(?P<points>\.)(?P<month_>\d{1,2})\.(?P<day_>\d{1,2}))"
    r"|(?P<first>\d{1,2})(?P<between>[-/.])(?P<second>\d{1,2})(?P=between)(?P<last>\d{4})"
    r"|(?P<of>\d{4})(?P<dash>[- ]?)Q(?P<quarter>[1-4]))"
    r"(?:(?P<join>[T ])(?P<hour>\d{1,2}):(?P<minute>\d{2})"
    r"(?::(?P<seconds>\d{2})(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<offset>Z| ?UTC|[-+]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
# Numbers, but in a column of times.
COMPACT = re.compile(r"([12]\d{3})(0[1-9]|1[0-2])(\d{2})?", re.ASCII)
# Of other forms: 2010-W01, 2010M01, 1.1.10, 1 Jan 2010.
RESEMBLES = re.compile(
    r"\d{1,4}[-/. ]\w+[-/. ]\d{1,4}\b.*|\d{4}[- ]?[WM]\d{1,2}.*"
    r"|(?=.*\d).*\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*",
    re.ASCII | re.IGNORECASE,
)
FORMS = "1958-03, 1958-03-01, 31/12/1958, 1958Q1 or 1958-03-01 12:00"


class WrongTime(ValueError):
    """What is wrong with one of several texts, number `index`."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


class Style(NamedTuple):
    """How a column writes its times.

    order: of year, month, day or quarter; mark: what stands between them; join: between date and
    time of day, empty without one; offset: how an offset from UTC is written, empty without one.
    """

    order: str
    mark: str
    is_padded: bool
    join: str
    hour_is_padded: bool
    seconds: bool
    digits: int
    offset: str

    def text(self, wall: datetime, offset: Optional[int]) -> str:
        """A time as the column would have it; offset: minutes east of UTC, if it has such."""
        two = "02d" if self.is_padded else "d"
        parts = {"y": f"{wall.year:04d}", "m": f"{wall.month:{two}}", "d": f"{wall.day:{two}}"}
        parts["q"] = f"Q{(wall.month + 2) // 3}"
        text = self.mark.join(parts[letter] for letter in self.order)
        if not self.join:
            return text
        text += f"{self.join}{wall.hour:{'02d' if self.hour_is_padded else 'd'}}:{wall.minute:02d}"
        if self.seconds:
            text += f":{wall.second:02d}"
        if self.digits:
            text += f".{wall.microsecond:06d}000"[: 1 + self.digits]
        return text + self._offset(offset)

    def _offset(self, minutes):
        if not self.offset or self.offset[-1] in "ZC":
            return self.offset
        hours, rest = divmod(abs(minutes), 60)
        colon = ":" if ":" in self.offset else ""
        whole = f"{'-' if minutes < 0 else '+'}{hours:02d}"
        return whole if len(self.offset) == 3 and not rest else f"{whole}{colon}{rest:02d}"


class Moments(NamedTuple):
    """The times of a column. walls (n,): as clocks show them, datetime64[us].

    offsets (n,): minutes east of UTC, or None where the column has none.
    """

    walls: np.ndarray
    offsets: Optional[np.ndarray]
    style: Style

    def take(self, rows: Union[Sequence[int], np.ndarray]) -> "Moments":
        """Those of these rows, in this order."""
        offsets = None if self.offsets is None else self.offsets[rows]
        return Moments(self.walls[rows], offsets, self.style)

    def instants(self) -> np.ndarray:
        """In UTC where the column has offsets, (n,)."""
        if self.offsets is None:
            return self.walls
        return self.walls - self.offsets.astype("timedelta64[m]")

    def years(self) -> np.ndarray:
        """Decimal years: 1958-03 is 1958 + 3/12; 1958-03-16 lies (16 - 1)/31 of a month later."""
        instants = self.instants()
        month = instants.astype("datetime64[M]")
        begin = month.astype(instants.dtype)
        length = (month + 1).astype(instants.dtype) - begin
        share = (instants - begin) / length
        year = month.astype("datetime64[Y]")
        number = (month - year.astype(month.dtype)).astype(int) + 1
        return year.astype(int) + 1970 + (number + share) / 12


def is_time(text: str) -> bool:
    """Whether a text looks like a date, as opposed to a number."""
    return TIME.fullmatch(text) is not None


def find_order(texts: Sequence[str], day_first: Optional[bool]) -> Optional[bool]:
    """Whether the day stands before the month in dates such as 31/12/1958.

    day_first: what the job says. None where no date tells, and none needs to be told. ValueError
    where a date may be meant either way.
    """
    if day_first is not None:
        return day_first
    found = [match for match in map(TIME.fullmatch, texts) if match and match["first"]]
    # 31.12.1958 is written where the day comes first.
    found = [match for match in found if match["between"] != "."]
    pairs = [(int(match["first"]), int(match["second"])) for match in found]
    if any(first > 12 for first, _ in pairs):
        return True
    if any(second > 12 for _, second in pairs):
        return False
    for match, (first, second) in zip(found, pairs):
        if first != second:
            raise ValueError(
                f"'{match[0]}' may have the day first, or the month; set data.day_first: true or "
                "false"
            )
    return None


def read_moments(texts: Sequence[str], day_first: Optional[bool] = None) -> Moments:
    """The times of a column; `WrongTime` for a text that is none.

    day_first: as `find_order` tells.
    """
    found: List[re.Match] = []
    for index, text in enumerate(texts):
        match = TIME.fullmatch(text)
        if match is None:
            raise WrongTime(index, f"'{text[:40]}' is not a date such as {FORMS}")
        found.append(match)
    walls, offsets = np.empty(len(found), "datetime64[us]"), np.zeros(len(found), int)
    for index, match in enumerate(found):
        try:
            walls[index] = _wall(match, day_first)
            offsets[index] = _minutes(match["offset"])
        except ValueError:
            raise WrongTime(index, f"there is no date {match[0]}; correct it") from None
    has_offset = [match["offset"] is not None for match in found]
    if any(has_offset) and not all(has_offset):
        index = has_offset.index(False)
        raise WrongTime(index, f"{texts[index]} has no offset from UTC, but others have; add it")
    return Moments(walls, offsets if any(has_offset) else None, _style(found, day_first))


def read_compact(texts: Sequence[str]) -> Optional[Moments]:
    """The times of a column of texts such as 19580301, or such as 195803; None for any other."""
    found = [COMPACT.fullmatch(text) for text in texts]
    if not all(found) or len({len(text) for text in texts}) > 1:
        return None
    try:
        moments = read_moments(["-".join(filter(None, match.groups())) for match in found if match])
    except WrongTime:
        return None
    return moments._replace(style=moments.style._replace(mark=""))


def _wall(match, day_first):
    if match["of"]:
        date = int(match["of"]), 3 * int(match["quarter"]) - 2, 1
    elif match["last"]:
        day, month = int(match["first"]), int(match["second"])
        if not _has_day_first(match, day_first):
            day, month = month, day
        date = int(match["last"]), month, day
    else:
        month, day = match["month"] or match["month_"], match["day"] or match["day_"] or 1
        date = int(match["year"]), int(month), int(day)
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "seconds"))
    return datetime(*date, hour, minute, second, int(f"{match['fraction'] or '':0<6}"[:6]))


def _has_day_first(match, day_first):
    return match["between"] == "." or day_first is not False


def _minutes(text):
    """+02:00 is 120."""
    if text is None or text[-1] in "ZC":
        return 0
    digits = text[1:].replace(":", "")
    minutes = 60 * int(digits[:2]) + int(digits[2:] or 0)
    if minutes >= 24 * 60:
        raise ValueError(text)
    return -minutes if text[0] == "-" else minutes


def _style(found, day_first):
    """That of the first, with as many digits as any has."""
    first = found[0]
    if first["of"]:
        order, mark = "yq", first["dash"]
    elif first["last"]:
        order = "dmy" if _has_day_first(first, day_first) else "mdy"
        mark = first["between"]
    else:
        order = "ymd" if first["day"] or first["day_"] else "ym"
        mark = first["mark"] or first["points"]
    clocks = [match for match in found if match["join"]]
    names = ("month", "month_", "day", "day_", "first", "second")
    return Style(
        order,
        mark,
        all(len(match[name] or "00") == 2 for match in found for name in names),
        clocks[0]["join"] if clocks else "",
        all(len(match["hour"]) == 2 for match in clocks),
        any(match["seconds"] for match in clocks),
        max((len(match["fraction"] or "") for match in clocks), default=0),
        clocks[0]["offset"] or "" if clocks else "",
    )


def to_datetime(moment: np.datetime64) -> datetime:
    """Python's datetime; OverflowError after the year 9999."""
    found = moment.astype("datetime64[us]").item()
    if not isinstance(found, datetime):
        raise OverflowError("not in the years 1 to 9999")
    return found


def minutes_of(difference: timedelta) -> int:
    """The whole minutes of a difference."""
    return round(difference.total_seconds() / 60)

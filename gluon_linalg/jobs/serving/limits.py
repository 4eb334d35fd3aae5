"""What one request may take."""

from dataclasses import dataclass


@dataclass
class Limits:
    """The bytes and rows of a body, and the seconds for it to arrive and for its answer."""

    most_bytes: int
    most_rows: int
    seconds: float

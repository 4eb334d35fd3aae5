"""A request that is not answered with predictions."""

# Messages repeat names and values of the request, which may be of any length.
LONGEST = 400


class Refused(Exception):
    """What HTTP answers instead: a status and one line that says why."""

    def __init__(self, status: int, message: object) -> None:
        # JSON can write half of a surrogate pair, which no answer can repeat.
        line = " ".join(str(message).split()).encode(errors="replace").decode()
        super().__init__(line if len(line) <= LONGEST else f"{line[:LONGEST]}...")
        self.status = status

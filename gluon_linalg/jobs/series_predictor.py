"""What series have in common that a model forecasts: how many of their steps it is tried with."""

from itertools import cycle, islice
from typing import Callable, Iterator, List, Optional, Sequence, Union

from .data import JsonSeries, TableRows
from .predictor import JobPredictor

# The fewest observations of a series to begin with.
FEWEST = 3


class SeriesPredictor(JobPredictor):
    """Forecasts `steps` steps after the last observation of a series, in the columns `targets`.

    time: the column of times, None where there is none; item: that of the names of series;
    least_observations: of which a forecast needs; known_ahead: how many rows after the last
    observation have covariates.
    """

    targets: Sequence[str]
    steps: int
    time: Optional[str]
    item: Optional[str]
    least_observations = 1
    known_ahead = 0

    def counted_times(self, texts: List[str]) -> Callable[[int], str]:
        """How the column of times, of which these are some, calls its steps, by their numbers."""
        raise NotImplementedError

    def samples(
        self, sample: Union[TableRows, JsonSeries]
    ) -> Iterator[Union[TableRows, JsonSeries]]:
        """Its last observations, more of them each time.

        How few a series may have is known to the model alone.
        """
        length, count = self._length(sample), FEWEST
        while count < length:
            yield self._last(sample, count, length)
            count *= 2
        yield self._last(sample, length, length)

    def sample_rows(self, sample: TableRows, count: int) -> TableRows:
        (_, header), *rows = sample.rows
        count = max(count, self.least_observations)
        total = count + self.known_ahead
        columns = [
            self._repeated(name, [cell for cell in cells if cell], total)
            for name, cells in zip(header, zip(*(cells for _, cells in rows)))
        ]
        for place in map(header.index, self.targets):
            columns[place][count:] = [""] * self.known_ahead
        made = enumerate(map(list, zip(*columns)), start=1)
        return TableRows(sample.name, [(0, header), *made])

    def _repeated(self, name, cells, total):
        if name == self.time:
            return [*map(self.counted_times(cells), range(total))]
        # All of one series.
        return list(islice(cycle(cells[:1] if name == self.item else cells), total))

    def _length(self, sample):
        """The number of its rows up to the last observation."""
        (_, header), *rows = sample.rows
        places = [header.index(name) for name in self.targets]
        seen = (any(cells[place] for place in places) for _, cells in rows)
        return max(index for index, is_seen in enumerate(seen, start=1) if is_seen)

    def _last(self, sample, count, length):
        """The last `count` steps up to the last observation, and what is known of later ones."""
        header, *rows = sample.rows
        return sample._replace(rows=[header, *rows[length - count :]])

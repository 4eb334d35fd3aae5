"""Rows to try a model with: those that training has kept with it, as few or as many as wanted."""

from datetime import date
from itertools import cycle, islice

from ..data import JsonSeries, TableRows
from ..sample import read_sample
from ..steps import start_at

NAME = "the sample"
START = date(2000, 1, 1)
# The fewest observations of a series to begin with.
FEWEST = 3


def samples(model):
    """The sample of a `TrainedModel`; of a series the last observations, more of them each time.

    How few a series may have is known to the model alone.
    """
    sample, predictor = read_sample(model.folder), model.predictor
    if not _is_of_series(predictor):
        yield sample._replace(name=NAME)
        return
    length = _length(sample, predictor)
    count = FEWEST
    while count < length:
        yield _last(sample, predictor, count)
        count *= 2
    yield _last(sample, predictor, length)


def sample_rows(model, count):
    """Rows for which the model of a `TrainedModel` computes `count` rows, made of its sample.

    A row is computed for each of a regression; of a series, which has regular times, `count` are
    observed, or as many as a forecast needs, and the covariates of its forecast follow.
    """
    sample, description = read_sample(model.folder), model.description
    if isinstance(sample, list):
        return JsonSeries(NAME, [_repeated(sample[0], count, model.predictor.steps)])
    (_, header), *rows = sample.rows
    values = {name: [cell for cell in cells if cell] for name, cells in _columns(header, rows)}
    time_of = _counted(model, values.get(description.get("time")))
    count = max(count, description.get("least_observations", 1))
    later = description.get("steps", 0) if description.get("covariates") else 0
    made = [(0, header)]
    for index in range(count + later):
        cells = [
            time_of(index)
            if name == description.get("time")
            else _cell(description, name, index, values[name])
            for name in header
        ]
        if index >= count:
            cells[header.index(description["target"])] = ""
        made.append((index + 1, cells))
    return TableRows(NAME, made)


def _is_of_series(predictor):
    """Whether it forecasts, so many steps."""
    return hasattr(predictor, "steps")


def _length(sample, predictor):
    if isinstance(sample, list):
        return len(sample[0]["target"])
    (_, header), *rows = sample.rows
    place = header.index(predictor.target)
    return max(index for index, (_, cells) in enumerate(rows, start=1) if cells[place])


def _last(sample, predictor, count):
    """The last `count` steps up to the last observation, and what is known of later ones."""
    begin = _length(sample, predictor) - count
    if isinstance(sample, TableRows):
        return TableRows(NAME, [sample.rows[0], *sample.rows[1 + begin :]])
    series = dict(sample[0])
    times = _forecast_times([series["start"]], predictor)
    series["start"] = times.text(times.start + begin)
    series["target"] = series["target"][begin:]
    if "feat_dynamic_real" in series:
        series["feat_dynamic_real"] = [row[begin:] for row in series["feat_dynamic_real"]]
    return JsonSeries(NAME, [series])


def _repeated(series, count, steps):
    """A series with features of another length, from the same start."""
    repeated = {**series, "target": list(islice(cycle(series["target"]), count))}
    if "feat_dynamic_real" in series:
        repeated["feat_dynamic_real"] = [
            list(islice(cycle(row), count + steps)) for row in series["feat_dynamic_real"]
        ]
    return repeated


def _columns(header, rows):
    return zip(header, zip(*(cells for _, cells in rows)))


def _cell(description, name, index, values):
    # All of one series.
    if name in (description.get("series"), description.get("item")):
        return values[0]
    return values[index % len(values)]


def _counted(model, texts):
    """How the column of times calls its steps, by their numbers; None where there is none."""
    description = model.description
    if texts is None:
        return None
    if "freq" in description:
        times = _forecast_times(texts, model.predictor)
        return lambda index: times.text(times.start + index)
    step = description["step"]
    if description["has_dates"]:
        return start_at(step, START).text
    return lambda index: f"{index * step:.12g}"


def _forecast_times(texts, predictor):
    # Forecasters need pandas, other models do without.
    from ..forecast.times import Times, order_of

    return Times(texts, predictor.freq, predictor.format, order_of(texts, predictor.format))

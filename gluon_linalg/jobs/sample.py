"""A few rows of a job's data, kept with its model: they show that it answers, and how to ask."""

import csv
import json
import os
from typing import Any, Dict, List, NamedTuple, Sequence, Union

from . import output as names
from .data import JsonSeries, Table, TableRows
from .errors import JobError, reason
from .files import replacing, write_csv

# What messages call it.
NAME = "the sample"
# Of a model whose rows are independent of each other.
COUNT = 3


class Sample(NamedTuple):
    """Rows of a table as texts: a series up to its last observation, or any rows.

    What stands after the last observation are the covariates of a forecast.
    """

    header: List[str]
    rows: List[List[str]]


def first_rows(table: Table, columns: Sequence[str]) -> Sample:
    """The `Sample` of a `Table` whose rows are independent of each other."""
    cells = [table.texts[name][:COUNT] for name in columns]
    return Sample(list(columns), list(map(list, zip(*cells))))


def write_sample(folder: names.OutputFolder, sample: Union[Sample, Dict[str, Any]]) -> None:
    """Writes a `Sample`, or a series with features, as JSON has it, into an `OutputFolder`."""
    if isinstance(sample, Sample):
        write_csv(folder.file(names.SAMPLE), *sample)
        return
    with replacing(folder.file(names.SAMPLE_SERIES)) as trial, open(trial, "w") as file:
        json.dump(sample, file)
        file.write("\n")


def read_sample(folder: str) -> Union[TableRows, JsonSeries]:
    """`TableRows`, or `JsonSeries` with features; JobError where there is no sample."""
    path = os.path.join(folder, names.SAMPLE)
    series = os.path.join(folder, names.SAMPLE_SERIES)
    try:
        if os.path.exists(series):
            with open(series, encoding="utf-8") as file:
                return JsonSeries(NAME, [json.loads(line) for line in file])
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(enumerate(csv.reader(file, strict=True), start=1))
    except (OSError, ValueError, csv.Error) as error:
        raise JobError(
            f"{path}: the sample of the data cannot be read: {reason(error)}; train again with "
            "--overwrite"
        ) from None
    return TableRows(NAME, rows)

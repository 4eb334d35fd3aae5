"""All cases, in the order of the page."""

from typing import List

from .case import Case
from .decompositions.cases import cases as decomposition_cases
from .forecasting.cases import cases as forecasting_cases
from .kalman.cases import cases as kalman_cases
from .processes.cases import cases as process_cases
from .programs.cases import cases as program_cases
from .regression.cases import cases as regression_cases


def all_cases() -> List[Case]:
    """Of every family."""
    return [
        *kalman_cases(),
        *decomposition_cases(),
        *regression_cases(),
        *process_cases(),
        *forecasting_cases(),
        *program_cases(),
    ]

"""The shared checks that every block passes; `check_block` runs all of them."""

from .block import check_block
from .gradients import central_differences
from .methods import check_methods
from .modes import MODES, Result, run_modes
from .operators import assert_runs_on_gpu

__all__ = [
    "MODES",
    "Result",
    "assert_runs_on_gpu",
    "central_differences",
    "check_block",
    "check_methods",
    "run_modes",
]

"""A training job, and the import of the package."""

from typing import List

from ..case import HERE, Case, Contender, ours

JOB = "examples/co2_structural/job.yaml"


def cases() -> List[Case]:
    """In the order of the page."""
    return [
        Case(
            "job/co2_structural",
            "programs",
            f"`gluon-linalg train {JOB}`, its training",
            inputs=dict,
            contenders=ours(f"{__package__}.ours:Job", path=JOB),
            tolerance=1e-6,
            turns=3,
            memory=False,
        ),
        Case(
            "import/package",
            "programs",
            "import of the package, after MXNet",
            inputs=dict,
            contenders=[
                Contender("MXNet itself", HERE, f"{__package__}.ours:Import", {"what": "mxnet"}),
                Contender("package", HERE, f"{__package__}.ours:Import", {"what": "gluon_linalg"}),
            ],
            tolerance=1e-6,
            turns=7,
            memory=False,
            threads=(1,),
        ),
    ]

"""What a principal component analysis is to the commands."""

from typing import Any, Dict, Iterator

from .. import output as names
from ..summary import left_out
from ..task_kind import TaskKind
from .config import PrincipalComponentsJob
from .predict import PrincipalComponentsPredictor
from .task import COMPONENTS, SCORES, PrincipalComponents


def summary(metrics: Dict[str, Any]) -> Iterator[str]:
    """The lines that tell how a job went."""
    yield from left_out(metrics)
    ratios, rows = metrics["components"]["explained_ratio"], metrics["rows"]
    yield f"{len(ratios)} components explain {sum(ratios):.1%} of the variance of {rows} rows"
    for number, ratio in enumerate(ratios, start=1):
        yield f"  component {number}: {ratio:.1%}"


KIND = TaskKind(
    name="pca",
    title="principal component analysis",
    sections=PrincipalComponentsJob,
    task=PrincipalComponents,
    summary=summary,
    predictor=PrincipalComponentsPredictor,
    predicts="The columns of the job; each row gets its scores.",
    files=(*names.GRAPH, SCORES, COMPONENTS, names.PLOT),
)

"""What a linear discriminant analysis is to the commands."""

from typing import Any, Dict, Iterator

from .. import output as names
from ..summary import left_out
from ..task_kind import TaskKind
from .config import DiscriminantJob
from .predict import DiscriminantPredictor
from .task import CLASSES, DIRECTIONS, Discriminants


def summary(metrics: Dict[str, Any]) -> Iterator[str]:
    """The lines that tell how a job went."""
    yield from left_out(metrics)
    yield _told("", metrics["training"])
    shares = metrics["directions"]["shares"]
    for number, share in enumerate(shares, start=1):
        yield f"  direction {number}: {share:.1%} of what tells the classes apart"
    if metrics["holdout"] is not None:
        yield _told("hold-out of ", metrics["holdout"])


def _told(what, found):
    return (
        f"{what}{found['rows']} rows: {found['accuracy']:.1%} in the right class, "
        f"log loss {found['log_loss']:.4g}"
    )


KIND = TaskKind(
    name="lda",
    title="linear discriminant analysis",
    sections=DiscriminantJob,
    task=Discriminants,
    summary=summary,
    predictor=DiscriminantPredictor,
    predicts="The columns of the job; each row gets its most probable class, the probabilities of "
    "all classes, and its scores.",
    files=(*names.GRAPH, CLASSES, DIRECTIONS, names.PLOT),
)

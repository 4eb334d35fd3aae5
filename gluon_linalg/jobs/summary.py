"""Lines of summaries that several kinds of jobs have: they tell how a job went."""

from typing import Any, Dict, Iterator


def left_out(metrics: Dict[str, Any]) -> Iterator[str]:
    """Of rows that the job did without, if it may."""
    if metrics.get("rows_left_out"):
        yield f"{metrics['rows_left_out']} rows lacked a value and were left out"


def likelihood(metrics: Dict[str, Any]) -> Iterator[str]:
    """Of a model that was trained by its marginal likelihood, and the rows it was judged by."""
    yield from left_out(metrics)
    nlml, holdout = metrics["nlml"], metrics["holdout"]
    yield (
        f"NLML {nlml['initial']:.4f} -> {nlml['trained']:.4f} "
        f"({nlml['trained_per_observation']:.5f} per observation, {metrics['rows']} rows)"
    )
    yield training(metrics["training"])
    for path, value in metrics["parameters"]["trained"].items():
        yield f"  {path} = {_short(value)}"
    if holdout is not None:
        yield holdout_line(holdout)


def holdout_line(found: Dict[str, Any]) -> str:
    """Of the rows that a model was judged by."""
    return (
        f"hold-out of {found['rows']} rows: RMSE {found['rmse']:.4g}, "
        f"NLPD {found['nlpd']:.4g}, {found['coverage_95']:.1%} inside the 95 % band"
    )


def training(found: Dict[str, Any]) -> str:
    """Of the steps: how many, how long they took, and why they ended."""
    return (
        f"{found['optimizer']}: {found['iterations']} iterations, "
        f"{found['seconds']:.1f} s, {found['message']}"
    )


def _short(value):
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return f"{value:.6g}"

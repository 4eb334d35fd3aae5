"""Lines of summaries that several kinds of jobs have: they tell how a job went."""

from typing import Any, Dict, Iterator

# More have their place in summary.txt alone.
MOST_COEFFICIENTS = 30


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
    if nlml.get("is_bound"):
        yield "  a bound: the NLML itself is at most that"
    yield training(metrics["training"])
    for path, value in metrics["parameters"]["trained"].items():
        yield f"  {path} = {_short(value)}"
    yield from coefficients(metrics)
    if holdout is not None:
        yield holdout_line(holdout)


def holdout_line(found: Dict[str, Any]) -> str:
    """Of the rows that a model was judged by."""
    return f"hold-out of {found['rows']} rows: {judged(found)}"


def judged(found: Dict[str, Any]) -> str:
    """Of `holdout_metrics`."""
    shares = [
        f"{value:.1%} inside the {name.split('_')[1]} % band"
        for name, value in found.items()
        if name.startswith("coverage_")
    ]
    return ", ".join([f"RMSE {found['rmse']:.4g}, NLPD {found['nlpd']:.4g}", *shares])


def coefficients(metrics: Dict[str, Any]) -> Iterator[str]:
    """Of a regression, unless there are many, or one of each series."""
    found = metrics.get("coefficients", {})
    is_flat = all("mean" in own for own in found.values())
    if is_flat and len(found) <= MOST_COEFFICIENTS:
        for name, own in found.items():
            yield f"  coefficient of {name} = {_short(own['mean'])} (std {_short(own['std'])})"


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

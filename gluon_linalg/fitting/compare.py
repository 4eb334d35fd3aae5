"""Several fits side by side."""

from typing import Any

from .result import FitResult


def compare(**results: FitResult) -> Any:
    """Several fits in one pandas DataFrame, a row for each name, the lowest AIC first.

    Criteria compare models of the same observations. A bound on the likelihood has none: NaN, last.

    >>> y = np.cumsum(np.random.RandomState(0).randn(30))
    >>> level = gl.StructuralModel(gl.structural.LocalLevel())
    >>> trend = gl.StructuralModel(gl.structural.LocalLinearTrend())
    >>> level.initialize()
    >>> trend.initialize()
    >>> table = gl.compare(level=gl.fit(level, y), trend=gl.fit(trend, y))
    >>> sorted(table.index)
    ['level', 'trend']
    """
    import pandas

    rows = {
        name: {
            "log likelihood": result.log_likelihood,
            "parameters": len(result.vector),
            "observations": result.observations,
            "AIC": result.aic,
            "BIC": result.bic,
            "converged": result.converged,
        }
        for name, result in results.items()
    }
    return pandas.DataFrame.from_dict(rows, orient="index").sort_values("AIC")

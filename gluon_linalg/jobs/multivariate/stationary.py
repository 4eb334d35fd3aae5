"""Stationary series as data: vector autoregressions, and series that share factors."""

from typing import Any, List, Literal, Optional, Sequence

import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from ...blocks.multivariate import DynamicFactorModel, MultivariateModel, VARMAModel
from ...grammar.component_part import MOST_STATES
from ...grammar.section import Section
from .given import ERROR_SHARE, Count, Given, too_many

Lags = Annotated[int, Field(ge=0, le=MOST_STATES)]


class Varma(Section):
    """z_t = Σ Φ_i z_{t-i} + ε_t + Σ Θ_j ε_{t-j}, y_t = z_t + mean."""

    order: Annotated[List[Lags], Field(min_length=2, max_length=2)] = Field(
        [1, 0], description="(p, q): lags of the autoregression and of the moving average."
    )
    mean: bool = Field(True, description="Whether the series have means, which are learned.")

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        return too_many(len(names) * (max(self.order[0], 1) + self.order[1]))

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values."""
        mean: Any = given.means if self.mean else False
        covariance = np.diag(given.variances)
        return VARMAModel(
            len(given.names),
            tuple(self.order),
            innovation_covariance=covariance,
            mean=mean,
            **given.options,
        )


class Factors(Section):
    """y_{i,t} = mean_i + Σ_l w_l (λ_iᵀ f_{t-l} + u_{i,t-l}), f an autoregression."""

    count: Count = Field(1, description="The number of factors, fewer than series.")
    order: Count = Field(1, description="The lags of the autoregression of the factors.")
    error_order: Annotated[int, Field(ge=0, le=1)] = Field(
        0, description="1 for errors that are autoregressions, 0 for independent ones."
    )
    aggregation: Literal["growth", "sum", "mean", "last"] = Field(
        "growth",
        description="What series of `data.every` are made of: growth, the rate of growth of a sum "
        "or mean by those of its steps; sum, mean, or the last of its steps.",
    )
    mean: bool = Field(True, description="Whether the series have means, which are learned.")

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        if self.count >= len(names):
            return (
                f"{self.count} factors of {len(names)} series are not identified; lower count to "
                f"{len(names) - 1} at most"
            )
        return None

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values: principal components."""
        plain = DynamicFactorModel(
            len(given.names), self.count, every=given.every, aggregation=self.aggregation
        )
        sizes = np.array([np.sqrt(np.sum(np.square(own))) for own in plain.weights])
        deviations = np.sqrt(given.variances)
        standard = np.nan_to_num((given.y - given.means) / deviations)
        _, lengths, rows = np.linalg.svd(standard, full_matrices=False)
        share = np.maximum(lengths[: self.count] / np.sqrt(len(standard)), 0.1)
        loadings = rows[: self.count].T * share * (deviations / sizes)[:, None]
        ar = np.zeros((self.order, self.count, self.count))
        ar[0] = 0.5 * np.eye(self.count)
        mean: Any = given.means if self.mean else False
        return DynamicFactorModel(
            len(given.names),
            self.count,
            self.order,
            self.error_order,
            given.every,
            self.aggregation,
            loadings,
            ar,
            error_variance=ERROR_SHARE * given.variances / sizes**2,
            mean=mean,
            **given.options,
        )

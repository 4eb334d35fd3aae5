"""Linear-Gaussian models as data, whose matrices are learned."""

from typing import Any, ClassVar, List, Optional, Sequence, Tuple

import numpy as np
from pydantic import Field
from typing_extensions import Annotated

from ...blocks.multivariate import LinearGaussianModel, MultivariateModel
from ...grammar.json_schema import ShownAs
from ...grammar.section import Fixable, Number, Positives
from .given import ERROR_SHARE, Count, Given

Matrix = Annotated[
    List[List[Number]],
    ShownAs(
        {
            "type": ["array"],
            "title": "matrix",
            "items": {"type": "array", "items": {"type": "number"}},
        }
    ),
]


class Linear(Fixable):
    """x_{t+1} = A x_t + η_t, y_t = H x_t + mean + ε_t, all matrices being learned."""

    parameters: ClassVar[Tuple[str, ...]] = (
        "transition",
        "emission",
        "process_covariance",
        "observation_variance",
        "prior_mean",
        "prior_covariance",
    )

    states: Count = Field(..., description="The number of states.")
    transition: Optional[Matrix] = Field(None, description="The initial A; null for 0.9 I.")
    emission: Optional[Matrix] = Field(
        None, description="The initial H; null for principal directions."
    )
    process_covariance: Optional[Matrix] = Field(
        None, description="The initial covariance of η; null for I."
    )
    observation_variance: Optional[Positives] = Field(
        None, description="The initial variances of ε, one or one for each series."
    )
    prior_mean: Optional[List[Number]] = Field(
        None, description="The initial mean of x_1; null for zeros."
    )
    prior_covariance: Optional[Matrix] = Field(
        None,
        description="The covariance of x_1, which is kept; null for 5 I, about that of a process "
        "of A = 0.9 I.",
    )
    mean: bool = Field(
        True, description="Whether the series have means, which are learned, but for em."
    )
    fixed: List[str] = Field(
        ["process_covariance"],
        description="The parameters that are not trained: by default the covariance of η, which "
        "settles the size of the states.",
    )

    @classmethod
    def fixable(cls) -> Tuple[str, ...]:
        return cls.parameters

    def problem(self, names: Sequence[str]) -> Optional[str]:
        """What is wrong for these series, or None."""
        d, p = self.states, len(names)
        shapes = {
            "transition": (d, d),
            "emission": (p, d),
            "process_covariance": (d, d),
            "prior_mean": (d,),
            "prior_covariance": (d, d),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None:
                widths = {len(row) for row in value} if len(shape) == 2 else {d}
                if len(value) != shape[0] or widths != {d}:
                    return f"{name} is not of {' x '.join(map(str, shape))} numbers"
            if value is not None and name.endswith("covariance"):
                matrix = np.array(value)
                is_symmetric = np.allclose(matrix, matrix.T)
                if not (is_symmetric and np.linalg.eigvalsh(matrix).min() > 0):
                    return f"{name} is no covariance: symmetric, with eigenvalues above 0"
        if self.observation_variance is not None and len(self.observation_variance) not in (1, p):
            count = len(self.observation_variance)
            return f"observation_variance has {count} numbers; give 1 or {p}"
        return None

    def build(self, given: Given) -> MultivariateModel:
        """The block, with its initial values."""
        deviations = np.sqrt(given.variances)
        variance = self.observation_variance or ERROR_SHARE * given.variances
        emission: Any = self.emission
        if emission is None:
            standard = np.nan_to_num((given.y - given.means) / deviations)
            rows = np.linalg.svd(standard, full_matrices=True)[2]
            rows = np.resize(rows, (self.states, len(given.names)))
            emission = 0.5 * rows.T * deviations[:, None]
        mean: Any = given.means if self.mean else False
        model = LinearGaussianModel(
            len(given.names),
            self.states,
            self.transition,
            emission,
            self.process_covariance,
            variance if len(variance) > 1 else variance[0],
            self.prior_mean,
            self.prior_covariance or 5.0 * np.eye(self.states),
            mean,
            **given.options,
        )
        for name in self.fixed:
            getattr(model, name).grad_req = "null"
        return model

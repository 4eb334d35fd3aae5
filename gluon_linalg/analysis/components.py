"""What principal components explain, and of which columns they are made."""

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ..blocks.ppca import PPCALikelihoodLayer
from ..plots.components import plot_components, plot_loadings, plot_scree
from .index import index_of
from .tables import frame, text_table


def explained_columns(variances: np.ndarray, total: float) -> Any:
    """The table of k components by name: what each explains of the variance of all columns."""
    ratios = variances / total
    return {
        "explained_variance": variances,
        "explained_ratio": ratios,
        "cumulative_ratio": np.cumsum(ratios),
    }


def components_text(
    names: Sequence[str], variances: np.ndarray, total: float, loadings: np.ndarray
) -> List[str]:
    """The lines of both tables: what k components explain, and their loadings (d, k)."""
    columns = explained_columns(variances, total)
    numbers = [f"component {k + 1}" for k in range(len(variances))]
    rows = [
        (name, f"{columns['explained_variance'][k]:.5g}", f"{columns['explained_ratio'][k]:.1%}",
         f"{columns['cumulative_ratio'][k]:.1%}")
        for k, name in enumerate(numbers)
    ]  # fmt: skip
    explained = text_table(["", "variance", "share", "together"], rows)
    loaded = [(name, *(f"{value:+.3f}" for value in own)) for name, own in zip(names, loadings)]
    heads = ["loading", *(str(k + 1) for k in range(len(variances)))]
    return [*explained, "", *text_table(heads, loaded)]


class ComponentAnalysis:
    """Principal components of data (n, d); made by `gluon_linalg.analyze`.

    block: a `PCABlock`, of the components of these data, or a trained `PPCALikelihoodLayer`, of
    the model's own: the principal axes of W, with variances of W Wᵀ + σ² I along them.
    names: of the columns, those of a DataFrame if None. The loadings are the components
    themselves, of length 1, whether or not the block whitens.
    """

    def __init__(self, block: Any, x: Any, names: Optional[Sequence[str]] = None) -> None:
        data = np.asarray(x.asnumpy() if hasattr(x, "asnumpy") else x, dtype="float64")
        data = data.reshape(-1, data.shape[-1])
        if isinstance(block, PPCALikelihoodLayer):
            block.check_shapes({"d": data.shape[1]})
            mean, matrix, self.variances, self.total = _principal_axes(block)
        else:
            projection = block.fit(data)
            mean, self.total = data.mean(axis=0), float(np.var(data, axis=0, ddof=1).sum())
            self.variances = np.asarray(projection.values, dtype="float64").reshape(-1)
            matrix = projection.matrix.data().asnumpy().astype("float64")
        self._matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
        given = names if names is not None else getattr(x, "columns", None)
        self.names = (
            [f"x{k + 1}" for k in range(data.shape[1])] if given is None else [*map(str, given)]
        )
        self.index = index_of(x)
        self._scores = (data - mean) @ matrix

    def explained(self) -> Any:
        """explained_variance, explained_ratio and cumulative_ratio of each: a DataFrame."""
        return frame(explained_columns(self.variances, self.total), self._numbers())

    def loadings(self) -> Any:
        """The components, a column for each and a row for each column of the data: a DataFrame."""
        return frame(dict(zip(self._numbers(), self._matrix.T)), self.names)

    def scores(self) -> Any:
        """The data on the components: a DataFrame."""
        return frame(dict(zip(self._numbers(), self._scores.T)), self.index)

    def summary(self) -> str:
        """Both tables as text."""
        return (
            "\n".join(components_text(self.names, self.variances, self.total, self._matrix)) + "\n"
        )

    def plot_scree(self) -> Any:
        """What each component explains, and all together: a figure."""
        return plot_scree(self.variances / self.total)

    def plot_loadings(self) -> Any:
        """The loadings of each column: a figure."""
        return plot_loadings(self.names, self._matrix)

    def plot_biplot(self, color: Any = None) -> Any:
        """Rows on the first two components with the columns as arrows: a figure.

        color: of each row a number or a name, (n,).
        """
        return plot_components(
            self.variances / self.total, self._scores, self._matrix, self.names, color
        )

    def _numbers(self) -> List[int]:
        return list(range(1, len(self.variances) + 1))


def _principal_axes(layer: PPCALikelihoodLayer) -> Tuple[Any, np.ndarray, np.ndarray, float]:
    """Mean (d,), axes (d, k), the variances along them (k,), and that of all columns."""
    loading = layer.loading.data().asnumpy().astype("float64")
    noise = float(layer.noise_variance.value()[0])
    axes, sizes, _ = np.linalg.svd(loading, full_matrices=False)
    total = float(np.sum(sizes**2) + len(loading) * noise)
    return layer.mean.data().asnumpy().astype("float64"), axes, sizes**2 + noise, total

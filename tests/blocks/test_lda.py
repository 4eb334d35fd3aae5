"""Linear discriminant analysis in every mode."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import gluon_linalg as gl
from gluon_linalg import errors
from gluon_linalg.blocks.lda import LDABlock
from harness import check_block
from harness.modes import MODES, arrays, build, context, evaluate, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def data(batch, n, d, classes, seed=0):
    """Samples of classes with means well apart, and their labels."""
    random = np.random.RandomState(seed)
    labels = np.stack([random.permutation(n) % classes for _ in range(batch)])
    means = 2.0 * random.randn(classes, d) * np.arange(1, d + 1)
    return random.randn(batch, n, d) + means[labels] + 1.0, labels.astype("float64")


def scatters(x, labels):
    """S_w and S_b of one set by their definitions, without absent classes."""
    d = x.shape[1]
    within, between = np.zeros((d, d)), np.zeros((d, d))
    for c in np.unique(labels):
        members = x[labels == c]
        deviations = members - members.mean(axis=0)
        offset = (members.mean(axis=0) - x.mean(axis=0))[:, None]
        within += deviations.T @ deviations / len(x)
        between += len(members) * offset @ offset.T / len(x)
    return within, between


def eigenvalues(x, labels, ridge=0.0):
    within, between = scatters(x, labels)
    return scipy.linalg.eigh(between, within + ridge * np.eye(len(within)))[0][::-1]


class Labelled(mx.gluon.HybridBlock):
    """An LDABlock whose labels are constants, so that differences are taken of x alone."""

    def __init__(self, block, labels, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.block = block
            self.labels = self.params.get_constant("labels", mx.nd.array(labels))

    def hybrid_forward(self, F, x, labels):
        labels = F.broadcast_like(F.slice_like(labels, x, axes=(1,)), x, (0,), (0,))
        return self.block(x, labels)


@pytest.mark.parametrize("arguments", [{}, {"ridge": 0.3, "k": 1}, {"ridge": 0.1, "threshold": 4}])
def test_block(arguments, tmp_path):
    k, ridge = arguments.get("k", 2), arguments.get("ridge", 0.0)
    x, labels = data(2, 9, 2, 3)
    labels = labels[:1]

    def oracle(x, _):
        found = np.stack([eigenvalues(one, labels[0], ridge)[:k] for one in x])
        counted = found <= found[:, -1:] + arguments.get("threshold", np.inf)
        return [-(found * counted).sum(axis=1) / counted.sum(axis=1), found]

    factory = lambda: Labelled(LDABlock(3, details=True, **arguments), labels)  # noqa: E731
    check_block(factory, [[x[:1]], [x]], tmp_path, oracle, float32=1e-3)


@EVERY_MODE
@BOTH
def test_values_and_labels(mode, dtype, tmp_path):
    """Class indices, one-hot rows and an absent class; labels get a gradient of 0."""
    x, labels = data(2, 12, 3, 4)
    expected = np.stack([eigenvalues(a, b, 0.1)[:3] for a, b in zip(x, labels)])
    indices = in_mode(LDABlock(5, 3, 0.1, details=True), mode, arrays([x, labels], dtype), tmp_path)
    loss, values = indices(*arrays([x, labels], dtype))
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(values.asnumpy(), expected, rtol=tolerance)
    np.testing.assert_allclose(loss.asnumpy(), -expected.mean(axis=1), rtol=tolerance)
    rows = np.eye(5)[labels.astype(int)]
    block = LDABlock(5, 3, 0.1, one_hot=True, details=True)
    block = in_mode(block, mode, arrays([x, rows], dtype), tmp_path)
    assert (block(*arrays([x, rows], dtype))[1].asnumpy() == values.asnumpy()).all()
    weights = arrays([np.ones(2)], dtype) + [None]
    gradient = evaluate(indices, arrays([x, labels], dtype), weights).gradients
    assert not gradient[1].any() and np.isfinite(gradient[0]).all()


@pytest.mark.parametrize("ridge", [0.0, 0.2])
@BOTH
def test_fit(ridge, dtype, tmp_path):
    """The directions of scikit-learn's eigen solver, or of scipy with a ridge."""
    x, labels = data(1, 40, 4, 3)
    x, labels = x[0].astype(dtype), labels[0]
    block = LDABlock(3, ridge=ridge)
    fitted = block.fit(x, labels)
    within, between = scatters(x.astype("float64"), labels)
    within = within + ridge * np.eye(4)
    matrix = fitted.matrix.data().asnumpy().astype("float64")
    tolerance = 1e-9 if dtype == "float64" else 1e-5
    assert np.abs(matrix.T @ within @ matrix - np.eye(2)).max() < tolerance
    assert (matrix[np.abs(matrix).argmax(axis=0), [0, 1]] > 0).all()
    residual = between @ matrix - within @ matrix * fitted.values
    assert np.abs(residual).max() < 50 * tolerance
    array = mx.nd.array(x[None], dtype=dtype)
    if ridge == 0.0:
        peer = LinearDiscriminantAnalysis(solver="eigen", n_components=2).fit(x, labels)
        scores = peer.transform(x.astype("float64"))
        scores = (scores - scores.mean(axis=0)) * np.sign((peer.scalings_[:, :2] * matrix).sum(0))
        np.testing.assert_allclose(fitted(array)[0].asnumpy(), scores, rtol=1e-3, atol=1e-3)
    again = block.fit(array, mx.nd.array(labels[None]))
    np.testing.assert_allclose(again.matrix.data().asnumpy(), matrix, rtol=1e-5)
    gl.export(fitted, str(tmp_path / "model"), array)


@EVERY_MODE
@BOTH
def test_singular_within_class_scatter(mode, dtype, tmp_path):
    """P5: S_w = 0 is an error that says so, and with a ridge finite: λ = 2 / ridge."""
    x, labels = arrays([[[[2.0], [5.0], [5.0]]], [[0.0, 1.0, 1.0]]], dtype)
    good = arrays([[[[2.0], [5.0], [6.0]]], [[0.0, 1.0, 1.0]]], dtype)
    block = in_mode(LDABlock(2), mode, good, tmp_path)
    if mode == "exported":
        assert np.isnan(block(x, labels).asnumpy()).all()
    else:
        with pytest.raises(errors.SingularMatrixError, match="within-class scatter singular"):
            block(x, labels)
    block = in_mode(LDABlock(2, ridge=0.5), mode, [x, labels], tmp_path)
    result = evaluate(block, [x, labels], arrays([[1.0]], dtype))
    np.testing.assert_allclose(result.outputs[0], [-4.0], rtol=1e-5)
    # S_b = (2/9) (x_1 - mean of the others)²
    np.testing.assert_allclose(
        result.gradients[0][0, :, 0], np.array([1, -0.5, -0.5]) * 4 / 9 * 3 / 0.5, rtol=1e-5
    )


@BOTH
def test_dependent_features(dtype):
    x, labels = data(2, 12, 3, 3)
    x[1, :, 2] = x[1, :, 0] + x[1, :, 1]
    with pytest.raises(errors.SingularMatrixError, match="batch elements: 1 of 2"):
        LDABlock(3)(*arrays([x, labels], dtype))
    assert np.isfinite(LDABlock(3, ridge=1e-3)(*arrays([x, labels], dtype)).asnumpy()).all()
    with pytest.raises(errors.SingularMatrixError, match="within-class scatter singular"):
        LDABlock(3)(*arrays(data(1, 4, 4, 3), dtype))
    wide = arrays(data(1, 4, 6, 3), dtype)
    assert np.isfinite(LDABlock(3, ridge=0.1)(*wide).asnumpy()).all()


@EVERY_MODE
def test_gradient_at_a_tie(mode, tmp_path):
    """Classes at the corners of a square: both λ equal; directions of x and y count alike."""
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    x = (3 * corners[:, None] + corners[None]).reshape(1, 16, 2)
    labels = np.repeat(np.arange(4.0), 4)[None]
    random = np.random.RandomState(0)
    direction = random.randn(1, 16, 2)
    for k in (1, 2):
        block = in_mode(LDABlock(4, k), mode, arrays([x, labels], "float64"), tmp_path)
        result = evaluate(block, arrays([x, labels], "float64"), arrays([[1.0]], "float64"))
        np.testing.assert_allclose(result.outputs[0], [-9.0], rtol=1e-12)
        # With k = 1 too: half of each direction, as the mean of both.
        along = (result.gradients[0] * direction).sum()
        sides = [eigenvalues((x + h * direction)[0], labels[0]).mean() for h in (1e-5, -1e-5)]
        assert along == pytest.approx(-(sides[0] - sides[1]) / 2e-5, rel=1e-6)


def test_laws():
    """Order of samples, names of classes and a linear map of the features change nothing."""
    x, labels = data(1, 15, 3, 3)
    value = LDABlock(3)(*arrays([x, labels], "float64")).asscalar()
    order = np.random.RandomState(1).permutation(15)
    moved = (x[:, order] - 3.0) @ np.random.RandomState(2).randn(3, 3)
    renamed = np.array([2.0, 0, 1])[labels[:, order].astype(int)]
    found = LDABlock(3)(*arrays([moved, renamed], "float64")).asscalar()
    assert found == pytest.approx(value, rel=1e-10)


@pytest.mark.parametrize("mode", ["imperative", "hybridized"])
def test_labels_are_checked(mode, tmp_path):
    x, labels = data(1, 9, 2, 3)
    block = in_mode(LDABlock(3), mode, arrays([x, labels], "float64"), tmp_path)
    for wrong in (3.0, -1.0, 0.5, np.nan):
        bad = labels.copy()
        bad[0, 4] = wrong
        with pytest.raises(ValueError, match="whole numbers"):
            block(*arrays([x, bad], "float64"))
    with pytest.raises(ValueError, match="one_hot"):
        LDABlock(3, one_hot=True)(*arrays([x, np.full((1, 9, 3), 1 / 3)], "float64"))
    with pytest.raises(errors.NonFiniteError, match="NaN"):
        block(*arrays([np.full_like(x, np.nan), labels], "float64"))


def test_arguments():
    with pytest.raises(ValueError, match="at most 1"):
        LDABlock(2, k=2)
    with pytest.raises(ValueError, match="classes"):
        LDABlock(1)
    with pytest.raises(ValueError, match="ridge"):
        LDABlock(2, ridge=-1.0)
    with pytest.raises(errors.ShapeError, match="k=2 or less"):
        LDABlock(4)(*arrays(data(1, 9, 2, 4), "float64"))
    with pytest.raises(errors.ShapeError, match="columns for 4"):
        LDABlock(4, 1, one_hot=True)(mx.nd.ones((1, 9, 2)), mx.nd.ones((1, 9, 3)))


def test_as_a_loss():
    """A linear layer learns features that separate the classes, in a compiled network."""
    x, labels = data(1, 60, 3, 3, seed=3)
    x = np.concatenate([x, 3 * np.random.RandomState(0).randn(1, 60, 3)], axis=2)
    dense, loss_block = mx.gluon.nn.Dense(2, flatten=False, in_units=6), LDABlock(3, ridge=1e-3)
    for block in (dense, loss_block):
        block.initialize(ctx=context())
        block.hybridize()
    array, labels = arrays([x, labels], "float32")
    trainer = mx.gluon.Trainer(dense.collect_params(), "adam", {"learning_rate": 0.02})
    losses = []
    for _ in range(60):
        with mx.autograd.record():
            loss = loss_block(dense(array), labels)
        loss.backward()
        trainer.step(1)
        losses.append(loss.asscalar())
    assert losses[-1] < 2 * losses[0] < 0


@BOTH
def test_build_needs_no_parameters(dtype):
    assert build(lambda: LDABlock(3), dtype, data(1, 9, 2, 3)).dtype is None

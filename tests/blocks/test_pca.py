"""Principal components and their probabilistic model in every mode."""

import mxnet as mx
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

import gluon_linalg as gl
from gluon_linalg import errors
from gluon_linalg.blocks.pca import PCABlock
from gluon_linalg.blocks.ppca import PPCALikelihoodLayer
from harness import check_block
from harness.modes import MODES, arrays, build, evaluate, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def data(batch, n, d, seed=0):
    """Samples whose variances are well separated and whose mean is not 0."""
    random = np.random.RandomState(seed)
    rotation = np.linalg.qr(random.randn(d, d))[0]
    return random.randn(batch, n, d) * 1.5 ** np.arange(d) @ rotation + np.arange(d)


def falling_scales():
    """CASES P1: standard deviations from 1 down to 1e-9."""
    random = np.random.RandomState(0)
    u, v = np.linalg.qr(random.randn(200, 5))[0], np.linalg.qr(random.randn(5, 5))[0]
    return u * [1, 1e-2, 1e-4, 1e-7, 1e-9] @ v.T


def principal(x, k, whiten=False):
    """scikit-learn, with the sign rule of this package: scores, reconstruction, variances."""
    model = PCA(k, svd_solver="full", whiten=whiten).fit(x)
    largest = np.abs(model.components_).argmax(axis=1)
    signs = np.sign(model.components_[np.arange(k), largest])
    scores = model.transform(x)
    return scores * signs, model.inverse_transform(scores), model.explained_variance_


@pytest.mark.parametrize("whiten", [False, True])
def test_block_of_separate_sets(whiten, tmp_path):
    def oracle(x, _):
        return [np.stack(each) for each in zip(*(principal(one, 2, whiten) for one in x))]

    factory = lambda: PCABlock(2, whiten, momentum=None, details=True)  # noqa: E731
    cases = [[data(2, 5, 2)], [data(1, 9, 4)]]
    check_block(factory, cases, tmp_path, oracle, float32=1e-3)


@EVERY_MODE
@BOTH
def test_training_and_inference(mode, dtype, tmp_path):
    """Training: components of all samples of the batch; inference: of the running covariance."""
    x, other = data(2, 6, 3), data(1, 3, 3, seed=1)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    block = build(lambda: PCABlock(2, momentum=0.5, details=True), dtype, [x])
    block = in_mode(block, mode, arrays([x], dtype), tmp_path)
    with mx.autograd.record():
        found = block(arrays([x], dtype)[0])
    rows = x.reshape(-1, 3)
    scores, reconstruction, variances = principal(rows, 2)
    expected = scores.reshape(2, 6, 2), reconstruction.reshape(2, 6, 3), variances[None]
    for a, b in zip(found, expected):
        assert np.abs(a.asnumpy() - b).max() < 50 * tolerance
    mean, covariance = 0.5 * rows.mean(axis=0), 0.5 * np.eye(3) + 0.5 * np.cov(rows.T)
    values, vectors = np.linalg.eigh(covariance)
    projector = vectors[:, 1:] @ vectors[:, 1:].T
    scores, reconstruction, variances = block(arrays([other], dtype)[0])
    np.testing.assert_allclose(variances.asnumpy(), values[None, :0:-1], rtol=50 * tolerance)
    expected = mean + (other - mean) @ projector
    assert np.abs(reconstruction.asnumpy() - expected).max() < 50 * tolerance
    expected = np.linalg.norm((other - mean) @ projector, axis=2)
    found = np.linalg.norm(scores.asnumpy(), axis=2)
    assert np.abs(found - expected).max() < 50 * tolerance


@EVERY_MODE
@BOTH
def test_variances_that_are_rounding(mode, dtype, tmp_path):
    """P1: variances not negative, whitened scores at most of variance 1, finite gradients."""
    x = falling_scales()[None]
    block = build(lambda: PCABlock(5, True, momentum=None, details=True), dtype, [x])
    block = in_mode(block, mode, arrays([x], dtype), tmp_path)
    weights = arrays([np.random.RandomState(1).randn(1, 200, 5), x, np.ones((1, 5))], dtype)
    result = evaluate(block, arrays([x], dtype), weights)
    scores, _, variances = result.outputs
    assert (variances >= 0).all()
    np.testing.assert_allclose(variances[0, :2], principal(x[0], 2)[2], rtol=1e-3)
    spread = scores[0].astype("float64").std(axis=0, ddof=1)
    assert np.abs(spread[:2] - 1).max() < 1e-3 and spread.max() < 1.5
    # The last ones are below 64 ε λ_1: dropped.
    assert not scores[0, :, 4].any()
    assert np.isfinite(result.gradients[0]).all()


def test_fit_tells_small_variances_from_zero():
    x = falling_scales()
    fitted = PCABlock(5).fit(x)
    np.testing.assert_allclose(fitted.values, principal(x, 5)[2], rtol=1e-5)
    scores = PCABlock(5, whiten=True).fit(x)(mx.nd.array(x[None], dtype="float64"))
    np.testing.assert_allclose(np.cov(scores[0].asnumpy().T), np.eye(5), atol=1e-5)
    deficient = np.tile(x[:, :3], 2)
    fitted = PCABlock(6, whiten=True).fit(deficient)
    scores = fitted(mx.nd.array(deficient[None], dtype="float64"))[0].asnumpy()
    np.testing.assert_allclose(scores.std(axis=0, ddof=1), [1, 1, 1, 0, 0, 0], atol=1e-5)


@BOTH
@pytest.mark.parametrize("whiten", [False, True])
def test_fit(dtype, whiten, tmp_path):
    """Scores and reconstruction are scikit-learn's; it exports, and wide data work."""
    for n, d in ((9, 4), (4, 6)):
        x = data(1, n, d)[0].astype(dtype)
        block = PCABlock(3, whiten=whiten).fit(x)
        scores, reconstruction, variances = principal(x.astype("float64"), 3, whiten)
        tolerance = 1e-12 if dtype == "float64" else 1e-5
        array = mx.nd.array(x[None], dtype=dtype)
        found = block(array)
        assert np.abs(found[0].asnumpy() - scores).max() < 20 * tolerance
        found = block.reconstruct(found)[0].asnumpy()
        assert np.abs(found - reconstruction).max() < 50 * tolerance
        np.testing.assert_allclose(block.values, variances, rtol=1e-9)
        gl.export(block, str(tmp_path / "model"), array)


def test_fitted_block(tmp_path):
    projection = PCABlock(2).fit(data(1, 9, 3)[0])
    factory = lambda: type(projection)(  # noqa: E731
        projection.mean.data().asnumpy(), projection.matrix.data().asnumpy(), projection.values
    )
    check_block(factory, [[data(2, 3, 3)], [data(1, 4, 3)]], tmp_path)


@pytest.mark.parametrize("mode", ["imperative", "static_shape"])
def test_signs(mode, tmp_path):
    """P3: the same for permuted rows, in fit and in the block, and at equal magnitudes."""
    x = data(1, 12, 3)
    block = build(lambda: PCABlock(3, momentum=None), "float64", [x])
    block = in_mode(block, mode, arrays([x], "float64"), tmp_path)
    order = np.random.RandomState(0).permutation(12)
    scores = block(arrays([x], "float64")[0]).asnumpy()
    permuted = block(arrays([x[:, order]], "float64")[0]).asnumpy()
    np.testing.assert_allclose(permuted, scores[:, order], atol=1e-12)
    fitted = PCABlock(3).fit(x)(arrays([x], "float64")[0])
    np.testing.assert_allclose(fitted.asnumpy(), scores, atol=1e-12)
    # Components (1, 1)/√2 and (1, -1)/√2: the first element is positive.
    cross = np.array([[[2.0, 2.0], [-2.0, -2.0], [1.0, -1.0], [-1.0, 1.0]]])
    block = build(lambda: PCABlock(2, momentum=None), "float64", [cross])
    scores = block(arrays([cross], "float64")[0]).asnumpy()[0]
    np.testing.assert_allclose(scores[[0, 2], [0, 1]], [8**0.5, 2**0.5], rtol=1e-12)


def test_gradient_at_a_tie_is_that_of_the_subspace():
    """The explained part |scores|² does not depend on the components chosen within a tie."""
    x = np.array([[[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 0.1], [0, 0, -0.1]]])
    array = mx.nd.array(x, dtype="float64")
    array.attach_grad()
    block = PCABlock(2, momentum=None)
    with mx.autograd.record():
        loss = (block(array) ** 2).sum()
    loss.backward()
    expected = 2 * x * [1, 1, 0]
    np.testing.assert_allclose(array.grad.asnumpy(), expected, atol=1e-12)


def test_constant_data():
    x = mx.nd.ones((1, 4, 3), dtype="float64")
    x.attach_grad()
    with mx.autograd.record():
        scores = PCABlock(2, whiten=True, momentum=None)(x)
    scores.backward()
    assert not scores.asnumpy().any() and np.isfinite(x.grad.asnumpy()).all()


def test_pca_errors():
    with pytest.raises(ValueError, match="k is 0"):
        PCABlock(0)
    with pytest.raises(errors.ShapeError, match="k is 4"):
        PCABlock(4, momentum=None)(mx.nd.ones((1, 5, 3)))
    with pytest.raises(errors.ShapeError, match="one sample"):
        PCABlock(1, momentum=None)(mx.nd.ones((1, 1, 3)))
    with pytest.raises(errors.ShapeError, match="have 2"):
        PCABlock(3).fit(np.ones((2, 4)))
    with pytest.raises(errors.NonFiniteError, match="NaN"):
        PCABlock(1).fit(np.full((3, 2), np.nan))
    with pytest.raises(errors.ShapeError, match="fitted to 4"):
        PCABlock(3).fit(data(1, 9, 4))(mx.nd.ones((1, 2, 3), dtype="float64"))


def ppca_oracle(x, layer):
    """By scipy's multivariate normal density, and the posterior mean by its definition."""
    mean, loading = layer.mean.data().asnumpy(), layer.loading.data().asnumpy()
    noise_variance = layer.noise_variance.value()[0]
    covariance = loading @ loading.T + noise_variance * np.eye(len(mean))
    density = multivariate_normal(mean, covariance)
    latent = (x - mean) @ np.linalg.solve(covariance, loading)
    return -np.atleast_2d(density.logpdf(x).reshape(x.shape[:2])).sum(axis=1), latent


@mx.init.register
class FixedLoading(mx.init.Initializer):
    """The same numbers in every dtype."""

    def __init__(self, value):
        super().__init__(value=np.asarray(value).tolist())
        self.value = np.asarray(value)

    def _init_weight(self, _, array):
        array[:] = self.value


def test_ppca_layer(tmp_path):
    loading = np.random.RandomState(5).randn(3, 2)

    def factory():
        layer = PPCALikelihoodLayer(2, noise_variance=0.3, details=True)
        layer.loading.init = FixedLoading(loading)
        return layer

    cases = [[data(2, 4, 3)], [data(1, 5, 3)]]
    check_block(factory, cases, tmp_path, ppca_oracle)


@BOTH
def test_ppca_fit(dtype):
    """The closed form: scikit-learn's score up to its divisor n - 1, and a gradient of 0."""
    x = data(1, 30, 5)[0]
    layer = PPCALikelihoodLayer(2)
    layer.cast(dtype)
    layer.fit(x.astype(dtype))
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    assert layer.noise_variance.value()[0] == pytest.approx(values[2:].mean(), rel=1e-5)
    array = mx.nd.array(x[None], dtype=dtype)
    with mx.autograd.record():
        loss = layer(array)
    loss.backward()
    for parameter in (layer.mean, layer.loading, layer.noise_variance):
        assert np.abs(parameter.grad().asnumpy()).max() < (1e-9 if dtype == "float64" else 1e-2)
    expected = ppca_oracle(x[None], layer)[0][0]
    assert loss.asscalar() == pytest.approx(expected, rel=1e-5)
    # The same model with scikit-learn's covariance, whose divisor is n - 1.
    layer.fit(x * (30 / 29) ** 0.5)
    layer.mean.set_data(mx.nd.array(x.mean(axis=0), dtype=dtype))
    assert layer(array).asscalar() == pytest.approx(-30 * PCA(2).fit(x).score(x), rel=1e-5)


@EVERY_MODE
def test_ppca_without_noise(mode, tmp_path):
    """P4: noise variance 0 in the limit of largest likelihood is an error that says so."""
    random = np.random.RandomState(0)
    for shape, k in (((5, 3), 3), ((3, 5), 2), ((3, 5), 3), ((9, 2), 4)):
        with pytest.raises(errors.SingularMatrixError, match="noise variance"):
            PPCALikelihoodLayer(k).fit(random.randn(*shape))
    layer = PPCALikelihoodLayer(1).fit(random.randn(3, 5))
    x = mx.nd.array(random.randn(1, 3, 5), dtype="float32")
    assert np.isfinite(in_mode(layer, mode, [x], tmp_path)(x).asscalar())
    # k >= d is a model like others, as long as its noise variance is positive.
    layer = PPCALikelihoodLayer(4)
    layer.initialize()
    x = mx.nd.array(random.randn(2, 3, 2))
    layer(x)
    assert np.isfinite(in_mode(layer, mode, [x], tmp_path)(x).asnumpy()).all()


def test_ppca_training():
    """From a random start gradient steps reach the likelihood of the closed form."""
    x = data(1, 40, 3)
    array = mx.nd.array(x, dtype="float64")
    layer = build(lambda: PPCALikelihoodLayer(1), "float64", [x])
    layer.hybridize()
    trainer = mx.gluon.Trainer(layer.collect_params(), "adam", {"learning_rate": 0.05})
    for _ in range(400):
        with mx.autograd.record():
            loss = layer(array)
        loss.backward()
        trainer.step(40)
    reached = layer(array).asscalar()
    assert reached == pytest.approx(layer.fit(x)(array).asscalar(), abs=0.01)


def test_ppca_in_a_network_of_unknown_sizes():
    net = mx.gluon.nn.HybridSequential()
    net.add(mx.gluon.nn.Dense(4, flatten=False), PPCALikelihoodLayer(2))
    net.initialize()
    net.hybridize()
    assert net(mx.nd.ones((2, 3, 5))).shape == (2,)
    assert net[1].loading.shape == (4, 2)

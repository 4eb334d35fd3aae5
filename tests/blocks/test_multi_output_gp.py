"""Several outputs: dense NumPy covariances, independent processes, masks, files."""

import json

import gp_reference as reference
import gpytorch_references as gpytorch
import mxnet as mx
import numpy as np
import pytest
import scipy.stats
from test_gp import nd, ready

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block
from plain_mxnet import run_plain

MIXING = np.array([[0.9, -0.2], [0.4, 0.8], [-0.7, 0.5]])
KAPPA = np.array([0.3, 0.6, 0.2])
NOISE = np.array([0.2, 0.3, 0.1])
B = MIXING @ MIXING.T + np.diag(KAPPA)


def data(batch, n, outputs=3, seed=0):
    random = np.random.RandomState(seed)
    return random.uniform(-2, 2, (batch, n, 2)), random.randn(batch, n, outputs)


X, Y = data(2, 5)
NEW, NEW_Y = data(2, 4, seed=1)
SEEN = np.array(np.random.RandomState(4).rand(2, 5, 3) > 0.3, dtype="float64")
SEEN[0, 1] = 0


def rank2(**options):
    return gl.Coregionalization(3, 2, MIXING, KAPPA, **options)


def layer(kernel=None, coregionalization=None, **options):
    options = {"noise_variance": NOISE, **options}
    coregionalization = coregionalization or rank2()
    return gl.MultiOutputGPLikelihoodLayer(
        kernel or k.RBF(1.7, 0.8), 3, coregionalization=coregionalization, **options
    )


def rbf(x, z):
    return reference.rbf(1.7, 0.8)(x, z)


def lmc():
    """Two kernels, one of them with independent outputs."""
    own = gl.Coregionalization(3, 0, kappa=[0.5, 0.1, 0.4])
    return layer([k.RBF(1.7, 0.8), k.RBF(0.5, 2.0)], [rank2(), own])


def covariances(x, z, linear=False):
    found = np.stack([np.kron(B, each) for each in rbf(x, z)])
    if linear:
        other = np.diag([0.5, 0.1, 0.4])
        found = found + np.stack([np.kron(other, e) for e in reference.rbf(0.5, 2.0)(x, z)])
    return found


def by_output(values):
    return values.transpose(0, 2, 1).reshape(len(values), -1)


def dense(x, y, noise=None, mask=None, new=None, linear=False):
    """The value, or mean and covariance at new points, of each batch element."""
    a = covariances(x, x, linear)
    variances = np.ones_like(y) * NOISE + (0.0 if noise is None else noise)
    found = []
    for b in range(len(x)):
        rows = by_output(np.ones_like(y) if mask is None else mask)[b] == 1
        own = (a[b] + np.diag(by_output(variances)[b]))[np.ix_(rows, rows)]
        target = by_output(y)[b, rows]
        if new is None:
            found.append(reference.negative_log_likelihood(own[None], target[None])[0])
            continue
        one = (new[b : b + 1], x[b : b + 1])
        cross = covariances(*one, linear)[0][:, rows]
        prior = covariances(one[0], one[0], linear)[0]
        found.append(
            (cross @ np.linalg.solve(own, target), prior - cross @ np.linalg.solve(own, cross.T))
        )
    return np.array(found) if new is None else tuple(np.stack(each) for each in zip(*found))


def close(found, expected, tolerance=1e-11):
    found = found.asnumpy() if isinstance(found, mx.nd.NDArray) else found
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def test_kronecker(tmp_path):
    check_block(layer, [data(2, 4), data(1, 6, seed=5)], tmp_path, lambda x, y, _: dense(x, y))


def test_noise_of_observations_and_two_kernels(tmp_path):
    noise = np.random.RandomState(3).uniform(0.1, 0.4, (2, 4, 3))
    cases = [[*data(2, 4), noise], [*data(1, 3, seed=5), noise[:1, :3]]]
    check_block(lmc, cases, tmp_path, lambda x, y, v, _: dense(x, y, v, linear=True))


def gradients(block, *arrays):
    given = [a if a is None else nd(a) for a in arrays]
    for array in given[:2]:
        array.attach_grad()
    with mx.autograd.record():
        loss = block(*given)
    loss.backward()
    own = {n[len(block.prefix) :]: p.grad().asnumpy() for n, p in block.collect_params().items()}
    return loss.asnumpy(), own, [array.grad.asnumpy() for array in given[:2]]


@pytest.mark.parametrize("mean", [None, "linear", "constant"])
def test_kronecker_is_dense_in_value_and_gradient(mean):
    """The other path with a mask that hides nothing."""
    found = gradients(settled(mean), X, Y)
    expected = gradients(settled(mean), X, Y, None, np.ones_like(Y))
    close(found[0], expected[0])
    for a, b in zip(found[1].values(), expected[1].values()):
        close(a, b, 1e-10)
    for a, b in zip(found[2], expected[2]):
        close(a, b, 1e-10)


def settled(mean=None):
    block = ready(layer(mean=mean))
    block(*nd(X, Y))
    if mean is not None:
        for parameter in block.mean.collect_params().values():
            values = np.random.RandomState(1).uniform(0.1, 0.5, parameter.shape)
            parameter.set_data(nd(values))
    return block


def test_identity_is_independent_processes():
    own = gl.Coregionalization(3, rank=0, kappa=1.0)
    for noise in (0.3, NOISE):
        found = gradients(ready(layer(coregionalization=own, noise_variance=noise)), X, Y)
        total, by_x = 0.0, 0.0
        for a in range(3):
            single = gl.GPLikelihoodLayer(
                k.RBF(1.7, 0.8), noise_variance=np.broadcast_to(noise, 3)[a]
            )
            value, _, inputs = gradients(ready(single), X, Y[:, :, a])
            total, by_x = total + value, by_x + inputs[0]
            close(found[2][1][:, :, a], inputs[1])
        close(found[0], total)
        close(found[2][0], by_x)
    block = ready(layer(coregionalization=own))
    mean, variance = block.condition(X, Y)(nd(NEW))
    covariance = block.condition(X, Y).output_covariance(nd(NEW)).asnumpy()
    for a in range(3):
        right = reference.posterior(rbf, X, Y[:, :, a], NOISE[a], NEW)
        close(mean.asnumpy()[:, :, a], right[0])
        close(variance.asnumpy()[:, :, a], right[1].diagonal(axis1=1, axis2=2))
        others = [b for b in range(3) if b != a]
        assert np.abs(covariance[:, :, a, others]).max() < 1e-14


def test_a_mask_hides_outputs_of_rows():
    hidden = np.where(SEEN == 1, Y, np.nan)
    x = X.copy()
    x[0, 1] = np.inf
    for block, linear in ((layer(), False), (lmc(), True)):
        value, own, inputs = gradients(ready(block), x, hidden, None, SEEN)
        close(value, dense(X, Y, mask=SEEN, linear=linear))
        assert all(np.isfinite(g).all() for g in own.values())
        assert not inputs[1][SEEN == 0].any()
        assert not inputs[0][0, 1].any()
        assert inputs[0][1].all()
    # A row that no output has is as leaving it out, in all gradients.
    kept = [0, 2, 3, 4]
    rows = np.ones((1, 5, 3))
    rows[:, 1] = 0
    found = gradients(ready(layer()), x[:1], hidden[:1], None, rows * SEEN[:1])
    right = gradients(ready(layer()), X[:1, kept], Y[:1, kept], None, SEEN[:1, kept])
    for a, b in zip(found[1].values(), right[1].values()):
        close(a, b)
    close(found[2][0][:, kept], right[2][0])


PREDICTORS = {
    "kronecker": (layer, {}),
    "mask": (layer, {"mask": SEEN}),
    "two kernels": (lmc, {"noise": np.full(Y.shape, 0.15)}),
}


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictor(name, tmp_path):
    make, given = PREDICTORS[name]
    predictor = ready(make()).condition(X, Y, **given)
    linear = name == "two kernels"
    mean, joint = dense(X, Y, new=NEW, linear=linear, **given)
    mean = mean.reshape(2, 3, 4).transpose(0, 2, 1)
    parts = joint.reshape(2, 3, 4, 3, 4)
    between = parts[:, :, range(4), :, range(4)].transpose(1, 0, 2, 3)
    variance = between.diagonal(axis1=2, axis2=3)
    noise = np.random.RandomState(3).randn(2, 12, 2)
    density = scipy.stats.norm.logpdf(NEW_Y, mean, np.sqrt(variance + NOISE))
    views = {
        "mean": ([NEW], mean),
        "variance": ([NEW], variance),
        "output_covariance": ([NEW], between),
        "covariance": ([NEW], joint),
        "samples": ([NEW, noise], None),
        "log_density": ([NEW, NEW_Y], density),
    }
    for view, (inputs, right) in views.items():
        block = predictor.view(view)
        block.hybridize()
        found = block(*nd(*inputs) if len(inputs) > 1 else [nd(*inputs)])
        if right is not None:
            close(found, right)
            close(getattr(predictor, view)(*[nd(v) for v in inputs]), right)
        gl.export(block, str(tmp_path / "view"), *[nd(v) for v in inputs])
        (plain,) = run_plain(tmp_path / "view", inputs, "float64", tmp_path)
        close(plain, found.asnumpy())
    with_noise = ready(make()).condition(X, Y, include_noise=True, **given)
    close(with_noise(nd(NEW))[1], variance + NOISE)
    # Of normal noise that is the columns of I the samples are the factor: its product.
    unit = np.tile(np.eye(12), (2, 1, 1))
    drawn = predictor.view("samples")(*nd(NEW, unit)).asnumpy() - mean[..., None]
    factor = drawn.transpose(0, 2, 1, 3).reshape(2, 12, 12)
    close(factor @ factor.transpose(0, 2, 1), joint, 1e-9)
    assert predictor.sample(nd(NEW), size=5).shape == (5, 2, 4, 3)


class InDtype:
    """A factory whose block is conditioned in the dtype that the harness casts it to."""

    def __init__(self, name):
        make, given = PREDICTORS[name]
        self.make = lambda dtype: ready(make(), dtype).condition(X, Y, **given)

    def __call__(self):
        block, make = self.make("float64"), self.make
        block.cast = lambda dtype: block.__dict__.update(make(dtype).__dict__)
        return block


@pytest.mark.parametrize("name", ["kronecker", pytest.param("mask", marks=pytest.mark.slow)])
def test_predictor_in_all_modes(name, tmp_path):
    check_block(InDtype(name), [[NEW], [data(2, 2, seed=9)[0]]], tmp_path)


@pytest.mark.parametrize("name", ["intrinsic", "linear"])
def test_gpytorch(name):
    """Value, derivatives by natural values and predictions, without and with the spectra."""
    with open(gpytorch.FILE) as file:
        expected = json.load(file)[name]
    x, y, new = (array[None] for array in gpytorch.problem())
    kernels = [k.RBF(gpytorch.VARIANCE, gpytorch.LENGTHSCALE)]
    matrices = [gl.Coregionalization(3, 2, gpytorch.MIXING, gpytorch.KAPPA)]
    if name == "linear":
        second = gpytorch.SECOND
        kernels.append(k.RBF(1.0, second["lengthscale"]))
        matrices.append(gl.Coregionalization(3, 1, second["mixing"], second["kappa"]))
    block = ready(layer(kernels, matrices, noise_variance=gpytorch.NOISE))
    with mx.autograd.record():
        loss = block(*nd(x, y))
    loss.backward()
    close(loss, np.array([expected["value"]]), 1e-9)
    own = block.coregionalization
    close(own.mixing.grad(), np.array(expected["mixing"]), 1e-8)
    for key, parameter in (
        ("kappa", own.kappa),
        ("lengthscale", block.kernel.lengthscale),
        ("noise_variance", block.noise_variance),
    ):
        found = parameter.grad().asnumpy() / (parameter.value() - parameter.lower)
        close(found, np.array(expected[key]), 1e-8)
    mean, variance = block.condition(x, y)(nd(new))
    close(mean, np.array(expected["mean"])[None], 1e-8)
    close(variance, np.array(expected["variance"])[None], 1e-8)


def test_float64_inside():
    found = ready(layer(precision="float64"), "float32")
    value = found(*nd(X, Y, dtype="float32")).asnumpy()
    x, y = (a.astype("float32").astype("float64") for a in (X, Y))
    np.testing.assert_allclose(value, dense(x, y), rtol=1e-6)


def test_coregionalization():
    own = rank2()
    own.initialize()
    own.cast("float64")
    close(own.value(), B)
    factor = own.factor(mx.nd, nd(X), "float64", mx.nd.ones((1, 3), dtype="float64")).asnumpy()[0]
    close(factor @ factor.T, B)
    assert np.array_equal(factor, np.tril(factor))
    start = gl.Coregionalization(4, 3)
    assert np.abs(start.value().diagonal().mean() - 1.0) < 0.1
    # Orthogonal directions, none of them 0.
    products = start.mixing.value().T @ start.mixing.value()
    assert np.abs(products - np.diag(products.diagonal())).max() < 1e-12
    assert products.diagonal().min() > 0.1


def test_priors_of_coregionalization():
    block = ready(layer())
    block.coregionalization.mixing.prior = gl.priors.Normal(0.0, 2.0)
    block.coregionalization.kappa.prior = gl.priors.Gamma(2.0, 1.5)
    loss = nd(np.zeros(2))
    expected = scipy.stats.norm(0, 2).logpdf(MIXING).sum()
    expected += scipy.stats.gamma(2.0, scale=1 / 1.5).logpdf(KAPPA).sum()
    close(-gl.priors.PriorLoss(block)(loss).sum(), np.array([expected]))


def test_refuses():
    with pytest.raises(gl.errors.ShapeError, match="'y' has 2 outputs"):
        ready(layer())(*nd(X, Y[:, :, :2]))
    with pytest.raises(gl.errors.ShapeError, match="noise_variance"):
        layer(noise_variance=[0.1, 0.2])
    with pytest.raises(ValueError, match="2 coregionalizations for 1 kernels"):
        layer(coregionalization=[rank2(), rank2()])
    with pytest.raises(TypeError, match="Coregionalization of 3 outputs"):
        layer(coregionalization=gl.Coregionalization(2))
    for wrong in ({"rank": 4}, {"rank": -1}, {"outputs": 0}):
        with pytest.raises(ValueError):
            gl.Coregionalization(**{"outputs": 3, **wrong})
    y = Y.copy()
    y[1, 3, 2] = np.nan
    with pytest.raises(gl.errors.NonFiniteError, match="Row 3 of batch element 1"):
        ready(layer())(*nd(X, y))
    block = ready(layer())
    block.hybridize()
    with pytest.raises(gl.errors.NonFiniteError, match="Row 3 of batch element 1"):
        block(*nd(X, y))
    with pytest.raises(ValueError, match="other than 0 and 1"):
        ready(layer())(*nd(X, Y), None, nd(0.5 * SEEN))

"""Several outputs through inducing points: dense NumPy formulas, limits, masks, updates, files."""

import mxnet as mx
import numpy as np
import pytest
import scipy.stats
import sparse_gp_reference as reference
from test_gp import nd, ready
from test_multi_output_gp import KAPPA, MIXING, NEW, NEW_Y, NOISE, SEEN, B, X, Y, close, data

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block
from plain_mxnet import run_plain

# Some values of some outputs, and the second matrix of the linear model.
POINTS = np.array([[-1.5, -1.0, 0], [-0.2, 1.3, 0], [0.9, -0.6, 2], [1.7, 1.1, 1], [0.1, 0.2, 1]])
OWN = np.array([0.5, 0.1, 0.4])


def parts(linear=False):
    """Kernels and matrices of the intrinsic or of the linear model."""
    kernels, matrices = [k.RBF(1.7, 0.8)], [gl.Coregionalization(3, 2, MIXING, KAPPA)]
    if linear:
        kernels.append(k.RBF(0.5, 2.0))
        matrices.append(gl.Coregionalization(3, 0, kappa=OWN))
    return kernels, matrices


def of_rows(linear=False):
    """The covariance of rows (x, output) in NumPy."""

    def one(x, z):
        labels = (a[..., -1].astype(int) for a in (x, z))
        left, right = labels
        found = reference.rbf(1.7, 0.8)(x[..., :-1], z[..., :-1])
        found = found * B[left[:, :, None], right[:, None, :]]
        if linear:
            other = reference.rbf(0.5, 2.0)(x[..., :-1], z[..., :-1])
            found = found + other * np.diag(OWN)[left[:, :, None], right[:, None, :]]
        return found

    return one


def sgpr(linear=False, points=POINTS, **options):
    kernels, matrices = parts(linear)
    options = {"noise_variance": NOISE, "jitter": 0.0, **options}
    return gl.MultiOutputSGPRLikelihoodLayer(
        kernels, points, 3, coregionalization=matrices, **options
    )


def svgp(linear=False, points=POINTS, **options):
    kernels, matrices = parts(linear)
    options = {"noise_variance": NOISE, "jitter": 0.0, **options}
    return gl.MultiOutputSVGPLikelihoodLayer(
        kernels, points, 3, coregionalization=matrices, **options
    )


def exact(linear=False, **options):
    kernels, matrices = parts(linear)
    return gl.MultiOutputGPLikelihoodLayer(
        kernels, 3, coregionalization=matrices, noise_variance=NOISE, **options
    )


def rows(x, y, noise=0.0, mask=None):
    """Of one batch element the rows that were observed, their values and variances."""
    seen = np.ones_like(y) if mask is None else mask
    values = [
        (np.append(x[i], a), y[i, a], NOISE[a] + np.broadcast_to(noise, y.shape)[i, a])
        for i, a in np.argwhere(seen == 1)
    ]
    return tuple(np.array(each) for each in zip(*values))


def dense(x, y, noise=None, mask=None, linear=False, points=POINTS):
    noise = np.zeros_like(y) if noise is None else noise
    found = []
    for b in range(len(x)):
        own = rows(x[b], y[b], noise[b], None if mask is None else mask[b])
        found.append(reference.sgpr(of_rows(linear), own[0], own[1], points, own[2]))
    return np.array(found)


def gradients(block, *arrays):
    given = [a if a is None else nd(a) for a in arrays]
    for array in given[:2]:
        array.attach_grad()
    with mx.autograd.record():
        loss = block(*given)
    loss.backward()
    return loss.asnumpy(), [array.grad.asnumpy() for array in given[:2]]


def test_the_bound_in_all_modes(tmp_path):
    cases = [data(1, 2, 3), data(2, 3, 3, seed=5)]
    check_block(
        lambda: sgpr(points=POINTS[2:]),
        cases,
        tmp_path,
        lambda x, y, _: dense(x, y, points=POINTS[2:]),
    )


@pytest.mark.slow
def test_the_bound_of_the_linear_model_in_all_modes(tmp_path):
    """With known noise and a mean for each output."""
    noise = np.random.RandomState(3).uniform(0.1, 0.4, (2, 4, 3))
    cases = [[*data(2, 4), noise], [*data(1, 3, seed=5), noise[:1, :3]]]
    check_block(
        lambda: sgpr(True, mean="linear"),
        cases,
        tmp_path,
        lambda x, y, v, _: dense(x, y, v, linear=True),
    )


@pytest.mark.slow
def test_the_stochastic_bound_in_all_modes(tmp_path):
    check_block(lambda: svgp(count=30), [data(1, 4), data(1, 3, seed=5)], tmp_path)


@pytest.mark.parametrize("linear", [False, True])
def test_a_mask_leaves_values_out(linear):
    hidden, x = np.where(SEEN == 1, Y, np.nan), X.copy()
    x[0, 1] = np.inf
    value, (by_x, by_y) = gradients(ready(sgpr(linear)), x, hidden, None, SEEN)
    close(value, dense(X, Y, mask=SEEN, linear=linear))
    assert not by_y[SEEN == 0].any() and np.isfinite(by_x).all() and not by_x[0, 1].any()
    # Those of an exact process: the derivatives by y at Z = X are A⁻¹(y - m).
    points = gl.output_rows(X[1], 3)
    block = ready(sgpr(linear, points))
    found = gradients(block, X[1:], hidden[1:], None, SEEN[1:])
    right = gradients(ready(exact(linear)), X[1:], hidden[1:], None, SEEN[1:])
    close(found[0], right[0], 1e-9)
    close(found[1][1], right[1][1], 1e-8)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 2e-5)])
@pytest.mark.parametrize("make", [sgpr, svgp])
def test_with_every_row_it_is_the_exact_process(make, dtype, tolerance):
    """The value, and all moments; SVGP after its one step."""
    points = gl.output_rows(X[0], 3)
    block, right = ready(make(True, points, mean="constant"), dtype), ready(exact(True))
    block.mean.constant.set_data(mx.nd.array([0.3, -0.2, 0.1]))
    shift = np.array([0.3, -0.2, 0.1], "float32")
    shifted = Y[:1] + shift
    if make is svgp:
        block.natural_step(X[:1], shifted, SEEN[:1])
        value = block(*nd(X[:1], shifted, SEEN[:1], dtype=dtype))
        posterior = block.predictor()
    else:
        value = block(*nd(X[:1], shifted, dtype=dtype), None, nd(SEEN[:1], dtype=dtype))
        posterior = block.condition(X[:1], shifted, mask=SEEN[:1])
    close(value, right(*nd(X[:1], Y[:1]), None, nd(SEEN[:1])).asnumpy(), tolerance)
    expected = right.condition(X[:1], Y[:1], mask=SEEN[:1])
    new = NEW[:1]
    close(posterior.mean(nd(new, dtype=dtype)) - nd(shift, dtype=dtype).reshape((1, 1, 3)),
          expected.mean(nd(new)).asnumpy(), tolerance)  # fmt: skip
    for view in ("variance", "output_covariance", "covariance"):
        found = getattr(posterior, view)(nd(new, dtype=dtype))
        close(found, getattr(expected, view)(nd(new)).asnumpy(), tolerance)


def test_identity_is_independent_sparse_processes():
    own = gl.Coregionalization(3, rank=0, kappa=1.0)
    points = POINTS[:, :2]
    block = gl.MultiOutputSGPRLikelihoodLayer(
        k.RBF(1.7, 0.8),
        gl.output_rows(points, 3),
        3,
        coregionalization=own,
        noise_variance=NOISE,
        jitter=0.0,
    )
    value, inputs = gradients(ready(block), X, Y)
    total, by_x = 0.0, 0.0
    mean, variance = block.condition(X, Y, include_noise=True)(nd(NEW))
    for a in range(3):
        kernel = reference.rbf(1.7, 0.8)
        noises = np.full(5, NOISE[a])
        each = [reference.sgpr(kernel, X[b], Y[b, :, a], points, noises) for b in (0, 1)]
        total = total + np.array(each)
        single = gl.SGPRLikelihoodLayer(
            k.RBF(1.7, 0.8), points, noise_variance=NOISE[a], jitter=0.0
        )
        by_x = by_x + gradients(ready(single), X, Y[:, :, a])[1][0]
        for b in range(2):
            right = reference.posterior(kernel, X[b], Y[b, :, a], points, noises, NEW[b])
            close(mean[b, :, a], right[0], 1e-9)
            close(variance[b, :, a], right[1].diagonal() + NOISE[a], 1e-9)
    close(value, total, 1e-10)
    close(inputs[0], by_x, 1e-9)


@pytest.mark.parametrize("make", ["sgpr", "svgp"])
def test_single_observations_of_outputs(make):
    """The same kernel in the layers of one value for each row, with a noise of each output."""
    between = gl.Coregionalization(3, 2, MIXING, KAPPA)
    kernel = k.RBF(1.7, 0.8, active_dims=[0, 1]) * between.kernel(2)
    x, y, noise = rows(X[0], Y[0], mask=SEEN[0])
    if make == "sgpr":
        block = gl.SGPRLikelihoodLayer(
            kernel, POINTS, noise_variance=NOISE, noise_column=2, jitter=0.0
        )
        value = ready(block)(*nd(x[None], y[None]))
        posterior = block.condition(x, y, include_noise=True)
    else:
        likelihood = gl.likelihoods.Gaussian(NOISE, column=2)
        block = ready(gl.SVGPLikelihoodLayer(kernel, POINTS, likelihood, jitter=0.0))
        block.natural_step(x, y)
        value, posterior = block(*nd(x[None], y[None])), block.predictor(include_noise=True)
    close(value, dense(X[:1], Y[:1], mask=SEEN[:1]), 1e-10)
    new = np.column_stack([NEW[0], [2, 0, 1, 1]])
    mean, covariance = reference.posterior(of_rows(), x, y, POINTS, noise, new)
    variance = covariance.diagonal() + NOISE[[2, 0, 1, 1]]
    close(posterior.mean(nd(new[None])), mean[None], 1e-9)
    close(posterior.variance(nd(new[None])), variance[None], 1e-9)
    density = scipy.stats.norm.logpdf(NEW_Y[0, :, 0], mean, np.sqrt(variance))
    close(posterior.log_density(*nd(new[None], NEW_Y[:1, :, 0])), density[None], 1e-9)
    assert block.collect_params()[between.mixing.name] is between.mixing


def test_labels_behind_a_mask_stay_labels():
    """The exact layer of rows (x, output), one of them hidden, and one-hot columns."""
    between = gl.Coregionalization(3, 2, MIXING, KAPPA)
    kernel = k.RBF(1.7, 0.8, active_dims=[0, 1]) * between.kernel(2)
    block = ready(gl.GPLikelihoodLayer(kernel, noise_variance=0.3))
    x, y, _ = rows(X[0], Y[0])
    seen = np.ones(15)
    seen[[0, 3, 7]] = 0
    hidden = np.where(seen[:, None] == 1, x, np.nan)
    for compiled in (False, True):
        block.hybridize(compiled)
        value = block(*nd(hidden[None], y[None]), None, nd(seen[None]))
        left = x[seen == 1][None], y[seen == 1]
        a = of_rows()(left[0], left[0])[0] + 0.3 * np.eye(12)
        close(value, -np.array([reference.log_normal(left[1], a)]))


def test_data_of_the_sparse_posterior():
    """Folds, updates, and all values gone but some: as refits with the same points."""
    noise = np.random.RandomState(6).uniform(0.1, 0.4, Y.shape)
    block = ready(sgpr(True))
    given = {"noise": noise, "mask": SEEN}
    whole = block.condition(X, Y, **given)
    folds = np.arange(15).reshape(5, 3) % 4
    for choice, flat in ((None, np.arange(15).reshape(5, 3)), (folds, folds)):
        found = whole.cross_validation(X, Y, choice, **given)
        for b, i, a in [(0, 0, 1), (1, 2, 0), (1, 4, 2), (0, 3, 0)]:
            if not SEEN[b, i, a]:
                assert found.mean[b, i, a].asscalar() == 0.0
                continue
            others = SEEN[b] * (flat != flat[i, a])
            own = rows(X[b], Y[b], noise[b], others)
            new = np.append(X[b, i], a)[None]
            right = reference.posterior(of_rows(True), *own[:2], POINTS, own[2], new)
            variance = right[1][0, 0] + NOISE[a] + noise[b, i, a]
            assert abs(found.mean[b, i, a].asscalar() - right[0][0]) < 1e-9
            assert abs(found.variance[b, i, a].asscalar() - variance) < 1e-9
    first, rest = [
        {key: value[:, s] for key, value in given.items()} for s in (np.s_[:3], np.s_[3:])
    ]
    started = block.condition(X[:, :3], Y[:, :3], **first)
    grown = started.with_observations(X[:, 3:], Y[:, 3:], **rest)
    shrunk = whole.without_observations(X[:, 3:], Y[:, 3:], **rest)
    for found, right in ((grown, whole), (shrunk, started)):
        for view in ("mean", "covariance"):
            close(getattr(found, view)(nd(NEW)), getattr(right, view)(nd(NEW)).asnumpy(), 1e-9)
        expected = right.negative_log_likelihood().asnumpy()
        close(found.negative_log_likelihood(), expected, 1e-9)


@pytest.mark.parametrize(
    "names",
    [
        ["output_covariance"],
        pytest.param(["samples", "log_density", "cross_validation"], marks=pytest.mark.slow),
    ],
)
def test_views_are_files(names, tmp_path):
    predictor = ready(sgpr(True, mean="constant")).condition(X, Y)
    noise = np.random.RandomState(3).randn(2, 12, 2)
    folds = np.arange(15).reshape(5, 3) % 2
    cases = {
        "output_covariance": ([NEW], {}),
        "samples": ([NEW, noise], {}),
        "log_density": ([NEW, NEW_Y], {}),
        "cross_validation": ([X, Y], {"folds": folds}),
    }
    for name in names:
        inputs, options = cases[name]
        block = predictor.view(name, **options)
        block.hybridize()
        found = block(*[nd(a) for a in inputs])
        found = found if isinstance(found, (list, tuple)) else [found]
        gl.export(block, str(tmp_path / "view"), *[nd(a) for a in inputs])
        for plain, own in zip(run_plain(tmp_path / "view", inputs, "float64", tmp_path), found):
            close(plain, own.asnumpy())
    # Of normal noise that is the columns of I the samples are the factor: its product.
    unit = np.tile(np.eye(12), (2, 1, 1))
    drawn = predictor.view("samples")(*nd(NEW, unit)) - predictor.mean(nd(NEW)).expand_dims(3)
    factor = drawn.asnumpy().transpose(0, 2, 1, 3).reshape(2, 12, 12)
    joint = predictor.covariance(nd(NEW)).asnumpy()
    close(factor @ factor.transpose(0, 2, 1), joint, 1e-9)


def test_counts_of_several_outputs():
    """Another likelihood: its bound by a quadrature of each value."""
    likelihood = gl.likelihoods.Poisson()
    counts = np.random.RandomState(2).poisson(2.0, (1, 5, 3)).astype("float64")
    block = ready(svgp(likelihood=likelihood))
    prior = np.sqrt(1.7 * np.diag(B))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    f = prior[:, None] * nodes
    total = 0.0
    for i in range(5):
        for a in range(3):
            log_p = scipy.stats.poisson.logpmf(counts[0, i, a], np.exp(f[a]))
            total -= (weights * log_p).sum() / np.sqrt(2 * np.pi)
    close(block(*nd(X[:1], counts)), np.array([total]), 1e-8)


def test_training_moves_points():
    block = ready(sgpr())
    trainer = mx.gluon.Trainer(block.collect_params(), "adam", {"learning_rate": 0.05})
    values = []
    for _ in range(5):
        with mx.autograd.record():
            loss = block(*nd(X, Y))
        loss.backward()
        trainer.step(1)
        values.append(loss.sum().asscalar())
    assert values[-1] < values[0]
    moved = block.inducing_points.data().asnumpy()[0] - POINTS[:, :2]
    assert np.abs(moved).min() > 0 and block.inducing_outputs.grad_req == "null"


def test_a_sum_of_some_columns_stays_one():
    kernel = k.Sum(k.RBF(1.7, 0.8), k.Linear(0.3), active_dims=[1]) + k.Constant(0.2)
    kernel.initialize()
    kernel.cast("float64")
    own = X[:, :, 1:]
    right = reference.rbf(1.7, 0.8)(own, own) + 0.3 * own @ own.transpose(0, 2, 1) + 0.2
    close(kernel(nd(X)), right)


def test_refuses():
    for points in (POINTS[:, :2], POINTS + 0.5, [[0.0]]):
        with pytest.raises(gl.errors.ShapeError, match=r"output_rows\(points, 3\)"):
            sgpr(points=points)
    with pytest.raises(gl.errors.ShapeError, match="expected one number or"):
        svgp(noise_variance=[0.1, 0.2])
    with pytest.raises(ValueError, match="has 2 latent values"):
        svgp(likelihood=gl.likelihoods.HeteroscedasticGaussian())
    with pytest.raises(gl.errors.ShapeError, match="'x' has 1 columns, the inducing points have 2"):
        ready(sgpr())(*nd(X[:, :, :1], Y))
    with pytest.raises(gl.errors.ShapeError, match="'y' has 2 outputs"):
        ready(sgpr())(*nd(X, Y[:, :, :2]))
    y = Y.copy()
    y[1, 3, 2] = np.nan
    for make in (sgpr, lambda: svgp(batch=2)):
        block = ready(make())
        for compiled in (False, True):
            block.hybridize(compiled)
            with pytest.raises(gl.errors.NonFiniteError, match="Row 3 of batch element 1"):
                block(*nd(X, y))
    with pytest.raises(gl.errors.ShapeError, match="noise_variance"):
        gl.likelihoods.Gaussian([0.1, 0.2])
    with pytest.raises(TypeError, match="give x"):
        noise = gl.likelihoods.Gaussian([0.1, 0.2], column=0)
        noise.initialize()
        noise.predictive_moments(mx.nd, *([mx.nd.ones((1, 2))] * 2))


def test_draws_of_targets_have_the_noise_of_their_output():
    posterior = ready(sgpr()).condition(X, Y)
    drawn = posterior.sample_targets(nd(NEW), size=4000).asnumpy()
    mean, variance = ready(sgpr()).condition(X, Y, include_noise=True)(nd(NEW))
    deviation = np.sqrt(variance.asnumpy())
    assert np.abs((drawn.mean(axis=0) - mean.asnumpy()) / deviation).max() < 6 / 4000**0.5
    assert np.abs(drawn.std(axis=0) / deviation - 1.0).max() < 6 / 8000**0.5

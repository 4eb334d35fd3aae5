"""All views of one conditioning, exact and sparse: refits, differences, moments, files."""

import gp_reference as reference
import mxnet as mx
import numpy as np
import pytest
import scipy.stats
from test_gp import data, nd, ready

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block
from plain_mxnet import run_plain

X, Y = data(2, 9, 2)
NEW, NEW_Y = data(2, 4, 2, seed=1)
NOISE = 0.3


def kernel(x, z):
    return reference.rbf(1.7, 0.8)(x, z)


def exact(x=X, y=Y, dtype="float64", condition=None, own=None, **options):
    options = {"noise_variance": NOISE, **options}
    layer = ready(gl.GPLikelihoodLayer(own or k.RBF(1.7, 0.8), **options), dtype)
    return layer.condition(x, y, **(condition or {}))


def sparse(x=X, y=Y, dtype="float64", condition=None, points=None, own=None, cls=None, **options):
    options = {"noise_variance": NOISE, "jitter": 0.0, **options}
    points = X if points is None else points
    cls = cls or gl.SGPRLikelihoodLayer
    layer = ready(cls(own or k.RBF(1.7, 0.8), points, **options), dtype)
    return layer.condition(x, y, **(condition or {}))


def close(found, expected, tolerance=1e-10):
    found = found.asnumpy() if isinstance(found, mx.nd.NDArray) else found
    scale = max(1.0, np.abs(expected).max())
    assert np.abs(found - expected).max() <= tolerance * scale, np.abs(found - expected).max()


def dense_held_out(x, y, folds, noise=NOISE):
    """Mean, variance and log density of each y by a fit to the other folds."""
    found = np.zeros((3, *y.shape))
    for b in range(len(x)):
        for fold in np.unique(folds):
            out = folds == fold
            mean, covariance = reference.posterior(
                kernel, x[b : b + 1, ~out], y[b : b + 1, ~out], noise, x[b : b + 1, out]
            )
            variance = covariance[0].diagonal() + noise
            density = scipy.stats.norm.logpdf(y[b, out], mean[0], np.sqrt(variance))
            found[:, b, out] = mean[0], variance, density
    return found


FOLDS = np.array([0, 2, 1, 1, 0, 2, 2, 0, 1])


@pytest.mark.parametrize("folds", [None, FOLDS, 4])
def test_held_out_is_a_refit(folds):
    labels = {None: np.arange(9), 4: np.arange(9) % 4}.get(folds if np.ndim(folds) == 0 else 0)
    labels = FOLDS if labels is None else labels
    expected = dense_held_out(X, Y, labels)
    for found, right in zip(exact().cross_validation(folds), expected):
        close(found, right)
    other = exact(y=np.zeros_like(Y)).cross_validation(folds, y=Y)
    for found, right in zip(other, expected):
        close(found, right)
    for found, right in zip(exact().leave_one_out(), dense_held_out(X, Y, np.arange(9))):
        close(found, right)


def test_likelihood_and_densities():
    a = kernel(X, X) + NOISE * np.eye(9)
    close(exact().negative_log_likelihood(), reference.negative_log_likelihood(a, Y))
    other = exact(mean="constant").negative_log_likelihood(2.0 * Y)
    close(other, reference.negative_log_likelihood(a, 2.0 * Y))
    mean, covariance = reference.posterior(kernel, X, Y, NOISE, NEW)
    deviation = np.sqrt(covariance.diagonal(axis1=1, axis2=2) + NOISE)
    each = scipy.stats.norm.logpdf(NEW_Y, mean, deviation)
    joint = -reference.negative_log_likelihood(covariance + NOISE * np.eye(4), NEW_Y - mean)
    close(exact().log_density(*nd(NEW, NEW_Y)), each)
    close(exact().joint_log_density(*nd(NEW, NEW_Y)), joint)
    with pytest.raises(TypeError, match="no density"):
        exact(noise_variance=None, condition={"noise": np.full(Y.shape, 0.2)}).log_density(
            *nd(NEW, NEW_Y)
        )


def network(units):
    """Layers that the parameters of a test's kernel are drawn for, the same each time."""
    mx.random.seed(5)
    return mx.gluon.nn.Dense(units, in_units=2, flatten=False, activation="tanh")


KERNELS = {
    "rbf": lambda: k.RBF(1.7, [0.8, 1.3]),
    "matern32": lambda: k.Matern32(1.7, 0.9),
    "matern52": lambda: k.Matern52(1.7, [0.9, 1.4]),
    "rq": lambda: k.RationalQuadratic(1.2, 0.9, 0.7),
    "periodic": lambda: k.Periodic(1.3, [1.1, 0.9], [2.5, 3.1]),
    "cosine": lambda: k.Cosine(1.3, [2.5, 3.1]) + k.RBF(0.3, 1.0),
    "polynomial": lambda: k.Polynomial(3, 0.4, [1.5, 1.2], 0.7) * k.Linear(0.5) + k.Constant(),
    "product": lambda: (
        (k.RBF(1.7, 0.8) * k.Linear([0.5, 0.7])) * (0.5 * k.Matern52(active_dims=[1]))
    ),
    "mixture": lambda: k.SpectralMixture([1.2, 0.5], [0.9, 2.0], [2.5, 1.4], [1]) + k.ArcCosine(2),
    "change": lambda: k.ChangePoint(k.RBF(1.7, 0.9), k.Linear(0.5), 0.3, 0.6, 1),
    "deep": lambda: k.Deep(network(3), k.RBF(1.7, 0.9)) + k.Gibbs(network(1), 1.3, [0.8, 1.9]),
    "active": lambda: k.RBF(1.7, 0.9, active_dims=[1]) * k.Linear(0.5) + k.RBF(active_dims=[0]),
}


def covariance_of_differences(predictor, step):
    """Cov((f(x + h e_i) - f(x - h e_i))/2h, ...) at each x by itself."""
    points = [NEW + sign * step * np.eye(2)[j] for j in range(2) for sign in (-1, 1)]
    whole = predictor.covariance(nd(np.concatenate(points, axis=1))).asnumpy()
    signs = np.kron(np.eye(2), np.kron([[-1.0, 1.0]], np.eye(4))) / (2 * step)
    whole = (signs @ whole @ signs.T).reshape(2, 2, 4, 2, 4)
    return whole[:, :, range(4), :, range(4)].transpose(1, 0, 2, 3)


@pytest.mark.parametrize("name", KERNELS)
def test_derivatives_are_differences(name):
    predictor, step = exact(own=KERNELS[name](), mean="linear"), 1e-5
    predictor.mean_function.weight.set_data(mx.nd.array([[0.3, -0.2]], dtype="float64"))
    slopes, changes = (a.asnumpy() for a in predictor.gradient(nd(NEW)))
    for j in range(2):
        ahead, back = (predictor(nd(NEW + s * step * np.eye(2)[j])) for s in (1, -1))
        close(slopes[:, :, j], (ahead[0] - back[0]).asnumpy() / (2 * step), 1e-8)
        close(changes[:, :, j], (ahead[1] - back[1]).asnumpy() / (2 * step), 1e-8)
    mean, covariance = (a.asnumpy() for a in predictor.derivative(nd(NEW)))
    close(mean, slopes, 1e-13)
    # Differences of Matern32 converge with the step, of all others with its square.
    order, step = (1, 1e-3) if name == "matern32" else (2, 2e-3)
    coarse, fine = (covariance_of_differences(predictor, h) for h in (step, step / 2))
    expected = fine + (fine - coarse) / (2**order - 1)
    close(covariance, expected, 1e-6 if order == 2 else 1e-4)


def test_derivatives_that_are_not():
    with pytest.raises(ValueError, match="no derivative"):
        exact(own=k.Matern12()).derivative(nd(NEW))
    assert np.isfinite(exact(own=k.Matern12()).gradient(nd(NEW))[1].asnumpy()).all()

    class Own(k.RBF):
        pass

    with pytest.raises(TypeError, match="closed derivatives of Own"):
        exact(own=Own()).gradient(nd(NEW))
    network = mx.gluon.nn.Dense(1, flatten=False, activation="tanh", in_units=2)
    with pytest.raises(TypeError, match="mean Dense"):
        exact(mean=network).gradient(nd(NEW))


VIEWS = {
    "mean": [NEW],
    "variance": [NEW],
    "covariance": [NEW],
    "samples": [NEW, np.random.RandomState(3).randn(2, 4, 3)],
    "log_density": [NEW, NEW_Y],
    "joint_log_density": [NEW, NEW_Y],
    "gradient": [NEW],
    "derivative": [NEW],
    "negative_log_likelihood": [Y],
    "cross_validation": [Y],
}


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_views_export(name, mask, tmp_path):
    """A view has the parameters it reads alone, and plain MXNet gives its values."""
    seen = np.array([[1.0] * 9, [1, 0, 1, 1, 1, 1, 0, 1, 1]])
    predictor = exact(condition={"mask": seen} if mask else None)
    options = {"folds": 3} if name == "cross_validation" else {}
    view, given = predictor.view(name, **options), [nd(v) for v in VIEWS[name]]
    expected = view(*given)
    view.hybridize()
    gl.export(view, str(tmp_path / "view"), *given)
    plain = run_plain(tmp_path / "view", VIEWS[name], "float64", tmp_path)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    direct = (
        None
        if name == "samples"
        else getattr(predictor, name)(*(nd(v) for v in VIEWS[name] if v is not Y), **options)
    )
    direct = direct if isinstance(direct, (list, tuple)) else [direct]
    for found, right, own in zip(plain, expected, direct):
        close(found, right.asnumpy(), 1e-11)
        if own is not None:
            close(own, right.asnumpy(), 1e-11)
    read = set(view.collect_params())
    assert not [n for n in read if n.endswith("weights")] or name != "covariance"
    assert [n for n in read if n.endswith("factor")] or name == "mean"


def composed(**options):
    """Of the kernels whose derivatives have most parts."""
    arc = k.ArcCosine(1, 0.7) + k.SpectralMixture([1.2], [[0.9, 2.0]], [[2.5, 1.4]])
    return exact(own=k.ChangePoint(KERNELS["deep"](), arc, 0.3, 0.6, 1), **options)


class InDtype:
    """A factory whose view is made in the dtype that the harness casts it to."""

    def __init__(self, name, make, **options):
        self.make = lambda dtype: make(dtype=dtype).view(name, **options)

    def __call__(self):
        block, make = self.make("float64"), self.make
        block.cast = lambda dtype: block.__dict__.update(make(dtype).__dict__)
        return block


@pytest.mark.parametrize(
    "name, make, options",
    [
        ("derivative", exact, {}),
        ("cross_validation", exact, {"folds": FOLDS}),
        pytest.param("joint_log_density", sparse, {}, marks=pytest.mark.slow),
        pytest.param("covariance", exact, {}, marks=pytest.mark.slow),
        pytest.param("gradient", sparse, {}, marks=pytest.mark.slow),
        pytest.param("derivative", composed, {}, marks=pytest.mark.slow),
        pytest.param("gradient", composed, {}, marks=pytest.mark.slow),
    ],
)
def test_views_in_all_modes(name, make, options, tmp_path):
    if name == "cross_validation":
        cases = [[Y], [-2.0 * Y]]
    else:
        cases = [data(2, 3, 2, seed=6), [NEW, NEW_Y]]
        cases = [case[: 2 if name == "joint_log_density" else 1] for case in cases]
    check_block(InDtype(name, make, **options), cases, tmp_path)


def test_updates_are_refits():
    seen = np.ones((2, 9))
    seen[0, 4] = 0
    for mask in (None, seen):
        for jitter in (0.0, 0.02, "auto"):

            def fit(rows, x=X, y=Y, mask=mask, jitter=jitter):
                own = None if mask is None else mask[:, rows]
                return exact(x[:, rows], y[:, rows], condition={"mask": own}, jitter=jitter)

            whole = fit(range(9))
            pairs = [(whole.without_observations([1, 5, 6]), fit([0, 2, 3, 4, 7, 8]))]
            pairs.append((whole.without_observations([8]), fit(range(8))))
            pairs.append((whole.without_observations([0]), fit(range(1, 9))))
            if mask is None:
                few = fit(range(6))
                pairs.append((few.with_observations(X[:, 6:], Y[:, 6:]), whole))
                one = few.with_observations(X[:, 6:7], Y[:, 6:7])
                pairs.append((one.with_observations(X[:, 7:], Y[:, 7:]), whole))
                back = whole.with_observations(NEW, NEW_Y).without_observations(range(9, 13))
                pairs.append((back, whole))
            for found, right in pairs:
                for a, b in zip(found(nd(NEW)), right(nd(NEW))):
                    close(a, b.asnumpy(), 1e-11)
                close(found.factor.data(), right.factor.data().asnumpy(), 1e-11)
                close(found.negative_log_likelihood(), right.negative_log_likelihood().asnumpy())


def test_updates_of_many_rows():
    """More rows than a panel of the update has, and a kernel of condition 1e7."""
    x, y = data(1, 200, 1, seed=4)
    fit = lambda rows: exact(x[:, rows], y[:, rows], own=k.RBF(1.0, 1.5), noise_variance=1e-5)  # noqa: E731
    gone = np.random.RandomState(0).choice(200, 70, replace=False)
    kept = [i for i in range(200) if i not in set(gone)]
    found, right = fit(range(200)).without_observations(gone), fit(kept)
    new = nd(np.linspace(-2, 2, 7)[None, :, None])
    for a, b in zip(found(new), right(new)):
        close(a, b.asnumpy(), 1e-7)


def test_updates_refuse():
    predictor = exact(condition={"noise": np.full(Y.shape, 0.2)}, noise_variance=None)
    with pytest.raises(TypeError, match="give `noise`"):
        predictor.with_observations(NEW, NEW_Y)
    for rows, error in (([9], IndexError), ([1, 1], ValueError), (range(9), ValueError)):
        with pytest.raises(error):
            predictor.without_observations(rows)
    with pytest.raises(gl.errors.NonFiniteError, match="Row 10 of batch element 1"):
        exact().with_observations(NEW, np.where(np.arange(8).reshape(2, 4) == 5, np.nan, NEW_Y))
    with pytest.raises(ValueError, match="did you mean 'covariance'"):
        predictor.view("covarianc")
    with pytest.raises(ValueError, match="folds is 1"):
        predictor.cross_validation(1)


# Sparse posteriors.

POINTS = np.array([[-1.5, -1.0], [-0.2, 1.3], [0.9, -0.6], [1.7, 1.1]])


def test_sparse_with_every_point_is_exact_in_all_views():
    whole, found = exact(), sparse()
    for name, inputs in VIEWS.items():
        given = [nd(v) for v in inputs]
        if name == "cross_validation":
            pairs = [
                (found.cross_validation(X, Y, f), whole.cross_validation(f)) for f in (None, 3)
            ]
        elif name == "negative_log_likelihood":
            pairs = [([found.negative_log_likelihood()], [whole.negative_log_likelihood()])]
        else:
            pairs = [(found.view(name)(*given), whole.view(name)(*given))]
        for a, b in pairs:
            a, b = (v if isinstance(v, (list, tuple)) else [v] for v in (a, b))
            for one, other in zip(a, b):
                close(one, other.asnumpy(), 1e-7 if name == "samples" else 1e-9)


def test_sparse_views_export(tmp_path):
    seen = np.ones((2, 9))
    seen[0, 3] = 0
    noise = np.full((2, 9), 0.1)
    predictor = sparse(
        points=POINTS, condition={"mask": seen, "noise": noise, "include_noise": True}
    )
    for name, inputs, options in (
        ("cross_validation", [X, Y, noise, seen], {"folds": FOLDS}),
        ("derivative", [NEW], {}),
        ("variance", [NEW], {}),
    ):
        view = predictor.view(name, **options)
        view.hybridize()
        expected = view(*(nd(v) for v in inputs))
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        gl.export(view, str(tmp_path / name), *(nd(v) for v in inputs))
        plain = run_plain(tmp_path / name, inputs, "float64", tmp_path)
        for found, right in zip(plain, expected):
            close(found, right.asnumpy(), 1e-11)
    with pytest.raises(TypeError, match="fold of each row"):
        predictor.view("cross_validation", folds=3)


LAYERS = {"sgpr": gl.SGPRLikelihoodLayer, "fitc": gl.FITCLikelihoodLayer}


@pytest.mark.parametrize("name", LAYERS)
def test_sparse_held_out_is_a_refit(name):
    noise = np.random.RandomState(2).uniform(0.1, 0.3, Y.shape)
    options = {"points": POINTS, "cls": LAYERS[name]}
    whole = sparse(condition={"noise": noise}, **options)
    for folds in (np.arange(9), FOLDS):
        found = whole.cross_validation(X, Y, None if folds[1] == 1 else folds, noise)
        for fold in np.unique(folds):
            out = folds == fold
            own = sparse(X[:, ~out], Y[:, ~out], condition={"noise": noise[:, ~out]}, **options)
            mean, variance = (a.asnumpy() for a in own(nd(X[:, out])))
            variance = variance + NOISE + noise[:, out]
            close(found.mean.asnumpy()[:, out], mean)
            close(found.variance.asnumpy()[:, out], variance)
            density = scipy.stats.norm.logpdf(Y[:, out], mean, np.sqrt(variance))
            close(found.log_density.asnumpy()[:, out], density)
    hidden = np.where(FOLDS == 1, 0.0, 1.0) * np.ones((2, 1))
    masked = sparse(condition={"mask": hidden}, **options)
    found = masked.cross_validation(X, np.where(hidden == 1, Y, np.nan), FOLDS, mask=hidden)
    kept = FOLDS != 1
    own = sparse(X[:, kept], Y[:, kept], **options).cross_validation(
        X[:, kept], Y[:, kept], FOLDS[kept]
    )
    for a, b in zip(found, own):
        close(a.asnumpy()[:, kept], b.asnumpy())
        assert not a.asnumpy()[:, ~kept].any()


@pytest.mark.parametrize("name", LAYERS)
def test_sparse_updates_are_refits(name):
    noise = np.random.RandomState(2).uniform(0.1, 0.3, Y.shape)
    options = {"points": POINTS, "cls": LAYERS[name]}

    def fit(rows):
        return sparse(X[:, rows], Y[:, rows], condition={"noise": noise[:, rows]}, **options)

    rest = list(range(6, 9))
    given = (X[:, rest], Y[:, rest], noise[:, rest])
    grown, shrunk = (
        fit(range(6)).with_observations(*given),
        fit(range(9)).without_observations(*given),
    )
    again = grown.without_observations(*given).with_observations(*given)
    seen = np.array([[1.0, 1.0, 0.0]] * 2)
    y = np.where(seen == 1, Y[:, rest], np.nan)
    masked = fit(range(6)).with_observations(X[:, rest], y, noise[:, rest], seen)
    layer = ready(LAYERS[name](k.RBF(1.7, 0.8), POINTS, noise_variance=NOISE, jitter=0.0))
    for found, rows in (
        (grown, range(9)),
        (shrunk, range(6)),
        (again, range(9)),
        (masked, range(8)),
    ):
        right = fit(rows)
        for a, b in zip(found(nd(NEW)), right(nd(NEW))):
            close(a, b.asnumpy())
        value = layer(*nd(X[:, rows], Y[:, rows], noise[:, rows])).asnumpy()
        close(found.negative_log_likelihood(), value)
        close(right.negative_log_likelihood(), value)
    with pytest.raises(gl.errors.NotPositiveDefiniteError):
        fit(range(6)).without_observations(np.tile(X, (1, 3, 1)), np.tile(Y, (1, 3)))


def test_updates_need_normal_noise():
    layer = gl.SVGPLikelihoodLayer(k.RBF(1.7, 0.8), POINTS, gl.likelihoods.Poisson(), batch=2)
    predictor = ready(layer).predictor()
    with pytest.raises(TypeError, match="normal noise; the likelihood is Poisson"):
        predictor.with_observations(X, np.ones_like(Y))
    with pytest.raises(TypeError, match="belongs to the layer"):
        predictor.negative_log_likelihood()
    two = gl.SVGPLikelihoodLayer(
        k.RBF(1.7, 0.8), POINTS, gl.likelihoods.HeteroscedasticGaussian(), batch=2
    )
    two = ready(two).predictor()
    assert two.gradient(nd(NEW))[0].shape == (2, 2, 4, 2)
    assert two.derivative(nd(NEW))[1].shape == (2, 2, 4, 2, 2)
    assert two.sample(nd(NEW), size=3).shape == (3, 2, 4, 2)
    # A Gaussian SVGP takes observations one after the other as SGPR does all at once.
    layer = gl.SVGPLikelihoodLayer(
        k.RBF(1.7, 0.8), POINTS, gl.likelihoods.Gaussian(NOISE), batch=2, jitter=0.0
    )
    prior = ready(layer).predictor()
    found = prior.with_observations(X[:, :4], Y[:, :4]).with_observations(X[:, 4:], Y[:, 4:])
    for a, b in zip(found(nd(NEW)), sparse(points=POINTS)(nd(NEW))):
        close(a, b.asnumpy())


def test_sparse_layers_name_the_row():
    """As the exact layer does, compiled or not; hidden rows may hold anything."""
    seen = np.ones((2, 9))
    seen[0, 4] = 0
    likelihood = gl.likelihoods.Gaussian(NOISE)
    svgp = ready(gl.SVGPLikelihoodLayer(k.RBF(1.7, 0.8), POINTS, likelihood, batch=2))
    sgpr = ready(gl.SGPRLikelihoodLayer(k.RBF(1.7, 0.8), POINTS, noise_variance=NOISE))
    hidden = np.where(seen == 1, Y, np.nan)
    broken = hidden.copy()
    broken[1, 6] = np.nan
    for block, others in ((svgp, ()), (sgpr, (None,))):
        for flag in (False, True):
            block.hybridize(flag)
            assert np.isfinite(block(*nd(X, hidden), *others, nd(seen)).asnumpy()).all()
            with pytest.raises(ValueError, match="Row 6 of batch element 1"):
                block(*nd(X, broken), *others, nd(seen))


@pytest.mark.parametrize("folds", [1, 10, 0, -2, True, 2.5, "three", [0] * 9, [0, 1]])
@pytest.mark.parametrize("make", [exact, sparse])
def test_folds_that_are_none(make, folds):
    """Of 9 rows: a number above that of the rows is no number of folds."""
    predictor = make()
    data = () if make is exact else (X, Y)
    with pytest.raises(ValueError, match="expected a number from 2 to 9, or the fold of each of 9"):
        predictor.cross_validation(*data, folds=folds)
    assert predictor.cross_validation(*data, folds=np.int64(9)).mean.shape == (2, 9)


def multi_output(x, y):
    layer = gl.MultiOutputGPLikelihoodLayer(k.RBF(1.7, 0.8), 2, noise_variance=NOISE)
    return ready(layer).condition(x, np.stack([y, -2.0 * y], axis=2))


def states(x, y):
    layer = gl.StateSpaceGPLayer(k.Matern32(1.7, 0.8), noise_variance=NOISE)
    return ready(layer).condition(np.sort(x[:, :, 0]), y)


@pytest.mark.parametrize("make", [exact, multi_output, states, sparse])
def test_saved_parameters_are_the_whole_posterior(make, tmp_path):
    """Also the data themselves, of which calls know nothing."""
    saved, other = make(X, Y), make(X - 0.3, np.zeros_like(Y))
    saved.save_parameters(str(tmp_path / "posterior.params"))
    other.load_parameters(str(tmp_path / "posterior.params"))
    for one, right in zip(told(other, make), told(saved, make)):
        np.testing.assert_array_equal(one.asnumpy(), right.asnumpy())


def told(predictor, make):
    new = nd(NEW[:, :, 0] if make is states else NEW)
    mx.random.seed(3)
    found = [*predictor(new), predictor.sample(new)]
    if make is sparse:
        return [*found, predictor.negative_log_likelihood()]
    return [*found, *predictor.leave_one_out()]

"""Whitening in every mode: values, gradients at ties, and what running statistics do."""

import mxnet as mx
import numpy as np
import pytest
import scipy.linalg

import gluon_linalg as gl
from gluon_linalg import errors
from gluon_linalg.blocks.whitening import FORMS, WhiteningBlock
from harness import assert_runs_on_gpu, check_block
from harness.modes import MODES, arrays, assert_same, build, evaluate, in_mode

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
EVERY_FORM = pytest.mark.parametrize("form", FORMS)
BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])


def data(batch, n, d, seed=0):
    """Samples whose variances are well separated and whose mean is not 0."""
    random = np.random.RandomState(seed)
    rotation = np.linalg.qr(random.randn(d, d))[0]
    return random.randn(batch, n, d) * np.arange(1.0, d + 1) @ rotation + np.arange(d)


def whitened(x, form, epsilon):
    """By scipy, one set of samples."""
    centred = x - x.mean(axis=0)
    s = centred.T @ centred / len(x)
    s = s + (epsilon + 64 * 2.0**-53 * np.trace(s)) * np.eye(len(s))
    if form == "zca":
        return centred @ np.linalg.inv(scipy.linalg.sqrtm(s))
    if form == "cholesky":
        return scipy.linalg.solve_triangular(np.linalg.cholesky(s), centred.T, lower=True).T
    values, vectors = np.linalg.eigh(s)
    vectors = vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(s))])
    return centred @ vectors / np.sqrt(values[::-1])


@EVERY_FORM
def test_block_of_separate_sets(form, tmp_path):
    cases = [[data(2, 4, 2)], [data(1, 4, 1)], [data(2, 9, 4)]]
    oracle = lambda x, _: np.stack([whitened(each, form, 0.1) for each in x])  # noqa: E731
    factory = lambda: WhiteningBlock(form, momentum=None, epsilon=0.1)  # noqa: E731
    check_block(factory, cases, tmp_path, oracle, float32=5e-4)


@BOTH
def test_training_is_the_same_in_every_mode(dtype, tmp_path):
    """Outputs, gradients and what is recorded; `check_block` would compare with inference."""
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for case in [data(2, 6, 3)], [data(1, 4, 3)]:
        expected = trained("imperative", case, dtype, tmp_path)
        # The gradient goes through mean and covariance: that of one set of all samples.
        rows, weights = case[0].reshape(1, -1, 3), fixed_weights(case[0]).reshape(1, -1, 3)
        block = build(lambda: WhiteningBlock(momentum=None), dtype, [rows])
        apart = evaluate(block, arrays([rows], dtype), arrays([weights], dtype)).gradients[0]
        found = expected[0].gradients[0].reshape(apart.shape)
        assert np.abs(found - apart).max() <= 10 * tolerance * np.abs(apart).max()
        for mode in MODES:
            found = trained(mode, case, dtype, tmp_path)
            reference = expected
            if mode == "exported":
                # An exported graph has MXNet's own operators, which round differently.
                with gl.use_backend("mxnet"):
                    reference = trained("imperative", case, dtype, tmp_path)
            assert_same(found[0], reference[0], tolerance, mode)
            for a, b in zip(found[1], expected[1]):
                np.testing.assert_allclose(a, b, rtol=10 * tolerance)


def trained(mode, inputs, dtype, folder):
    """Result of a training step, and the running statistics after it."""
    example = arrays(inputs, dtype)
    block = in_mode(build(WhiteningBlock, dtype, inputs), mode, example, folder)
    return evaluate(block, example, arrays([fixed_weights(inputs[0])], dtype)), running(block)


def fixed_weights(x):
    return np.random.RandomState(3).randn(*x.shape)


def running(block):
    parameters = block.collect_params()
    return [
        next(p for name, p in parameters.items() if name.endswith(ending)).data().asnumpy()
        for ending in ("running_mean", "running_covariance")
    ]


@EVERY_MODE
@BOTH
def test_training_and_inference(mode, dtype, tmp_path):
    """Training uses and records the batch, inference what was recorded, both as stated."""
    x, other = data(2, 6, 3), data(2, 5, 3, seed=1) + 3.0
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    block = build(lambda: WhiteningBlock(momentum=0.7, epsilon=0.1), dtype, [x])
    block = in_mode(block, mode, arrays([x], dtype), tmp_path)
    mean, covariance = np.zeros(3), np.eye(3)
    for batch in (x, other):
        rows = batch.reshape(-1, 3)
        with mx.autograd.record():
            found = block(arrays([batch], dtype)[0])
        expected = whitened(rows, "zca", 0.1).reshape(batch.shape)
        assert np.abs(found.asnumpy() - expected).max() < 10 * tolerance
        mean = 0.7 * mean + 0.3 * rows.mean(axis=0)
        covariance = 0.7 * covariance + 0.3 * np.cov(rows.T, bias=True)
    for _ in range(2):
        found = block(arrays([other], dtype)[0]).asnumpy()
    root = np.linalg.inv(scipy.linalg.sqrtm(covariance + 0.1 * np.eye(3)))
    assert np.abs(found - (other - mean) @ root).max() < 10 * tolerance
    for a, b in zip(running(block), (mean, covariance)):
        np.testing.assert_allclose(a, b, rtol=10 * tolerance)
    # One sample alone gives the same as within its batch.
    alone = block(arrays([other[:1, :1]], dtype)[0]).asnumpy()
    assert np.abs(alone - found[:1, :1]).max() < 10 * tolerance


@EVERY_MODE
def test_gradient_in_inference_is_that_of_an_affine_map(mode, tmp_path):
    """record(train_mode=False): nothing flows through the statistics, nothing is recorded."""
    x = data(2, 6, 3)
    block = build(WhiteningBlock, "float64", [x])
    block = in_mode(block, mode, arrays([x], "float64"), tmp_path)
    with mx.autograd.record():
        block(arrays([x], "float64")[0])
    before = running(block)
    array, weights = arrays([x, np.random.RandomState(1).randn(*x.shape)], "float64")
    array.attach_grad()
    with mx.autograd.record(train_mode=False):
        loss = (block(array) * weights).sum()
    loss.backward()
    root = np.linalg.inv(scipy.linalg.sqrtm(before[1] + 1e-5 * np.eye(3)))
    np.testing.assert_allclose(array.grad.asnumpy(), weights.asnumpy() @ root, rtol=1e-9)
    for a, b in zip(running(block), before):
        assert (a == b).all()


@EVERY_MODE
@EVERY_FORM
def test_gradient_at_a_tie(form, mode, tmp_path):
    """Whitened data have S = I; the differential of (S + sI)^{-1/2} at a tie has a closed form."""
    x = whitened(data(1, 8, 3)[0], "zca", 0.0)[None]
    random = np.random.RandomState(5)
    weights, direction = random.randn(1, 8, 3), random.randn(1, 8, 3)
    block = build(lambda: WhiteningBlock(form, momentum=None, epsilon=0.0), "float64", [x])
    block = in_mode(block, mode, arrays([x], "float64"), tmp_path)
    found = evaluate(block, arrays([x], "float64"), arrays([weights], "float64"))
    along = (found.gradients[0] * direction).sum()
    change = direction[0] - direction[0].mean(axis=0)
    change_of_s = (x[0].T @ change + change.T @ x[0]) / 8
    if form == "pca":
        assert np.isfinite(along)
        return
    if form == "zca":
        change_of_w = -0.5 * change_of_s
    else:
        lower = np.tril(change_of_s, -1) + 0.5 * np.diag(np.diag(change_of_s))
        change_of_w = -lower.T
    expected = (weights[0] * (change + x[0] @ change_of_w)).sum()
    np.testing.assert_allclose(along, expected, rtol=1e-9)


@EVERY_FORM
@BOTH
def test_variances_that_are_rounding(form, dtype):
    """P1: variances 1e-18 of the largest come out finite and small, and so does the gradient."""
    random = np.random.RandomState(0)
    u, v = np.linalg.qr(random.randn(200, 5))[0], np.linalg.qr(random.randn(5, 5))[0]
    x = (u * [1, 1e-2, 1e-4, 1e-7, 1e-9] @ v.T)[None]
    for epsilon, scale in ((1e-5, 1.0), (0.0, 1.0), (1e-5, 1e6), (0.0, 1e-6)):
        block = build(lambda e=epsilon: WhiteningBlock(form, None, e), dtype, [x])
        result = evaluate(block, arrays([scale * x], dtype), arrays([np.ones_like(x)], dtype))
        covariance = np.cov(result.outputs[0][0].astype("float64").T, bias=True)
        assert np.linalg.eigvalsh(covariance).max() < 1.001
        assert np.isfinite(result.gradients[0]).all()


def test_deficient_data_in_float32():
    """Many samples of few dimensions: rounding of the sums stays below what is added."""
    random = np.random.RandomState(2)
    x = (random.randn(1, 20000, 3) @ random.randn(3, 12)).astype("float32")
    for form in FORMS:
        block = build(lambda f=form: WhiteningBlock(f, None, 0.0), "float32", [x])
        assert np.isfinite(block(mx.nd.array(x)).asnumpy()).all()


def test_constant_data():
    x = mx.nd.ones((1, 4, 2), dtype="float64")
    block = build(lambda: WhiteningBlock(momentum=None), "float64", [data(1, 4, 2)])
    assert not block(x).asnumpy().any()
    block = build(lambda: WhiteningBlock(momentum=None, epsilon=0), "float64", [data(1, 4, 2)])
    with pytest.raises(errors.NotPositiveDefiniteError, match=block.name):
        block(x)


@EVERY_MODE
def test_a_batch_with_nan_is_not_recorded(mode, tmp_path):
    x = data(1, 5, 3)
    block = build(WhiteningBlock, "float64", [x])
    block = in_mode(block, mode, arrays([x], "float64"), tmp_path)
    bad = x.copy()
    bad[0, 2, 1] = np.nan
    with mx.autograd.record():
        if mode == "exported":
            assert np.isnan(block(arrays([bad], "float64")[0]).asnumpy()).all()
        else:
            with pytest.raises(errors.NonFiniteError):
                block(arrays([bad], "float64")[0])
    mean, covariance = running(block)
    assert not mean.any() and (covariance == np.eye(3)).all()


class Network(mx.gluon.HybridBlock):
    """Two whitenings, the first of data that need no gradient."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.first = WhiteningBlock("cholesky")
            self.dense = mx.gluon.nn.Dense(4, flatten=False, in_units=3)
            self.second = WhiteningBlock("zca")

    def hybrid_forward(self, F, x):
        return self.second(self.dense(self.first(x)))


def test_in_a_network(tmp_path):
    """Three steps of training: the same parameters, statistics and predictions in every mode."""
    found = {}
    for mode in MODES:
        mx.random.seed(4)
        x = mx.nd.array(data(2, 8, 3), dtype="float64")
        net = Network()
        net.initialize(mx.init.Xavier())
        net.cast("float64")
        net = in_mode(net, mode, [x], tmp_path)
        trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        for _ in range(3):
            with mx.autograd.record():
                loss = (net(x) * mx.nd.arange(4, dtype="float64")).tanh().sum()
            loss.backward()
            trainer.step(1)
        values = [p.data().asnumpy() for p in net.collect_params().values()]
        found[mode] = [net(x).asnumpy()] + sorted(values, key=lambda a: (a.shape, a.sum()))
    for mode in MODES:
        for a, b in zip(found[mode], found["imperative"]):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=mode)


def test_an_exported_model_keeps_what_it_learned(tmp_path):
    assert_runs_on_gpu(WhiteningBlock, [data(2, 8, 3)], "float32", tmp_path)
    x = mx.nd.array(data(2, 8, 3), dtype="float64")
    block = build(WhiteningBlock, "float64", [x.asnumpy()])
    with mx.autograd.record():
        block(x)
    gl.export(block, str(tmp_path / "model"), x)
    files = [str(tmp_path / f"model{end}") for end in ("-symbol.json", "-0000.params")]
    plain = mx.gluon.SymbolBlock.imports(files[0], ["data"], files[1])
    np.testing.assert_allclose(plain(x).asnumpy(), block(x).asnumpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "arguments, text",
    [({"form": "qr"}, "zca"), ({"momentum": 1.0}, "momentum"), ({"epsilon": -1}, "epsilon")],
)
def test_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        WhiteningBlock(**arguments)


def test_shapes():
    with pytest.raises(errors.ShapeError, match="one sample"):
        WhiteningBlock(momentum=None)(mx.nd.ones((2, 1, 3)))

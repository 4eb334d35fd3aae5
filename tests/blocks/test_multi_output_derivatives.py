"""Posteriors of several outputs: derivatives by x, the likelihood, another device."""

import mxnet as mx
import numpy as np
import pytest
import sparse_gp_reference as reference
from test_gp import nd, ready
from test_multi_output_gp import (
    NEW,
    NEW_Y,
    PREDICTORS,
    SEEN,
    X,
    Y,
    close,
    data,
    dense,
    layer,
)
from test_multi_output_sparse import POINTS, of_rows, rows, sgpr

import gluon_linalg as gl
from gluon_linalg import kernels as k
from harness import check_block
from plain_mxnet import run_plain

SLOPES = np.array([[0.3, -0.2], [0.0, 0.5], [-0.7, 0.1]])


def sloped(block):
    """With a linear mean, which has a slope for each output."""
    block = ready(block)
    block(*nd(X, Y))
    block.mean.weight.set_data(nd(SLOPES))
    return block


def exact_moments(name):
    """Mean (B, m, k) and joint covariance by output of any new points, from dense matrices."""
    given = PREDICTORS[name][1]
    linear = name == "two kernels"

    def moments(new):
        mean, joint = dense(X, Y - X @ SLOPES.T, new=new, linear=linear, **given)
        mean = mean.reshape(2, 3, -1).transpose(0, 2, 1)
        return mean + new @ SLOPES.T, joint

    return moments


def sparse_moments(new):
    found = []
    for b in range(2):
        own = rows(X[b], (Y - X @ SLOPES.T)[b], mask=SEEN[b])
        at = np.concatenate([np.insert(new[b], 2, a, axis=1) for a in range(3)])
        found.append(reference.posterior(of_rows(), *own[:2], POINTS, own[2], at))
    mean = np.stack([m for m, _ in found]).reshape(2, 3, -1).transpose(0, 2, 1)
    return mean + new @ SLOPES.T, np.stack([c for _, c in found])


def differences(moments, step):
    """∂E f/∂x, ∂Var f/∂x, and Cov(∂f/∂x) of each output at each x, of central differences."""
    points = [NEW + sign * step * np.eye(2)[j] for j in range(2) for sign in (1, -1)]
    mean, joint = moments(np.concatenate(points, axis=1))
    parts = joint.reshape(2, 3, 16, 3, 16)[:, range(3), :, range(3)].transpose(1, 0, 2, 3)
    variance = parts.diagonal(axis1=2, axis2=3).transpose(0, 2, 1)
    first, change = (
        np.einsum("bjsmk,s->bmkj", a.reshape(2, 2, 2, 4, 3), [1, -1]) / (2 * step)
        for a in (mean, variance)
    )
    whole = parts.reshape(2, 3, 2, 2, 4, 2, 2, 4)
    signs = np.array([1, -1])
    whole = np.einsum("bkismjtm,s,t->bmkij", whole, signs, signs)
    return first, change, whole / (4 * step**2)


CASES = {
    "kronecker": lambda: sloped(layer(mean="linear")).condition(X, Y),
    "mask": lambda: sloped(layer(mean="linear")).condition(X, Y, mask=SEEN),
    "sparse": lambda: sloped(sgpr(mean="linear")).condition(X, Y, mask=SEEN),
}


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_differences(name):
    predictor = CASES[name]()
    moments = sparse_moments if name == "sparse" else exact_moments(name)
    coarse, fine = (differences(moments, h) for h in (2e-3, 1e-3))
    mean, change, covariance = (b + (b - a) / 3.0 for a, b in zip(coarse, fine))
    found = predictor.gradient(nd(NEW))
    close(found[0], mean, 1e-9)
    close(found[1], change, 1e-9)
    found = predictor.derivative(nd(NEW))
    close(found[0], mean, 1e-9)
    close(found[1], covariance, 1e-6)


@pytest.mark.parametrize("mask", [None, SEEN])
def test_a_prior_variance_that_depends_on_x(mask):
    """Slopes and bends of a kernel that is not stationary, by differences of calls."""
    block = ready(layer(k.RBF(1.7, 0.8) * k.Linear([0.5, 0.7]) + k.Polynomial(2)))
    predictor, step = block.condition(X, Y, mask=mask), 1e-4
    changes = predictor.gradient(nd(NEW))[1].asnumpy()
    for j in range(2):
        ahead, back = (predictor(nd(NEW + s * step * np.eye(2)[j]))[1] for s in (1, -1))
        close(changes[..., j], ((ahead - back) / (2 * step)).asnumpy(), 1e-6)
    points = [NEW + sign * step * np.eye(2)[j] for j in range(2) for sign in (1, -1)]
    joint = predictor.covariance(nd(np.concatenate(points, axis=1))).asnumpy()
    joint = joint.reshape(2, 3, 2, 2, 4, 3, 2, 2, 4)
    signs = np.array([1, -1])
    right = np.einsum("bkismkjtm,s,t->bmkij", joint, signs, signs) / (4 * step**2)
    close(predictor.derivative(nd(NEW))[1], right, 1e-6)


@pytest.mark.parametrize("name", ["kronecker", "mask", "two kernels"])
def test_the_likelihood_of_other_targets(name):
    make, given = PREDICTORS[name]
    block = ready(make())
    predictor = block.condition(X, Y, **given)
    for y in (Y, -2.0 * Y):
        right = dense(X, y, linear=name == "two kernels", **given)
        close(predictor.negative_log_likelihood(None if y is Y else y), right)
        close(predictor.view("negative_log_likelihood")(nd(y)), right)


class InDtype:
    """A factory whose view is made in the dtype that the harness casts it to."""

    def __init__(self, name, view):
        self.name, self.view = name, view

    def of(self, dtype):
        if self.name == "sparse":
            found = ready(sgpr(), dtype).condition(X, Y)
        else:
            make, given = PREDICTORS[self.name]
            found = ready(make(), dtype).condition(X, Y, **given)
        return found.view(self.view)

    def __call__(self):
        block = self.of("float64")
        block.cast = lambda dtype: block.__dict__.update(self.of(dtype).__dict__)
        return block


@pytest.mark.slow
@pytest.mark.parametrize("view", ["gradient", "derivative", "joint_log_density"])
@pytest.mark.parametrize("name", ["kronecker", "two kernels", "sparse"])
def test_in_all_modes(name, view, tmp_path):
    cases = [[NEW, NEW_Y], [*data(2, 2, seed=9)]]
    cases = [case[: 2 if view == "joint_log_density" else 1] for case in cases]
    check_block(InDtype(name, view), cases, tmp_path)


@pytest.mark.parametrize(
    "name, view",
    [
        ("kronecker", "gradient"),
        ("mask", "derivative"),
        ("sparse", "derivative"),
        pytest.param("kronecker", "derivative", marks=pytest.mark.slow),
        pytest.param("sparse", "gradient", marks=pytest.mark.slow),
        pytest.param("mask", "joint_log_density", marks=pytest.mark.slow),
        pytest.param("kronecker", "negative_log_likelihood", marks=pytest.mark.slow),
    ],
)
def test_views_are_files(name, view, tmp_path):
    block = CASES[name]().view(view)
    inputs = {"joint_log_density": [NEW, NEW_Y], "negative_log_likelihood": [Y]}.get(view, [NEW])
    block.hybridize()
    found = block(*(nd(*inputs) if len(inputs) > 1 else [nd(*inputs)]))
    found = found if isinstance(found, (list, tuple)) else [found]
    gl.export(block, str(tmp_path / "view"), *[nd(a) for a in inputs])
    for plain, own in zip(run_plain(tmp_path / "view", inputs, "float64", tmp_path), found):
        close(plain, own.asnumpy())


@pytest.mark.parametrize("name", ["kronecker", "mask", "one output"])
def test_another_device(name):
    """What looks at the data follows the arrays that `reset_ctx` moved."""
    if name == "one output":
        block = ready(gl.GPLikelihoodLayer(gl.kernels.RBF(), noise_variance=0.1))
        predictor = block.condition(X, Y[:, :, 0])
    else:
        make, given = PREDICTORS[name]
        predictor = ready(make()).condition(X, Y, **given)
    before = [predictor.negative_log_likelihood(), *predictor.leave_one_out()]
    predictor.collect_params().reset_ctx(mx.cpu(1))
    after = [predictor.negative_log_likelihood(), *predictor.leave_one_out()]
    for left, right in zip(before, after):
        assert right.context == mx.cpu(1)
        close(left, right.asnumpy())
    assert predictor.without_observations([1]).inputs.list_ctx() == [mx.cpu(1)]
    assert predictor.with_observations(X[:, :1], after[1][:, :1]).inputs.list_ctx() == [mx.cpu(1)]

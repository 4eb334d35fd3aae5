"""Steps of Gluon optimizers, and what happens where the loss is not finite after one."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.fitting.steps import HALVINGS, NotFinite, NotFiniteAtFirst, steps


class Inside(mx.gluon.HybridBlock):
    """-log(1 - w²) - w: finite for |w| < 1, lowest at √2 - 1."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.w = self.params.get("w", shape=(1,), init=mx.init.Constant(-0.9))

    def hybrid_forward(self, F, x, w):
        return F.broadcast_mul(-F.log(1.0 - F.square(w)) - w, F.ones_like(x))


def net():
    block = Inside()
    block.initialize()
    block.cast("float64")
    return block


@pytest.mark.parametrize("method", ["sgd", "rmsprop", "ftrl", "adam"])
def test_a_step_out_of_the_region_is_taken_back(method):
    result = gl.fit(net(), np.ones(1), method=method, learning_rate=3.0, iterations=60)
    assert np.isfinite(result.curve).all() and len(result.curve) == 61
    w = np.sqrt(2.0) - 1.0
    assert result.loss < -np.log(1.0 - w**2) - w + 0.05


def test_what_is_beside_is_taken_back_as_well():
    """Of a loss that is not finite after the first three steps, whose rate is 8 at the start."""
    parameter = net().w
    trainer = mx.gluon.Trainer([parameter], "sgd", {"learning_rate": 8.0}, kvstore=None)

    class Loss:
        answers = iter([1.0, np.inf, 1.0, np.inf, 1.0, np.inf, 1.0, 0.5, 0.25])
        asked = []

        def vector(self):
            return parameter.data().asnumpy()

        def set_vector(self, vector):
            parameter.set_data(mx.nd.array(vector, dtype="float64"))

        def evaluate(self, iteration):
            self.asked.append(iteration)
            with mx.autograd.record():
                total = parameter.data().sum()
            total.backward()
            return next(self.answers)

    told = []

    def beside(iteration):
        told.append(iteration)
        return lambda: told.append(f"{iteration} back")

    loss = Loss()
    assert list(steps(trainer, loss, [mx.cpu()], 0, 2, beside)) == [0.5, 0.25]
    assert told == [1, "1 back", 1, "1 back", 1, "1 back", 1, 2]
    assert loss.asked == [0, 1, 0, 1, 0, 1, 0, 1, 2]
    # Two steps, at an eighth of the rate.
    assert trainer.learning_rate == 1.0 and loss.vector() == pytest.approx(-0.9 - 2.0)

    class Nowhere(Loss):
        answers = iter([1.0] + [np.inf, 1.0] * (HALVINGS + 1))

    with pytest.raises(NotFinite):
        list(steps(trainer, Nowhere(), [mx.cpu()], 0, 1))


def test_no_step_is_taken_from_where_the_loss_is_not_finite():
    block = net()
    trainer = mx.gluon.Trainer([block.w], "sgd", {"learning_rate": 1.0}, kvstore=None)

    class Loss:
        def evaluate(self, iteration):
            assert iteration == 3
            return np.nan

    def beside(iteration):
        raise AssertionError("a step was taken")

    with pytest.raises(NotFiniteAtFirst):
        next(steps(trainer, Loss(), [mx.cpu()], 3, 9, beside))
    assert block.w.data().asscalar() == pytest.approx(-0.9)


@pytest.mark.parametrize("method", ["lbfgs", "adam"])
def test_a_fit_from_where_the_loss_is_not_finite(method):
    """Is refused whatever finds the minimum, and changes nothing."""
    block = net()
    block.w.set_data(mx.nd.array([2.0]))
    with pytest.raises(gl.errors.NonFiniteError, match="not a finite number at the initial"):
        gl.fit(block, np.ones(1), method=method)
    assert block.w.data().asscalar() == 2.0


class Dropped(mx.gluon.HybridBlock):
    """-Σ log w x, where in training x is 0 for about half of its elements."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.w = self.params.get("w", shape=(1,), init=mx.init.Constant(0.5))
            self.dropout = mx.gluon.nn.Dropout(0.5)

    def hybrid_forward(self, F, x, w):
        return F.sum(-F.log(F.broadcast_mul(self.dropout(x), w)))


def test_a_fit_whose_noise_is_not_finite_at_first():
    """Without noise the loss is a number: it is told, with the point where the search began."""
    block = Dropped()
    block.initialize()
    result = gl.fit(block, np.ones(100), method="adam", iterations=5)
    assert not result.converged and result.message == (
        "the loss is not finite before the first step"
    )
    assert result.loss == pytest.approx(100 * np.log(2.0)) and len(result.curve) == 1
    assert block.w.data().asscalar() == 0.5

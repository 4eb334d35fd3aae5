"""Steps of Gluon optimizers, and what happens where the loss is not finite after one."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from gluon_linalg.fitting.steps import HALVINGS, NotFinite, steps


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

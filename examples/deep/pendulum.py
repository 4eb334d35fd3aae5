"""The acceleration of a pendulum, learnt by a network from noisy angles alone.

    speed' = speed + h a(angle, speed),  angle' = angle + h speed',  y = angle + noise

The model is trained by the likelihood of a sigma-point filter, with a linear and with a nonlinear
a. Swings are wide, so that a pendulum is not a linear spring.
"""

import argparse

import numpy as np

import gluon_linalg as gl

# After gluon_linalg, which lets MXNet 1.9.1 be imported with a newer numpy.
import mxnet as mx  # isort: skip

STEP, NOISE, SERIES, LENGTH = 0.2, 0.05, 16, 25


class Motion(mx.gluon.HybridBlock):
    """(angle, speed) a step on, (R, 2) -> (R, 2)."""

    def __init__(self, *layers):
        super().__init__()
        with self.name_scope():
            self.acceleration = mx.gluon.nn.HybridSequential()
            self.acceleration.add(*layers)

    def hybrid_forward(self, F, x):
        angle, speed = (F.slice_axis(x, axis=1, begin=k, end=k + 1) for k in (0, 1))
        speed = speed + STEP * self.acceleration(x)
        return F.concat(angle + STEP * speed, speed, dim=1)


class Angle(mx.gluon.HybridBlock):
    """(R, 2) -> (R, 1)."""

    def hybrid_forward(self, F, x):
        return F.slice_axis(x, axis=1, begin=0, end=1)


def swings(seed):
    """Noisy angles (B, T, 1) of pendulums that begin anywhere, at rest."""
    random = np.random.RandomState(seed)
    angle, speed, y = random.uniform(-2.8, 2.8, SERIES), np.zeros(SERIES), []
    for _ in range(LENGTH):
        y.append(angle + NOISE * random.randn(SERIES))
        speed = speed - STEP * np.sin(angle)
        angle = angle + STEP * speed
    return mx.nd.array(np.transpose(y)[:, :, None])


class Model(mx.gluon.HybridBlock):
    """The loss of swings (B, T, 1), (B,), with learnable noise of speed and angle."""

    def __init__(self, *layers):
        super().__init__()
        with self.name_scope():
            self.filter = gl.NonlinearFilterLayer(Motion(*layers), Angle(), 2, length=LENGTH)
            self.logarithms = self.params.get("logarithms", shape=(2,), init=mx.init.Constant(-3.0))

    def hybrid_forward(self, F, y, logarithms):
        speed, angle = (
            F.reshape(F.exp(F.slice_axis(logarithms, axis=0, begin=k, end=k + 1)), (1, 1, 1, 1))
            for k in (0, 1)
        )
        process = F.concat(0.0 * speed, speed, dim=2)
        # At rest, at any angle.
        first = F.concat(F.ones((1, 1, 1)) * 2.0, F.zeros((1, 1, 1)), dim=1)
        return self.filter(y, process, angle, F.zeros((1, 2)), first)


def log_likelihood(layers, epochs):
    """That of held-out swings, for each observation."""
    model = Model(*layers)
    model.initialize(mx.init.Xavier())
    model.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(model.collect_params(), "adam", {"learning_rate": 0.02})
    y = swings(0)
    for _ in range(epochs):
        with mx.autograd.record():
            loss = model(y).mean()
        loss.backward()
        trainer.step(1)
    return -model(swings(1)).mean().asscalar() / LENGTH


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    options = parser.parse_args(arguments)
    dense, results = mx.gluon.nn.Dense, {}
    for name, layers in (
        ("linear", [dense(1, in_units=2)]),
        ("network", [dense(8, in_units=2, activation="tanh"), dense(1, in_units=8)]),
    ):
        mx.random.seed(options.seed)
        results[name] = log_likelihood(layers, options.epochs)
        print(f"{name:8s} log-likelihood per held-out angle {results[name]:7.3f}")
    return results


if __name__ == "__main__":
    main()

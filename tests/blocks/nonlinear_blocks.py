"""Transitions and emissions for the tests of nonlinear layers."""

import mxnet as mx
import numpy as np


class Affine(mx.gluon.HybridBlock):
    """A x + b, with learnable A and b; with the Jacobian A where it is asked for."""

    def __init__(self, matrix, offset, has_jacobian=False, **kwargs):
        super().__init__(**kwargs)
        self._has_jacobian = has_jacobian
        with self.name_scope():
            self.matrix, self.offset = (
                self.params.get(
                    name, shape=np.shape(value), init=mx.init.Constant(mx.nd.array(value))
                )
                for name, value in (("matrix", matrix), ("offset", offset))
            )
        self.initialize()
        self.cast("float64")
        self.matrix.set_data(mx.nd.array(matrix, dtype="float64"))
        self.offset.set_data(mx.nd.array(offset, dtype="float64"))

    def hybrid_forward(self, F, x, matrix, offset):
        value = F.broadcast_add(F.dot(x, matrix, transpose_b=True), F.expand_dims(offset, axis=0))
        if not self._has_jacobian:
            return value
        rows = 0.0 * F.expand_dims(F.slice_axis(x, axis=1, begin=0, end=1), axis=2)
        return value, F.broadcast_add(F.expand_dims(matrix, axis=0), rows)


class Of(mx.gluon.HybridBlock):
    """A function of F and x as a block."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self._function = function

    def hybrid_forward(self, F, x, *inputs):
        return self._function(F, x, *inputs)


def columns(F, x, count=2):
    return [F.slice_axis(x, axis=1, begin=k, end=k + 1) for k in range(count)]


def Pendulum(has_jacobian=False):
    """f and h of `nonlinear_references.pendulum`."""

    def transition(F, x):
        angle, speed = columns(F, x)
        value = F.concat(angle + 0.1 * speed, speed - 0.98 * F.sin(angle), dim=1)
        if not has_jacobian:
            return value
        one = F.ones_like(angle)
        rows = F.concat(one, 0.1 * one, dim=1), F.concat(-0.98 * F.cos(angle), one, dim=1)
        return value, F.stack(*rows, axis=1)

    def emission(F, x):
        angle, _ = columns(F, x)
        if not has_jacobian:
            return F.sin(angle)
        row = F.concat(F.cos(angle), F.zeros_like(angle), dim=1)
        return F.sin(angle), F.expand_dims(row, axis=1)

    return Of(transition), Of(emission)


def Network(has_jacobian=False):
    """f and h of `nonlinear_references.network`, made of Gluon's layers."""
    weights = [
        np.array(x)
        for x in (
            [[0.8, -0.5], [0.3, 0.9], [-0.6, 0.4]],
            [[0.5, 0.2, -0.3], [-0.1, 0.6, 0.4]],
            [[1.0, 0.5], [-0.4, 0.8]],
        )
    ]
    return (
        Residual(0.6, weights[0], [0.1, -0.2, 0.3], weights[1], has_jacobian),
        Residual(0.1, weights[2], [0.0, 0.0], np.eye(2), has_jacobian),
    )


class Residual(mx.gluon.HybridBlock):
    """c x + V tanh(W x + b), (R, d) -> (R, n)."""

    def __init__(self, scale, first, shift, second, has_jacobian=False, **kwargs):
        super().__init__(**kwargs)
        self._scale, self._has_jacobian = scale, has_jacobian
        with self.name_scope():
            self.first = mx.gluon.nn.Dense(len(first), in_units=len(first[0]))
            self.second = mx.gluon.nn.Dense(len(second), in_units=len(first), use_bias=False)
        self.initialize()
        self.cast("float64")
        for parameter, value in (
            (self.first.weight, first),
            (self.first.bias, shift),
            (self.second.weight, second),
        ):
            parameter.set_data(mx.nd.array(value, dtype="float64"))

    def hybrid_forward(self, F, x):
        hidden = F.tanh(self.first(x))
        value = self.second(hidden) + self._scale * x
        if not self._has_jacobian:
            return value
        first, second = (
            self.first.weight.data() if F is mx.nd else self.first.weight.var(),
            self.second.weight.data() if F is mx.nd else self.second.weight.var(),
        )
        inner = F.broadcast_mul(
            F.expand_dims(1.0 - F.square(hidden), axis=2), F.expand_dims(first, axis=0)
        )
        slope = F.dot(F.transpose(inner, axes=(0, 2, 1)), second, transpose_b=True)
        eye = F.expand_dims(F.one_hot(F.arange(2), 2, dtype="float64"), axis=0)
        return value, F.broadcast_add(F.transpose(slope, axes=(0, 2, 1)), self._scale * eye)


def evaluated(layer, arrays):
    """Outputs, and by name the gradients of a weighted sum of them."""
    given = {
        k: a if isinstance(a, mx.nd.NDArray) else mx.nd.array(a, dtype="float64")
        for k, a in arrays.items()
    }
    for array in given.values():
        array.attach_grad()
    random = np.random.RandomState(1)
    with mx.autograd.record():
        outputs = layer(**given)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        loss = sum((o * mx.nd.array(random.randn(*o.shape), dtype=o.dtype)).sum() for o in outputs)
    loss.backward()
    return [o.asnumpy() for o in outputs], {k: a.grad.asnumpy() for k, a in given.items()}

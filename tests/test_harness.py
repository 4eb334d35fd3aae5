"""The shared checks must fail where a block is wrong: each wrong block here breaks one promise."""

import mxnet as mx
import numpy as np
import pytest

import gluon_linalg as gl
from harness import assert_runs_on_gpu, check_block
from harness.block import check_float32, check_modes

CASES = [
    [np.array([[[4.0, 1.0], [1.0, 3.0]]])],
    [np.array([[[5.0, 1.0, 0.0], [1.0, 4.0, 0.5], [0.0, 0.5, 3.0]]])],
]


class Honest(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, a):
        return F.sum(F.square(a), axis=(1, 2))


class OtherValueInAGraph(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, a):
        return F.sum(F.square(a), axis=(1, 2)) * (1.0 if F is mx.nd else 1.0 + 1e-10)


class OtherGradientInAGraph(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, a):
        total, linear = F.sum(F.square(a), axis=(1, 2)), F.sum(a, axis=(1, 2))
        return total if F is mx.nd else total + (linear - F.BlockGrad(linear))


class SharedProducts(mx.gluon.HybridBlock):
    """Eight gemm2 that share an input: wrong when compiled statically."""

    def hybrid_forward(self, F, a):
        a = F.identity(a)
        total = 0.0
        for i in range(8):
            total = total + F.sum(F.linalg.gemm2(a, (i + 1.0) * F.sin(a)), axis=(1, 2))
        return total


class WrongGradient(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, a):
        value = F.sum(F.square(a), axis=(1, 2))
        linear = F.sum(a, axis=(1, 2))
        return F.BlockGrad(value) + (linear - F.BlockGrad(linear))


class DoesNotAdd(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, a):
        return F.sum(F.linalg.inverse(a), axis=(1, 2))


class RemembersAShape(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, a):
        if F is mx.nd:
            self.count = a.shape[1]
        return F.sum(F.square(a), axis=(1, 2)) / self.count


class LosesPrecision(mx.gluon.HybridBlock):
    """float32 inside the graph of a float64 block."""

    def hybrid_forward(self, F, a):
        total = F.sum(F.square(F.cast(a, dtype="float32")), axis=(1, 2))
        return total


class Cancels(mx.gluon.HybridBlock):
    """Accurate in float64, worthless in float32."""

    def hybrid_forward(self, F, a):
        total = F.sum(F.square(a), axis=(1, 2))
        return (1.1 * total + 1e6) - 1e6


def oracle(a, _):
    return (a**2).sum(axis=(1, 2))


def test_an_honest_block_passes(tmp_path):
    check_block(Honest, CASES, tmp_path, oracle)


@pytest.mark.parametrize(
    "block, message",
    [
        (OtherValueInAGraph, "output 0.* differs"),
        (OtherGradientInAGraph, "gradient of 0 differs"),
        (SharedProducts, "static_alloc.*gradient of 0|gradient of 0"),
        (WrongGradient, "gradient of 0.*from differences"),
        (DoesNotAdd, "add, imperative"),
        (RemembersAShape, "case 1, inference: output 0 differs"),
        (LosesPrecision, "float32 output"),
    ],
)
def test_a_wrong_block_fails(block, message, tmp_path):
    with pytest.raises((AssertionError, gl.errors.ExportError), match=message):
        check_block(block, CASES, tmp_path, None if block is DoesNotAdd else oracle)


def test_a_block_that_float32_does_not_carry_fails():
    with pytest.raises(AssertionError, match="float32, case 0: off by"):
        check_float32(Cancels, CASES, tolerance=1e-4)


def test_a_wrong_oracle_fails(tmp_path):
    with pytest.raises(AssertionError, match="oracle, case 0"):
        check_block(Honest, CASES, tmp_path, lambda a, _: oracle(a, _) * (1.0 + 1e-9))


def test_an_operator_without_gpu_version_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.operators.GPU_OPERATORS", frozenset({"square"}))
    with pytest.raises(AssertionError, match="no GPU version.*sum"):
        assert_runs_on_gpu(Honest, CASES[0], "float32", tmp_path)


def test_one_shape_is_not_enough(tmp_path):
    with pytest.raises(AssertionError, match="two shapes"):
        check_block(Honest, CASES[:1], tmp_path)


class Twice(mx.gluon.HybridBlock):
    """v |A|² + w Σ A, with parameters that got their numbers from Gluon."""

    numbers = iter([("9", "10"), ("10", "11"), ("11", "12")])

    def __init__(self):
        super().__init__()
        v, w = next(self.numbers)
        with self.name_scope():
            self.v = self.params.get(f"matern52{v}", shape=(1,), init=mx.init.One())
            self.w = self.params.get(f"matern32{w}", shape=(1,), init=mx.init.One())

    def hybrid_forward(self, F, a, v, w):
        squares, total = F.sum(F.square(a), axis=(1, 2)), F.sum(a, axis=(1, 2))
        return F.broadcast_mul(squares, v) + F.broadcast_mul(total, w)


def test_gradients_are_told_apart_whatever_numbers_gluon_has_reached(tmp_path):
    check_modes(Twice, CASES, tmp_path, "float64")

"""Custom derivatives made of ordinary operators, so that they survive in an exported graph."""

import mxnet as mx

from ..typing import Array, Namespace


def stop(F: Namespace, x: Array) -> Array:
    """x as a constant: the value passes, the gradient does not.

    In a graph this is `BlockGrad`. Imperatively it is `detach`: there, the backward pass of MXNet
    1.9.1 crashes the process where a gradient that is 0 by construction (of BlockGrad, ones_like,
    a comparison) meets batch_dot, where, concat or FullyConnected.
    """
    return x.detach() if F is mx.nd else F.BlockGrad(x)


def with_gradient(F: Namespace, value: Array, linear: Array) -> Array:
    """The value of one expression with the gradient of another.

    ``out = stop(value) + (linear - stop(linear))``

    `linear` must be linear in the arrays to be differentiated, its coefficients blocked by
    `stop`: then the gradient of `out` is exactly those coefficients, and the value is `value`
    bit for bit, since ``linear - linear`` is 0 for every finite `linear`.
    """
    return stop(F, value) + (linear - stop(F, linear))


def ones_like(F: Namespace, x: Array) -> Array:
    """Ones of x's shape, dtype and device, cut from x's graph (see `stop`)."""
    return F.ones_like(stop(F, x))


def zeros_like(F: Namespace, x: Array) -> Array:
    """Zeros of x's shape, dtype and device, cut from x's graph (see `stop`)."""
    return F.zeros_like(stop(F, x))


def guarded(F: Namespace, x: Array) -> Array:
    """x through an identity, as the input of trsm, gelqf, syevd, inverse or mean.

    The backward passes of these operators overwrite, or write out of bounds, where MXNet asks
    them to add (``grad_req='add'``); that of the identity adds as it should.
    """
    return F.identity(x)


def unit_roundoff(F: Namespace, like: Array) -> Array:
    """ε of the dtype of `like`, half the spacing at 1, computed from the arithmetic itself.

    Under Symbol no dtype can be read; |3 (4/3 - 1) - 1| is one spacing in IEEE arithmetic.
    """
    third = ones_like(F, like) * (4.0 / 3.0) - 1.0
    return stop(F, F.abs(third * 3.0 - 1.0) * 0.5)

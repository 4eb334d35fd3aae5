"""`check_methods`: the methods of a block beside its call, in both dtypes."""

import mxnet as mx
import numpy as np

from .modes import arrays

FLOAT32 = 2e-3
# What subclasses override, and what other tests call in every mode.
OWN = {"cast", "check_cast", "check_columns", "check_shapes", "hybrid_forward", "tracing"}


def public_methods(cls):
    """The names of the public methods that a class of this package defines or inherits."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("gluon_linalg") and base.__name__ != "LinearAlgebraBlock"
        for name, value in vars(base).items()
        if callable(value) and not name.startswith("_")
    } - OWN


def check_methods(make, calls, random=(), elsewhere=(), tolerance=1e-9):
    """Every public method: value by an oracle, dtype of the block, arrays of data loaders.

    make: dtype -> block. calls: {method: (float64 inputs, oracle)}, with the oracle a function of
    the inputs, or the outputs themselves; random: methods of which only shape and dtype repeat;
    elsewhere: methods that return no arrays, and are tested for themselves.
    """
    missing = public_methods(type(make("float64"))) - set(calls) - set(elsewhere)
    assert not missing, f"no check of {sorted(missing)}"
    for name, (inputs, oracle) in calls.items():
        expected = flat(oracle(*inputs) if callable(oracle) else oracle)
        for dtype, bound in (("float64", tolerance), ("float32", FLOAT32)):
            block, given = make(dtype), arrays(inputs, dtype)
            loaded = [array.as_in_context(mx.Context("cpu_shared", 0)) for array in given]
            for each in (given, loaded):
                found = flat(getattr(block, name)(*each))
                assert len(found) == len(expected), name
                for a, b in zip(found, expected):
                    assert np.dtype(a.dtype).name == dtype, f"{name}: {a.dtype} of {dtype}"
                    assert a.shape == np.shape(b), f"{name}, {dtype}: {a.shape}, {np.shape(b)}"
                    assert np.isfinite(a.asnumpy()).all(), f"{name}, {dtype}"
                    if name in random:
                        continue
                    difference = np.abs(a.asnumpy() - b).max() / (np.abs(b).max() or 1.0)
                    assert difference <= bound, f"{name}, {dtype}: off by {difference:.3g}"


def flat(outputs):
    """Arrays in a list, out of nested dicts and sequences."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, (list, tuple)):
        return [array for each in outputs for array in flat(each)]
    return [outputs]

"""Calls of every native operator with arrays of any shape, without MXNet: python fuzz.py LIBRARY.

Of arrays that fit each other, a batch has to give what its elements give one by one; arrays that do
not fit have to be refused. A crash ends this process, and a build with a sanitizer tells why.
"""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from native.door import Door  # noqa: E402

# 0 and 1, sizes below and above those of registers, and of pieces of work.
BATCHES = st.sampled_from([0, 1, 2, 3, 5, 8, 17, 33, 130])
SIZES = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 9, 17, 34])
SMALL = st.sampled_from([0, 1, 2, 3, 4, 5, 8, 9])
LEVELS = {"float32": 2e-3, "float64": 1e-8}


class Numbers:
    """What the recipes below are made of: the choices of hypothesis, and random numbers."""

    def __init__(self, draw):
        self.draw = draw
        self._random = np.random.RandomState(draw(st.integers(0, 2**16)))
        self.batch = draw(BATCHES)

    def size(self, sizes=SIZES, least=0):
        return max(least, self.draw(sizes))

    def flag(self):
        return self.draw(st.booleans())

    def one_of(self, *values):
        return self.draw(st.sampled_from(values))

    def general(self, *shape):
        return self._random.normal(size=shape)

    def shared(self, *shape, always=False):
        """One array for all batch elements, or one for each."""
        return self.general(1 if always or self.flag() else self.batch, *shape)

    def positive(self, *shape):
        return self._random.uniform(0.5, 1.5, size=shape)

    def definite(self, n):
        a = self.general(self.batch, n, n)
        return a @ a.transpose(0, 2, 1) / max(n, 1) + np.eye(n)

    def lower(self, n):
        return np.tril(self.general(self.batch, n, n), -1) / max(n, 1) + np.eye(n)

    def over_time(self, times, *shape):
        """(1, T or 1, B or 1, ...)"""
        sizes = [1 if self.flag() else size for size in (times, self.batch)]
        return self.general(1, *sizes, *shape) / max(shape[0], 1)


def square_and_sides(make):
    def recipe(x):
        n, k = x.size(), x.size()
        return [make(x, n), x.general(x.batch, n, k)], {}

    return recipe


def triangular_solve(x):
    arrays, _ = square_and_sides(Numbers.lower)(x)
    return arrays, {"transpose": x.flag(), "lower": x.flag()}


def triangular_product(x):
    arrays, _ = square_and_sides(Numbers.lower)(x)
    return arrays, {"transpose": x.flag()}


def wide(x):
    m = x.size()
    return [x.general(x.batch, m, m + x.size(SMALL))], {}


def eigenpairs(x):
    n = x.size()
    return [x.definite(n)], {"descending": x.flag(), "top_k": x.one_of(0, min(1, n), n)}


def function_of_matrix(x):
    function = x.one_of("sqrt", "inverse_sqrt", "log", "exp", "power", "nearest")
    return [x.definite(x.size())], {"function": function, "parameter": 0.5}


def normal(x):
    n = x.size()
    return [x.definite(n), x.general(x.batch, n)], {}


def kernel(x, cross):
    n, d = x.size(), x.size(SMALL, least=1)
    arrays = [x.general(x.batch, n, d)]
    if cross:
        arrays.append(x.general(x.batch, x.size(), d))
    first = x.one_of("rbf", "matern12", "matern32", "matern52", "rational,2")
    program = f"distance,0,0 {first} scale,1 linear,0,3 circle,0,0,0 rbf multiply add"
    rows = x.one_of(1, x.batch)
    arrays += [x.positive(rows, size) for size in (x.one_of(1, d), 1, 1, d)]
    return arrays, {"program": program, "points": 1, "hyperparameters": 4, "cross": cross}


def process(x):
    arrays, keywords = kernel(x, cross=False)
    n = arrays[0].shape[1]
    return [*arrays, x.general(x.batch, n), x.positive(x.batch, n)], keywords


def recursion(quadratic):
    def recipe(x):
        times, d = x.size(least=1), x.size(SMALL)
        n = d if quadratic else x.size(SMALL)
        arrays = [x.over_time(times, d, d), x.general(1, times, x.batch, d, n)]
        return [*arrays, x.general(1, 1, x.batch, d, n)], {"reverse": x.flag()}

    return recipe


def corrected(x):
    times, d, n, k = x.size(least=1), x.size(SMALL), x.size(SMALL), x.size(SMALL)
    arrays = [x.over_time(times, d, n), x.over_time(times, n, d)]
    return [*arrays, x.general(1, times, x.batch, n, k), x.general(1, 1, x.batch, d, k)], {}


def regression(x):
    n, d, k = x.size(), x.size(SMALL), x.size(SMALL)
    arrays = [x.general(x.batch, n, d), x.general(x.batch, n, k), x.positive(x.batch, n)]
    return [*arrays, x.positive(1, x.one_of(1, d))], {}


def square_root(x):
    times, d, p, r = x.size(least=1), x.size(SMALL), x.size(SMALL), x.size(SMALL)
    noise = np.zeros((1, times, x.batch, p + d, p + r))
    noise[..., :p, :p] = np.eye(p)
    noise[..., p:, p:] = x.general(1, times, x.batch, d, r)
    return [x.over_time(times, p + d, d), noise, x.general(1, 1, x.batch, d, d)], {}


def covariance(x):
    times, d, p = x.size(least=1), x.size(SMALL), x.size(SMALL)
    noise = np.broadcast_to(np.eye(p + d), (1, times, x.batch, p + d, p + d))
    return [x.over_time(times, p + d, d), noise, x.definite(d)[None, None]], {}


def state_space(x):
    batch, times, d, p, r, s = x.batch, x.size(least=1), *(x.size(SMALL, 1) for _ in range(4))
    steps = x.one_of(1, times)
    # One model for all, of which the same is missing; transitions that are mostly 0.
    alike, sparse = x.flag(), x.flag()
    transition = x.shared(steps, d, d, always=alike) / d
    seen = x.general(1 if alike else batch, times, p) > 0.0
    arrays = [
        x.general(batch, times, p),
        transition * np.eye(d, k=-1) if sparse else transition,
        x.shared(1, p, d, always=alike),
        x.shared(steps, d, r, always=alike),
        np.broadcast_to(np.eye(p), (1, 1, p, p)),
        x.shared(d),
        x.shared(d, s, always=alike),
    ]
    options = {
        "mask": np.broadcast_to(seen, (batch, times, p)).astype("float64"),
        "transition_offset": x.shared(steps, d),
        "emission_offset": x.shared(1, p),
    }
    return arrays, {name: array for name, array in options.items() if x.flag()}


def moments(x):
    arrays, options = state_space(x)
    kinds = ("predicted", "filtered", "factor", "steps", "smoothed", "lag_one")
    flags = {name: True for name in (*options, *(kind for kind in kinds if x.flag()))}
    flags.update({"last": x.one_of(0, 1), "following": x.flag(), "regular": x.flag()})
    return [*arrays, *options.values()], flags


def likelihood(x):
    arrays, options = state_space(x)
    if x.flag():
        d = arrays[1].shape[3]
        directions = np.broadcast_to(np.eye(d, min(d, 2)), (1, d, min(d, 2)))
        options = {"directions": directions, **options}
    return [*arrays, *options.values()], {name: True for name in options}


def singular_values(x):
    arrays, _ = wide(x)
    tall = x.flag()
    return [a.transpose(0, 2, 1) if tall else a for a in arrays], {"tall": tall}


RECIPES = {
    "affine_recursion": recursion(quadratic=False),
    "corrected_recursion": corrected,
    "covariance_recursion": covariance,
    "eigh": eigenpairs,
    "det": lambda x: ([x.definite(x.size())], {}),
    "eigvalsh": lambda x: ([x.definite(x.size())], {}),
    "gaussian_nll": normal,
    "gaussian_process_nll": process,
    "gelqf": wide,
    "gesvd": wide,
    "independent_rows": lambda x: ([x.lower(x.size())], {}),
    "inverse": lambda x: ([x.definite(x.size())], {}),
    "inverse_spd": lambda x: ([x.definite(x.size())], {}),
    "jitter_shift": lambda x: ([x.definite(x.size())], {}),
    "kalman_likelihood": likelihood,
    "kalman_moments": moments,
    "kernel_diagonal": lambda x: kernel(x, cross=False),
    "kernel_matrix": lambda x: kernel(x, cross=x.flag()),
    "log_det": lambda x: ([x.definite(x.size())], {}),
    "potrf": lambda x: ([x.definite(x.size())], {}),
    "potri": lambda x: ([x.lower(x.size())], {}),
    "potrs": square_and_sides(Numbers.lower),
    "quadratic_recursion": recursion(quadratic=True),
    "regression": regression,
    "slogdet": lambda x: ([x.definite(x.size())], {}),
    "solve_spd": square_and_sides(Numbers.definite),
    "square_root_recursion": square_root,
    "svd": singular_values,
    "syevd": lambda x: ([x.definite(x.size())], {}),
    "symmetric_function": function_of_matrix,
    "trmm": triangular_product,
    "trsm": triangular_solve,
}
# Where the batch axis of all arrays is not the first.
OVER_TIME = {name for name in RECIPES if name.endswith("_recursion")}
# Vectors whose signs are as they come, and factors that are not unique.
ANY_SIGN = {"gesvd", "syevd", "square_root_recursion"}
# Decompositions whose steps are shared by threads.
LARGE = ["eigh", "gelqf", "svd"]


def check_fitting(door, name, x, dtype):
    """All elements at once are each by itself, forward and backward."""
    arrays, keywords = RECIPES[name](x)
    arrays = [np.ascontiguousarray(a, dtype) for a in arrays]
    axis = 2 if name in OVER_TIME else 0
    node, found = run(door, name, arrays, keywords)
    for output in found:
        # Each is NaN before: all has to be written, also where a sum has no terms.
        assert np.isfinite(output).all(), (name, output)
    for b in sorted({0, x.batch // 2, x.batch - 1}) if x.batch else ():
        own = [a if a.shape[axis] == 1 else a.take([b], axis) for a in arrays]
        _, expected = run(door, name, own, keywords)
        for k, (whole, one) in enumerate(zip(found, expected)):
            # Gradients of what is shared are sums over the batch.
            is_shared = k >= len(node.outputs) and arrays[k - len(node.outputs)].shape[axis] == 1
            if not is_shared and name not in ANY_SIGN:
                assert_near(whole.take([b], axis), one, LEVELS[dtype], (name, k, b))


def run(door, name, arrays, keywords):
    """The call, and its outputs and gradients."""
    node = door.call(name, *arrays, **keywords)
    gradients = node.backward(*map(np.ones_like, node.outputs)) if node.has_backward else []
    return node, [*node.outputs, *gradients]


def assert_near(found, expected, tolerance, what):
    assert found.shape == expected.shape, what
    if expected.size:
        difference = np.abs(found - expected).max()
        assert difference <= tolerance * max(1.0, np.abs(expected).max()), (*what, difference)


def check_any(door, name, x, dtype):
    """Arrays that need not fit: a refusal, or outputs."""
    count = x.size(st.integers(1, 9))
    shapes = st.lists(st.sampled_from([0, 1, 2, 3, 5]), max_size=5)
    # Empty arrays may have any other size.
    empty = st.lists(st.sampled_from([0, 1, 2**20]), min_size=1, max_size=2).map(lambda s: [0, *s])
    same = x.draw(st.one_of(shapes, empty, empty.map(lambda s: s[::-1])))
    drawn = [same if x.flag() else x.draw(shapes) for _ in range(count)]
    arrays = [np.ones(shape, dtype) for shape in drawn]
    keywords = {"top_k": x.one_of(-1, 0, 2)} if name == "eigh" else {}
    try:
        run(door, name, arrays, keywords)
    except (ValueError, AssertionError) as refusal:
        assert str(refusal), name


def check_large(door, name, n=500):
    """One matrix that several threads share: the bits are those of one thread."""
    arrays = [np.random.RandomState(0).normal(size=(1, n, n + n // 10))]
    if name == "eigh":
        arrays[0] = arrays[0] @ arrays[0].transpose(0, 2, 1) / n
    found = []
    for threads in ("4", "1"):
        os.environ["OMP_NUM_THREADS"] = threads
        found.append(run(door, name, arrays, {})[1])
    for several, one in zip(*found):
        assert np.isfinite(one).all() and np.array_equal(several, one), name


def openblas():
    """MXNet's, without MXNet."""
    folder = Path(importlib.util.find_spec("mxnet").origin).parent
    return ctypes.CDLL(str(folder / "libopenblas.so.0"), mode=ctypes.RTLD_GLOBAL)


def attempts(door, name, check, examples):
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data(), st.sampled_from(sorted(LEVELS)))
    def attempt(data, dtype):
        check(door, name, Numbers(data.draw), dtype)

    return attempt


def main(library, examples):
    openblas()
    door = Door(library)
    assert door.names, f"{library} was not compiled for this instruction set"
    unknown = set(door.names) ^ set(RECIPES)
    assert not unknown, f"RECIPES in {__file__}: {sorted(unknown)}"
    for name in door.names:
        for check in (check_fitting, check_any):
            print(name, check.__name__, flush=True)
            attempts(door, name, check, examples)()
    for name in LARGE:
        print(name, check_large.__name__, flush=True)
        check_large(door, name)
    assert "mxnet" not in sys.modules


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

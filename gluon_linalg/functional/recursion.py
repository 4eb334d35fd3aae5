"""Linear recursions over time, step by step or by an associative scan.

Arrays are (1, T, B, m, n): time comes first, after an axis that `for_each` explains. With
``length=None`` a recursion is MXNet's `foreach`: any T, a graph of one size. With ``length=T`` it
is a scan of depth O(log T) (Blelloch 1990). Native operators, where they apply, need neither.

Nothing is closed over by a loop body: compiled, MXNet 1.9.1 returns garbage gradients for such
arrays. Everything is passed as data or as a state.
"""

import contextlib
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import mxnet as mx

from .. import native
from ..native import recursion as native_recursion
from ..typing import Array, Namespace
from .matrix import congruence, product, with_axis
from .prefix_scan import scan
from .tangent import zeros_like

# The axes before those of a constant of a loop: with them oneDNN leaves it alone.
APART = (0, 1, 2, 3)


def affine_recursion(
    F: Namespace,
    matrix: Array,
    offset: Array,
    initial: Array,
    length: Optional[int] = None,
    reverse: bool = False,
) -> Array:
    """x_1 = initial, x_{t+1} = Φ_t x_t + c_t; returns x_1, ..., x_T, (1, T, B, d, 1).

    matrix Φ: (1, T, B, d, d); offset c: (1, T, B, d, 1); initial: (1, 1, B, d, 1); the last two may
    have any number of columns. With `reverse` time runs backwards: x_T = initial,
    x_{t-1} = Φ_t x_t + c_t.
    """
    if native.applies(F, offset):
        return native_recursion.affine_recursion(F, matrix, offset, initial, reverse)
    if length is None:
        return loop(F, _affine_step, (matrix, offset), initial, reverse)
    turned, moved = scan(F, _compose_affine, [matrix, offset], length, reverse)
    start = F.broadcast_add(initial, zeros_like(F, offset))
    return before_steps(F, product(F, turned, start) + moved, initial, reverse)


def quadratic_recursion(
    F: Namespace,
    matrix: Array,
    offset: Array,
    initial: Array,
    length: Optional[int] = None,
    reverse: bool = False,
) -> Array:
    """X_1 = initial, X_{t+1} = Φ_t X_t Φ_tᵀ + C_t; returns X_1, ..., X_T, (1, T, B, d, d).

    As `affine_recursion`, with offsets C of shape (1, T, B, d, d) and an initial (1, 1, B, d, d).
    """
    if native.applies(F, offset):
        return native_recursion.quadratic_recursion(F, matrix, offset, initial, reverse)
    if length is None:
        return loop(F, _quadratic_step, (matrix, offset), initial, reverse)
    turned, moved = scan(F, _compose_quadratic, [matrix, offset], length, reverse)
    start = F.broadcast_add(initial, zeros_like(F, offset))
    return before_steps(F, congruence(F, turned, start) + moved, initial, reverse)


def corrected_recursion(
    F: Namespace, gain: Array, matrix: Array, target: Array, initial: Array
) -> Array:
    """x_1 = initial, x_{t+1} = W_t (c_t - M_t x_t), all of x as constants, (1, T, B, d, k).

    gain W: (1, T, B, d, n); matrix M: (1, T, B, n, d); target c: (1, T, B, n, k); initial:
    (1, 1, B, d, k).
    """
    if native.applies(F, target):
        return native_recursion.corrected_recursion(F, gain, matrix, target, initial)
    return loop(F, corrected_step, (gain, matrix, target), initial)


def corrected_step(F: Namespace, gain: Array, matrix: Array, target: Array, state: Array) -> Array:
    """W (c - M x)."""
    return product(F, gain, target - product(F, matrix, state))


def loop(
    F: Namespace,
    step: Callable[..., Array],
    data: Sequence[Array],
    initial: Array,
    reverse: bool = False,
) -> Array:
    """The states before each step, (1, T, B, ...), of ``state = step(F, *data_t, state)``."""

    def body(arrays: List[Array], states: List[Array]) -> Tuple[List[Array], List[Array]]:
        following = step(F, *arrays, *states)
        return [following], [following]

    data = [F.reverse(x, axis=1) if reverse else x for x in data]
    (after,), final = for_each(F, body, data, initial)
    # MXNet refuses to differentiate a loop of which one result is not used.
    after = F.broadcast_add(after, zeros_like(F, final) * final)
    after = F.reverse(after, axis=1) if reverse else after
    return before_steps(F, after, initial, reverse)


def for_each(
    F: Namespace, body: Callable[..., Any], data: Sequence[Array], initial: Array
) -> Tuple[List[Array], Array]:
    """`foreach` over the times of arrays (1, T, B, m, n): a list of such arrays, the final state.

    MXNet runs a compiled `foreach` without waiting for its inputs, and on the way looks at, and
    resets, what oneDNN keeps with their memory. So no oneDNN operator may touch what goes in and
    out: those of MXNet 1.9.1 take float32 arrays of 1 to 4 axes; hence the leading axis of all
    arrays here, `squeeze` and `stack` where it changes, and never `expand_dims` or `Reshape`.
    """
    data = [F.squeeze(x, axis=0) for x in data]
    results, (final,) = F.contrib.foreach(body, data, [F.squeeze(initial, axis=(0, 1))])
    return [with_axis(F, x, 0) for x in results], with_axis(F, with_axis(F, final, 0), 0)


def for_each_with(
    F: Namespace,
    body: Callable[..., Tuple[List[Array], Array]],
    data: Sequence[Array],
    initial: Array,
    constants: Sequence[Array],
    parameters: Iterable[mx.gluon.Parameter],
    length: Optional[int] = None,
    cast: Callable[[Array], Array] = lambda x: x,
) -> List[Array]:
    """Results of ``results, state = body(arrays, state, constants)`` at each time, (1, T, B, m, n).

    The body may call blocks whose `parameters` are named here. In a graph without a `length` it is
    a `for_each` over any T: constants and parameters are states of the loop, which stay what they
    are, since nothing can be closed over; that takes their memory T times where gradients are
    asked for. With `length`, and imperatively, the loop is unrolled. cast: to the dtype of the
    results, where parameters have another one.
    """
    if F is mx.nd:
        return _unrolled(F, body, data, initial, constants, length)
    with _dense_as_products():
        if length is not None:
            return _unrolled(F, body, data, initial, constants, length)
        return _looped(F, body, data, initial, constants, parameters, cast)


def _looped(
    F: Namespace,
    body: Callable[..., Tuple[List[Array], Array]],
    data: Sequence[Array],
    initial: Array,
    constants: Sequence[Array],
    parameters: Iterable[mx.gluon.Parameter],
    cast: Callable[[Array], Array],
) -> List[Array]:
    """The results of `for_each_with`, by a loop over any number of times."""
    count, variables = len(constants), {p.name: p.var() for p in parameters}
    kept = [_apart(F, x) for x in (*constants, *variables.values())]

    def of_states(arrays: List[Array], states: List[Array]) -> Tuple[List[Array], List[Array]]:
        own = [F.squeeze(x, axis=APART) for x in states[1:]]
        # Blocks may compute by oneDNN, which then keeps something with the memory of copies only.
        arrays, state = [_copied(F, x) for x in arrays], _copied(F, states[0])
        results, following = body(arrays, state, own[:count])
        joined = F.Group([F.identity(x) for x in (*results, following, *states[1 : 1 + count])])
        used = set(joined.list_inputs())
        named = {name: x for name, x in zip(variables, own[count:]) if name in used}
        # A copy of all but what takes the place of the parameters.
        found = list(joined(**named) if named else joined)
        own = [*found[len(results) + 1 :], *(F.identity(x) for x in states[1 + count :])]
        results = [_copied(F, x) for x in found[: len(results) + 1]]
        return results[:-1], [results[-1], *own]

    results, final = F.contrib.foreach(
        of_states,
        [F.squeeze(x, axis=0) for x in data],
        [F.squeeze(initial, axis=(0, 1)), *kept],
    )
    results = [with_axis(F, x, 0) for x in results]
    # MXNet refuses to differentiate a loop of which one result is not used; of these nothing
    # counts, NaN neither.
    for state in final:
        nothing = cast(F.sum(F.where(zeros_like(F, state), state, zeros_like(F, state))))
        results[0] = F.broadcast_add(results[0], F.reshape(nothing, shape=(1, 1, 1, 1, 1)))
    return results


@contextlib.contextmanager
def _dense_as_products() -> Iterator[None]:
    """Inside it dense layers of graphs are products.

    Without a record oneDNN brings the weights of a dense layer into an order of its own, after the
    layer. What is meant for parameters crashes loops: theirs are intermediate results, whose memory
    has another use by then.
    """
    given = mx.sym.FullyConnected

    def product_of(
        data: Array,
        weight: Array,
        bias: Optional[Array] = None,
        num_hidden: Optional[int] = None,
        no_bias: bool = False,
        flatten: bool = True,
        **others: Any,
    ) -> Array:
        rows = mx.sym.reshape(data, shape=(0, -1)) if flatten else data
        values = mx.sym.dot(rows, weight, transpose_b=True, **others)
        return values if no_bias or bias is None else mx.sym.broadcast_add(values, bias)

    mx.sym.FullyConnected = product_of
    try:
        yield
    finally:
        mx.sym.FullyConnected = given


def _copied(F: Namespace, x: Array) -> Array:
    """x in memory of its own, without oneDNN."""
    return F.squeeze(with_axis(F, x, 0), axis=0)


def _apart(F: Namespace, x: Array) -> Array:
    for axis in APART:
        x = with_axis(F, x, axis)
    return x


def _unrolled(
    F: Namespace,
    body: Callable[..., Tuple[List[Array], Array]],
    data: Sequence[Array],
    initial: Array,
    constants: Sequence[Array],
    length: Optional[int],
) -> List[Array]:
    """The results of `for_each_with`, by one copy of the body for each time."""
    count = data[0].shape[1] if length is None else length
    state, found = F.squeeze(initial, axis=(0, 1)), []
    split = [_at_each_time(F, x, count) for x in data]
    for arrays in zip(*split):
        results, state = body(list(arrays), state, list(constants))
        found.append(results)
    # What the graph does not use would have no place among its arguments.
    nothing = F.sum(F.where(zeros_like(F, state), state, zeros_like(F, state)))
    found[0][0] = F.broadcast_add(found[0][0], F.reshape(nothing, shape=(1, 1, 1)))
    return [with_axis(F, F.stack(*x, axis=0), 0) for x in zip(*found)]


def _at_each_time(F: Namespace, x: Array, count: int) -> List[Array]:
    """Arrays (B, m, n) of (1, T, B, m, n)."""
    x = F.squeeze(x, axis=0)
    if count == 1:
        return [F.squeeze(x, axis=0)]
    return list(F.split_v2(x, count, axis=0, squeeze_axis=True))


def before_steps(F: Namespace, after: Array, initial: Array, reverse: bool = False) -> Array:
    """The states before each step, from those after each step and the initial one."""
    first = F.slice_axis(after, axis=1, begin=0, end=1)
    initial = F.broadcast_add(initial, zeros_like(F, first))
    if reverse:
        return F.slice_axis(F.concat(after, initial, dim=1), axis=1, begin=1, end=None)
    return F.slice_axis(F.concat(initial, after, dim=1), axis=1, begin=0, end=-1)


def _affine_step(F: Namespace, matrix: Array, offset: Array, state: Array) -> Array:
    return product(F, matrix, state) + offset


def _quadratic_step(F: Namespace, matrix: Array, offset: Array, state: Array) -> Array:
    return congruence(F, matrix, state) + offset


def _compose_affine(F: Namespace, earlier: List[Array], later: List[Array]) -> List[Array]:
    matrix = product(F, later[0], earlier[0])
    return [matrix, product(F, later[0], earlier[1]) + later[1]]


def _compose_quadratic(F: Namespace, earlier: List[Array], later: List[Array]) -> List[Array]:
    matrix = product(F, later[0], earlier[0])
    return [matrix, congruence(F, later[0], earlier[1]) + later[1]]

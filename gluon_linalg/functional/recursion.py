"""Linear recursions over time, step by step or by an associative scan.

Arrays are (B, T, m, n). With ``length=None`` a recursion is MXNet's `foreach`: any T, a graph of
one size. With ``length=T`` it is a scan of depth O(log T) (Blelloch 1990).

Nothing is closed over by a loop body: compiled, MXNet 1.9.1 returns garbage gradients for such
arrays. Everything is passed as data or as a state.
"""

from .matrix import product
from .tangent import ones_like, zeros_like


def affine_recursion(F, matrix, offset, initial, length=None, reverse=False):
    """x_1 = initial, x_{t+1} = Φ_t x_t + c_t; returns x_1, ..., x_T, (B, T, d, 1).

    matrix Φ: (B, T, d, d); offset c: (B, T, d, 1); initial: (B, 1, d, 1). With `reverse` time runs
    backwards: x_T = initial, x_{t-1} = Φ_t x_t + c_t.
    """
    if length is None:
        return loop(F, _affine_step, (matrix, offset), initial, reverse)
    # [x; 1] -> [[Φ, c], [0, 1]] [x; 1]: one product composes two steps.
    below = F.slice_axis(matrix, axis=2, begin=0, end=1)
    corner = F.slice_axis(offset, axis=2, begin=0, end=1)
    bottom = F.concat(zeros_like(F, below), ones_like(F, corner), dim=3)
    steps = F.concat(F.concat(matrix, offset, dim=3), bottom, dim=2)
    (steps,) = scan(F, _compose, [steps], length, reverse)
    turned = F.slice(steps, begin=(None, None, None, None), end=(None, None, -1, -1))
    moved = F.slice(steps, begin=(None, None, None, -1), end=(None, None, -1, None))
    start = F.broadcast_add(initial, zeros_like(F, offset))
    return _shifted(F, product(F, turned, start) + moved, initial, reverse)


def quadratic_recursion(F, matrix, offset, initial, length=None, reverse=False):
    """X_1 = initial, X_{t+1} = Φ_t X_t Φ_tᵀ + C_t; returns X_1, ..., X_T, (B, T, d, d).

    As `affine_recursion`, with offsets C of shape (B, T, d, d) and an initial (B, 1, d, d).
    """
    if length is None:
        return loop(F, _quadratic_step, (matrix, offset), initial, reverse)
    turned, moved = scan(F, _compose_quadratic, [matrix, offset], length, reverse)
    start = F.broadcast_add(initial, zeros_like(F, offset))
    return _shifted(F, _quadratic(F, turned, start) + moved, initial, reverse)


def loop(F, step, data, initial, reverse=False):
    """The states before each step, (B, T, ...), of ``state = step(F, *data_t, state)``."""

    def body(arrays, states):
        (state,) = states
        return F.identity(state), [step(F, *arrays, state)]

    data = [time_first(F, array, reverse) for array in data]
    before, (final,) = F.contrib.foreach(body, data, [F.squeeze(initial, axis=1)])
    # MXNet refuses to differentiate a loop of which one result is not used.
    before = F.broadcast_add(before, F.expand_dims(zeros_like(F, final) * final, axis=0))
    return time_first(F, before, reverse, back=True)


def scan(F, combine, elements, length, reverse=False):
    """Prefix compositions e_1, e_2∘e_1, ... of `elements`, a list of arrays (B, length, ...).

    combine(F, earlier, later) composes two lists of arrays. In `reverse` the last element is the
    first to act.
    """
    if reverse:
        elements = [F.reverse(x, axis=1) for x in elements]
    scanned = _scan(F, combine, elements, length)
    return [F.reverse(x, axis=1) for x in scanned] if reverse else scanned


def delayed(F, initial, after):
    """initial, x_1, ..., x_{T-1} from x_1, ..., x_T and an initial (B or 1, 1, m, n)."""
    first = F.slice_axis(after, axis=1, begin=0, end=1)
    initial = F.broadcast_add(initial, zeros_like(F, first))
    return F.slice_axis(F.concat(initial, after, dim=1), axis=1, begin=0, end=-1)


def time_first(F, x, reverse=False, back=False):
    """(B, T, m, n) as (T, B, m, n), and its time reversed if asked; `back` for the way back."""
    if reverse and back:
        x = F.reverse(x, axis=0)
    x = F.transpose(x, axes=(1, 0, 2, 3))
    return F.reverse(x, axis=0) if reverse and not back else x


def _affine_step(F, matrix, offset, state):
    return product(F, matrix, state) + offset


def _quadratic_step(F, matrix, offset, state):
    return _quadratic(F, matrix, state) + offset


def _quadratic(F, matrix, x):
    return product(F, product(F, matrix, x), matrix, transpose_b=True)


def _compose(F, earlier, later):
    return [product(F, later[0], earlier[0])]


def _compose_quadratic(F, earlier, later):
    matrix = product(F, later[0], earlier[0])
    return [matrix, _quadratic(F, later[0], earlier[1]) + later[1]]


def _scan(F, combine, elements, length):
    """Pairs are composed, scanned, and give every second prefix; one composition fills the rest."""
    if length == 1:
        return elements
    half = length // 2
    odd = _scan(
        F,
        combine,
        combine(F, _strided(F, elements, 0, 2 * half), _strided(F, elements, 1, 2 * half)),
        half,
    )
    even = [F.slice_axis(x, axis=1, begin=0, end=1) for x in elements]
    rest = (length - 1) // 2
    if rest:
        before = [F.slice_axis(x, axis=1, begin=0, end=rest) for x in odd]
        filled = combine(F, before, _strided(F, elements, 2, length))
        even = [F.concat(first, x, dim=1) for first, x in zip(even, filled)]
    return [_interleaved(F, a, b, length) for a, b in zip(even, odd)]


def _strided(F, elements, begin, end):
    return [F.slice(x, begin=(None, begin), end=(None, end), step=(1, 2)) for x in elements]


def _interleaved(F, even, odd, length):
    half = length // 2
    paired = F.slice_axis(even, axis=1, begin=0, end=half) if length % 2 else even
    mixed = F.reshape(F.stack(paired, odd, axis=2), shape=(0, -3, 0, 0))
    if length % 2:
        mixed = F.concat(mixed, F.slice_axis(even, axis=1, begin=half, end=None), dim=1)
    return mixed


def _shifted(F, after, initial, reverse):
    """The states before each step, from those after each step and the initial one."""
    if not reverse:
        return delayed(F, initial, after)
    first = F.slice_axis(after, axis=1, begin=0, end=1)
    initial = F.broadcast_add(initial, zeros_like(F, first))
    return F.slice_axis(F.concat(after, initial, dim=1), axis=1, begin=1, end=None)

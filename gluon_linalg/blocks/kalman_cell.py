"""The Kalman filter as a recurrent cell: one observation at a time."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from .. import functional as fn
from ..errors import ShapeError, suggestion
from ..typing import Array, ArrayLike, Namespace
from .explaining import explain, has_nan
from .given import given_parameter

# The outputs, and their sizes for d states and p observations.
OUTPUTS = {
    "filtered": lambda d, p: d,
    "predicted": lambda d, p: d,
    "forecast": lambda d, p: p,
    "forecast_variance": lambda d, p: p,
    "log_likelihood": lambda d, p: 1,
    "innovations": lambda d, p: p,
}
AXES = {
    "transition": ("d", "d"),
    "emission": ("p", "d"),
    "process_factor": ("d", "r"),
    "observation_factor": ("p", "q"),
    "prior_mean": ("d",),
    "prior_factor": ("d", "s"),
    "diffuse_directions": ("d", "u"),
    "transition_offset": ("d",),
    "emission_offset": ("p",),
}


class KalmanCell(mx.gluon.rnn.HybridRecurrentCell):
    """One step of a linear-Gaussian filter, (y_t, state) -> (output, state), in square-root form.

    x_1 = m + S ξ + D δ,   y_t = H x_t + d + D_ε ε_t,   x_{t+1} = A x_t + b + G η_t.

    A Gluon cell as `LSTMCell` is one: it stacks in `SequentialRNNCell` and unrolls, and gives at
    each step what a `KalmanViewsLayer` of all observations gives for it. Its arrays, all learnable
    parameters of these names (freeze one by ``grad_req = 'null'``), begin with the values here, in
    NumPy arrays: transition A (d, d); emission H (p, d); process_factor G (d, r);
    observation_factor (p, q); prior_mean m (d,), 0 unless given; prior_factor S (d, s), of the
    state at the first observation, 0 unless given; diffuse_directions D (d, u), in which nothing is
    known of it; transition_offset b (d,); emission_offset d (p,).

    Inputs: y (B, p); with `masked` (B, 2 p), y and then 1 for each element that was observed and 0
    for others, whatever stands there.

    outputs, names in the order in which they stand beside each other in the output (B, ·), of
    which `sizes` tells the sizes: 'filtered' E[x_t | y_1..y_t], d numbers; 'predicted'
    E[x_{t+1} | y_1..y_t], d; 'forecast' and 'forecast_variance', mean and variances of y_{t+1}
    given y_1..y_t, p each; 'log_likelihood' log p(y_t | y_1..y_{t-1}), 1; 'innovations', p, as in
    `KalmanViewsLayer`.

    States, all 0 at the beginning: [a, W] (B, d, 1 + u), the mean of x_{t+1} and what a unit of
    each δ adds; a factor of its covariance, (B, d, d), which carries the numbers, and the
    covariance, which carries the gradient; the number of steps, (B, 1); with diffuse directions
    also what was seen of them, and 0 with the gradient of that, (B, 1 + u, 1 + u) each.

    ``cell(y, state_1, ..., state_n)`` with single arrays returns (output, state_1, ..., state_n),
    and so does what ``export(cell, path, y, *cell.begin_state(B))`` writes: the graph of one step.

    Raises ShapeError, and what `KalmanFilterLayer` does.

    >>> cell = gl.KalmanCell([[1.0]], [[1.0]], [[1.0]], [[1.0]], prior_factor=[[1.0]])
    >>> cell.initialize()
    >>> output, states = cell(mx.nd.array([[2.0]]), cell.begin_state(1))
    >>> round(output.asnumpy().item(), 4)  # half way between the prior mean 0 and y
    1.0
    """

    def __init__(
        self,
        transition: ArrayLike,
        emission: ArrayLike,
        process_factor: ArrayLike,
        observation_factor: ArrayLike,
        prior_mean: Optional[ArrayLike] = None,
        prior_factor: Optional[ArrayLike] = None,
        diffuse_directions: Optional[ArrayLike] = None,
        transition_offset: Optional[ArrayLike] = None,
        emission_offset: Optional[ArrayLike] = None,
        outputs: Union[str, Sequence[str]] = "filtered",
        masked: bool = False,
        prefix: Optional[str] = None,
        params: Optional[mx.gluon.ParameterDict] = None,
    ) -> None:
        super().__init__(prefix=prefix, params=params)
        given = {
            "transition": transition,
            "emission": emission,
            "process_factor": process_factor,
            "observation_factor": observation_factor,
            "prior_mean": prior_mean,
            "prior_factor": prior_factor,
            "diffuse_directions": diffuse_directions,
            "transition_offset": transition_offset,
            "emission_offset": emission_offset,
        }
        if prior_factor is None and diffuse_directions is None:
            raise TypeError(
                f"{self.name}: what is known of the first state is missing: give prior_factor, or "
                "diffuse_directions."
            )
        arrays = {k: np.asarray(v, dtype="float64") for k, v in given.items() if v is not None}
        sizes = self._sizes(arrays)
        self._states, self._observations = sizes["d"], sizes["p"]
        arrays.setdefault("prior_mean", np.zeros(self._states))
        arrays.setdefault("prior_factor", np.zeros((self._states, 1)))
        self._columns = 1 + sizes.get("u", 0)
        self._masked = bool(masked)
        self.outputs: Tuple[str, ...] = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        for name in self.outputs:
            if name not in OUTPUTS:
                text = f"{self.name}: there is no output '{name}'; {suggestion(name, OUTPUTS)}"
                raise ValueError(text)
        self.sizes = tuple(OUTPUTS[name](sizes["d"], sizes["p"]) for name in self.outputs)
        with self.name_scope():
            for name, value in arrays.items():
                setattr(self, name, given_parameter(self, name, value))

    def state_info(self, batch_size: int = 0) -> List[Dict[str, Any]]:
        d, q = self._states, self._columns
        shapes = [(d, q), (d, d), (d, d), (1,)] + [(q, q)] * (2 if q > 1 else 0)
        dtype = np.dtype(self.transition.dtype).name
        return [
            {"shape": (batch_size, *s), "__layout__": "NCH"[: 1 + len(s)], "dtype": dtype}
            for s in shapes
        ]

    def __call__(self, inputs: Array, *states: Any) -> Any:
        if len(states) == 1 and isinstance(states[0], (list, tuple)):
            return super().__call__(inputs, list(states[0]))
        if len(states) != len(self.state_info()):
            raise TypeError(
                f"{self.name}: got {len(states)} states, expected {len(self.state_info())}: those "
                "of begin_state."
            )
        output, states = super().__call__(inputs, list(states))
        return (output, *states)

    def forward(self, inputs: Array, states: List[Array]) -> Tuple[Array, List[Array]]:
        if isinstance(inputs, mx.sym.Symbol):
            return super().forward(inputs, states)
        self._check_shapes(inputs, states)
        if not self._active:
            return super().forward(inputs, states)
        # As in `LinearAlgebraBlock`: read at once, so that a failure is raised, and named, here.
        try:
            output, following = super().forward(inputs, states)
            failed = has_nan([output, *following])
        except mx.base.MXNetError:
            # The memory of a static graph keeps the error.
            self._clear_cached_op()
            explain(self, inputs, *states)
            raise
        if failed:
            explain(self, inputs, *states)
        return output, following

    def _check_shapes(self, inputs, states):
        width = (2 if self._masked else 1) * self._observations
        if inputs.ndim != 2 or inputs.shape[1] != width or not inputs.shape[0]:
            shown = "y and its mask beside it, (B, 2 p)" if self._masked else "y, (B, p)"
            raise ShapeError(
                f"{self.name}: the input has shape {inputs.shape}, expected {shown}, here (B, "
                f"{width})."
            )
        for number, (state, info) in enumerate(zip(states, self.state_info(inputs.shape[0]))):
            if state.shape != info["shape"]:
                raise ShapeError(
                    f"{self.name}: state {number + 1} of {len(states)} has shape {state.shape}, "
                    f"expected {info['shape']}, for the {inputs.shape[0]} series of the input; "
                    "begin_state(B) has those before the first step."
                )

    def hybrid_forward(
        self, F: Namespace, inputs: Array, states: List[Array], **arrays: Array
    ) -> Tuple[Array, List[Array]]:
        y, mask = inputs, None
        if self._masked:
            p = self._observations
            y, mask = (F.slice_axis(inputs, axis=1, begin=begin, end=begin + p) for begin in (0, p))
        # 0 before the first step, of the batch size of y.
        count = states[3] + fn.zeros_like(F, F.slice_axis(y, axis=1, begin=0, end=1))
        step = self._step(F, y, mask, self._state(F, states, count, arrays), arrays)
        made = [self._output(F, step, name) for name in self.outputs]
        output = made[0] if len(made) == 1 else F.concat(*made, dim=1)
        following = [x for x in step.next_state if x is not None]
        return output, [*following[:3], count + 1.0, *following[3:]]

    def _step(self, F, y, mask, state, arrays):
        every = {
            name: F.expand_dims(F.expand_dims(array, axis=0), axis=0)
            for name, array in arrays.items()
        }
        if mask is not None:
            mask = F.expand_dims(mask, axis=1)
        online = fn.online_system(
            F,
            F.expand_dims(y, axis=1),
            *(every[name] for name in list(AXES)[:4]),
            mask,
            *(every.get(name) for name in ("transition_offset", "emission_offset")),
            name=self.name,
        )
        directions = None
        if self._columns > 1:
            directions = F.expand_dims(arrays["diffuse_directions"], axis=0)
        sizes = self._states, self._observations
        return fn.OnlineStep(F, online, state, sizes, directions, self.name)

    def _state(self, F, states, count, arrays):
        """What is known before this step: the prior before the first, the states later."""

        def of_batch(name, axes):
            zeros = fn.zeros_like(F, F.reshape(count, shape=(-1,) + (1,) * axes))
            return F.broadcast_add(F.expand_dims(arrays[name], axis=0), zeros)

        directions = of_batch("diffuse_directions", 2) if self._columns > 1 else None
        prior = of_batch("prior_mean", 1), of_batch("prior_factor", 2)
        first = fn.first_state(F, *prior, directions)
        before = iter([*states[:3], *states[4:]])
        has_begun = fn.stop(F, F.expand_dims(count, axis=2))
        return fn.OnlineState(
            *(
                own
                if own is None
                else F.where(F.broadcast_add(has_begun, fn.zeros_like(F, own)), next(before), own)
                for own in first
            )
        )

    def _output(self, F, step, name):
        if name == "log_likelihood":
            return step.log_likelihood
        if name == "innovations":
            return F.squeeze(step.innovations(), axis=(0, 1, 4))
        if name in ("filtered", "predicted"):
            found = step.filtered if name == "filtered" else step.following
            return F.squeeze(found.mean, axis=(0, 1, 4))
        emission, factor, offset = step.shown
        noise = fn.product(F, factor, factor, transpose_b=True)
        found = step.following.seen(emission, offset, noise)
        if name == "forecast":
            return F.squeeze(found.mean, axis=(0, 1, 4))
        return F.squeeze(fn.diagonal(F, found.covariance), axis=(0, 1))

    def _sizes(self, arrays):
        sizes: Dict[str, int] = {}
        for name, array in arrays.items():
            axes = AXES[name]
            if array.ndim != len(axes) or not np.isfinite(array).all():
                raise ShapeError(
                    f"{self.name}: '{name}' has shape {array.shape}, expected finite numbers in "
                    f"({', '.join(axes)})."
                )
            for letter, size in zip(axes, array.shape):
                if sizes.setdefault(letter, size) != size:
                    raise ShapeError(
                        f"{self.name}: '{name}' has shape {array.shape} for ({', '.join(axes)}), "
                        f"but {letter} is {sizes[letter]} elsewhere."
                    )
        return sizes

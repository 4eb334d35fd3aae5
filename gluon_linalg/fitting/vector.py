"""The trained parameters of a block as one vector of unconstrained numbers."""

from typing import Dict, Iterable, Iterator, List, Mapping, Tuple

import mxnet as mx
import numpy as np

from ..typing import Device


class ParameterVector:
    """Parameters with gradients, by name, as one float64 vector of what they store."""

    def __init__(self, parameters: Mapping[str, mx.gluon.Parameter]) -> None:
        self.parameters: Dict[str, mx.gluon.Parameter] = dict(parameters)

    def get(self, device: Device) -> np.ndarray:
        """What they store on a device."""
        return self._joined([p.data(device) for p in self.parameters.values()])

    def set(self, vector: np.ndarray) -> None:
        """Stores a vector, rounded to the dtype of each parameter."""
        for parameter, values in self.pieces(vector):
            with np.errstate(over="ignore"):
                values = values.astype(parameter.dtype)
            parameter.set_data(mx.nd.array(values, dtype=parameter.dtype))

    def clear(self) -> None:
        """The next backward pass is not added to the last, whatever `grad_req` is."""
        clear_gradients(self.parameters.values())

    def gradient(self, device: Device) -> np.ndarray:
        """What the last backward pass left on a device."""
        return self._joined([p.grad(device) for p in self.parameters.values()])

    def pieces(self, vector: np.ndarray) -> Iterator[Tuple[mx.gluon.Parameter, np.ndarray]]:
        """Each parameter with its part of a vector, in its shape."""
        start = 0
        for parameter in self.parameters.values():
            stop = start + int(np.prod(parameter.shape))
            yield parameter, vector[start:stop].reshape(parameter.shape)
            start = stop

    def _joined(self, arrays: List[mx.nd.NDArray]) -> np.ndarray:
        if not arrays:
            return np.zeros(0)
        return np.concatenate([a.asnumpy().astype("float64").reshape(-1) for a in arrays])


def clear_gradients(parameters: Iterable[mx.gluon.Parameter]) -> None:
    """Sets the gradients to 0 that a backward pass adds to."""
    for parameter in parameters:
        if parameter.grad_req == "add":
            parameter.zero_grad()

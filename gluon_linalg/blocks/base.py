"""What every block shares: checks at the call, errors that name the block, dtype and devices."""

import contextlib

import numpy as np

from .._runtime import import_mxnet
from ..errors import ContextError, DtypeError, LinearAlgebraError, ShapeError

mx = import_mxnet()

FLOATS = ("float32", "float64")


class LinearAlgebraBlock(mx.gluon.HybridBlock):
    """A HybridBlock that checks its arguments and names itself when something fails.

    `arguments` is the shape rule of a subclass and is checked whenever real arrays come in: pairs
    of a name and a string of axes such as ``(("x", "B n d"), ("y", "B n"))``; the same letter must
    be the same size everywhere, or may be 1 as well where it is followed by ``?``. Arguments after
    the first `required` ones may be left out.
    """

    arguments = ()
    required = None

    def __call__(self, *args):
        if not any(isinstance(arg, mx.sym.Symbol) for arg in args):
            self._check(args)
        return super().__call__(*args)

    def forward(self, *args):
        if not (self._active and isinstance(args[0], mx.nd.NDArray)):
            return super().forward(*args)
        self._compile_anew_for(tuple(arg is not None for arg in args))
        # Read the result at once: a failure is raised here, not wherever it is read later, and a
        # second, imperative run names the block and the batch element.
        try:
            outputs = super().forward(*args)
            failed = _has_nan(outputs)
        except LinearAlgebraError:
            self._clear_cached_op()
            explain(self, *args)
            raise
        if failed:
            explain(self, *args)
        return outputs

    def cast(self, dtype):
        """Casts to 'float32' or 'float64', before or after the first call."""
        if np.dtype(dtype).name not in FLOATS:
            raise DtypeError(
                f"{self.name}: cannot cast to {np.dtype(dtype).name}; linear algebra needs float32 "
                "or float64."
            )
        super().cast(np.dtype(dtype).name)
        for parameter in self.collect_params().values():
            # A symbol made before the cast would keep the old dtype in an exported graph.
            parameter._var = None

    @property
    def dtype(self):
        """The dtype of the parameters, 'float32' or 'float64'; None for a block without any."""
        for parameter in self.collect_params().values():
            return np.dtype(parameter.dtype).name
        return None

    def check_shapes(self, sizes):
        """Further rules on the sizes of the axes, a dict of letters; raises ShapeError."""

    def _compile_anew_for(self, pattern):
        """Gluon compiles for the arguments of the first call, and refuses others."""
        if getattr(self, "_pattern", pattern) != pattern:
            self._clear_cached_op()
        self._pattern = pattern

    def _check(self, args):
        least = len(self.arguments) if self.required is None else self.required
        if not least <= len(args) <= len(self.arguments):
            expected = ", ".join(f"{name} ({axes})" for name, axes in self.arguments)
            raise TypeError(f"{self.name}: got {len(args)} arguments, expected {expected}.")
        given = [
            (name, axes, array)
            for (name, axes), array in zip(self.arguments, args)
            if array is not None
        ]
        for name, _, array in given:
            self._check_array(name, array)
        self._check_alike("dtype", [(n, np.dtype(a.dtype).name) for n, _, a in given], DtypeError)
        self._check_alike("device", [(n, str(a.context)) for n, _, a in given], ContextError)
        self._check_parameters(given[0][2])
        self.check_shapes(self._axis_sizes(given))

    def _check_array(self, name, array):
        if isinstance(array, mx.np.ndarray) or mx.util.is_np_array():
            raise TypeError(
                f"{self.name}: works on mx.nd arrays; MXNet's NumPy mode is on or '{name}' is an "
                "mx.np array. Call mx.npx.reset_np() and pass array.as_nd_ndarray()."
            )
        if not isinstance(array, mx.nd.NDArray):
            raise TypeError(
                f"{self.name}: '{name}' is a {type(array).__name__}, expected an mx.nd.NDArray: "
                "mx.nd.array(values, dtype='float64')."
            )
        if np.dtype(array.dtype).name not in FLOATS:
            raise DtypeError(
                f"{self.name}: '{name}' is {np.dtype(array.dtype).name}; linear algebra needs "
                "float32 or float64: use array.astype('float32')."
            )

    def _check_alike(self, what, pairs, error):
        if len({value for _, value in pairs}) > 1:
            listing = ", ".join(f"'{name}' is {value}" for name, value in pairs)
            raise error(f"{self.name}: mixed {what}s: {listing}. Bring all to one {what}.")

    def _check_parameters(self, array):
        dtype = np.dtype(array.dtype).name
        for parameter in self.collect_params().values():
            if np.dtype(parameter.dtype).name != dtype:
                raise DtypeError(
                    f"{self.name}: the inputs are {dtype} and parameter '{parameter.name}' is "
                    f"{np.dtype(parameter.dtype).name}. Call {self.name}.cast('{dtype}') or "
                    "convert the inputs."
                )
            if parameter._data is not None and array.context not in parameter.list_ctx():
                raise ContextError(
                    f"{self.name}: the inputs are on {array.context} and parameter "
                    f"'{parameter.name}' is on {parameter.list_ctx()}. Use "
                    f"collect_params().reset_ctx({array.context}) or array.as_in_context(...)."
                )

    def _axis_sizes(self, given):
        sizes, owner = {}, {}
        for name, axes, array in given:
            letters = axes.split()
            if len(array.shape) != len(letters):
                raise ShapeError(
                    f"{self.name}: '{name}' has shape {array.shape}, expected {len(letters)} axes "
                    f"({', '.join(letters)}){_axes_remedy(array.shape, letters)}."
                )
            if 0 in array.shape:
                raise ShapeError(f"{self.name}: '{name}' is empty, shape {array.shape}.")
            for letter, size in zip(letters, array.shape):
                if letter.endswith("?"):
                    letter = letter[:-1]
                    if size == 1:
                        continue
                if sizes.setdefault(letter, size) != size:
                    raise ShapeError(
                        f"{self.name}: '{name}' has shape {array.shape} for ({', '.join(letters)}),"
                        f" but {letter} is {sizes[letter]} in '{owner[letter]}'."
                    )
                owner.setdefault(letter, name)
        return sizes


def explain(net, *inputs):
    """Runs `net` imperatively, so that a failing matrix is named by block and batch element.

    net: any HybridBlock, hybridized or not; its state is left as it was. Raises the named error;
    returns the outputs when nothing fails.
    """
    with _imperative(net):
        outputs = net(*inputs)
        _has_nan(outputs)
    return outputs


def listed(outputs):
    """The outputs of a block as a list, also when there is one."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _has_nan(outputs):
    """Whether any output has a NaN; waits for all of them."""
    with mx.autograd.pause():
        totals = [mx.nd.sum(output).asscalar() for output in listed(outputs)]
    return bool(np.isnan(totals).any())


@contextlib.contextmanager
def _imperative(net):
    active = []
    net.apply(lambda block: active.append((block, getattr(block, "_active", False))))
    try:
        for block, _ in active:
            block._active = False
        yield
    finally:
        for block, was in active:
            block._active = was


def _axes_remedy(shape, letters):
    if len(shape) == len(letters) - 1 and letters[0] == "B":
        return "; add the batch axis with array.expand_dims(0)"
    if len(shape) == len(letters) + 1 and 1 in shape:
        return "; drop an axis of size 1 with array.squeeze(axis=...)"
    return ""

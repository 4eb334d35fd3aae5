"""Views of a posterior, each of which can be a block by itself, for graphs and files."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, cast

import mxnet as mx
import numpy as np

from ..compilation import compiling
from ..errors import DtypeError, suggestion
from ..typing import Array, ArrayLike, Device, Namespace, Rules
from .arguments import axis_sizes, from_data
from .base import LinearAlgebraBlock
from .casting import check_casts, dtype_name
from .explaining import listed
from .parameters import parameter_array


def views_of_process(x: Tuple[str, str], y: Tuple[str, str]) -> Dict[str, Tuple[Rules, int]]:
    """What a posterior says of f and y anywhere: arguments of each view, and how many it needs."""
    return {
        "mean": ((x,), 1),
        "variance": ((x,), 1),
        "covariance": ((x,), 1),
        "samples": ((x, ("noise", "B m s")), 2),
        "log_density": ((x, y), 2),
        "joint_log_density": ((x, y), 2),
        "gradient": ((x,), 1),
        "derivative": ((x,), 1),
    }


class Viewed(LinearAlgebraBlock):
    """A block with `views` of what it holds: `_<name>_view(F, ...)` computes each in a graph.

    A subclass states `views`, `_compute_dtype`, `_device` and what blocks state.
    """

    # By name: the arguments of each view, and how many of them it needs.
    views: Dict[str, Tuple[Rules, int]] = {}
    # In what the views are computed.
    _compute_dtype: str

    def view(self, name: str, **options: Any) -> "View":
        """One view as a block, which computes and exports this alone.

        name: of `views`: that of a method, or 'samples' for ``(x, noise) -> samples`` of normal
        noise. options: of the method of that name.
        """
        if name not in self.views:
            raise ValueError(
                f"{self.name}: there is no view {name!r}; {suggestion(name, self.views)}"
            )
        return View(self, name, self._options(name, **options))

    def check_cast(self, dtype: str) -> None:
        """Not possible: the factor belongs to the dtype it was computed in."""
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: cannot cast to {dtype}; cast the layer and condition again: the "
                f"factor of the data was computed in {self._compute_dtype}."
            )

    def cast(self, dtype: str) -> None:
        """Only to the dtype that the predictor has, which changes nothing."""
        check_casts(self, dtype)

    def _keep_aside(self, device: Device, **arrays: Optional[Array]) -> None:
        """Keeps arrays that a call does not read: they are no parameters, but saved with them.

        Gluon warns of parameters that a graph does not have. None is for what there is not.
        """
        aside = mx.gluon.ParameterDict(self.prefix)
        for name, array in arrays.items():
            if array is not None:
                aside.get_constant(name, array)
        aside.initialize(ctx=device)
        object.__setattr__(self, "_aside", aside)

    def _is_aside(self, name: str) -> bool:
        return self.prefix + name in self._aside

    def _from_aside(self, name: str, F: Namespace = mx.nd, like: Any = None) -> Array:
        """An array of `_keep_aside` inside a graph, or where `like` or the parameters are."""
        if F is not mx.nd:
            return self._aside.get(name).var()
        device = self._device() if like is None else like.context
        self._move_aside(device)
        return self._aside.get(name).data(device)

    def _move_aside(self, device: Device) -> None:
        """The arrays follow the parameters, which `reset_ctx` moves."""
        for parameter in self._aside.values():
            if device not in parameter.list_ctx():
                parameter.reset_ctx(device)

    def _collect_params_with_prefix(self, prefix: str = "") -> Dict[str, Any]:
        """What `save_parameters` and `load_parameters` have."""
        found = super()._collect_params_with_prefix(prefix)
        start = prefix + "." if prefix else ""
        for name, parameter in getattr(self, "_aside", {}).items():
            found[start + name[len(self.prefix) :]] = parameter
        return found

    def _viewed_params(self, select: Optional[str] = None) -> mx.gluon.ParameterDict:
        """What views may read."""
        found = self.collect_params(select)
        if hasattr(self, "_aside"):
            self._move_aside(self._device())
            found.update(self._aside)
        return found

    def _check_dtype(self, array: Array) -> None:
        """DtypeError for a call in another dtype than that of the layer, which cannot change."""
        dtype = dtype_name(array.dtype)
        if dtype != self.dtype:
            raise DtypeError(
                f"{self.name}: the inputs are {dtype}, the layer that was conditioned is "
                f"{self.dtype}; give array.astype('{self.dtype}')."
            )

    def _options(self, name: str, *given: Any, **options: Any) -> Dict[str, Any]:
        """What the function of a view takes beside its arrays; NumPy arrays become parameters."""
        return {}

    def _call_options(self, name: str, like: Array, **options: Any) -> Dict[str, Any]:
        """`_options` of a call, with NumPy arrays as arrays beside `like`."""
        return {
            key: mx.nd.array(value, dtype=self._compute_dtype, ctx=like.context)
            if isinstance(value, np.ndarray)
            else value
            for key, value in self._options(name, **options).items()
        }

    def _now(self, name: str, *arrays: mx.nd.NDArray) -> mx.nd.NDArray:
        """A view of arrays."""
        given = self._arrays(self.views[name][0], *arrays)
        return getattr(self, f"_{name}_view")(mx.nd, *given)

    def _arrays(self, rules: Rules, *arrays: Any) -> Tuple[Any, ...]:
        """Arrays of a call by other rules than those of the block, checked alike."""
        return _Rules(self, rules)._received(*self._shaped(rules, arrays))

    def _shaped(self, rules: Rules, arrays: Sequence[Any]) -> Tuple[Any, ...]:
        """Arrays of a call that may have other shapes than those of the rules."""
        return tuple(arrays)

    def _from_people(self, rules: Rules, *values: Optional[ArrayLike]) -> List[Any]:
        """Data as people have them, or None, by other rules than those of the block."""
        device = self._data_device([a for a in values if a is not None])
        data = [
            None if a is None else from_data(self.name, *rule, a, cast(str, self.dtype), device)
            for rule, a in zip(rules, values)
        ]
        known = [(*rule, a.shape) for rule, a in zip(rules, data) if a is not None]
        self.check_shapes(axis_sizes(self.name, known))
        return data

    def _device(self) -> Device:
        """Where the parameters are."""
        for parameter in self.collect_params().values():
            return parameter.list_ctx()[0]


class View(LinearAlgebraBlock):
    """One view of a posterior as a block: it has the parameters that it reads, and no others.

    posterior: whose arrays it shares; name: of one of its `views`.
    """

    def __init__(
        self, posterior: Viewed, name: str, options: Dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(prefix=f"{posterior.prefix}{name}_", **kwargs)
        # Not as a child: what the view does not read is not its own.
        object.__setattr__(self, "posterior", posterior)
        self._view, self._options = name, options
        self.arguments, self.required = posterior.views[name]
        device = posterior._device()
        for key, value in options.items():
            if isinstance(value, np.ndarray):
                array = mx.nd.array(value, dtype=posterior._compute_dtype, ctx=device)
                options[key] = self.params.get_constant(key, array)
        self.params.initialize(ctx=device)
        symbols = [mx.sym.var(argument) for argument, _ in self.arguments]
        with compiling():
            read = mx.sym.Group(listed(self.hybrid_forward(mx.sym, *symbols))).list_inputs()
        self._read = set(read)

    def hybrid_forward(self, F: Namespace, *arrays: Array) -> Any:
        options = {
            key: parameter_array(F, value, arrays[0])
            if isinstance(value, mx.gluon.Parameter)
            else value
            for key, value in self._options.items()
        }
        return getattr(self.posterior, f"_{self._view}_view")(F, *arrays, **options)

    def collect_params(self, select: Optional[str] = None) -> mx.gluon.ParameterDict:
        """Those of the posterior that the view reads, and its own."""
        found = super().collect_params(select)
        every = self.posterior._viewed_params(select)
        found.update({name: p for name, p in every.items() if name in self._read})
        return found

    def _collect_params_with_prefix(self, prefix: str = "") -> Dict[str, mx.gluon.Parameter]:
        """The same by the names that `save_parameters` has: those of the posterior."""
        known = {id(p): n for n, p in self.posterior._collect_params_with_prefix().items()}
        start = f"{prefix}." if prefix else ""
        own = len(self.posterior.prefix)
        return {
            start + known.get(id(parameter), name[own:]): parameter
            for name, parameter in self.collect_params().items()
        }

    def _bound(self, args: Any, keywords: Any) -> Tuple[Any, ...]:
        return self.posterior._shaped(self.arguments, super()._bound(args, keywords))

    @property
    def dtype(self) -> Optional[str]:
        return self.posterior.dtype

    def check_cast(self, dtype: str) -> None:
        """As of the posterior."""
        self.posterior.check_cast(dtype)

    def cast(self, dtype: str) -> None:
        """Only to the dtype that the posterior has, which changes nothing."""
        self.check_cast(dtype)

    def check_shapes(self, sizes: Any) -> None:
        self.posterior.check_shapes(sizes)

    def _check_parameters(self, array: Array) -> None:
        self.posterior._check_parameters(array)


class _Rules(LinearAlgebraBlock):
    """The checks of a call of a posterior's method, in its name."""

    def __init__(self, posterior: Viewed, rules: Rules) -> None:
        super().__init__(prefix=posterior.prefix)
        object.__setattr__(self, "posterior", posterior)
        self._name = posterior.name
        self.arguments = rules

    def check_shapes(self, sizes: Any) -> None:
        self.posterior.check_shapes(sizes)

    def _check_parameters(self, array: Array) -> None:
        self.posterior._check_parameters(array)

"""Positive quantities that all series share, or that follow each series' static features."""

from typing import Any, Collection, Dict, Mapping, Optional, Sequence, Tuple

import mxnet as mx

from ..blocks.parameters import positive_parameter
from ..typing import Array, Namespace
from .static_effect import StaticEffect


class SeriesParameters(mx.gluon.HybridBlock):
    """Positive numbers θ, each (1, k) for all series or (B, k) with one set for each.

    θ = lower + exp(stored + shift), the shift a `StaticEffect` that starts at 0. Without static
    features, and for what is fixed, there is none; what is fixed is not trained either.

    (any array, *static) -> a tuple of θ in the order of `initial`; static: the arrays that
    `fields` names, static_categories (B, c) and static_reals (B, s).

    initial: name -> tuple of k numbers, θ without a shift; fixed: names; lower: name -> number;
    cardinality: of each category, None without; static_reals: whether there are any.
    """

    def __init__(
        self,
        initial: Mapping[str, Sequence[float]],
        fixed: Collection[str] = (),
        lower: Optional[Dict[str, float]] = None,
        cardinality: Optional[Sequence[int]] = None,
        static_reals: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._quantities, size = [], 0
        with self.name_scope():
            for name, values in initial.items():
                parameter = positive_parameter(self, name, values, (lower or {}).get(name, 1e-12))
                setattr(self, name, parameter)
                columns = None
                if name in fixed:
                    parameter.grad_req = "null"
                else:
                    columns = (size, size + len(values))
                    size += len(values)
                self._quantities.append((name, parameter, columns))
            self.shift = None
            if size and (cardinality or static_reals):
                self.shift = StaticEffect(
                    size, cardinality, static_reals, initializer="zeros", prefix="shift_"
                )
        self.fields = [] if self.shift is None else self.shift.fields

    def hybrid_forward(
        self, F: Namespace, like: Array, *static: Array, **stored: Array
    ) -> Tuple[Array, ...]:
        shift = None if self.shift is None else self.shift(*static)
        results = []
        for name, parameter, columns in self._quantities:
            raw = F.reshape(stored[name], shape=(1, -1))
            if shift is not None and columns is not None:
                begin, end = columns
                raw = F.broadcast_add(raw, F.slice_axis(shift, axis=1, begin=begin, end=end))
            results.append(parameter.natural(F, raw))
        return tuple(results)

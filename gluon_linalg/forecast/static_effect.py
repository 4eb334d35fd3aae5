"""What the static features of a series add to a vector."""

from typing import Any, List, Optional, Sequence

import mxnet as mx

from ..typing import Array, Namespace


class StaticEffect(mx.gluon.HybridBlock):
    """Σ_c E_c[static_categories_c] + W static_reals, (B, size).

    Arguments: those of static_categories (B, c) and static_reals (B, s) that `fields` names.

    cardinality: the number of rows of each table E_c, None without categories; static_reals:
    whether there are any; initializer: of E and W, default that of the whole network.
    """

    def __init__(
        self,
        size: int,
        cardinality: Optional[Sequence[int]] = None,
        static_reals: bool = False,
        initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._tables: List[str] = []
        self.fields: List[str] = []
        self.slopes = None
        with self.name_scope():
            for index, count in enumerate(cardinality or ()):
                name = f"table{index}"
                table = self.params.get(name, shape=(count, size), init=initializer)
                setattr(self, name, table)
                self._tables.append(name)
            if static_reals:
                self.slopes = mx.gluon.nn.Dense(
                    size, use_bias=False, weight_initializer=initializer, prefix="slopes_"
                )
        self.fields += ["static_categories"] * bool(self._tables)
        self.fields += ["static_reals"] * (self.slopes is not None)

    def hybrid_forward(self, F: Namespace, *static: Array, **tables: Array) -> Array:
        given, parts = dict(zip(self.fields, static)), []
        for index, name in enumerate(self._tables):
            column = F.slice_axis(given["static_categories"], axis=1, begin=index, end=index + 1)
            parts.append(F.take(tables[name], F.reshape(column, shape=(-1,))))
        if self.slopes is not None:
            parts.append(self.slopes(given["static_reals"]))
        return sum(parts[1:], parts[0])

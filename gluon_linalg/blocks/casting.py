"""Casts of whole networks, refused before anything is changed."""

from functools import lru_cache
from typing import Any

import mxnet as mx
import numpy as np

from ..errors import DtypeError

FLOATS = ("float32", "float64")


@lru_cache(maxsize=None)
def dtype_name(dtype: Any) -> str:
    """The name of a dtype, such as 'float32'; NumPy takes a microsecond to find it."""
    found = np.dtype(dtype)
    # MXNet's bfloat16 is a record of that name, which NumPy calls void16.
    return found.names[0] if found.names else found.name


def check_casts(network: mx.gluon.Block, dtype: Any) -> None:
    """Raises DtypeError or TypeError where some block below `network` cannot be cast to `dtype`.

    Such blocks have a method `check_cast`; all others take what Gluon takes.
    """
    particular = []
    network.apply(lambda block: particular.append(block) if hasattr(block, "check_cast") else None)
    for block in particular:
        try:
            # numpy takes None for float64.
            name = None if dtype is None else np.dtype(dtype).name
        except TypeError:
            name = None
        if name not in FLOATS:
            raise DtypeError(
                f"{block.name}: cannot cast to {dtype if name is None else name}; linear algebra "
                "needs 'float32' or 'float64'. Nothing was changed."
            )
        block.check_cast(name)


def install_cast_check() -> None:
    """From now on a cast of any Gluon network asks all its blocks first (idempotent)."""
    cast = mx.gluon.Block.cast
    if getattr(cast, "asks_first", False):
        return

    def checked(self: Any, dtype: Any) -> None:
        check_casts(self, dtype)
        cast(self, dtype)

    checked.__doc__ = cast.__doc__
    checked.asks_first = True  # type: ignore[attr-defined]
    mx.gluon.Block.cast = checked

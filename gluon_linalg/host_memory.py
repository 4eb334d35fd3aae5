"""Arrays of data loaders, which live in memory of the host that no parameter lives in."""

from typing import Any

import mxnet as mx

HOST_MEMORY = ("cpu_pinned", "cpu_shared")


def from_loader(array: Any) -> Any:
    """An array of a data loader's memory as one on the CPU, through which gradients pass.

    Workers of a `DataLoader` give `cpu_shared`, its `pin_memory` gives `cpu_pinned`. Anything else
    is returned as it is.
    """
    if isinstance(array, mx.nd.NDArray) and array.context.device_type in HOST_MEMORY:
        return array.as_in_context(mx.cpu(array.context.device_id))
    return array
